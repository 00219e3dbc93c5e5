"""Queries and queues against what analysts use today: pandas read_sql, and LRANGE with json.loads.

Run with ``python benchmarks/bench_reading.py [rows]``; figures depend on the machine, ratios less so.
"""

from __future__ import annotations

import json
import random
import sqlite3
import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import redis
from sidebyside import compare
from sqlalchemy import create_engine

import secnb
from secnb.core.models import Base

N_ROWS = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
QUERY = (
    "SELECT id, camera_id, file_path, file_type, detected_at, object_type, confidence, bbox_x, bbox_width, "
    "bbox_height FROM detections"
)


def main() -> None:
    """Print one line per comparison."""
    with tempfile.TemporaryDirectory() as folder:
        queries(Path(folder) / "security.db")
    for poison in (0.0, 0.01):
        messages(poison)


def queries(path: Path) -> None:
    """Read all rows of a SQLite table as a frame with typed times."""
    fill(path)
    engine = create_engine(f"sqlite:///{path}")
    times = {"detected_at": {"utc": True, "format": "ISO8601"}}
    with secnb.connect(database_url=f"sqlite:///{path}", redis_url="unix:///nowhere") as site:
        compare(
            f"site.sql, SQLite, {N_ROWS:,} rows of 10 columns, against pandas read_sql",
            ours=lambda: site.sql(QUERY, limit=None),
            peer=lambda: pd.read_sql(QUERY, engine, parse_dates=times),
        )


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


def messages(poison: float) -> None:
    """Read a whole queue as a frame; the peer leaves times as text and drops what it cannot parse."""
    with secnb.sandbox() as site, redis.Redis.from_url(site.redis_url) as client:
        push(client, poison)
        compare(
            f"site.peek(n=None), {N_ROWS:,} messages, {poison:.0%} poison, against LRANGE + json.loads",
            ours=lambda: site.peek("detection_queue", n=None),
            peer=lambda: pd.DataFrame(parse(client.lrange("detection_queue", 0, -1))),
        )


def push(client: redis.Redis, poison: float) -> None:
    """Fill the queue; a share of its messages is cut off."""
    generator = random.Random(1)
    client.delete("detection_queue")
    for start in range(0, N_ROWS, 10_000):
        page = [message(n, is_cut=generator.random() < poison) for n in range(start, start + 10_000)]
        client.rpush("detection_queue", *page)


def message(n: int, *, is_cut: bool) -> str:
    """Return one job of the detection queue."""
    at = datetime(2026, 3, 14, 20) + timedelta(milliseconds=n)  # noqa: DTZ001
    fields = {
        "camera_id": f"camera_{n % 8}",
        "file_path": f"/export/foscam/{n}.jpg",
        "timestamp": at.isoformat(),
    }
    text = json.dumps(fields)
    return text[:-3] if is_cut else text


def parse(raws: list[bytes]) -> list[Any]:
    """Parse what can be parsed."""
    values = []
    for raw in raws:
        try:
            values.append(json.loads(raw))
        except ValueError:
            continue
    return values


if __name__ == "__main__":
    main()
