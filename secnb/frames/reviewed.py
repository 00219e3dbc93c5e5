"""What is recorded of a unit under review: its most confident detection, and what the reasoner said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import pandas as pd

from secnb.core.reader import DatabaseReader
from secnb.errors import UnknownCameraError
from secnb.frames.memberships import has_pairs, read_members, text_columns
from secnb.frames.records import EVENTS, read_table
from secnb.frames.typed import to_columns, to_frame
from secnb.frames.wanted import Wanted

_SAID: Final = ("summary", "reasoning")
_MOST_IDS: Final = 500
# An event is looked for by its start, which is that of its first detection; no batch is open for longer.
_LONGEST: Final = timedelta(hours=1)


@dataclass(frozen=True)
class Recorded:
    """What is recorded of a unit.

    Attributes
    ----------
    detection_id : int or None
        The most confident detection that is still there, the first of equals.
    said : mapping of str to str
        ``summary`` and ``reasoning`` of the event, as far as they are stored.
    """

    detection_id: int | None = None
    said: Mapping[str, str] = field(default_factory=dict)


async def read_event_unit(reader: DatabaseReader, event_id: int) -> Recorded:
    """Return what is recorded of an event; nothing where it is gone."""
    stored = await reader.fetch_columns("events")
    names = ["id", *(name for name in (*_SAID, "detection_ids") if name in stored)]
    query = f"SELECT {', '.join(names)} FROM events WHERE id = :id"  # noqa: S608 - names of our own
    if "id" not in stored or not (rows := (await reader.fetch(query, {"id": event_id})).rows):
        return Recorded()
    events = to_frame(to_columns(names, rows), dict.fromkeys(_SAID, "str"))
    events["event_id"] = pd.array([event_id], dtype="Int64")
    members = await read_members(reader, events)
    return Recorded(await _best_of(reader, members.detection_id.tolist()), _said(events.iloc[0]))


async def read_detection_unit(
    reader: DatabaseReader, detection_id: int, *, camera_id: str | None, at: datetime | None
) -> Recorded:
    """Return what is recorded of a detection; `camera_id` and `at` find the event where no pairs are kept."""
    if await has_pairs(reader):
        query = "SELECT min(event_id) FROM event_detections WHERE detection_id = :id"
        (event_id,) = (await reader.fetch(query, {"id": detection_id})).rows[0]
        if event_id is not None:
            return Recorded(detection_id, (await read_event_unit(reader, event_id)).said)
    if camera_id is None or at is None or not (texts := await text_columns(reader)):
        return Recorded(detection_id)
    columns = ["event_id", *_SAID, *texts]
    wanted = Wanted(camera_id, None, at - _LONGEST, at + timedelta(seconds=1), None, columns)
    try:
        events = await read_table(reader, EVENTS, wanted)
    except UnknownCameraError:
        return Recorded(detection_id)
    members = await read_members(reader, events)
    found = events[events["event_id"].isin(members.event_id[members.detection_id == detection_id])]
    return Recorded(detection_id, _said(found.iloc[0]) if len(found) else {})


async def _best_of(reader: DatabaseReader, detection_ids: Sequence[int]) -> int | None:
    """Return the most confident of some detections; whatever is no number counts as the least."""
    found: list[tuple[int, Any]] = []
    if not {"id", "confidence"} <= set(await reader.fetch_columns("detections")):
        return detection_ids[0] if detection_ids else None
    for start in range(0, len(detection_ids), _MOST_IDS):
        page = {"ids": detection_ids[start : start + _MOST_IDS]}
        query = "SELECT id, confidence FROM detections WHERE id IN :ids"
        found += [(row[0], row[1]) for row in (await reader.fetch(query, page)).rows]
    return min(found, key=lambda each: (-_number(each[1]), each[0]))[0] if found else None


def _number(value: Any) -> float:
    is_number = isinstance(value, int | float) and value == value
    return float(value) if is_number else float("-inf")


def _said(event: pd.Series[Any]) -> dict[str, str]:
    return {name: str(event[name]) for name in _SAID if pd.notna(event[name]) and str(event[name]).strip()}
