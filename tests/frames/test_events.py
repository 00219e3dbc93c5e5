"""Events of the later generations: verdicts, failures, pairs and marks as deleted."""

from __future__ import annotations

import asyncpg
import pandas as pd
import pytest

from secnb import schema
from secnb.core.reader import DatabaseReader
from secnb.frames.events import read_events
from secnb.frames.wanted import Wanted

EVENTS = """
CREATE TABLE events (id integer PRIMARY KEY, started_at text, risk_score integer, deleted_at text);
INSERT INTO events VALUES (1, '2026-01-15 08:00:00', NULL, NULL), (2, '2026-01-15 08:00:01', 70, NULL),
    (3, '2026-01-15 08:00:02', NULL, NULL), (4, '2026-01-15 08:00:03', 50, NULL),
    (5, '2026-01-15 08:00:04', NULL, '2026-01-16');
"""
VERIFICATIONS = """
CREATE TABLE event_verifications (id integer PRIMARY KEY, event_id integer, verdict text, created_at text);
INSERT INTO event_verifications VALUES (1, 1, 'verification_failed', '2026-01-15 09:00:00'),
    (2, 2, 'verification_failed', '2026-01-15 09:00:00'),
    (3, 3, 'verification_failed', '2026-01-15 09:00:00'),
    (4, 3, 'uncertain', '2026-01-15 10:00:00'), (5, 99, 'confirmed', '2026-01-15 09:00:00');
"""
PAIRS = """
CREATE TABLE event_detections (event_id integer, detection_id integer);
INSERT INTO event_detections VALUES (1, 1), (1, 2), (1, 2), (4, 1);
"""


async def test_an_analysis_failed_if_its_newest_verdict_says_so_and_it_has_no_score(written):
    """A later verdict takes it back, and a score that was given stands."""
    frame = await read_events(written(EVENTS + VERIFICATIONS), Wanted())
    assert list(frame["is_failed"]) == [True, False, False, False]
    assert list(frame["verdict"].fillna("none")) == [
        "verification_failed",
        "verification_failed",
        "uncertain",
        "none",
    ]
    assert frame["risk_level_now"].isna().tolist() == [True, False, True, False]


async def test_without_texts_and_without_a_verifier_nobody_can_tell(written):
    """NA is not False."""
    frame = await read_events(written(EVENTS), Wanted())
    assert frame["is_failed"].isna().all()
    assert frame["verdict"].isna().all()


async def test_a_verifier_without_times_is_read_in_the_order_of_its_rows(written):
    """The last row counts."""
    reader = written(
        EVENTS + "CREATE TABLE event_verifications (id integer PRIMARY KEY, event_id integer, verdict text);"
        "INSERT INTO event_verifications VALUES (1, 1, 'confirmed'), (2, 1, 'rejected')"
    )
    assert (await read_events(reader, Wanted()))["verdict"][0] == "rejected"


async def test_a_verdict_without_a_time_is_the_oldest(postgres_url):
    """PostgreSQL itself would sort it first."""
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(
        "CREATE TABLE events (id integer, started_at timestamptz);"
        "CREATE TABLE event_verifications (id int, event_id int, verdict text, created_at timestamptz);"
        "INSERT INTO events VALUES (1, now());"
        "INSERT INTO event_verifications VALUES (1, 1, 'confirmed', now()), (2, 1, 'rejected', NULL)"
    )
    await connection.close()
    reader = DatabaseReader(postgres_url)
    assert (await read_events(reader, Wanted()))["verdict"].tolist() == ["confirmed"]
    await reader.close()


async def test_pairs_are_counted_once(written):
    """An event without any has none where there is a table of pairs, and nobody knows where there is none."""
    assert list((await read_events(written(EVENTS + PAIRS), Wanted()))["n_detections"]) == [2, 0, 0, 1]
    assert (await read_events(written(EVENTS), Wanted()))["n_detections"].isna().all()


@pytest.mark.parametrize("columns", [["verdict"], ["is_failed"], ["n_detections"], ["risk_level_now"]])
async def test_each_derived_column_can_be_wanted_alone(written, columns):
    """It is what it is among the others."""
    reader = written(EVENTS + VERIFICATIONS + PAIRS)
    alone = await read_events(reader, Wanted(columns=columns))
    pd.testing.assert_frame_equal(alone, (await read_events(reader, Wanted()))[columns])
    assert str(alone[columns[0]].dtype) == schema.EVENTS[columns[0]]


async def test_a_condition_that_nothing_meets_asks_for_no_verdicts(written):
    """Columns and dtypes are there."""
    frame = await read_events(written(EVENTS + VERIFICATIONS + PAIRS), Wanted(since="2027-01-01"))
    assert {name: str(frame[name].dtype) for name in schema.EVENTS} == dict(schema.EVENTS)
    assert len(frame) == 0
