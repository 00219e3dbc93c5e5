"""Rows counted by group and threshold: sorting and cumulative sums on plain arrays, no loop over rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secnb.analysis.columns import FALSE, TRUE, UNLABELLED, Counts
from secnb.analysis.firing import Grid
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
    in_days : tuple of ndarray, or None
        The first three again, within the whole local days; None without any.
    positives, negatives : ndarray, shape (n_groups,)
        All that is labelled true and false, whether a threshold is low enough or not.
    """

    threshold: NDArray[np.float64]
    offsets: NDArray[np.int64]
    fired: Counts
    tp: Counts
    fp: Counts
    unlabelled: Counts | None
    in_days: tuple[Counts, ...] | None
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
    if units.is_in_days is not None:
        day = 1 << len(flags)
        flags.append(units.is_in_days)
        wanted = [*wanted, day, *(day | flag for flag in wanted)]
    n_group_bits = (units.n_groups - 1).bit_length()
    packing = find_packing(units.scores, n_flags=len(flags) + n_group_bits)
    if packing is None:
        return None
    threshold, offsets, counts = count_packed(units, packing, flags=flags, wanted=wanted)

    def take(start: int) -> tuple[Counts, Counts, Counts]:
        fired, tp = counts[start], counts[start + 1]
        return fired, tp, fired - tp if all_labelled else counts[start + 2]

    in_days = None if units.is_in_days is None else take(len(counts) // 2)
    fired, tp, fp = take(0)
    return _frozen(Tally(threshold, offsets, fired, tp, fp, None, in_days, *_all_of(offsets, tp, fp)))


def _all_of(offsets: NDArray[np.int64], *counts: Counts) -> Iterator[Counts]:
    """Return what fires at the lowest score of each group, which is everything."""
    return (values[offsets[:-1]].astype(np.result_type(values, np.int64)) for values in counts)


def _tally_ordered(units: Units) -> Tally:
    """Count rows of any weight in the order of their scores."""
    order = _order(units)
    scores, groups = units.scores[order] + 0.0, units.groups[order]
    # A row starts a threshold where its score or its group differs from that of the row before.
    changes = (scores[1:] != scores[:-1]) | (groups[1:] != groups[:-1])
    first = np.flatnonzero(np.concatenate((np.ones(min(len(scores), 1), dtype=np.bool_), changes)))
    rows_after = np.cumsum(np.bincount(groups[first], minlength=units.n_groups))
    threshold = np.insert(scores[first], rows_after, np.inf)
    offsets = np.concatenate(([0], rows_after + np.arange(1, units.n_groups + 1))).astype(np.int64)
    counts = []
    for values in _amounts(units, order):
        sums = np.add.reduceat(values, first) if len(first) else values[:0]
        counts.append(_from_the_top(np.insert(sums, rows_after, 0), offsets))
    return _assemble(units, threshold, offsets, counts, *_all_of(offsets, counts[1], counts[2]))


def _order(units: Units) -> NDArray[np.int64]:
    """Positions of the scored rows, by group and ascending score."""
    order = np.argsort(units.scores)
    order = order[units.is_swept[order]]
    if units.n_groups > 1:
        # numpy sorts integers of 16 bits in linear time, and few sweeps have more groups than that.
        small = units.groups[order].astype(np.uint16 if units.n_groups <= 2**16 else np.int64)
        order = order[np.argsort(small, kind="stable")]
    return order


def _amounts(units: Units, rows: NDArray[np.int64]) -> Iterator[Counts]:
    """Give what each row adds to fired, tp, fp, to unlabelled if that differs, and to those in the days."""
    dtype = np.int64 if units.is_whole else np.float64
    labels = units.labels[rows]

    def amount(values: NDArray[np.float64] | None, code: int | None) -> Counts:
        given = np.ones(len(rows), dtype=dtype) if values is None else values[rows]
        return (given if code is None else given * (labels == code)).astype(dtype, copy=False)

    kinds = ((units.weights, None), (units.factors, TRUE), (units.factors, FALSE))
    yield from (amount(*kind) for kind in kinds)
    if units.probability is not None:
        yield amount(units.weights, UNLABELLED)
    if units.is_in_days is not None:
        is_inside = units.is_in_days[rows]
        yield from (amount(*kind) * is_inside for kind in kinds)


def _from_the_top(sums: Counts, offsets: NDArray[np.int64]) -> Counts:
    """Add up from each row to the end of its group."""
    if sums.dtype == np.int64:
        after: Counts = np.append(np.cumsum(sums[::-1])[::-1], 0)
        beyond: Counts = np.repeat(after[offsets[1:]], np.diff(offsets))
        return np.subtract(after[:-1], beyond)
    # Fractions are added group by group: a difference of sums would leave a residue where nothing fires.
    found = np.empty_like(sums)
    for start, stop in pairwise(offsets):
        found[start:stop] = np.cumsum(sums[start:stop][::-1])[::-1]
    return found


def _tally_grid(units: Units, grid: NDArray[np.float64]) -> Tally:
    """Count at given thresholds only: rows between neighbours are alike, so that nothing is sorted."""
    shape = (units.n_groups, len(grid) + 1, 2, 3)
    weighed = np.zeros(shape, dtype=np.int64 if units.weights is None else np.float64)
    scaled = weighed if units.factors is units.weights else np.zeros(shape)
    finder = Grid(grid)
    for rows in blocks(len(units.groups), max(BLOCK, weighed.size)):
        kept = units.swept(rows)
        cell = finder.n_reached(units.scores[rows][kept])
        if units.n_groups > 1:
            cell += units.groups[rows][kept] * np.int64(len(grid) + 1)
        cell *= 6
        cell += units.labels[rows][kept]
        if units.is_in_days is not None:
            cell += 3 * units.is_in_days[rows][kept]
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
    yield from (weighed.sum(axis=(2, 3)), scaled[..., TRUE].sum(axis=2), scaled[..., FALSE].sum(axis=2))
    if units.probability is not None:
        yield weighed[..., UNLABELLED].sum(axis=2)
    if units.is_in_days is not None:
        yield from (weighed[:, :, 1].sum(axis=2), scaled[:, :, 1, TRUE], scaled[:, :, 1, FALSE])


def _assemble(
    units: Units,
    threshold: NDArray[np.float64],
    offsets: NDArray[np.int64],
    counts: list[Counts],
    positives: Counts,
    negatives: Counts,
) -> Tally:
    """Name the counts; what is a whole number becomes an integer."""
    weighed = np.int64 if units.has_whole_weights else np.float64
    scaled = np.int64 if units.is_whole else np.float64
    fired, tp, fp, *rest = counts
    unlabelled = rest.pop(0).astype(weighed) if units.probability is not None else None
    in_days = [each.astype(kind) for each, kind in zip(rest, (weighed, scaled, scaled), strict=False)]
    found = Tally(
        threshold=threshold,
        offsets=offsets,
        fired=fired.astype(weighed, copy=False),
        tp=tp.astype(scaled, copy=False),
        fp=fp.astype(scaled, copy=False),
        unlabelled=unlabelled,
        in_days=tuple(in_days) or None,
        positives=positives.astype(scaled),
        negatives=negatives.astype(scaled),
    )
    return _frozen(found)


def _frozen(found: Tally) -> Tally:
    """Make the arrays read-only, since they are shared with whoever asks for them."""
    counts = (found.fired, found.tp, found.fp, found.unlabelled, *(found.in_days or ()))
    for array in (found.threshold, found.offsets, *counts):
        if array is not None:
            array.setflags(write=False)
    return found
