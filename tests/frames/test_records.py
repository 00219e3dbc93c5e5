"""Cameras, detections and events: no row lost, none repeated, in one vocabulary whatever the table has."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secnb import schema
from secnb.core.reader import DatabaseReader
from secnb.errors import (
    BadInputError,
    DegradedWarning,
    TruncatedWarning,
    UnknownCameraError,
    UnknownColumnError,
    UnknownNameError,
)
from secnb.frames import paging
from secnb.frames.events import read_events
from secnb.frames.records import read_cameras, read_detections, read_note, read_truth
from secnb.frames.wanted import Wanted, as_utc

CAMERAS = {"id": "TEXT PRIMARY KEY", "name": "TEXT", "folder_path": "TEXT", "status": "TEXT"}
DETECTIONS = {
    "id": "INTEGER PRIMARY KEY",
    "camera_id": "TEXT",
    "file_path": "TEXT",
    "file_type": "TEXT",
    "detected_at": "DATETIME",
    "object_type": "TEXT",
    "confidence": "FLOAT",
    "bbox_x": "INTEGER",
    "bbox_y": "INTEGER",
    "bbox_width": "INTEGER",
    "bbox_height": "INTEGER",
    "thumbnail_path": "TEXT",
}
EVENTS = {
    "id": "INTEGER PRIMARY KEY",
    "batch_id": "TEXT",
    "camera_id": "TEXT",
    "started_at": "DATETIME",
    "ended_at": "DATETIME",
    "risk_score": "INTEGER",
    "risk_level": "TEXT",
    "summary": "TEXT",
    "reasoning": "TEXT",
    "detection_ids": "TEXT",
    "reviewed": "BOOLEAN",
    "notes": "TEXT",
    "is_fast_path": "BOOLEAN",
}
START = datetime(2026, 1, 15, 8, tzinfo=UTC)


def make(path: Path, **tables: tuple[dict[str, str], list[dict[str, Any]]]) -> str:
    """Write a database by hand, and return its URL."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for name, (columns, rows) in tables.items():
            defined = ", ".join(f"{quoted(column)} {kind}" for column, kind in columns.items())
            connection.execute(f"CREATE TABLE {name} ({defined})")
            for row in rows:
                names = ", ".join(map(quoted, row))
                marks = ", ".join("?" * len(row))
                connection.execute(f"INSERT INTO {name} ({names}) VALUES ({marks})", list(row.values()))
    return f"sqlite:///{path}"


