"""Which detections an event was made of: every way of naming them gives the same pairs."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from secnb import schema
from secnb.core.reader import DatabaseReader
from secnb.frames import memberships, paging
from secnb.frames.memberships import parse_ids, read_memberships
from secnb.frames.wanted import Wanted

IDS = st.lists(st.integers(0, 2**63 - 1), max_size=5)
FORMS = {
    "integers": json.dumps,
    "strings": lambda ids: json.dumps([str(each) for each in ids]),
    "commas": lambda ids: ",".join(map(str, ids)),
    "spaces": lambda ids: " , ".join(map(str, ids)),
    "twice": lambda ids: json.dumps(json.dumps(ids)),
    "bytes": lambda ids: json.dumps(ids).encode(),
    "lines": lambda ids: json.dumps(ids, indent=1),
}


def parsed(values: list[object]) -> list[list[int]]:
    """Return the ids by value."""
    positions, ids, _ = parse_ids(values)
    return [ids[positions == i].tolist() for i in range(len(values))]


@given(st.lists(st.tuples(IDS, st.sampled_from(list(FORMS))), max_size=8))
def test_every_form_gives_the_ids(given_ids):
    """Mixed as an upgrade leaves them."""
    values = [FORMS[form](ids) for ids, form in given_ids]
    assert parsed(values) == [ids for ids, _ in given_ids]
    assert parse_ids(values)[2] == 0


UGLY = (
    st.none()
    | st.text(max_size=8)
    | st.binary(max_size=8)
    | st.integers()
    | st.floats()
    | st.booleans()
    | st.text(alphabet='[]{}",0123456789 \n.-e', max_size=12)
    | st.lists(st.none() | st.integers() | st.floats() | st.text(max_size=3) | st.booleans()).map(json.dumps)
)


@given(st.lists(UGLY, max_size=8))
@example(["[1", "2],[3]"])
@example(["[1],[2", "3],[4]"])
@example(["[1]\n", "[2]"])
@example(["[18446744073709551616]", "[1]"])
@example(["[9223372036854775808]", '["9223372036854775808"]'])
@example(["[true, 1]", '["٣"]', '["1_0"]', '["' + "9" * 5000 + '"]'])
@example(["9" * 5000, "1," + "9" * 5000])
@example(["\ud800", "[1]"])
@example(["[" * 100_000, "[1]"])
def test_a_value_gives_the_same_ids_alone_and_among_others(values):
    """Whatever is in it; those of one page are parsed together where all are ordinary."""
    together = parsed(values)
    assert together == [parsed([value])[0] for value in values]
    assert parse_ids(values)[2] == sum(parse_ids([value])[2] for value in values)
    assert all(-(2**63) <= each < 2**63 for ids in together for each in ids)


@pytest.mark.parametrize(
    ("stored", "ids", "n_unreadable"),
    [
        ("[1, null, 2]", [1, 2], 1),
        ('[1, "x"]', [1], 1),
        ("[1.5]", [], 1),
        ("[true]", [], 1),
        ("[1, 2", [1, 2], 1),
        ("none", [], 1),
        ('{"a": 1}', [], 1),
        ("null", [], 0),
        ("", [], 0),
        (" ", [], 0),
        ("[]", [], 0),
        (7, [7], 0),
        (None, [], 0),
        (float("nan"), [], 0),
        (pd.NA, [], 0),
    ],
)
def test_what_is_no_id_is_counted(stored, ids, n_unreadable):
    """And the ids beside it are kept; nothing is nothing unreadable."""
    assert parsed([stored]) == [ids]
    assert parse_ids([stored])[2] == n_unreadable


def test_many_texts_are_parsed_page_by_page(monkeypatch):
    """Positions count through."""
    values = [f"[{i}, {i + 1}]" for i in range(10)]
    whole = parse_ids(values)
    monkeypatch.setattr(memberships, "_PAGE", 3)
    for one, other in zip(whole, parse_ids(values), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture
async def reader(tmp_path):
    """Return a reader of four events: three with pairs or text or both, one with neither."""
    with closing(sqlite3.connect(tmp_path / "x.db")) as connection, connection:
        connection.executescript(
            """
            CREATE TABLE events (id integer PRIMARY KEY, started_at text, detection_ids text);
            CREATE TABLE event_detections (event_id integer, detection_id integer);
            CREATE TABLE detections (id integer PRIMARY KEY);
            INSERT INTO events VALUES (1, '2026-01-15 08:00:00', '[8, 9]'), (2, NULL, '[7, null, 3]'),
                (3, '2026-01-15 07:00:00', NULL), (4, NULL, NULL);
            INSERT INTO event_detections VALUES (3, 2), (1, 2), (1, 1), (1, 2), (99, 1);
            INSERT INTO detections VALUES (1), (2), (3);
            """
        )
    reader = DatabaseReader(f"sqlite:///{tmp_path}/x.db")
    yield reader
    await reader.close()


@pytest.mark.parametrize("page", [1, 2, 1000])
async def test_pairs_count_and_text_only_where_there_are_none(reader, monkeypatch, page):
    """A detection that is gone stays a member; a pair of no event, and a pair twice, do not."""
    monkeypatch.setattr(paging, "_PAGE", page)
    frame = await read_memberships(reader, Wanted())
    assert list(frame.itertuples(index=False, name=None)) == [(1, 1), (1, 2), (2, 3), (2, 7), (3, 2)]
    assert frame.attrs["unreadable"] == {"detection_ids": 1}
    assert (frame.attrs["rows"], frame.attrs["total"]) == (5, 5)


async def test_no_events_have_no_members(reader):
    """The columns are there."""
    frame = await read_memberships(reader, Wanted(since="2027-01-01"))
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == dict(schema.MEMBERSHIPS)
    assert len(frame) == 0
