"""JupyterLab itself, in headless Chromium, as an analyst meets it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from playwright.async_api import Page, async_playwright

ROOT = Path(__file__).parents[2]
LIMIT_MS = 60_000
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PANEL = ".jp-OutputArea-output:has(input[name=threshold])"
ERROR = ".jp-OutputArea-output[data-mime-type*=error]"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[str]:
    """Start `secnb lab` on a copy of the notebooks, with an empty home, and return its address."""
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    home = tmp_path / "home"
    home.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "LANG") if name in os.environ}
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "secnb.cli",
            "lab",
            "--no-browser",
            f"--port={port}",
            "--IdentityProvider.token=test",
        ],
        cwd=tmp_path,
        env={**kept, "HOME": str(home)},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/api?token=test", process)
        # Where the address leads is the first notebook.
        yield f"http://127.0.0.1:{port}/?token=test"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        if process.poll() is not None:
            pytest.fail(f"secnb lab ended with {process.returncode}")
        try:
            with urlopen(url, timeout=2):
                return
        except (URLError, OSError):
            time.sleep(0.2)
    pytest.fail("JupyterLab did not start within 60 s")


async def run_all(page: Page) -> None:
    """Choose Run > Run All Cells, and wait until every cell has a number."""
    # What is run before the kernel is there, JupyterLab may drop.
    await page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=LIMIT_MS)
    await page.get_by_role("menuitem", name="Run", exact=True).click()
    await page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    await page.locator(f"{PANEL}, {ERROR}").first.wait_for(timeout=LIMIT_MS)
    assert await page.locator(ERROR).all_inner_texts() == []
    await page.wait_for_function(
        "() => [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')]"
        ".every(prompt => /^\\[\\d+\\]:$/.test(prompt.textContent))",
        timeout=LIMIT_MS,
    )


async def shown(page: Page) -> dict[str, str]:
    """Return the numbers of the panel by name, as an analyst reads them."""
    labels = page.locator(f'{PANEL} text[aria-label*=": "]')
    found = [await each.get_attribute("aria-label") for each in await labels.all()]
    return {
        name: text.replace("\u2009", "") for name, _, text in (each.partition(": ") for each in found if each)
    }


async def test_quickstart_runs_and_the_slider_moves_the_numbers(lab, tmp_path):
    """No cell fails; the numbers follow the slider and are those that Python counts."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = await browser.new_page(viewport={"width": 1300, "height": 1100})
        try:
            await page.goto(lab, timeout=LIMIT_MS)
            await run_all(page)
            assert await page.locator(ERROR).count() == 0
            slider = page.locator(f"{PANEL} input[name=threshold]")
            await slider.scroll_into_view_if_needed()
            assert await slider.input_value() == "0.5"
            before = await shown(page)
            await slider.focus()
            for _ in range(20):
                await page.keyboard.press("ArrowRight")
            assert await slider.input_value() == "0.7"
            after = await shown(page)
        finally:
            if folder := os.environ.get("SECNB_SCREENSHOTS"):
                await page.screenshot(path=Path(folder) / "lab.png")
            await browser.close()
    assert (before["threshold"], after["threshold"]) == ("0.50", "0.70")
    assert int(after["fires"]) < int(before["fires"])
    precision, true, false = (after[name] for name in ("precision", "true alarms", "false alarms"))
    assert int(true) + int(false) == int(after["fires"])
    assert re.fullmatch(r"\d+\.\d%", precision)
    assert float(precision[:-1]) == pytest.approx(100 * int(true) / int(after["fires"]), abs=0.051)
