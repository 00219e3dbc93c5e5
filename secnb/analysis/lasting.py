"""Does it last: an earlier part to choose on, a later part to verify on, and what changed between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

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

    Columns as in ``ThresholdSweep.frame``, and ``n_unlabelled_below``: unverified and silent.
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
    table["n_unlabelled_below"] = unlabelled_by_group(sweep.units) - table["n_unlabelled"]
    return table if given.all() else table.where(pd.Series(given))


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
    together = replace(
        units,
        frame=units.frame.assign(**{units.score: scores}),
        by=(),
        keys=pd.DataFrame(index=pd.RangeIndex(1)),
        groups=np.broadcast_to(np.zeros(1, dtype=np.int32), len(units.groups)),
        n_missed=np.asarray([units.n_missed.sum()]),
        recorded_from=None,
        shown_from=None,
        grid=np.ones(1),
    )
    table = count(together).at(1.0).assign(threshold=np.nan)
    table["n_unlabelled_below"] = unlabelled_by_group(together) - table["n_unlabelled"]
    return table if not np.isnan(thresholds).any() else table.where(pd.Series([False]))


def drifts(
    parts: Sequence[tuple[ThresholdSweep, ThresholdSweep | None]], earlier: pd.DataFrame, later: pd.DataFrame
) -> pd.DataFrame:
    """Return how far the scores of both parts lie apart, and how the precision changed.

    The distance is Kolmogorov and Smirnov's, between 0 and 1, and its limit what chance explains at the level
    of 5 %. The interval of the change is made from those of both precisions.

    References
    ----------
    Newcombe, R. G. (1998). Interval estimation for the difference between independent proportions.
    Statistics in Medicine 17, 873-890, method 10.
    """
    distances = [found for early, late in parts for found in _distances(early, late)]
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


def _distances(early: ThresholdSweep, late: ThresholdSweep | None) -> list[tuple[float, float]]:
    """Return the greatest distance between the score distributions of every group, and its limit."""
    if late is None:
        return [(np.nan, np.nan)] * early.n_groups
    sizes = [_n_independent(part.units) for part in (early, late)]
    found = []
    for group in range(early.n_groups):
        n, m = sizes[0][group], sizes[1][group]
        if not (n and m):
            found.append((np.nan, np.nan))
            continue
        thresholds = [part.threshold[part.offsets[group] : part.offsets[group + 1]] for part in (early, late)]
        both = np.union1d(*thresholds)
        shares = []
        for part, own in zip((early, late), thresholds, strict=True):
            fired = part.tally.fired[part.offsets[group] : part.offsets[group + 1]]
            at = np.append(fired, 0)[lowest_firing(own, both)]
            shares.append(at / max(at[0], 1e-300))
        limit = _KOLMOGOROV * np.sqrt(1 / n + 1 / m)
        found.append((float(np.abs(shares[0] - shares[1]).max()), float(min(limit, 1.0))))
    return found


def _n_independent(units: Units) -> NDArray[np.int64]:
    """Return the number of scored units of every group, or of their clusters."""
    scored = (
        ~np.isnan(units.scores) if units.is_missed is None else ~np.isnan(units.scores) & ~units.is_missed
    )
    groups = units.groups[scored]
    if units.clusters is not None:
        pairs = np.unique(np.stack([groups.astype(np.int64), units.clusters[scored]]), axis=1)
        groups = pairs[0]
    return np.bincount(groups, minlength=units.n_groups)
