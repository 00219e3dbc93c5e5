"""Does it last: an earlier part to choose on, a later part to verify on, and what changed between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secnb.analysis.columns import UNLABELLED, dense
from secnb.analysis.firing import fires, lowest_firing
from secnb.analysis.localdays import extent, read_zone
from secnb.analysis.packing import BLOCK, blocks, positions
from secnb.analysis.rates import unlabelled_by_group
from secnb.analysis.sweeps import ThresholdSweep, count
from secnb.analysis.units import Units

_KOLMOGOROV: Final = 1.358
"""Beyond that times the root of ``1 / n + 1 / m``, two distributions differ at the level of 5 %."""

_Shares = tuple[NDArray[np.float64], Callable[[slice | NDArray[np.int64]], NDArray[np.float64]]]

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
    n_labelled, n_labelled_later : int
        Labelled units with a score in the part chosen on and in the part verified on.
    """

    chosen_from: pd.Timestamp | None
    chosen_until: pd.Timestamp | None
    verified_from: pd.Timestamp | None = None
    verified_until: pd.Timestamp | None = None
    why_not: str = ""
    n_labelled: int = 0
    n_labelled_later: int = 0


def read_periods(units: Units, share: float | None) -> tuple[Periods, NDArray[np.bool_] | None]:
    """Cut the time span so that the last share of it is later; return which units are earlier.

    A cluster belongs to the part in which it begins, so that the cut lies between clusters; a unit without
    a time is earlier. None where there is no later part.
    """
    times = units.times
    if times is None:
        return Periods(chosen_from=None, chosen_until=None, why_not="there are no times with a zone"), None
    zone = read_zone(units.frame.attrs.get("timezone") or "UTC")
    first, last = (time.tz_convert(zone) for time in (times.min(), times.max()))
    if share is None:
        return Periods(chosen_from=first, chosen_until=last, why_not="no later part was asked for"), None
    if units.days is not None and not units.days.is_credible:
        why = "the times lie more than ten years apart, so that some must be wrong"
        return Periods(chosen_from=first, chosen_until=last, why_not=why), None
    cut = first + (last - first) * (1 - share)
    is_late = (times >= cut).to_numpy(dtype=np.bool_, na_value=False)
    if units.clusters is not None:
        is_late = _late_as_a_whole(units.clusters, is_late, times.notna().to_numpy(dtype=np.bool_))
    if is_late.all() or not is_late.any():
        why = "all units happened at once" if first == last else "one part would be empty"
        return Periods(chosen_from=first, chosen_until=last, why_not=why), None
    chosen, verified = (
        [time.tz_convert(zone) for time in extent(times, part)] for part in (~is_late, is_late)
    )
    periods = Periods(
        chosen_from=chosen[0],
        chosen_until=chosen[1],
        verified_from=verified[0],
        verified_until=verified[1],
    )
    return periods, ~is_late


