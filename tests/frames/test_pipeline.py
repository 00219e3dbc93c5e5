"""The pipeline: what is stuck is told from what is slow, idle or not known; what is down is a row."""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
import redis
from sqlalchemy import NullPool, insert
from sqlalchemy.ext.asyncio import create_async_engine

import secnb
from secnb.core.models import Base, Camera, Detection
from secnb.core.url import parse_database_url
from secnb.errors import DegradedWarning
from secnb.frames.stages import (
    Open,
    Recorded,
    Waiting,
    batching_stage,
    queue_stage,
    storage_stage,
    worker_stage,
)
from secnb.schema import PIPELINE, STAGES

NOW = datetime(2026, 3, 15, 18, tzinfo=UTC)


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def images(depth: int | None, minutes: float | None = None, **more: object) -> Waiting:
    return Waiting("images", depth, None if minutes is None else ago(minutes), **more)


@pytest.mark.parametrize(
    ("incident", "status"),
    [
        (None, {}),
        ("stuck_reasoner", {"analysis_queue": "slow", "reasoner": "stuck"}),
        ("slow_detector", {"detection_queue": "slow", "detector": "slow"}),
        ("poison", {"detection_queue": "poisoned"}),
        ("silent_camera", {"cameras": "silent"}),
    ],
)
def test_a_sandbox_shows_its_incident_and_nothing_else(incident, status):
    with secnb.sandbox(ends_at=NOW, incident=incident) as site:
        frame = site.pipeline()
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == dict(PIPELINE)
    assert tuple(frame["stage"]) == STAGES
    assert dict(zip(frame["stage"], frame["status"], strict=True)) == dict.fromkeys(STAGES, "ok") | status
    assert pd.Timestamp(frame.attrs["as_of"]) == NOW


@pytest.mark.parametrize(
    ("generation", "incident", "stage"),
    [
        ("streams", "poison", "detection_queue"),
        ("postgres", "stuck_reasoner", "reasoner"),
        ("streams", "silent_camera", "cameras"),
    ],
)
def test_later_generations_show_an_incident_too(generation, incident, stage):
    """Streams keep what was acknowledged; only what waits is looked at."""
    with secnb.sandbox(ends_at=NOW, incident=incident, generation=generation) as site:
        frame = site.pipeline().set_index("stage")
    assert frame.loc[stage, "status"] in ("poisoned", "stuck", "silent")
    assert (frame.drop(["analysis_queue", stage])["status"] == "ok").all()


def test_the_last_hour_is_that_hour_whatever_the_form_of_times():
    """As text, T sorts after a space: all of the day would count."""
    with secnb.sandbox(ends_at=NOW) as site:
        hourly = site.pipeline()["out_per_hour"].dropna().tolist()
        with contextlib.closing(sqlite3.connect(site.database_url.partition("///")[2])) as database:
            for table, column in (("detections", "detected_at"), ("events", "started_at")):
                database.execute(f"UPDATE {table} SET {column} = replace({column}, ' ', 'T')")
            database.commit()
        assert site.pipeline()["out_per_hour"].dropna().tolist() == hourly
    assert max(hourly) > 0


@pytest.mark.parametrize("hour", range(0, 24, 4))
def test_a_stuck_reasoner_is_found_at_any_hour(hour):
    with secnb.sandbox(ends_at=NOW.replace(hour=hour), incident="stuck_reasoner") as site:
        assert site.pipeline().attrs["summary"].startswith("reasoner is stuck: ")


@pytest.mark.parametrize(
    ("waiting", "last", "status"),
    [
        (images(0), ago(1), "ok"),
        (images(9, 1), ago(1), "ok"),
        (images(0), ago(600), "unknown"),
        (images(0), None, "unknown"),
        (images(9, 12), ago(1), "slow"),
        (images(9, 60), ago(1), "slow"),
        (images(9, 60), ago(16), "stuck"),
        (images(9, 60), None, "stuck"),
        # Nobody knows for how long: a stream that no group reads, messages without a time.
        (images(9), ago(600), "unknown"),
        (images(None, 60), ago(600), "stuck"),
        (images(None, error="no Redis"), ago(1), "ok"),
    ],
)
def test_a_worker_is_judged_by_what_waits_and_what_came_out(waiting, last, status):
    assert worker_stage(waiting, Recorded("detections", last, 0), None, NOW)["status"] == status


