"""The end of the interpreter, and forked children: nothing hangs, complains or harms others."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

LIMIT_S = 30
OPEN = """
import asyncio, multiprocessing, os, sys, threading, time
import secnb
site = secnb.connect()
site.cameras(), site.queues()
"""
IN_FLIGHT = """
def call(query):
    site.sql(query, timeout_s=None)
def listen():
    site.tail("detections", 60)
def start(work, *args):
    threading.Thread(target=work, args=args, daemon=True).start()
def running(n):
    while len(site.inflight()) < n: time.sleep(0.01)
    time.sleep(0.2)
"""
ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
SLOW = {"sqlite": ENDLESS, "postgres": "SELECT pg_sleep(60)"}


@pytest.fixture(params=["sqlite", "postgres"])
def urls(request, redis_url):
    """Return the environment that describes a deployment of each kind, and the kind."""
    if request.param == "sqlite":
        url = f"sqlite:///{request.getfixturevalue('database')}"
    else:
        url = request.getfixturevalue("postgres_url")
        server = request.getfixturevalue("postgres_server")
        name = url.partition("?")[0].rpartition("/")[2]
        server.psql(f"\\c {name}\nCREATE TABLE cameras (id text, name text);")
    return request.param, {**os.environ, "DATABASE_URL": url, "REDIS_URL": redis_url}


def run(code: str, environment: dict[str, str], *flags: str) -> subprocess.CompletedProcess[str]:
    """Run a script to its end."""
    return subprocess.run(
        [sys.executable, *flags, "-c", OPEN + code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )


def active_sessions(server) -> int:
    """Return how many sessions of ours are at work on the server."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(60)'"
    return int(server.psql(f"COPY ({query} AND pid <> pg_backend_pid()) TO STDOUT;"))


@pytest.mark.parametrize("flags", [(), ("-X", "dev")], ids=["plain", "dev"])
def test_exit_with_open_pools_is_silent(urls, flags):
    """No traceback, no warning, no wait; nobody has to close."""
    done = run("print('done')", urls[1], *flags)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


@pytest.mark.parametrize("flags", [(), ("-X", "dev")], ids=["plain", "dev"])
def test_exit_with_calls_in_flight_is_silent(urls, flags, request):
    """What a daemon thread waits for ends with the interpreter, on the server too."""
    kind, environment = urls
    code = f"{IN_FLIGHT}start(call, {SLOW[kind]!r}); start(listen); running(2); print('done')"
    done = run(code, environment, *flags)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
    if kind == "postgres":
        assert active_sessions(request.getfixturevalue("postgres_server")) == 0


def test_exit_out_of_a_loop_that_awaits_is_silent(urls):
    """An awaited call ends with its loop."""
    kind, environment = urls
    code = f"""
async def main():
    waiting = asyncio.create_task(site.sql.aio({SLOW[kind]!r}, timeout_s=None))
    await asyncio.sleep(0.3)
    print("done")
asyncio.run(main())
"""
    done = run(code, environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


CHILDREN = {
    "os.fork, sys.exit": """
pid = os.fork()
if pid == 0:
    sys.exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
""",
    "multiprocessing": """
child = multiprocessing.get_context("fork").Process(target=print, args=("child",), daemon=True)
child.start(); child.join(20)
print(child.exitcode)
""",
    "a child that collects its garbage": """
def collect():
    global site
    import gc
    del site
    gc.collect()
child = multiprocessing.get_context("fork").Process(target=collect)
child.start(); child.join(20)
print(child.exitcode)
""",
    "a child that calls, and opens its own": """
def call():
    for wrong in (site.cameras, site.inflight, site.close):
        try:
            wrong()
        except secnb.errors.BridgeError as exc:
            assert "forked child" in str(exc)
        else:
            raise SystemExit(3)
    with secnb.connect() as own:
        own.cameras(), own.queues()
child = multiprocessing.get_context("fork").Process(target=call)
child.start(); child.join(20)
print(child.exitcode)
""",
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("code", CHILDREN.values(), ids=CHILDREN)
def test_the_end_of_a_forked_child_does_not_harm_the_parent(urls, code):
    """The child shares the parent's sockets and its epoll object; the parent's connections go on to work."""
    # Python 3.12 and later warn of any fork while threads run.
    after = "site.cameras(), site.queues(); print('parent', len(site.inflight()))"
    done = run(code + after, urls[1], "-W", "ignore::DeprecationWarning")
    assert done.stdout.split()[-3:] == ["0", "parent", "0"], done.stdout + done.stderr
    assert (done.returncode, done.stderr) == (0, "")
