"""One history, stored as each of the three generations stores it: the same frames come out of all."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path

import asyncpg
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import secnb
from secnb import schema
from secnb.core.reader import DatabaseReader
from secnb.errors import BadInputError, DegradedWarning, UnknownCameraError, UnknownColumnError
from secnb.frames.events import read_events
from secnb.frames.feedback import read_feedback
from secnb.frames.generations import read_generation
from secnb.frames.gpu import read_gpu_stats
from secnb.frames.labelled import read_labelled_events
from secnb.frames.memberships import read_memberships
from secnb.frames.records import read_cameras, read_detections
from secnb.frames.wanted import Wanted

MB = 2**20

# What all have; a generation adds tables and columns, and stores some things its own way.
CAMERAS = {"id": "text PRIMARY KEY", "name": "text", "folder_path": "text", "status": "text"}
DETECTIONS = {
    "id": "integer PRIMARY KEY",
    "camera_id": "text",
    "file_path": "text",
    "detected_at": "timestamp",
    "object_type": "text",
    "confidence": "double precision",
    "bbox_x": "integer",
}
EVENTS = {
    "id": "integer PRIMARY KEY",
    "batch_id": "text",
    "camera_id": "text",
    "started_at": "timestamp",
    "ended_at": "timestamp",
    "risk_score": "integer",
    "risk_level": "text",
    "summary": "text",
    "reasoning": "text",
    "reviewed": "boolean",
    "notes": "text",
    "is_fast_path": "boolean",
}
FEEDBACK = {
    "id": "integer PRIMARY KEY",
    "event_id": "integer UNIQUE",
    "feedback_type": "text",
    "notes": "text",
    "expected_severity": "text",
    "created_at": "timestamp",
}
GPU_STATS = {
    "id": "integer PRIMARY KEY",
    "recorded_at": "timestamp",
    "gpu_utilization": "double precision",
    "memory_used": "bigint",
    "memory_total": "bigint",
    "temperature": "double precision",
    "inference_fps": "double precision",
}
PAIRS = {"event_id": "integer", "detection_id": "integer", "created_at": "timestamp"}
VERIFICATIONS = {
    "id": "integer PRIMARY KEY",
    "event_id": "integer",
    "verdict": "text",
    "latency_ms": "integer",
    "created_at": "timestamp",
}
EVENT_ROWS = """
INSERT INTO cameras (id, name) VALUES ('front', 'Front'), ('back', 'Back');
INSERT INTO detections (id, camera_id, object_type, confidence, detected_at) VALUES
    (1, 'front', 'person', 0.5, '2026-01-15 08:00:00'), (2, 'front', 'cat', 0.9, '2026-01-15 08:00:01'),
    (3, 'back', 'car', 0.6, '2026-01-15 09:00:00'), (4, 'back', 'person', 0.7, '2026-01-15 10:00:00'),
    (5, 'back', 'car', 0.7, '2026-01-15 10:00:01'), (6, 'front', 'dog', NULL, '2026-01-15 11:00:00'),
    (7, 'front', NULL, 0.4, '2026-01-15 11:00:01'), (8, 'front', 'cat', 0.8, '2026-01-15 12:00:00');
INSERT INTO events (id, batch_id, camera_id, started_at, risk_score, risk_level, summary) VALUES
    (1, 'a', 'front', '2026-01-15 08:00:00', 80, 'low', 'A cat'),
    (3, 'c', 'back', '2026-01-15 10:00:00', 10, 'high', 'A car'),
    (4, 'd', 'front', '2026-01-15 11:00:00', 50, 'medium', 'Nobody knows');
"""
MEMBERS = {1: [1, 2], 2: [3], 3: [4, 5], 4: [6, 7]}
FIRST = f"""
INSERT INTO events (id, batch_id, camera_id, started_at, risk_score, risk_level, summary) VALUES
    (2, 'b', 'back', '2026-01-15 09:00:00', 50, 'medium', '{schema.FAILED_SUMMARY}');
