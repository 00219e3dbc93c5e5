"""Labelled events: the truth of the store, else that of operators; what is left out is counted."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from secnb import schema
from secnb.errors import BadInputError, TruncatedWarning, UnknownColumnError
from secnb.frames import labelled
from secnb.frames.labelled import read_labelled_events
from secnb.frames.labels import LabelStore
from secnb.frames.wanted import Wanted

TABLES = """
CREATE TABLE cameras (id text PRIMARY KEY);
CREATE TABLE detections (id integer PRIMARY KEY, object_type text, confidence float);
CREATE TABLE events (id integer PRIMARY KEY, camera_id text, started_at text, risk_score integer,
    summary text, detection_ids text, deleted_at text);
CREATE TABLE event_feedback (id integer PRIMARY KEY, event_id integer, feedback_type text, created_at text);
INSERT INTO cameras VALUES ('front'), ('back');
"""
EVENTS = f"""
INSERT INTO detections VALUES (1, 'person', 0.9), (2, 'cat', 0.3), (3, 'car', 0.6), (4, 'dog', NULL);
INSERT INTO events (id, camera_id, started_at, risk_score, summary, detection_ids) VALUES
    (1, 'front', '2026-01-15 08:00:00', 80, '', '[1, 2]'),
    (2, 'back', '2026-01-15 09:00:00', 20, '', '[2, 3]'),
    (3, 'front', '2026-01-15 10:00:00', 50, '{schema.FAILED_SUMMARY}', '[3]'),
    (4, 'back', '2026-01-15 11:00:00', 60, '', '[77]'),
    (5, 'front', '2026-01-15 12:00:00', NULL, '', '[4]'),
    (6, 'front', '2026-01-15 13:00:00', NULL, '', '[2]');
INSERT INTO events VALUES (7, 'front', '2026-01-15 14:00:00', 90, '', '[1]', '2026-01-16');
INSERT INTO event_feedback VALUES (1, 1, 'accurate', '2026-01-16 08:00:00'),
    (2, 2, 'accurate', '2026-01-16 08:00:00'), (3, 2, 'false_positive', '2026-01-16 09:00:00');
