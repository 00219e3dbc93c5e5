"""Rows counted by group and threshold: sorting and cumulative sums on plain arrays, no loop over rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secnb.analysis.columns import FALSE, TRUE, UNLABELLED, Counts
from secnb.analysis.firing import Grid, lowest_firing
from secnb.analysis.packing import BLOCK, blocks, find_packing
from secnb.analysis.sorting import count_packed
from secnb.analysis.units import Units
from secnb.analysis.weighing import Sums, rank

TOTALS: Final = (
    "n_true",
    "n_false",
    "n_unlabelled",
    "n_unscored_true",
    "n_unscored_false",
    "n_unscored_unlabelled",
)
"""The counts of rows per group, in the order of the truth codes, with a score and without."""

_MOST_CELLS: Final = 1 << 16

_Values = Callable[[NDArray[np.integer]], NDArray[np.float64] | None]


@dataclass(frozen=True, eq=False)
class Tally:
    """What fires at every threshold of every group; see ``ThresholdSweep`` for the layout.

    Whole counts have 32 bits where those suffice, so that a large sweep stays small.

    Attributes
    ----------
    threshold : ndarray of float64, shape (n_rows,)
        Thresholds, ascending within a group, the last ``inf``.
    offsets : ndarray of int64, shape (n_groups + 1,)
        Where the rows of each group begin.
    fired, tp, fp : ndarray or Sums, shape (n_rows,)
        What fires, and what of it is labelled true and false.
    unlabelled : ndarray or Sums, shape (n_rows,), or None
        What fires without a label; None where that is the rest, to the last digit.
    positives, negatives : ndarray, shape (n_groups,)
        All that is labelled true and false, whether a threshold is low enough or not.
    """

    threshold: NDArray[np.float64]
    offsets: NDArray[np.int64]
    fired: Counts | Sums
    tp: Counts | Sums
    fp: Counts | Sums
    unlabelled: Counts | Sums | None
    positives: Counts
    negatives: Counts


def tally(units: Units) -> Tally:
    """Count what fires, by the fastest way that is exact for these units."""
    if units.grid is not None:
        return _tally_grid(units, units.grid)
    return _tally_packed(units) or _tally_ordered(units)


def tally_groups(units: Units) -> pd.DataFrame:
    """Count rows per group by truth, with and without a score; missed rows are not among them."""
    labels, is_missed, is_kept = units.labels, units.is_missed, units.is_kept
    if units.n_groups == 1:
        known = labels if is_kept is None else labels[is_kept]
        counts = np.array([[np.count_nonzero(known == code) for code in (TRUE, FALSE, UNLABELLED)]])
    else:
        counts = np.zeros((units.n_groups, 3), dtype=np.int64)
        for rows in blocks(len(labels), max(BLOCK, counts.size)):
            kept = slice(None) if is_kept is None else np.flatnonzero(is_kept[rows])
            counts += _by_group(units.groups[rows][kept], labels[rows][kept], units.n_groups)
    # Few rows are left out, so that they are looked at alone.
    is_left_out = np.isnan(units.scores) if is_missed is None else ~units.is_swept
    left_out = np.flatnonzero(is_left_out if is_kept is None else is_left_out & is_kept)
    counts -= _by_group(units.groups[left_out], labels[left_out], units.n_groups)
    unscored = left_out if is_missed is None else left_out[~is_missed[left_out]]
    by_group = np.hstack([counts, _by_group(units.groups[unscored], labels[unscored], units.n_groups)])
    return pd.concat([units.keys, pd.DataFrame(by_group, columns=list(TOTALS))], axis=1)


def tally_days(units: Units, group: NDArray[np.int64], threshold: NDArray[np.float64]) -> Counts:
    """Count what fires, and what of it is true and false, within the whole local days.

    It is counted when asked for, since it would nearly double the memory of a sweep.

    Parameters
    ----------
    group : ndarray of int64, shape (n_rows,)
        Groups, ascending.
    threshold : ndarray of float64, shape (n_rows,)
        A threshold of each.

    Returns
    -------
    ndarray, shape (3, n_rows)
    """
    asked = np.unique(threshold)
    # Few thresholds take no sorting.
    grid = asked if len(asked) * units.n_groups <= _MOST_CELLS else None
    inside = tally(units.but(is_within_days=True, grid=grid))
    counts = (inside.fired, inside.tp, inside.fp)
    dtypes = (each.dtype for each in counts)
    found = np.zeros((3, len(threshold)), dtype=np.result_type(np.int64, *dtypes))
    edges = np.searchsorted(group, np.arange(units.n_groups + 1))
    for mine, (start, stop) in zip(pairwise(edges), pairwise(inside.offsets), strict=True):
        rows = start + lowest_firing(inside.threshold[start:stop], threshold[slice(*mine)])
        for each, values in zip(found, counts, strict=True):
            each[slice(*mine)] = values[rows]
    return found


def _by_group(groups: NDArray[np.integer], labels: NDArray[np.int8], n_groups: int) -> NDArray[np.int64]:
    """Count the codes of truth in each group."""
    found = np.bincount(groups * np.int64(3) + labels, minlength=3 * n_groups)
    return found.reshape(n_groups, 3).astype(np.int64, copy=False)


def _tally_packed(units: Units) -> Tally | None:
    """Count unweighted rows by sorting packed scores; None where they do not fit."""
    if units.has_factors or not units.n_groups:
        return None
    is_true = units.labels == TRUE
    flags, wanted = [is_true], [0b1]
    all_labelled = not (units.labels == UNLABELLED).any()
    if not all_labelled:
        flags.append(units.labels == FALSE)
        wanted.append(0b10)
    n_group_bits = (units.n_groups - 1).bit_length()
    packing = find_packing(units.scores, n_flags=len(flags) + n_group_bits)
    if packing is None:
        return None
    threshold, offsets, (fired, tp, *rest) = count_packed(units, packing, flags=flags, wanted=wanted)
    fp = fired - tp if all_labelled else rest[0]
    return _frozen(Tally(threshold, offsets, fired, tp, fp, None, *_all_of(offsets, tp, fp)))


def _all_of(offsets: NDArray[np.int64], *counts: Counts | Sums) -> Iterator[Counts]:
    """Return what fires at the lowest score of each group, which is everything."""
    return (values[offsets[:-1]].astype(np.result_type(values.dtype, np.int64)) for values in counts)


def _tally_ordered(units: Units) -> Tally:
    """Count rows of any weight in the order of their scores."""
    ranking = rank(units)

    def sums(values: _Values | None, code: int | None, *, is_whole: bool) -> Sums:
        dtype = np.dtype(np.int64 if is_whole else np.float64)

        def amounts(rows: NDArray[np.integer]) -> Counts:
            given = None if values is None else values(rows)
            found = np.ones(len(rows), dtype=dtype) if given is None else given.astype(dtype, copy=False)
            return found if code is None else found * (units.labels[rows] == code)

        return Sums(ranking, amounts, dtype)

    weights = None if units.weights is None else units.weights.__getitem__
    tp, fp = (sums(units.factors, code, is_whole=units.is_whole) for code in (TRUE, FALSE))
    positives, negatives = _all_of(ranking.offsets, tp, fp)
    # A difference of fractions would leave a residue where everything is labelled.
    rest = None if units.is_whole else sums(weights, UNLABELLED, is_whole=units.has_whole_weights)
    found = Tally(
        threshold=ranking.threshold,
        offsets=ranking.offsets,
        # What counts one unit each may have 32 bits.
        fired=ranking.fired if weights is None else sums(weights, None, is_whole=units.has_whole_weights),
        tp=tp,
        fp=fp,
        unlabelled=rest,
        positives=positives,
        negatives=negatives,
    )
    return _frozen(found)


def _tally_grid(units: Units, grid: NDArray[np.float64]) -> Tally:
    """Count at given thresholds only: rows between neighbours are alike, so that nothing is sorted."""
    shape = (units.n_groups, len(grid) + 1, 3)
    weighed = np.zeros(shape, dtype=np.int64 if units.weights is None else np.float64)
    scaled = weighed if units.probability is None else np.zeros(shape)
    finder = Grid(grid)
    for rows in blocks(len(units.groups), max(BLOCK, weighed.size)):
        kept = units.swept(rows)
        cell = finder.n_reached(units.scores[rows][kept])
        if units.n_groups > 1:
            cell += units.groups[rows][kept] * np.int64(len(grid) + 1)
        cell *= 3
        cell += units.labels[rows][kept]
        weights = None if units.weights is None else units.weights[rows][kept]
        weighed += np.bincount(cell, weights=weights, minlength=weighed.size).reshape(shape)
        if scaled is not weighed and (factors := units.factors(rows)) is not None:
            scaled += np.bincount(cell, weights=factors[kept], minlength=scaled.size).reshape(shape)
    threshold = np.tile(np.append(grid, np.inf), units.n_groups)
    offsets = np.arange(units.n_groups + 1, dtype=np.int64) * (len(grid) + 1)
    above = [np.cumsum(cells[:, ::-1], axis=1)[:, ::-1] for cells in _cells(units, weighed, scaled)]
    # The first sum is of everything, and at the end of a group nothing fires.
    counts = [np.append(sums[:, 1:], np.zeros_like(sums[:, :1]), axis=1).ravel() for sums in above]
    return _assemble(units, threshold, offsets, counts, above[1][:, 0], above[2][:, 0])


def _cells(units: Units, weighed: Counts, scaled: Counts) -> Iterator[Counts]:
    """Give the sums between neighbouring thresholds: fired, tp, fp, and unlabelled if it is not the rest."""
    yield from (weighed.sum(axis=2), scaled[..., TRUE], scaled[..., FALSE])
    if not units.is_whole:
        yield weighed[..., UNLABELLED]


def _assemble(
    units: Units,
    threshold: NDArray[np.float64],
    offsets: NDArray[np.int64],
    counts: list[Counts],
    positives: Counts,
    negatives: Counts,
) -> Tally:
    """Name the counts; what is a whole number becomes an integer."""
    fired, tp, fp, *rest = counts
    weighed = np.int64 if units.has_whole_weights else np.float64
    scaled = np.int64 if units.is_whole else np.float64
    found = Tally(
        threshold=threshold,
        offsets=offsets,
        fired=fired.astype(weighed, copy=False),
        tp=tp.astype(scaled, copy=False),
        fp=fp.astype(scaled, copy=False),
        unlabelled=rest[0].astype(weighed, copy=False) if rest else None,
        positives=positives.astype(scaled),
        negatives=negatives.astype(scaled),
    )
    return _frozen(found)


def _frozen(found: Tally) -> Tally:
    """Make the arrays read-only, since they are shared with whoever asks for them."""
    counts = (found.fired, found.tp, found.fp, found.unlabelled)
    for array in (found.threshold, found.offsets, *counts):
        if isinstance(array, np.ndarray):
            array.setflags(write=False)
    return found
