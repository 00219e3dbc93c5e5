"""Large tables and queries: read in pages, typed as they come, and stopped between two of them."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import tracemalloc
from contextlib import closing
from pathlib import Path

import asyncpg
import pandas as pd
import pytest

from secnb.core import bulk_reader, stoppable
from secnb.core.reader import DatabaseReader
from secnb.errors import QueryTimeoutError, TruncatedWarning
from secnb.frames import paging
from secnb.frames.paging import Selection, read_pages, read_query
from secnb.schema import TIME

DTYPES = {"n_id": "Int64", "score": "float64", "seen_at": TIME, "x": None}
ALL = Selection(
    "seen", {"n_id": "id", "score": "score", "seen_at": "seen_at", "x": "x"}, ordered_by="seen_at"
)
# The numbers drift after 30,000 rows.
MAKE = """
CREATE TABLE seen (id INTEGER PRIMARY KEY, score FLOAT, seen_at DATETIME, x);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {n_rows})
    INSERT INTO seen SELECT i, i / 7.0, datetime(1767225600 + i, 'unixepoch') || '.000000',
        CASE WHEN i > 30000 THEN i END FROM n;
"""
N_ROWS = 100_000


@pytest.fixture(scope="module")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with a large table (synthetic)."""
    path = tmp_path_factory.mktemp("large") / "x.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(MAKE.format(n_rows=N_ROWS))
    return path


@pytest.fixture
async def large(large_file, monkeypatch):
    """Return a reader that has no reader process beside it."""
    monkeypatch.setattr(bulk_reader, "missing_part", lambda _: "switched off")
    reader = DatabaseReader(f"sqlite:///{large_file}")
    yield reader
    await reader.close()


async def test_a_table_is_read_page_by_page(large, monkeypatch):
    """Each page is a statement of its own, and is reported; nothing is lost between them."""
    monkeypatch.setattr(paging, "_PAGE", 30_000)
    monkeypatch.setattr(paging, "_FIRST_PAGE", 30_000)
    statements, fetch, told = [], large.fetch, []

    async def spied(query, *args, **options):
        statements.append(query)
        return await fetch(query, *args, **options)

    monkeypatch.setattr(large, "fetch", spied)
    frame = await read_pages(large, ALL, DTYPES, on_page=told.append)
    assert told == [30_000, 60_000, 90_000, 100_000]
    assert (len(statements), all("LIMIT 30000" in each for each in statements)) == (4, True)
    assert list(frame["n_id"]) == list(range(1, N_ROWS + 1))
    assert list(frame.columns) == list(DTYPES)
    assert (frame.attrs["rows"], frame.attrs["truncated"]) == (N_ROWS, False)


async def test_pages_are_typed_as_they_come(large, monkeypatch):
    """The first pages are numbers, the last is all NULL; together they are what one page would be."""
    whole = await read_pages(large, ALL, DTYPES)
    monkeypatch.setattr(paging, "_PAGE", 7_000)
    shapes = []

    def shape(columns, n_rows):
        shapes.append((n_rows, sorted(columns)))
        return columns

    frame = await read_pages(large, ALL, DTYPES, shape=shape)
    pd.testing.assert_frame_equal(frame, whole)
    assert (str(frame["x"].dtype), frame["x"].count()) == ("Int64", 70_000)
    assert shapes[0] == (7_000, ["n_id", "score", "seen_at", "x"])
    assert sum(n_rows for n_rows, _ in shapes) == N_ROWS


@pytest.mark.parametrize("way", ["table", "query"])
async def test_memory_stays_near_the_size_of_the_frame(large, monkeypatch, way):
    """The rows of a page are forgotten before the next one; all of them would take several times as much."""
    monkeypatch.setattr(paging, "_PAGE", 5_000)
    monkeypatch.setattr(stoppable, "_PAGE", 5_000)
    page = (await large.fetch("SELECT * FROM seen WHERE id > 90000")).rows
    rows_bytes = N_ROWS // len(page) * sum(sys.getsizeof(row) + sum(map(sys.getsizeof, row)) for row in page)
    del page
    tracemalloc.start()
    try:
        frame = await (
            read_pages(large, ALL, DTYPES) if way == "table" else read_query(large, "SELECT * FROM seen")
        )
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(frame) == N_ROWS
    assert peak_bytes < rows_bytes / 2
    assert peak_bytes < 3 * frame.memory_usage(deep=True).sum()


@pytest.mark.parametrize("way", ["table", "query"])
async def test_a_read_stops_between_pages(large, monkeypatch, way):
    """It neither goes on to the end nor gives half a frame."""
    monkeypatch.setattr(paging, "_PAGE", 5_000)
    monkeypatch.setattr(stoppable, "_PAGE", 5_000)
    told = []

    def on_page(n_rows: int) -> None:
        told.append(n_rows)
        if n_rows >= 10_000:
            reading.cancel()

    reading = asyncio.ensure_future(
        read_pages(large, ALL, DTYPES, on_page=on_page)
        if way == "table"
        else read_query(large, "SELECT * FROM seen", on_page=on_page)
    )
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert 10_000 <= told[-1] < 20_000
    assert len((await large.fetch("SELECT 1")).rows) == 1


async def test_a_cap_shows_what_it_left_out(large):
    """Nothing beyond it is fetched."""
    told = []
    with pytest.warns(TruncatedWarning, match="showing 10 000 of 100 000 rows"):
        frame = await read_query(large, "SELECT * FROM seen", limit=10_000, on_page=told.append)
    assert (len(frame), max(told), frame.attrs["total"]) == (10_000, 10_000, N_ROWS)


