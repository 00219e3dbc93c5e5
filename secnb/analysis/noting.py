"""What has to be said beside the numbers of a choice: what it does not know, and what it left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secnb.analysis.captions import amount, count, exact, thin
from secnb.analysis.deciding import NOTHING_LABELLED, Decision
from secnb.analysis.lasting import Periods
from secnb.analysis.sweeps import ThresholdSweep

_FAR_MORE: Final = 2
"""So many times the labels chosen on are held out where that is worth a word."""

_GAP: Final = 0.05
"""Share of the range of scores between the threshold in force and the lowest that is worth a word."""


def with_labels(periods: Periods, sweep: ThresholdSweep, early: ThresholdSweep) -> Periods:
    """Return the periods with how many labels lie in each."""
    whole, first = (int(each.totals[["n_true", "n_false"]].to_numpy().sum()) for each in (sweep, early))
    return replace(periods, n_labelled=first, n_labelled_later=whole - first)


def where_labels_lie(decision: Decision, periods: Periods) -> Decision:
    """Say of a decision that has no label where all of them are."""
    if decision.reason != NOTHING_LABELLED or not periods.n_labelled_later:
        return decision
    n = periods.n_labelled_later
    lie = f"all {thin(n)} labels lie" if n > 1 else "the only label lies"
    reason = f"{NOTHING_LABELLED} in the part chosen on: {lie} in the period that verifies; "
    return replace(decision, reason=f"{reason}verify_on=None chooses on everything")


def is_recorded(sweep: ThresholdSweep, thresholds: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return at which thresholds what fires was recorded; not where one is NaN."""
    lowest = -np.inf if sweep.units.recorded_from is None else sweep.units.recorded_from
    return np.asarray(thresholds >= lowest)


def notes_of(
    sweep: ThresholdSweep, early: ThresholdSweep, periods: Periods, currents: NDArray[np.float64]
) -> Iterator[str]:
    """Give what has to be said; ``currents`` are the thresholds in force of the groups."""
    yield from _of_current(sweep, currents)
    name = sweep.units.repeated
    if name is not None and sweep.units.cluster is None:
        yield (
            f"Some rows have the same {name}, and each counts as a unit: intervals are too narrow; "
            f"cluster={name!r} says that they belong together, drop_duplicates({name!r}) leaves one of each."
        )
    n, n_later = periods.n_labelled, periods.n_labelled_later
    if n and n_later > _FAR_MORE * n:
        yield (
            f"Of {thin(n + n_later)} labels, {thin(n_later)} lie in the period that verifies: the choice "
            f"rests on the other {thin(n)}; verify_on=None chooses on all of them."
        )
    n_missed, n_early = float(sweep.units.n_missed.sum()), float(early.units.n_missed.sum())
    if n_early < n_missed:
        yield (
            f"Of the {amount(n_missed)} missed objects without rows, {amount(n_early)} are counted in the "
            "part chosen on: they are shared out like the true units."
        )


def _of_current(sweep: ThresholdSweep, currents: NDArray[np.float64]) -> Iterator[str]:
    """Say where what fires now was not recorded, or may not have been."""
    known = currents[np.isfinite(currents)]
    below = known[~is_recorded(sweep, known)]
    at = f"at {exact(float(below[0]))}" if len(set(below)) == 1 else f"in {count(len(below), 'group')}"
    if len(below):
        kept_from = exact(float(sweep.units.recorded_from or 0))
        yield f"What fires now, {at}, is not known: nothing below {kept_from} was recorded."
        return
    if sweep.units.recorded_from is not None or not len(known):
        return
    scores = sweep.units.scores if sweep.units.grid is not None else sweep.threshold
    finite = np.isfinite(scores)
    lowest = float(np.min(scores, where=finite, initial=np.inf))
    reach = float(np.max(scores, where=finite, initial=-np.inf)) - lowest
    if np.isfinite(lowest) and known.min() < lowest - _GAP * reach:
        yield (
            f"No score lies below {exact(lowest)}: if the recorder kept nothing below it, more fires now, "
            f"at {exact(float(known.min()))}, than is counted here; recorded_from={exact(lowest)} says so."
        )
