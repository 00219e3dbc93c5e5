"""The units behind a sweep: their columns, read when needed from the frame that was swept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secnb.analysis.columns import (
    LARGEST_EXACT,
    TRUE,
    UNLABELLED,
    Counts,
    factorize,
    read_column,
    read_flags,
    read_probability,
    read_scores,
    read_truth,
    read_weights,
)
from secnb.analysis.localdays import Days, read_days, read_times


@dataclass(frozen=True, eq=False, repr=False)
class Units:
    """What was swept, and how: one entry per row of the frame in every array here.

    The frame is a shallow copy: pandas copies a column on write, so that later changes of the analyst's
    frame do not reach it, and nothing is held twice.

    Attributes
    ----------
    frame : pandas.DataFrame
        The rows.
    score, truth : str
        The names of their columns.
    by : tuple of str
        The names of the group columns.
    cluster, weight, probability, missed : str or None
        The names of the other columns.
    keys : pandas.DataFrame
        One row of by columns per group; a group may have no row in the frame.
    groups : ndarray of int, shape (n_rows,)
        The group of every row.
    n_missed : ndarray, shape (n_groups,)
        Missed objects that have no row.
    recorded_from, shown_from : float or None
        Where the zones of evidence begin.
    grid : ndarray of float64 or None
        The only thresholds that are counted, ascending; None for every distinct score.
    is_within_days : bool
        Whether rows outside of the whole local days are left out.
    """

    frame: pd.DataFrame
    score: str
    truth: str
    by: tuple[str, ...]
    cluster: str | None
    weight: str | None
    probability: str | None
    missed: str | None
    keys: pd.DataFrame
    groups: NDArray[np.integer]
    n_missed: Counts
    recorded_from: float | None
    shown_from: float | None
    grid: NDArray[np.float64] | None
    is_within_days: bool = False

    @property
    def n_groups(self) -> int:
        """Number of groups; 1 without ``by``."""
        return len(self.keys)

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """Scores, NaN where missing; the frame's own memory where that is possible, so read-only."""
        return read_scores(read_column(self.frame, self.score))

    @cached_property
    def labels(self) -> NDArray[np.int8]:
        """Truth as the codes ``TRUE``, ``FALSE`` and ``UNLABELLED`` of ``columns``."""
        return read_truth(read_column(self.frame, self.truth))

    @cached_property
    def is_missed(self) -> NDArray[np.bool_] | None:
        """Which rows are missed objects: they never fire, whatever their score and truth."""
        return None if self.missed is None else read_flags(read_column(self.frame, self.missed))

    @property
    def is_swept(self) -> NDArray[np.bool_]:
        """Which rows can fire: scored, and not missed."""
        return self._can_fire(slice(None))

    def swept(self, rows: slice) -> NDArray[np.bool_] | slice:
        """Which of some rows can fire; all of them as a slice, which copies nothing."""
        found = self._can_fire(rows)
        return slice(None) if found.all() else found

    def _can_fire(self, rows: slice) -> NDArray[np.bool_]:
        found = ~np.isnan(self.scores[rows])
        if self.is_missed is not None:
            found &= ~self.is_missed[rows]
        if self.is_within_days and self.is_in_days is not None:
            found &= self.is_in_days[rows]
        return found

    @property
    def is_labelled(self) -> NDArray[np.bool_]:
        """Which rows count in tp or fp at some threshold."""
        return np.not_equal(self.labels, UNLABELLED) & self.is_swept

    @property
    def unit(self) -> str:
        """What a unit is called: ``frame.attrs["unit"]``, else a row."""
        return str(self.frame.attrs.get("unit", "row"))

    @cached_property
    def clusters(self) -> NDArray[np.integer] | None:
        """Number of the cluster of every row; a row without one is a cluster of its own."""
        if self.cluster is None:
            return None
        codes, n_clusters = factorize(read_column(self.frame, self.cluster))
        clusters: NDArray[np.integer] = codes.astype(np.int32 if len(codes) < 2**31 else np.int64)
        alone = np.flatnonzero(codes < 0)
        clusters[alone] = n_clusters + np.arange(len(alone))
        return clusters

    @cached_property
    def weights(self) -> NDArray[np.float64] | None:
        """What every row counts for: finite, not negative."""
        return None if self.weight is None else read_weights(read_column(self.frame, self.weight))

    @cached_property
    def probabilities(self) -> NDArray[np.float64] | None:
        """Probability that a row was labelled, as the column has it; NaN where it is missing."""
        if self.probability is None:
            return None
        return read_probability(read_column(self.frame, self.probability), needed=self._is_verified)

    @property
    def _is_verified(self) -> NDArray[np.bool_]:
        """Which rows somebody looked at, with a score or without."""
        found = np.not_equal(self.labels, UNLABELLED)
        return found if self.is_missed is None else found | self.is_missed

    @cached_property
    def factors(self) -> NDArray[np.float64] | None:
        """What a labelled row counts for in tp, fp and fn: weight over probability; None where always 1.

        A label without a probability stands for itself only, as if it had been certain.
        """
        if self.probabilities is None:
            return self.weights
        is_known = self._is_verified & ~np.isnan(self.probabilities)
        chance = np.where(is_known, self.probabilities, 1.0)
        return np.divide(1.0 if self.weights is None else self.weights, chance, out=chance)

    @cached_property
    def has_whole_weights(self) -> bool:
        """Whether weighted sums are whole numbers, and small enough to be exact."""
        if self.weights is None:
            return True
        is_whole = bool((self.weights == np.floor(self.weights)).all())
        return is_whole and bool(self.weights.sum() <= LARGEST_EXACT)

    @property
    def is_whole(self) -> bool:
        """Whether tp and fp are whole numbers, which are then counted as such."""
        return self.probability is None and self.has_whole_weights

    @cached_property
    def days(self) -> Days | None:
        """The whole local days of the rows; None without aware times."""
        return read_days(self.frame)

    @cached_property
    def is_in_days(self) -> NDArray[np.bool_] | None:
        """Which rows fall within the whole local days; None where there is none."""
        return None if self.days is None or not self.days.n_days else self.days.contains(self.frame)

    @cached_property
    def day_numbers(self) -> NDArray[np.int64] | None:
        """Number of the whole local day of every row, from 0; -1 outside of them; None without any."""
        return None if self.days is None or not self.days.n_days else self.days.number(self.frame)

    @property
    def times(self) -> pd.Series | None:
        """The aware times of the rows; None where the frame has none."""
        return None if self.days is None else read_times(self.frame)

    def narrow(self) -> Units:
        """Return the same units without the columns that counting does not need; groups are known already."""
        names = {self.score, self.truth, self.cluster, self.weight, self.probability, self.missed}
        if self.days is not None:
            names.add(self.days.column)
        kept = [name for name in self.frame.columns if name in names]
        frame = pd.DataFrame(index=self.frame.index)
        for name in kept:
            frame[name] = self.frame[name]
        frame.attrs = dict(self.frame.attrs)
        return replace(self, frame=frame)

    def part(self, mask: NDArray[np.bool_]) -> Units:
        """Return some of the rows, with the same groups, even where the part has no row of one.

        Missed objects without rows have no time either; they are shared out like the true units.
        """
        n_missed = self.n_missed
        if n_missed.any():
            is_true = self.labels == TRUE
            whole = np.bincount(self.groups[is_true], minlength=self.n_groups)
            kept = np.bincount(self.groups[is_true & mask], minlength=self.n_groups)
            share = np.full(self.n_groups, mask.mean() if len(mask) else 0.0)
            n_missed = n_missed * np.divide(kept, whole, out=share, where=whole > 0)
        rows = _run(mask)
        # The labels of some rows would take as much memory as a column.
        frame = self.frame.iloc[rows].reset_index(drop=True) if len(mask) else self.frame
        groups = self.groups[rows] if self.by else np.broadcast_to(self.groups[:1], len(frame))
        return replace(self, frame=frame, groups=groups, n_missed=n_missed)


def _run(mask: NDArray[np.bool_]) -> NDArray[np.bool_] | slice:
    """Return rows that follow each other, as those of a period mostly do, as a slice that copies nothing."""
    n, first = int(np.count_nonzero(mask)), int(mask.argmax()) if len(mask) else 0
    return slice(first, first + n) if mask[first : first + n].all() else mask
