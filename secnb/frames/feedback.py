"""Operators' verdicts on events, in either vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import pandas as pd

from secnb import schema
from secnb.core.reader import DatabaseReader
from secnb.frames.notes import note
from secnb.frames.records import Table, not_deleted, read_table
from secnb.frames.wanted import Wanted, check_cameras, check_known, names

_FEEDBACK: Final = Table(
    "event_feedback",
    schema.FEEDBACK,
    "created_at",
    made_of={"truth": ("feedback_type",), "is_missed": ("feedback_type",)},
    is_optional=True,
)


async def read_feedback(
    reader: DatabaseReader, wanted: Wanted, *, on_page: Callable[[int], None] = lambda _: None
) -> pd.DataFrame:
    """Return one row per verdict, sorted by the time it was given, then id; empty where there is no table."""
    unknown: dict[Any, int] = {}

    async def derive(frame: pd.DataFrame, chosen: Sequence[str], _: Mapping[str, str]) -> None:
        if not {"truth", "is_missed"}.isdisjoint(chosen):
            kinds = _kinds(frame)
            frame["truth"] = kinds.map(schema.FEEDBACK_TRUTH).astype("boolean")
            frame["is_missed"] = kinds.isin(schema.FEEDBACK_MISSES).astype("boolean").mask(kinds.isna())
            unknown.update(kinds[frame["truth"].isna()].value_counts().to_dict())

    where = await _of_events(reader, wanted)
    wanted = replace(wanted, camera_id=None)
    frame = await read_table(reader, _FEEDBACK, wanted, where=where, derive=derive, on_page=on_page)
    return note(frame, unknown_types=unknown) if unknown else frame


def _kinds(frame: pd.DataFrame) -> pd.Series[Any]:
    if "feedback_type" not in frame:
        return pd.Series([None] * len(frame), dtype="str")
    return frame["feedback_type"].str.strip().str.lower()


async def _of_events(reader: DatabaseReader, wanted: Wanted) -> dict[str, dict[str, Any]]:
    """Return the conditions on the events that verdicts are about: their camera, and that they are there."""
    stored, events = [await reader.fetch_columns(name) for name in (_FEEDBACK.name, "events")]
    where: dict[str, dict[str, Any]] = {}
    cameras = names("camera_id", wanted.camera_id)
    if cameras is not None and stored:
        check_known("event_id", stored)
        check_known("camera_id", events)
        await check_cameras(reader, "events", cameras)
        where["event_id IN (SELECT id FROM events WHERE camera_id IN :camera_id)"] = {"camera_id": cameras}
    if not_deleted(events) and "event_id" in stored:
        where["event_id NOT IN (SELECT id FROM events WHERE deleted_at IS NOT NULL)"] = {}
    return where
