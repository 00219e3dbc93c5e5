"""What choosing looks at: one group of units, as counts at its thresholds and as labelled units."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secnb.analysis.columns import TRUE
from secnb.analysis.firing import Grid, lowest_firing
from secnb.analysis.guarantees import busiest_scores
from secnb.analysis.packing import blocks
from secnb.analysis.rules import Outcomes, Rule
from secnb.analysis.sweeps import ThresholdSweep
from secnb.analysis.tallies import Tally
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
        """Return how many labelled units fire at ascending thresholds, and how many of these are true."""
        finder, reached = Grid(grid), np.zeros((2, len(grid) + 1), dtype=np.int64)
        for _, part in self.parts():
            can_fire = ~part.is_missed
            n_reached, is_true = finder.n_reached(part.scores[can_fire]), part.is_true[can_fire]
            reached += [
                np.bincount(each, minlength=len(grid) + 1) for each in (n_reached, n_reached[is_true])
            ]
        # What reaches a threshold fires at it, and at all below.
        n, k = np.cumsum(reached[:, :0:-1], axis=1)[:, ::-1]
        return n, k


@dataclass(frozen=True, eq=False, kw_only=True)
class Cell:
    """What is known of one group: counts at its thresholds, and its labelled units.

    Attributes
    ----------
    thresholds : ndarray of float64, shape (n_rows,)
        Ascending, the last ``inf``.
    tally : Tally
        What fires at each of them, and what of it is true and false, among those of all groups.
    first : int
        The place of the first threshold there.
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
    share : float
        Of labels that will be drawn, those that fall in the part chosen on.
    """

    thresholds: NDArray[np.float64]
    tally: Tally
    first: int
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
    share: float = 1.0

    def outcomes(self, rows: slice | NDArray[np.int64]) -> Outcomes:
        """Return what happens at some rows."""
        if isinstance(rows, slice):
            rows = slice(self.first + rows.start, self.first + rows.stop)
        else:
            rows = self.first + rows
        counts = (self.tally.fired, self.tally.tp, self.tally.fp)
        fired, tp, fp = (each[rows].astype(np.float64) for each in counts)
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
        if self.units.has_factors:
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
        return self._units.by_group(self._units.known_rows)


def cells_of(sweep: ThresholdSweep, rule: Rule, *, share: float = 1.0) -> Iterator[Cell]:
    """Give what is known of each group of a sweep, in its order; the sweep is a share of all units."""
    units, tally = sweep.units, sweep.tally
    busiest = busiest_days(units, rule)
    n_labelled = sweep.totals[["n_true", "n_false"]].sum(axis=1).to_numpy()
    n_units = n_labelled + sweep.totals["n_unlabelled"].to_numpy()
    n_missed_rows = np.bincount(units.groups[units.missed_rows], minlength=sweep.n_groups)
    known_from = -np.inf if units.recorded_from is None else units.recorded_from
    if rule.needs_labels and units.probability is None and units.shown_from is not None:
        known_from = max(known_from, units.shown_from)
    members = Members(units)
    for group in range(sweep.n_groups):
        rows = slice(int(sweep.offsets[group]), int(sweep.offsets[group + 1]))
        yield Cell(
            thresholds=tally.threshold[rows],
            tally=tally,
            first=rows.start,
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
            share=share,
        )


def busiest_days(units: Units, rule: Rule) -> list[NDArray[np.float64]] | None:
    """Return for each group and day up to which score it exceeds the budget; None without a budget."""
    if rule.alerts_per_day_at_most is None:
        return None
    if units.day_numbers is None or units.days is None:
        return [np.empty(0)] * units.n_groups
    n_days = units.days.n_days
    n_cells = n_days * units.n_groups
    # What is not counted stands behind the last cell.
    cells = np.full(len(units.day_numbers), n_cells, dtype=np.min_scalar_type(n_cells))
    for rows in blocks(len(cells)):
        swept, days = units.swept(rows), units.day_numbers[rows]
        numbers = np.where(days >= 0, units.groups[rows] * np.int64(n_days) + days, n_cells)
        cells[rows][swept] = numbers[swept]
    found = busiest_scores(
        cells,
        units.scores,
        units.weights,
        n_days=n_cells,
        per_day=rule.alerts_per_day_at_most,
    )
    return list(found.reshape(units.n_groups, n_days))
