"""A real kernel, as JupyterLab starts one, and the notebooks of the project."""

from __future__ import annotations

import asyncio
import os
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
    result: str = ""
    bundle: dict[str, Any] = field(default_factory=dict)


class Kernel:
    """A running kernel that executes cells and can be stopped, as by JupyterLab's Stop."""

    def __init__(self, manager: AsyncKernelManager, client: AsyncKernelClient) -> None:
        self.manager = manager
        self.client = client

    async def run(self, code: str, *, stop_when: str | None = None) -> Cell:
        """Execute one cell; with `stop_when`, Stop is pressed as soon as it prints that text."""
        return await self.finish(self.client.execute(code), stop_when=stop_when)

    async def finish(self, request: str, *, stop_when: str | None = None) -> Cell:
        """Return what a request that was sent prints and raises until it is done."""
        cell = Cell()
        async with asyncio.timeout(LIMIT_S):
            while True:
                message = await self.client.get_iopub_msg(timeout=LIMIT_S)
                if message["parent_header"].get("msg_id") != request:
                    continue
                if take(message, cell):
                    return cell
                if stop_when is not None and stop_when in cell.text:
                    stop_when = None
                    await asyncio.sleep(0.5)
                    await self.manager.interrupt_kernel()


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
