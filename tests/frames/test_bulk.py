"""Arrow becomes the same frame as plain rows, whatever a table holds."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secnb.core import bulk_reader, stoppable
from secnb.core.bulk_process import missing_part
from secnb.core.reader import DatabaseReader
from secnb.frames import paging
from secnb.frames.paging import Selection, read_pages, read_query
from secnb.schema import TIME

pytest.importorskip("adbc_driver_sqlite", reason="the extra bulk is missing")
pytestmark = pytest.mark.skipif(missing_part("sqlite") is not None, reason="no file can be handed over")

MANY = settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    database=None,
)
DTYPES = ["Int64", "float64", "str", "boolean", TIME, None]
SECONDS = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31))  # noqa: DTZ001
INTEGERS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)
# What a SQLite column may hold; the last ones drift.
STORED = {
    "integers": INTEGERS,
    "flags": st.integers(0, 1),
    "floats": st.floats(allow_nan=False),
    "texts": st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    "numbers as text": st.integers().map(str),
    "stored times": SECONDS.map(lambda stamp: stamp.isoformat(" ", "microseconds")),
    "other times": SECONDS.map(datetime.isoformat),
    "nothing": st.none(),
    "numbers": st.one_of(st.integers(0, 9), st.floats(0, 1)),
    "anything": st.one_of(INTEGERS, st.floats(allow_nan=False), TEXTS, st.binary(max_size=3)),
}
# What a PostgreSQL column may hold: its type, and values of it as JSON.
TYPED = {
    "bigint": INTEGERS,
    "integer": st.integers(-(2**31), 2**31 - 1),
    "smallint": st.integers(-(2**15), 2**15 - 1),
    "float8": st.floats(allow_nan=False, allow_infinity=False),
    "real": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
    "varchar": TEXTS,
    "char(3)": st.text("ab ", max_size=3),
    "jsonb": st.dictionaries(st.sampled_from("ab"), st.integers() | st.sampled_from("xy"), max_size=2),
    "timestamptz": SECONDS.map(lambda stamp: stamp.replace(tzinfo=UTC).isoformat()),
    "timestamp": SECONDS.map(datetime.isoformat),
    "numeric": st.integers(-99, 99),
    "date": SECONDS.map(lambda stamp: stamp.date().isoformat()),
}


@pytest.fixture
def small_is_large(monkeypatch):
    """Let tables of a few rows take the way of large ones, in pages of a few rows."""
    monkeypatch.setattr(bulk_reader, "BULK_FROM", 1)
    monkeypatch.setattr(stoppable, "_PAGE", 2)
    monkeypatch.setattr(paging, "_FIRST_PAGE", 2)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Return an event loop for tests whose examples share a reader."""
    with asyncio.Runner() as runner:
        yield runner.get_loop()


@pytest.fixture
def sqlite(tmp_path, loop):
    """Return a connection that writes, and a reader of its file whose process runs."""
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        # A header tells that it is a database.
        writer.execute("CREATE TABLE header (x)")
        reader = DatabaseReader(f"sqlite:///{path}")
        loop.run_until_complete(warm(reader))
        yield writer, reader
        loop.run_until_complete(reader.close())


@pytest.fixture
def postgres(postgres_url, loop):
    """Return an asyncpg connection that writes, and a reader whose process runs."""
    asyncpg = pytest.importorskip("asyncpg")
    pytest.importorskip("adbc_driver_postgresql")
    writer = loop.run_until_complete(asyncpg.connect(postgres_url))
    reader = DatabaseReader(postgres_url)
    loop.run_until_complete(warm(reader))
    yield writer, reader
    loop.run_until_complete(reader.close())
    loop.run_until_complete(writer.close())


async def warm(reader: DatabaseReader) -> None:
    """Wait until the reader process of a reader runs."""
    async with asyncio.timeout(30):
        while reader._bulk.why_not() is not None:
            await asyncio.sleep(0.01)


def both_ways(loop, reader, read):
    """Return what is read by the reader process, if it can be, and what the kernel reads."""
    tried = loop.run_until_complete(read())
    reader._bulk._failure = "switched off"
    try:
        plain = loop.run_until_complete(read())
    finally:
        reader._bulk._failure = None
    loop.run_until_complete(warm(reader))
    assert plain.attrs["path"] == "rows"
    assert tried.attrs["path"] == "arrow" or "why_rows" in tried.attrs
    assert tried.attrs.get("unreadable") == plain.attrs.get("unreadable")
    return tried, plain


def columns_of(kinds):
    """Return a strategy for a table: kinds of columns, and rows in which values are often missing."""
    column = st.sampled_from(sorted(kinds))
    return st.lists(column, min_size=1, max_size=5).flatmap(
        lambda chosen: st.tuples(
            st.just(chosen),
            st.lists(st.tuples(*(st.none() | kinds[each] for each in chosen)), min_size=3, max_size=12),
        )
    )


