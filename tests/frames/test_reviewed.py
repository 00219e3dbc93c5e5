"""What is recorded of a unit under review, where pairs say which detections an event was made of."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from secnb.core.reader import DatabaseReader
from secnb.frames.reviewed import Recorded, read_detection_unit, read_event_unit


@pytest.fixture
async def reader(tmp_path: Path) -> AsyncIterator[DatabaseReader]:
    """Return a reader of three events: two equal detections and a gone one, none, and 600."""
    path = tmp_path / "security.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE detections (id INTEGER PRIMARY KEY, confidence)")
        database.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, reasoning TEXT)")
        database.execute("CREATE TABLE event_detections (event_id INTEGER, detection_id INTEGER)")
        confidences = [(1, 0.4), (2, 0.9), (3, 0.9), *((n, 0.5) for n in range(100, 699)), (699, 0.6)]
        database.executemany("INSERT INTO detections VALUES (?, ?)", confidences)
        database.executemany("INSERT INTO events VALUES (?, ?)", [(1, "Why."), (2, None), (3, "Many.")])
        pairs = [(1, 1), (1, 3), (1, 2), (1, 77), *((3, n) for n in range(100, 700))]
        database.executemany("INSERT INTO event_detections VALUES (?, ?)", pairs)
    database.close()
    reader = DatabaseReader(f"sqlite:///{path}")
    yield reader
    await reader.close()


@pytest.mark.parametrize(
    ("event_id", "recorded"),
    [
        (1, Recorded(2, {"reasoning": "Why."})),
        (2, Recorded()),
        (3, Recorded(699, {"reasoning": "Many."})),
        (4, Recorded()),
    ],
)
async def test_an_event_has_its_most_confident_detection_the_first_of_equals(reader, event_id, recorded):
    assert await read_event_unit(reader, event_id) == recorded


async def test_pairs_say_which_event_a_detection_belongs_to(reader):
    found = await read_detection_unit(reader, 3, camera_id=None, at=None)
    assert found == Recorded(3, {"reasoning": "Why."})


async def test_a_detection_of_no_event_has_nothing_said(reader):
    assert await read_detection_unit(reader, 5, camera_id=None, at=None) == Recorded(5)
