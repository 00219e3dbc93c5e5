"""Effective sample sizes: how many independent units weighted or clustered ones are worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from secnb.analysis.columns import TRUE, UNLABELLED, dense
from secnb.analysis.firing import lowest_firing
from secnb.analysis.packing import blocks, positions
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

    def take(self, rows: NDArray[np.int64]) -> EffectiveSizes:
        """Return those of some rows."""
        return EffectiveSizes(
            *(each[rows] for each in (self.precision, self.recall, self.n_fired, self.n_true))
        )


def effective_sizes(
    units: Units, threshold: NDArray[np.float64], offsets: NDArray[np.int64]
) -> EffectiveSizes:
    """Return the effective sizes at thresholds of every group, those of group ``g`` from ``offsets[g]`` on.

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


def _members(units: Units) -> list[NDArray[np.integer]]:
    """Return the labelled rows and the misses of each group, by falling score; misses come last."""
    counts = (units.labels != UNLABELLED) & ~np.isnan(units.scores)
    if units.is_missed is not None:
        counts |= units.is_missed
    if units.factors is not None:
        counts &= units.factors > 0
    rows = positions(counts)
    falling = -units.scores[rows]
    if units.is_missed is not None:
        falling[units.is_missed[rows]] = np.nan
    if units.n_groups == 1:
        return [rows[np.argsort(falling, kind="stable")]]
    groups = units.groups[rows]
    order = np.lexsort((falling, groups))
    return np.split(rows[order], np.searchsorted(groups[order], np.arange(1, units.n_groups)))


def _of_group(units: Units, rows: NDArray[np.integer], n_missed: float, threshold: Sizes) -> Sizes:
    # Misses stand at the end; what can fire comes first.
    n_firing = len(rows) if units.is_missed is None else int(np.count_nonzero(~units.is_missed[rows]))
    n_fired = n_firing - lowest_firing(units.scores[rows[:n_firing]][::-1], threshold)
    true_values = (units.labels[rows] == TRUE).astype(np.float64)
    if units.is_missed is not None:
        true_values[n_firing:] = 1.0
    if units.factors is not None:
        true_values *= units.factors[rows]
    clusters = None
    if units.clusters is not None:
        clusters, _ = dense(units.clusters[rows], int(units.clusters.max(initial=-1)) + 1)

    def value(part: slice) -> Sizes:
        return np.ones(len(rows[part])) if units.factors is None else units.factors[rows[part]]

    def add_up(each: Callable[[slice], NDArray[np.generic]]) -> Sizes:
        return _first_sums(each, n_firing)[n_fired]

    y, n, is_new = _before(clusters, true_values, value, n_firing)
    n_sum, y_sum = add_up(value), add_up(lambda part: true_values[part])
    yy = add_up(lambda part: true_values[part] * (2 * y[part] + true_values[part]))
    yn = add_up(
        lambda part: value(part) * y[part] + true_values[part] * n[part] + value(part) * true_values[part]
    )
    nn = add_up(lambda part: value(part) * (2 * n[part] + value(part)))
    n_clusters = add_up(lambda part: is_new[part])
    rate = np.divide(y_sum, n_sum, out=np.full(len(n_sum), np.nan), where=n_sum > 0)
    precision = _size(rate, n_sum, yy - 2 * rate * yn + rate**2 * nn, nn, n_clusters)
    of_cluster = true_values if clusters is None else np.bincount(clusters, weights=true_values)
    yt = add_up(lambda part: true_values[part] * of_cluster[part if clusters is None else clusters[part]])
    # A missed object without a row is a cluster of its own.
    whole, squares = of_cluster.sum() + n_missed, (of_cluster**2).sum() + n_missed
    n_true = float(np.count_nonzero(of_cluster)) + n_missed
    rate = y_sum / whole if whole > 0 else np.full(len(y_sum), np.nan)
    recall = _size(rate, whole, yy - 2 * rate * yt + rate**2 * squares, squares, n_true)
    return np.stack([precision, recall, n_clusters, np.full(len(threshold), n_true)])


def _before(
    clusters: NDArray[np.integer] | None,
    true_values: Sizes,
    value: Callable[[slice], Sizes],
    n_firing: int,
) -> tuple[Sizes, Sizes, NDArray[np.bool_]]:
    """Add up true values and values of the rows before each of its cluster; say which is the first."""
    if clusters is None:
        nothing = np.broadcast_to(0.0, n_firing)
        return nothing, nothing, np.broadcast_to(True, n_firing)
    order = np.argsort(clusters[:n_firing], kind="stable").astype(clusters.dtype)
    sizes = np.bincount(clusters[:n_firing])
    sizes = sizes[sizes > 0]
    starts = np.cumsum(sizes) - sizes
    is_new = np.zeros(n_firing, dtype=np.bool_)
    is_new[order[starts]] = True

    def before(in_order: Sizes) -> Sizes:
        found = np.cumsum(in_order)
        found -= in_order
        found -= np.repeat(found[starts], sizes)
        in_order[order] = found
        return in_order

    return before(true_values[:n_firing][order]), before(value(slice(n_firing))[order]), is_new


def _first_sums(each: Callable[[slice], NDArray[np.generic]], n_rows: int) -> Sizes:
    """Add up the first rows, from none to all; block by block, since that takes less memory."""
    sums = np.zeros(n_rows + 1)
    for part in blocks(n_rows):
        sums[1:][part] = each(part)
    np.cumsum(sums[1:], out=sums[1:])
    return sums


def _size(
    rate: Sizes, whole: Sizes | float, spread: Sizes, squares: Sizes | float, n_clusters: Sizes | float
) -> Sizes:
    """Return the effective size; NaN where all clusters have the same rate, up to rounding."""
    with np.errstate(divide="ignore", invalid="ignore"):
        size = rate * (1 - rate) * whole**2 * (n_clusters - 1) / (n_clusters * spread)
    return np.where(spread > 1e-12 * squares, size, np.nan)
