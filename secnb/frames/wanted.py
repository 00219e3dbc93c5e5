"""Which records are wanted: cameras, labels, times, limit, columns; checked before anything is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from secnb.core.reader import DatabaseReader
from secnb.errors import BadInputError, UnknownCameraError, UnknownColumnError
from secnb.frames.paging import quoted


@dataclass(frozen=True)
class Wanted:
    """Which records are wanted: half-open in time, the newest first where a limit cuts.

    Attributes
    ----------
    camera_id, object_type : str, iterable of str or None
        Only these; None for all.
    since, until : datetime, str or None
        ``since <= time < until``; aware, or taken as UTC.
    limit : int or None
        At most so many, the newest; None for all.
    columns : sequence of str or None
        Only these columns, in this order; None for all.
    """

    camera_id: str | Iterable[str] | None = None
    object_type: str | Iterable[str] | None = None
    since: datetime | str | None = None
    until: datetime | str | None = None
    limit: int | None = None
    columns: Sequence[str] | None = None


def as_utc(name: str, value: datetime | str | None) -> datetime | None:
    """Return a time bound as aware UTC; naive values are taken as UTC.

    Raises
    ------
    BadInputError
        If it is no time.
    """
    if value is None:
        return None
    try:
        if isinstance(value, int | float):
            raise TypeError("a number could count seconds, or nanoseconds")
        # Strict: pd.Timestamp takes 10.3.2026 for a day in October, and "now" for the local time.
        if isinstance(value, str) and not value[:4].isdigit():
            raise ValueError("no ISO 8601 text begins like this")
        is_text = isinstance(value, str)
        stamp = pd.to_datetime(value, format="ISO8601") if is_text else pd.Timestamp(value)
        if pd.isna(stamp):
            raise ValueError("it is missing")
        stamp = stamp.tz_localize(UTC) if stamp.tzinfo is None else stamp.tz_convert(UTC)
        return stamp.to_pydatetime(warn=False)
    except (ValueError, TypeError, OverflowError) as exc:
        raise BadInputError(
            f"{name} is {value!r}. Allowed: a datetime, or ISO 8601 text.",
            hint="for example '2026-01-15 08:00'.",
        ) from exc


def bounds(wanted: Wanted) -> tuple[datetime | None, datetime | None]:
    """Return since and until as aware UTC.

    Raises
    ------
    BadInputError
        If one is no time, or they are the wrong way round.
    """
    since, until = as_utc("since", wanted.since), as_utc("until", wanted.until)
    if since is not None and until is not None and since > until:
        raise BadInputError(f"since ({since.isoformat()}) is after until ({until.isoformat()}).")
    return since, until


def names(name: str, value: str | Iterable[str] | None) -> list[str] | None:
    """Return one or several names as a list; None where all are wanted."""
    if value is None or isinstance(value, str):
        return None if value is None else [value]
    try:
        return [str(each) for each in value]
    except TypeError as exc:
        raise BadInputError(f"{name} is {value!r}. Allowed: a str, or several of them.") from exc


def chosen_columns(columns: Sequence[str] | None, known: Iterable[str]) -> list[str]:
    """Return the columns wanted, each once, in their order; all that are known for None.

    Raises
    ------
    BadInputError
        If they are no names.
    UnknownColumnError
        With the near matches.
    """
    all_known = list(dict.fromkeys(known))
    if columns is None:
        return all_known
    try:
        chosen = [columns] if isinstance(columns, str) else list(dict.fromkeys(columns))
    except TypeError as exc:
        raise BadInputError(f"columns is {columns!r}. Allowed: names of columns, or None for all.") from exc
    for name in chosen:
        check_known(name, all_known)
    return chosen


def check_known(name: str, columns: Iterable[str]) -> None:
    """Refuse a column that is not there.

    SQLite takes an unknown name in double quotes for text, and a condition on it would hold for every row.
    """
    if name not in columns:
        raise UnknownColumnError("column", name, columns)


async def conditions(
    reader: DatabaseReader, table: str, stored: Iterable[str], wanted: Wanted
) -> tuple[list[str], dict[str, Any]]:
    """Return the conditions on camera and label in SQL, and their parameters.

    Raises
    ------
    UnknownCameraError, UnknownColumnError
        With the near matches.
    """
    given: Mapping[str, Any] = {"camera_id": wanted.camera_id, "object_type": wanted.object_type}
    params = {name: found for name, value in given.items() if (found := names(name, value)) is not None}
    for name in params:
        check_known(name, stored)
    if "camera_id" in params:
        await check_cameras(reader, table, params["camera_id"])
    return [f"{quoted(name)} IN :{name}" for name in params], params


async def check_cameras(reader: DatabaseReader, table: str, wanted: Sequence[str]) -> None:
    """Refuse a camera that neither exists nor has left records in `table`."""
    known: list[str] = []
    if "id" in await reader.fetch_columns("cameras"):
        known = [str(row[0]) for row in (await reader.fetch("SELECT id FROM cameras")).rows]
    for name in wanted:
        # A camera that was removed may have left its records behind.
        seen = f"SELECT 1 FROM {quoted(table)} WHERE camera_id = :name LIMIT 1"  # noqa: S608
        if name not in known and not (await reader.fetch(seen, {"name": name})).rows:
            raise UnknownCameraError("camera", name, known)
