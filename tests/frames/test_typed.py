"""Rows become frames: the dtypes are those of the vocabulary, and nothing is invented, rounded or lost."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secnb import schema
from secnb.frames.typed import (
    MASK,
    empty_series,
    guess_series,
    mask_secrets,
    to_columns,
    to_frame,
    to_series,
    to_times,
)
from secnb.schema import TIME

SCHEMAS = {
    name: getattr(schema, name)
    for name in ("CAMERAS", "DETECTIONS", "EVENTS", "TRUTH", "MESSAGES", "QUEUES", "HEALTH", "SETTINGS")
}
DTYPES = ("Int64", "float64", "boolean", "str", TIME, "object")
EAST, WEST = timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))
UGLY = [
    *(None, float("nan"), math.inf, -math.inf, pd.NaT, pd.NA),
    *(0, -1, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 10**400, True, 1.0, 0.5),
    *("", "1", " 12 ", "1_0", "1e3", "nan", "inf", "x", "\ud83d", "a\x00b", "é", "<b>", "9" * 5000),
    *(b"1", b"\xff\xfe", b""),
    *(Decimal(1), Decimal("0.1"), Decimal("NaN"), Decimal("Infinity"), Decimal("1E+999999")),
    *([1], (1, 2), {"a": 1}, set(), object(), range(3)),
    *(datetime(2026, 1, 1), datetime(1, 1, 1), datetime(1, 1, 1, tzinfo=EAST)),  # noqa: DTZ001
    datetime(9999, 12, 31, 23, 59, 59, tzinfo=WEST),
    *(date(2026, 1, 1), time(1, 2), timedelta(1), np.int64(5), np.float64(0.5), np.True_),
    *("2026-01-01", "now", "today", "2026-02-30", "99999-01-01", "9999-12-31T23:59:59-12:00"),
]

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
int64s = st.integers(-(2**63), 2**63 - 1)
utc_times = st.datetimes(timezones=st.just(UTC))
RIGHT = {
    "Int64": int64s,
    "float64": st.floats(allow_nan=False),
    "boolean": st.booleans(),
    "str": texts,
    TIME: utc_times,
    "object": st.binary(max_size=20) | st.lists(st.integers(), max_size=3),
}


def values_of(series: pd.Series) -> list:
    """Return plain Python values, None where one is missing."""
    return [
        None if each is None or each is pd.NA or each is pd.NaT or each != each else each for each in series
    ]


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("columns", [{}, "empty"])
def test_no_rows_keep_columns_and_dtypes(name, columns):
    """An empty result is a frame like any other."""
    wanted = SCHEMAS[name]
    frame = to_frame(dict.fromkeys(wanted, ()) if columns == "empty" else {}, wanted)
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == dict(wanted)
    assert (len(frame), frame.attrs) == (0, {})


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("value", UGLY, ids=lambda value: repr(value).partition(" at 0x")[0][:30])
def test_no_value_changes_a_dtype(name, value):
    """Whatever a column holds, its frame has the dtypes of the vocabulary, and can be shown."""
    wanted = SCHEMAS[name]
    frame = to_frame({each: [value, None] for each in wanted}, wanted)
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == dict(wanted)
    assert frame.to_html()
    assert repr(frame)
    json.loads(frame.select_dtypes("str").to_json())


@pytest.mark.parametrize("dtype", [*DTYPES, "int64"])
@pytest.mark.parametrize("value", UGLY, ids=lambda value: repr(value).partition(" at 0x")[0][:30])
def test_what_was_there_is_read_or_counted(dtype, value):
    """A value that becomes missing is counted; one that was missing is not."""
    series, n_unreadable = to_series([value, None], dtype)
    was_there = not (pd.api.types.is_scalar(value) and pd.isna(value))
    # Not a number, where a float was asked for, is missing by any name.
    assert n_unreadable == int(was_there and pd.api.types.is_scalar(series[0]) and bool(pd.isna(series[0])))
    assert pd.isna(series[1])


@settings(deadline=None)
@given(
    st.data(),
    st.sampled_from([dtype for dtype in DTYPES if dtype != "object"]),
    st.integers(0, 5),
)
def test_rows_to_frame_to_rows_is_the_identity(data, dtype, n_rows):
    """What a dtype can hold comes back as it went in, missing values too."""
    values = data.draw(st.lists(st.none() | RIGHT[dtype], min_size=n_rows, max_size=n_rows))
    frame = to_frame({"x": values}, {"x": dtype})
    assert values_of(frame["x"]) == values
    assert "unreadable" not in frame.attrs


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(-5, 5), min_size=3, max_size=3), max_size=4))
def test_rows_become_columns_and_rows_again(rows):
    """Neither a row nor its order is lost."""
    columns = to_columns(["a", "b", "c"], rows)
    assert [list(row) for row in zip(*columns.values(), strict=True)] == rows


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "a_2", "a_3", "b"]), max_size=6))
def test_a_column_that_occurs_twice_is_not_lost(names):
    """Whatever the other columns are called, each has a name of its own, and the first keeps its own."""
    columns = to_columns(names, [tuple(range(len(names)))])
    assert [values[0] for values in columns.values()] == list(range(len(names)))
    assert all(names.index(name) == columns[name][0] for name in set(names))
    assert list(to_columns(names, [])) == list(columns)


@pytest.mark.parametrize("value", [2**53 + 1, 2**63 - 1, -(2**63)])
@pytest.mark.parametrize("form", [int, str, Decimal, lambda value: str(value).encode(), np.int64])
def test_an_id_never_passes_through_a_float(value, form):
    """A float would round it, beside a missing one too."""
    series, n_unreadable = to_series([form(value), None], "Int64")
    assert (series[0], n_unreadable) == (value, 0)
    assert str(to_series([form(value)], "int64")[0].dtype) == "int64"


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 0.5, "1_0", "1e3", math.inf, Decimal("1E+999999")])
def test_what_is_no_id_is_missing_and_counted(value):
    """Rounding it, or reading 1_0 as 10, would invent an id."""
    series, n_unreadable = to_series([value], "Int64")
    assert (series.isna().all(), n_unreadable) == (True, 1)


def test_integers_too_large_for_a_float_are_unreadable_as_one():
    """They neither raise nor become infinite."""
    series, n_unreadable = to_series([10**400, 0.25, "0.5", Decimal("0.75"), True], "float64")
    assert values_of(series) == [None, 0.25, 0.5, 0.75, 1.0]
    assert n_unreadable == 1


def test_infinity_is_a_number_and_nan_is_missing():
    """A score may be infinite; NaN is what a database without NULL writes for missing."""
    series, n_unreadable = to_series([math.inf, -math.inf, math.nan, Decimal("NaN")], "float64")
    assert values_of(series) == [math.inf, -math.inf, None, None]
    assert n_unreadable == 0


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, True),
        (0, False),
        (1.0, True),
        (True, True),
        ("TRUE", True),
        ("f", False),
        (b"0", False),
        (Decimal(1), True),
        (np.False_, False),
        (2, None),
        ("yes", None),
        (math.inf, None),
        ([], None),
    ],
)
def test_truth_values(value, expected):
    """Databases write them as numbers, words and letters; anything else is unreadable."""
    series, n_unreadable = to_series([value], "boolean")
    assert values_of(series) == [expected]
    assert n_unreadable == (expected is None)


def test_lone_surrogates_and_bytes_become_text_that_can_be_shown():
    """Their escapes can be printed and stored; they themselves cannot."""
    series, _ = to_series(["\ud83d.jpg", b"\xffA", b"caf\xc3\xa9", "😀"], "str")
    assert list(series) == ["\\ud83d.jpg", "\\xffA", "café", "😀"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-01-15 08:00:00.000001", "2026-01-15 08:00:00.000001"),
        ("2026-01-15T08:00:00Z", "2026-01-15 08:00"),
        ("2026-01-15 08:00:00+02", "2026-01-15 06:00"),
        ("2026-01-15T08:00:00+05:30", "2026-01-15 02:30"),
        ("2026-01-15T08:00:00.123456789", "2026-01-15 08:00:00.123456"),
        (datetime(2026, 1, 15, 8), "2026-01-15 08:00"),  # noqa: DTZ001
        (datetime(2026, 1, 15, 8, tzinfo=EAST), "2026-01-14 18:00"),
        (date(2026, 1, 15), "2026-01-15"),
        ("0001-01-01", "0001-01-01"),
        ("9999-12-31T23:59:59.999999", "9999-12-31 23:59:59.999999"),
    ],
)
def test_times_are_utc(value, expected):
    """Naive ones are UTC, others are moved there, to the microsecond."""
    assert list(to_times([value])) == [pd.Timestamp(expected, tz=UTC)]


@pytest.mark.parametrize(
    "value",
    [
        *("now", "today", "", "NaT", "12", "1767225600", "2026-02-30", "2026-01-01T25:00", "99999-01-01"),
        *(1767225600, 1.5, True, b"2026-01-01", [1], time(1), timedelta(1), np.int64(5)),
        *("9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00", datetime(1, 1, 1, tzinfo=EAST)),
    ],
)
def test_what_is_no_time_is_missing_and_counted(value):
    """Neither guessed, nor the time of the reading, nor beyond the years that a datetime has."""
    series, n_unreadable = to_series([value], TIME)
    assert (series.isna().all(), n_unreadable) == (True, 1)


def test_one_value_with_nanoseconds_costs_no_other_its_time():
    """Pandas would then hold all in nanoseconds, which end in 2262."""
    given = ["2026-01-01T00:00:00.123456789", "9999-12-31", "0001-01-01", "garbage"]
    assert list(to_times(given).notna()) == [True, True, True, False]


def test_unreadable_values_are_counted_by_column():
    """And only those that are there."""
    frame = to_frame(
        {"n": ["x", 1, None], "t": ["x", "y", None], "s": [b"\xff", "", None]},
        {"n": "Int64", "t": TIME, "s": "str"},
    )
    assert frame.attrs == {"unreadable": {"n": 1, "t": 2}}


def test_other_columns_come_after_the_vocabulary():
    """In their own order and in a dtype of their own."""
    frame = to_frame({"z": [1], "a": ["x"], "camera_id": ["front"]}, {"camera_id": "str", "name": "str"})
    assert list(frame.columns) == ["camera_id", "name", "z", "a"]
    assert values_of(frame["name"]) == [None]
    assert str(frame["z"].dtype) == "Int64"


@pytest.mark.parametrize(
    ("values", "name", "dtype"),
    [
        ([1, None], "x", "Int64"),
        ([2**53 + 1, None], "x", "Int64"),
        ([2**64 + 1, None], "x", "object"),
        ([0.5, 1], "x", "float64"),
        ([2**53 + 1, 0.5], "x", "object"),
        ([Decimal(2**53 + 1), None], "x", "Int64"),
        ([Decimal("1.50"), Decimal(1)], "x", "float64"),
        ([Decimal("NaN"), Decimal("0.5")], "x", "float64"),
        ([Decimal(2**64), Decimal(1)], "x", "object"),
        ([10**400, 0.5], "x", "object"),
        ([True, None], "x", "boolean"),
        ([True, 1], "x", "object"),
        (["a", None], "x", "str"),
        (["a", b"\xff"], "x", "object"),
        ([None], "x", "object"),
        ([None], "created_at", TIME),
        ([], "created_at", TIME),
        (["2026-01-01", None], "created_at", TIME),
        (["2026-01-01", "soon"], "created_at", "str"),
        (["2026-01-01"], "name", "str"),
        ([1767225600], "created_at", "Int64"),
        ([b"\x00"], "created_at", "object"),
    ],
)
def test_a_free_query_gets_dtypes_without_loss(values, name, dtype):
    """Where no dtype holds all values exactly, they stay as they are."""
    series = guess_series(values, name)
    assert str(series.dtype) == dtype
    if dtype in ("Int64", "object", "float64"):
        known = [(a, b) for a, b in zip(series, values, strict=True) if not pd.isna(b)]
        assert all(found == value for found, value in known)


@settings(deadline=None)
@given(st.lists(st.sampled_from(UGLY), max_size=4), st.sampled_from(["x", "x_at", "timestamp"]))
def test_guessing_never_fails(values, name):
    """Whatever the driver hands over, in any company."""
    assert len(guess_series(values, name)) == len(values)


def test_booleans_beside_any_kind_of_missing_stay_booleans():
    """NaT is missing there too."""
    assert guess_series([pd.NaT, True, None], "x_at").tolist() == [pd.NA, True, pd.NA]


@pytest.mark.parametrize("name", ["rtsp_password", "RTSP_URL", "api_key", "rtsp_password_2"])
def test_secret_columns_are_masked_unless_wanted_by_name(name):
    """Also the second one of a join, which has a number; missing ones stay missing."""
    columns = {name: ["hidden", None], "name": ["front", "back"]}
    assert mask_secrets(columns) == {name: [MASK, None], "name": ["front", "back"]}
    assert mask_secrets(columns, wanted=[name]) == columns


@pytest.mark.parametrize("dtype", DTYPES)
def test_missing_columns_are_missing_in_every_row(dtype):
    """And have the dtype that they would have had."""
    series = empty_series(dtype, 2)
    assert (str(series.dtype), series.isna().all()) == (dtype, True)


@pytest.mark.parametrize("others", [[], [1], [b"\xff", None]])
def test_a_lone_surrogate_among_other_values_can_be_shown(others):
    """A notebook sends what it shows as UTF-8; bytes stay what they are."""
    series = guess_series(["\ud83d", *others], "x")
    assert list(series) == ["\\ud83d", *others]
    assert series.to_frame().to_html().encode("utf-8")


WITHOUT_ARROW = """
import sys
if sys.argv[1] == "without":
    sys.modules["pyarrow"] = None  # before pandas looks for it