UPDATE events SET detection_ids = '["1", "2", "1"]' WHERE id = 1;
UPDATE events SET detection_ids = '[3]' WHERE id = 2;
UPDATE events SET detection_ids = '4,5' WHERE id = 3;
UPDATE events SET detection_ids = '[6, 7]' WHERE id = 4;
INSERT INTO gpu_stats VALUES (1, '2026-01-15 08:00:00', 50, {300 * MB}, {8192 * MB}, 60, 9.5);
INSERT INTO event_feedback (id, event_id, feedback_type, expected_severity, created_at) VALUES
    (1, 1, 'accurate', NULL, '2026-01-16 08:00:00'), (2, 3, 'missed_threat', 'high', '2026-01-16 09:00:00');
"""
# Soft deletes; the second event was there before the table of pairs was.
LATER = """
UPDATE cameras SET deleted_at = NULL;
INSERT INTO cameras (id, name, deleted_at) VALUES ('gone', 'Gone', '2026-01-15 12:00:00');
INSERT INTO events (id, batch_id, camera_id, started_at, risk_score, deleted_at) VALUES
    (9, 'x', 'front', '2026-01-15 12:00:00', 99, '2026-01-15 13:00:00');
INSERT INTO event_detections VALUES (1, 2), (1, 1), (3, 4), (3, 5), (4, 6), (4, 7), (9, 8);
INSERT INTO gpu_stats VALUES (1, '2026-01-15 08:00:00', 50, 300, 8192, 60, 9.5);
INSERT INTO event_feedback (id, event_id, feedback_type, expected_severity, created_at) VALUES
    (1, 1, 'correct', NULL, '2026-01-16 08:00:00'), (2, 3, 'missed_detection', 'high', '2026-01-16 09:00:00'),
    (3, 9, 'false_positive', NULL, '2026-01-16 10:00:00');
"""
POSTGRES = f"""
INSERT INTO events (id, batch_id, camera_id, started_at, risk_score, risk_level, reasoning, detection_ids)
    VALUES (2, 'b', 'back', '2026-01-15 09:00:00', 50, 'medium', '{schema.FAILED_REASONING}: timeout', '[3]');
"""
STREAMS = """
INSERT INTO events (id, batch_id, camera_id, started_at) VALUES (2, 'b', 'back', '2026-01-15 09:00:00');
INSERT INTO event_detections VALUES (2, 3);
INSERT INTO event_verifications (id, event_id, verdict, created_at) VALUES
    (1, 1, 'uncertain', '2026-01-15 08:10:00'), (2, 1, 'confirmed', '2026-01-15 08:20:00'),
    (3, 2, 'confirmed', '2026-01-15 09:10:00'), (4, 2, 'verification_failed', '2026-01-15 09:10:00'),
    (5, 3, 'rejected', '2026-01-15 10:10:00');
"""
DELETED = {"deleted_at": "timestamptz"}
ZONED = {"started_at": "timestamptz", "ended_at": "timestamptz"}
COMMON = {"cameras": CAMERAS, "detections": DETECTIONS, "events": EVENTS, "gpu_stats": GPU_STATS}
TABLES = {
    "sqlite": {
        **COMMON,
        "events": EVENTS | {"detection_ids": "text"},
        "event_feedback": FEEDBACK,
    },
    "postgres": {
        **COMMON,
        "cameras": CAMERAS | DELETED,
        "detections": DETECTIONS | {"detected_at": "timestamptz", "labels": "jsonb"},
        # As one version had it: naive times, and the ids still beside the table of pairs.
        "events": EVENTS | DELETED | {"detection_ids": "text"},
        "event_feedback": FEEDBACK,
        "event_detections": PAIRS,
    },
    "streams": {
        **COMMON,
        "cameras": CAMERAS | DELETED | {"rtsp_password": "text"},
        "detections": DETECTIONS | {"detected_at": "timestamptz", "track_id": "integer"},
        "events": EVENTS | DELETED | ZONED,
        "event_feedback": FEEDBACK | {"suggested_score": "integer", "actual_threat_level": "text"},
        "event_detections": PAIRS | {"created_at": "timestamptz"},
        "event_verifications": VERIFICATIONS,
    },
}
ROWS = {
    "sqlite": EVENT_ROWS + FIRST,
    "postgres": EVENT_ROWS + LATER + POSTGRES,
    "streams": EVENT_ROWS + LATER + STREAMS,
}
Read = Callable[[DatabaseReader, Wanted], Awaitable[pd.DataFrame]]
FRAMES: dict[str, tuple[Read, dict[str, str]]] = {
    "cameras": (lambda reader, _: read_cameras(reader), dict(schema.CAMERAS)),
    "detections": (read_detections, dict(schema.DETECTIONS)),
    "events": (read_events, dict(schema.EVENTS)),
    "feedback": (read_feedback, dict(schema.FEEDBACK)),
    "gpu_stats": (read_gpu_stats, dict(schema.GPU_STATS)),
    "memberships": (read_memberships, dict(schema.MEMBERSHIPS)),
    "labelled_events": (read_labelled_events, dict(schema.LABELLED_EVENTS)),
}


def created(tables: dict[str, dict[str, str]]) -> str:
    """Return the statements that create tables."""
    return "".join(
        f"CREATE TABLE {name} ({', '.join(f'{column} {kind}' for column, kind in columns.items())});\n"
        for name, columns in tables.items()
    )


def write_sqlite(path: Path, script: str) -> str:
    """Write a database, and return its URL."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(script)
    return f"sqlite:///{path}"


