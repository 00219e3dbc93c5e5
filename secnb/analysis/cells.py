"""What choosing looks at: one group of units, as counts at its thresholds and as labelled units."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secnb.analysis.columns import TRUE, UNLABELLED, Counts
from secnb.analysis.firing import lowest_firing
from secnb.analysis.guarantees import busiest_scores
from secnb.analysis.packing import blocks, positions
from secnb.analysis.rules import Outcomes, Rule
from secnb.analysis.sweeps import ThresholdSweep
from secnb.analysis.units import Units


@dataclass(frozen=True, eq=False)
class Labelled:
    """The labelled units of a group, in any order; what is known of them is read when it is asked for.

    Attributes
    ----------
    units : Units
        Those of all groups.
    rows : ndarray of int, shape (n_labelled,)
        Which of them are the labelled ones of this group.
    """

    units: Units
    rows: NDArray[np.integer]

    @property
    def is_missed(self) -> NDArray[np.bool_]:
        """Which of them are misses."""
        units = self.units
        return np.zeros(len(self.rows), np.bool_) if units.is_missed is None else units.is_missed[self.rows]

    @property
    def scores(self) -> NDArray[np.float64]:
        """Scores; a miss has ``-inf``, since it never fires."""
        return np.where(self.is_missed, -np.inf, self.units.scores[self.rows])

    @property
    def is_true(self) -> NDArray[np.bool_]:
        """Truth; a miss is true."""
        return np.asarray(self.is_missed | (self.units.labels[self.rows] == TRUE))

    def take(self, values: NDArray[Any] | None) -> NDArray[Any] | None:
        """Return what they have of an array of all units; None where there is none."""
        return None if values is None else values[self.rows]

    def parts(self) -> Iterator[tuple[slice, Labelled]]:
        """Give them block by block, so that what is read of them stays small."""
        for part in blocks(len(self.rows)):
            yield part, Labelled(self.units, self.rows[part])

    def counted(self, grid: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return how many labelled units fire at each threshold, and how many of these are true."""
        is_missed = self.is_missed
        scores, is_true = self.scores[~is_missed], self.is_true[~is_missed]
        order = np.argsort(scores)
        first = lowest_firing(scores[order], grid)
        before = np.concatenate(([0], np.cumsum(is_true[order])))
        return len(scores) - first, before[-1] - before[first]


