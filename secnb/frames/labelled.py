"""Events with what is known of their truth: operators' feedback, and the analyst's own label store."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd

from secnb import schema
from secnb.core.reader import DatabaseReader, check_limits
from secnb.errors import BadInputError
from secnb.frames.events import read_events
from secnb.frames.feedback import read_feedback
from secnb.frames.memberships import text_columns
from secnb.frames.notes import note, warn_truncated
from secnb.frames.tops import read_tops
from secnb.frames.typed import to_frame
from secnb.frames.wanted import Wanted, bounds, chosen_columns, names

_STORED: Final = ("event_id", "camera_id", "started_at", "risk_score")
_IDENTITY: Final = ("camera_id", "started_at")
# By hand, a time may have been written down as a date, or in local time.
_ROUGHLY: Final = pd.Timedelta(days=1)
_VERDICT: Final = ("truth", "is_missed", "verified_probability")
# SQLite takes at most 32,766 parameters.
_MOST_IDS: Final = 5000


async def read_labelled_events(
    reader: DatabaseReader,
    wanted: Wanted,
    *,
    labels: pd.DataFrame | None = None,
    on_page: Callable[[int], None] = lambda _: None,
) -> pd.DataFrame:
    """Return one row per scored event, verified or not, sorted by start, then id.

    `labels` has the newest verdict of each unit, with the columns of ``schema.LABELS``; it wins over
    operators' feedback, and its rows of events that are gone stay.

    Raises
    ------
    BadInputError
        If the labels are those of another deployment.
    """
    started = time.perf_counter()
    chosen = chosen_columns(wanted.columns, schema.LABELLED_EVENTS)
    check_limits(wanted.limit)
    # Each is used twice, and an iterator would be empty by then.
    types, cameras = names("object_type", wanted.object_type), names("camera_id", wanted.camera_id)
    wanted = replace(wanted, camera_id=cameras, object_type=types)
    labels = to_frame({}, schema.LABELS) if labels is None else labels
    read = replace(
        wanted, object_type=None, limit=None, columns=[*_STORED, "is_failed", *await text_columns(reader)]
    )
    events = await read_events(reader, read, on_page=on_page)
    _refuse_labels_of_others(labels, events)
    feedback = await read_feedback(reader, Wanted(columns=["event_id", "truth", "is_missed"]))
    tops = await read_tops(reader, events)
    frame = events[[*_STORED, "is_failed"]].merge(tops, on="event_id", how="left").assign(is_gone=False)
    frame = _verified(frame[~frame["is_failed"].fillna(False)], feedback, labels)
    gone = await _gone(reader, labels, events["event_id"], wanted)
    if len(gone):
        frame = pd.concat([frame, gone.assign(is_gone=True)])
        frame = frame.sort_values(["started_at", "event_id"], kind="stable")
    if types is not None:
        frame = frame[frame["object_type"].isin(types)]
    is_scored = frame[["score", "risk_score", "truth"]].notna().any(axis=1)
    whole = frame[is_scored].reset_index(drop=True)
    shown = whole if wanted.limit is None else whole.tail(wanted.limit).reset_index(drop=True)
    if len(shown) < len(whole):
        what, hint = "labelled events, the newest", "limit=None reads all."
        warn_truncated(len(shown), len(whole), what=what, hint=hint)
    shown = shown[chosen]
    kept = ("source", "read_at", "table", "params", "unreadable")
    shown.attrs = {name: events.attrs[name] for name in kept if name in events.attrs}
    return note(
        shown,
        seconds=round(time.perf_counter() - started, 6),
        rows=len(shown),
        total=len(whole),
        truncated=len(shown) < len(whole),
        # Where nobody can tell of one, nobody can tell how many.
        n_failed=None if events["is_failed"].isna().any() else int(events["is_failed"].sum()),
        n_unscored=len(frame) - len(whole),
        n_gone=int(whole["is_gone"].sum()),
        n_detection_labels=int((labels["event_id"].isna() & labels["detection_id"].notna()).sum()),
        missing_tables=feedback.attrs.get("missing_tables", []),
    )


def _refuse_labels_of_others(labels: pd.DataFrame, events: pd.DataFrame) -> None:
    """Raise where a label is on another deployment's event, which happens to have the same number."""
    both = labels.merge(events[["event_id", *_IDENTITY]], on="event_id", suffixes=("", "_here"))
    is_other = (both["started_at"] - both["started_at_here"]).abs() > _ROUGHLY
    cameras = both[["camera_id", "camera_id_here"]].dropna()
    is_other |= (cameras["camera_id"] != cameras["camera_id_here"]).reindex(both.index, fill_value=False)
    if is_other.any():
        first = both[is_other].iloc[0]
        known, here = ((first[f"camera_id{end}"], first[f"started_at{end}"]) for end in ("", "_here"))
        raise BadInputError(
            f"The store knows event {first['event_id']} as one of {known[0]} at {known[1]}, but here it is "
            f"one of {here[0]} at {here[1]}.",
            hint="ids are those of one deployment; give each deployment a store of its own",
        )


def _verified(events: pd.DataFrame, feedback: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Return events with their verdict: that of the store, else the operators' newest, else none."""
    given = feedback.drop_duplicates("event_id", keep="last").assign(verified_probability=np.nan)
    own = labels.rename(columns={"probability": "verified_probability"})
    verdicts = pd.concat([given[["event_id", *_VERDICT]], own[["event_id", *_VERDICT]]])
    verdicts = verdicts[verdicts["event_id"].notna()].drop_duplicates("event_id", keep="last")
    frame = events.merge(verdicts, on="event_id", how="left")
    return frame.assign(is_missed=frame["is_missed"].fillna(False))


async def _gone(
    reader: DatabaseReader, labels: pd.DataFrame, known: pd.Series[Any], wanted: Wanted
) -> pd.DataFrame:
    """Return the labels of events that the database does not hold any more, and of what it never held."""
    is_event = labels["event_id"].notna() & ~labels["event_id"].isin(known)
    is_unrecorded = labels["event_id"].isna() & labels["detection_id"].isna()
    left = labels[is_event | is_unrecorded]
    left = left[~left["event_id"].isin(await _existing(reader, left["event_id"].dropna().tolist()))]
    since, until = bounds(wanted)
    if wanted.camera_id is not None:
        left = left[left["camera_id"].isin(list(wanted.camera_id))]
    if since is not None:
        left = left[left["started_at"] >= since]
    if until is not None:
        left = left[left["started_at"] < until]
    return left.rename(columns={"probability": "verified_probability"})[list(schema.LABELLED_EVENTS)]


async def _existing(reader: DatabaseReader, event_ids: list[int]) -> list[int]:
    """Return those of the events that are stored, whatever a filter or a mark as deleted leaves out."""
    found: list[int] = []
    for start in range(0, len(event_ids), _MOST_IDS):
        page = {"ids": event_ids[start : start + _MOST_IDS]}
        found += [row[0] for row in (await reader.fetch("SELECT id FROM events WHERE id IN :ids", page)).rows]
    return found
