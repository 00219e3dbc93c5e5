"""Conditions on time, on each database, however it stores its times.

SQLite keeps times as text, and compares them as text. What SQLAlchemy stores sorts as the times do. What
Python's `isoformat` and the driver's own adapter store does not: the ``T`` sorts after every time of the
day that has a space, and an offset is not part of the comparison. So texts that are within two days of a
bound are compared in one form, and the others as they are, which an index serves.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

# Offsets are less than a day; the date of a text is at most so far from the date in UTC.
_DAY = timedelta(days=1)
_BEFORE_ALL, _AFTER_ALL = "", "~"


def time_conditions(
    column: str, since: datetime | None, until: datetime | None, *, dialect: str
) -> tuple[list[str], dict[str, Any]]:
    """Return conditions in SQL for ``since <= column < until``, and their parameters.

    Parameters
    ----------
    column : str
        The quoted name of the column.
    since, until : datetime or None
        Aware; None for no bound.
    dialect : {"sqlite", "postgresql"}
    """
    bounds = {name: stamp for name, stamp in (("since", since), ("until", until)) if stamp is not None}
    if dialect != "sqlite":
        signs = {"since": ">=", "until": "<"}
        return [f"{column} {signs[name]} :{name}" for name in bounds], dict(bounds)
    where: list[str] = []
    params: dict[str, Any] = {}
    for name, stamp in bounds.items():
        params |= {name: _text_bound(stamp), f"{name}_from": _day(stamp, -1), f"{name}_to": _day(stamp, 2)}
        # The first part is what an index serves, the second keeps the conversion for the days around.
        where.append(
            f"{column} >= :since_from AND ({column} >= :since_to OR {_in_utc(column)} >= :since)"
            if name == "since"
            else f"{column} < :until_to AND ({column} < :until_from OR {_in_utc(column)} < :until)"
        )
    return where, params


def _text_bound(stamp: datetime) -> str:
    """Return a time bound as the shortest text, which sorts before every longer form of the same instant."""
    text = stamp.astimezone(UTC).replace(tzinfo=None).isoformat(" ")
    return text.rstrip("0") if "." in text else text


def _day(stamp: datetime, days: int) -> str:
    on = stamp.astimezone(UTC).date()
    try:
        return (on + days * _DAY).isoformat()
    except OverflowError:
        return _BEFORE_ALL if on < date(5000, 1, 1) else _AFTER_ALL


def _in_utc(column: str) -> str:
    """Return an expression for a stored time as the text that SQLAlchemy would have stored."""
    # The fraction goes round the conversion, which knows no microseconds.
    converted = (
        f"strftime('%Y-%m-%d %H:%M:%S', substr({column}, 1, min(19, length({column}) - 6)) || "
        f"substr({column}, -6)) || substr({column}, 20, max(0, length({column}) - 25))"
    )
    return (
        f"CASE WHEN {column} GLOB '*[0-9]:[0-9][0-9]*[+-][0-9][0-9]:[0-9][0-9]' "
        f"THEN coalesce({converted}, {column}) ELSE rtrim(replace({column}, 'T', ' '), 'Z') END"
    )
