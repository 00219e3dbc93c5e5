"""The most confident detection of each event, which an event survives a threshold by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secnb import schema
from secnb.core.reader import DatabaseReader
from secnb.frames.memberships import Ints, Members, has_pairs, id_range, parse_members, within
from secnb.frames.paging import Selection, quoted, read_pages
from secnb.frames.typed import to_columns, to_frame

_SCHEMA: Final = {name: schema.LABELLED_EVENTS[name] for name in ("event_id", "score", "object_type")}
# What is no number comes last; PostgreSQL sorts NaN above all numbers, and SQLite text.
_RANKED: Final = {
    "sqlite": "CASE WHEN typeof({0}) IN ('real', 'integer') THEN {0} END",
    "postgresql": "NULLIF(CAST({0} AS float8), 'NaN')",
}
_DETECTIONS: Final = {name: schema.DETECTIONS[name] for name in ("detection_id", "confidence", "object_type")}


async def read_tops(reader: DatabaseReader, events: pd.DataFrame) -> pd.DataFrame:
    """Return one row per event that has detections: event_id, score and object_type of the best of them.

    The best is the first with the highest confidence; one without a confidence comes last.

    Parameters
    ----------
    reader : DatabaseReader
    events : DataFrame
        With event_id, and detection_ids where that is stored.
    """
    stored = await reader.fetch_columns("detections")
    if not len(events) or "id" not in stored:
        return to_frame({}, _SCHEMA)
    tops = await _tops_of_pairs(reader, events["event_id"], stored)
    left = events[~events["event_id"].isin(tops["event_id"])]
    members = parse_members(left)
    if not len(members.event_id):
        return tops
    return pd.concat([tops, await _tops_of_members(reader, members, stored)], ignore_index=True)


async def _tops_of_pairs(
    reader: DatabaseReader, event_ids: pd.Series[Any], stored: Sequence[str]
) -> pd.DataFrame:
    """Let the database look: it hands over one row per event instead of all pairs and all detections."""
    if not await has_pairs(reader):
        return to_frame({}, _SCHEMA)
    confidence, object_type = (
        f"d.{quoted(name)}" if name in stored else "NULL" for name in ("confidence", "object_type")
    )
    ranked = _RANKED[reader.dialect].format(confidence)
    rows = await reader.fetch(
        "SELECT event_id, score, object_type FROM (SELECT m.event_id, "  # noqa: S608 - names of our own
        f"{confidence} AS score, {object_type} AS object_type, row_number() OVER "
        f"(PARTITION BY m.event_id ORDER BY {ranked} DESC NULLS LAST, d.id NULLS LAST) AS nth "
        "FROM event_detections AS m LEFT JOIN detections AS d ON d.id = m.detection_id "
        "WHERE m.event_id BETWEEN :first AND :last) AS ranked WHERE nth = 1",
        id_range(event_ids),
        timeout_s=None,
    )
    return to_frame(to_columns(rows.columns, rows.rows), _SCHEMA)


async def _tops_of_members(reader: DatabaseReader, members: Members, stored: Sequence[str]) -> pd.DataFrame:
    ids = members.detection_id
    selection = Selection(
        table="detections",
        columns={"detection_id": "id"} | {name: name for name in _DETECTIONS if name in stored},
        where=within("id"),
        params=id_range(ids),
    )
    detections = await read_pages(reader, selection, _DETECTIONS)
    known = detections["detection_id"].to_numpy(dtype=np.int64)
    at = np.searchsorted(known, ids)
    is_there = at < len(known)
    is_there[is_there] = known[at[is_there]] == ids[is_there]
    event_id, at = members.event_id[is_there], at[is_there]
    first = _first_of_highest(event_id, detections["confidence"].to_numpy()[at])
    best = detections.take(at[first])
    best = best.rename(columns={"confidence": "score"}).reset_index(drop=True)
    return best.assign(event_id=pd.array(event_id[first], dtype="Int64"))[list(_SCHEMA)]


def _first_of_highest(groups: Ints, values: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the position of the first highest value of each group; `groups` are sorted, NaN is lowest."""
    if not len(groups):
        return np.empty(0, dtype=np.intp)
    values = np.where(np.isnan(values), -np.inf, values)
    starts = np.flatnonzero(np.concatenate([[True], groups[1:] != groups[:-1]]))
    highest = np.maximum.reduceat(values, starts)
    of_group = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(groups)))
    candidates = np.flatnonzero(values == highest[of_group])
    return candidates[np.unique(of_group[candidates], return_index=True)[1]]
