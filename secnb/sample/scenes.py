"""What a synthetic deployment sees: its cameras, what passes them at which hour, and what fools them.

Only tables stand here. The numbers are invented; they were chosen so that a threshold sweep over the
history has the shape of the simulated population of the literature (scores near Beta(6, 2) for what is
really there, near Beta(2, 4) for false alarms), with bursts, a worse night and objects never detected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

IMAGE_WIDTH: Final = 1920
IMAGE_HEIGHT: Final = 1080
NIGHT_HOURS: Final = frozenset({0, 1, 2, 3, 4, 5, 6, 18, 19, 20, 21, 22, 23})
"""Hours of the day, UTC, in which it is dark."""


@dataclass(frozen=True)
class Kind:
    """Something that makes the detector fire for a burst of images.

    Attributes
    ----------
    label : str
        What the detector calls it, rightly or not.
    is_true : bool
        Whether it is really there.
    by_day, by_night : float
        The mean score over all such objects, 0 to 1.
    n_frames, gap_s : float
        The mean number of images in a burst, and of seconds between two of them.
    width, height : float
        The mean size of its box, in pixels.
    speed : float
        How fast the box moves, in pixels per second; 0 for what hangs before the lens.
    company : str
        The kind that sometimes shares its images, or ``""``.
    """

    label: str
    is_true: bool
    by_day: float
    by_night: float
    n_frames: float
    gap_s: float
    width: float
    height: float
    speed: float
    company: str = ""


KINDS: Final[Mapping[str, Kind]] = {
    "person": Kind("person", True, 0.81, 0.69, 10, 2.5, 130, 340, 40, "dog"),
    "visitor": Kind("person", True, 0.80, 0.68, 14, 4.5, 150, 360, 15, "person"),
    "car": Kind("car", True, 0.80, 0.66, 9, 2.0, 420, 230, 90, "person"),
    "truck": Kind("truck", True, 0.74, 0.62, 11, 3.0, 560, 330, 60, "person"),
    "dog": Kind("dog", True, 0.70, 0.58, 9, 2.5, 170, 130, 60),
    "cat": Kind("cat", True, 0.66, 0.54, 8, 3.0, 110, 80, 45),
    "package": Kind("package", True, 0.64, 0.52, 10, 6.0, 90, 70, 0),
    "shadow": Kind("person", False, 0.36, 0.30, 9, 3.5, 160, 330, 30),
    "branches": Kind("person", False, 0.33, 0.32, 12, 4.0, 190, 300, 8),
    "flag": Kind("dog", False, 0.31, 0.28, 9, 3.0, 120, 110, 10),
    "headlights": Kind("car", False, 0.34, 0.37, 7, 1.5, 380, 190, 120),
    "web": Kind("person", False, 0.33, 0.38, 16, 5.0, 310, 420, 0),
    "insect": Kind("cat", False, 0.30, 0.34, 6, 1.5, 120, 90, 150),
    "bin": Kind("package", False, 0.33, 0.29, 9, 6.0, 100, 100, 0),
}
"""Real objects, then false alarms, by the name used in the cameras below."""


def _hours(*spans: tuple[int, int, float]) -> tuple[float, ...]:
    """Return the share of a day's objects that fall into each hour, from (first, last, weight)."""
    weights = [0.02] * 24
    for first, last, weight in spans:
        for hour in range(first, last + 1):
            weights[hour] += weight
    return tuple(weight / sum(weights) for weight in weights)


RHYTHMS: Final[Mapping[str, tuple[float, ...]]] = {
    "day": _hours((7, 20, 1.0), (11, 17, 0.4)),
    "commute": _hours((6, 21, 0.3), (7, 8, 2.0), (16, 18, 1.8)),
    "post": _hours((9, 12, 1.0), (14, 16, 0.7)),
    "evening": _hours((17, 23, 1.0), (0, 1, 0.2)),
    "night": _hours((20, 23, 0.9), (0, 5, 1.0)),
    "sun": _hours((8, 10, 1.0), (15, 17, 1.2)),
    "always": _hours((0, 23, 1.0)),
}

DAILY: Final[Mapping[str, tuple[tuple[str, str, float], ...]]] = {
    "back_yard": (
        ("person", "evening", 6),
        ("dog", "day", 8),
        ("cat", "night", 5),
        ("branches", "day", 30),
        ("flag", "sun", 16),
        ("insect", "night", 18),
    ),
    "driveway": (
        ("car", "commute", 17),
        ("person", "day", 8),
        ("truck", "post", 2),
        ("dog", "day", 1.5),
        ("headlights", "evening", 36),
        ("shadow", "sun", 20),
    ),
    "front_door": (
        ("visitor", "day", 8),
        ("person", "commute", 9),
        ("package", "post", 3),
        ("cat", "night", 1.5),
        ("shadow", "sun", 24),
        ("bin", "always", 7),
    ),
    "garage": (
        ("car", "commute", 7),
        ("person", "commute", 6),
        ("headlights", "evening", 20),
        ("shadow", "always", 8),
    ),
    "porch": (
        ("visitor", "day", 6),
        ("person", "evening", 6),
        ("package", "post", 2.5),
        ("cat", "night", 2),
        ("web", "night", 34),
        ("branches", "day", 8),
    ),
    "side_gate": (
        ("person", "day", 6),
        ("cat", "night", 4),
        ("dog", "day", 1),
        ("branches", "always", 20),
        ("insect", "night", 14),
    ),
}
"""What a camera sees on a mean day: kind, rhythm, number of bursts."""

CAMERAS: Final = tuple(DAILY)

OFFLINE: Final = frozenset({("side_gate", 5)})
"""A camera and the day on which it was offline, counted back from the last day."""

NEVER_SEEN: Final = "garage"
"""The camera whose last_seen_at the service never wrote."""

LAST_SCENE: Final = (("front_door", "person"), ("driveway", "car"), ("back_yard", "dog"))
"""Who stands before which camera when the history ends, so that their batches are open."""
