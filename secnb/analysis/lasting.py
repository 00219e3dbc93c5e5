"""Does it last: an earlier part to choose on, a later part to verify on, and what changed between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secnb.analysis.columns import Counts, dense
from secnb.analysis.firing import fires, lowest_firing
from secnb.analysis.packing import blocks
from secnb.analysis.rates import unlabelled_by_group
from secnb.analysis.sweeps import ThresholdSweep, count
from secnb.analysis.units import Units

_KOLMOGOROV: Final = 1.358
"""Beyond that times the root of ``1 / n + 1 / m``, two distributions differ at the level of 5 %."""

DRIFT: Final = (
    "score_distance",
    "score_distance_limit",
    "precision_change",
    "precision_change_low",
    "precision_change_high",
)


@dataclass(frozen=True, kw_only=True)
class Periods:
    """What was chosen on, and what it was verified on.

    Attributes
    ----------
    chosen_from, chosen_until : pandas.Timestamp or None
        First and last time of the earlier part; None without aware times.
    verified_from, verified_until : pandas.Timestamp or None
        First and last time of the later part; None where there is none.
    why_not : str
        Why nothing was verified; empty where it was.
    """

    chosen_from: pd.Timestamp | None
    chosen_until: pd.Timestamp | None
    verified_from: pd.Timestamp | None = None
    verified_until: pd.Timestamp | None = None
    why_not: str = ""


def read_periods(units: Units, share: float | None) -> tuple[Periods, NDArray[np.bool_] | None]:
    """Cut the time span so that the last share of it is later; return which units are earlier.

    A cluster belongs to the part in which it begins, so that the cut lies between clusters; a unit without
    a time is earlier. None where there is no later part.
    """
    times = units.times
    if times is None:
        return Periods(chosen_from=None, chosen_until=None, why_not="there are no times with a zone"), None
    first, last = times.min(), times.max()
    if share is None:
        return Periods(chosen_from=first, chosen_until=last, why_not="no later part was asked for"), None
    if units.days is not None and not units.days.is_credible:
        why = "the times lie more than ten years apart, so that some must be wrong"
        return Periods(chosen_from=first, chosen_until=last, why_not=why), None
    begins = times
    if units.clusters is not None:
        begins = times.groupby(units.clusters).transform("min")
    cut = first + (last - first) * (1 - share)
    is_late = (begins >= cut).to_numpy(dtype=np.bool_, na_value=False)
    if is_late.all() or not is_late.any():
        why = "all units happened at once" if first == last else "one part would be empty"
        return Periods(chosen_from=first, chosen_until=last, why_not=why), None
    periods = Periods(
        chosen_from=times[~is_late].min(),
        chosen_until=times[~is_late].max(),
        verified_from=times[is_late].min(),
        verified_until=times[is_late].max(),
    )
    return periods, ~is_late


def readings(sweep: ThresholdSweep, thresholds: NDArray[np.float64]) -> pd.DataFrame:
    """Return the numbers of every group at its own threshold; all missing where that is NaN.

    Columns as in ``ThresholdSweep.frame``, then ``n_unlabelled_below``, unverified and silent, and
    ``n_labelled_fired``, labelled and firing, both in units. With probabilities, true and false alarms
    per day are the shares of the alerts that precision says.
    """
    given = ~np.isnan(thresholds)
    at = np.where(given, thresholds, np.inf)
    rows = np.array(
        [
            start + lowest_firing(sweep.threshold[start:stop], at[group : group + 1])[0]
            for group, (start, stop) in enumerate(zip(sweep.offsets[:-1], sweep.offsets[1:], strict=True))
        ],
        dtype=np.int64,
    )
    table = sweep._table(np.arange(sweep.n_groups), rows, at).drop(columns=list(sweep.by))
    table = _complete(sweep.units, table, at)
    return table if given.all() else table.where(pd.Series(given))


def _complete(units: Units, table: pd.DataFrame, thresholds: NDArray[np.float64]) -> pd.DataFrame:
    """Add the columns of ``readings`` to those of a sweep, one row per group."""
    table["n_unlabelled_below"] = unlabelled_by_group(units) - table["n_unlabelled"]
    if units.factors is None:
        table["n_labelled_fired"] = table["tp"] + table["fp"]
    else:
        rows = np.flatnonzero(units.is_labelled)
        groups = units.groups[rows]
        fired = groups[fires(units.scores[rows], thresholds[groups])]
        table["n_labelled_fired"] = np.bincount(fired, minlength=len(table))
    if units.probability is not None and "fired_per_day" in table:
        # What few labels stand for may be more than there is; their share of the alerts is not.
        table["true_per_day"] = table["fired_per_day"] * table["precision"]
        table["false_per_day"] = table["fired_per_day"] * (1 - table["precision"])
    return table


def total_readings(sweep: ThresholdSweep, thresholds: NDArray[np.float64]) -> pd.DataFrame:
    """Return the numbers of all groups together, each at its own threshold; missing where one has none.

    A unit then has the score 1 where it fires at the threshold of its group, and else 0.
    """
    units = sweep.units
    scores = np.full(len(units.groups), np.nan)
    for rows in blocks(len(scores)):
        # NaN stays, since it is no unit.
        given = units.scores[rows]
        scores[rows] = np.where(np.isnan(given), np.nan, fires(given, thresholds[units.groups[rows]]))
    frame = units.frame.copy(deep=False)
    # As a Series, an array is not copied.
    frame[units.score] = pd.Series(scores, index=frame.index, copy=False)
    together = replace(
        units,
        frame=frame,
        by=(),
        keys=pd.DataFrame(index=pd.RangeIndex(1)),
        groups=np.broadcast_to(np.zeros(1, dtype=np.int32), len(units.groups)),
        n_missed=np.asarray([units.n_missed.sum()]),
        recorded_from=None,
        shown_from=None,
        grid=np.ones(1),
    )
    table = count(together).at(1.0).assign(threshold=np.nan)
    table = _complete(together, table, np.ones(1))
    return table if not np.isnan(thresholds).any() else table.where(pd.Series([False]))


def drifts(
    distances: Sequence[tuple[float, float]], earlier: pd.DataFrame, later: pd.DataFrame
) -> pd.DataFrame:
    """Return how far the scores of both parts lie apart, and how the precision changed.

    The interval of the change is made from those of both precisions.

    References
    ----------
    Newcombe, R. G. (1998). Interval estimation for the difference between independent proportions.
    Statistics in Medicine 17, 873-890, method 10.
    """
    table = pd.DataFrame(distances, columns=list(DRIFT[:2]), dtype=np.float64)
    if "precision" not in later:
        return table.assign(**dict.fromkeys(DRIFT[2:], np.nan))
    ends = ("precision", "precision_low", "precision_high")
    was, was_low, was_high = (earlier[name].to_numpy(dtype=np.float64) for name in ends)
    now, now_low, now_high = (later[name].to_numpy(dtype=np.float64) for name in ends)
    change = now - was
    low = change - np.hypot(now - now_low, was_high - was)
    high = change + np.hypot(now_high - now, was - was_low)
    return table.assign(**dict(zip(DRIFT[2:], (change, low, high), strict=True)))


def score_distances(early: ThresholdSweep, late: ThresholdSweep | None) -> list[tuple[float, float]]:
    """Return the greatest distance between the score distributions of every group, and its limit.

    The distance is Kolmogorov and Smirnov's, between 0 and 1, and its limit what chance explains at the level
    of 5 %.
    """
    if late is None:
        return [(np.nan, np.nan)] * early.n_groups
    sizes = [_n_independent(part.units) for part in (early, late)]
    found = []
    for group in range(early.n_groups):
        n, m = sizes[0][group], sizes[1][group]
        if not (n and m):
            found.append((np.nan, np.nan))
            continue
        limit = _KOLMOGOROV * np.sqrt(1 / n + 1 / m)
        shares = [_shares(part, group) for part in (early, late)]
        distance = max(_greatest(*shares), _greatest(*shares[::-1]))
        found.append((distance, float(min(limit, 1.0))))
    return found


def _shares(sweep: ThresholdSweep, group: int) -> tuple[NDArray[np.float64], Counts]:
    """Return the thresholds of a group, and what fires at each."""
    rows = slice(int(sweep.offsets[group]), int(sweep.offsets[group + 1]))
    return sweep.threshold[rows], sweep.tally.fired[rows]


def _greatest(own: tuple[NDArray[np.float64], Counts], other: tuple[NDArray[np.float64], Counts]) -> float:
    """Return how far two shares lie apart at most at the thresholds of the first, block by block."""
    distance = 0.0
    for rows in blocks(len(own[0]) - 1):
        # What lies beyond the last threshold of the other fires nowhere, as at its end.
        at = np.minimum(lowest_firing(other[0], own[0][rows]), len(other[0]) - 1)
        apart = own[1][rows] / max(own[1][0], 1e-300) - other[1][at] / max(other[1][0], 1e-300)
        distance = max(distance, float(np.abs(apart).max()))
    return distance


def _n_independent(units: Units) -> NDArray[np.float64]:
    """Return how many independent units the scored ones of every group are worth.

    That is the square of the sum over the sum of squares of what each, or each cluster, counts for.

    References
    ----------
    Kish, L. (1965). Survey sampling. Wiley, 11.7.
    """
    scored = units.is_swept
    groups = units.groups[scored]
    if units.clusters is None and units.weights is None:
        return np.bincount(groups, minlength=units.n_groups).astype(np.float64)
    weights = np.ones(len(groups)) if units.weights is None else units.weights[scored]
    if units.clusters is not None:
        # One number for each cluster of each group.
        width = int(units.clusters.max(initial=0)) + 1
        pairs = groups * np.int64(width) + units.clusters[scored]
        members, n_pairs = dense(pairs, width * units.n_groups)
        of_pair = np.zeros(n_pairs, dtype=groups.dtype)
        of_pair[members] = groups
        groups, weights = of_pair, np.bincount(members, weights).astype(np.float64)
    whole, squares = (
        np.bincount(groups, weights=each, minlength=units.n_groups) for each in (weights, weights**2)
    )
    return np.divide(whole**2, squares, out=np.zeros(units.n_groups), where=squares > 0)