@dataclass(frozen=True, eq=False, kw_only=True)
class Cell:
    """What is known of one group: counts at its thresholds, and its labelled units.

    Attributes
    ----------
    thresholds : ndarray of float64, shape (n_rows,)
        Ascending, the last ``inf``.
    fired, tp, fp : ndarray, shape (n_rows,)
        What fires at each of them, and what of it is true and false; as small as the sweep keeps them.
    true : float
        All that is true, with misses.
    n_units, n_labelled : int
        Units with a score, and those of them that are labelled; misses are not among them.
    n_missed_rows : int
        Rows that are missed objects.
    n_missed : float
        Missed objects without a row.
    known_from : float
        Below it nothing is known of what could be chosen.
    busiest : ndarray of float64, shape (n_days,), or None
        The score up to which each whole day exceeds the budget; None without a budget.
    units : Units
        Those of all groups.
    members : Members
        Which of them are the labelled ones of this group.
    group : int
        The number of this group.
    """

    thresholds: NDArray[np.float64]
    fired: Counts
    tp: Counts
    fp: Counts
    true: float
    n_units: int
    n_labelled: int
    n_missed_rows: int
    n_missed: float
    known_from: float
    busiest: NDArray[np.float64] | None
    units: Units
    members: Members
    group: int

    def outcomes(self, rows: slice | NDArray[np.int64]) -> Outcomes:
        """Return what happens at some rows."""
        fired, tp, fp = (counts[rows].astype(np.float64) for counts in (self.fired, self.tp, self.fp))
        return Outcomes(n_fired=fired, tp=tp, fp=fp, fn=self.true - tp)

    def at(self, thresholds: NDArray[np.float64]) -> Outcomes:
        """Return what happens at any thresholds."""
        return self.outcomes(lowest_firing(self.thresholds, thresholds))

    def evaluate(self, function: Callable[[Outcomes], NDArray[np.float64]]) -> NDArray[np.float64]:
        """Return a number for every threshold, block by block, so that a large sweep stays small."""
        found = np.empty(len(self.thresholds))
        for rows in blocks(len(self.thresholds)):
            found[rows] = function(self.outcomes(rows))
        return found

    def counted(self, grid: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return how many labelled units fire at each threshold, and how many of these are true."""
        if self.units.factors is not None:
            return self.labelled.counted(grid)
        outcomes = self.at(grid)
        return (outcomes.tp + outcomes.fp).astype(np.int64), outcomes.tp.astype(np.int64)

    @cached_property
    def labelled(self) -> Labelled:
        """The units that the counts of true and false rest on."""
        return Labelled(self.units, self.members.rows[self.group])


class Members:
    """The labelled units and misses of every group, found once, and only when they are needed."""

    def __init__(self, units: Units) -> None:
        self._units = units

    @cached_property
    def rows(self) -> list[NDArray[np.integer]]:
        """Their positions, group by group."""
        units = self._units
        is_known = (units.labels != UNLABELLED) & ~np.isnan(units.scores)
        rows = positions(is_known if units.is_missed is None else is_known | units.is_missed)
        if units.n_groups == 1:
            return [rows]
        groups = units.groups[rows]
        order = np.argsort(groups, kind="stable")
        return np.split(rows[order], np.searchsorted(groups[order], np.arange(1, units.n_groups)))


def cells_of(sweep: ThresholdSweep, rule: Rule) -> Iterator[Cell]:
    """Give what is known of each group of a sweep, in its order."""
    units, tally = sweep.units, sweep.tally
    busiest = busiest_days(units, rule)
    n_labelled = sweep.totals[["n_true", "n_false"]].sum(axis=1).to_numpy()
    n_units = n_labelled + sweep.totals["n_unlabelled"].to_numpy()
    missed = np.empty(0, np.int64) if units.is_missed is None else units.groups[units.is_missed]
    n_missed_rows = np.bincount(missed, minlength=sweep.n_groups)
    known_from = -np.inf if units.recorded_from is None else units.recorded_from
    if rule.needs_labels and units.probability is None and units.shown_from is not None:
        known_from = max(known_from, units.shown_from)
    members = Members(units)
    for group in range(sweep.n_groups):
        rows = slice(int(sweep.offsets[group]), int(sweep.offsets[group + 1]))
        yield Cell(
            thresholds=tally.threshold[rows],
            fired=tally.fired[rows],
            tp=tally.tp[rows],
            fp=tally.fp[rows],
            true=float(tally.positives[group] + sweep.n_missed[group]),
            n_units=int(n_units[group]),
            n_labelled=int(n_labelled[group]),
            n_missed_rows=int(n_missed_rows[group]),
            n_missed=float(units.n_missed[group]),
            known_from=known_from,
            busiest=None if busiest is None else busiest[group],
            units=units,
            members=members,
            group=group,
        )


def busiest_days(units: Units, rule: Rule) -> list[NDArray[np.float64]] | None:
    """Return for each group and day up to which score it exceeds the budget; None without a budget."""
    if rule.alerts_per_day_at_most is None:
        return None
    if units.day_numbers is None or units.days is None:
        return [np.empty(0)] * units.n_groups
    n_days = units.days.n_days
    fires = units.day_numbers >= 0
    if units.is_missed is not None:
        fires &= ~units.is_missed
    found = busiest_scores(
        np.where(fires, units.groups.astype(np.int64) * n_days + units.day_numbers, -1),
        units.scores,
        units.weights,
        n_days=n_days * units.n_groups,
        per_day=rule.alerts_per_day_at_most,
    )
    return list(found.reshape(units.n_groups, n_days))
