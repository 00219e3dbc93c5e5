"""Rows counted by group and threshold: sorting and cumulative sums on plain arrays, no loop over rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
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
    fired, tp, fp : ndarray, shape (n_rows,)
        What fires, and what of it is labelled true and false.
    unlabelled : ndarray, shape (n_rows,), or None
        What fires without a label; None where that is the rest.
    positives, negatives : ndarray, shape (n_groups,)
        All that is labelled true and false, whether a threshold is low enough or not.
    """

    threshold: NDArray[np.float64]
    offsets: NDArray[np.int64]
    fired: Counts
    tp: Counts
    fp: Counts
    unlabelled: Counts | None
    positives: Counts
    negatives: Counts


def tally(units: Units) -> Tally:
    """Count what fires, by the fastest way that is exact for these units."""
    if units.grid is not None:
        return _tally_grid(units, units.grid)
    return _tally_packed(units) or _tally_ordered(units)


def tally_groups(units: Units) -> pd.DataFrame:
    """Count rows per group by truth, with and without a score; missed rows are not among them."""
    labels, is_missed = units.labels, units.is_missed
    if units.n_groups == 1:
        counts = np.array([[np.count_nonzero(labels == code) for code in (TRUE, FALSE, UNLABELLED)]])
    else:
        counts = np.zeros((units.n_groups, 3), dtype=np.int64)
        for rows in blocks(len(labels), max(BLOCK, counts.size)):
            counts += _by_group(units.groups[rows], labels[rows], units.n_groups)
    # Few rows are left out, so that they are looked at alone.
    left_out = np.flatnonzero(np.isnan(units.scores) if is_missed is None else ~units.is_swept)
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
    inside = tally(replace(units, is_within_days=True, grid=grid))
    counts = (inside.fired, inside.tp, inside.fp)
    found = np.zeros((3, len(threshold)), dtype=np.result_type(np.int64, *counts))
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
    if units.factors is not None or not units.n_groups:
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


def _all_of(offsets: NDArray[np.int64], *counts: Counts) -> Iterator[Counts]:
    """Return what fires at the lowest score of each group, which is everything."""
    return (values[offsets[:-1]].astype(np.result_type(values, np.int64)) for values in counts)


def _tally_ordered(units: Units) -> Tally:
    """Count rows of any weight in the order of their scores."""
    order = _order(units)
    first, threshold, offsets = _thresholds(units, order)

    def from_the_top(values: Counts) -> Counts:
        sums = values if len(first) == len(values) else np.add.reduceat(values, first, dtype=values.dtype)
        return _from_the_top(sums, offsets)

    # By map, which keeps no array for longer than it is needed.
    counts = list(map(from_the_top, _amounts(units, order)))
    return _assemble(units, threshold, offsets, counts, *_all_of(offsets, counts[1], counts[2]))


def _thresholds(
    units: Units, order: NDArray[np.integer]
) -> tuple[NDArray[np.integer], NDArray[np.float64], NDArray[np.int64]]:
    """Return where each threshold begins among the ordered rows, the thresholds, and the group offsets."""
    scores = units.scores[order]
    scores += 0.0
    is_first = np.ones(len(scores), dtype=np.bool_)
    np.not_equal(scores[1:], scores[:-1], out=is_first[1:])
    group_rows = np.bincount(units.groups[order], minlength=units.n_groups)
    starts = np.cumsum(group_rows) - group_rows
    is_first[starts[group_rows > 0]] = True
    first = np.flatnonzero(is_first).astype(order.dtype)
    n_before = np.searchsorted(first, np.append(starts, len(scores)))
    threshold = np.full(len(first) + units.n_groups, np.inf)
    for group, (start, stop) in enumerate(pairwise(n_before)):
        threshold[start + group : stop + group] = scores[first[start:stop]]
    return first, threshold, n_before + np.arange(units.n_groups + 1)


