"""The reader process: how it starts, what it loads, how it ends, and that nothing of it stays."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from secnb.core import bulk_process
from secnb.core.bulk_process import BulkError, ReaderProcess, missing_part

pytest.importorskip("adbc_driver_sqlite", reason="the extra bulk is missing")
pytestmark = pytest.mark.skipif(missing_part("sqlite") is not None, reason="no file can be handed over")

ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n WHERE x < 0"
N_ROWS = 50_000
IS_LINUX = sys.platform.startswith("linux")
# Starts a process, says its pid, and lets it read without end.
KERNEL = """
import asyncio, sys
from secnb.core.bulk_process import ReaderProcess
async def main():
    process = await ReaderProcess.started()
    print(process.pid, flush=True)
    await process.read({request!r}, lambda schema: print)
asyncio.run(main())
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)")
        rows = ((i, f"row {i}" if i > 40_000 else None) for i in range(N_ROWS))
        database.executemany("INSERT INTO t VALUES (?, ?)", rows)
    return path


@pytest.fixture
async def process():
    started = await ReaderProcess.started()
    yield started
    await started.end()


def request(path: Path, query: str = "SELECT * FROM t", **more) -> dict:
    uri = f"file:{path}?mode=ro"
    asked = {"driver": "sqlite", "uri": uri, "before": [], "query": query, "params": None, "limit": None}
    return {**asked, "texts": [], "kinds": ["int", None] if query == "SELECT * FROM t" else ["int"], **more}


async def rows_of(process: ReaderProcess, asked: dict) -> list[tuple]:
    columns: list[list] = []

    def begin(schema):
        columns[:] = [[] for _ in schema]
        return lambda batch: [c.extend(v.to_pylist()) for c, v in zip(columns, batch.columns, strict=True)]

    await process.read(asked, begin)
    return list(zip(*columns, strict=True))


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def ends(pid: int) -> bool:
    """Return whether a process ends within some seconds."""
    for _ in range(500):
        if not is_alive(pid):
            return True
        time.sleep(0.01)
    return False


async def test_it_reads_a_table_and_types_a_column_that_begins_with_nulls(process, file):
    rows = await rows_of(process, request(file))
    assert (len(rows), rows[0], rows[-1]) == (N_ROWS, (0, None), (N_ROWS - 1, f"row {N_ROWS - 1}"))
    assert process.is_running


async def test_a_limit_cuts_and_says_so(process, file):
    seen = []
    cut = await process.read(request(file, limit=20_000), lambda _: lambda batch: seen.append(len(batch)))
    assert (cut, sum(seen)) == (True, 20_000)
    assert not await process.read(request(file, limit=N_ROWS), lambda _: lambda batch: None)


async def test_other_work_goes_on_while_a_batch_is_taken(process, file):
    """A large one takes seconds."""
    goes_on, seen = threading.Event(), []
    reading = asyncio.create_task(
        process.read(request(file), lambda _: lambda batch: seen.append(goes_on.wait(20)))
    )
    while not process.is_busy:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    goes_on.set()
    await reading
    assert set(seen) == {True}


async def test_a_failure_leaves_it_ready(process, file):
    with pytest.raises(BulkError, match="no such table"):
        await rows_of(process, request(file, "SELECT * FROM absent"))
    with pytest.raises(BulkError, match=r"readonly|syntax error"):
        await rows_of(process, request(file, "DELETE FROM t"))
    assert len(await rows_of(process, request(file))) == N_ROWS


def test_it_loads_neither_pandas_nor_sqlalchemy():
    code = "import secnb.core.bulk_child, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert not {"pandas", "sqlalchemy", "polars", "redis", "pydantic"} & set(loaded.stdout.split())