@pytest.fixture(scope="module")
def urls(postgres_server, tmp_path_factory) -> Iterator[dict[str, str]]:
    """Return the URL of the history by generation, as each stores it."""
    scripts = {generation: created(TABLES[generation]) + ROWS[generation] for generation in TABLES}
    urls = {"sqlite": write_sqlite(tmp_path_factory.mktemp("first") / "security.db", scripts["sqlite"])}
    names = {generation: f"test_{generation}_{uuid.uuid4().hex}" for generation in ("postgres", "streams")}
    for generation, name in names.items():
        postgres_server.psql(f"CREATE DATABASE {name};")
        urls[generation] = postgres_server.get_uri(database=name)
        asyncio.run(write_postgres(urls[generation], name, scripts[generation]))
    yield urls
    for name in names.values():
        postgres_server.psql(f"DROP DATABASE {name} WITH (FORCE);")


async def write_postgres(url: str, name: str, script: str) -> None:
    """Fill a database of a server that lives in New York."""
    connection = await asyncpg.connect(url)
    await connection.execute("SET TimeZone = 'UTC';" + script)
    await connection.execute(f"ALTER DATABASE {name} SET timezone = 'America/New_York'")
    await connection.close()


@pytest.fixture(params=list(TABLES))
async def stored(request, urls) -> AsyncIterator[tuple[str, DatabaseReader]]:
    """Return the name of a generation, and a reader of the history as it stores it."""
    reader = DatabaseReader(urls[request.param])
    yield request.param, reader
    await reader.close()


@pytest.fixture
def reader(stored) -> DatabaseReader:
    return stored[1]


async def test_the_generation_is_told_by_the_tables(stored):
    """No version is asked for."""
    assert await read_generation(stored[1]) == stored[0]


async def test_a_database_of_something_else_is_of_no_generation(tmp_path):
    """Nor is an empty one."""
    reader = DatabaseReader(write_sqlite(tmp_path / "songs.db", "CREATE TABLE songs (id integer)"))
    assert await read_generation(reader) is None
    await reader.close()


@pytest.mark.parametrize("name", list(FRAMES))
async def test_columns_and_dtypes_are_fixed(reader, name):
    """Then comes whatever else the generation has."""
    read, wanted = FRAMES[name]
    frame = await read(reader, Wanted())
    assert list(frame.columns[: len(wanted)]) == list(wanted)
    assert {each: str(frame[each].dtype) for each in wanted} == wanted
    json.dumps(frame.attrs)


async def test_cameras_that_are_marked_as_deleted_are_left_out(reader):
    """In the generations that mark them."""
    assert list((await read_cameras(reader))["camera_id"]) == ["back", "front"]


async def test_detections_are_the_same(reader):
    """Naive times and times with a zone are one."""
    frame = await read_detections(reader, Wanted())
    assert list(frame["detection_id"]) == list(range(1, 9))
    assert frame["detected_at"][7] == pd.Timestamp("2026-01-15 12:00", tz="UTC")


async def test_events_are_the_same(reader):
    """Without those marked as deleted; the level of now follows from the score, not from what is stored."""
    frame = await read_events(reader, Wanted())
    assert list(frame["event_id"]) == [1, 2, 3, 4]
    assert list(frame["started_at"].dt.hour) == [8, 9, 10, 11]
    assert list(frame["n_detections"]) == [2, 1, 2, 2]
    assert list(frame["is_failed"]) == [False, True, False, False]
    well = frame[~frame["is_failed"]]
    assert list(well["risk_level"]) == ["low", "high", "medium"]
    assert list(well["risk_level_now"]) == ["high", "low", "medium"]


