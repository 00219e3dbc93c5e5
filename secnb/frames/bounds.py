"""Conditions on time, on each database, however it stores its times.

SQLite keeps times as text, and compares them as text. What SQLAlchemy stores sorts as the times do. What
Python's `isoformat` and the driver's own adapter store does not: the ``T`` sorts after every time of the
day that has a space, and an offset is not part of the comparison. So texts that are within two days of a
bound are compared in one form, and the others as they are, which an index serves.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd

from secnb.core.reader import COUNT_S, DatabaseReader
from secnb.errors import DegradedWarning, QueryTimeoutError

# Offsets are less than a day; the date of a text is at most so far from the date in UTC.
_DAY = timedelta(days=1)
_BEFORE_ALL, _AFTER_ALL = "", "~"


def time_conditions(
    column: str, since: datetime | None, until: datetime | None, *, dialect: str, mark: str = ""
) -> tuple[list[str], dict[str, Any]]:
    """Return conditions in SQL for ``since <= column < until``, and their parameters.

    Parameters
    ----------
    column : str
        The quoted name of the column.
    since, until : datetime or None
        Aware; None for no bound.
    dialect : {"sqlite", "postgresql"}
    mark : str
        What the names of the parameters end in, where a statement has several such conditions.
    """
    bounds = {name: stamp for name, stamp in (("since", since), ("until", until)) if stamp is not None}
    if dialect != "sqlite":
        signs = {"since": ">=", "until": "<"}
        conditions = [f"{column} {signs[name]} :{name}{mark}" for name in bounds]
        return conditions, {f"{name}{mark}": stamp for name, stamp in bounds.items()}
    where: list[str] = []
    params: dict[str, Any] = {}
    for name, stamp in bounds.items():
        at, first, last = (f"{name}{mark}{end}" for end in ("", "_from", "_to"))
        params |= {at: _text_bound(stamp), first: _day(stamp, -1), last: _day(stamp, 2)}
        # The first part is what an index serves, the second keeps the conversion for the days around.
        where.append(
            f"{column} >= :{first} AND ({column} >= :{last} OR {_in_utc(column)} >= :{at})"
            if name == "since"
            else f"{column} < :{last} AND ({column} < :{first} OR {_in_utc(column)} < :{at})"
        )
    return where, params


async def count_numbers(
    reader: DatabaseReader,
    table: str,
    column: str,
    *,
    where: Sequence[str] = (),
    params: Mapping[str, Any] | None = None,
) -> int:
    """Return how many rows have a number for a time, with which no bound can be compared.

    SQLite keeps whatever it is given; other databases have a type for times. Numbers sort before every
    text, which an index serves; where it takes too long without one, none are counted. `where` and `params`
    are more conditions in SQL.
    """
    if reader.dialect != "sqlite":
        return 0
    conditions = " AND ".join([f"{_quoted(column)} < ''", *where])
    query = f"SELECT count(*) FROM {_quoted(table)} WHERE {conditions}"  # noqa: S608
    try:
        return int((await reader.fetch(query, params, timeout_s=COUNT_S)).rows[0][0])
    except QueryTimeoutError:
        return 0


async def warn_of_numbers(
    frame: pd.DataFrame, reader: DatabaseReader, table: str, column: str, **conditions: Any
) -> None:
    """Warn of the rows that `since` left out of a frame because their time is a number, and count them."""
    if n := await count_numbers(reader, table, column, **conditions):
        frame.attrs.setdefault("unreadable", {})[column] = n
        warning = DegradedWarning(
            f"{n:,} rows of {table} are left out: their {column} is a number, which cannot be compared with "
            "since.\n\nHint: without since they are there, with the time missing."
        )
        # A registry of its own: what is missing is said each time, not once per session.
        warnings.warn_explicit(warning, DegradedWarning, "secnb", 1, registry={})


def _text_bound(stamp: datetime) -> str:
    """Return a time bound as the shortest text, which sorts before every longer form of the same instant."""
    text = stamp.astimezone(UTC).replace(tzinfo=None).isoformat(" ")
    text = text.rstrip("0") if "." in text else text
    # A time may be stored without its seconds or minutes, and a midnight as its date.
    return re.sub(r"( 00)?(:00)*$", "", text)


def _day(stamp: datetime, days: int) -> str:
    on = stamp.astimezone(UTC).date()
    try:
        return (on + days * _DAY).isoformat()
    except OverflowError:
        return _BEFORE_ALL if on < date(5000, 1, 1) else _AFTER_ALL


def _in_utc(column: str) -> str:
    """Return an expression for a stored time as the text that SQLAlchemy would have stored."""
    # SQLite reads no offset such as +05 (PostgreSQL's text) or +0530 (strftime's %z).
    whole = (
        f"CASE WHEN substr({column}, -3, 1) IN ('+', '-') THEN {column} || ':00' "
        f"WHEN substr({column}, -5, 1) IN ('+', '-') "
        f"THEN substr({column}, 1, length({column}) - 2) || ':' || substr({column}, -2) ELSE {column} END"
    )
    # The fraction goes round the conversion, which knows no microseconds.
    converted = (
        "strftime('%Y-%m-%d %H:%M:%S', substr(at, 1, min(19, length(at) - 6)) || substr(at, -6)) "
        "|| substr(at, 20, max(0, length(at) - 25))"
    )
    other = (
        "SELECT CASE WHEN substr(at, -6, 1) IN ('+', '-') AND substr(at, -3, 1) = ':' "  # noqa: S608
        f"THEN coalesce({converted}, at) ELSE rtrim(replace(at, 'T', ' '), 'Z') END "
        f"FROM (SELECT {whole} AS at)"
    )
    # Most times are as SQLAlchemy stores them, or shorter.
    is_plain = f"substr({column}, 11, 1) IN (' ', '') AND substr({column}, 14) NOT GLOB '*[-+Z]*'"
    return f"CASE WHEN {is_plain} THEN {column} ELSE ({other}) END"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
