"""Thousands of calls, in both faces, good and bad, leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from pathlib import Path

import pytest
import redis

import secnb
from secnb.errors import CallCancelledError, QueryError

N_CALLS = 1000
DESCRIPTORS = Path("/proc/self/fd")
ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"

pytestmark = pytest.mark.skipif(not DESCRIPTORS.is_dir(), reason="this system does not list descriptors")


def held() -> tuple[int, int]:
    """Return how many threads and descriptors this process has."""
    gc.collect()
    return threading.active_count(), len(list(DESCRIPTORS.iterdir()))


@pytest.fixture
def post(postgres_url, redis_url):
    """Return a deployment over PostgreSQL."""
    with secnb.connect(database_url=postgres_url, redis_url=redis_url) as opened:
        yield opened


def calls_of(kind: str, site) -> tuple:
    """Return the two faces of a short call."""
    if kind == "Redis":
        return site.peek, ("detection_queue", 1)
    return site.sql, ("SELECT 1 AS one",)


@pytest.mark.parametrize("kind", ["SQLite", "PostgreSQL", "Redis"])
def test_many_calls_leave_nothing_behind(kind, request, redis_url, postgres_server):
    """Neither a thread nor a descriptor, nor a connection at the server."""
    site = request.getfixturevalue("post" if kind == "PostgreSQL" else "site")
    call, arguments = calls_of(kind, site)
    owner = redis.Redis.from_url(redis_url)

    def n_connections() -> tuple[int, int]:
        sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name <> 'psql'"
        n_sessions = int(postgres_server.psql(f"COPY ({sessions}) TO STDOUT;"))
        return n_sessions, owner.info("clients")["connected_clients"]

    async def at_once(n: int) -> None:
        await asyncio.gather(*(call.aio(*arguments) for _ in range(n)))

    n_connections()
    # Pools fill up to what ten calls at once need, and keep that.
    asyncio.run(at_once(10))
    call(*arguments)
    before = *held(), *n_connections()
    for _ in range(N_CALLS):
        call(*arguments)
    for _ in range(N_CALLS // 10):
        asyncio.run(at_once(5))
    after = *held(), *n_connections()
    assert all(now <= then for now, then in zip(after, before, strict=True)), (before, after)
    assert len(site.inflight()) == 0
    owner.close()


def test_calls_that_fail_or_are_cancelled_leave_nothing_behind(site):
    """Errors and cancelled queries close their connections too."""
    before = held()
    for _ in range(100):
        with pytest.raises(QueryError):
            site.sql("SELECT nothing FROM cameras")

    async def cancel_one() -> None:
        task = asyncio.create_task(site.sql.aio(ENDLESS, timeout_s=None))
        while not len(site.inflight()):
            await asyncio.sleep(0.001)
        site.cancel(site.inflight()["id"][0])
        with pytest.raises(CallCancelledError):
            await task

    for _ in range(20):
        asyncio.run(cancel_one())
    # The thread of a cancelled query ends a moment after its call.
    for _ in range(200):
        if all(now <= then for now, then in zip(held(), before, strict=True)):
            return
        time.sleep(0.05)
    pytest.fail(f"{held()} threads and descriptors, {before} before")
