"""Operators' verdicts: two vocabularies, one truth."""

from __future__ import annotations

import pytest

from secnb.errors import UnknownCameraError, UnknownColumnError
from secnb.frames.feedback import read_feedback
from secnb.frames.wanted import Wanted

TABLES = """
CREATE TABLE events (id integer PRIMARY KEY, camera_id text);
CREATE TABLE event_feedback (id integer PRIMARY KEY, event_id integer, feedback_type text, created_at text);
"""


@pytest.mark.parametrize(
    ("kind", "truth", "is_missed"),
    [
        ("accurate", True, False),
        ("correct", True, False),
        ("false_positive", False, False),
        ("missed_threat", True, True),
        ("missed_detection", True, True),
        ("severity_wrong", True, False),
        ("wrong_severity", True, False),
        (" Accurate ", True, False),
        ("amusing", None, False),
        (None, None, None),
    ],
)
async def test_feedback_of_either_vocabulary(written, kind, truth, is_missed):
    """The type stays as stored; one that nobody knows is counted."""
    word = "NULL" if kind is None else f"'{kind}'"
    frame = await read_feedback(
        written(TABLES + f"INSERT INTO event_feedback VALUES (1, 1, {word}, '2026-01-16')"), Wanted()
    )
    found = frame.astype(object).where(frame.notna(), None).iloc[0]
    assert (found["truth"], found["is_missed"], found["feedback_type"]) == (truth, is_missed, kind)
    assert frame.attrs.get("unknown_types") == ({"amusing": 1} if kind == "amusing" else None)


async def test_feedback_on_an_event_that_is_gone_stays(written):
    """Not every database sees to it that it goes with its event."""
    reader = written(TABLES + "INSERT INTO event_feedback VALUES (1, 7, 'accurate', '2026-01-16')")
    assert list((await read_feedback(reader, Wanted()))["event_id"]) == [7]


async def test_derived_columns_can_be_wanted_alone(written):
    """The type is read, and left out."""
    reader = written(TABLES + "INSERT INTO event_feedback VALUES (1, 7, 'missed_threat', '2026-01-16')")
    frame = await read_feedback(reader, Wanted(columns=["is_missed"]))
    assert frame.to_dict("records") == [{"is_missed": True}]


async def test_cameras_are_those_of_the_events(written):
    """An unknown one is an error, and so is a table that cannot tell."""
    reader = written(TABLES)
    with pytest.raises(UnknownCameraError, match="no camera 'front'"):
        await read_feedback(reader, Wanted("front"))
    reader = written("CREATE TABLE event_feedback (id integer); CREATE TABLE events (id integer);")
    with pytest.raises(UnknownColumnError, match="no column 'event_id'"):
        await read_feedback(reader, Wanted("front"))
