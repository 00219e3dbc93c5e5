"""A small deployment, and calls that run in threads."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path

import pytest

import secnb


@pytest.fixture
def make_database():
    """Return a function that writes a database with so many cameras, whose service is down."""

    def make(path: Path, n_cameras: int = 2, *, journal: str = "wal") -> Path:
        with sqlite3.connect(path) as connection:
            connection.execute(f"PRAGMA journal_mode = {journal}")
            connection.execute("CREATE TABLE cameras (id TEXT PRIMARY KEY, name TEXT)")
            cameras = [(f"c{n}",) for n in range(n_cameras)]
            connection.executemany("INSERT INTO cameras VALUES (?, '')", cameras)
        connection.close()
        return path

    return make


@pytest.fixture
def database(tmp_path, make_database):
    """Return a SQLite file with two cameras."""
    return make_database(tmp_path / "security.db")


@pytest.fixture
def site(database, redis_url):
    """Return a deployment over a SQLite file and the shared Redis server."""
    with secnb.connect(database_url=f"sqlite:///{database}", redis_url=redis_url) as opened:
        yield opened


@pytest.fixture
def running():
    """Return a function that waits for a call to run and returns its id."""

    def wait(site, *, progress: bool = False) -> int:
        for _ in range(500):
            found = site.inflight()
            if len(found) and (not progress or found["progress"].notna()[0]):
                return int(found["id"][0])
            time.sleep(0.02)
        pytest.fail("no call began within 10 s")

    return wait


@pytest.fixture
def in_thread():
    """Return a function that starts a call in a thread and returns what will hold its outcome."""
    threads = []

    def start(call, *args, **kwargs):
        outcome = []

        def work():
            try:
                outcome.append(call(*args, **kwargs))
            except BaseException as exc:  # noqa: BLE001 - handed to the test
                outcome.append(exc)

        threads.append(threading.Thread(target=work, daemon=True))
        threads[-1].start()
        return outcome, threads[-1]

    yield start
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
