"""Bounds on time: every form in which SQLite may hold one, in one table."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from secnb.frames.bounds import time_conditions
from secnb.frames.typed import to_times

zones = st.sampled_from([timezone(timedelta(minutes=n)) for n in (-720, -210, 0, 60, 330, 840)])
any_moments = st.datetimes(datetime(2026, 1, 13), datetime(2026, 1, 17), timezones=st.just(UTC))  # noqa: DTZ001
moments = any_moments | any_moments.map(lambda at: at.replace(minute=0, second=0, microsecond=0))
FORMS = (
    lambda at, zone: at.replace(tzinfo=None).isoformat(" ", "microseconds"),
    lambda at, zone: at.replace(tzinfo=None).isoformat(" "),
    lambda at, zone: at.replace(tzinfo=None).isoformat(),
    lambda at, zone: at.replace(tzinfo=None).isoformat() + "Z",
    lambda at, zone: at.astimezone(zone).isoformat(),
    lambda at, zone: at.astimezone(zone).isoformat(" ", "milliseconds"),
    lambda at, zone: at.astimezone(zone).isoformat(" ", "seconds"),
    lambda at, zone: at.astimezone(zone).isoformat("T", "minutes"),
    lambda at, zone: f"{at.astimezone(zone):%Y-%m-%dT%H:%M:%S%z}",
    lambda at, zone: f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S.%f %z}",
    lambda at, zone: f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S%z}".removesuffix("00"),
    lambda at, zone: f"{at:%Y-%m-%d %H:%M}",
    lambda at, zone: f"{at:%Y-%m-%dT%H}",
    lambda at, zone: f"{at:%Y-%m-%d}",
)
stored = st.builds(lambda form, at, zone: form(at, zone), st.sampled_from(FORMS), moments, zones)


def found(texts: list[str], since: datetime | None, until: datetime | None) -> list[str]:
    """Return what SQLite finds, in the order given."""
    where, params = time_conditions('"at"', since, until, dialect="sqlite")
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, at DATETIME)")
        database.executemany("INSERT INTO t (at) VALUES (?)", [[text] for text in texts])
        rows = database.execute(
            f"SELECT at FROM t WHERE {' AND '.join(where) or '1'} ORDER BY id", params
        ).fetchall()
    return [row[0] for row in rows]


@given(st.lists(stored, max_size=8), st.none() | moments, st.none() | moments)
@example(["2026-01-15T08:00:00+00:00"], datetime(2026, 1, 15, 8, tzinfo=UTC), None)
@example(["2026-01-15T07:59:59.999999Z"], datetime(2026, 1, 15, 8, tzinfo=UTC), None)
@example(["2026-01-15 08:00:00+00", "2026-01-15T08:00"], datetime(2026, 1, 15, 8, tzinfo=UTC), None)
@example(["2026-01-15"], datetime(2026, 1, 15, tzinfo=UTC), None)
@example(["2026-01-15 22:00:00.000001+14:00"], None, datetime(2026, 1, 15, 8, tzinfo=UTC))
def test_bounds_are_right_whatever_the_form(texts, since, until):
    """As text, T sorts after a space, and an offset counts for nothing."""
    times = [time.to_pydatetime() for time in to_times(texts)]
    expected = [
        text
        for text, time in zip(texts, times, strict=True)
        if (since is None or time >= since) and (until is None or time < until)
    ]
    assert found(texts, since, until) == expected


@pytest.mark.parametrize("text", ["garbage", "", "2026-01-15T08:00:00+99:99", "2026-01-15 08-00:00+00:00"])
def test_what_is_no_time_is_no_error(text):
    """It is found or not, as text compares."""
    assert found([text], datetime(2026, 1, 15, tzinfo=UTC), datetime(2026, 1, 16, tzinfo=UTC)) in ([], [text])


@pytest.mark.parametrize("year", [1, 9999])
def test_bounds_at_the_ends_of_all_years(year):
    """Two days beyond them there is no date."""
    end = datetime(year, 1, 1, tzinfo=UTC) if year == 1 else datetime(year, 12, 31, 23, tzinfo=UTC)
    texts = ["0001-01-01 00:00:00", "2026-01-15T08:00:00Z", "9999-12-31 23:30:00"]
    assert found(texts, end, None) == (texts if year == 1 else texts[2:])
    assert found(texts, None, end) == ([] if year == 1 else texts[:2])


def test_an_index_on_the_time_serves_the_bounds():
    """Otherwise each page of a large table would read all of it."""
    since = datetime(2026, 1, 15, tzinfo=UTC)
    where, params = time_conditions('"at"', since, since + timedelta(days=9), dialect="sqlite")
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, at DATETIME); CREATE INDEX i ON t (at)"
        )
        plan = database.execute(f"EXPLAIN QUERY PLAN SELECT * FROM t WHERE {' AND '.join(where)}", params)
        assert "INDEX i (at>? AND at<?)" in plan.fetchone()[-1]


def test_postgres_compares_times_themselves():
    """It stores none as text."""
    since = datetime(2026, 1, 15, tzinfo=UTC)
    assert time_conditions('"at"', since, None, dialect="postgresql") == (
        ['"at" >= :since'],
        {"since": since},
    )
