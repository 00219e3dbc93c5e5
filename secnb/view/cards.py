"""What a reviewer reads of a unit and of the progress, in plain words; everything here is text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from zoneinfo import ZoneInfo

import pandas as pd

from secnb.view.pictures import Picture

_NUMBERS: Final = {"score": "score", "risk_score": "risk score"}
_TEXTS: Final = {"camera_id": "camera", "object_type": "label"}


@dataclass(frozen=True)
class Look:
    """What there is to see of one unit.

    Attributes
    ----------
    picture : Picture
    said : mapping of str to str
        What the reasoner said, by what it is.
    """

    picture: Picture
    said: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Tally:
    """How far a review is: units in all, and how many have which verdict."""

    n: int
    n_true: int
    n_false: int
    n_unsure: int

    @property
    def n_done(self) -> int:
        """How many units have a verdict."""
        return self.n_true + self.n_false + self.n_unsure

    def __str__(self) -> str:
        parts = f"{self.n_true} true, {self.n_false} false, {self.n_unsure} unsure"
        return f"{self.n_done} of {self.n} judged: {parts}"


def facts(row: Mapping[str, Any], zone: ZoneInfo) -> dict[str, str]:
    """Return what is known of a unit, by name; what is missing is left out.

    Parameters
    ----------
    row : mapping
        Values by column of ``schema.LABELS``; ``started_at`` is aware.
    zone : ZoneInfo
        Where the cameras are.

    Examples
    --------
    >>> at = pd.Timestamp("2026-03-15 18:00", tz="UTC")
    >>> row = {"camera_id": "porch", "score": 0.876, "started_at": at, "probability": 0.25}
    >>> list(facts(row, ZoneInfo("Europe/Berlin")).values())
    ['porch', '0.876', '2026-03-15 19:00:00 CET', 'drawn with probability 0.25']
    """
    known = {name: value for name, value in row.items() if _is_there(value)}
    found = {shown: str(known[name]) for name, shown in _TEXTS.items() if name in known}
    found |= {shown: f"{known[name]:.4g}" for name, shown in _NUMBERS.items() if name in known}
    if "started_at" in known:
        found["time"] = f"{known['started_at'].tz_convert(zone):%Y-%m-%d %H:%M:%S %Z}"
    if "probability" not in known:
        return found | {"sample": "none; the verdict stands for this unit alone"}
    design = f"{known['design']}, " if "design" in known else ""
    return found | {"sample": f"{design}drawn with probability {known['probability']:.4g}"}


def _is_there(value: Any) -> bool:
    return not pd.isna(value)
