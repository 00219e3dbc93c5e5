"""The passwords of the URLs stand in no output of a cell: tracebacks (Verbose too), repr, logs, attrs."""

from __future__ import annotations

import uuid

import pytest
import pytest_asyncio

from secnb.core.url import parse_database_url

pytestmark = pytest.mark.asyncio(loop_scope="module")

# A user name is shown; it tells that the URL was.
DATABASE_WORD, REDIS_WORD = "hidden-db-word", "hidden-redis-word"
DEAD = f"postgresql://ann:{DATABASE_WORD}@127.0.0.1:1/none"
DEAD_REDIS = f"redis://ann:{REDIS_WORD}@127.0.0.1:1/0"

SETUP = """
import logging, os, sys, warnings, secnb
# More than IPython shows by itself: every library's own log, in the output of the cell.
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, force=True)
%xmode Verbose
"""


@pytest.fixture(scope="module")
def postgres_database_url(postgres_server):
    """Return a URL with a password, which the server does not ask for."""
    name = f"test_{uuid.uuid4().hex}"
    postgres_server.psql(f"CREATE DATABASE {name};")
    url = parse_database_url(postgres_server.get_uri(database=name)).set(password=DATABASE_WORD)
    yield url.render_as_string(hide_password=False)
    postgres_server.psql(f"DROP DATABASE {name} WITH (FORCE);")


@pytest.fixture(scope="module")
def guarded_redis(start_redis_server):
    """Return a Redis server that asks for the password."""
    return start_redis_server("--requirepass", REDIS_WORD)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kernel(postgres_database_url, guarded_redis, start_kernel, tmp_path_factory):
    """Return a kernel with Verbose tracebacks and DEBUG logs whose environment holds the passwords."""
    urls = {
        "DATABASE_URL": postgres_database_url,
        "REDIS_URL": guarded_redis.url.replace("redis://", f"redis://:{REDIS_WORD}@"),
        "DEAD": DEAD,
        "DEAD_REDIS": DEAD_REDIS,
        "WRONG_REDIS": guarded_redis.url.replace("redis://", f"redis://:{REDIS_WORD}-wrong@"),
    }
    async with start_kernel(tmp_path_factory.mktemp("kernel"), **urls) as started:
        ready = await started.run(SETUP)
        assert ready.error is None, ready.traceback
        opened = await started.run("site = secnb.connect()")
        assert opened.error is None, opened.traceback
        assert_silent(opened)
        yield started


def assert_silent(cell) -> None:
    """Check that nothing that came back from a cell holds a password."""
    for word in (DATABASE_WORD, REDIS_WORD):
        assert word not in cell.text + cell.traceback + (cell.error or "") + str(cell.bundle)


CONNECTS = {
    "nothing answers": (
        "secnb.connect(database_url=os.getenv('DEAD'), redis_url=os.getenv('DEAD_REDIS'))",
        "UnreachableError",
    ),
    "nothing answers, by environment": (
        "with __import__('unittest.mock').mock.patch.dict(os.environ, "
        "DATABASE_URL=os.getenv('DEAD'), REDIS_URL=os.getenv('DEAD_REDIS')):\n    secnb.connect()",
        "UnreachableError",
    ),
    "a wrong password of Redis": (
        "secnb.connect(database_url=os.getenv('DEAD'), redis_url=os.getenv('WRONG_REDIS'))",
        "UnreachableError",
    ),
    "a database URL that cannot be read": (
        "secnb.connect(database_url=os.getenv('DEAD').replace(':1/', ':port/'))",
        "SettingsError",
    ),
    "an option that the driver refuses": (
        "secnb.connect(database_url=os.getenv('DEAD') + '?nope=1&sslmode=what')",
        "SettingsError",
    ),
    "a Redis URL that cannot be read": (
        "secnb.connect(redis_url=os.getenv('DEAD_REDIS').replace(':1/', ':port/'))",
        "SettingsError",
    ),
    "an option that redis-py refuses": (
        "secnb.connect(redis_url=os.getenv('DEAD_REDIS') + '?nope=1')",
        "SettingsError",
    ),
    "another scheme of Redis": (
        "secnb.connect(redis_url=os.getenv('DEAD_REDIS').replace('redis:', 'http:'))",
        "SettingsError",
    ),
    "another kind of database": (
        "secnb.connect(database_url=os.getenv('DEAD').replace('postgresql', 'mysql'))",
        "SettingsError",
    ),
    "a zone that is none": ("secnb.connect(timezone='Nowhere')", "SettingsError"),
    "a loop that is none": (
        "secnb.connect(database_url=os.getenv('DEAD'), loop='mine')",
        "BadInputError",
    ),
    "a loop of the wrong kind": (
        "import threading\n"
        "def elsewhere(): secnb.connect(redis_url=os.getenv('DEAD_REDIS'), loop='notebook')\n"
        "thread = threading.Thread(target=elsewhere); thread.start(); thread.join()\n"
        "raise RuntimeError('to look alike')",
        "RuntimeError",
    ),
}