def _order(units: Units) -> NDArray[np.integer]:
    """Positions of the scored rows, by group and ascending score."""
    order: NDArray[np.integer] = np.argsort(units.scores)
    if len(order) < 2**31:
        order = order.astype(np.int32)
    is_swept = units.is_swept
    if not is_swept.all():
        order = order[is_swept[order]]
    if units.n_groups > 1:
        # numpy sorts integers of 16 bits in linear time, and few sweeps have more groups than that.
        small = units.groups[order].astype(np.uint16 if units.n_groups <= 2**16 else np.int64)
        order = order[np.argsort(small, kind="stable")]
    return order


def _amounts(units: Units, rows: NDArray[np.integer]) -> Iterator[Counts]:
    """Give what each row adds to fired, tp, fp, and to unlabelled if that differs."""
    dtype = np.int64 if units.is_whole else np.float64
    alone = np.int32 if len(rows) < 2**31 else np.int64
    labels = units.labels[rows]

    def amount(values: NDArray[np.float64] | None, code: int | None) -> Counts:
        found = np.ones(len(rows), dtype=alone) if values is None else values[rows].astype(dtype, copy=False)
        if code is not None:
            found *= labels == code
        return found

    kinds = ((units.weights, None), (units.factors, TRUE), (units.factors, FALSE))
    yield from (amount(*kind) for kind in kinds)
    if units.probability is not None:
        yield amount(units.weights, UNLABELLED)


def _from_the_top(sums: Counts, offsets: NDArray[np.int64]) -> Counts:
    """Add up from each threshold to the last of its group, and 0 at ``inf``."""
    found = np.zeros(offsets[-1], dtype=sums.dtype)
    for group, (start, stop) in enumerate(pairwise(offsets)):
        # Group by group, since a difference of fractions would leave a residue where nothing fires.
        added = sums[start - group : stop - group - 1]
        np.cumsum(added[::-1], out=found[start : stop - 1][::-1])
    return found


def _tally_grid(units: Units, grid: NDArray[np.float64]) -> Tally:
    """Count at given thresholds only: rows between neighbours are alike, so that nothing is sorted."""
    shape = (units.n_groups, len(grid) + 1, 3)
    weighed = np.zeros(shape, dtype=np.int64 if units.weights is None else np.float64)
    scaled = weighed if units.factors is units.weights else np.zeros(shape)
    finder = Grid(grid)
    for rows in blocks(len(units.groups), max(BLOCK, weighed.size)):
        kept = units.swept(rows)
        cell = finder.n_reached(units.scores[rows][kept])
        if units.n_groups > 1:
            cell += units.groups[rows][kept] * np.int64(len(grid) + 1)
        cell *= 3
        cell += units.labels[rows][kept]
        for table, values in ((weighed, units.weights), (scaled, units.factors)):
            given = None if values is None else values[rows][kept]
            table += np.bincount(cell, weights=given, minlength=table.size).reshape(shape)
            if scaled is weighed:
                break
    threshold = np.tile(np.append(grid, np.inf), units.n_groups)
    offsets = np.arange(units.n_groups + 1, dtype=np.int64) * (len(grid) + 1)
    above = [np.cumsum(cells[:, ::-1], axis=1)[:, ::-1] for cells in _cells(units, weighed, scaled)]
    # The first sum is of everything, and at the end of a group nothing fires.
    counts = [np.append(sums[:, 1:], np.zeros_like(sums[:, :1]), axis=1).ravel() for sums in above]
    return _assemble(units, threshold, offsets, counts, above[1][:, 0], above[2][:, 0])


def _cells(units: Units, weighed: Counts, scaled: Counts) -> Iterator[Counts]:
    """Give the sums between neighbouring thresholds, in the order of ``_amounts``."""
    yield from (weighed.sum(axis=2), scaled[..., TRUE], scaled[..., FALSE])
    if units.probability is not None:
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
    # What counts one unit each may have 32 bits already.
    fired, tp, fp, *rest = counts
    whole = fired.dtype if units.weights is None else np.dtype(np.int64)
    weighed = whole if units.has_whole_weights else np.dtype(np.float64)
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
        if array is not None:
            array.setflags(write=False)
    return found
