"""From what would change to a setting in force and back, in JupyterLab, over names that are an attack."""

from __future__ import annotations

from playwright.async_api import Locator, Page, expect

import secnb

HOSTILE = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>\'"]]></style></svg>'
BEFORE = b"# \xe9 stays as it is\r\nSECRET_KEY=hidden-word-4711\r\nDETECTION_CONFIDENCE_THRESHOLD=0.5 # a\r\n"
AFTER = BEFORE.replace(b"=0.5 ", b"=0.62 ")
FRAME = f"""
import pandas as pd, secnb
bad = {HOSTILE!r}
events = pd.DataFrame({{
    "event_id": range(1, 61),
    "camera_id": [f"{{n % 3}}{{bad}}" for n in range(60)],
    "object_type": bad,
    "started_at": pd.Timestamp("2026-03-01", tz="UTC") + pd.to_timedelta(range(60), unit="h"),
    "score": [0.5 + n / 120 for n in range(60)],
    "risk_score": range(40, 100),
    "file_path": f"/cameras/{{bad}}",
    "truth": pd.array([True, False, None] * 20, dtype="boolean"),
}})
"""
COMPARE = "secnb.compare_thresholds(events, current=0.5, proposed=0.62)"
SAVE = 'secnb.save_setting("detection_confidence_threshold", 0.62, "settings.env", evidence=bad)'
UNDO = 'secnb.undo_setting("settings.env")'


async def run_next(page: Page, n: int) -> Locator:
    """Run the cell in hand, the n-th, as an analyst does, and return what it shows."""
    await page.keyboard.press("Shift+Enter")
    cell = page.locator(".jp-CodeCell").nth(n)
    await expect(cell.locator(".jp-InputPrompt")).to_have_text(f"[{n + 1}]:", timeout=30_000)
    return cell.locator(".jp-OutputArea-output")


async def check_harmless(page: Page, outputs: Locator) -> None:
    """Nothing of the data has run or has become an element."""
    assert await page.evaluate("window.hit") is None
    assert await outputs.locator("img, script, style, svg").count() == 0


async def test_a_setting_is_applied_and_taken_back_from_the_page(bare_lab, open_page):
    """The file's bytes change when the cell has run, and come back; the rest of it stays and is not shown."""
    settings = bare_lab.folder / "settings.env"
    settings.write_bytes(BEFORE)
    address = bare_lab.write("apply.ipynb", [FRAME, COMPARE, SAVE, UNDO])
    async with open_page(address, "apply") as page:
        await page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=60_000)
        await page.locator(".jp-CodeCell .jp-InputArea-editor").first.click()
        await run_next(page, 0)
        compared = await run_next(page, 1)
        await expect(compared).to_contain_text("0.62 instead of 0.5: of 60 events that fire now, 15 would")
        await expect(compared.locator("td", has_text="onerror").first).to_be_visible()
        assert settings.read_bytes() == BEFORE
        saved = await run_next(page, 2)
        assert settings.read_bytes() == AFTER
        await expect(saved.locator("pre")).to_contain_text("-DETECTION_CONFIDENCE_THRESHOLD=0.5")
        await expect(saved.locator("pre")).to_contain_text("+DETECTION_CONFIDENCE_THRESHOLD=0.62")
        await expect(saved).to_contain_text("restart the backend")
        taken_back = await run_next(page, 3)
        assert settings.read_bytes() == BEFORE
        await expect(taken_back.locator("pre")).to_contain_text("+DETECTION_CONFIDENCE_THRESHOLD=0.5")
        await check_harmless(page, page.locator(".jp-OutputArea-output"))
        assert "hidden-word" not in await page.locator(".jp-Notebook").inner_text()


async def test_an_untrusted_notebook_shows_what_was_applied(bare_lab, open_page, tmp_path):
    """As text: nothing in it runs, and it reads the same as where it ran."""
    settings, found = tmp_path / ".env", {}
    settings.write_bytes(BEFORE)
    exec(FRAME, found)  # noqa: S102
    shown = [
        secnb.compare_thresholds(found["events"], current=0.5, proposed=0.62),
        secnb.save_setting("detection_confidence_threshold", 0.62, settings, evidence=HOSTILE),
        secnb.undo_setting(settings),
    ]
    address = bare_lab.write("applied.ipynb", [COMPARE, SAVE, UNDO], shown)
    async with open_page(address, "applied") as page:
        compared, saved, taken_back = (page.locator(".jp-OutputArea-output").nth(n) for n in range(3))
        await expect(taken_back.locator("pre")).to_contain_text("+DETECTION_CONFIDENCE_THRESHOLD=0.5")
        await expect(saved.locator("pre")).to_contain_text("+DETECTION_CONFIDENCE_THRESHOLD=0.62")
        await expect(compared).to_contain_text("would disappear and none appear")
        assert await compared.locator("table").count() == 3
        await check_harmless(page, page.locator(".jp-OutputArea-output"))