def quoted(name: str) -> str:
    """Return a name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def stamp(seconds: float) -> str:
    """Return a time as SQLAlchemy stores it."""
    return (START + timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S.%f")


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[DatabaseReader]:
    """Return a reader of two cameras and ten detections, two at each second, beginning at START."""
    url = make(
        tmp_path / "x.db",
        cameras=(CAMERAS, [{"id": "front", "name": "F"}, {"id": "back", "name": "B"}]),
        detections=(
            DETECTIONS,
            [
                {
                    "id": i + 1,
                    "camera_id": ("front", "back")[i % 2],
                    "object_type": ("person", "cat", "car")[i % 3],
                    "confidence": i / 10,
                    "detected_at": stamp(i // 2),
                }
                for i in range(10)
            ],
        ),
        events=(EVENTS, []),
    )
    reader = DatabaseReader(url)
    yield reader
    await reader.close()


@pytest.fixture
def events_of(tmp_path: Path):
    """Return a function that writes events, and reads them as a frame."""

    async def read(*rows: dict[str, Any], columns: dict[str, str] = EVENTS, **options: Any) -> pd.DataFrame:
        rows_with_ids = [{"id": i + 1, "started_at": stamp(i), **row} for i, row in enumerate(rows)]
        reader = DatabaseReader(make(tmp_path / "events.db", events=(columns, rows_with_ids)))
        try:
            return await read_events(reader, Wanted(), **options)
        finally:
            await reader.close()

    return read


def ids(frame: pd.DataFrame) -> list[int]:
    """Return the ids of a frame of detections."""
    return list(frame["detection_id"])


async def test_detections_come_in_the_vocabulary(site):
    """Sorted by time, then id; the primary key has its own name."""
    frame = await read_detections(site, Wanted())
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == dict(schema.DETECTIONS)
    assert ids(frame) == list(range(1, 11))
    assert frame["detected_at"][0] == START
    assert list(frame.index) == list(range(10))


async def test_cameras_are_sorted_by_id(site):
    """With columns that this generation lacks, all missing."""
    frame = await read_cameras(site)
    assert list(frame["camera_id"]) == ["back", "front"]
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == dict(schema.CAMERAS)


async def test_an_empty_table_keeps_columns_and_dtypes(site):
    """No events are a frame like any other."""
    frame = await read_events(site, Wanted())
    assert {name: str(dtype) for name, dtype in frame[list(schema.EVENTS)].dtypes.items()} == dict(
        schema.EVENTS
    )
    assert list(frame.columns) == [*schema.EVENTS, "detection_ids"]
    assert len(frame) == 0


async def test_attrs_are_json_and_say_how_the_rows_were_got(site):
    """An analyst finds there what the frame was made of."""
    frame = await read_detections(site, Wanted("front", since=START))
    attrs = json.loads(json.dumps(frame.attrs))
    assert (attrs["table"], attrs["rows"], attrs["total"], attrs["truncated"]) == ("detections", 5, 5, False)
    assert attrs["params"]["camera_id"] == ["front"]
    assert attrs["source"] in ("live file", "file at rest")
    assert datetime.fromisoformat(attrs["read_at"]).tzinfo is not None
    assert attrs["seconds"] >= 0


TABLES = {"cameras": CAMERAS, "detections": DETECTIONS, "events": EVENTS}
SCHEMAS = {"cameras": schema.CAMERAS, "detections": schema.DETECTIONS, "events": schema.EVENTS}


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(list(TABLES)), st.data())
def test_any_columns_may_be_missing_and_any_may_be_more(name, data):
    """The vocabulary is there all the same, in its dtypes, and then whatever else the table has."""
    optional = [column for column in TABLES[name] if column != "id"]
    kept = data.draw(st.lists(st.sampled_from(optional), unique=True))
    more = data.draw(
        st.lists(st.sampled_from(["labels", 'we"ird', "100%", "a b", "ünï", "x:y"]), unique=True)
    )
    columns = {
        column: TABLES[name].get(column, "TEXT")
        for column in data.draw(st.permutations(["id", *kept, *more]))
    }
    rows = [{"id": i, **dict.fromkeys(more, f"v{i}")} for i in range(3)]
    with tempfile.TemporaryDirectory() as folder:
        frame = asyncio.run(read_whole(make(Path(folder) / "x.db", **{name: (columns, rows)}), name))
    wanted = SCHEMAS[name]
    assert list(frame.columns[: len(wanted)]) == list(wanted)
    assert {each: str(frame[each].dtype) for each in wanted} == dict(wanted)
    renamed = {each for each in columns if each not in wanted} - {"id"}
    assert set(frame.columns[len(wanted) :]) == renamed
    assert sorted(map(str, frame[schema.PRIMARY_KEYS[name]])) == ["0", "1", "2"]
    for each in more:
        assert sorted(frame[each]) == ["v0", "v1", "v2"]


async def read_whole(url: str, name: str) -> pd.DataFrame:
    """Return one table of a database as a frame."""
    reader = DatabaseReader(url)
    try:
        if name == "cameras":
            return await read_cameras(reader)
        return await (read_events if name == "events" else read_detections)(reader, Wanted())
    finally:
        await reader.close()


@pytest.mark.parametrize("missing", ["camera_id", "object_type", "detected_at"])
async def test_a_condition_on_a_column_that_is_missing_is_an_error(tmp_path, missing):
    """SQLite would take its name in quotes for text, and the condition would hold for every row."""
    columns = {name: kind for name, kind in DETECTIONS.items() if name != missing}
    reader = DatabaseReader(make(tmp_path / "x.db", detections=(columns, [{"id": 1}])))
    given = {"since": START} if missing == "detected_at" else {missing: "x"}
    with pytest.raises(UnknownColumnError, match=f"no column '{missing}'"):
        await read_detections(reader, Wanted(**given))
    await reader.close()


async def test_a_table_without_an_id_is_none_of_a_deployment(tmp_path):
    """Nothing would tell its rows apart."""
    reader = DatabaseReader(make(tmp_path / "x.db", detections=({"camera_id": "TEXT"}, [])))
    with pytest.raises(
        UnknownColumnError, match=r"no column 'id'.*Known: camera_id[\s\S]*Hint: is this the database"
    ):
        await read_detections(reader, Wanted())
    await reader.close()


async def test_a_database_without_the_table_shows_those_that_it_has(tmp_path):
    """It may be another database."""
    reader = DatabaseReader(make(tmp_path / "x.db", songs=({"id": "INTEGER"}, [])))
    with pytest.raises(
        UnknownNameError, match=r"no table 'events'. Known: songs[\s\S]*Hint: is this the database"
    ):
        await read_events(reader, Wanted())
    assert len(await read_truth(reader)) == 0
    assert await read_note(reader) is None
    await reader.close()


async def test_a_stored_column_of_the_keys_own_name_does_not_replace_it(tmp_path):
    """The primary key stays what rows are known by."""
    columns = {**DETECTIONS, "detection_id": "TEXT"}
    reader = DatabaseReader(make(tmp_path / "x.db", detections=(columns, [{"id": 7, "detection_id": "x"}])))
    assert ids(await read_detections(reader, Wanted())) == [7]
    await reader.close()


UGLY = [
    {"detected_at": None, "confidence": "high"},
    {"detected_at": "garbage", "bbox_x": "wide"},
    {"detected_at": 12345, "object_type": 7},
    {"detected_at": b"\x00\xff", "object_type": b"\xff"},
    {"detected_at": "9999-12-31T23:59:59-12:00", "confidence": float("inf")},
    {"detected_at": "0001-01-01 00:00:00", "confidence": -1.5},
    {"detected_at": "2026-01-15T10:00:00+02:00", "file_path": "<script>alert(1)</script>"},
    {"detected_at": stamp(0), "camera_id": None},
]


async def test_no_value_stops_a_reading(tmp_path):
    """Each row is there, what could not be read is counted, and the frame can be shown."""
    rows = [{"id": i + 1, **row} for i, row in enumerate(UGLY)]
    reader = DatabaseReader(make(tmp_path / "x.db", detections=(DETECTIONS, rows)))
    frame = await read_detections(reader, Wanted())
    assert sorted(ids(frame)) == list(range(1, 9))
    assert frame.attrs["unreadable"] == {"detected_at": 4, "confidence": 1, "bbox_x": 1}
    assert list(frame["object_type"].dropna()) == ["7", "\\xff"]
    assert "<script" not in frame.to_html()
    assert list(frame["detected_at"].isna()) == [False] * 3 + [True] * 5
    await reader.close()


async def test_text_that_is_not_utf8_is_read_with_its_escapes(tmp_path):
    """One such file name made the whole table unreadable."""
    url = make(tmp_path / "x.db", detections=(DETECTIONS, [{"id": 1, "file_path": "/x/1.jpg"}]))
    with closing(sqlite3.connect(tmp_path / "x.db")) as connection, connection:
        connection.execute("INSERT INTO detections (id, file_path) VALUES (2, CAST(x'2f78ff' AS TEXT))")
    reader = DatabaseReader(url)
    for _ in range(2):
        frame = await read_detections(reader, Wanted())
        assert list(frame["file_path"]) == ["/x/1.jpg", "/x\\xff"]
    await reader.close()


@pytest.mark.parametrize("page", [1, 2, 3, 7, 10, 11, 1000])
@pytest.mark.parametrize("limit", [None, 1, 2, 3, 10, 11])
@pytest.mark.filterwarnings("ignore::secnb.errors.TruncatedWarning")
async def test_no_row_is_lost_or_repeated_across_pages(site, monkeypatch, page, limit):
    """Ties in time included; a limit keeps the newest."""
    monkeypatch.setattr(paging, "_PAGE", page)
    frame = await read_detections(site, Wanted(limit=limit))
    assert ids(frame) == list(range(1, 11))[-(limit or 10) :]
    assert frame.attrs["total"] == 10


@pytest.mark.parametrize("page", [1, 2, 3, 100])
async def test_rows_without_a_time_are_read_too(tmp_path, monkeypatch, page):
    """They have no place in the order of time, and come last."""
    monkeypatch.setattr(paging, "_PAGE", page)
    rows = [{"id": i, "detected_at": None if i % 3 == 0 else stamp(-i)} for i in range(1, 10)]
    reader = DatabaseReader(make(tmp_path / "x.db", detections=(DETECTIONS, rows)))
    assert ids(await read_detections(reader, Wanted())) == [8, 7, 5, 4, 2, 1, 3, 6, 9]
    assert list(
        (await read_detections(reader, Wanted(columns=["file_path", "detection_id"])))["detection_id"]
    ) == [*(8, 7, 5, 4, 2, 1, 3, 6, 9)]
    await reader.close()


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.none() | st.integers(0, 3) | st.sampled_from(["x", b"x", 0.5]), max_size=9),
    st.integers(1, 4),
    st.none() | st.integers(0, 10),
)
@pytest.mark.filterwarnings("ignore::secnb.errors.TruncatedWarning")
def test_pages_equal_one_reading_whatever_the_times(times, page, limit):
    """Missing, tied, and of types that no time has."""
    rows = [
        {"id": i + 1, "detected_at": stamp(each) if isinstance(each, int) else each}
        for i, each in enumerate(times)
    ]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        url = make(Path(folder) / "x.db", detections=(DETECTIONS, rows))
        whole = asyncio.run(read_limited(url, None))
        patch.setattr(paging, "_PAGE", page)
        assert ids(asyncio.run(read_limited(url, None))) == ids(whole)
        found = asyncio.run(read_limited(url, limit))
    assert len(set(ids(found))) == len(found) == min(len(rows), 99 if limit is None else limit)
    assert found.attrs["total"] == len(rows)


async def read_limited(url: str, limit: int | None) -> pd.DataFrame:
    """Return detections up to a limit."""
    reader = DatabaseReader(url)
    try:
        return await read_detections(reader, Wanted(limit=limit))
    finally:
        await reader.close()


async def test_rows_that_come_while_reading_neither_shift_nor_repeat_a_row(site, monkeypatch, tmp_path):
    """They come at the end that was read first."""
    monkeypatch.setattr(paging, "_PAGE", 3)
    writer = sqlite3.connect(tmp_path / "x.db")

    def on_page(n_rows: int) -> None:
        with writer:
            writer.execute("INSERT INTO detections (detected_at) VALUES (?)", [stamp(1000 + n_rows)])

    assert ids(await read_detections(site, Wanted(), on_page=on_page)) == list(range(1, 11))
    writer.close()


async def test_a_limit_warns_with_the_exact_total(site):
    """Each time, not once per session."""
    for _ in range(2):
        with pytest.warns(
            TruncatedWarning, match=r"showing 3 of 5 detections, the newest[\s\S]*Hint: limit=None"
        ):
            frame = await read_detections(site, Wanted("front", limit=3))
        assert ids(frame) == [5, 7, 9]
        assert (frame.attrs["truncated"], frame.attrs["total"]) == (True, 5)


async def test_a_limit_that_leaves_nothing_out_is_silent(site):
    """A warning of nothing would be noise."""
    assert len(await read_detections(site, Wanted(limit=10))) == 10


async def test_a_limit_of_nothing_counts_all(site):
    """The columns are there."""
    with pytest.warns(TruncatedWarning, match="showing 0 of 10"):
        frame = await read_detections(site, Wanted(limit=0))
    assert list(frame.columns) == list(schema.DETECTIONS)


@pytest.mark.parametrize("limit", [-1, 1.5, True, "5"])
async def test_a_limit_without_sense_is_refused(site, limit):
    """With the value seen."""
    with pytest.raises(BadInputError, match=r"limit is .*Allowed: a whole number from 0"):
        await read_detections(site, Wanted(limit=limit))


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (None, None, range(1, 11)),
        (START, None, range(1, 11)),
        (START + timedelta(microseconds=1), None, range(3, 11)),
        (None, START, []),
        (None, START + timedelta(microseconds=1), [1, 2]),
        (START + timedelta(seconds=1), START + timedelta(seconds=3), [3, 4, 5, 6]),
        (START, START, []),
        ("2026-01-15 08:00:01", "2026-01-15T08:00:02Z", [3, 4]),
        ("2026-01-15T10:00:01+02:00", "2026-01-15 08:00:02", [3, 4]),
        (pd.Timestamp("2026-01-15 09:00:01", tz="Europe/Berlin"), None, range(3, 11)),
        (datetime(2026, 1, 15, 8, 0, 1), None, range(3, 11)),  # noqa: DTZ001
        ((START + timedelta(seconds=1)).astimezone(timezone(timedelta(hours=-7))), None, range(3, 11)),
        (date(2026, 1, 15), date(2026, 1, 16), range(1, 11)),
        ("0001-01-01", "9999-12-31", range(1, 11)),
        ("0999-01-01", None, range(1, 11)),
    ],
)
async def test_times_are_half_open_and_utc(site, since, until, expected):
    """`since` is in, `until` is out; naive bounds are UTC."""
    assert ids(await read_detections(site, Wanted(since=since, until=until))) == list(expected)


@pytest.mark.parametrize(
    "stored", ["2026-01-15 08:00:00", "2026-01-15 08:00:00.000", "2026-01-15 08:00:00.000000"]
)
async def test_whole_seconds_are_found_however_they_are_stored(tmp_path, stored):
    """As text, a time without a fraction sorts before the same time with one."""
    reader = DatabaseReader(
        make(tmp_path / "x.db", detections=(DETECTIONS, [{"id": 1, "detected_at": stored}]))
    )
    assert ids(await read_detections(reader, Wanted(since=START))) == [1]
    assert ids(await read_detections(reader, Wanted(until=START))) == []
    await reader.close()


@pytest.mark.parametrize(
    "value",
    [
        *("soon", "", "2026-13-01", 5, 1.5, True, float("nan"), pd.NaT, [], "99999-01-01"),
        *("now", "today", "10.3.2026", "03/10/2026", "NaT"),
    ],
)
def test_a_bound_that_is_no_time_is_refused(value):
    """A number could count seconds or nanoseconds, "now" is local, and who knows which month is first."""
    with pytest.raises(BadInputError, match=r"since is [\s\S]*Allowed: a datetime, or ISO 8601 text"):
        as_utc("since", value)


async def test_times_that_are_numbers_are_said_where_they_are_left_out(tmp_path):
    """No bound can be compared with them; without one they are rows without a time."""
    times = (1_773_000_000, 1.5e12, 0, stamp(0))
    rows = [{"id": n, "camera_id": "porch" if n else "gate", "detected_at": at} for n, at in enumerate(times)]
    reader = DatabaseReader(make(tmp_path / "x.db", detections=(DETECTIONS, rows)))
    with pytest.warns(DegradedWarning, match=r"2 rows of detections are left out: .*[\s\S]*Hint"):
        frame = await read_detections(reader, Wanted(camera_id="porch", since=START))
    assert (ids(frame), frame.attrs["unreadable"]) == ([3], {"detected_at": 2})
    whole = await read_detections(reader, Wanted())
    assert (len(whole), whole.attrs["unreadable"]) == (4, {"detected_at": 3})
    await reader.close()


def test_a_bound_outside_of_all_years_is_refused():
    """UTC has no such time."""
    with pytest.raises(BadInputError, match="since is"):
        as_utc("since", "0001-01-01T00:00:00+14:00")


async def test_bounds_the_wrong_way_round_are_refused(site):
    """They would look like a quiet day."""
    with pytest.raises(BadInputError, match=r"since \(2026-01-16.*is after until \(2026-01-15"):
        await read_detections(site, Wanted(since="2026-01-16", until="2026-01-15"))


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted("front"), [1, 3, 5, 7, 9]),
        (Wanted(["front", "back"]), range(1, 11)),
        (Wanted(iter(["front"])), [1, 3, 5, 7, 9]),
        (Wanted(pd.Series(["back"])), [2, 4, 6, 8, 10]),
        (Wanted([]), []),
        (Wanted(object_type="cat"), [2, 5, 8]),
        (Wanted("front", ("cat", "car")), [3, 5, 9]),
        (Wanted(object_type="unicorn"), []),
        (Wanted(object_type="'; DROP TABLE detections; --"), []),
        (Wanted("back", "cat", START + timedelta(seconds=1), None), [8]),
    ],
)
async def test_conditions_join(site, wanted, expected):
    """One or several names; each condition narrows the rest."""
    assert ids(await read_detections(site, wanted)) == list(expected)


@pytest.mark.parametrize("value", [5, 0.5, True])
async def test_a_name_that_is_none_is_refused(site, value):
    """With the value seen."""
    with pytest.raises(BadInputError, match=f"camera_id is {value}. Allowed: a str, or several"):
        await read_detections(site, Wanted(value))


async def test_an_unknown_camera_shows_the_near_ones(site):
    """And all that there are."""
    with pytest.raises(
        UnknownCameraError, match=r"no camera 'fronnt'. Known: back, front.[\s\S]*Hint: did you mean 'front'"
    ):
        await read_detections(site, Wanted("fronnt"))


async def test_a_camera_that_was_removed_still_has_its_detections(tmp_path):
    """SQLite does not see to it that its records go with it."""
    rows = [{"id": 1, "camera_id": "gone", "detected_at": stamp(0)}]
    reader = DatabaseReader(make(tmp_path / "x.db", cameras=(CAMERAS, []), detections=(DETECTIONS, rows)))
    assert ids(await read_detections(reader, Wanted("gone"))) == [1]
    with pytest.raises(UnknownCameraError, match="no camera 'never'"):
        await read_detections(reader, Wanted(["gone", "never"]))
    await reader.close()


async def test_columns_are_those_wanted_in_their_order(site):
    """The order of the rows does not depend on them."""
    frame = await read_detections(site, Wanted(columns=["confidence", "detection_id"]))
    assert list(frame.columns) == ["confidence", "detection_id"]
    assert ids(frame) == list(range(1, 11))
    for columns in (["confidence"], "confidence", ["detected_at", "confidence"]):
        frame = await read_detections(site, Wanted(columns=columns))
        assert list(frame["confidence"]) == [i / 10 for i in range(10)]


async def test_columns_wanted_twice_come_once(site):
    """A frame with two columns of one name is a trap."""
    assert list((await read_detections(site, Wanted(columns=["camera_id", "camera_id"]))).columns) == [
        "camera_id"
    ]


@pytest.mark.parametrize("kind", [pd.Index, np.array, tuple, iter])
async def test_columns_may_come_in_any_collection(site, kind):
    """Such as those of another frame."""
    frame = await read_detections(site, Wanted(columns=kind(["confidence", "camera_id"])))
    assert list(frame.columns) == ["confidence", "camera_id"]


@pytest.mark.parametrize("columns", [5, [["camera_id"]]])
async def test_columns_that_are_no_names_are_refused(site, columns):
    """With the value seen."""
    with pytest.raises(BadInputError, match=r"columns is .*Allowed: names of columns, or None"):
        await read_detections(site, Wanted(columns=columns))


@pytest.mark.parametrize("name", ["confidense", "id", "Confidence", 'x" FROM cameras --', ""])
async def test_an_unknown_column_is_an_error(site, name):
    """Also one that would be SQL; the names are those of the frame."""
    with pytest.raises(UnknownColumnError, match="There is no column"):
        await read_detections(site, Wanted(columns=[name]))


async def test_secret_columns_are_masked_unless_wanted_by_name(tmp_path):
    """A saved notebook would show them to whoever opens it."""
    columns = {**CAMERAS, "rtsp_password": "TEXT", "RTSP_URL": "TEXT"}
    row = {"id": "front", "rtsp_password": "hidden", "RTSP_URL": "rtsp://hidden"}
    reader = DatabaseReader(make(tmp_path / "x.db", cameras=(columns, [row, {"id": "back"}])))
    frame = await read_cameras(reader)
    assert "hidden" not in frame.to_string() + str(frame.attrs)
    assert list(frame["rtsp_password"].fillna("none")) == ["none", "***"]
    for wanted in ("rtsp_password", ["RTSP_URL"]):
        assert "hidden" in (await read_cameras(reader, columns=wanted)).to_string()
    assert "hidden" not in str((await read_cameras(reader, columns=["rtsp_password"])).attrs)
    await reader.close()


async def test_the_level_of_now_follows_the_cuts_in_force(events_of):
    """Inclusive maxima; the stored level stays what it was."""
    frame = await events_of(
        *({"risk_score": score, "risk_level": "low"} for score in (0, 10, 11, 20, 21, 30, 31, 100, None)),
        cuts=(10, 20, 30),
    )
    levels = ["low", "low", "medium", "medium", "high", "high", "critical", "critical"]
    assert list(frame["risk_level_now"][:8]) == levels
    assert pd.isna(frame["risk_level_now"][8])
    assert set(frame["risk_level"]) == {"low"}
    assert frame.attrs["risk_cuts"] == [10, 20, 30]


async def test_the_level_of_a_score_that_is_none_is_missing(events_of):
    """No comparison with NaN or with text makes a level."""
    frame = await events_of(
        {"risk_score": "75"},
        {"risk_score": "high"},
        {"risk_score": float("inf")},
        {"risk_score": b"\x05"},
        columns={**EVENTS, "risk_score": "BLOB"},
    )
    assert list(frame["risk_score"].fillna(-1)) == [75, -1, -1, -1]
    assert list(frame["risk_level_now"].fillna("none")) == ["high", "none", "none", "none"]


async def test_a_failed_analysis_is_known_by_its_texts(events_of):
    """A score of 50 alone is a score like any other."""
    frame = await events_of(
        {"risk_score": 50, "summary": schema.FAILED_SUMMARY},
        {"risk_score": 50, "reasoning": schema.FAILED_REASONING + ": timed out"},
        {"risk_score": 50, "summary": "A person at the door", "reasoning": "Calm."},
        {"risk_score": 51, "summary": schema.FAILED_SUMMARY},
        {"risk_score": None, "summary": None},
    )
    assert list(frame["is_failed"]) == [True, True, False, False, False]


async def test_without_the_texts_nobody_can_tell_whether_an_analysis_failed(events_of):
    """Saying that it did not would let a score of 50 pass for one."""
    columns = {name: kind for name, kind in EVENTS.items() if name not in ("summary", "reasoning")}
    frame = await events_of({"risk_score": 50}, columns=columns)
    assert frame["is_failed"].isna().all()


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ("[1, 2, 3]", 3),
        ('["1", "2"]', 2),
        ("[]", 0),
        ("1,2,3", 3),
        ("1, 2", 2),
        ("12", 1),
        (12, 1),
        ("", 0),
        ("null", 0),
        ('"[1, 2]"', 2),
        ("none", 0),
        ("[" * 100_000, 0),
        (b"[1, 2]", 2),
        (None, pd.NA),
    ],
    ids=range(14),
)
async def test_detections_of_an_event_are_counted(events_of, stored, expected):
    """JSON of numbers or of strings, or numbers with commas; NULL is not none."""
    frame = await events_of({"detection_ids": stored})
    assert list(frame["n_detections"]) == [expected] or (
        expected is pd.NA and frame["n_detections"].isna().all()
    )


async def test_derived_columns_can_be_wanted_alone(events_of, tmp_path):
    """What they are made of is read, and left out."""
    await events_of({"risk_score": 50, "summary": schema.FAILED_SUMMARY, "detection_ids": "[1]"})
    reader = DatabaseReader(f"sqlite:///{tmp_path}/events.db")
    frame = await read_events(reader, Wanted(columns=["n_detections", "is_failed", "risk_level_now"]))
    assert frame.to_dict("records") == [{"n_detections": 1, "is_failed": True, "risk_level_now": "medium"}]
    await reader.close()


async def test_json_stays_text(events_of):
    """Parsing is for those who ask."""
    assert list((await events_of({"detection_ids": "[1]"}))["detection_ids"]) == ["[1]"]


POSTGRES = """
CREATE TABLE cameras (id varchar PRIMARY KEY, name varchar, rtsp_password varchar, created_at timestamptz);
CREATE TABLE detections (id bigint PRIMARY KEY, camera_id varchar, object_type varchar, confidence float8,
    detected_at timestamptz, bbox_x integer, labels jsonb, embedding numeric);