async def test_a_count_that_takes_too_long_is_unknown(large, monkeypatch):
    """An analyst waits for it two seconds at most."""
    monkeypatch.setattr("secnb.core.jobs.COUNT_S", 0.05)
    forever = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"
    with pytest.warns(TruncatedWarning, match="showing the first 5 rows; there are more"):
        frame = await read_query(large, forever, limit=5)
    assert (frame.attrs["total"], frame.attrs["truncated"]) == (None, True)
    with pytest.raises(QueryTimeoutError, match=r"after 0\.3 s"):
        await read_query(large, forever, timeout_s=0.3)


async def test_rows_that_have_to_be_read_again_come_once(tmp_path):
    """Text that is not UTF-8 is met after pages that were fine."""
    with closing(sqlite3.connect(tmp_path / "x.db")) as database, database:
        database.executescript(
            MAKE.format(n_rows=25_000) + "UPDATE seen SET x = CAST(x'ff' AS TEXT) WHERE id = 24999"
        )
    reader = DatabaseReader(f"sqlite:///{tmp_path}/x.db")
    told = []
    frame = await read_query(reader, "SELECT * FROM seen ORDER BY id", on_page=told.append)
    await reader.close()
    assert (len(frame), frame["x"][24_998]) == (25_000, "\\xff")
    assert told.count(1) == 2


async def test_rows_are_sorted_by_time_although_they_are_read_by_key(tmp_path, monkeypatch):
    """Ids need not rise with time; what is no time comes last."""
    monkeypatch.setattr(paging, "_PAGE", 2)
    times = [
        "2026-01-03",
        "2026-01-01T00:00:00Z",
        None,
        "2026-01-02 00:00:00",
        "garbage",
        "2026-01-01 00:00:00",
    ]
    with closing(sqlite3.connect(tmp_path / "x.db")) as database, database:
        database.execute("CREATE TABLE seen (id INTEGER PRIMARY KEY, seen_at DATETIME)")
        database.executemany("INSERT INTO seen (seen_at) VALUES (?)", [[time] for time in times])
    reader = DatabaseReader(f"sqlite:///{tmp_path}/x.db")
    selection = Selection("seen", {"n_id": "id"}, ordered_by="seen_at")
    frame = await read_pages(reader, selection, {"n_id": "Int64"})
    await reader.close()
    assert (list(frame.columns), list(frame["n_id"])) == (["n_id"], [2, 6, 4, 1, 3, 5])


async def test_a_key_of_several_columns(tmp_path, monkeypatch):
    """A table of pairs has no id."""
    monkeypatch.setattr(paging, "_PAGE", 2)
    pairs = [(a, b) for a in range(3) for b in range(3)]
    with closing(sqlite3.connect(tmp_path / "x.db")) as database, database:
        database.execute("CREATE TABLE pairs (a INTEGER, b INTEGER)")
        database.executemany("INSERT INTO pairs VALUES (?, ?)", pairs[::-1])
    reader = DatabaseReader(f"sqlite:///{tmp_path}/x.db")
    selection = Selection("pairs", {"a": "a", "b": "b"}, key=("a", "b"))
    frame = await read_pages(reader, selection, {"a": "Int64", "b": "Int64"})
    await reader.close()
    assert list(frame.itertuples(index=False, name=None)) == pairs


@pytest.mark.parametrize("time", ["0044-03-15 12:00:00+00 BC", "20000-01-01 00:00:00+00"])
async def test_a_time_beyond_all_years_does_not_stop_a_reading(postgres_url, time):
    """The driver fails on it; it is missing, and counted, and the others are there."""
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(
        "CREATE TABLE seen (id bigint PRIMARY KEY, score float8, seen_at timestamptz, x date);"
        f"INSERT INTO seen VALUES (1, 0.5, '2026-01-15 08:00:00.25+02', '2026-01-15'), (2, 1, '{time}', NULL)"
    )
    await connection.close()
    reader = DatabaseReader(postgres_url)
    for frame in (
        await read_pages(reader, ALL, DTYPES),
        await read_query(reader, "SELECT * FROM seen ORDER BY id"),
    ):
        assert frame["seen_at"][0] == pd.Timestamp("2026-01-15 06:00:00.25Z")
        assert pd.isna(frame["seen_at"][1])
        assert frame.attrs["unreadable"] == {"seen_at": 1}
    newest = await reader.fetch("SELECT max(seen_at), min(x) FROM seen WHERE id = 1")
    assert str(newest.rows[0][0]) == "2026-01-15 06:00:00.250000+00:00"
    await reader.close()


async def test_postgres_pages_equal_one_reading(postgres_url, monkeypatch):
    """Times, JSON, decimals and NULLs that come late."""
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(
        "CREATE TABLE seen AS SELECT i AS id, i / 7.0::float8 AS score, CASE WHEN i > 5 THEN timestamptz "
        "'2026-01-15 08:00Z' + i * interval '1 s' END AS seen_at, CASE WHEN i > 9 THEN '[1]'::jsonb END "
        "AS x, CASE WHEN i > 15 THEN 1.5 ELSE 1 END AS d FROM generate_series(1, 25) AS i"
    )
    await connection.close()
    reader = DatabaseReader(postgres_url)
    query = "SELECT * FROM seen ORDER BY id"
    whole = await read_query(reader, query)
    assert [str(dtype) for dtype in whole.dtypes] == ["Int64", "float64", TIME, "str", "float64"]
    monkeypatch.setattr(stoppable, "_PAGE", 4)
    pd.testing.assert_frame_equal(await read_query(reader, query), whole)
    await reader.close()
