"""What the numbers at a threshold rest on: measured, corrected, or unknown, and what is possible then."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from secnb.analysis.columns import Counts
from secnb.errors import BadInputError

LEVELS: Final = ("unknown", "corrected", "measured")
"""The levels of evidence, the weakest first; codes are positions in here."""

UNKNOWN, CORRECTED, MEASURED = range(3)

Numbers = NDArray[np.float64]


def check_zones(recorded_from: float | None, shown_from: float | None) -> None:
    """Refuse zones that are no numbers, or in the wrong order."""
    for name, value in (("recorded_from", recorded_from), ("shown_from", shown_from)):
        is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
        if value is not None and not (is_number and value == value):
            raise BadInputError(f"{name} is {value!r}. Allowed: a number, or None.")
    if recorded_from is not None and shown_from is not None and shown_from < recorded_from:
        raise BadInputError(
            f"shown_from is {shown_from!r}, below recorded_from, {recorded_from!r}.",
            hint="what the recorder did not keep was not shown either; exchange the two",
        )


def evidence_levels(
    threshold: Numbers, *, recorded_from: float | None, shown_from: float | None, is_weighted: bool
) -> NDArray[np.int8]:
    """Return the code of the level at each threshold.

    Where nothing says from where on units were shown, weighted numbers are corrected throughout and
    others are measured.
    """
    levels = np.full(len(threshold), MEASURED, dtype=np.int8)
    shown = threshold >= (shown_from if shown_from is not None else np.inf if is_weighted else -np.inf)
    levels[~shown] = CORRECTED if is_weighted else UNKNOWN
    if recorded_from is not None:
        levels[threshold < recorded_from] = UNKNOWN
    return levels


def possible_precision(tp: Counts, fired: Counts, unlabelled: Counts) -> tuple[Numbers, Numbers]:
    """Return the precision if no unlabelled unit were true, and if all were; 0 to 1 where nothing fires."""
    whole = np.where(fired > 0, fired, 1.0)
    return np.where(fired > 0, tp / whole, 0.0), np.where(fired > 0, (tp + unlabelled) / whole, 1.0)


def possible_recall(
    tp: Counts, known: Counts, fired_unlabelled: Counts, other_unlabelled: Counts
) -> tuple[Numbers, Numbers]:
    """Return the recall if all unlabelled units below the threshold were true, and if all above it were."""
    least, most = known + other_unlabelled, known + fired_unlabelled
    low = np.divide(tp, least, out=np.zeros(len(tp)), where=least > 0)
    high = np.divide(tp + fired_unlabelled, most, out=np.ones(len(tp)), where=most > 0)
    return low, high
