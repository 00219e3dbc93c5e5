"""Probabilities of being drawn, wave by wave, and drawing with them; on plain arrays."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]

REACH: Final = 0.2
"""Share of the units over which what is near is favoured by a factor of e."""

ABOVE: Final = 0.5
"""How much a score at or above the decision is favoured beside one as far below, where misses hide."""

FLOOR: Final = 0.1
"""The least that a unit is favoured, so that no weight is more than ten times another."""

# Halving this often reaches the last bit of a float.
_BISECTIONS = 100


def favour_near(scores: Numbers, near: float) -> Numbers:
    """How much each score is favoured by its distance in ranks from `near`; missing scores are, least."""
    ascending = np.sort(scores[~np.isnan(scores)])
    between = np.searchsorted(ascending, scores) - np.searchsorted(ascending, near)
    nearness = np.exp(-np.abs(between) / max(len(ascending), 1) / REACH)
    favour: Numbers = np.maximum(FLOOR, nearness * np.where(scores >= near, ABOVE, 1.0))
    return favour


def raise_chances(chance: Numbers, favour: Numbers, n: int, *, is_open: Flags, goes_on: Flags) -> Numbers:
    """Probabilities of being drawn by now, after a wave that takes `n` of the open units.

    They rise to the level at which the open units are drawn with probabilities that add up to `n`.

    Parameters
    ----------
    chance : ndarray of float64, shape (n_units,)
        Probabilities of being drawn before; below 1 where open.
    favour : ndarray of float64, shape (n_units,)
        What the level is multiplied with; above 0 where open.
    n : int
        From 1 to the number of open units.
    is_open : ndarray of bool, shape (n_units,)
        What can be drawn.
    goes_on : ndarray of bool, shape (n_units,)
        What was drawn, and could be drawn now had it not been: its probability rises as that of its like.
    """
    before, favoured = chance[is_open], favour[is_open]

    def expected(level: float) -> float:
        return float(of_wave(np.maximum(before, np.minimum(1.0, level * favoured)), before).sum())

    low, high = 0.0, 1.0 / float(favoured.min())
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        low, high = (middle, high) if expected(middle) < n else (low, middle)
    raised = np.maximum(chance, np.minimum(1.0, high * favour))
    return np.where(is_open | goes_on, raised, chance)


def of_wave(now: Numbers, before: Numbers) -> Numbers:
    """Probabilities of being drawn in this wave, for units that were not drawn before."""
    return (now - before) / (1.0 - before)


def draw_systematically(
    probability: Numbers, n: int, *, along: Numbers, generator: np.random.Generator
) -> NDArray[np.intp]:
    """Positions of `n` units, each drawn with its probability and all spread evenly along an order.

    Parameters
    ----------
    probability : ndarray of float64, shape (n_units,)
        From 0 to 1, adding up to `n`.
    n : int
        At least 1.
    along : ndarray of float64, shape (n_units,)
        What orders the units; ties in random order.
    generator : numpy.random.Generator
        Gives the order of ties and the start.
    """
    order = generator.permutation(len(probability))
    order = order[np.argsort(along[order], kind="stable")]
    passed = np.cumsum(probability[order])
    # Rounding must not cost the last one its place.
    passed *= n / passed[-1]
    return order[np.searchsorted(passed, generator.random() + np.arange(n), side="right")]
