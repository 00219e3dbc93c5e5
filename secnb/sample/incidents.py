"""Incidents that a sandbox can stage, so that finding them can be practised and tested.

Only what differs from an ordinary day stands here; all of it is invented.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from secnb.errors import BadInputError

_HOUR_S: Final = 3600


@dataclass(frozen=True)
class Incident:
    """What differs from an ordinary day; the defaults are an ordinary day.

    Attributes
    ----------
    what : str
        What happened, for the note of the sandbox; ``""`` for nothing.
    reasoner_down_s : int
        For how long the reasoner has answered nothing: no events, and its queue grows.
    detector_lag_s : int
        How far the detector is behind in the end. It worked at half speed for twice as long.
    silent_camera : str
        The camera that sends nothing any more, or ``""``.
    silent_s : int
        Since when.
    n_queued : int
        Images that wait for the detector; they came about 10 s apart.
    n_poison : int
        Messages among them that cannot be read.
    poison_after : int
        How many readable ones stand between two of those.
    n_rejected : int
        Dead letters of the last two hours, besides those of an ordinary day.
    """

    what: str = ""
    reasoner_down_s: int = 0
    detector_lag_s: int = 0
    silent_camera: str = ""
    silent_s: int = 0
    n_queued: int = 40
    n_poison: int = 8
    poison_after: int = 5
    n_rejected: int = 0


ORDINARY: Final = Incident()

INCIDENTS: Final[Mapping[str, Incident]] = {
    "stuck_reasoner": Incident(
        "the reasoner has answered nothing for two hours, and closed batches pile up",
        reasoner_down_s=2 * _HOUR_S,
    ),
    "slow_detector": Incident(
        "the detector has worked at half its speed for an hour, and images pile up",
        detector_lag_s=_HOUR_S // 2,
        n_queued=170,
    ),
    "poison": Incident(
        "a quarter of the messages for the detector cannot be read, and dead letters pile up",
        n_poison=40,
        poison_after=1,
        n_rejected=24,
    ),
    "silent_camera": Incident(
        "the camera back_yard has sent nothing for twelve hours",
        silent_camera="back_yard",
        silent_s=12 * _HOUR_S,
    ),
}
"""The incidents by the name that ``secnb.sandbox(incident=…)`` takes."""


def find_incident(name: str | None) -> Incident:
    """Return the incident of that name; None is an ordinary day.

    Raises
    ------
    BadInputError
        If there is none.
    """
    if name is None:
        return ORDINARY
    if not isinstance(name, str) or name not in INCIDENTS:
        allowed = ", ".join(map(repr, INCIDENTS))
        raise BadInputError(f"incident is {name!r}. Allowed: {allowed}, or None for an ordinary day.")
    return INCIDENTS[name]
