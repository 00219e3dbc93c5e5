"""Where a threshold slider can stand: about a hundred round numbers over the scores, and what is marked."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from secnb.analysis.scales import check_scale, is_points
from secnb.view.marks import Spec


@dataclass(frozen=True)
class Slider:
    """Round numbers ``(first + i) * mantissa * 10 ** exponent`` for ``i`` from 0 to ``n_steps``, and others.

    Round numbers are built from integers, so that each is exactly the decimal number that an analyst would
    type: 0.29 and not 29 * 0.01, which is less and would fire on other rows. Beside them are thresholds
    that are marked. A position is the place of one among all, ascending.
    """

    first: int
    n_steps: int
    mantissa: int
    exponent: int
    start: int
    beside: tuple[float, ...] = ()

    def value(self, step: int) -> float:
        """Return a round number by its own position."""
        return float(f"{(self.first + step) * self.mantissa}e{self.exponent}")

    @cached_property
    def rounds(self) -> NDArray[np.float64]:
        """The round numbers, ascending."""
        return np.array([self.value(i) for i in range(self.n_steps + 1)])

    @cached_property
    def thresholds(self) -> NDArray[np.float64]:
        """All thresholds, ascending."""
        return np.union1d(self.rounds, self.beside)

    @property
    def places(self) -> NDArray[np.int64]:
        """The positions of the round numbers."""
        return np.searchsorted(self.thresholds, self.rounds)

    @property
    def cells(self) -> NDArray[np.int64]:
        """For each position, which round number is the last at or below it."""
        return np.searchsorted(self.rounds, self.thresholds, side="right") - 1

    def stopping_at(self, thresholds: NDArray[np.float64]) -> Slider:
        """Return it with more positions, which lie in its range."""
        return replace(self, beside=tuple(np.setdiff1d(thresholds, self.rounds).tolist()))

    @property
    def step(self) -> float:
        """The distance between two round numbers."""
        return float(f"{self.mantissa}e{self.exponent}")

    @property
    def number_format(self) -> str:
        """A d3 format that shows every round number in full."""
        return f".{max(-self.exponent, 0)}f" if -9 <= self.exponent <= 9 else ".4~e"

    def position_below(self, score: float) -> int:
        """Return the last position at or below a score; 0 where there is none."""
        return max(int(np.searchsorted(self.thresholds, score, side="right")) - 1, 0)

    def covers(self, values: NDArray[np.float64]) -> bool:
        """Whether all values lie between the first and the last threshold."""
        return bool(((values >= self.value(0)) & (values <= self.value(self.n_steps))).all())


def resting(position: str) -> str:
    """Return the expression of which round number an input rests at: the one below.

    Beside the first one it is the second, since from the first an input could not go back.
    """
    return f"max(cells[{position}], min({position}, 1))"


def stand_at(spec: Spec, threshold: float) -> None:
    """Let the slider of a panel's specification begin at one of its thresholds."""
    params = {param["name"]: param for param in spec["params"]}
    stops, places, cells = (params[name]["value"] for name in ("stops", "places", "cells"))
    position = stops.index(threshold)
    params["position"]["value"] = position
    # As the page does, which goes by `resting`.
    params["threshold"]["value"] = stops[places[max(cells[position], min(position, 1))]]


def slider_over(scores: NDArray[np.float64], marked: NDArray[np.float64] | None = None) -> Slider:
    """Choose round numbers: 0 to 1 by 0.01, whole numbers to 100 by 1, else a round grid over the range.

    A round grid also covers thresholds that are marked beside the scores.

    Raises
    ------
    BadInputError
        A marked threshold is not on the scale of the scores.
    """
    marked = np.empty(0) if marked is None else marked
    check_scale(scores, marked, is_chosen=True)
    finite = scores[np.isfinite(scores)]
    slider = _slider_over(finite)
    return slider if slider.covers(marked) else _slider_over(np.concatenate((finite, marked)))


def _slider_over(finite: NDArray[np.float64]) -> Slider:
    if not len(finite) or (finite.min() >= 0 and finite.max() <= 1):
        return Slider(first=0, n_steps=100, mantissa=1, exponent=-2, start=50)
    if is_points(finite):
        return Slider(first=0, n_steps=100, mantissa=1, exponent=0, start=50)
    return _round_grid(float(finite.min()), float(finite.max()))


def _round_grid(low: float, high: float) -> Slider:
    """Cover a range with steps of 1, 2 or 5 times a power of ten, 65 to 160 of them."""
    largest = max(abs(low), abs(high))
    step, margin = high / 100 - low / 100, 0
    if step <= largest * 1e-13:
        # One score, or scores that differ in their last digits only: show what is around them.
        step, margin = max(largest / 100, 1e-290), 50
    exponent = math.floor(math.log10(step))
    mantissa = min((1, 2, 5, 10), key=lambda m: abs(math.log(m) - math.log(step / 10.0**exponent)))
    if mantissa == 10:
        mantissa, exponent = 1, exponent + 1
    grid = Slider(first=0, n_steps=0, mantissa=mantissa, exponent=exponent, start=0)
    first, last = math.floor(low / grid.step) - margin, math.ceil(high / grid.step) + margin
    # A quotient can underflow to 0, and then the score beside 0 is not covered.
    first, last = first - (grid.value(first) > low), last + (grid.value(last) < high)
    # Rounding outwards must not leave the range of floats.
    while math.isinf(grid.value(first)):
        first += 1
    while math.isinf(grid.value(last)):
        last -= 1
    return replace(grid, first=first, n_steps=last - first, start=(last - first) // 2)
