"""A review in JupyterLab: judged with keys, from data that is an attack, and saved without pictures."""

from __future__ import annotations

import sqlite3
import struct
import zlib
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from secnb import LabelStore

HOSTILE = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>\'"]]></style></svg>'
LIMIT_MS = 20_000
REVIEW = ".secnb-review"
BEGIN = (
    "import secnb, warnings\nwarnings.simplefilter('ignore')\nsite = secnb.connect()\n"
    "store = secnb.LabelStore('labels.sqlite')\n"
    "drawn = secnb.label_next(site.labelled_events(), 6, store=store, seed=1)"
)
SHOW = "started = secnb.review(drawn, store=store, site=site)\nstarted"


def png(width: int, height: int) -> bytes:
    """Return a synthetic picture: a sky above a street."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(
        b"\0" + (bytes((90, 120 + y // 4, 170)) if y < height // 2 else bytes((90, 95, 90))) * width
        for y in range(height)
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.fixture
def deployment(tmp_path: Path, redis_url: str) -> dict[str, str]:
    """Return the environment of a deployment full of attacks, with half of its pictures missing."""
    root = tmp_path / "foscam"
    root.mkdir()
    path = tmp_path / "security.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE cameras (id TEXT PRIMARY KEY, folder_path TEXT)")
        database.execute("INSERT INTO cameras VALUES (?, ?)", (HOSTILE, str(root)))
        database.execute(
            "CREATE TABLE detections (id INTEGER PRIMARY KEY, camera_id TEXT, file_path TEXT, detected_at,"
            " object_type TEXT, confidence REAL, bbox_x, bbox_y, bbox_width, bbox_height)"
        )
        database.execute(
            "CREATE TABLE events (id INTEGER PRIMARY KEY, camera_id TEXT, started_at TEXT, ended_at TEXT,"
            " risk_score INTEGER, summary TEXT, reasoning TEXT, detection_ids TEXT)"
        )
        at = "2026-03-01 08:30:00.000000"
        for n in range(1, 9):
            name = f"{n} <b>.png"
            if n % 2:
                (root / name).write_bytes(png(360, 900))
            seen = (n, HOSTILE, name, at, HOSTILE, n / 10, 200, 120, 90, 200)
            database.execute(f"INSERT INTO detections VALUES ({', '.join('?' * 10)})", seen)
            event = (n, HOSTILE, at, at, 10 * n, HOSTILE, HOSTILE, f"[{n}]")
            database.execute(f"INSERT INTO events VALUES ({', '.join('?' * 8)})", event)
    database.close()
    return {
        "DATABASE_URL": f"sqlite:///{path}",
        "REDIS_URL": redis_url,
        "FOSCAM_BASE_PATH": str(root),
        "CAMERA_TIMEZONE": "Europe/Berlin",
    }


HEIGHT = "label => label.getBoundingClientRect().height"


async def press(page: Page, key: str, progress: str) -> None:
    """Press a key and wait for what the review then says of its progress."""
    await page.keyboard.press(key)
    await expect(page.locator(f"{REVIEW}[aria-busy]")).to_have_count(0, timeout=LIMIT_MS)
    await expect(page.locator(f"{REVIEW}-progress")).to_have_text(progress, timeout=LIMIT_MS)
    # The next picture is there before its turn, unless the keys come faster than it can be read.
    await expect(page.locator(f"{REVIEW}-closed")).to_have_count(0, timeout=LIMIT_MS)


async def test_keys_judge_hostile_data_and_nothing_of_it_is_saved(deployment, start_lab, open_page, run_all):
    """Each verdict is in the file when the page shows it, and a reloaded page goes on."""
    with start_lab(**deployment) as lab:
        address, path = lab.write("review.ipynb", [BEGIN, SHOW]), lab.folder / "review.ipynb"
        async with open_page(address, "review") as page:
            await run_all(page)
            review = page.locator(REVIEW)
            await expect(review).to_be_focused(timeout=LIMIT_MS)
            await expect(review.locator("figure:visible figcaption")).to_contain_text(
                ".png", timeout=LIMIT_MS
            )
            first = await review.locator("strong").inner_text()
            caption = review.locator("figure:visible figcaption")
            captions = [await caption.inner_text()]
            label = review.locator("figure:visible text")
            heights = [await label.evaluate(HEIGHT)]
            for key, progress in (
                ("t", "1 of 6 judged: 1 true, 0 false, 0 unsure"),
                ("f", "2 of 6 judged: 1 true, 1 false, 0 unsure"),
                ("u", "3 of 6 judged: 1 true, 1 false, 1 unsure"),
            ):
                await press(page, key, progress)
                captions.append(await caption.inner_text())
                heights.append(await label.evaluate(HEIGHT))
            # Also on a tall picture, its label can be read.
            assert min(heights) > 10
            is_missing = ["there is no such file here" in text for text in captions]
            assert set(is_missing) == {True, False}
            assert await review.locator("svg image").count() > 0
            store = LabelStore(lab.folder / "labels.sqlite")
            assert store.labels()["truth"].isna().tolist() == [False, False, True]
            assert store.labels()["probability"].tolist() == pytest.approx([0.75] * 3)
            for _ in range(3):
                await press(page, "ArrowLeft", "3 of 6 judged: 1 true, 1 false, 1 unsure")
            assert await review.locator("strong").inner_text() == first
            assert await review.get_by_role("button", name="True").get_attribute("aria-pressed") == "true"
            await press(page, "f", "3 of 6 judged: 0 true, 2 false, 1 unsure")
            assert await page.evaluate("window.hit") is None
            assert await page.locator(f"{REVIEW} :is(img, script, b)").count() == 0
            assert "onerror" in await review.inner_text()
            assert "09:30:00 CET" in await review.inner_text()
            await page.keyboard.press("Control+s")
            await page.wait_for_function("() => !document.querySelector('.jp-mod-dirty')")
            await page.reload()
            await press(page, "Shift", "3 of 6 judged: 0 true, 2 false, 1 unsure")
            for n_unsure in (2, 3, 4):
                await review.get_by_role("button", name="Unsure").click()
                await expect(page.locator(f"{REVIEW}-progress")).to_contain_text(
                    f"{n_unsure} unsure", timeout=LIMIT_MS
                )
                await expect(page.locator(f"{REVIEW}-closed")).to_have_count(int(n_unsure == 4))
            await expect(review.locator("strong")).to_have_text("All judged")
        saved = path.read_text()
    assert "widget-view" in saved
    for word in ("onerror", "base64", "iVBOR"):
        assert word not in saved.replace(BEGIN, "")
    assert len(store.labels()) == 6


HERE = """
import pandas as pd, secnb
frame = pd.DataFrame({"event_id": range(3), "score": 0.5})
store = secnb.LabelStore("typed.sqlite")
"""
PLAIN = "secnb.review(frame, store=store)"


async def test_what_is_typed_at_another_cell_is_no_verdict(bare_lab, open_page):
    """After Shift+Enter the keys are the next cell's; after Ctrl+Enter, the review's."""
    async with open_page(bare_lab.write("typed.ipynb", [HERE, PLAIN, "x = 1"]), "review-typed") as page:
        await page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=60_000)
        await page.locator(".jp-CodeCell .jp-InputArea-editor").first.click()
        await page.keyboard.press("Shift+Enter")
        await page.keyboard.press("Shift+Enter")
        review, progress = page.locator(REVIEW), page.locator(f"{REVIEW}-progress")
        await expect(review.locator("figure:visible")).to_have_count(1, timeout=LIMIT_MS)
        await page.keyboard.press("Enter")
        await page.keyboard.type("tfu = 2; ")
        await expect(page.locator(".jp-CodeCell .cm-content").last).to_have_text("tfu = 2; x = 1")
        await expect(progress).to_have_text("0 of 3 judged: 0 true, 0 false, 0 unsure")
        await page.locator(".jp-CodeCell .jp-InputArea-editor").nth(1).click()
        await page.keyboard.press("Control+Enter")
        await expect(review).to_be_focused(timeout=LIMIT_MS)
        await expect(review.locator("figure:visible")).to_have_count(1, timeout=LIMIT_MS)
        await press(page, "t", "1 of 3 judged: 1 true, 0 false, 0 unsure")
