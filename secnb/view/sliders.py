"""Where a threshold slider can stand: about a hundred round numbers over the range of the scores."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from secnb.errors import BadInputError


@dataclass(frozen=True)
class Slider:
    """The positions ``(first + i) * mantissa * 10 ** exponent`` for ``i`` from 0 to ``n_steps``.

    Positions are built from integers, so that each is exactly the decimal number that an analyst would
    type: 0.29 and not 29 * 0.01, which is less and would fire on other rows.
    """

    first: int
    n_steps: int
    mantissa: int
    exponent: int
    start: int

    def value(self, position: int) -> float:
        """Return the threshold at one position."""
        return float(f"{(self.first + position) * self.mantissa}e{self.exponent}")

    @property
    def thresholds(self) -> NDArray[np.float64]:
        """All thresholds, ascending."""
        return np.array([self.value(i) for i in range(self.n_steps + 1)])

    @property
    def step(self) -> float:
        """The distance between two positions."""
        return float(f"{self.mantissa}e{self.exponent}")

    @property
    def number_format(self) -> str:
        """A d3 format that shows every position in full."""
        return f".{max(-self.exponent, 0)}f" if -9 <= self.exponent <= 9 else ".4~e"

    def position_below(self, score: float) -> int:
        """Return the last position at or below a score; 0 where there is none."""
        return max(int(np.searchsorted(self.thresholds, score, side="right")) - 1, 0)

    def nearest(self, threshold: float) -> int:
        """Return the position next to a threshold."""
        return int(np.argmin(np.abs(self.thresholds - threshold)))

    def covers(self, values: NDArray[np.float64]) -> bool:
        """Whether all values lie between the first and the last position."""
        return bool(((values >= self.value(0)) & (values <= self.value(self.n_steps))).all())


def slider_over(scores: NDArray[np.float64], marked: NDArray[np.float64] | None = None) -> Slider:
    """Choose positions: 0 to 1 by 0.01, whole numbers to 100 by 1, else a round grid over the range.

    A round grid also covers thresholds that are marked beside the scores, but not farther away than the
    scores lie apart.

    Raises
    ------
    BadInputError
        A marked threshold lies outside.
    """
    marked = np.empty(0) if marked is None else marked
    finite = scores[np.isfinite(scores)]
    slider = _slider_over(finite)
    if slider.covers(marked):
        return slider
    low, high = slider.value(0), slider.value(slider.n_steps)
    if not _is_usual(finite) and low - (high - low) <= marked.min() and marked.max() <= high + (high - low):
        return _slider_over(np.concatenate((finite, marked)))
    outside = marked[(marked < low) | (marked > high)]
    raise BadInputError(
        f"The threshold {outside[0]:g} lies outside of the scores swept. Allowed: {low:g} to {high:g}.",
        hint="current= and choice= are thresholds of the column that was swept, on its scale",
    )


def _is_usual(finite: NDArray[np.float64]) -> bool:
    """Whether the scale is given by the kind of score: a probability, or whole points out of a hundred."""
    is_points = (finite == np.floor(finite)).all()
    return not len(finite) or bool(finite.min() >= 0 and finite.max() <= (100 if is_points else 1))


def _slider_over(finite: NDArray[np.float64]) -> Slider:
    if not len(finite) or (finite.min() >= 0 and finite.max() <= 1):
        return Slider(first=0, n_steps=100, mantissa=1, exponent=-2, start=50)
    if finite.min() >= 0 and finite.max() <= 100 and (finite == np.floor(finite)).all():
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