@pytest.mark.parametrize(("code", "error"), CONNECTS.values(), ids=CONNECTS)
async def test_connect_that_fails_shows_no_password(kernel, code, error):
    """However deep in the drivers it failed."""
    cell = await kernel.run(code)
    assert (cell.error or "").startswith(error), cell.traceback
    assert_silent(cell)


CALLS = {
    "query": ("site.sql('SELECT nothing')", "QueryError"),
    "query, awaited": ("await site.sql.aio('SELECT nothing')", "QueryError"),
    "write": ("site.sql('DELETE FROM cameras')", "ReadOnlyError"),
    "timeout": ("site.sql('SELECT pg_sleep(5)', timeout_s=0.2)", "QueryTimeoutError"),
    "queue": ("site.peek('nothing')", "UnknownQueueError"),
    "queue, awaited": ("await site.peek.aio('nothing')", "UnknownQueueError"),
    "wrong arguments": ("site.peek()", "TypeError"),
    "cancel": ("site.cancel(0)", "UnknownCallError"),
}


@pytest.mark.parametrize(("code", "error"), CALLS.values(), ids=CALLS)
async def test_a_call_that_fails_shows_no_password(kernel, code, error):
    """In either face."""
    cell = await kernel.run(code)
    assert (cell.error or "").startswith(error), cell.traceback
    assert_silent(cell)


async def test_stop_shows_no_password(kernel):
    """A KeyboardInterrupt keeps its way through the bridge."""
    code = "print('begun', flush=True)\nsite.sql('SELECT pg_sleep(8)')"
    cell = await kernel.run(code, stop_when="begun")
    assert cell.error.startswith("KeyboardInterrupt")
    assert_silent(cell)


async def test_a_deployment_served_in_part_shows_no_password(kernel):
    """The warning that says so, and the call that needs the missing part."""
    cell = await kernel.run("part = secnb.connect(redis_url=os.getenv('DEAD_REDIS'))")
    assert "DegradedWarning" in cell.text
    assert_silent(cell)
    for code in ("part", "part.queues()", "await part.peek.aio('detection_queue')"):
        assert_silent(await kernel.run(code))
    cell = await kernel.run("part = secnb.connect(database_url=os.getenv('DEAD'))")
    assert "DegradedWarning" in cell.text
    assert_silent(cell)
    for code in ("part", "part.cameras()", "await part.sql.aio('SELECT 1')"):
        assert_silent(await kernel.run(code))


async def test_what_is_shown_when_all_is_well_holds_no_password(kernel):
    """Repr, str, the objects inside, health, attrs, and what the libraries log."""
    cell = await kernel.run(
        "print(site, repr(site), vars(site), site.bridge)\n"
        "for frame in (site.health(), site.settings(), site.queues(), site.inflight(),\n"
        "              site.sql('SELECT :word AS a', {'word': 1})):\n"
        "    print(frame.to_string(), frame.attrs)\n"
        "site.close()\n"
        "print('*' * 3)"
    )
    assert cell.error is None, cell.traceback
    assert "***" in cell.text.replace("***\n", "")
    assert "DEBUG" in (await kernel.run("import asyncio; logging.getLogger('secnb').debug('x')")).text
    assert_silent(cell)


async def test_a_queue_read_that_fails_shows_no_password(kernel, guarded_redis):
    """The server is gone; comes last, since it does not come back."""
    opened = await kernel.run("site = secnb.connect()")
    assert opened.error is None, opened.traceback
    guarded_redis.process.kill()
    guarded_redis.process.wait()
    for code in ("site.peek('detection_queue')", "await site.queues.aio()"):
        cell = await kernel.run(code)
        assert (cell.error or "").startswith("UnreachableError"), cell.traceback
        assert_silent(cell)
