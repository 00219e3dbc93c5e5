"""Effective sample sizes: how many independent units weighted or clustered ones are worth."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from secnb.analysis.columns import TRUE, UNLABELLED
from secnb.analysis.firing import lowest_firing
from secnb.analysis.units import Units

Sizes = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class EffectiveSizes:
    """What precision and recall rest on, for every row of a sweep.

    Attributes
    ----------
    precision, recall : ndarray of float64
        ``p * (1 - p) / variance`` with the linearised variance between clusters; NaN where that is 0.
    n_fired, n_true : ndarray of float64
        Clusters with a labelled row that fires, and clusters with a true row or a miss.
    """

    precision: Sizes
    recall: Sizes
    n_fired: Sizes
    n_true: Sizes


def effective_sizes(
    units: Units, threshold: NDArray[np.float64], offsets: NDArray[np.int64]
) -> EffectiveSizes:
    """Return the effective sizes at the thresholds of every group.

    A ratio of sums over clusters, ``Y / N``, has the variance ``C / (C - 1) * sum((y - p n)^2) / N^2``.
    The three sums in it grow by known amounts as the rows of falling score come in, so that all
    thresholds take one pass. Without a cluster column, every row is a cluster of its own.

    References
    ----------
    Korn, E. L. and Graubard, B. I. (1998). Confidence intervals for proportions with small expected
    number of positive counts estimated from survey data. Survey Methodology 24, 193-201.
    """
    sizes = np.full((4, len(threshold)), np.nan)
    members = _members(units)
    for group, (start, stop) in enumerate(pairwise(offsets)):
        rows = members[group]
        sizes[:, start:stop] = _of_group(units, rows, float(units.n_missed[group]), threshold[start:stop])
    return EffectiveSizes(*sizes)


def _members(units: Units) -> list[NDArray[np.int64]]:
    """Return the labelled rows and the misses of each group, by falling score; misses come last."""
    counts = (units.labels != UNLABELLED) & ~np.isnan(units.scores)
    scores = units.scores
    if units.is_missed is not None:
        counts |= units.is_missed
        scores = np.where(units.is_missed, np.nan, scores)
    if units.factors is not None:
        counts &= units.factors > 0
    rows = np.flatnonzero(counts)
    rows = rows[np.lexsort((-scores[rows], units.groups[rows]))]
    edges = np.searchsorted(units.groups[rows], np.arange(1, units.n_groups))
    return np.split(rows, edges)


def _of_group(units: Units, rows: NDArray[np.int64], n_missed: float, threshold: Sizes) -> Sizes:
    is_missed = np.zeros(len(rows), dtype=np.bool_) if units.is_missed is None else units.is_missed[rows]
    values = np.ones(len(rows)) if units.factors is None else units.factors[rows]
    true_values = values * (is_missed | (units.labels[rows] == TRUE))
    clusters = np.arange(len(rows))
    if units.clusters is not None:
        _, clusters = np.unique(units.clusters[rows], return_inverse=True)
    # Misses stand at the end; what can fire comes first.
    fires = slice(0, int(np.count_nonzero(~is_missed)))
    ascending = units.scores[rows[fires]][::-1]
    n_fired = len(ascending) - lowest_firing(ascending, threshold)
    precision, n_clusters = _precision(values[fires], true_values[fires], clusters[fires], n_fired)
    recall, n_true = _recall(true_values, clusters, fires, n_missed, n_fired)
    return np.stack([precision, recall, n_clusters, np.full(len(threshold), n_true)])


def _precision(
    values: Sizes, true_values: Sizes, clusters: NDArray[np.int64], n_fired: NDArray[np.int64]
) -> tuple[Sizes, Sizes]:
    n, y, is_new = _before(clusters, values, true_values, np.ones(len(values)))
    n_sum, y_sum, yy, yn, nn, n_clusters = _sums(
        n_fired,
        values,
        true_values,
        true_values * (2 * y + true_values),
        values * y + true_values * n + values * true_values,
        values * (2 * n + values),
        is_new == 0,
    )
    rate = np.divide(y_sum, n_sum, out=np.full(len(n_sum), np.nan), where=n_sum > 0)
    return _size(rate, n_sum, yy - 2 * rate * yn + rate**2 * nn, nn, n_clusters), n_clusters


def _recall(
    true_values: Sizes,
    clusters: NDArray[np.int64],
    fires: slice,
    n_missed: float,
    n_fired: NDArray[np.int64],
) -> tuple[Sizes, float]:
    # A missed object without a row is a cluster of its own.
    of_cluster = np.bincount(clusters, weights=true_values)
    whole, squares = of_cluster.sum() + n_missed, (of_cluster**2).sum() + n_missed
    n_true = float(np.count_nonzero(of_cluster)) + n_missed
    clusters, true_values = clusters[fires], true_values[fires]
    (y,) = _before(clusters, true_values)
    y_sum, yy, yt = _sums(
        n_fired, true_values, true_values * (2 * y + true_values), true_values * of_cluster[clusters]
    )
    rate = y_sum / whole if whole > 0 else np.full(len(y_sum), np.nan)
    spread = yy - 2 * rate * yt + rate**2 * squares
    return _size(rate, whole, spread, squares, n_true), n_true


def _before(clusters: NDArray[np.int64], *values: Sizes) -> list[Sizes]:
    """Add up what the rows before each row of the same cluster have."""
    order = np.argsort(clusters, kind="stable")
    sizes = np.bincount(clusters)
    found = []
    for each in values:
        before = np.cumsum(each[order]) - each[order]
        before -= np.repeat(before[np.cumsum(sizes) - sizes], sizes)
        in_place = np.empty_like(before)
        in_place[order] = before
        found.append(in_place)
    return found


def _sums(n_rows: NDArray[np.int64], *values: NDArray[np.generic]) -> list[Sizes]:
    """Add up the first so many of the values."""
    return [np.concatenate(([0.0], np.cumsum(each, dtype=np.float64)))[n_rows] for each in values]


def _size(
    rate: Sizes, whole: Sizes | float, spread: Sizes, squares: Sizes | float, n_clusters: Sizes | float
) -> Sizes:
    """Return the effective size; NaN where all clusters have the same rate, up to rounding."""
    with np.errstate(divide="ignore", invalid="ignore"):
        size = rate * (1 - rate) * whole**2 * (n_clusters - 1) / (n_clusters * spread)
    return np.where(spread > 1e-12 * squares, size, np.nan)
