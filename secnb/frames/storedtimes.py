"""The form in which SQLAlchemy stores a time as text, looked for in many texts at once."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

STORED_TIME: Final = "2026-01-15 08:00:00.000000"
"""A time in that form."""
# Beyond these a time cannot become a datetime; an offset can move it there.
FIRST_TIME: Final = pd.Timestamp("0001-01-01T00:00:00.000000", tz="UTC")
LAST_TIME: Final = pd.Timestamp("9999-12-31T23:59:59.999999", tz="UTC")

_MARKS = {place: ord(mark) for place, mark in enumerate(STORED_TIME) if not mark.isdigit()}
_DIGITS = [place for place in range(len(STORED_TIME)) if place not in _MARKS]


def has_stored_form(letters: np.ndarray[Any, np.dtype[np.uint8]]) -> bool:
    """Return whether all texts have the form; one row of letters for each, as many as `STORED_TIME` has."""
    is_marked = all((letters[:, place] == mark).all() for place, mark in _MARKS.items())
    return is_marked and not ((letters[:, _DIGITS] - ord("0")) > 9).any()
