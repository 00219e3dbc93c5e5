"""The panel in a real page: what it shows is what Python counts, wherever it is opened."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal

import pandas as pd
import pytest
from playwright.async_api import Locator, Page, expect

import secnb

THRESHOLDS = ("0.29", "0.57", "0.58", "1")
HOSTILE = '</script><img src=x onerror="window.hit=1">'
FRAME = """
import numpy as np, pandas as pd, secnb
rng = np.random.default_rng(7)
is_true = rng.random(900) < 0.4
frame = pd.DataFrame({
    "score": np.where(is_true, rng.beta(6, 2, 900), rng.beta(2, 4, 900)),
    "truth": pd.array(is_true, dtype="boolean"),
    "started_at": pd.Timestamp("2026-03-01T05:00Z") + pd.to_timedelta(rng.random(900) * 9, unit="D"),
    "camera": np.resize(["gate", "yard", None], 900),
    "hour": np.resize([7, 8, 9, 10, 11], 900),
})
frame.loc[rng.random(900) < 0.3, "truth"] = pd.NA
"""


@pytest.fixture(scope="module")
def frame():
    """Return synthetic units of three cameras and five hours, of which some are not labelled."""
    found: dict[str, pd.DataFrame] = {}
    exec(FRAME, found)  # noqa: S102
    return found["frame"]


async def shown(panel: Locator) -> dict[str, str]:
    """Return the numbers as a screen reader reads them, by name."""
    found = await panel.locator('text[aria-label*=": "]').evaluate_all(
        "all => all.map(each => each.getAttribute('aria-label'))"
    )
    return dict(each.replace("\u2009", "").split(": ", 1) for each in found)


def expected(row: pd.Series) -> dict[str, str]:
    """Write one row of ``.at`` as the panel writes it."""
    rate = row["fired_per_day"]
    texts = {
        "threshold": f"{row['threshold']:.2f}",
        "fires": str(row["n_fired"]),
        "true alarms": str(row["tp"]),
        "false alarms": str(row["fp"]),
        "unlabelled": str(row["n_unlabelled"]),
        "missed": str(row["fn"]),
        # A page rounds a half upwards.
        "fires per day": str(Decimal(rate).quantize(Decimal("0.01" if rate < 10 else "0.1"), ROUND_HALF_UP)),
    }
    for name in ("precision", "recall"):
        low, high = 100 * row[f"{name}_low"], 100 * row[f"{name}_high"]
        texts[name] = "\u2013" if pd.isna(row[name]) else f"{row[name]:.1%}"
        texts[f"{name} interval"] = "" if pd.isna(row[name]) else f"{low:.1f}\u2013{high:.1f}%"
    return texts


async def check_numbers(page: Page, panel: Locator, sweep: secnb.ThresholdSweep) -> None:
    """Move the slider and the menus through the page; every number is the one that Python counts."""
    slider, menus = panel.locator("input[name=threshold]"), panel.locator("select")
    groups = sweep.at(0.5)[list(sweep.by)]
    for group in (0, len(groups) - 1):
        for menu, name in zip(await menus.all(), sweep.by, strict=True):
            key = groups[name].iloc[group]
            await menu.select_option(label="missing" if pd.isna(key) else str(key))
        for threshold in THRESHOLDS:
            await slider.fill(threshold)
            row = sweep.at(float(threshold)).iloc[group]
            found = await shown(panel)
            assert {name: found.get(name, "") for name in expected(row)} == expected(row)


async def test_an_untrusted_notebook_shows_the_numbers_that_python_counts(frame, bare_lab, open_page):
    """Nothing runs: no kernel, no script of the notebook's own, no trust."""
    sweep = secnb.sweep(frame, score="score", truth="truth", by=["camera", "hour"])
    address = bare_lab.write("untrusted.ipynb", ["panel"], [secnb.panel(sweep, current=0.5)])
    async with open_page(address, "panel-untrusted") as page:
        panel = page.locator(".jp-OutputArea-output:has(input[name=threshold])")
        await panel.locator("svg.marks").wait_for()
        await check_numbers(page, panel, sweep)
        # Keys stay in the control that has them, though JupyterLab has shortcuts for the same keys.
        slider, menu = panel.locator("input[name=threshold]"), panel.locator("select").first
        await slider.fill("0.57")
        await slider.press("ArrowRight")
        assert await slider.input_value() == "0.58"
        await page.keyboard.press("Tab")
        assert await menu.evaluate("menu => menu === document.activeElement")
        await menu.select_option("-1")
        for key in ("Space", "ArrowDown", "Enter"):
            await page.keyboard.press(key)
        assert await menu.input_value() == "0"


LINKED = [
    f"{FRAME}\nsweep = secnb.sweep(frame, score='score', truth='truth', by='camera')\n"
    "panel = secnb.panel(sweep, current=0.4567, link=True)",
    "panel",
    "panel.threshold = 0.7312",
    "print('now at', panel.threshold)",
]


