"""Tables as Parquet files, and such files as a SQLite database; what a file keeps, it gives back.

A column of one type is a column of that type. SQLite keeps several in one, and such a column is JSON text
(bytes as ``{"base64": …}``), marked as such in the file.
"""

from __future__ import annotations

import base64
import contextlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from secnb.errors import MissingDependencyError, SnapshotError

_MARK: Final = {b"secnb": b"json"}
_BATCH: Final = 10_000


def require_parquet() -> tuple[Any, Any]:
    """Return pyarrow and its module for Parquet.

    Raises
    ------
    MissingDependencyError
        If they are not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError as exc:
        raise MissingDependencyError(
            "A snapshot holds Parquet files, and pyarrow is not installed.",
            hint="pip install 'secnb[bulk]'.",
        ) from exc
    return pyarrow, parquet


def write_table(path: Path, columns: Mapping[str, Sequence[Any]]) -> list[str]:
    """Write columns to a new Parquet file, and return the names of those that are JSON text.

    Parameters
    ----------
    columns : mapping of str to sequence
        Values of None, bool, int, float, str, bytes and datetime (naive ones are UTC).
    """
    arrow, parquet = require_parquet()
    arrays, fields, mixed = [], [], []
    for name, values in columns.items():
        array = _uniform(arrow, values)
        if array is None:
            mixed.append(name)
            array = arrow.array([None if v is None else _to_json(v) for v in values], arrow.string())
        arrays.append(array)
        fields.append(arrow.field(name, array.type, metadata=_MARK if name in mixed else None))
    table = arrow.Table.from_arrays(arrays, schema=arrow.schema(fields))
    parquet.write_table(table, path, compression="zstd")
    return mixed


def load_table(connection: sqlite3.Connection, name: str, path: Path, ordered_by: str | None = None) -> None:
    """Read a Parquet file into a new table of a SQLite database.

    Times become the text that SQLAlchemy stores, truth values 0 and 1.

    Parameters
    ----------
    ordered_by : str, optional
        The column by which rows are looked for, besides ``id``; where they are there, they get an index.

    Raises
    ------
    SnapshotError
        If the file cannot be read, or SQLite cannot hold such a table.
    """
    arrow, parquet = require_parquet()
    try:
        with contextlib.closing(parquet.ParquetFile(path)) as file:
            fields = list(file.schema_arrow)
            columns = ", ".join(f"{_quoted(each.name)} {_affinity(arrow, each)}" for each in fields)
            connection.execute(f"CREATE TABLE {_quoted(name)} ({columns})")
            marks = ", ".join("?" * len(fields))
            for rows in _batches(file, fields):
                connection.executemany(f"INSERT INTO {_quoted(name)} VALUES ({marks})", rows)  # noqa: S608
            keys = [key for key in (ordered_by, "id") if key is not None and key in file.schema_arrow.names]
            for at in range(len(keys)):
                indexed = ", ".join(map(_quoted, keys[at:]))
                connection.execute(f"CREATE INDEX {_quoted(f'{name} {at}')} ON {_quoted(name)} ({indexed})")
    except (arrow.ArrowException, OSError, sqlite3.Error, ValueError, OverflowError) as exc:
        raise SnapshotError(f"The table {name!r} cannot be read from {path}: {exc}.") from exc


def _uniform(arrow: Any, values: Sequence[Any]) -> Any:
    """Return values of one type as an array, else None."""
    kinds = {type(value) for value in values} - {type(None)}
    types = {
        bool: arrow.bool_(),
        int: arrow.int64(),
        float: arrow.float64(),
        str: arrow.string(),
        bytes: arrow.binary(),
        datetime: arrow.timestamp("us", tz="UTC"),
    }
    if not kinds:
        return arrow.array(values, arrow.null())
    if len(kinds) > 1 or not kinds <= types.keys():
        return None
    try:
        return arrow.array(values, types[kinds.pop()], from_pandas=False)
    # Such as text that is not UTF-8, or a number beyond 64 bits.
    except (arrow.ArrowException, ValueError, OverflowError):
        return None


def _batches(file: Any, fields: Sequence[Any]) -> Iterator[list[tuple[Any, ...]]]:
    is_json = [(each.metadata or {}).get(b"secnb") == b"json" for each in fields]
    for batch in file.iter_batches(_BATCH):
        columns = [
            [_of_json(value) if marked else _stored(value) for value in column.to_pylist()]
            for column, marked in zip(batch.columns, is_json, strict=True)
        ]
        yield list(zip(*columns, strict=True))


def _affinity(arrow: Any, field: Any) -> str:
    """Return the affinity that leaves all values of a column as they are, and compares as they did."""
    if (field.metadata or {}).get(b"secnb") == b"json":
        return ""
    names = {arrow.int64(): "INTEGER", arrow.bool_(): "INTEGER", arrow.float64(): "REAL"}
    is_text = field.type == arrow.string() or arrow.types.is_timestamp(field.type)
    return "TEXT" if is_text else names.get(field.type, "")


def _stored(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
    return value


def _to_json(value: Any) -> str:
    if isinstance(value, bytes):
        return json.dumps({"base64": base64.b64encode(value).decode()})
    return json.dumps(_stored(value))


def _of_json(text: str | None) -> Any:
    value = None if text is None else json.loads(text)
    if isinstance(value, dict):
        return base64.b64decode(value["base64"])
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    # SQLite holds 64 bits; a longer number is kept as text.
    is_long = isinstance(value, int) and not -(2**63) <= value < 2**63
    return str(value) if is_long else value


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
