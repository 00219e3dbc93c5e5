"""The batches that were really made, as the events and their members tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secnb.analysis.arrivals import Arrivals, read_times
from secnb.analysis.columns import read_column, read_flags
from secnb.errors import BadInputError

Ints = NDArray[np.int64]

_NONE = -1


@dataclass(frozen=True)
class Made:
    """The batches that were really made, numbered from 0.

    Attributes
    ----------
    of : ndarray of int64
        The batch of each row of the detections, -1 without one.
    event_id : ndarray of int64
        Of each batch.
    n_members, n_present : ndarray of int64
        How many detections its event names, and how many of them are in the frame.
    is_alone : ndarray of bool
        Whether it came by the fast path.
    last_us : int
        When the last event began.
    n_duplicates : int
        Events beyond the first of a batch.
    """

    of: Ints
    event_id: Ints
    n_members: Ints
    n_present: Ints
    is_alone: NDArray[np.bool_]
    last_us: int
    n_duplicates: int


def read_made(events: pd.DataFrame, detections: pd.DataFrame, memberships: pd.DataFrame) -> Made:
    """Return the batches, numbered by their first event; a detection is in the first that names it."""
    pairs = pd.DataFrame({name: _ids(memberships, name).array for name in ("event_id", "detection_id")})
    pairs = pairs.dropna().drop_duplicates().sort_values(["event_id", "detection_id"])
    numbers = _ids(events, "event_id").to_numpy(dtype=np.int64, na_value=_NONE)
    ids, place = np.unique(numbers, return_index=True)
    kept = np.isin(ids, pairs["event_id"].to_numpy(dtype=np.int64))
    ids, place = ids[kept], place[kept]
    pairs = pairs[pairs["event_id"].isin(ids)]
    batch = np.searchsorted(ids, pairs["event_id"].to_numpy(dtype=np.int64))
    named = pairs["detection_id"].to_numpy(dtype=np.int64)
    n_members = np.bincount(batch, minlength=len(ids))
    rows = _unique_ids(detections).get_indexer(pd.Index(named))
    of = np.full(len(detections), _NONE)
    # Assigned from the back, so that the first event is the one that stays.
    is_there = rows >= 0
    of[rows[is_there][::-1]] = batch[is_there][::-1]
    held = np.bincount(of[of >= 0], minlength=len(ids))
    # An event all of whose detections are in earlier ones is the same batch again.
    is_again = (held == 0) & (np.bincount(batch[is_there], minlength=len(ids)) > 0)
    number = np.cumsum(~is_again) - 1
    of[of >= 0] = number[of[of >= 0]]
    is_alone = np.zeros(len(events), dtype=bool)
    if "is_fast_path" in events.columns:
        is_alone = read_flags(read_column(events, "is_fast_path"))
    times = read_times(read_column(events, "started_at"))
    last_us = int(times.max(initial=np.iinfo(np.int64).min))
    return Made(
        of=of,
        event_id=ids[~is_again],
        n_members=n_members[~is_again],
        n_present=np.bincount(batch[is_there], minlength=len(ids))[~is_again],
        is_alone=is_alone[place][~is_again],
        # Without any event, nothing is merely late.
        last_us=last_us if last_us > np.iinfo(np.int64).min else np.iinfo(np.int64).max,
        n_duplicates=int(is_again.sum()),
    )


@dataclass(frozen=True)
class Held:
    """Which arrivals the batches that were made hold.

    Attributes
    ----------
    real : ndarray of int64
        The batch of each arrival, -1 without one.
    place : ndarray of int64
        The positions of the arrivals that are in one.
    n_held, first, last : ndarray of int64
        Of each batch: how many arrivals it holds, and the positions of its first and last, -1 without any.
    """

    real: Ints
    place: Ints
    n_held: Ints
    first: Ints
    last: Ints


def read_held(made: Made, arrivals: Arrivals) -> Held:
    """Return which arrivals each batch holds."""
    real = made.of[arrivals.row]
    place = np.flatnonzero(real >= 0)
    owner, n_made = real[place], len(made.event_id)
    first, last = np.full(n_made, _NONE), np.full(n_made, _NONE)
    # Of what is assigned twice the later stays.
    first[owner[::-1]] = place[::-1]
    last[owner] = place
    return Held(real, place, np.bincount(owner, minlength=n_made), first, last)


def _ids(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    """Return a column of ids as Int64; text that holds whole numbers is taken too."""
    column = read_column(frame, name)
    try:
        return pd.to_numeric(column).astype("Int64")
    except (ValueError, TypeError) as exc:
        raise BadInputError(f"Column {name!r} does not hold ids: {exc}. Allowed: whole numbers.") from exc


def _unique_ids(detections: pd.DataFrame) -> pd.Index[Any]:
    column = _ids(detections, "detection_id")
    if column.hasnans or not column.is_unique:
        raise BadInputError(
            "detection_id is missing or stands twice in some rows. Allowed: each detection once.",
            hint="site.detections() returns them so.",
        )
    ids: pd.Index[Any] = pd.Index(column.to_numpy(dtype=np.int64))
    return ids
