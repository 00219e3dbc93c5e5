"""A real kernel, as JupyterLab starts one, and the notebooks of the project."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.asynchronous import AsyncKernelClient
from jupyter_client.manager import AsyncKernelManager

import secnb
from secnb.sample import Sandbox

LIMIT_S = 60


@dataclass
class Cell:
    """What came back from one executed cell."""

    text: str = ""
    error: str | None = None
    traceback: str = ""
    result: str = ""
    is_done: bool = False
    bundle: dict[str, Any] = field(default_factory=dict)


class Kernel:
    """A running kernel that executes cells and can be stopped, as by JupyterLab's Stop."""

    def __init__(self, manager: AsyncKernelManager, client: AsyncKernelClient) -> None:
        self.manager = manager
        self.client = client
        # Cells may run at the same time, in a subshell; their messages come in one stream.
        self._cells: defaultdict[str, Cell] = defaultdict(Cell)

    async def run(self, code: str, *, stop_when: str | None = None) -> Cell:
        """Execute one cell; with `stop_when`, Stop is pressed as soon as it prints that text."""
        request = self.client.execute(code)
        if stop_when is not None:
            await self.printed(request, stop_when)
            await asyncio.sleep(0.5)
            await self.manager.interrupt_kernel()
        return await self.finish(request)

    async def printed(self, request: str, text: str) -> None:
        """Wait until a request has printed a text, or is done."""
        await self._read_until(lambda: text in self._cells[request].text or self._cells[request].is_done)

    def text_of(self, request: str) -> str:
        """Return what a request has printed so far; a task that it started may print after it is done."""
        return self._cells[request].text

    async def finish(self, request: str) -> Cell:
        """Return what a request that was sent prints and raises until it is done."""
        await self._read_until(lambda: self._cells[request].is_done)
        return self._cells.pop(request)

    async def open_subshell(self) -> str:
        """Return the id of a new subshell, as JupyterLab's subshell console has."""
        message = self.client.session.msg("create_subshell_request")
        self.client.control_channel.send(message)
        async with asyncio.timeout(LIMIT_S):
            while True:
                reply = await self.client.control_channel.get_msg(timeout=LIMIT_S)
                if reply["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                    return str(reply["content"]["subshell_id"])

    async def run_beside(self, subshell: str, code: str) -> Cell:
        """Execute one cell in a subshell."""
        content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
        message = self.client.session.msg("execute_request", content)
        message["header"]["subshell_id"] = subshell
        self.client.shell_channel.send(message)
        return await self.finish(message["header"]["msg_id"])

    async def _read_until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not holds():
                message = await self.client.get_iopub_msg(timeout=LIMIT_S)
                cell = self._cells[message["parent_header"].get("msg_id", "")]
                cell.is_done = take(message, cell)


def take(message: dict[str, Any], cell: Cell) -> bool:
    """Add one message of a kernel to a cell, and return whether it was the last."""
    content, kind = message["content"], message["msg_type"]
    if kind == "stream":
        cell.text += content["text"]
    elif kind in ("execute_result", "display_data"):
        cell.bundle = content["data"]
        cell.result = content["data"].get("text/plain", "")
    elif kind == "error":
        cell.error = f"{content['ename']}: {content['evalue']}"
        cell.traceback = "\n".join(content["traceback"])
    return bool(kind == "status" and content["execution_state"] == "idle")


@asynccontextmanager
async def running_kernel(folder: Path, **environment: str) -> AsyncIterator[Kernel]:
    """Start a kernel in `folder` with more environment variables, and end it."""
    manager = AsyncKernelManager(kernel_name="python3")
    await manager.start_kernel(cwd=str(folder), env={**os.environ, **environment})
    client = manager.client()
    client.start_channels()
    try:
        await client.wait_for_ready(timeout=LIMIT_S)
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        await manager.shutdown_kernel(now=True)
        manager.context.destroy()


@pytest.fixture(scope="module")
def sample() -> Iterator[Sandbox]:
    """Return a sandbox that the tests of a module share."""
    with secnb.sandbox(ends_at="2026-03-15 18:00") as site:
        yield site


@pytest.fixture
async def kernel(sample: Sandbox, tmp_path: Path) -> AsyncIterator[Kernel]:
    """Return a kernel whose environment describes the sandbox, with `site` connected."""
    urls = {"DATABASE_URL": sample.database_url, "REDIS_URL": sample.redis_url}
    async with running_kernel(tmp_path, **urls) as started:
        ready = await started.run("import secnb, asyncio, time, signal\nsite = secnb.connect()")
        assert ready.error is None
        yield started


@pytest.fixture(scope="session")
def start_kernel() -> Callable[..., Any]:
    """Return a function that starts a kernel for an async with block."""
    return running_kernel