@pytest.mark.skipif(not IS_LINUX, reason="/proc is Linux's")
async def test_it_has_a_session_of_its_own_and_no_secret_in_sight(monkeypatch):
    """Stop sends SIGINT to the group of the kernel; what a process was started with can be seen by others."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://ann:topsecret@db/security")
    monkeypatch.setenv("REDIS_URL", "redis://:topsecret@cache")
    process = await ReaderProcess.started()
    assert os.getsid(process.pid) == process.pid
    uri = "host='127.0.0.1' port='1' password='topsecret' connect_timeout='1'"
    asked = {**request(Path("x")), "driver": "postgresql", "uri": uri}
    with pytest.raises(BulkError) as failed:
        await rows_of(process, asked)
    assert "topsecret" not in str(failed.value)
    for name in ("cmdline", "environ"):
        assert b"topsecret" not in Path(f"/proc/{process.pid}/{name}").read_bytes()
    await process.end()


@pytest.mark.skipif(not IS_LINUX, reason="/proc is Linux's")
async def test_a_read_that_is_given_up_ends_it(process, file):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await rows_of(process, request(file, ENDLESS))
    assert not is_alive(process.pid)
    assert not process.is_running
    with pytest.raises(BulkError, match="ended"):
        await rows_of(process, request(file))


async def test_a_kill_is_a_clear_error(process, file):
    reading = asyncio.create_task(rows_of(process, request(file, ENDLESS)))
    await asyncio.sleep(0.2)
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(BulkError, match="the reader process ended with signal 9"):
        await reading


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="no limit for another process")
@pytest.mark.parametrize("is_named", [False, True], ids=["memory", "unlinked file"])
async def test_a_full_disk_is_a_clear_error(process, file, monkeypatch, tmp_path, is_named):
    if is_named:
        monkeypatch.delattr(os, "memfd_create")
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (100_000, 100_000))
    with pytest.raises(BulkError, match="File too large"):
        await rows_of(process, request(file))
    assert [each.name for each in tmp_path.iterdir()] == ["x.db"]


def refused(name: str) -> int:
    raise PermissionError(1, "Operation not permitted")


@pytest.mark.parametrize("is_refused", [False, True], ids=["absent", "refused"])
async def test_an_unlinked_file_does_as_well(process, file, monkeypatch, is_refused):
    """Some systems have no memory that is a file, and some containers forbid it."""
    monkeypatch.setattr(os, "memfd_create", refused, raising=False)
    if not is_refused:
        monkeypatch.delattr(os, "memfd_create")
    assert len(await rows_of(process, request(file))) == N_ROWS


async def test_without_a_place_for_a_file_it_stays_ready(process, file, monkeypatch):
    with monkeypatch.context() as patched:
        patched.delattr(os, "memfd_create", raising=False)
        patched.setattr("tempfile.tempdir", "/nowhere")
        with pytest.raises(BulkError, match="no place for a temporary file: No such file or directory"):
            await rows_of(process, request(file))
    assert len(await rows_of(process, request(file))) == N_ROWS


@pytest.mark.skipif(not IS_LINUX, reason="/proc is Linux's")
async def test_one_that_does_not_notice_is_killed(process, file, monkeypatch):
    """As a process that stands still."""
    monkeypatch.setattr(bulk_process, "_END_S", 0.2)
    reading = asyncio.create_task(rows_of(process, request(file, ENDLESS)))
    await asyncio.sleep(0.1)
    os.kill(process.pid, signal.SIGSTOP)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert not is_alive(process.pid)


@pytest.mark.skipif(not IS_LINUX, reason="/proc is Linux's")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_a_kernel_that_is_killed(file, how):
    """While it reads."""
    code = KERNEL.format(request=request(file, ENDLESS))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as kernel:
        pid = int(kernel.stdout.readline())
        assert is_alive(pid)
        time.sleep(0.3)
        kernel.send_signal(how)
    assert ends(pid)


@pytest.mark.skipif(not IS_LINUX, reason="/proc is Linux's")
@pytest.mark.parametrize("is_cut", [False, True], ids=["reading", "amid a request"])
def test_it_ends_although_a_forked_child_holds_the_socket(file, is_cut):
    """The child goes on after the kernel was killed, be it while it read or while it asked."""
    fork = (
        "pid = os.fork()\n    if not pid: time.sleep(30); os._exit(0)\n    print(pid, flush=True)\n    await"
    )
    code = KERNEL.format(request=request(file, ENDLESS)).replace("await process.read", f"{fork} process.read")
    if is_cut:
        cut = "socket.send_fds(process._socket, [b'{'], [0]); time.sleep(30)"
        code = code.replace("print(pid, flush=True)", f"print(pid, flush=True); {cut}")
    code = "import os, socket, time\n" + code
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code], stdout=subprocess.PIPE, text=True
    ) as kernel:
        pid, forked = int(kernel.stdout.readline()), int(kernel.stdout.readline())
        time.sleep(0.2)
        kernel.kill()
        try:
            assert ends(pid)
        finally:
            os.kill(forked, signal.SIGKILL)


async def test_it_ends_when_nobody_refers_to_it():
    process = await ReaderProcess.started()
    pid = process.pid
    del process
    assert ends(pid) or not IS_LINUX


@pytest.mark.parametrize("name", ["pyarrow", "adbc_driver_manager", "adbc_driver_sqlite"])
def test_what_is_missing_is_said(monkeypatch, name):
    found = bulk_process.importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda each, *rest: None if each == name else found(each, *rest)
    )
    assert missing_part("sqlite") == f"{name} is not installed (extra bulk)"


async def test_one_that_does_not_come_up_is_a_clear_error(monkeypatch):
    monkeypatch.setattr(bulk_process, "_CHILD", "secnb.no_such_module")
    with pytest.raises(BulkError, match="the reader process ended with status 1"):
        await ReaderProcess.started()
