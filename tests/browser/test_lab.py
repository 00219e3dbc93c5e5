"""The notebooks in JupyterLab, as an analyst meets them."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Page

import secnb

PANEL = ".jp-OutputArea-output:has(input[name=threshold])"
ERROR = ".jp-OutputArea-output[data-mime-type*=error]"


async def shown(page: Page) -> dict[str, str]:
    """Return the numbers of the panel by name, as an analyst reads them."""
    labels = page.locator(f'{PANEL} text[aria-label*=": "]')
    found = [await each.get_attribute("aria-label") for each in await labels.all()]
    return {
        name: text.replace("\u2009", "") for name, _, text in (each.partition(": ") for each in found if each)
    }


async def test_quickstart_runs_and_the_slider_moves_the_numbers(lab, open_page, run_all):
    """No cell fails; the numbers follow the slider and are those that Python counts."""
    async with open_page(lab.address, "quickstart") as page:
        await run_all(page)
        assert await page.locator(ERROR).all_inner_texts() == []
        # Nothing lies on the notebook, such as the question whether to get the news of Jupyter.
        assert await page.locator(".Toastify__toast").count() == 0
        slider = page.locator(f"{PANEL} input[name=threshold]")
        await slider.scroll_into_view_if_needed()
        assert await slider.input_value() == "0.5"
        before = await shown(page)
        await slider.focus()
        for _ in range(20):
            await page.keyboard.press("ArrowRight")
        assert await slider.input_value() == "0.7"
        after = await shown(page)
    assert (before["threshold"], after["threshold"]) == ("0.50", "0.70")
    assert int(after["fires"]) < int(before["fires"])
    precision, true, false = (after[name] for name in ("precision", "true alarms", "false alarms"))
    assert int(true) + int(false) == int(after["fires"])
    assert re.fullmatch(r"\d+\.\d%", precision)
    assert float(precision[:-1]) == pytest.approx(100 * int(true) / int(after["fires"]), abs=0.051)


async def test_inspect_finds_a_staged_incident(start_lab, open_page, run_all):
    """No cell fails, and the picture of the pipeline says who is stuck."""
    with secnb.sandbox(ends_at="2026-03-15 18:00", incident="stuck_reasoner") as site:
        urls = {"DATABASE_URL": site.database_url, "REDIS_URL": site.redis_url}
        with start_lab(**urls) as lab:
            async with open_page(lab.page_of("10_inspect.ipynb"), "inspect") as page:
                await run_all(page)
                assert await page.locator(ERROR).all_inner_texts() == []
                picture = page.locator(".jp-OutputArea-output svg.marks").last
                await picture.scroll_into_view_if_needed()
                words = await picture.text_content()
    assert "reasoner" in words
    assert "stuck" in words