import pandas as pd
from secnb.frames.growing import GrowingFrame
from secnb.frames.typed import guess_series, to_frame
pages = [["a", None, "\\ud83d"], [None], ["", "caf\\u00e9", "x" * 3], [b"\\xff", 1, 2.5]]
growing = GrowingFrame({"x": None, "s": "str"})
for page in pages:
    growing.add({"x": page, "s": page}, len(page))
frames = [growing.to_frame(), to_frame({"n": pages[0], "s": pages[0]}, {"n": "float64", "s": "str"})]
texts = [guess_series(page, name) for page in pages for name in ("x", "x_at")]
frames += [text.to_frame("x") for text in texts]
print([(frame.to_dict("list"), dict(frame.dtypes.map(str)), frame.attrs) for frame in frames])
print(frames[1].to_html())
print(frames[1]["s"].dtype.storage, file=sys.stderr)
"""


def test_values_are_the_same_without_pyarrow():
    """It is an extra; text is then held as Python objects."""
    pytest.importorskip("pyarrow", reason="pyarrow is missing, so everything here is without it")
    done = [
        subprocess.run(
            [sys.executable, "-c", WITHOUT_ARROW, way], capture_output=True, text=True, timeout=60, check=True
        )
        for way in ("with", "without")
    ]
    assert done[0].stdout == done[1].stdout
    assert [each.stderr.split() for each in done] == [["pyarrow"], ["python"]]
