"""What fires: the one place of ``score >= threshold``, from either side."""

from __future__ import annotations

import math
from decimal import ROUND_FLOOR, Context, Decimal
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from secnb.errors import BadInputError

_DIGITS: Final = 6
"""So many digits a threshold is written with, unless it would then fire on others."""

_MOST_STEPS = 4
"""Beyond that many thresholds in a cell of the table, plain bisection is faster."""


def lowest_firing(ascending: NDArray[np.float64], threshold: NDArray[np.float64]) -> NDArray[np.int64]:
    """Position of the first of the ascending scores that fires, for each threshold.

    Everything from there on fires too; ``len(ascending)`` where nothing does.
    """
    return np.searchsorted(ascending, threshold, side="left").astype(np.int64)


def read_thresholds(threshold: ArrayLike) -> NDArray[np.float64]:
    """Thresholds as a float64 vector; text is refused, though numpy would parse it."""
    asked = np.asarray(threshold)
    if asked.ndim > 1 or (asked.size and asked.dtype.kind not in "iuf"):
        raise BadInputError(f"A threshold must be a number or a list of numbers, not {threshold!r}.")
    asked = np.atleast_1d(asked).astype(np.float64)
    if np.isnan(asked).any():
        raise BadInputError("A threshold is NaN; nothing is at or above it. Allowed: numbers, inf and -inf.")
    return asked


def written(threshold: float, ascending: NDArray[np.float64]) -> float:
    """Return the number that people write for a threshold: of six digits, and firing on the same scores.

    More digits where other scores lie between. Where all these scores are single-precision floats, it
    fires on the same ones compared as such: 0.53 would fire on 0.52999997 there, and not as float64.
    """
    if not math.isfinite(threshold) or threshold.is_integer():
        return threshold
    row = int(lowest_firing(ascending, np.array([threshold]))[0])
    low = float(ascending[row - 1]) if row else -math.inf
    high = float(ascending[row]) if row < len(ascending) else math.inf
    is_single = _single(low) == low and _single(high) == high

    def keeps(number: float) -> bool:
        return low < number <= high and (not is_single or low < _single(number) <= high)

    found = float(f"{threshold:.{_DIGITS}g}")
    below = Decimal(threshold if keeps(threshold) else high)
    for n_digits in range(_DIGITS, 18):
        if keeps(found):
            return found
        found = float(Context(prec=n_digits, rounding=ROUND_FLOOR).create_decimal(below))
    return threshold


def _single(number: float) -> float:
    """Return the single-precision float next to a number."""
    with np.errstate(over="ignore"):
        return float(np.float32(number))


def fires(scores: NDArray[np.float64], threshold: NDArray[np.float64] | float) -> NDArray[np.bool_]:
    """Whether each score fires at the threshold beside it; NaN never does."""
    return scores >= threshold


class Grid:
    """Ascending thresholds, with a table that finds quickly how many of them a score reaches.

    The table divides the range of the thresholds into equal cells. A score surely reaches the thresholds
    of lower cells, since finding the cell is monotone whatever is rounded in it; those of its own cell are
    compared.
    """

    def __init__(self, thresholds: NDArray[np.float64]) -> None:
        self._thresholds = thresholds
        self._n_steps = 0
        finite = thresholds[np.isfinite(thresholds)]
        if len(finite) < 2:
            return
        n_cells = 4 * len(finite)
        with np.errstate(over="ignore"):
            span = finite[-1] - finite[0]
            self._scale = n_cells / span
        self._first, self._last = finite[0], float(n_cells)
        if not (np.isfinite(self._scale) and np.isfinite(span)):
            return
        cells = self._cells(thresholds)
        n_steps = int(np.bincount(cells).max())
        if n_steps <= _MOST_STEPS:
            self._n_steps = n_steps
            self._below = np.searchsorted(cells, np.arange(n_cells + 1), side="left")
            # A score never reaches what follows the last threshold.
            self._padded = np.append(thresholds, np.nan)

    def _cells(self, scores: NDArray[np.float64]) -> NDArray[np.int64]:
        with np.errstate(over="ignore"):
            position = scores - self._first
            position *= self._scale
        np.maximum(position, 0.0, out=position)
        np.minimum(position, self._last, out=position)
        cells: NDArray[np.int64] = position.astype(np.int64)
        return cells

    def n_reached(self, scores: NDArray[np.float64]) -> NDArray[np.int64]:
        """How many of the thresholds each score reaches: it fires at those, and at no other."""
        if not self._n_steps:
            return np.searchsorted(self._thresholds, scores, side="right").astype(np.int64)
        reached: NDArray[np.int64] = self._below.take(self._cells(scores))
        for _ in range(self._n_steps):
            reached += scores >= self._padded.take(reached)
        return reached
