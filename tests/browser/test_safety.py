"""What hostile data does in a page, and what a saved notebook keeps: nothing."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path

import nbformat
import pytest
import redis
from sqlalchemy import create_engine

from secnb.core.models import Base

WORD = "hidden-word-4711"
HOSTILE = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>\'"]]></style></svg>'
PAYLOAD = json.dumps({"camera_id": HOSTILE, "file_path": HOSTILE, HOSTILE: [HOSTILE]})

CELLS = [
    "import secnb, pandas as pd\nsite = secnb.connect()\nsite",
    "for frame in (site.health(), site.settings(), site.queues(), site.cameras(), site.detections(),\n"
    "              site.events(), site.peek('detection_queue'), site.keys(), site.cache(),\n"
    "              site.open_batches(), site.dead_letters(), site.pipeline(),\n"
    "              site.sql('SELECT * FROM cameras')):\n"
    "    display(frame)\n"
    "    display(frame.set_index(frame.columns[0]), frame.T)",
    "bad = site.cameras()['camera_id'][0]\n"
    "site.detections().set_index('camera_id').rename_axis(index=bad, columns=bad).head().assign(**{bad: 1})",
    "site.detections().groupby('object_type').size().to_frame(bad)",
    "labelled = site.detections().assign(**{bad: True})\n"
    "sweep = secnb.sweep(labelled, score='confidence', truth=bad, by='object_type')\n"
    "display(sweep)\nsecnb.panel(sweep)",
    "display(site.show(1))\nsecnb.plot_pipeline(site.pipeline())",
    "site.peek(bad)",
    "site.detections(camera_id=bad[::-1])",
]


AT = "2026-03-14 12:00:00.000000"


def insert(database: sqlite3.Connection, table: str, *values: object) -> None:
    """Write one row, a value for each column."""
    database.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", values)


@pytest.fixture
def hostile(tmp_path, start_redis_server):
    """Return the environment of a deployment whose every text, column and key is an attack."""
    path = tmp_path / "security.db"
    engine = create_engine(f"sqlite:///{path}")
    Base.metadata.create_all(engine)
    engine.dispose()
    with sqlite3.connect(path) as database:
        quoted = HOSTILE.replace('"', '""')
        for table in ("cameras", "detections", "events"):
            database.execute(f'ALTER TABLE {table} ADD COLUMN "{quoted}" TEXT')
        database.execute("ALTER TABLE cameras ADD COLUMN rtsp_password TEXT")
        insert(database, "cameras", HOSTILE, HOSTILE, HOSTILE, HOSTILE, AT, AT, HOSTILE, WORD)
        for n in range(1, 61):
            kind = f"{n % 2}{HOSTILE}"
            insert(
                *(database, "detections", n, HOSTILE, HOSTILE, HOSTILE, AT, kind, n / 60),
                *(1, 2, 3, 4, HOSTILE, HOSTILE),
            )
        insert(
            *(database, "events", 1, HOSTILE, HOSTILE, AT, AT, 60, HOSTILE, HOSTILE, HOSTILE, HOSTILE),
            *(0, HOSTILE, 0, HOSTILE),
        )
    database.close()
    server = start_redis_server("--requirepass", WORD)
    url = server.url.replace("redis://", f"redis://:{WORD}@")
    with redis.Redis.from_url(url) as client:
        client.rpush("detection_queue", PAYLOAD, HOSTILE, json.dumps(HOSTILE))
        client.rpush(
            "dlq:detection_queue", json.dumps({"original_job": {"camera_id": HOSTILE}, "error": HOSTILE})
        )
        client.set(f"hsi:cache:{HOSTILE}", json.dumps({HOSTILE: HOSTILE}))
        client.set(f"batch:{HOSTILE}:current", json.dumps(HOSTILE))
        client.set(f"batch:{HOSTILE}:started_at", json.dumps(HOSTILE))
    return {"DATABASE_URL": f"sqlite:///{path}", "REDIS_URL": url}


@pytest.fixture
def every_cell_in_the_page(tmp_path):
    """Return settings with which JupyterLab also keeps those cells in the page that are out of sight."""
    folder = tmp_path / "settings" / "@jupyterlab" / "notebook-extension"
    folder.mkdir(parents=True)
    (folder / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none"}')
    return tmp_path / "settings"


async def test_hostile_data_runs_nothing_and_a_saved_notebook_keeps_no_secret(
    hostile, every_cell_in_the_page, start_lab, open_page, run_all
):
    """In values, column names, index, keys, payloads, menus, charts, pictures and errors."""
    with start_lab(**hostile, JUPYTERLAB_SETTINGS_DIR=str(every_cell_in_the_page)) as lab:
        path = write(lab.folder / "hostile.ipynb", CELLS)
        async with open_page(lab.page_of(path.name), "hostile") as page:
            await run_all(page)
            await page.locator("input[name=threshold]").first.wait_for()
            await page.locator("svg.marks").last.scroll_into_view_if_needed()
            assert await page.evaluate("window.hit") is None
            assert await page.locator("img[src=x]").count() == 0
            # What an attack looks like when it is text.
            texts = await page.locator(".jp-OutputArea-output table").all_inner_texts()
            assert sum("onerror" in text for text in texts) > 20
            await page.keyboard.press("Control+s")
            saved = await written(path, page)
            # The same text would have run, had it been shown as it is.
            await page.evaluate("text => document.body.insertAdjacentHTML('beforeend', text)", HOSTILE)
            await page.wait_for_function("window.hit === 1")
    assert [name for name in errors(saved) if name not in ("UnknownQueueError", "UnknownCameraError")] == []
    assert len(errors(saved)) == 2
    assert WORD not in path.read_text()
    assert "<img src=x" not in html(saved)


KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}}


def write(path: Path, cells: list[str]) -> Path:
    """Write a notebook that goes on after an error."""
    made = [nbformat.v4.new_code_cell(code, metadata={"tags": ["raises-exception"]}) for code in cells]
    nbformat.write(nbformat.v4.new_notebook(cells=made, metadata=KERNEL), path)
    return path


async def written(path: Path, page) -> nbformat.NotebookNode:
    """Return the notebook as soon as it was saved with its outputs."""
    for _ in range(100):
        # JupyterLab may be in the middle of writing it.
        with contextlib.suppress(nbformat.reader.NotJSONError):
            saved = nbformat.read(path, as_version=4)
            if any(cell.outputs for cell in saved.cells):
                return saved
        await page.wait_for_timeout(100)
    pytest.fail("the notebook was not saved within 10 s")


def errors(notebook: nbformat.NotebookNode) -> list[str]:
    return [out["ename"] for cell in notebook.cells for out in cell.outputs if out["output_type"] == "error"]


def html(notebook: nbformat.NotebookNode) -> str:
    found = (out.get("data", {}).get("text/html", "") for cell in notebook.cells for out in cell.outputs)
    return "".join(found)
