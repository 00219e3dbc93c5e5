"""Guarantees for later data: precision by Learn then Test, alerts per day by conformal risk control.

Both hold whatever the scores are worth, as long as later units (or days) are like those seen.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc

from secnb.analysis.packing import BLOCK, order_of

_STEPS: Final = 100
"""The grid has a hundred steps: 0.01 where scores lie between 0 and 1."""

_SHARE: Final = 0.4
"""Of all labelled units, those from which the second start walks down."""

_TABLE_SIZE: Final = 4096

_MOST_LABELS: Final = 1_000_000
"""Beyond that, more labels are no advice."""


@dataclass(frozen=True, eq=False)
class PrecisionTests:
    """Which thresholds are proven to have the precision asked for; made by ``prove_precision``.

    Attributes
    ----------
    grid : ndarray of float64, shape (n_thresholds,)
        The thresholds tested, ascending.
    is_proven : ndarray of bool, shape (n_thresholds,)
        Where the precision is at least the target, all of them at once with the confidence asked for.
    n_more : int or None
        About how many more labels make the first threshold provable, if they come out like those seen;
        0 where one is proven; None where more labels of this kind would hardly do it.
    """

    grid: NDArray[np.float64]
    is_proven: NDArray[np.bool_]
    n_more: int | None


def fixed_grid(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return thresholds that do not depend on labels: a hundred steps up to 1, or another power of ten."""
    finite = scores[np.isfinite(scores)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    largest = max(-low, high) or 1.0
    # Kept where a hundredth of it is a float, and a hundred times as well.
    scale = 10.0 ** min(max(math.ceil(math.log10(largest)), -300), 300)
    steps = np.arange(-_STEPS if low < 0 else 0, _STEPS + 1)
    # Divided at the end, so that 0.29 is the float that everybody writes.
    return steps * scale / _STEPS if scale > _STEPS else steps / (_STEPS / scale)


def prove_precision(
    grid: NDArray[np.float64], n: NDArray[np.int64], k: NDArray[np.int64], *, target: float, risk: float
) -> PrecisionTests:
    """Test on a fixed grid whether precision is at least the target, from the top down, from two starts.

    Fixed-sequence testing, at half the risk from each start: the highest threshold with as many labelled
    units as allow one false alarm (46 for 0.9 at risk 0.1), and the highest with two fifths of them all.
    Order and starts depend on how many units are labelled above a threshold, never on how. One start is
    hopeless where confident false alarms recur; starts at 44 labels and at a third answer less often on
    each of four populations, at the same violations (``benchmarks/bench_choosing.py``).

    Parameters
    ----------
    grid : ndarray of float64, shape (n_thresholds,)
        Ascending, chosen without a look at the labels.
    n, k : ndarray of int64, shape (n_thresholds,)
        Labelled units at or above each threshold, and those of them that are true. They must be
        independent, and labelled with equal probability.
    target : float
        The precision, between 0 and 1.
    risk : float
        Highest probability that a proven threshold has less; ``1 - confidence``.

    References
    ----------
    Angelopoulos, A. N., Bates, S., Candès, E. J., Jordan, M. I. and Lei, L. (2021). Learn then Test:
    calibrating predictive algorithms to achieve risk control. arXiv:2110.01052, algorithm 1 with the
    binomial p-value.
    """
    is_proven = walk_down(n, k, target=target, risk=risk)
    return PrecisionTests(
        grid=grid,
        is_proven=is_proven,
        n_more=0 if is_proven.any() else _more_labels(n, k, target=target, risk=risk),
    )


def walk_down(
    n: NDArray[np.number], k: NDArray[np.number], *, target: float, risk: float
) -> NDArray[np.bool_]:
    """Test down from each start, at its share of the risk, until a test fails; one walk per row.

    Parameters
    ----------
    n, k : ndarray, shape (..., n_thresholds)
        Units and true units at or above each threshold, which never rise along a row.
    """
    proves = _proves(n, k, target=target, risk=risk / 2)
    is_proven = np.zeros(n.shape, dtype=np.bool_)
    position = np.arange(n.shape[-1])
    # One start allows a single false alarm; the other does where confident false alarms recur.
    one_false = labels_needed(1, target=target, risk=risk / 2)
    for fewest in (one_false, np.maximum(_SHARE * n[..., :1], 1)):
        is_walked = n >= fewest
        last_failed = np.where(is_walked & ~proves, position, -1).max(axis=-1, initial=-1, keepdims=True)
        is_proven |= is_walked & (position > last_failed)
    return is_proven


def _proves(n: NDArray[np.number], k: NDArray[np.number], *, target: float, risk: float) -> NDArray[np.bool_]:
    """Whether each test by itself succeeds; from a table where the numbers are small and whole."""
    if n.size and n.dtype.kind in "iu" and n.max() < _TABLE_SIZE:
        return np.asarray(k >= _fewest_true(target, risk)[n])
    return p_values(n, k, target=target) <= risk


@functools.lru_cache(maxsize=8)
def _fewest_true(target: float, risk: float) -> NDArray[np.int64]:
    """For every number of units below the table's size, how many true ones prove the target."""
    n = np.arange(_TABLE_SIZE)
    low, high = np.zeros_like(n), n + 1
    while (high - low > 1).any():
        middle = (low + high) // 2
        succeeds = (p_values(n, np.minimum(middle, n), target=target) <= risk) & (middle <= n)
        low, high = np.where(succeeds, low, middle), np.where(succeeds, middle, high)
    high.setflags(write=False)
    return high


def p_values(n: ArrayLike, k: ArrayLike, *, target: float) -> NDArray[np.float64]:
    """Probability of ``k`` or more true units of ``n`` if their precision were only just the target."""
    n, k = np.asarray(n, dtype=np.float64), np.asarray(k, dtype=np.float64)
    # The binomial tail as a beta integral, which fractions of units allow as well.
    return np.where(k > 0, betainc(np.maximum(k, 1e-9), n - k + 1, target), 1.0)


@functools.lru_cache(maxsize=128)
def labels_needed(n_false: int, *, target: float, risk: float) -> int:
    """Fewest labelled units that prove a precision in one test, with so many false alarms among them.

    Examples
    --------
    >>> [labels_needed(n_false, target=0.9, risk=0.1) for n_false in range(6)]
    [22, 38, 52, 65, 78, 91]
    """
    low, high = n_false, n_false + 1
    while p_values(high, high - n_false, target=target) > risk:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (
            (low, middle) if p_values(middle, middle - n_false, target=target) <= risk else (middle, high)
        )
    return high


def labels_like(
    n: NDArray[np.number],
    k: NDArray[np.number],
    *,
    target: float,
    risk: float,
    recall: float = 0.0,
    fewest: int = 1,
) -> int | None:
    """Return about how many labels like those seen prove a threshold; None beyond a million.

    At least as many as allow one false alarm, and where none is labelled yet, just these.

    Parameters
    ----------
    n, k : ndarray, shape (n_thresholds,)
        Labelled units at or above each threshold, and those of them that are true, or what they stand for.
    target, risk : float
        As for ``prove_precision``.
    recall : float
        The share of true units that have to reach a threshold, to make it worth proving.
    fewest : int
        No smaller number is tried.
    """
    one_false = labels_needed(1, target=target, risk=risk / 2)
    if not len(n) or n[0] == 0:
        return one_false
    is_useful = k >= recall * k[0]
    factor = max(one_false, fewest) / int(n[0])
    while factor * n[0] <= _MOST_LABELS:
        if (is_useful & walk_down(n * factor, k * factor, target=target, risk=risk)).any():
            return math.ceil(factor * int(n[0]))
        factor *= 1.05
    return None


def _more_labels(n: NDArray[np.int64], k: NDArray[np.int64], *, target: float, risk: float) -> int | None:
    needed = labels_like(n, k, target=target, risk=risk, fewest=int(n[0]) if len(n) else 1)
    return None if needed is None else max(needed - (int(n[0]) if len(n) else 0), 1)


def allowed_days(n_days: int, *, within: float) -> int:
    """How many of the days seen may exceed a budget; -1 where there are too few days to say anything.

    References
    ----------
    Angelopoulos, A. N., Bates, S., Fisch, A., Lei, L. and Schuster, T. (2022). Conformal risk control.
    arXiv:2208.02814, equation 4.

    Examples
    --------
    >>> [allowed_days(n_days, within=0.9) for n_days in (8, 9, 19, 29, 49, 99)]
    [-1, 0, 1, 2, 4, 9]
    """
    # 1 - 0.9 is a little less than 0.1, which must not cost a day.
    return math.floor((n_days + 1) * (1 - within) + 1e-9) - 1


def days_needed(*, within: float) -> int:
    """Fewest days from which a budget can be kept on that share of days.

    Examples
    --------
    >>> days_needed(within=0.9), days_needed(within=0.95)
    (9, 19)
    """
    return max(math.ceil(1 / (1 - within) - 1 - 1e-9), 1)


def busiest_scores(
    day: NDArray[np.integer],
    scores: NDArray[np.float64],
    weights: NDArray[np.float64] | None,
    *,
    n_days: int,
    per_day: float,
) -> NDArray[np.float64]:
    """For each day the highest threshold at which it exceeds the budget; -inf for days that never do.

    Parameters
    ----------
    day : ndarray of int, shape (n_units,)
        From 0 to ``n_days - 1``; other numbers are outside the whole days and not counted.
    scores : ndarray of float64, shape (n_units,)
        NaN never fires.
    weights : ndarray of float64, shape (n_units,), or None
        How many alerts each unit stands for; None for 1.
    n_days : int
        The days; one without any unit exceeds no budget.
    per_day : float
        The budget: a day with more than that many is over it.
    """
    highest = np.full(n_days, -np.inf)
    is_counted = (day >= 0) & (day < n_days) & ~np.isnan(scores)
    # What is not counted comes last.
    rows, edges = order_of(np.where(is_counted, day, n_days), n_days + 1)
    n_counted = int(edges[n_days])
    # Some days at a time, of about as many units as a block has.
    stops = np.unique(np.searchsorted(edges[: n_days + 1], [*range(BLOCK, n_counted, BLOCK), n_counted]))
    for start, stop in pairwise([0, *stops]):
        mine = rows[edges[start] : edges[stop]]
        mine = mine[np.lexsort((-scores[mine], day[mine]))]
        so_far = np.cumsum(np.ones(len(mine)) if weights is None else weights[mine])
        before = np.concatenate(([0.0], so_far))[edges[start:stop] - edges[start]]
        exceeds = np.flatnonzero(so_far - before[day[mine] - start] > per_day + 1e-9)
        over, first = np.unique(day[mine][exceeds], return_index=True)
        highest[over] = scores[mine][exceeds[first]]
    return highest


def lowest_within_budget(busiest: NDArray[np.float64], *, within: float) -> float:
    """Return the score above which the budget holds on later days; inf where no threshold can promise it.

    Conformal risk control over days: the smallest threshold with
    ``(bad days + 1) / (n days + 1) <= 1 - within``.
    """
    allowed = allowed_days(len(busiest), within=within)
    if allowed < 0:
        return math.inf
    return float(np.sort(busiest)[::-1][allowed]) if allowed < len(busiest) else -math.inf
