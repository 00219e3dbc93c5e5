"""The detections of events at two thresholds: which events lose all of them, or get their first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secnb.analysis.columns import TRUE, UNLABELLED, read_column
from secnb.analysis.flips_tables import Mask, Rows
from secnb.errors import BadInputError

Ints = NDArray[np.int64]

_LATEST: Final = np.iinfo(np.int64).max
_MISSING: Final = np.iinfo(np.int64).min


@dataclass(frozen=True, eq=False)
class Members:
    """Pairs of event and detection, and what of an event fires.

    Attributes
    ----------
    detections : Rows
        The detections.
    event_id : ndarray of int64, shape (n_events,)
        In the order in which the pairs name them.
    event, row : ndarray of int64, shape (n_pairs,)
        Of each pair whose detection is there, the position of its event and the row of its detection.
    n_current, n_proposed, n_missing : ndarray of int64, shape (n_events,)
        Detections that fire at either threshold, and those that are not there.
    """

    detections: Rows
    event_id: Ints
    event: Ints
    row: Ints
    n_current: Ints
    n_proposed: Ints
    n_missing: Ints

    @classmethod
    def of(cls, memberships: pd.DataFrame, detections: Rows) -> Members:
        """Return it for pairs of ids; of a detection that stands twice, the first row counts."""
        columns = [read_column(memberships, name) for name in ("event_id", "detection_id")]
        is_pair = (columns[0].notna() & columns[1].notna()).to_numpy()
        events, ids = (read_ids(column)[is_pair] for column in columns)
        event, names = pd.factorize(events)
        row = lookup(read_column(detections.frame, "detection_id"), ids)
        is_there = row >= 0
        n_missing = np.bincount(event[~is_there], minlength=len(names))
        event, row = event[is_there].astype(np.int64), row[is_there]
        now, then = (
            np.bincount(event[mask[row]], minlength=len(names))
            for mask in (detections.fires_now, detections.would_fire)
        )
        return cls(detections, np.asarray(names, dtype=np.int64), event, row, now, then, n_missing)

    @property
    def disappears(self) -> Mask:
        """Which events lose all the detections that they have."""
        lost: Mask = (self.n_current > 0) & (self.n_proposed == 0)
        return lost

    @property
    def appears(self) -> Mask:
        """Which events get their first detection."""
        gained: Mask = (self.n_current == 0) & (self.n_proposed > 0)
        return gained

    def top(self, events: Ints) -> Ints:
        """Return the row of the detection of the highest score, the first of equals; -1 without any."""
        wanted = np.zeros(len(self.event_id), dtype=np.bool_)
        wanted[events[events >= 0]] = True
        kept = wanted[self.event]
        event, row = self.event[kept], self.row[kept]
        scores = np.nan_to_num(self.detections.scores[row], nan=-np.inf)
        order = np.lexsort((row, -scores, event))
        found, first = np.unique(event[order], return_index=True)
        # The last place stands for no event.
        top = np.full(len(self.event_id) + 1, -1, dtype=np.int64)
        top[found] = row[order][first]
        return top[events]

    @property
    def event_of_row(self) -> Ints:
        """The event of every detection, -1 without one; of several, the first that is named."""
        of = np.full(len(self.detections.frame), -1, dtype=np.int64)
        # Assigned from the back, so that the first is the one that stays.
        of[self.row[::-1]] = self.event[::-1]
        return of

    @property
    def truth(self) -> pd.arrays.BooleanArray:
        """The truth of each event: true if any detection is, else false if any is, else missing."""
        codes = np.full(len(self.event_id), UNLABELLED, dtype=np.int8)
        # True comes before false, and false before unlabelled.
        np.minimum.at(codes, self.event, self.detections.labels[self.row])
        return pd.arrays.BooleanArray(codes == TRUE, codes == UNLABELLED)

    def started_us(self, at_us: Ints) -> Ints:
        """Return when each event began, from the times of the detections; the smallest integer if unknown."""
        started = np.full(len(self.event_id), _LATEST)
        own = at_us[self.row]
        np.minimum.at(started, self.event, np.where(own == _MISSING, _LATEST, own))
        return np.where(started == _LATEST, _MISSING, started)


def read_ids(column: pd.Series) -> Ints:
    """Return ids as integers, -1 where missing; what is no whole number is an error."""
    return typed(column, "Int64", allowed="whole numbers below 2**63").to_numpy(dtype=np.int64, na_value=-1)


def typed(column: pd.Series, dtype: Any, *, allowed: str) -> pd.Series:
    """Return a column with another dtype; what does not go into it is an error that shows some of it."""
    try:
        return column.astype(dtype)
    except (TypeError, ValueError, OverflowError) as exc:
        seen = ", ".join(dict.fromkeys(map(repr, column.dropna().head(9).tolist())))
        raise BadInputError(
            f"Column {column.name!r} holds other values: {seen}. Allowed: {allowed}, and missing.",
            hint="convert it, or rename it if it is something else",
        ) from exc


def lookup(column: pd.Series, ids: Ints) -> Ints:
    """Return the first row of a column that holds each id, -1 where none does."""
    known = np.flatnonzero(column.notna())
    index = pd.Index(read_ids(column)[known])
    if not index.is_unique:
        is_first = ~index.duplicated()
        known, index = known[is_first], index[is_first]
    found = index.get_indexer(pd.Index(ids))
    return np.where(found >= 0, known[found], -1) if len(known) else np.full(len(ids), -1, dtype=np.int64)


def taken(column: pd.Series, rows: Ints) -> Any:
    """Return the values of some rows as an array; missing where a row is -1."""
    return column.reset_index(drop=True).reindex(rows).array