"""


@pytest.fixture
def database(written):
    """Return a function that writes events, and returns a reader of them."""
    return lambda rows=EVENTS: written(TABLES + rows)


@pytest.fixture
def store(tmp_path):
    with LabelStore(tmp_path / "labels.sqlite") as store:
        yield store


def by_event(frame: pd.DataFrame, column: str) -> dict[int, object]:
    """Return a column by event, with None for what is missing."""
    values = frame[column].astype(object).where(frame[column].notna(), None)
    return dict(zip(frame["event_id"], values, strict=True))


async def test_all_scored_events_are_there_verified_or_not(database):
    """By either score; failed, deleted and unscored ones are not, and are counted."""
    frame = await read_labelled_events(database(), Wanted())
    assert by_event(frame, "score") == {1: 0.9, 2: 0.6, 4: None, 6: 0.3}
    assert by_event(frame, "object_type") == {1: "person", 2: "car", 4: None, 6: "cat"}
    assert by_event(frame, "risk_score") == {1: 80, 2: 20, 4: 60, 6: None}
    assert (frame.attrs["n_failed"], frame.attrs["n_unscored"], frame.attrs["n_gone"]) == (1, 1, 0)
    json.dumps(frame.attrs)


async def test_scores_that_cannot_be_read_are_counted(database):
    """A word where a number belongs is no score."""
    rows = EVENTS + "UPDATE events SET risk_score = 'high' WHERE id = 1;"
    frame = await read_labelled_events(database(rows), Wanted())
    assert frame.attrs["unreadable"] == {"risk_score": 1}
    assert by_event(frame, "risk_score")[1] is None


async def test_the_newest_feedback_counts(database):
    """One table without its constraint had two of one event."""
    assert by_event(await read_labelled_events(database(), Wanted()), "truth") == {
        1: True,
        2: False,
        4: None,
        6: None,
    }


async def test_the_store_wins(database, store):
    """Also where it is unsure; its probability is that of the draw, and feedback has none."""
    store.add(event_id=1, truth=None)
    store.add(event_id=2, truth=True, is_missed=True)
    store.add(event_id=6, truth=False)
    frame = await read_labelled_events(database(), Wanted(), labels=store.labels())
    assert by_event(frame, "truth") == {1: None, 2: True, 4: None, 6: False}
    assert by_event(frame, "is_missed") == {1: False, 2: True, 4: False, 6: False}
    assert frame["verified_probability"].isna().all()
    drawn = store.labels().assign(probability=0.25)
    frame = await read_labelled_events(database(), Wanted(), labels=drawn)
    assert by_event(frame, "verified_probability") == {1: 0.25, 2: 0.25, 4: None, 6: 0.25}


async def test_labels_of_failed_and_deleted_events_do_not_bring_them_back(database, store):
    """Their scores are none, or not to be counted."""
    for event_id in (3, 7):
        store.add(event_id=event_id, truth=True, score=0.9, camera_id="front", started_at="2026-01-15")
    frame = await read_labelled_events(database(), Wanted(), labels=store.labels())
    assert list(frame["event_id"]) == [1, 2, 4, 6]


async def test_an_event_with_a_verdict_but_no_score_stays(database, store):
    """A sweep counts it as unscored."""
    store.add(event_id=5, truth=True)
    frame = await read_labelled_events(database(), Wanted(), labels=store.labels())
    assert by_event(frame, "truth")[5] is True
    assert frame.attrs["n_unscored"] == 0


@pytest.fixture
def gone(store):
    """Return a store that knows an event of last year, a miss without an event, and one detection."""
    store.add(
        event_id=90,
        truth=False,
        score=0.7,
        camera_id="back",
        object_type="cat",
        risk_score=40,
        started_at="2025-12-01",
    )
    store.add(is_missed=True, camera_id="front", object_type="person", started_at="2026-01-15 08:30")
    store.add(detection_id=3, truth=True)
    return store.labels()


@pytest.mark.parametrize(
    "other", [{"camera_id": "back"}, {"started_at": "2026-01-17"}, {"camera_id": "gone"}]
)
async def test_labels_of_another_deployment_are_refused(database, store, other):
    """Its events have the same numbers; their labels would be silently wrong here."""
    store.add(event_id=1, truth=True, **other)
    with pytest.raises(BadInputError, match=r"The store knows event 1 as one of .*front at 2026-01-15 08:00"):
        await read_labelled_events(database(), Wanted(), labels=store.labels())


async def test_labels_that_know_less_or_roughly_when_are_fine(database, store):
    """Camera and time need not be given."""
    store.add(event_id=1, truth=False)
    store.add(event_id=2, truth=True, camera_id="back", started_at="2026-01-15")
    frame = await read_labelled_events(database(), Wanted(), labels=store.labels())
    assert [by_event(frame, "truth")[event] for event in (1, 2)] == [False, True]


async def test_labels_outlive_their_events(database, gone):
    """As the store has them, in their place in time; those of single detections say nothing of events."""
    frame = await read_labelled_events(database(), Wanted(), labels=gone)
    assert list(frame["event_id"].fillna(-1)) == [90, 1, -1, 2, 4, 6]
    assert list(frame["is_missed"]) == [False, False, True, False, False, False]
    assert frame.iloc[0][["camera_id", "object_type", "score", "risk_score"]].tolist() == [
        "back",
        "cat",
        0.7,
        40,
    ]
    assert (frame.attrs["n_gone"], frame.attrs["n_detection_labels"]) == (2, 1)
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == dict(schema.LABELLED_EVENTS)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted("back"), [90, 2, 4]),
        (Wanted(iter(["front"])), [1, -1, 6]),
        (Wanted(object_type="cat"), [90, 6]),
        (Wanted("front", iter(["person"])), [1, -1]),
        (Wanted(since="2026-01-01", until="2026-01-15 09:00"), [1, -1]),
        (Wanted(until="2026-01-01"), [90]),
        (Wanted(since="2027-01-01"), []),
        (Wanted([]), []),
    ],
)
async def test_conditions_hold_for_rows_of_the_store_too(database, gone, wanted, expected):
    """An event that a condition leaves out is not gone."""
    frame = await read_labelled_events(database(), wanted, labels=gone)
    assert list(frame["event_id"].fillna(-1)) == expected
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == dict(schema.LABELLED_EVENTS)


async def test_many_labels_are_looked_up_page_by_page(database, monkeypatch):
    """SQLite takes only so many parameters."""
    monkeypatch.setattr(labelled, "_MOST_IDS", 2)
    labels = pd.DataFrame({name: pd.array([None] * 9, dtype=kind) for name, kind in schema.LABELS.items()})
    labels = labels.assign(event_id=pd.array(range(1, 10), dtype="Int64"), truth=True, is_missed=False)
    frame = await read_labelled_events(database(), Wanted("back"), labels=labels)
    assert list(frame["event_id"]) == [2, 4]
    frame = await read_labelled_events(database(), Wanted(), labels=labels)
    assert list(frame["event_id"]) == [1, 2, 4, 5, 6, 8, 9]


async def test_a_limit_keeps_the_newest_of_what_is_left(database):
    """Failed ones do not count; the total is exact."""
    with pytest.warns(TruncatedWarning, match="showing 2 of 4 labelled events, the newest"):
        frame = await read_labelled_events(database(), Wanted(limit=2))
    assert list(frame["event_id"]) == [4, 6]
    assert (frame.attrs["rows"], frame.attrs["total"], frame.attrs["truncated"]) == (2, 4, True)
    with pytest.warns(TruncatedWarning, match="showing 0 of 4"):
        assert len(await read_labelled_events(database(), Wanted(limit=0))) == 0
    with pytest.raises(BadInputError, match="limit is -1"):
        await read_labelled_events(database(), Wanted(limit=-1))


async def test_columns_are_those_wanted(database):
    """An unknown one is an error."""
    frame = await read_labelled_events(database(), Wanted(columns=["truth", "score"]))
    assert list(frame.columns) == ["truth", "score"]
    with pytest.raises(UnknownColumnError, match=r"no column 'scores'[\s\S]*did you mean 'score'"):
        await read_labelled_events(database(), Wanted(columns=["scores"]))


async def test_no_events_are_a_frame_like_any_other(database):
    """Columns and dtypes are there."""
    frame = await read_labelled_events(database(""), Wanted())
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == dict(schema.LABELLED_EVENTS)
    assert (len(frame), frame.attrs["n_failed"]) == (0, 0)