@pytest.mark.parametrize(
    ("waiting", "status"),
    [
        (images(0), "ok"),
        (images(9, 1, n_unreadable=1, n_looked=2), "ok"),
        (images(9, 1, n_unreadable=5, n_looked=9), "poisoned"),
        (images(100, 1, n_unreadable=5, n_looked=100), "ok"),
        (images(9, 11), "slow"),
        (images(None, 1), "unknown"),
        (images(9), "unknown"),
        (images(None, error="no Redis"), "unknown"),
    ],
)
def test_a_queue_is_judged_by_what_waits_in_it(waiting, status):
    assert queue_stage(waiting, NOW)["status"] == status


def test_a_batch_that_nothing_closes_is_stuck():
    found = Open((("porch", ago(1), -20.0), ("gate", ago(9), 400.0)))
    row = batching_stage(found, NOW)
    assert (row["status"], row["depth"], row["oldest_at"]) == ("stuck", 2, ago(9))
    assert "the batch of gate should have closed 7 min ago" in row["why"]


def test_one_is_one():
    assert queue_stage(images(1, 1), NOW)["why"] == "1 image waits, the oldest for 60 s"
    assert queue_stage(images(2, 1), NOW)["why"] == "2 images wait, the oldest for 60 s"


def test_no_record_of_the_last_hour_is_no_proof():
    parts = {"detections": Recorded("detections", ago(90), 0), "events": Recorded("events", None, 0)}
    row = storage_stage(parts, NOW)
    assert (row["status"], row["last_at"], row["out_per_hour"]) == ("unknown", ago(90), 0)


def test_without_redis_the_database_is_still_told(sqlite_file):
    with pytest.warns(DegradedWarning):
        site = secnb.connect(database_url=sqlite_file, redis_url="redis://127.0.0.1:1/0")
    with site:
        found = site.pipeline()
    frame = found.set_index("stage")
    assert found.attrs["summary"].startswith("Redis at redis://127.0.0.1:1/0 does not answer: ")
    assert found.attrs["summary"].endswith("; so detection_queue, batching, analysis_queue cannot be seen.")
    assert set(frame.loc[["detection_queue", "analysis_queue", "batching"], "status"]) == {"unknown"}
    assert frame.loc["storage", "out_per_hour"] > 0


def test_without_a_database_redis_is_still_told(redis_url):
    with pytest.warns(DegradedWarning):
        site = secnb.connect(database_url="postgresql://u:hidden@127.0.0.1:1/x", redis_url=redis_url)
    with site:
        frame = site.pipeline().set_index("stage")
    assert frame.loc["detection_queue", "status"] == "ok"
    assert set(frame.loc[["detector", "storage"], "status"]) == {"unknown"}
    assert frame.loc["cameras", "status"] == "unknown"
    assert "hidden" not in frame.to_csv()


async def test_it_never_fails_on_what_lies_in_redis(sqlite_file, redis_url):
    """Keys of another type, binary messages, batches without a start; and it can be awaited."""
    client = redis.Redis.from_url(redis_url)
    client.set("detection_queue", b"\xff")
    client.rpush("analysis_queue", b"\xff\xfe", b"[]", b"", b'{"timestamp": 1e999}')
    client.set("batch:x:current", b"\xff")
    client.xadd("detections:stream", {b"\xff": b"\xff"})
    client.close()
    async with secnb.connect(database_url=sqlite_file, redis_url=redis_url) as site:
        frame = (await site.pipeline.aio()).set_index("stage")
    assert frame.loc["analysis_queue", "depth"] == 4
    assert frame.loc["detection_queue", "status"] == "unknown"


@pytest.mark.parametrize(
    ("has_other", "depth", "why"),
    [
        (False, None, "analysis_queue is a string, not a queue"),
        (True, 1, "analysis_queue is a string, not a queue; 1 batch waits"),
    ],
)
def test_a_key_of_another_type_is_named(sqlite_file, redis_url, has_other, depth, why):
    """Whatever is pushed there is refused, which nothing in a queue tells."""
    with redis.Redis.from_url(redis_url) as client:
        client.set("analysis_queue", "x")
        if has_other:
            client.rpush("hsi:queue:analysis_queue", b"{}")
    with secnb.connect(database_url=sqlite_file, redis_url=redis_url) as site:
        frame = site.pipeline()
    row = frame.set_index("stage").loc["analysis_queue"]
    assert (row["status"], row["why"]) == ("unknown", why)
    assert (None if pd.isna(row["depth"]) else row["depth"]) == depth
    assert (
        "analysis_queue is a string, not a queue; so analysis_queue cannot be seen" in frame.attrs["summary"]
    )