async def test_only_the_newest_verdict_of_an_event_counts(stored):
    """Of two of one time the later row; a score of 50 is a score where a verifier stands by it."""
    generation, reader = stored
    frame = await read_events(reader, Wanted(columns=["verdict"]))
    expected = ["confirmed", "verification_failed", "rejected", "none"]
    assert list(frame["verdict"].fillna("none")) == (expected if generation == "streams" else ["none"] * 4)


async def test_memberships_are_the_same(reader):
    """Pairs, JSON of strings or integers, commas; once each, sorted, not of events that are deleted."""
    frame = await read_memberships(reader, Wanted())
    assert frame.groupby("event_id")["detection_id"].agg(list).to_dict() == MEMBERS
    back = await read_memberships(reader, Wanted("back", since="2026-01-15 09:30"))
    assert list(back["detection_id"]) == [4, 5]


async def test_feedback_is_the_same(reader):
    """In both vocabularies, which are kept as stored; not on events that are deleted."""
    frame = await read_feedback(reader, Wanted())
    assert list(frame["event_id"]) == [1, 3]
    assert list(frame["truth"]) == [True, True]
    assert list(frame["is_missed"]) == [False, True]
    assert list(frame["expected_severity"].fillna("none")) == ["none", "high"]
    assert list((await read_feedback(reader, Wanted("back")))["event_id"]) == [3]
    assert list((await read_feedback(reader, Wanted(until="2026-01-16 09:00")))["event_id"]) == [1]
    with pytest.raises(UnknownCameraError, match="no camera 'bakc'"):
        await read_feedback(reader, Wanted("bakc"))


async def test_gpu_stats_are_the_same(stored):
    """Bytes, whichever unit is stored."""
    generation, reader = stored
    frame = await read_gpu_stats(reader, Wanted())
    assert (frame["memory_used"][0], frame["memory_total"][0]) == (300 * MB, 8192 * MB)
    assert frame.attrs["memory_unit"] == "bytes"
    assert frame.attrs["stored_memory_units"] == {"bytes" if generation == "sqlite" else "MB": 1}


async def test_labelled_events_are_the_same(reader):
    """Of equals the first; without a type; failed and deleted ones are left out."""
    frame = await read_labelled_events(reader, Wanted())
    expected = pd.DataFrame(
        {
            "event_id": [1, 3, 4],
            "camera_id": ["front", "back", "front"],
            "object_type": ["cat", "person", None],
            "score": [0.9, 0.7, 0.4],
            "risk_score": [80, 10, 50],
            "started_at": [f"2026-01-15T{hour}:00Z" for hour in ("08", "10", "11")],
            "truth": [True, True, None],
            "is_missed": [False, True, False],
            "verified_probability": [None] * 3,
        }
    ).astype(dict(schema.LABELLED_EVENTS))
    pd.testing.assert_frame_equal(frame, expected)
    assert (frame.attrs["n_failed"], frame.attrs["n_unscored"], frame.attrs["total"]) == (1, 0, 3)


def test_two_generations_are_compared_in_one_cell(urls, redis_url):
    """Each deployment has its own engine; nothing is global."""
    with (
        secnb.connect(database_url=urls["sqlite"], redis_url=redis_url) as old,
        secnb.connect(database_url=urls["streams"], redis_url=redis_url) as new,
    ):
        assert [site.health()["generation"][0] for site in (old, new)] == ["sqlite", "streams"]
        first, newest = (site.labelled_events(object_type=["cat", "person"]) for site in (old, new))
    assert (len(first), first.attrs["timezone"]) == (2, "UTC")
    pd.testing.assert_frame_equal(first, newest)


def test_defaults_are_those_of_the_generation(urls, redis_url, monkeypatch):
    """The newest has others than the first; services are found by their newer names."""
    monkeypatch.setenv("AI_GATEWAY_URL", "http://127.0.0.1:1/gateway")
    monkeypatch.setenv("RTDETR_URL", "http://127.0.0.1:1/older")
    with secnb.connect(database_url=urls["streams"], redis_url=redis_url) as site:
        found = site.settings().set_index("setting")
        assert "gateway" in site.health()["detail"][2]
    names = ["detection_confidence_threshold", "fast_path_object_types", "severity_low_max"]
    assert list(found.loc[names, "value"]) == [0.4, [], 29]
    assert found.loc[names, "is_in_force"].all()


