"""Effective sample sizes: how many independent units weighted or clustered ones are worth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from secnb.analysis.columns import TRUE, dense
from secnb.analysis.firing import Grid
from secnb.analysis.packing import blocks, order_of
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
    The three sums in it grow by known amounts as the rows of falling reach come in, so that all
    thresholds take one pass. Without a cluster column, every row is a cluster of its own.

    References
    ----------
    Korn, E. L. and Graubard, B. I. (1998). Confidence intervals for proportions with small expected
    number of positive counts estimated from survey data. Survey Methodology 24, 193-201.
    """
    sizes = np.full((4, len(threshold)), np.nan)
    rows = units.known_rows
    if units.weights is not None:
        rows = rows[units.weights[rows] > 0]
    members = units.by_group(rows)
    for group, (start, stop) in enumerate(pairwise(offsets)):
        n_missed = float(units.n_missed[group])
        sizes[:, start:stop] = _of_group(units, members[group], n_missed, threshold[start:stop])
    return EffectiveSizes(*sizes)


def _of_group(units: Units, rows: NDArray[np.integer], n_missed: float, threshold: Sizes) -> Sizes:
    asked, place = np.unique(threshold, return_inverse=True)
    members = _Members(units, rows)
    # Sums of what reaches so many thresholds, the farthest first; what reaches none comes last.
    n, y, yy, yn, nn, n_clusters, yt = np.cumsum(_sums(members, asked), axis=1)[:, -2::-1][:, place]
    rate = np.divide(y, n, out=np.full(len(n), np.nan), where=n > 0)
    precision = _size(rate, n, yy - 2 * rate * yn + rate**2 * nn, nn, n_clusters)
    # A missed object without a row is a cluster of its own.
    whole, squares, n_true = members.totals + n_missed
    rate = y / whole if whole > 0 else np.full(len(y), np.nan)
    recall = _size(rate, whole, yy - 2 * rate * yt + rate**2 * squares, squares, n_true)
    return np.stack([precision, recall, n_clusters, np.full(len(threshold), n_true)])


def occurring(clusters: NDArray[np.integer], flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return for every cluster whether a row with a flag is in it."""
    found = np.zeros(int(clusters.max(initial=-1)) + 1, dtype=np.bool_)
    for part in blocks(len(flags)):
        found[clusters[part][flags[part]]] = True
    return found


class _Members:
    """The labelled rows and misses of a group; what they count for is read block by block."""

    def __init__(self, units: Units, rows: NDArray[np.integer]) -> None:
        self.units, self.rows = units, rows
        self._numbers, self.n_clusters = None, 0
        if units.clusters is not None:
            self.n_clusters = int(units.clusters.max(initial=-1)) + 1
            if self.n_clusters > 2 * len(rows):
                # Of many clusters those of a small group are numbered anew.
                self._numbers, self.n_clusters = dense(units.clusters[rows], self.n_clusters)
        # What is true in each cluster; and its sum, the sum of squares, and how many are not 0.
        self.true_of_cluster = np.zeros(self.n_clusters)
        self.totals = np.zeros(3)
        for part in blocks(len(rows)):
            _, true = self.amounts(part)
            if (clusters := self.clusters(part)) is None:
                self._add_to_totals(true)
            else:
                np.add.at(self.true_of_cluster, clusters, true)
        self._add_to_totals(self.true_of_cluster)

    def clusters(self, part: slice | NDArray[np.integer]) -> NDArray[np.integer] | None:
        """Return the numbers of the clusters of some of them; None where each stands alone."""
        if self.units.clusters is None:
            return None
        return self.units.clusters[self.rows[part]] if self._numbers is None else self._numbers[part]

    def _add_to_totals(self, true: Sizes) -> None:
        self.totals += true.sum(), np.square(true).sum(), np.count_nonzero(true)

    def amounts(self, part: slice | NDArray[np.integer]) -> Sizes:
        """Return what some of them count for, and for true; shape (2, n)."""
        rows = self.rows[part]
        value, is_true = self.units.factors(rows), self.units.labels[rows] == TRUE
        if self.units.is_missed is not None:
            is_true |= self.units.is_missed[rows]
        value = np.ones(len(rows)) if value is None else value
        return np.stack([value, value * is_true])

    def by_reach(self, asked: Sizes) -> Iterator[tuple[NDArray[np.integer], NDArray[np.integer]]]:
        """Give blocks of those that fire somewhere, the farthest first, and what each lacks."""
        finder = Grid(asked)
        lacks = np.empty(len(self.rows), dtype=np.min_scalar_type(len(asked)))
        for part in blocks(len(lacks)):
            rows = self.rows[part]
            scores, can_fire = self.units.scores[rows], ~np.isnan(self.units.scores[rows])
            if self.units.is_missed is not None:
                can_fire &= ~self.units.is_missed[rows]
            lacks[part] = len(asked)
            lacks[part][can_fire] -= finder.n_reached(scores[can_fire]).astype(lacks.dtype)
        order, edges = order_of(lacks, len(asked) + 1)
        for part in blocks(int(edges[len(asked)])):
            yield order[part], lacks[order[part]]


def _sums(members: _Members, asked: Sizes) -> Sizes:
    """Add up what the rows of each reach add to the seven sums; shape (7, n_thresholds + 1)."""
    found = np.zeros((7, len(asked) + 1))
    so_far = np.zeros((2, members.n_clusters))
    for at, lacks in members.by_reach(asked):
        value, true = amounts = members.amounts(at)
        clusters = members.clusters(at)
        if clusters is None:
            (n, y), is_new, of_cluster = np.zeros_like(amounts), np.ones(len(at), dtype=np.bool_), true
        else:
            (n, y), is_new = _before(clusters, amounts, so_far)
            of_cluster = members.true_of_cluster[clusters]
        added = (
            *(value, true, true * (2 * y + true), value * y + true * n + value * true),
            *(value * (2 * n + value), is_new, true * of_cluster),
        )
        first = np.flatnonzero(np.diff(lacks, prepend=lacks[0] + 1))
        found[:, lacks[first]] += np.add.reduceat(np.stack(added), first, axis=1)
    return found


def _before(clusters: NDArray[np.integer], amounts: Sizes, so_far: Sizes) -> tuple[Sizes, NDArray[np.bool_]]:
    """Add up the amounts of the rows before each of its cluster; say which row is the first of it."""
    order = np.argsort(clusters, kind="stable")
    ordered = clusters[order]
    first = np.flatnonzero(np.diff(ordered, prepend=-1))
    in_order = amounts[:, order]
    sums = np.cumsum(in_order, axis=1) - in_order
    sums += np.repeat(so_far[:, ordered[first]] - sums[:, first], np.diff(first, append=len(order)), axis=1)
    found, is_new = np.empty_like(sums), np.zeros(len(order), dtype=np.bool_)
    found[:, order] = sums
    is_new[order[first]] = so_far[0, ordered[first]] == 0
    so_far[:, ordered[first]] += np.add.reduceat(in_order, first, axis=1)
    return found, is_new


def _size(
    rate: Sizes, whole: Sizes | float, spread: Sizes, squares: Sizes | float, n_clusters: Sizes | float
) -> Sizes:
    """Return the effective size; NaN where all clusters have the same rate, up to rounding."""
    with np.errstate(divide="ignore", invalid="ignore"):
        size = rate * (1 - rate) * whole**2 * (n_clusters - 1) / (n_clusters * spread)
    return np.where(spread > 1e-12 * squares, size, np.nan)
