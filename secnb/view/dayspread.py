"""How sure a number per day is, by how far the days lie apart."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from secnb.analysis.firing import Grid
from secnb.analysis.units import Units

FEWEST_DAYS: Final = 5
"""Fewer days do not tell how far days lie apart: of two, the interval is far wider."""
_TAIL: Final = 0.025


def reach_of_mean(units: Units, thresholds: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return half the width of the 95 % interval of what fires per whole local day.

    Student's t on the days, taken as independent; a silent day is a day with 0. What fires on the same
    day may come in bursts, which the days show.

    Parameters
    ----------
    units : Units
        What is counted; weights count.
    thresholds : ndarray of float64, shape (n_thresholds,)
        Ascending.

    Returns
    -------
    ndarray of float64, shape (n_groups, n_thresholds), or None
        None with fewer than ``FEWEST_DAYS`` whole days.
    """
    days, numbers = units.days, units.day_numbers
    if days is None or numbers is None or days.n_days < FEWEST_DAYS:
        return None
    rows = np.flatnonzero((numbers >= 0) & units.is_swept)
    # Small numbers are sorted in linear time.
    rows = rows[
        np.argsort(numbers[rows].astype(np.uint16 if days.n_days < 2**16 else np.int64), kind="stable")
    ]
    shape = (units.n_groups, len(thresholds) + 1)
    cell = units.groups[rows] * np.int64(shape[1]) + Grid(thresholds).n_reached(units.scores[rows])
    edges = np.searchsorted(numbers[rows], np.arange(days.n_days + 1))
    total = np.zeros((shape[0], len(thresholds)))
    squares = np.zeros_like(total)
    for start, stop in pairwise(edges):
        weights = None if units.weights is None else units.weights[rows[start:stop]]
        sums = np.bincount(cell[start:stop], weights=weights, minlength=shape[0] * shape[1]).reshape(shape)
        # What reaches one threshold more than others fires at that one too.
        fired = np.cumsum(sums[:, ::-1], axis=1)[:, ::-1][:, 1:]
        total += fired
        squares += np.square(fired)
    n = days.n_days
    variance = np.maximum(squares - total**2 / n, 0) / (n - 1)
    reach: NDArray[np.float64] = stdtrit(n - 1, 1 - _TAIL) * np.sqrt(variance / n)
    return reach
