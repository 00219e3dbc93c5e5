"""The scale that scores lie on, and thresholds that cannot be of it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from secnb.errors import BadInputError

_MOST_COUNTED: Final = 10
"""Whole scores up to that may be numbers of something, of which 0.5 tells some from none."""

_WIDE: Final = 75
"""Scores with fractions that lie so far apart between 0 and 100 are percentages too."""


def check_scale(
    scores: NDArray[np.float64], thresholds: NDArray[np.float64], *, is_chosen: bool = False
) -> None:
    """Refuse a threshold that was meant for another scale, such as 50 where scores lie between 0 and 1.

    Probabilities, and whole points out of a hundred, have a scale of their own. On others, a threshold may
    lie beyond all scores, but not farther away than these lie from each other or from 0. Infinite
    thresholds are of every scale. One that was chosen from such scores may be a fraction among percentages.

    Raises
    ------
    BadInputError
        A threshold is not on the scale.
    """
    is_finite = np.isfinite(scores)
    lowest, highest = (
        float(extreme(scores, where=is_finite, initial=start))
        for extreme, start in ((np.min, np.inf), (np.max, -np.inf))
    )
    if lowest > highest:
        # Without a score, nothing says which scale it is.
        return
    if lowest >= 0 and highest <= 1:
        low, high = 0.0, 1.0
    elif is_points(scores[is_finite]):
        low, high = 0.0, 100.0
    else:
        reach = max(highest - lowest, abs(lowest), abs(highest))
        low, high = lowest - reach, highest + reach
    # Between whole points there may be a threshold, but a fraction of 1 was meant for probabilities.
    is_fraction = (thresholds > 0) & (thresholds < 1) & (not is_chosen)
    is_fraction &= (high == 100 and highest > _MOST_COUNTED) or (
        lowest >= 0 and highest <= 100 and highest - lowest > _WIDE
    )
    is_beyond = np.isfinite(thresholds) & ((thresholds < low) | (thresholds > high))
    outside = np.append(thresholds[is_beyond], thresholds[is_fraction])
    if len(outside):
        if not is_beyond.any():
            low, high = 0.0, 100.0
        allowed = f"{'0, and 1' if 0 < outside[0] < 1 else f'{low:g}'} to {high:g}"
        raise BadInputError(
            f"The threshold {outside[0]:g} lies outside of the scores, which go from {lowest:g} to "
            f"{highest:g}. Allowed: {allowed}.",
            hint=f"a threshold is on the scale of the scores{_instead(float(outside[0]), high)}",
        )


def is_points(finite: NDArray[np.float64]) -> bool:
    """Whether scores are whole numbers from 0 to 100."""
    return bool(finite.min() >= 0 and finite.max() <= 100 and (finite == np.floor(finite)).all())


def _instead(threshold: float, high: float) -> str:
    """Guess what was meant, where that is a percentage or the reverse."""
    if high == 1 and 1 < threshold <= 100:
        return f": {threshold / 100:g} instead of {threshold:g}?"
    if high == 100 and 0 < threshold < 1:
        return f": {100 * threshold:g} instead of {threshold:g}?"
    return ""
