"""What is seen of a widget whose kernel is gone: words that say what to do, and no error."""

from __future__ import annotations

import json

from playwright.async_api import Page, expect

LIMIT_MS = 30_000
BEGIN = """
import pandas as pd, secnb, warnings
warnings.simplefilter("ignore")
frame = pd.DataFrame({"event_id": [1, 2, 3], "score": [0.2, 0.7, 0.9], "truth": [True, False, None]})
store = secnb.LabelStore("remains.sqlite")
"""
CELLS = [
    BEGIN,
    "secnb.panel(secnb.sweep(frame, score='score', truth='truth'), link=True)",
    "secnb.review(frame, store=store)",
]
PANEL = "A panel linked with Python is here while its kernel runs. If it is not: run the notebook again up to"
REVIEW = "A review is here while its kernel runs. If it is not: run the notebook again up to this cell"
LOST = "Error displaying widget: model not found"


async def seen(page: Page) -> list[str]:
    """Return the outputs that can be seen."""
    outputs = await page.locator(".jp-OutputArea-output").all()
    return [await each.inner_text() for each in outputs if await each.is_visible()]


async def test_words_say_what_to_do_where_the_kernel_is_gone(bare_lab, open_page, run_all):
    """Not while it lives; then in a notebook that is trusted, and in one that is not."""
    live = bare_lab.write("live.ipynb", CELLS)
    async with open_page(live, "remains-live") as page:
        await run_all(page)
        await page.locator(".secnb-review strong", has_text="event 1").wait_for()
        await page.locator("svg.marks").wait_for()
        for words in (PANEL, REVIEW):
            await expect(page.get_by_text(words)).to_have_count(1)
            await expect(page.get_by_text(words)).to_be_hidden()
        await page.keyboard.press("Control+s")
        await page.wait_for_function("() => !document.querySelector('.jp-mod-dirty')")
    saved = json.loads((bare_lab.folder / "live.ipynb").read_text())

    (bare_lab.folder / "trusted.ipynb").write_text(json.dumps(saved))
    async with open_page(bare_lab.page_of("trusted.ipynb"), "remains-trusted") as page:
        # JupyterLab looks for the widgets for some seconds.
        await expect(page.get_by_text(LOST)).to_have_count(2, timeout=LIMIT_MS)
        panel, review = await seen(page)
        assert (panel.startswith(PANEL), review.startswith(REVIEW)) == (True, True)

    # What JupyterLab has not written itself, it does not trust.
    saved["cells"][0]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["changed"]}]
    (bare_lab.folder / "untrusted.ipynb").write_text(json.dumps(saved))
    async with open_page(bare_lab.page_of("untrusted.ipynb"), "remains-untrusted") as page:
        await expect(page.get_by_text(REVIEW)).to_be_visible(timeout=LIMIT_MS)
        _, was_panel, panel, was_review, review = await seen(page)
        assert was_panel.strip() == "<LinkedPanel: truth against score, 3 units, at 0.5>"
        assert was_review.strip().startswith("<Review: 0 of 3 judged")
        assert (panel.startswith(PANEL), review.startswith(REVIEW)) == (True, True)
