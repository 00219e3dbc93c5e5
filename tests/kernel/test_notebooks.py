"""The notebooks run from top to bottom, on sample data and on real detections alike."""

from __future__ import annotations

import ast
import contextlib
import re
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nbformat
import pandas as pd
import pytest
import redis
from nbclient import NotebookClient

import secnb
from secnb.errors import DegradedWarning

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MOT = ROOT.parent / "shared" / "data" / "mot15_frcnn"
FPS = {"PETS09": 7, "ETH": 14, "KITTI": 10, "ADL": 30, "Venice": 30}
PANEL = "application/vnd.vegalite.v5+json"
# What the one picture of each notebook says on synthetic data, and over real detections.
SHOWN = {
    "00_quickstart": ({"recall"}, {"33875 units", "fires per day"}),
    "10_inspect": ({"Nothing is stuck.", "detection queue"}, {"reasoner (unknown)", "As of 2026-03-22"}),
    "20_tune_thresholds": ({"recall"}, {"truth against score, 0 units"}),
    "30_what_if": ({"calls of the reasoner, per day", "now: "}, {"calls of the reasoner, per day"}),
}
# What rests on records alone is the same whichever generation keeps them.
SAME = ("00_quickstart", "20_tune_thresholds")
MARKED = {
    "stuck_reasoner": "reasoner (stuck): ",
    "slow_detector": "detector (slow): ",
    "poison": "detection_queue (poisoned): ",
    "silent_camera": "cameras (silent): no detection from back_yard ",
}
INSPECT = ROOT / "notebooks" / "10_inspect.ipynb"


def real_detections() -> pd.DataFrame:
    """Return nine sequences of real pedestrians, a day apart, as if nine cameras had seen them."""
    parts = []
    for n, path in enumerate(sorted(MOT.glob("*.txt"))):
        fps = next(rate for name, rate in FPS.items() if path.name.startswith(name))
        starts_at = datetime(2026, 3, 14, 8, tzinfo=UTC) + timedelta(days=n)
        parts.append(secnb.read_mot(path, fps=fps, start_at=starts_at))
    return pd.concat(parts, ignore_index=True)


async def execute(path: Path, site, monkeypatch) -> nbformat.NotebookNode:
    """Run a notebook in a real kernel over `site`, and return it with its outputs."""
    monkeypatch.setenv("DATABASE_URL", site.database_url)
    monkeypatch.setenv("REDIS_URL", site.redis_url)
    monkeypatch.setenv("HSI_RUNTIME_ENV_PATH", str(site.folder / "data" / "runtime.env"))
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(path.parent)}})
    return await client.async_execute()


def outputs(notebook: nbformat.NotebookNode) -> list[dict]:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def panels(notebook: nbformat.NotebookNode) -> list[dict]:
    return [output["data"][PANEL] for output in outputs(notebook) if PANEL in output.get("data", {})]


@pytest.fixture(scope="module", params=["sqlite", "postgres", "streams"])
def sample(request):
    with secnb.sandbox(ends_at="2026-03-15 18:00", generation=request.param) as site:
        yield site


@pytest.fixture(scope="module")
def drawn():
    """Return the pictures of the first generation that ran, by notebook."""
    return {}


@pytest.fixture(scope="module")
def real():
    if not MOT.is_dir():
        pytest.skip("the real detections are not beside the project")
    with secnb.sandbox(detections=real_detections()) as site:
        yield site


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
async def test_runs_on_the_sandbox_of_every_generation(path, sample, drawn, monkeypatch):
    """Precision and recall are drawn, since the sandbox knows the truth; nothing is stuck in it."""
    (panel,) = panels(await execute(path, sample, monkeypatch))
    assert all(words in str(panel) for words in SHOWN[path.stem][0])
    if path.stem in SAME:
        assert panel == drawn.setdefault(path.stem, panel)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
async def test_runs_on_real_detections(path, real, monkeypatch):
    """33,875 of nine cameras, unlabelled: the panel shows what fires. There are no events."""
    assert len(real.detections()) == 33_875
    assert len(real.cameras()) == 9
    (panel,) = panels(await execute(path, real, monkeypatch))
    assert all(words in str(panel) for words in SHOWN[path.stem][1])
    assert "recall" not in str(panel)


@pytest.mark.parametrize(
    ("incident", "found"),
    [
        ("stuck_reasoner", "reasoner is stuck: "),
        ("slow_detector", "detector lags: "),
        ("poison", "detection_queue holds what cannot be read: "),
        ("silent_camera", "A camera is silent: no detection from back_yard for "),
    ],
)
async def test_the_runbook_finds_the_staged_incident(incident, found, monkeypatch):
    """Its first sentence says where, and so does the picture."""
    with secnb.sandbox(ends_at="2026-03-15 18:00", incident=incident) as site:
        notebook = await execute(INSPECT, site, monkeypatch)
    texts = [
        output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs(notebook)
    ]
    assert any(text.startswith(found) for text in texts)
    (panel,) = panels(notebook)
    assert MARKED[incident] in str(panel)


def run_inspect(database_url: str, redis_url: str) -> dict:
    """Run the runbook in this process, and return its variables."""
    code = [cell.source for cell in nbformat.read(INSPECT, as_version=4).cells if cell.cell_type == "code"]
    urls = f"database_url={database_url!r}, redis_url={redis_url!r}"
    given = {"display": lambda _: None}
    exec("\n".join(code).replace("secnb.connect()", f"secnb.connect({urls})"), given)  # noqa: S102 - our own
    return given


def test_the_runbook_goes_on_where_keys_and_tables_are_odd(redis_url, capsys):
    """A text in the place of a queue, no table of events."""
    with redis.Redis.from_url(redis_url) as client:
        client.set("analysis_queue", "x")
        client.set("dlq:detection_queue", "x")
        client.rpush("detection_queue", "{", '{"camera_id": "porch", "file_path": "/x"}')
    with secnb.sandbox(ends_at="2026-03-15 18:00") as site:
        with contextlib.closing(sqlite3.connect(site.database_url.partition("///")[2])) as database:
            database.execute("DROP TABLE events")
        given = run_inspect(site.database_url, redis_url)
    assert (given["waiting"]["ok"].tolist(), len(given["events"])) == ([False, True], 0)
    assert len(given["detections"]) == len(given["day"]) > 0
    said = capsys.readouterr().out
    assert "analysis_queue is a string, not a queue" in said
    assert "There is no table 'events'" in said


def test_the_runbook_goes_on_without_redis_or_a_database(redis_url, capsys):
    """What the other part tells is there."""
    with secnb.sandbox(ends_at="2026-03-15 18:00") as site:
        with pytest.warns(DegradedWarning, match="without Redis"):
            given = run_inspect(site.database_url, "redis://127.0.0.1:1/0")
        assert (len(given["waiting"]), len(given["detections"]) > 0) == (0, True)
        with pytest.warns(DegradedWarning, match="without the database"):
            given = run_inspect("postgresql://u@127.0.0.1:1/x", site.redis_url)
        assert (len(given["waiting"]) > 0, len(given["detections"])) == (True, 0)
    assert "does not answer" in capsys.readouterr().out


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_stored_as_the_house_wants_it(path):
    """Without outputs, at most 25 cells, a short set-up, no long functions, all four sections."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(notebook.cells) <= 25
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert len(code[0].source.splitlines()) <= 5
    words = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert re.findall(r"^## (\w+)", words, re.MULTILINE) == ["Source", "Frame", "Analysis", "View"]
    for cell in code:
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 10
