"""Frames that grow page by page: in the end they are what one conversion would have given."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secnb.core.postgres_reader import OddTime
from secnb.frames.growing import GrowingFrame
from secnb.frames.typed import guess_series, to_series
from secnb.schema import TIME

STORED = "2026-01-15 08:00:00.000001"
# Each is a kind of column; a page may be of any, which is what drift is.
KINDS = (
    st.none(),
    st.integers(-5, 5) | st.sampled_from([2**53 + 1, 2**63 - 1]),
    st.sampled_from([2**63, -(2**63) - 1]),
    st.floats(allow_nan=False, width=16),
    st.booleans(),
    st.sampled_from(["a", "", "é", "\ud83d", "soon"]),
    st.sampled_from([STORED, "1999-12-31 23:59:59.999999"]),
    st.sampled_from([STORED, "2026-01-15", "2026-01-15T08:00:00+02:00"]),
    st.binary(max_size=2),
    st.sampled_from([Decimal(1), Decimal("0.5")]),
    st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.sampled_from([date(2026, 1, 1)]),
)
pages_of_anything = st.lists(
    st.sampled_from(KINDS).flatmap(lambda kind: st.lists(st.none() | kind, max_size=3)), max_size=4
)


def grown(pages: list[list], dtype: str | None, *, name: str = "x", **options) -> pd.DataFrame:
    """Return the frame of one column whose pages came one after the other."""
    growing = GrowingFrame({name: dtype}, **options)
    for page in pages:
        growing.add({name: page}, len(page))
    return growing.to_frame()


@given(pages_of_anything, st.sampled_from(["x", "x_at"]))
def test_a_guess_is_that_of_all_values_at_once(pages, name):
    """Whatever the first page looks like, and however the later ones drift."""
    whole = guess_series([value for page in pages for value in page], name)
    pd.testing.assert_series_equal(grown(pages, None, name=name)[name], whole, check_names=False)


@given(pages_of_anything, st.sampled_from(["Int64", "float64", "boolean", "str", TIME, "object"]))
def test_a_dtype_of_the_vocabulary_holds_from_page_to_page(pages, dtype):
    """And the values that could not be read add up."""
    whole, n_unreadable = to_series([value for page in pages for value in page], dtype)
    frame = grown(pages, dtype)
    pd.testing.assert_series_equal(frame["x"], whole, check_names=False)
    assert frame.attrs.get("unreadable", {}) == ({"x": n_unreadable} if n_unreadable else {})


@given(st.lists(st.lists(st.integers(), max_size=3), max_size=4))
def test_pages_may_come_from_the_end(pages):
    """Each then goes before those that are there."""
    assert list(grown(pages[::-1], "Int64", is_backwards=True)["x"]) == list(grown(pages, "Int64")["x"])


@pytest.mark.parametrize("kind", ["time", "number", "text"])
@given(st.lists(st.tuples(st.none() | st.integers(0, 3), st.none() | st.integers(0, 3)), max_size=8))
def test_rows_are_sorted_by_several_columns_what_is_missing_last(kind, rows):
    """In the order in which they came where all of them tie."""
    make = {
        "time": lambda n: datetime(2026, 1, 1 + n, tzinfo=UTC),
        "number": lambda n: n,
        "text": lambda n: "abcd"[n],
    }[kind]
    first = [None if a is None else make(a) for a, _ in rows]
    growing = GrowingFrame(
        {"a": {"time": TIME, "number": "Int64", "text": "str"}[kind], "b": "Int64", "n": None}
    )
    growing.add({"a": first, "b": [b for _, b in rows], "n": list(range(len(rows)))}, len(rows))
    expected = sorted(range(len(rows)), key=lambda i: tuple((v is None, v or 0) for v in rows[i]))
    frame = growing.to_frame(sort_by=["a", "b"], without=["b"])
    assert (list(frame["n"]), list(frame.columns)) == (expected, ["a", "n"])
    assert list(frame.index) == list(range(len(rows)))


def test_a_column_that_a_page_lacks_is_missing_there():
    """Its other pages keep what they have."""
    growing = GrowingFrame({"a": "Int64", "b": None})
    growing.add({"a": [1], "b": ["x"]}, 1)
    growing.add({}, 2)
    frame = growing.to_frame()
    assert [list(frame[name].isna()) for name in frame] == [[False, True, True]] * 2


def test_no_page_leaves_the_columns():
    """In their order and dtypes; what nobody knows is an object."""
    frame = GrowingFrame({"b": None, "a": "Int64", "c_at": None}).to_frame()
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {
        "b": "object",
        "a": "Int64",
        "c_at": TIME,
    }


def test_times_beyond_all_years_are_missing_and_counted():
    """PostgreSQL has them; elsewhere they are the text that the database writes."""
    values = [datetime(2026, 1, 1, tzinfo=UTC), OddTime("0044-03-15 00:00:00+00 BC"), None]
    frame = grown([values[:1], values[1:]], None, name="x_at")
    assert (str(frame["x_at"].dtype), list(frame["x_at"].isna())) == (TIME, [False, True, True])
    assert frame.attrs == {"unreadable": {"x_at": 1}}
    assert list(grown([values], None)["x"]) == values
