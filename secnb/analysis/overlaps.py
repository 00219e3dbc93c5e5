"""Overlap of boxes, and which detection takes which object; on plain arrays, no loop over boxes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]

# Pairs of boxes held at once.
_MOST_PAIRS = 1_000_000
# An overlap that rounding keeps just below 1 counts as 1, as in pycocotools.
_NEARLY_ONE = 1 - 1e-10


@dataclass(frozen=True)
class Pairs:
    """Detections and objects of one group that overlap enough; one entry per pair in every array.

    Attributes
    ----------
    detection, thing : ndarray of int64
        Their positions; detections count in the order in which they choose.
    overlap : ndarray of float64
        Intersection over union, or over the detection where the object is a crowd.
    """

    detection: Ints
    thing: Ints
    overlap: Numbers


def find_pairs(
    boxes: Numbers, groups: Ints, things: Numbers, thing_groups: Ints, is_crowd: Flags, *, least: float
) -> Pairs:
    """Return all pairs within a group that overlap by at least `least`.

    Parameters
    ----------
    boxes, things : ndarray of float64, shape (n, 4)
        x, y, width, height of detections and of objects.
    groups, thing_groups : ndarray of int64, shape (n,)
        Their groups.
    is_crowd : ndarray of bool, shape (n_things,)
        Which objects are crowds.
    least : float
        The least overlap.
    """
    by_group = np.argsort(thing_groups, kind="stable")
    low = np.searchsorted(thing_groups[by_group], groups, side="left")
    n_things = np.searchsorted(thing_groups[by_group], groups, side="right") - low
    found = []
    for start, stop in _chunks(n_things):
        counts = n_things[start:stop]
        detection = np.repeat(np.arange(start, stop), counts)
        within = np.arange(len(detection)) - np.repeat(np.cumsum(counts) - counts, counts)
        thing = by_group[low[detection] + within]
        overlap = _overlap(boxes[detection], things[thing], is_crowd[thing])
        enough = overlap >= min(least, _NEARLY_ONE)
        found.append((detection[enough], thing[enough], overlap[enough]))
    if not found:
        return Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    return Pairs(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _chunks(counts: Ints) -> Iterator[tuple[int, int]]:
    """Yield ranges of detections that make about as many pairs as may be held at once."""
    passed = np.concatenate(([0], np.cumsum(counts)))
    start = 0
    while start < len(counts):
        stop = int(np.searchsorted(passed, passed[start] + _MOST_PAIRS, side="right")) - 1
        stop = max(stop, start + 1)
        yield start, stop
        start = stop


def _overlap(boxes: Numbers, things: Numbers, is_crowd: Flags) -> Numbers:
    x, y, width, height = boxes.T
    other_x, other_y, other_width, other_height = things.T
    across = np.minimum(x + width, other_x + other_width) - np.maximum(x, other_x)
    down = np.minimum(y + height, other_y + other_height) - np.maximum(y, other_y)
    both = np.where((across > 0) & (down > 0), across * down, 0.0)
    area = width * height
    either = np.where(is_crowd, area, area + other_width * other_height - both)
    share: Numbers = np.divide(both, either, out=np.zeros(len(both)), where=either > 0)
    return share


def choose_greedily(pairs: Pairs, rank: Ints, is_crowd: Flags) -> tuple[Ints, Numbers]:
    """Return which object each detection takes, -1 for none, and their overlap, NaN for none.

    In each group the detections choose one after the other: of the objects that are free that with the
    largest overlap, the later one among equals; a crowd, which is always free, only where there is no
    other. All groups choose at once.

    Parameters
    ----------
    pairs : Pairs
        What overlaps enough.
    rank : ndarray of int64, shape (n_detections,)
        When each detection chooses in its group, from 0.
    is_crowd : ndarray of bool, shape (n_things,)
        Which objects are crowds.
    """
    taken = np.full(len(rank), -1, dtype=np.int64)
    overlap = np.full(len(rank), np.nan)
    is_free = np.ones(len(is_crowd), dtype=np.bool_)
    keys = (-pairs.thing, -pairs.overlap, is_crowd[pairs.thing], pairs.detection, rank[pairs.detection])
    order = np.lexsort(keys)
    detection, thing, overlaps = pairs.detection[order], pairs.thing[order], pairs.overlap[order]
    ranks = rank[detection]
    turns = _starts(ranks)
    for start, stop in zip(turns, np.append(turns, len(ranks))[1:], strict=True):
        free = np.arange(start, stop)[is_free[thing[start:stop]]]
        # The first pair of each detection is its best.
        best = free[_starts(detection[free])]
        taken[detection[best]] = thing[best]
        overlap[detection[best]] = overlaps[best]
        is_free[thing[best]] = is_crowd[thing[best]]
    return taken, overlap


def _starts(values: Ints) -> NDArray[np.intp]:
    """Where a run of equal values begins."""
    is_first = np.ones(len(values), dtype=np.bool_)
    is_first[1:] = values[1:] != values[:-1]
    return np.flatnonzero(is_first)
