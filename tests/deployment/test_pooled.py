"""A deployment whose PostgreSQL stands behind PgBouncer, which lends its sessions to others in between."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psycopg
import pytest
from sqlalchemy import make_url

import secnb
from secnb.errors import DegradedWarning, QueryTimeoutError, ReadOnlyError, UnreachableError

SERIES = "SELECT i, i::text AS name, TIMESTAMPTZ '2026-03-01 12:00+01' AS at FROM generate_series(1, {}) AS i"


@pytest.fixture(params=["session", "transaction"])
def pool_mode(request: pytest.FixtureRequest) -> str:
    """Return when a session is lent to the next client."""
    return str(request.param)


@pytest.fixture
def pooled_url(postgres_url: str, pool_mode: str) -> Iterator[str]:
    """Return the URL of a fresh database behind a PgBouncer of our own, which has two sessions."""
    binary = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if binary is None:
        pytest.skip("no pgbouncer on PATH")
    direct = make_url(postgres_url)
    with (
        tempfile.TemporaryDirectory(prefix="secnb-pgb-") as folder,
        socket.create_server(("127.0.0.1", 0)) as probe,
    ):
        port = probe.getsockname()[1]
        probe.close()
        settings = Path(folder) / "pgbouncer.ini"
        settings.write_text(
            f"[databases]\n{direct.database} = host={direct.query['host']} user={direct.username}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = any\npool_mode = {pool_mode}\ndefault_pool_size = 2\n"
        )
        Path(folder).chmod(0o755)
        # It refuses to run as root; whoever runs the server can reach it.
        owner = Path(direct.query["host"]).owner() if os.geteuid() == 0 else None
        process = subprocess.Popen(
            [binary, "--quiet", settings], stderr=subprocess.DEVNULL, user=owner, extra_groups=owner and []
        )
        try:
            _wait_for(port, process)
            yield f"postgresql://{direct.username}@127.0.0.1:{port}/{direct.database}"
        finally:
            process.terminate()
            process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        assert process.poll() is None, "pgbouncer did not start"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError("pgbouncer does not answer")


def test_rows_are_those_of_a_direct_connection(pooled_url, redis_url, postgres_url):
    """Several times, since each may get another session."""
    query = SERIES.format(5_000)
    with secnb.connect(database_url=postgres_url, redis_url=redis_url) as direct:
        expected = direct.sql(query, limit=None)
    with secnb.connect(database_url=pooled_url, redis_url=redis_url) as site:
        for _ in range(4):
            pd.testing.assert_frame_equal(site.sql(query, limit=None), expected)


def test_the_reader_process_reads_through_the_pool(pooled_url, redis_url, postgres_url):
    """As soon as it has started; until then the rows come without it."""
    query = SERIES.format(100_000)
    with secnb.connect(database_url=postgres_url, redis_url=redis_url) as direct:
        expected = direct.sql(query, limit=None)
    with secnb.connect(database_url=pooled_url, redis_url=redis_url) as site:
        while (frame := site.sql(query, limit=None)).attrs["path"] != "arrow":
            pd.testing.assert_frame_equal(frame, expected)
    pd.testing.assert_frame_equal(frame, expected)


def test_a_query_ends_on_the_server_and_the_next_one_works(pooled_url, redis_url, postgres_url):
    """The pool passes the cancellation on."""
    with (
        secnb.connect(database_url=pooled_url, redis_url=redis_url) as site,
        secnb.connect(database_url=postgres_url, redis_url=redis_url) as direct,
    ):
        with pytest.raises(QueryTimeoutError, match=r"stopped after 0\.5 s"):
            site.sql("SELECT pg_sleep(60)", timeout_s=0.5)
        asleep = "SELECT pid FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)' AND state = 'active'"
        assert direct.sql(asleep).empty
        assert site.sql("SELECT 1 AS one")["one"].tolist() == [1]


def test_what_would_write_is_refused(pooled_url, redis_url):
    """In whichever session it is."""
    with psycopg.connect(pooled_url) as service:
        service.execute("CREATE TABLE kept (a int)")
    with secnb.connect(database_url=pooled_url, redis_url=redis_url) as site:
        for _ in range(4):
            with pytest.raises(ReadOnlyError, match="does more than read"):
                site.sql("WITH made AS (INSERT INTO kept VALUES (1) RETURNING a) SELECT a FROM made")


def test_the_sessions_of_a_pool_are_as_they_were(pooled_url, redis_url):
    """The service that gets them next can write, and finds no setting of ours."""
    with secnb.connect(database_url=pooled_url, redis_url=redis_url) as site:
        site.sql("SELECT 1")
        site.sql(SERIES.format(100_000), limit=None)
        with pytest.raises(QueryTimeoutError, match="stopped after"):
            site.sql("SELECT pg_sleep(60)", timeout_s=0.2)
        services = [psycopg.connect(pooled_url) for _ in range(2)]
        for n, service in enumerate(services):
            found = service.execute("SELECT name FROM pg_settings WHERE source = 'session'").fetchall()
            assert set(found) <= {("client_encoding",)}
            service.execute(f"CREATE TABLE written_{n} (a int)")
        for service in services:
            service.commit()
            service.close()
        assert len(site.sql("SELECT relname FROM pg_class WHERE relname LIKE 'written_%'")) == 2


@pytest.mark.parametrize("pool_mode", ["statement"])
def test_a_pool_without_transactions_is_an_error(pooled_url, redis_url):
    """Nothing is read outside of a transaction that is READ ONLY."""
    with pytest.warns(DegradedWarning, match="transaction blocks not allowed"):
        site = secnb.connect(database_url=pooled_url, redis_url=redis_url)
    with site, pytest.raises(UnreachableError, match="transaction blocks not allowed"):
        site.sql("SELECT 1")