CREATE TABLE events (id serial PRIMARY KEY, camera_id varchar, started_at timestamp, risk_score integer,
    detection_ids text);
INSERT INTO cameras VALUES ('front', 'F', 'hidden', now()), ('back', 'B', NULL, NULL);
INSERT INTO detections SELECT 9007199254740992 + i, (ARRAY['front', 'back'])[1 + i % 2], 'cat', i / 10.0,
    CASE WHEN i = 10 THEN NULL ELSE timestamptz '2026-01-15 08:00:00+00' + i / 2 * interval '1 s' END,
    i, '["a"]', 1.5 FROM generate_series(1, 10) AS i;
INSERT INTO events (camera_id, started_at, risk_score, detection_ids)
    SELECT 'front', timestamp '2026-01-15 08:00:00' + i * interval '1 s', i * 10, '[1,2]'
    FROM generate_series(0, 9) AS i;
"""


@pytest.fixture
async def postgres(postgres_url: str) -> AsyncIterator[DatabaseReader]:
    """Return a reader of a server that lives in New York, and has naive times in events."""
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(POSTGRES)
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(f"ALTER DATABASE {name} SET timezone = 'America/New_York'")
    await connection.close()
    reader = DatabaseReader(postgres_url)
    yield reader
    await reader.close()


@pytest.mark.parametrize("page", [1, 3, 1000])
async def test_postgres_rows_come_in_the_same_vocabulary(postgres, monkeypatch, page):
    """Ids beyond 2**53 exact, JSON as text, decimals as floats, rows without a time last."""
    monkeypatch.setattr(paging, "_PAGE", page)
    frame = await read_detections(postgres, Wanted())
    assert ids(frame) == [2**53 + i for i in range(1, 11)]
    assert {name: str(frame[name].dtype) for name in schema.DETECTIONS} == dict(schema.DETECTIONS)
    assert (frame["labels"][0], frame["embedding"][0]) == ('["a"]', 1.5)
    assert list(frame["detected_at"].isna()) == [False] * 9 + [True]


@pytest.mark.parametrize("page", [1, 4, 1000])
async def test_postgres_naive_times_are_utc(postgres, monkeypatch, page):
    """Whatever zone the server lives in; bounds and pages find the same rows."""
    monkeypatch.setattr(paging, "_PAGE", page)
    start = START + timedelta(seconds=2)
    frame = await read_events(postgres, Wanted(since=start, until="2026-01-15 08:00:08"))
    assert list(frame["risk_score"]) == [20, 30, 40, 50, 60, 70]
    assert frame["started_at"][0] == start
    assert list(frame["n_detections"]) == [2] * 6


async def test_postgres_conditions_and_limits(postgres):
    """As on SQLite."""
    with pytest.warns(TruncatedWarning, match="showing 2 of 5"):
        frame = await read_detections(postgres, Wanted("back", "cat", START, limit=2))
    assert ids(frame) == [2**53 + 7, 2**53 + 9]
    with pytest.raises(UnknownCameraError, match="did you mean 'front'"):
        await read_detections(postgres, Wanted("fron"))
    with pytest.raises(UnknownColumnError, match="no column 'bbox'"):
        await read_detections(postgres, Wanted(columns=["bbox"]))


async def test_postgres_secrets_are_masked(postgres):
    """Unless wanted by name."""
    assert list((await read_cameras(postgres))["rtsp_password"].fillna("none")) == ["none", "***"]
    assert "hidden" in list((await read_cameras(postgres, columns=["rtsp_password"]))["rtsp_password"])