@MANY
@given(table=columns_of(STORED), data=st.data())
def test_sqlite_gives_the_same_either_way(small_is_large, loop, sqlite, table, data):
    """A free query, whose values decide the dtypes, and a table with dtypes of the vocabulary."""
    writer, reader = sqlite
    kinds, rows = table
    names = [f"c{i}_at" if "times" in kind else f"c{i}" for i, kind in enumerate(kinds)]
    writer.execute("DROP TABLE IF EXISTS t")
    writer.execute(f"CREATE TABLE t (id INTEGER PRIMARY KEY, {', '.join(names)})")
    writer.executemany(f"INSERT INTO t VALUES (NULL{', ?' * len(names)})", rows)
    tried, plain = both_ways(loop, reader, lambda: read_query(reader, "SELECT * FROM t"))
    pd.testing.assert_frame_equal(tried, plain)
    dtypes = {name: data.draw(st.sampled_from(DTYPES)) for name in names}
    selection = Selection("t", {name: name for name in names})
    tried, plain = both_ways(loop, reader, lambda: read_pages(reader, selection, dtypes))
    pd.testing.assert_frame_equal(tried, plain)


@settings(MANY, max_examples=20)
@given(table=columns_of(TYPED))
def test_postgres_gives_the_same_either_way(small_is_large, loop, postgres, table):
    writer, reader = postgres
    kinds, rows = table
    names = [f"c{i}_at" if "time" in kind else f"c{i}" for i, kind in enumerate(kinds)]
    columns = ", ".join(f"{name} {kind}" for name, kind in zip(names, kinds, strict=True))
    written = json.dumps([dict(zip(names, row, strict=True)) for row in rows])
    fill = f"INSERT INTO t SELECT * FROM json_to_recordset($1::json) AS r({columns})"
    loop.run_until_complete(writer.execute(f"DROP TABLE IF EXISTS t; CREATE TABLE t ({columns})"))
    loop.run_until_complete(writer.execute(fill, written))
    tried, plain = both_ways(loop, reader, lambda: read_query(reader, "SELECT * FROM t"))
    pd.testing.assert_frame_equal(tried, plain)
    is_plain = not {"numeric", "date"} & set(kinds)
    assert tried.attrs["path"] == "arrow" or not is_plain


DRIFT = {
    "int, then text": ("CASE WHEN i < 5 THEN i ELSE 'a' END", "more than one type"),
    "int, then float": ("CASE WHEN i < 5 THEN i ELSE 0.5 END", "more than one type"),
    "text, then int": ("CASE WHEN i < 5 THEN 'a' ELSE i END", "more than one type"),
    "text, then bytes": ("CASE WHEN i < 5 THEN 'a' ELSE x'61' END", "more than one type"),
    "float, then int": ("CASE WHEN i < 5 THEN 0.5 ELSE i END", "more than one type"),
    "NULL, then bytes": ("CASE WHEN i > 5 THEN x'61' END", "holds values of the type blob"),
    "bytes": ("x'61'", "column 'x' holds bytes"),
    "both at once": ("CASE WHEN i % 2 THEN i ELSE 'a' END", "column 'x' holds int and str"),
}
NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9)"


@pytest.mark.parametrize(("value", "why"), DRIFT.values(), ids=DRIFT)
def test_drift_is_read_in_the_kernel_and_said(small_is_large, loop, sqlite, value, why):
    _, reader = sqlite
    query = f"{NUMBERS} SELECT {value} AS x FROM n"
    tried, plain = both_ways(loop, reader, lambda: read_query(reader, query))
    pd.testing.assert_frame_equal(tried, plain)
    assert (tried.attrs["path"], len(tried)) == ("rows", 9)
    assert why in tried.attrs["why_rows"]


LED = {
    "text": ("CASE WHEN i > 5 THEN 'a' END", "str"),
    "float": ("CASE WHEN i > 5 THEN 0.5 END", "float64"),
    "int": ("CASE WHEN i > 5 THEN i END", "Int64"),
    "nothing": ("NULL", "object"),
}


@pytest.mark.parametrize(("value", "dtype"), LED.values(), ids=LED)
def test_columns_that_begin_with_nulls_come_as_arrow(small_is_large, loop, sqlite, value, dtype):
    """Two of them, of which the other one begins later."""
    _, reader = sqlite
    query = f"{NUMBERS} SELECT {value} AS x, CASE WHEN i > 7 THEN 'b' END AS y FROM n"
    tried, plain = both_ways(loop, reader, lambda: read_query(reader, query))
    pd.testing.assert_frame_equal(tried, plain)
    assert (tried.attrs["path"], str(tried["x"].dtype)) == ("arrow", dtype)


