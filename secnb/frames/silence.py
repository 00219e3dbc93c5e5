"""Cameras of which nothing comes any more, told from those that are quiet at this time of day."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

import pandas as pd

from secnb.core.reader import DatabaseReader
from secnb.frames.bounds import time_conditions
from secnb.frames.stages import QUIET_S, Camera, Heard
from secnb.frames.typed import to_times

# Looked up camera by camera in the index that every generation has; without it, this is not worth a wait.
_SECONDS: Final = 5.0
_DAY: Final = timedelta(days=1)
_DAYS: Final = 7
_TICK: Final = timedelta(microseconds=1)


async def read_heard(database: DatabaseReader, as_of: datetime) -> Heard:
    """Return when each camera recorded last, and for the quiet ones what the days before had instead.

    Silence is counted until the newest record of any camera: where nothing at all is recorded, it is not
    the cameras that are silent.
    """
    columns = await database.fetch_columns("cameras")
    there = "WHERE deleted_at IS NULL" if "deleted_at" in columns else ""
    found = await database.fetch(
        "SELECT c.id, (SELECT max(d.detected_at) FROM detections AS d WHERE d.camera_id = c.id) "  # noqa: S608
        f"FROM cameras AS c {there} ORDER BY c.id",
        timeout_s=_SECONDS,
    )
    last = {row[0]: _stamp(row[1]) for row in found.rows}
    newest = max((stamp for stamp in last.values() if stamp is not None), default=None)
    raw = next((row[1] for row in found.rows if row[1] is not None), None)
    if newest is None and raw is not None:
        return Heard(error=unreadable("detections.detected_at", raw))
    if newest is None:
        return Heard(tuple(Camera(str(name)) for name in last))
    oldest = await database.fetch("SELECT min(detected_at) FROM detections", timeout_s=_SECONDS)
    begins_at, until = _stamp(oldest.rows[0][0]), min(newest, as_of)
    cameras = []
    for name, last_at in last.items():
        quiet_s = 0.0 if last_at is None else max(0.0, (until - last_at).total_seconds())
        before: tuple[int, ...] = ()
        if last_at is not None and begins_at is not None and quiet_s >= QUIET_S:
            windows = _windows(begins_at, last_at, until)
            before = await _count(database, name, windows) if windows else ()
        cameras.append(Camera(str(name), last_at, quiet_s, before))
    return Heard(tuple(cameras), begins_at)


def unreadable(column: str, value: object) -> str:
    """Return what is to be said of stored times that are none, such as numbers."""
    shown = repr(value)
    return f"times in {column} cannot be read, such as {shown if len(shown) <= 40 else shown[:40] + '…'}"


def _windows(begins_at: datetime, last_at: datetime, until: datetime) -> list[tuple[datetime, datetime]]:
    """Return the hours that are silent now, a day at most, on up to seven days before the silence.

    Of days before the history begins nothing is known.
    """
    since = max(last_at, until - _DAY)
    shifts = [((until - last_at) // _DAY + n) * _DAY for n in range(1, _DAYS + 1)]
    return [(since - shift, until - shift) for shift in shifts if since - shift >= begins_at]


async def _count(
    database: DatabaseReader, camera_id: Any, windows: list[tuple[datetime, datetime]]
) -> tuple[int, ...]:
    """Return how much a camera recorded in each window."""
    counts, params = [], {"camera_id": camera_id}
    for n, window in enumerate(windows):
        # A window ends with its last record.
        since, until = (end + _TICK for end in window)
        where, bounds = time_conditions("detected_at", since, until, dialect=database.dialect, mark=f"_{n}")
        params |= bounds
        conditions = " AND ".join(["camera_id = :camera_id", *where])
        counts.append(f"(SELECT count(*) FROM detections WHERE {conditions})")  # noqa: S608 - names of our own
    counted = await database.fetch(f"SELECT {', '.join(counts)}", params, timeout_s=_SECONDS)
    return tuple(int(each) for each in counted.rows[0])


def _stamp(value: Any) -> datetime | None:
    stamp = to_times([value])[0]
    return None if pd.isna(stamp) else stamp.to_pydatetime(warn=False)
