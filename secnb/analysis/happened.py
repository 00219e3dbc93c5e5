"""The batches that were really made, as the events and their members tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secnb.analysis.arrivals import to_us
from secnb.analysis.columns import read_column
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
    kept = events["event_id"].isin(memberships["event_id"])
    wanted = events[kept].drop_duplicates("event_id").sort_values("event_id")
    ids = wanted["event_id"].to_numpy(dtype=np.int64)
    pairs = memberships[memberships["event_id"].isin(ids)].sort_values(["event_id", "detection_id"])
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
    alone = read_column(wanted, "is_fast_path").fillna(False) if "is_fast_path" in wanted else False
    times = read_column(events, "started_at").dropna()
    return Made(
        of=of,
        event_id=ids[~is_again],
        n_members=n_members[~is_again],
        n_present=np.bincount(batch[is_there], minlength=len(ids))[~is_again],
        is_alone=np.broadcast_to(np.asarray(alone, dtype=bool), len(ids))[~is_again],
        # Without any event, nothing is merely late.
        last_us=to_us(times.max()) if len(times) else np.iinfo(np.int64).max,
        n_duplicates=int(is_again.sum()),
    )


def _unique_ids(detections: pd.DataFrame) -> pd.Index[Any]:
    column = read_column(detections, "detection_id")
    if column.hasnans or not column.is_unique:
        raise BadInputError(
            "detection_id is missing or stands twice in some rows. Allowed: each detection once.",
            hint="site.detections() returns them so.",
        )
    ids: pd.Index[Any] = pd.Index(column.to_numpy(dtype=np.int64))
    return ids
