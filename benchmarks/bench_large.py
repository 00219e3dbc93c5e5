"""A table of ten million rows: what a read of it costs in memory, and what a cap costs in time.

Run with ``python benchmarks/bench_large.py [rows]``. The table (synthetic, about 80 bytes a row) is made in
a temporary folder and removed in the end. Each read runs in a process of its own, whose peak is then its own.
"""

from __future__ import annotations

import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import pandas as pd

import secnb
from secnb.errors import DegradedWarning

MAKE = """
CREATE TABLE cameras (id TEXT PRIMARY KEY, name TEXT);
CREATE TABLE detections (id INTEGER PRIMARY KEY, camera_id TEXT, file_path TEXT, detected_at DATETIME,
    object_type TEXT, confidence FLOAT, bbox_x INTEGER);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {n_rows})
    INSERT INTO detections SELECT i, 'camera_' || (i % 8), '/export/' || i || '.jpg',
        datetime(1767225600 + i / 4, 'unixepoch') || printf('.%06d', i % 4 * 250000), 'person',
        (i * 7919 % 1000) / 1000.0, CASE WHEN i % 5 THEN i % 640 END FROM n;
CREATE INDEX idx_detections_detected_at ON detections (detected_at);
"""
READS = {
    "site.sql(limit=10_000)": lambda site: site.sql("SELECT * FROM detections"),
    "site.sql(limit=10_000), ordered": lambda site: site.sql("SELECT * FROM detections ORDER BY confidence"),
    "site.detections(limit=10_000)": lambda site: site.detections(limit=10_000),
    "site.detections()": lambda site: site.detections(),
    "site.sql(limit=None)": lambda site: site.sql("SELECT * FROM detections", limit=None, timeout_s=None),
}


def main(n_rows: int) -> None:
    """Print one line per read."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "security.db"
        with sqlite3.connect(path) as database:
            database.executescript(MAKE.format(n_rows=n_rows))
        database.close()
        print(f"{n_rows:,} rows, {path.stat().st_size / 2**20:,.0f} MiB")
        for name in READS:
            subprocess.run([sys.executable, __file__, "--one", name, str(path)], check=True)


def read(name: str, path: str) -> None:
    """Print the seconds, the size of the frame, and how far memory rose above it at its peak."""
    warnings.simplefilter("ignore", DegradedWarning)
    with secnb.connect(database_url=f"sqlite:///{path}", redis_url="unix:///nowhere") as site:
        site.sql("SELECT * FROM detections LIMIT 10")
        before, started = peak(), time.perf_counter()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            frame = READS[name](site)
        seconds, rose = time.perf_counter() - started, peak() - before
    assert isinstance(frame, pd.DataFrame)
    size = frame.memory_usage(deep=True).sum() / 2**20
    said = str(caught[-1].message).splitlines()[0] if caught else f"{len(frame):,} rows"
    print(f"{name:<34} {seconds:7.1f} s  frame {size:7,.0f} MiB  peak +{rose:7,.0f} MiB  {said}", flush=True)


def peak() -> float:
    """Return the most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


if __name__ == "__main__":
    if "--one" in sys.argv:
        read(*sys.argv[2:])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000)