@pytest.fixture
def numbered(tmp_path):
    """Return the URL of a database whose detections have seconds since 1970 for times, but for two."""
    path = tmp_path / "numbers.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE cameras (id TEXT PRIMARY KEY);"
            "CREATE TABLE detections (id INTEGER PRIMARY KEY, camera_id TEXT, detected_at DATETIME);"
            "CREATE TABLE events (id INTEGER PRIMARY KEY, camera_id TEXT, started_at DATETIME);"
            "INSERT INTO cameras VALUES ('porch'), ('gate');"
        )
        now = int(NOW.timestamp())
        rows = [("porch", now - 60 * n) for n in range(100, 0, -1)]
        connection.executemany("INSERT INTO detections (camera_id, detected_at) VALUES (?, ?)", rows)
        connection.execute("INSERT INTO events (started_at) VALUES ('2026-03-15 17:30:00.000000')")
        connection.commit()
    return f"sqlite:///{path}"


def test_times_that_are_numbers_cannot_be_read(numbered, redis_url):
    """There are detections, of which nobody knows when they were."""
    with secnb.connect(database_url=numbered, redis_url=redis_url) as site:
        frame = site.pipeline()
    why = f"times in detections.detected_at cannot be read, such as {int(NOW.timestamp()) - 60}"
    rows = frame.set_index("stage")
    assert rows.loc["detector", "why"].startswith(why)
    assert rows.loc["storage", ["status", "why"]].tolist() == ["unknown", why]
    assert rows.loc["cameras", "why"].startswith("times in detections.detected_at cannot be read")
    assert "at all" not in rows.loc["reasoner", "why"]


def test_times_that_are_numbers_by_now_are_not_those_of_before(numbered, redis_url):
    """As text, the older ones are above all numbers."""
    with contextlib.closing(sqlite3.connect(numbered.removeprefix("sqlite:///"))) as connection:
        connection.execute("UPDATE detections SET detected_at = '2026-03-01 08:00:00' WHERE id = 1")
        connection.commit()
    with secnb.connect(database_url=numbered, redis_url=redis_url) as site:
        assert "cannot be read" in site.pipeline().set_index("stage").loc["detector", "why"]


def test_one_time_that_is_none_does_not_hide_the_others(sqlite_file, redis_url):
    """As text it may be above all times."""
    with contextlib.closing(sqlite3.connect(sqlite_file.partition("///")[2])) as connection:
        connection.execute("UPDATE detections SET detected_at = 'tomorrow' WHERE id = 1")
        connection.commit()
    with secnb.connect(database_url=sqlite_file, redis_url=redis_url) as site:
        frame = site.pipeline().set_index("stage")
    assert NOW - frame.loc["detector", "last_at"] < timedelta(minutes=15)


async def test_ages_count_from_the_time_of_the_server(postgres_url, redis_url, monkeypatch):
    """As in queues(): the clock of an analyst's machine may be an hour off."""

    class Off(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(hours=1)

    monkeypatch.setattr("secnb.frames.pipeline.datetime", Off)
    async with secnb.connect(database_url=postgres_url, redis_url=redis_url) as site:
        as_of = pd.Timestamp((await site.pipeline.aio()).attrs["as_of"])
    assert abs(as_of - datetime.now(UTC)) < timedelta(minutes=30)


@pytest.fixture
def sqlite_file():
    """Return the URL of a sandbox's database."""
    with secnb.sandbox(ends_at=NOW) as site:
        yield site.database_url


async def test_it_reads_postgresql_and_streams(postgres_url, redis_url):
    """The later generations: times with a zone, queues as streams; what is acknowledged does not wait."""
    client = redis.Redis.from_url(redis_url)
    for name in (b"1", b"2", b"3"):
        client.xadd("detections:stream", {b"camera_id": b"porch", b"file_path": name})
    client.xgroup_create("detections:stream", "detection-workers", id="0")
    for entry_id, _ in client.xreadgroup("detection-workers", "w", {"detections:stream": ">"}, count=1)[0][1]:
        client.xack("detections:stream", "detection-workers", entry_id)
    client.close()
    engine = create_async_engine(parse_database_url(postgres_url), poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        await connection.execute(insert(Camera).values(id="porch", name="porch", folder_path="/porch"))
        at = datetime.now(UTC) - timedelta(minutes=5)
        row = {"camera_id": "porch", "file_path": "/porch/1.jpg", "detected_at": at}
        await connection.execute(insert(Detection).values([row, row]))
    await engine.dispose()
    async with secnb.connect(database_url=postgres_url, redis_url=redis_url) as site:
        frame = (await site.pipeline.aio()).set_index("stage")
        shown = await site.show.aio(1)
    assert frame.loc["detection_queue", "depth"] == 2
    assert frame.loc["detector", ["status", "out_per_hour"]].tolist() == ["ok", 2.0]
    assert 290 < frame.loc["storage", "freshness_s"] < 360
    assert repr(shown).startswith("<Picture: detection 1, porch, no type, ")
