"""The most confident detection of each event: as brute force finds it, by pairs and by text."""

from __future__ import annotations

import json
from collections.abc import Sequence

import asyncpg
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from secnb.core.reader import DatabaseReader
from secnb.frames.tops import _first_of_highest, read_tops

MEMBERS = {1: [1, 2], 2: [3, 4, 5], 3: [6], 4: [77], 5: [], 6: [2, 77]}
DETECTIONS = {
    1: ("person", 0.9),
    2: ("cat", 0.3),
    3: ("dog", 0.6),
    4: ("car", 0.6),
    5: ("cat", None),
    6: ("bird", None),
}
BEST = {1: (0.9, "person"), 2: (0.6, "dog"), 3: (None, "bird"), 6: (0.3, "cat")}
PAIRS = "CREATE TABLE event_detections (event_id integer, detection_id integer);"


def detections(columns: Sequence[str] = ("object_type", "confidence")) -> str:
    """Return the statements that write the detections, with these columns."""
    rows = (
        [number, *(dict(zip(("object_type", "confidence"), row, strict=True))[name] for name in columns)]
        for number, row in DETECTIONS.items()
    )
    values = ",".join(f"({json.dumps(row)[1:-1]})" for row in rows).replace('"', "'").replace("null", "NULL")
    return f"CREATE TABLE detections ({', '.join(['id integer PRIMARY KEY', *columns])}); " + (
        f"INSERT INTO detections VALUES {values};"
    )


def pairs() -> str:
    """Return the statements that write the members as pairs; the last of an event first."""
    rows = ",".join(f"({event}, {each})" for event, ids in MEMBERS.items() for each in reversed(ids))
    return f"{PAIRS} INSERT INTO event_detections VALUES {rows};"


def events(*, with_text: bool) -> pd.DataFrame:
    """Return the events, with their members as text or without."""
    frame = pd.DataFrame({"event_id": pd.array(list(MEMBERS), dtype="Int64")})
    return frame.assign(detection_ids=[json.dumps(ids) for ids in MEMBERS.values()]) if with_text else frame


def found(tops: pd.DataFrame) -> dict[int, tuple[object, object]]:
    """Return score and label by event, of those that have either."""
    plain = tops.astype(object).where(tops.notna(), None).dropna(how="all", subset=["score", "object_type"])
    return {
        event: (score, label)
        for event, score, label in plain[["event_id", "score", "object_type"]].itertuples(index=False)
    }


@pytest.mark.parametrize("with_text", [True, False])
async def test_the_best_is_the_first_with_the_highest_confidence(written, with_text):
    """One without a confidence comes last; a detection that is gone does not count."""
    reader = written(detections() + ("" if with_text else pairs()))
    assert found(await read_tops(reader, events(with_text=with_text))) == BEST


async def test_pairs_count_and_text_only_where_there_are_none(written):
    """An event whose detections are all gone has none, whatever its text says."""
    reader = written(detections() + f"{PAIRS} INSERT INTO event_detections VALUES (1, 2), (3, 99);")
    assert found(await read_tops(reader, events(with_text=True))) == {
        1: (0.3, "cat"),
        2: BEST[2],
        6: BEST[6],
    }


@pytest.mark.parametrize("with_text", [True, False])
async def test_columns_may_be_missing(written, with_text):
    """Then that is missing."""
    for columns, expected in (
        (["object_type"], {1: (None, "person"), 2: (None, "dog"), 3: (None, "bird"), 6: (None, "cat")}),
        (["confidence"], {1: (0.9, None), 2: (0.6, None), 6: (0.3, None)}),
    ):
        reader = written(detections(columns) + ("" if with_text else pairs()))
        assert found(await read_tops(reader, events(with_text=with_text))) == expected
    reader = written("" if with_text else pairs())
    assert len(await read_tops(reader, events(with_text=with_text))) == 0


@pytest.mark.parametrize("with_text", [True, False])
async def test_what_is_no_number_comes_last(written, with_text):
    """SQLite itself sorts text above all numbers."""
    change = "UPDATE event_detections SET detection_id = 7 WHERE detection_id = 1;"
    fox = "INSERT INTO detections VALUES (7, 'fox', 'high');"
    reader = written(detections() + fox + ("" if with_text else pairs() + change))
    frame = events(with_text=with_text).replace({"detection_ids": {"[1, 2]": "[7, 2]"}})
    assert found(await read_tops(reader, frame)) == BEST | {1: (0.3, "cat")}


@pytest.mark.parametrize("kind", ["float8", "numeric", "integer"])
async def test_postgres_sorts_nan_last_too(postgres_url, kind):
    """PostgreSQL itself sorts NaN above all numbers; whole numbers have none."""
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(
        f"CREATE TABLE detections (id integer, confidence {kind}); {PAIRS}"
        "INSERT INTO detections VALUES (1, 1), (3, NULL);"
        "INSERT INTO event_detections VALUES (1, 1), (1, 2), (1, 3)"
    )
    nan = "NULL" if kind == "integer" else "'NaN'"
    await connection.execute(f"INSERT INTO detections VALUES (2, {nan})")
    await connection.close()
    reader = DatabaseReader(postgres_url)
    assert (await read_tops(reader, events(with_text=False)))["score"].tolist() == [1.0]
    await reader.close()


@given(
    st.lists(st.integers(0, 4), max_size=12).map(sorted),
    st.data(),
)
def test_the_first_of_the_highest_is_what_brute_force_finds(groups, data):
    """NaN is lower than anything."""
    values = data.draw(
        hnp.arrays(np.float64, len(groups), elements=st.sampled_from([np.nan, 0.1, 0.5, 0.9, -np.inf]))
    )
    found = _first_of_highest(np.array(groups, dtype=np.int64), values)
    keys = [(-np.inf if np.isnan(value) else value, -i) for i, value in enumerate(values)]
    expected = [
        max((keys[i], i) for i in range(len(groups)) if groups[i] == g)[1] for g in dict.fromkeys(groups)
    ]
    assert found.tolist() == expected
