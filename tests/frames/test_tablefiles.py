"""What a table holds comes back out of its file, whatever its columns mix."""

from __future__ import annotations

import math
import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secnb.errors import MissingDependencyError, SnapshotError
from secnb.frames.tablefiles import load_table, require_parquet, write_table

# What SQLite itself can hold.
STORED = (
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
    | st.binary()
)


def there_and_back(path, columns) -> list[tuple]:
    """Return the rows of columns that were written to a file and loaded from it."""
    path.unlink(missing_ok=True)
    write_table(path, columns)
    with closing(sqlite3.connect(":memory:")) as connection:
        load_table(connection, "t", path)
        return connection.execute("SELECT * FROM t").fetchall()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(STORED, STORED), min_size=1, max_size=8))
def test_values_come_back_in_their_types(tmp_path, rows):
    """Several types in one column too, as SQLite allows."""
    columns = dict(zip(("a", 'odd " name'), map(list, zip(*rows, strict=True)), strict=True))
    found = there_and_back(tmp_path / "t.parquet", columns)
    assert found == rows
    assert [[type(value) for value in row] for row in found] == [[type(v) for v in row] for row in rows]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([True, False, None], [1, 0, None]),
        ([datetime(1, 1, 1, tzinfo=UTC)], ["0001-01-01 00:00:00.000000"]),
        ([datetime.max.replace(tzinfo=UTC)], ["9999-12-31 23:59:59.999999"]),
        ([2**64 + 1, 1], [str(2**64 + 1), 1]),
        ([math.nan, 1.5], [None, 1.5]),
        ([math.inf, -math.inf], [math.inf, -math.inf]),
        (["\ud800", "x"], ["\\ud800", "x"]),
        (["a\0b"], ["a\0b"]),
        ([None, None], [None, None]),
    ],
)
def test_what_sqlite_does_not_have_becomes_what_it_has(tmp_path, values, expected):
    """Truth values, times, long numbers, lone surrogates."""
    assert [row[0] for row in there_and_back(tmp_path / "t.parquet", {"a": values})] == expected


def test_an_empty_table_keeps_its_columns(tmp_path):
    path = tmp_path / "t.parquet"
    write_table(path, {"a": [], "b": []})
    with closing(sqlite3.connect(":memory:")) as connection:
        load_table(connection, "t", path)
        assert [row[1] for row in connection.execute("PRAGMA table_info(t)")] == ["a", "b"]


def test_pandas_reads_the_file(tmp_path):
    """With numbers, times and texts as such; only what is mixed is JSON text."""
    at = datetime(2026, 3, 15, tzinfo=UTC)
    path = tmp_path / "t.parquet"
    mixed = write_table(path, {"id": [1, 2], "at": [at, None], "mixed": [1, b"\xff"]})
    frame = pd.read_parquet(path)
    assert mixed == ["mixed"]
    assert frame["mixed"].tolist() == ["1", '{"base64": "/w=="}']
    assert (frame["id"].dtype, frame["at"][0]) == ("int64", pd.Timestamp(at))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"x" * 100])
def test_a_broken_file_is_a_clear_error(tmp_path, content):
    path = tmp_path / "t.parquet"
    path.write_bytes(content)
    with (
        closing(sqlite3.connect(":memory:")) as connection,
        pytest.raises(SnapshotError, match=r"The table 't' cannot be read from .*t\.parquet"),
    ):
        load_table(connection, "t", path)


def test_pyarrow_is_an_extra(monkeypatch):
    """The hint is the line that installs it."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'secnb\[bulk\]'"):
        require_parquet()