OPTIONAL = ("event_feedback", "gpu_stats", "event_detections", "event_verifications", "detections")
# A SQLite file that has seen everything, so that any part of it can be left out.
EVERYTHING = TABLES["streams"] | {"events": TABLES["streams"]["events"] | {"detection_ids": "text"}}


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_no_missing_optional_column_or_table_breaks_a_frame(data):
    """Whatever the upgrades of a deployment left out: columns and dtypes are fixed, and rows come."""
    kept = {
        name: {
            column: kind
            for column, kind in columns.items()
            if column == "id" or data.draw(st.booleans(), label=f"{name}.{column}")
        }
        for name, columns in EVERYTHING.items()
        if name not in OPTIONAL or data.draw(st.booleans(), label=name)
    }
    kept = {name: columns for name, columns in kept.items() if columns}
    values = {name: ", ".join("1" for _ in columns) for name, columns in kept.items()}
    rows = "".join(f"INSERT INTO {name} VALUES ({each});" for name, each in values.items())
    with tempfile.TemporaryDirectory() as folder:
        url = write_sqlite(Path(folder) / "x.db", created(kept) + rows)
        frames = asyncio.run(read_all(url, [name for name in FRAMES if name in kept or name not in COMMON]))
    for name, frame in frames.items():
        wanted = FRAMES[name][1]
        assert list(frame.columns[: len(wanted)]) == list(wanted)
        assert {each: str(frame[each].dtype) for each in wanted} == wanted
        assert len(frame) <= 1


async def read_all(url: str, names: list[str]) -> dict[str, pd.DataFrame]:
    """Return frames of one database by their names."""
    reader = DatabaseReader(url)
    try:
        return {name: await FRAMES[name][0](reader, Wanted()) for name in names}
    finally:
        await reader.close()


async def test_a_deployment_without_feedback_says_so(tmp_path):
    """A real first generation has no such table: that is not "nobody said anything"."""
    tables = {name: columns for name, columns in TABLES["sqlite"].items() if name in ("cameras", "events")}
    rows = "INSERT INTO events (id, camera_id, risk_score) VALUES (1, 'front', 70)"
    reader = DatabaseReader(write_sqlite(tmp_path / "x.db", created(tables) + rows))
    feedback, gpu_stats = await read_feedback(reader, Wanted()), await read_gpu_stats(reader, Wanted())
    assert feedback.attrs["missing_tables"] == ["event_feedback"] == [feedback.attrs["table"]]
    assert gpu_stats.attrs["missing_tables"] == ["gpu_stats"]
    labelled = await read_labelled_events(reader, Wanted())
    assert labelled.attrs["missing_tables"] == ["event_feedback"]
    assert labelled["truth"].isna().all()
    assert (len(labelled), len(feedback)) == (1, 0)
    with pytest.raises(UnknownColumnError, match="no column 'truht'"):
        await read_feedback(reader, Wanted(columns=["truht"]))
    await reader.close()


@pytest.mark.parametrize("limit", [1, 2])
def test_helpers_take_the_conditions_of_the_others(tmp_path, limit):
    """A deployment without Redis serves them too."""
    url = write_sqlite(tmp_path / "x.db", created(TABLES["sqlite"]) + ROWS["sqlite"])
    with pytest.warns(DegradedWarning):
        site = secnb.connect(database_url=url, redis_url="redis://127.0.0.1:1/0")
    with site:
        given = {"since": "2026-01-15 09:00", "until": "2026-01-15 11:00"}
        assert list(site.memberships(camera_id="back", **given)["detection_id"]) == [3, 4, 5]
        assert list(site.labelled_events(columns=["score", "event_id"], **given)["score"]) == [0.7]
        assert len(site.feedback(since="2026-01-16", limit=2)) == 2
        with pytest.raises(BadInputError, match=r"labels is .*Allowed: a LabelStore"):
            site.labelled_events(labels="labels.sqlite")
        assert list(site.gpu_stats(until="2026-01-16", limit=limit, columns="memory_used").columns) == [
            "memory_used"
        ]
