"""Whatever runs, and however it was called: Stop ends it, on the server too; and the list of what runs."""

from __future__ import annotations

import uuid

import pytest
import pytest_asyncio

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECONDS = 8
COUNT = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1e9) SELECT max(x) FROM n"
OPERATIONS = {
    "SQLite": f"lite.sql{{aio}}({COUNT!r}, timeout_s=None)",
    "PostgreSQL asleep": f"post.sql{{aio}}('SELECT pg_sleep({SECONDS})')",
    "PostgreSQL at work": "post.sql{aio}('SELECT count(*) FROM generate_series(1, 1000000000)')",
    "Redis": f"lite.tail{{aio}}('detections', seconds={SECONDS})",
}
FACES = {
    "sync": "began()\n{sync}",
    "sync in a cell that awaits": "await asyncio.sleep(0)\nbegan()\n{sync}",
    "await": "began()\nawait {aio}",
}
SETUP = """
import asyncio, os, time, threading, secnb
lite = secnb.connect()
post = secnb.connect(database_url=os.environ["POSTGRES_URL"])
def began():
    global started
    started = time.monotonic()
    print("begun", flush=True)
"""


@pytest.fixture(scope="module")
def postgres_database(postgres_server):
    """Return the name of a database that the tests of this module share."""
    name = f"test_{uuid.uuid4().hex}"
    postgres_server.psql(f"CREATE DATABASE {name};")
    yield name
    postgres_server.psql(f"DROP DATABASE {name} WITH (FORCE);")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kernel(sample, postgres_server, postgres_database, start_kernel, tmp_path_factory):
    """Return one kernel for all tests of this module, with a deployment of each kind."""
    urls = {
        "DATABASE_URL": sample.database_url,
        "REDIS_URL": sample.redis_url,
        "POSTGRES_URL": postgres_server.get_uri(database=postgres_database),
    }
    async with start_kernel(tmp_path_factory.mktemp("kernel"), **urls) as started:
        ready = await started.run(SETUP)
        assert ready.error is None, ready.traceback
        yield started


@pytest.fixture
def n_active(postgres_server, postgres_database):
    """Return a function that counts the sessions of the kernel that are at work on the server."""

    def count() -> int:
        return int(
            postgres_server.psql(
                "COPY (SELECT count(*) FROM pg_stat_activity WHERE state <> 'idle' "
                f"AND datname = '{postgres_database}') TO STDOUT;"
            )
        )

    return count


def cell_of(operation: str, face: str) -> str:
    """Return a cell that runs an operation in one of the three ways to call."""
    call = OPERATIONS[operation]
    return FACES[face].format(sync=call.format(aio=""), aio=call.format(aio=".aio"))


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("face", FACES)
async def test_stop_ends_it_everywhere_and_the_next_call_works(kernel, n_active, operation, face):
    """The operation has not run to its end, its server and this process are idle again."""
    stopped = await kernel.run(cell_of(operation, face), stop_when="begun")
    assert (stopped.error or "").startswith("KeyboardInterrupt"), stopped.traceback
    after = await kernel.run(
        f"print(time.monotonic() - started < {SECONDS / 2}, len(lite.inflight()) + len(post.inflight()))\n"
        "used = time.process_time(); time.sleep(0.3); print(time.process_time() - used < 0.15)\n"
        "print(len(lite.cameras()), post.sql('SELECT 1 AS one')['one'][0], len(lite.queues()) > 0)"
    )
    assert after.text.split() == ["True", "0", "True", "6", "1", "True"], after.traceback
    assert n_active() == 0


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("face", FACES)
async def test_a_subshell_sees_and_cancels_what_blocks_the_cell(kernel, n_active, operation, face):
    """SIGINT never reaches it there, so it is told by its number."""
    subshell = await kernel.open_subshell()
    request = kernel.client.execute(cell_of(operation, face))
    await kernel.printed(request, "begun")
    name = "lite" if "lite" in OPERATIONS[operation] else "post"
    seen = await kernel.run_beside(
        subshell,
        f"while not len({name}.inflight()): time.sleep(0.02)\n"
        f"found = {name}.inflight()\n"
        f"print(*found['call'], found['seconds'][0] < {SECONDS})\n"
        f"{name}.cancel(found['id'][0])\n"
        f"print(len({name}.inflight()))",
    )
    assert seen.text.split() == ["tail" if operation == "Redis" else "sql", "True", "0"], seen.traceback
    cancelled = await kernel.finish(request)
    assert (cancelled.error or "").startswith("CallCancelledError"), cancelled.traceback
    assert "Hint" in cancelled.error
    assert n_active() == 0
    after = await kernel.run("print(len(lite.cameras()), post.sql('SELECT 1 AS one')['one'][0])")
    assert after.text.split() == ["6", "1"], after.traceback


async def test_a_subshell_calls_while_the_cell_is_blocked(kernel):
    """The deployment answers others while one call is at work."""
    subshell = await kernel.open_subshell()
    request = kernel.client.execute(cell_of("PostgreSQL asleep", "sync"))
    await kernel.printed(request, "begun")
    beside = await kernel.run_beside(
        subshell, "print(len(lite.cameras()), post.sql('SELECT 1 AS one')['one'][0])"
    )
    assert beside.text.split() == ["6", "1"], beside.traceback
    await kernel.manager.interrupt_kernel()
    assert (await kernel.finish(request)).error.startswith("KeyboardInterrupt")


async def test_an_unknown_call_is_an_error_with_those_that_run(kernel):
    """A call that has just ended is none."""
    cell = await kernel.run("lite.cancel(10**6)")
    assert cell.error.startswith("UnknownCallError: There is no running call 1000000. Known: none.")


async def test_a_call_from_a_thread_goes_on_when_the_cell_is_stopped(kernel):
    """Stop ends what blocks the cell, not what somebody else waits for."""
    cell = await kernel.run(
        "results = []\n"
        "def call(): results.append(post.sql('SELECT pg_sleep(1.3), 5 AS five'))\n"
        "work = threading.Thread(target=call)\n"
        "work.start()\n"
        "began()\n"
        "post.sql('SELECT pg_sleep(60)', timeout_s=None)",
        stop_when="begun",
    )
    assert cell.error.startswith("KeyboardInterrupt")
    joined = await kernel.run("work.join(); print(results[0]['five'][0])")
    assert joined.text.strip() == "5", joined.traceback