def test_numbers_that_json_cannot_write_come_as_arrow(small_is_large, loop, postgres):
    """Whole numbers that no float holds, and floats that are no numbers."""
    _, reader = postgres
    query = """SELECT 9223372036854775807 - i AS n, CASE WHEN i > 5 THEN 'NaN'::real END AS y,
        (ARRAY['NaN', 'Infinity', '-Infinity', NULL])[i % 4 + 1]::float8 AS x
        FROM generate_series(1, 9) AS i"""
    tried, plain = both_ways(loop, reader, lambda: read_query(reader, query))
    pd.testing.assert_frame_equal(tried, plain, check_exact=True)
    assert (tried.attrs["path"], tried["n"].iloc[-1]) == ("arrow", 2**63 - 10)


TIMES = {"infinity": "infinity", "before Christ": "0044-03-15 BC", "year 20000": "20000-01-01"}


@pytest.mark.parametrize("stamp", TIMES.values(), ids=TIMES)
def test_times_beyond_python_are_read_in_the_kernel(small_is_large, loop, postgres, stamp):
    """The kernel prefetches some rows, and may meet such a time before the reader process does."""
    _, reader = postgres
    query = f"""SELECT CASE WHEN i = 9 THEN '{stamp}'::timestamptz
        ELSE '2026-01-01'::timestamptz + i * interval '1 s' END AS seen_at FROM generate_series(1, 9) AS i"""
    tried, plain = both_ways(loop, reader, lambda: read_query(reader, query))
    pd.testing.assert_frame_equal(tried, plain)
    assert tried.attrs["path"] == "rows"
    assert re.search("beyond the years 1 to 9999|values that Python cannot", tried.attrs["why_rows"])


def test_types_that_adbc_cannot_read_come_as_text(small_is_large, loop, postgres):
    """As later generations have them for their search; a column may also begin with NULLs."""
    _, reader = postgres
    query = """SELECT 'a b'::tsvector AS v, CASE WHEN i > 7 THEN 'c d'::tsvector END AS w, i::text::money AS m
        FROM generate_series(1, 9) AS i"""
    tried, plain = both_ways(loop, reader, lambda: read_query(reader, query))
    pd.testing.assert_frame_equal(tried, plain)
    assert (tried.attrs["path"], tried["v"][0], str(tried["w"].dtype)) == ("arrow", "'a' 'b'", "str")


def test_parameters_go_along(small_is_large, loop, postgres, sqlite):
    given_at = datetime(2026, 1, 1, tzinfo=UTC)
    params = {"names": ["a", "b"], "least": 2, "half": 0.5, "at": given_at, "flag": True, "none": None}
    for (_, reader), table in (
        (postgres, "SELECT i, 'a'::text AS name FROM generate_series(1, 9) AS i"),
        (sqlite, f"SELECT * FROM ({NUMBERS} SELECT i, 'a' AS name FROM n)"),
    ):
        query = (
            f"SELECT *, CAST(:half AS float) AS half FROM ({table}) AS t WHERE name IN :names "
            "AND i >= :least AND :flag AND :at IS NOT NULL AND CAST(:none AS integer) IS NULL"
        )
        tried, plain = both_ways(loop, reader, lambda r=reader, q=query: read_query(r, q, params))
        pd.testing.assert_frame_equal(tried, plain)
        assert (tried.attrs["path"], tried["i"].tolist()) == ("arrow", list(range(2, 10)))


def test_a_limit_of_a_table_takes_the_newest_and_those_without_a_time(small_is_large, loop, sqlite):
    writer, reader = sqlite
    writer.execute("CREATE TABLE seen (id INTEGER PRIMARY KEY, seen_at DATETIME)")
    stamps = [f"2026-01-01 00:00:{i:02}.000000" if i % 3 else None for i in range(12)]
    writer.executemany("INSERT INTO seen (seen_at) VALUES (?)", [(each,) for each in stamps])
    selection = Selection("seen", {"n_id": "id", "seen_at": "seen_at"}, ordered_by="seen_at", limit=10)
    read = lambda: read_pages(reader, selection, {"n_id": "Int64", "seen_at": TIME})  # noqa: E731
    with pytest.warns(UserWarning, match="showing 10 of 12 seen"):
        tried, plain = both_ways(loop, reader, read)
    pd.testing.assert_frame_equal(tried, plain)
    assert (tried.attrs["path"], tried["seen_at"].isna().sum()) == ("arrow", 2)


def test_text_that_is_not_utf8_is_read_in_the_kernel(small_is_large, loop, sqlite):
    writer, reader = sqlite
    writer.execute("CREATE TABLE odd (x TEXT)")
    writer.execute("INSERT INTO odd VALUES ('a'), ('b'), ('c'), ('d'), (CAST(x'ff' AS TEXT))")
    tried, plain = both_ways(loop, reader, lambda: read_query(reader, "SELECT x FROM odd"))
    pd.testing.assert_frame_equal(tried, plain)
    assert tried["x"].tolist() == ["a", "b", "c", "d", "\\xff"]
    assert "UTF-8" in tried.attrs["why_rows"]
