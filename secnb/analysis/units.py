"""The units behind a sweep: their columns, read when needed from the frame that was swept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secnb.analysis.columns import (
    LARGEST_EXACT,
    TRUE,
    UNLABELLED,
    Counts,
    read_column,
    read_flags,
    read_probability,
    read_scores,
    read_truth,
    read_weights,
)
from secnb.analysis.localdays import Days, extent, read_days, read_times
from secnb.analysis.packing import blocks, order_of, positions
from secnb.analysis.repeats import repeated_id

_READ: Final = ("scores", "labels", "is_missed", "weights", "probabilities", "repeated")
"""What is read of the columns of a frame, whichever of its rows are looked at."""

_DAYS: Final = ("days", "is_in_days", "day_numbers")


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
    clusters : ndarray of int, shape (n_rows,), or None
        The cluster of every row; None where each stands alone.
    n_missed : ndarray, shape (n_groups,)
        Missed objects that have no row.
    recorded_from, shown_from : float or None
        Where the zones of evidence begin.
    grid : ndarray of float64 or None
        The only thresholds that are counted, ascending; None for every distinct score.
    is_within_days : bool
        Whether rows outside of the whole local days are left out.
    is_kept : ndarray of bool, shape (n_rows,), or None
        Which rows are looked at; None for all. A part copies no column.
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
    clusters: NDArray[np.integer] | None
    n_missed: Counts
    recorded_from: float | None
    shown_from: float | None
    grid: NDArray[np.float64] | None
    is_within_days: bool = False
    is_kept: NDArray[np.bool_] | None = None

    def but(self, **changes: Any) -> Units:
        """Return the same rows with something else changed; what was read of them is not read again."""
        found = replace(self, **changes)
        names = _READ if "is_kept" in changes else (*_READ, *_DAYS)
        found.__dict__.update((name, self.__dict__[name]) for name in names if name in self.__dict__)
        return found

    def scored(self, scores: NDArray[np.floating], **changes: Any) -> Units:
        """Return the same rows with other scores."""
        found = self.but(**changes)
        found.__dict__["scores"] = scores
        return found

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
    def missed_rows(self) -> NDArray[np.integer]:
        """Positions of the rows that are missed objects."""
        if self.is_missed is None:
            return np.empty(0, dtype=np.int64)
        return positions(self.is_missed if self.is_kept is None else self.is_missed & self.is_kept)

    @property
    def known_rows(self) -> NDArray[np.integer]:
        """Positions of the labelled rows with a score, and of the missed ones."""
        found = np.not_equal(self.labels, UNLABELLED)
        found &= ~np.isnan(self.scores)
        if self.is_missed is not None:
            found |= self.is_missed
        if self.is_kept is not None:
            found &= self.is_kept
        return positions(found)

    def by_group(self, rows: NDArray[np.integer]) -> list[NDArray[np.integer]]:
        """Return some rows group by group, those of a group as they stand."""
        if self.n_groups == 1:
            return [rows]
        order, edges = order_of(self.groups[rows], self.n_groups)
        rows = rows[order]
        return [rows[start:stop] for start, stop in pairwise(edges)]

    @property
    def n_swept_at_most(self) -> int:
        """Number of rows that can fire, or a little more where that is quicker to say."""
        if self.is_kept is None and not self.is_within_days:
            return len(self.scores)
        return int(np.count_nonzero(self.is_swept))

    @property
    def is_swept(self) -> NDArray[np.bool_]:
        """Which rows can fire: scored, and not missed."""
        return self._can_fire(slice(None))

    def swept(self, rows: slice) -> NDArray[np.intp] | slice:
        """Which of some rows can fire, from 0 on; all of them as a slice, which copies nothing."""
        found = self._can_fire(rows)
        # Positions are read faster than flags, where more than one column is asked for.
        return slice(None) if found.all() else np.flatnonzero(found)

    def _can_fire(self, rows: slice) -> NDArray[np.bool_]:
        found = ~np.isnan(self.scores[rows])
        if self.is_missed is not None:
            found &= ~self.is_missed[rows]
        if self.is_within_days and self.is_in_days is not None:
            found &= self.is_in_days[rows]
        if self.is_kept is not None:
            found &= self.is_kept[rows]
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

    @property
    def has_factors(self) -> bool:
        """Whether a labelled row may count for something else than 1."""
        return self.weight is not None or self.probability is not None

    def factors(self, rows: NDArray[np.integer] | slice) -> NDArray[np.float64] | None:
        """Return what labelled rows count for in tp, fp and fn: weight over probability; None where always 1.

        A label without a probability stands for itself only, as if it had been certain.
        """
        weights = None if self.weights is None else self.weights[rows]
        if self.probabilities is None:
            return weights
        chance = self.probabilities[rows]
        is_known = ~np.isnan(chance) & (self.labels[rows] != UNLABELLED)
        if self.is_missed is not None:
            is_known |= ~np.isnan(chance) & self.is_missed[rows]
        chance = np.where(is_known, chance, 1.0)
        return np.divide(1.0 if weights is None else weights, chance, out=chance)

    @cached_property
    def has_whole_weights(self) -> bool:
        """Whether weighted sums are whole numbers, and small enough to be exact."""
        if self.weights is None:
            return True
        total = 0.0
        for rows in blocks(len(self.weights)):
            weights = self.weights[rows] if self.is_kept is None else self.weights[rows][self.is_kept[rows]]
            if not (weights == np.floor(weights)).all():
                return False
            total += float(weights.sum())
        return total <= LARGEST_EXACT

    @property
    def is_whole(self) -> bool:
        """Whether tp and fp are whole numbers, which are then counted as such."""
        return self.probability is None and self.has_whole_weights

    @cached_property
    def days(self) -> Days | None:
        """The whole local days of the rows; None without aware times."""
        times = self.times
        if times is None or self.is_kept is None:
            return read_days(self.frame)
        ends = pd.DataFrame({times.name: extent(times, self.is_kept)})
        ends.attrs = self.frame.attrs
        days = read_days(ends)
        n_untimed = int(np.count_nonzero(times.isna().to_numpy() & self.is_kept))
        return days and replace(days, n_untimed=n_untimed)

    @cached_property
    def is_in_days(self) -> NDArray[np.bool_] | None:
        """Which rows fall within the whole local days; None where there is none."""
        return None if self.days is None or not self.days.n_days else self.days.contains(self.frame)

    @cached_property
    def day_numbers(self) -> NDArray[np.int16] | None:
        """Number of the whole local day of every row, from 0; -1 outside of them; None without any."""
        return None if self.days is None or not self.days.n_days else self.days.number(self.frame)

    @cached_property
    def repeated(self) -> str | None:
        """The column of ids that has one twice within a group; None where every row has its own."""
        return repeated_id(self.frame, self.groups)

    @property
    def times(self) -> pd.Series | None:
        """The aware times of all rows; None where the frame has none."""
        return read_times(self.frame)

    def part(self, mask: NDArray[np.bool_]) -> Units:
        """Return some of the rows, with the same groups, even where the part has no row of one.

        Missed objects without rows have no time either; they are shared out like the true units.
        """
        kept = mask if self.is_kept is None else mask & self.is_kept
        n_missed = self.n_missed
        if n_missed.any():
            is_true = self.labels == TRUE
            if self.is_kept is not None:
                is_true &= self.is_kept
            whole = np.bincount(self.groups[is_true], minlength=self.n_groups)
            true = np.bincount(self.groups[is_true & mask], minlength=self.n_groups)
            n_rows = len(mask) if self.is_kept is None else np.count_nonzero(self.is_kept)
            share = np.full(self.n_groups, np.count_nonzero(kept) / n_rows if n_rows else 0.0)
            n_missed = n_missed * np.divide(true, whole, out=share, where=whole > 0)
        return self.but(is_kept=kept, n_missed=n_missed)