async def test_a_linked_panel_moves_with_python_and_sends_its_threshold_on_release(
    bare_lab, open_page, run_all
):
    async with open_page(bare_lab.write("linked.ipynb", LINKED), "panel-linked") as page:
        await run_all(page)
        panel = page.locator(".jp-OutputArea-output:has(input[name=threshold])")
        slider, menu = panel.locator("input[name=threshold]"), panel.locator("select")
        said = page.locator(".jp-OutputArea-output", has_text="now at")
        await expect(slider).to_have_value("0.73")
        await expect(said).to_contain_text("now at 0.73")
        # An arrow key is pressed and released; moving with the mouse is not releasing.
        await slider.focus()
        await page.keyboard.press("ArrowLeft")
        await slider.evaluate(MOVE, "0.6")
        assert (await shown(panel))["threshold"] == "0.60"
        await run_last(page)
        await expect(said).to_contain_text("now at 0.72")
        await slider.evaluate(RELEASE)
        await run_last(page)
        await expect(said).to_contain_text("now at 0.6")
        # A threshold that lies between two round numbers is a stop, for both sides.
        await slider.fill("0.46")
        await slider.press("ArrowLeft")
        await run_last(page)
        await expect(said).to_contain_text("now at 0.4567")
        await menu.focus()
        await page.keyboard.press("ArrowDown")
        await expect(menu).to_have_value("0")


async def test_the_slider_stops_at_the_threshold_chosen(frame, tmp_path, open_page):
    """The panel opens there, arrow keys lead away from it and back, and the numbers keep the floor."""
    sweep = secnb.sweep(frame.round({"score": 3}), score="score", truth="truth")
    choice = sweep.choose(precision_at_least=0.8, verify_on=None)
    below = f"{choice.threshold:.3f}"[:-1]
    assert float(below) < choice.threshold
    path = secnb.save_panel(secnb.panel(sweep, choice=choice), tmp_path / "panel.html")
    async with open_page("about:blank", "panel-stops") as page:
        await page.goto(path.as_uri())
        panel = page.locator("#panel")
        slider = panel.locator("input[name=threshold]")
        await panel.locator("svg.marks").wait_for()
        row = sweep.at(choice.threshold).iloc[0]
        chosen = expected(row) | {"threshold": f"{choice.threshold:g}"}
        above = f"{float(below) + 0.01:.2f}"
        await slider.focus()
        for key, threshold in (
            (None, chosen["threshold"]),
            ("ArrowRight", above),
            ("ArrowLeft", chosen["threshold"]),
            ("ArrowLeft", below),
            ("ArrowRight", chosen["threshold"]),
        ):
            if key:
                await page.keyboard.press(key)
            said = panel.get_by_label(f"threshold: {threshold}", exact=True)
            await expect(said).to_be_attached()
        found = await shown(panel)
        assert row["precision"] >= 0.8
        assert {name: found.get(name, "") for name in chosen} == chosen


MOVE = "(slider, to) => { slider.value = to; slider.dispatchEvent(new Event('input', {bubbles: true})); }"
RELEASE = "slider => slider.dispatchEvent(new Event('change', {bubbles: true}))"


async def run_last(page: Page) -> None:
    """Run the last cell again."""
    prompt = page.locator(".jp-CodeCell .jp-InputPrompt").last
    before = await prompt.text_content()
    await page.locator(".jp-CodeCell .jp-InputArea-editor").last.click()
    await page.keyboard.press("Control+Enter")
    await expect(prompt).not_to_have_text(before)
    await expect(prompt).to_have_text(re.compile(r"\d"))


async def test_a_saved_page_is_live_without_network_and_runs_nothing_of_the_data(frame, tmp_path, open_page):
    """The numbers are those that Python counts; nothing is asked for but the file itself."""
    names = {"score": HOSTILE, "camera": f"{HOSTILE} camera"}
    hostile = frame.rename(columns=names).replace({f"{HOSTILE} camera": {"gate": HOSTILE}})
    sweep = secnb.sweep(hostile, score=HOSTILE, truth="truth", by=[f"{HOSTILE} camera", "hour"])
    path = secnb.save_panel(secnb.panel(sweep, current=0.5), tmp_path / "panel.html")
    assert path.stat().st_size < 2_500_000
    async with open_page("about:blank", "panel-saved") as page:
        asked, failed = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: failed.append(error))
        await page.context.set_offline(True)
        await page.goto(path.as_uri())
        panel = page.locator("#panel")
        await panel.locator("svg.marks").wait_for()
        await check_numbers(page, panel, sweep)
        menu = panel.locator("select").first
        await menu.select_option("-1")
        await menu.press("ArrowDown")
        assert await menu.input_value() == "0"
        assert await page.evaluate("window.hit") is None
        assert await page.locator("img").count() == 0
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert failed == []
