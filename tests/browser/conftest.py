"""JupyterLab itself, in headless Chromium, as an analyst meets it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import nbformat
import pytest
from playwright.async_api import Page, async_playwright

ROOT = Path(__file__).parents[2]
LIMIT_MS = 60_000
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}}
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


class Lab:
    """A running JupyterLab over a copy of the notebooks.

    Attributes
    ----------
    folder : pathlib.Path
        Where the notebooks are.
    address : str
        Leads to the first notebook.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self._root = f"http://127.0.0.1:{port}/"
        self.address = f"{self._root}?token=test"
        self.api = f"{self._root}api?token=test"

    def page_of(self, notebook: str) -> str:
        """Return the address of a notebook by its file's name, in a workspace where no other is open."""
        name = Path(notebook).stem
        return f"{self._root}lab/workspaces/{name}/tree/{notebook}?token=test"

    def write(self, notebook: str, cells: list[str], outputs: list[object] | None = None) -> str:
        """Write a notebook, with outputs as if it had run elsewhere, and return its address."""
        made = [nbformat.v4.new_code_cell(code) for code in cells]
        for cell, output in zip(made, outputs or [], strict=False):
            data = format_display(output)
            cell.outputs = [nbformat.v4.new_output("execute_result", data=data, execution_count=1)]
        nbformat.write(nbformat.v4.new_notebook(cells=made, metadata=KERNEL), self.folder / notebook)
        return self.page_of(notebook)


def format_display(output: object) -> dict[str, object]:
    """Return what a kernel would store of a value, by MIME type."""
    if hasattr(output, "_repr_mimebundle_"):
        return output._repr_mimebundle_()
    return {"text/plain": repr(output), "text/html": output._repr_html_()}


@pytest.fixture(scope="session")
def start_lab(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., AbstractContextManager[Lab]]:
    """Return a function that starts `secnb lab` with an empty home, with more environment variables."""

    @contextmanager
    def start(**environment: str) -> Iterator[Lab]:
        root = tmp_path_factory.mktemp("lab")
        folder = root / "notebooks"
        shutil.copytree(ROOT / "notebooks", folder)
        home = root / "home"
        home.mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "LANG") if name in os.environ}
        command = (
            "-m",
            "secnb.cli",
            "lab",
            "--no-browser",
            f"--port={port}",
            "--IdentityProvider.token=test",
        )
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=root,
            env={**kept, "HOME": str(home), **environment},
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            started = Lab(folder, port)
            wait_for(started.api, process)
            yield started
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()

    return start


@pytest.fixture
def lab(start_lab: Callable[..., AbstractContextManager[Lab]]) -> Iterator[Lab]:
    """Return JupyterLab over a sandbox."""
    with start_lab() as started:
        yield started


@pytest.fixture(scope="module")
def bare_lab(start_lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Return JupyterLab over a deployment without anything, which opens at once, for all tests of a file."""
    path = tmp_path_factory.mktemp("bare") / "security.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE cameras (id TEXT PRIMARY KEY)")
    database.close()
    with start_lab(DATABASE_URL=f"sqlite:///{path}", REDIS_URL="redis://127.0.0.1:1") as started:
        yield started


@pytest.fixture
def open_page() -> Callable[[str, str], AbstractContextManager[Page]]:
    """Return a function that opens an address in Chromium, for an async with block.

    With the environment variable SECNB_SCREENSHOTS, what the page shows in the end is kept there.
    """
    if CHROMIUM is None:
        pytest.skip("no Chromium on PATH")

    @asynccontextmanager
    async def opened(address: str, name: str) -> AsyncIterator[Page]:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            page = await browser.new_page(viewport={"width": 1300, "height": 1100})
            try:
                await page.goto(address, timeout=LIMIT_MS)
                yield page
            finally:
                if folder := os.environ.get("SECNB_SCREENSHOTS"):
                    await page.screenshot(path=Path(folder) / f"{name}.png")
                await browser.close()

    return opened


@pytest.fixture
def run_all() -> Callable:
    """Return a function that runs all cells of the open notebook and waits until each has a number."""

    async def run(page: Page) -> None:
        # What is run before the kernel is there, JupyterLab may drop.
        await page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=LIMIT_MS)
        await page.get_by_role("menuitem", name="Run", exact=True).click()
        await page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        await page.wait_for_function(
            "() => [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')]"
            ".every(prompt => /^\\[\\d+\\]:$/.test(prompt.textContent))",
            timeout=LIMIT_MS,
        )

    return run


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