def _late_as_a_whole(
    clusters: NDArray[np.integer], is_late: NDArray[np.bool_], is_timed: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return which rows belong to a cluster that begins late: it has a late row, and no earlier one."""
    n_clusters = int(clusters.max(initial=-1)) + 1
    begins_late, is_begun = np.zeros(n_clusters, dtype=np.bool_), np.zeros(n_clusters, dtype=np.bool_)
    for rows in blocks(len(clusters)):
        begins_late[clusters[rows][is_late[rows]]] = True
        is_begun[clusters[rows][is_timed[rows] & ~is_late[rows]]] = True
    found: NDArray[np.bool_] = (begins_late & ~is_begun)[clusters]
    return found


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
    if units.has_factors:
        table["n_unlabelled_below"], table["n_labelled_fired"] = _below_and_fired(units, thresholds)
    else:
        table["n_unlabelled_below"] = unlabelled_by_group(units) - table["n_unlabelled"]
        table["n_labelled_fired"] = table["tp"] + table["fp"]
    if units.probability is not None and "fired_per_day" in table:
        # What few labels stand for may be more than there is; their share of the alerts is not.
        table["true_per_day"] = table["fired_per_day"] * table["precision"]
        table["false_per_day"] = table["fired_per_day"] * (1 - table["precision"])
    return table


def _below_and_fired(
    units: Units, thresholds: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Add up what is silent and unlabelled, and count what fires and is labelled, in every group.

    Row by row, since a difference of fractions would leave a residue where there is nothing.
    """
    below, fired = np.zeros(units.n_groups), np.zeros(units.n_groups, dtype=np.int64)
    for rows in blocks(len(units.labels), max(BLOCK, units.n_groups)):
        swept = units.swept(rows)
        groups, is_labelled = units.groups[rows][swept], units.labels[rows][swept] != UNLABELLED
        is_fired = fires(units.scores[rows][swept], thresholds[groups])
        is_below = ~is_fired & ~is_labelled
        weights = None if units.weights is None else units.weights[rows][swept][is_below]
        below += np.bincount(groups[is_below], weights=weights, minlength=units.n_groups)
        fired += np.bincount(groups[is_fired & is_labelled], minlength=units.n_groups)
    return below, fired


def total_readings(sweep: ThresholdSweep, thresholds: NDArray[np.float64]) -> pd.DataFrame:
    """Return the numbers of all groups together, each at its own threshold; missing where one has none.

    A unit then has the score 1 where it fires at the threshold of its group, and else 0.
    """
    units = sweep.units
    # Half the memory is enough for 0 and 1.
    scores = np.full(len(units.groups), np.nan, dtype=np.float32)
    for rows in blocks(len(scores)):
        # NaN stays, since it is no unit.
        given = units.scores[rows]
        scores[rows] = np.where(np.isnan(given), np.nan, fires(given, thresholds[units.groups[rows]]))
    together = units.scored(
        scores,
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
    sizes = [_n_independent(part) for part in (early, late)]
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


def _shares(sweep: ThresholdSweep, group: int) -> _Shares:
    """Return the thresholds of a group, and what tells which share of it fires at some of them."""
    start, stop = (int(edge) for edge in sweep.offsets[group : group + 2])
    fired = sweep.tally.fired
    whole = max(float(fired[start : start + 1][0]), 1e-300)

    def share(rows: slice | NDArray[np.int64]) -> NDArray[np.float64]:
        if isinstance(rows, slice):
            rows = np.arange(rows.start, rows.stop)
        return np.asarray(fired[start + rows] / whole)

    return sweep.threshold[start:stop], share


def _greatest(own: _Shares, other: _Shares) -> float:
    """Return how far two shares lie apart at most at the thresholds of the first, block by block."""
    distance = 0.0
    for rows in blocks(len(own[0]) - 1):
        # What lies beyond the last threshold of the other fires nowhere, as at its end.
        at = np.minimum(lowest_firing(other[0], own[0][rows]), len(other[0]) - 1)
        apart = own[1](rows) - other[1](at)
        distance = max(distance, float(np.abs(apart).max()))
    return distance


def _n_independent(sweep: ThresholdSweep) -> NDArray[np.float64]:
    """Return how many independent units the scored ones of every group are worth.

    That is the square of the sum over the sum of squares of what each, or each cluster, counts for.

    References
    ----------
    Kish, L. (1965). Survey sampling. Wiley, 11.7.
    """
    units = sweep.units
    if units.clusters is None and units.weights is None:
        counts = sweep.totals[["n_true", "n_false", "n_unlabelled"]]
        return counts.sum(axis=1).to_numpy(dtype=np.float64)
    found = np.zeros(units.n_groups)
    for group, rows in enumerate(units.by_group(positions(units.is_swept))):
        sums = np.zeros(0) if units.weights is None else units.weights[rows]
        if units.clusters is not None:
            numbers, n_clusters = dense(units.clusters[rows], int(units.clusters.max(initial=-1)) + 1)
            weights, sums = sums, np.zeros(n_clusters)
            # Not by bincount, which would copy the numbers.
            np.add.at(sums, numbers, 1.0 if units.weights is None else weights)
        squares = sum(float(np.square(sums[part]).sum()) for part in blocks(len(sums)))
        found[group] = sums.sum() ** 2 / squares if squares > 0 else 0.0
    return found
