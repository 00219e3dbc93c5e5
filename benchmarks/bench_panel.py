"""The panel in headless Chromium: size, first paint, one step of the slider, one change of a menu.

Run with ``python benchmarks/bench_panel.py [rows]``. 192 groups: 8 cameras by 24 hours, and 2 labels by
4 cameras by 24 hours, which have more sums over groups. Scores are synthetic: Beta(6, 2) where true,
Beta(2, 4) where false, prevalence 0.4; one unit in three is not labelled.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from playwright.async_api import Page, async_playwright

import secnb

N_ROWS = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SHAPES = {"8 cameras by 24 hours": (1, 8, 24), "2 labels by 4 cameras by 24 hours": (2, 4, 24)}

# The scripts are there already when the clock starts, as they are in JupyterLab.
EMBED = """async () => {
  const spec = JSON.parse(document.getElementById("spec").textContent);
  const at = document.createElement("div");
  document.querySelector("main").replaceChildren(at);
  const started = performance.now();
  const result = await vegaEmbed(at, spec);
  await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
  window.view = result.view;
  return performance.now() - started;
}"""
# From the input's event until the page is drawn anew; waiting for the next frame is not counted.
STEPS = """async ([selector, values, event]) => {
  const control = document.querySelector(selector), found = [];
  for (const value of values) {
    const started = performance.now();
    control.value = value;
    control.dispatchEvent(new Event(event, {bubbles: true}));
    await window.view.runAsync();
    document.body.getBoundingClientRect();
    found.push(performance.now() - started);
    await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
  }
  return found;
}"""


def sample(shape: tuple[int, ...]) -> secnb.ThresholdSweep:
    """Return a sweep of as many groups as the product of the shape."""
    generator = np.random.default_rng(0)
    is_true = generator.random(N_ROWS) < 0.4
    score = np.where(is_true, generator.beta(6, 2, N_ROWS), generator.beta(2, 4, N_ROWS))
    truth = pd.array(is_true, dtype="boolean")
    truth[generator.random(N_ROWS) < 1 / 3] = pd.NA
    seconds = generator.random(N_ROWS) * 30 * 86_400
    started_at = pd.Timestamp("2026-03-01T05:00Z") + pd.to_timedelta(seconds, unit="s")
    frame = pd.DataFrame({"score": score, "truth": truth, "started_at": started_at})
    names = ("object_type", "camera_id", "hour")
    for name, size in zip(names, shape, strict=True):
        frame[name] = generator.integers(0, size, N_ROWS)
    by = [name for name, size in zip(names, shape, strict=True) if size > 1]
    return secnb.sweep(frame, score="score", truth="truth", by=by)


async def measure(page: Page, path: Path) -> dict[str, list[float]]:
    """Return milliseconds of first paints, steps of the slider, and changes of a menu."""
    await page.goto(path.as_uri())
    await page.locator("svg.marks").wait_for()
    paints = [await page.evaluate(EMBED) for _ in range(5)]
    values = [f"{i / 100:.2f}" for i in range(20, 90)]
    steps = await page.evaluate(STEPS, ["input[name=threshold]", values, "input"])
    menus = await page.evaluate(STEPS, ["select", [str(n % 4) for n in range(12)], "change"])
    return {"first paint": paints, "slider step": steps[5:], "menu": menus[2:]}


async def main() -> None:
    """Print the size of each panel, and what Chromium takes for it."""
    warnings.simplefilter("ignore", secnb.SecnbWarning)
    launch: dict[str, Any] = {"executable_path": CHROMIUM, "args": ["--no-sandbox", "--disable-gpu"]}
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(**launch)
        page = await browser.new_page(viewport={"width": 1300, "height": 1100})
        for title, shape in SHAPES.items():
            sweep = sample(shape)
            started = time.perf_counter()
            panel = secnb.panel(sweep, current=0.5)
            seconds = time.perf_counter() - started
            size = len(json.dumps(panel.spec, separators=(",", ":")))
            print(f"{title}, {N_ROWS:,} rows: {size / 1e6:.2f} MB, made in {seconds:.2f} s")
            with tempfile.TemporaryDirectory() as folder:
                path = secnb.save_panel(panel, Path(folder) / "panel.html")
                print(f"  saved page {path.stat().st_size / 1e6:.2f} MB")
                for name, found in (await measure(page, path)).items():
                    p95 = sorted(found)[int(0.95 * len(found))]
                    print(f"  {name:<12} median {statistics.median(found):7.1f} ms, 95 % below {p95:7.1f} ms")
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
