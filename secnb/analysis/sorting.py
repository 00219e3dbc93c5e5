"""Counts at every distinct score, from whole numbers that hold group, score and flags, sorted in place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from secnb.analysis.columns import Counts
from secnb.analysis.packing import Packing, blocks
from secnb.analysis.units import Units


def count_packed(
    units: Units, packing: Packing, *, flags: Sequence[NDArray[np.bool_]], wanted: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.int64], list[Counts]]:
    """Return thresholds, group offsets, and how many rows fire: all, then those with the wanted flags.

    Bit ``i`` of what is wanted stands for flag ``i``; a row counts where it has all of them. The memory
    of the sorted rows becomes that of the thresholds, and counts have 32 bits where those suffice.
    """
    keys, n_rows = _sorted_keys(units, packing, flags)
    before, group_rows = _count_before(
        keys, n_rows, n_groups=units.n_groups, n_flags=len(flags), wanted=wanted
    )
    n_thresholds = len(before[0]) - units.n_groups
    edges = [np.uint64(group << packing.n_bits) for group in range(1, units.n_groups)]
    offsets = np.concatenate(([0], np.searchsorted(keys[:n_thresholds], edges), [n_thresholds]))
    threshold = keys.view(np.float64)[: len(before[0])]
    mask = np.uint64((1 << packing.n_bits) - 1)
    for rows in blocks(n_thresholds):
        threshold[rows] = packing.unpack(keys[rows] & mask)
    # From the last group on, so that nothing is overwritten before it has moved.
    for group in range(units.n_groups - 1, -1, -1):
        first, stop = int(offsets[group]), int(offsets[group + 1])
        moved = slice(first + group, stop + group)
        threshold[moved] = threshold[first:stop]
        threshold[stop + group] = np.inf
        for counted, total in zip(before, group_rows, strict=True):
            reached = counted[stop] if stop < n_thresholds else total
            np.subtract(reached, counted[first:stop], out=counted[moved])
            counted[stop + group] = 0
    if 2 * len(threshold) < len(keys):
        threshold = threshold.copy()
    return threshold, offsets + np.arange(units.n_groups + 1), before


def _sorted_keys(
    units: Units, packing: Packing, flags: Sequence[NDArray[np.bool_]]
) -> tuple[NDArray[np.uint64], int]:
    """Return the keys of the scored rows in order, with room for one more threshold per group."""
    keys = np.empty(units.n_swept_at_most + units.n_groups, dtype=np.uint64)
    n_rows = 0
    for rows in blocks(len(units.scores)):
        kept = units.swept(rows)
        packed = packing.pack(units.scores[rows][kept])
        if units.n_groups > 1:
            packed |= units.groups[rows][kept].astype(np.uint64) << np.uint64(packing.n_bits)
        for flag in reversed(flags):
            packed <<= np.uint64(1)
            packed |= flag[rows][kept]
        keys[n_rows : n_rows + len(packed)] = packed
        n_rows += len(packed)
    keys[:n_rows].sort()
    return keys, n_rows


def _count_before(
    keys: NDArray[np.uint64], n_rows: int, *, n_groups: int, n_flags: int, wanted: Sequence[int]
) -> tuple[list[Counts], list[int]]:
    """Count the rows before each distinct key, and all; the keys, without flags, move to the front."""
    n_thresholds = sum(np.count_nonzero(is_first) for _, _, is_first in _blocks_of(keys, n_rows, n_flags))
    dtype = np.int32 if n_rows < 2**31 else np.int64
    before = [np.zeros(n_thresholds + n_groups, dtype=dtype) for _ in range(1 + len(wanted))]
    totals = [0] * len(before)
    n_before, stop = 0, 0
    for block, bare, is_first in _blocks_of(keys, n_rows, n_flags):
        first = np.flatnonzero(is_first)
        start, stop = stop, stop + len(first)
        np.add(first, n_before, out=before[0][start:stop], casting="unsafe")
        for i, flags in enumerate(wanted, start=1):
            has_flags = (block & np.uint64(flags)) == np.uint64(flags)
            reached = np.cumsum(has_flags, dtype=dtype)
            # The rows up to the first of its key, but without that one.
            np.subtract(reached[first], has_flags[first], out=before[i][start:stop])
            np.add(before[i][start:stop], totals[i], out=before[i][start:stop])
            totals[i] += int(reached[-1])
        keys[start:stop] = bare[first]
        n_before += len(block)
    totals[0] = n_rows
    return before, totals


def _blocks_of(
    keys: NDArray[np.uint64], n_rows: int, n_flags: int
) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.bool_]]]:
    """Give blocks of keys, with and without flags, and which of them are the first of their kind."""
    previous = None
    for rows in blocks(n_rows):
        block = keys[rows]
        bare = block >> np.uint64(n_flags)
        is_first = np.empty(len(bare), dtype=np.bool_)
        is_first[0] = previous is None or bare[0] != previous
        np.not_equal(bare[1:], bare[:-1], out=is_first[1:])
        previous = bare[-1]
        yield block, bare, is_first
