"""Batches, made from detections exactly as the first generation's aggregator makes them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

SECOND: Final = 1_000_000
"""Times are whole microseconds since 1970, UTC."""

WINDOW_US: Final = 90 * SECOND
IDLE_US: Final = 30 * SECOND
TICK_US: Final = 10 * SECOND
TICK_PHASE_US: Final = 4 * SECOND
"""Ticks come at this time after every whole ten seconds; the phase cannot be seen in a database."""


@dataclass
class Batch:
    """Detections of one camera that are analysed together.

    Attributes
    ----------
    camera : int
        The camera's position in the list of cameras.
    rows : list of int
        The detections, by position.
    started_us, last_us : int
        When the first and the last of them came.
    closed_us : int or None
        The tick that closed it; None while it is open.
    """

    camera: int
    started_us: int
    last_us: int
    rows: list[int] = field(default_factory=list)
    closed_us: int | None = None

    def due_us(self) -> int:
        """Return the first tick that closes it, if nothing more comes."""
        limit = min(self.started_us + WINDOW_US, self.last_us + IDLE_US)
        return limit + (TICK_PHASE_US - limit) % TICK_US


def close_batches(arrivals: Iterable[tuple[int, int]], *, camera: int, ends_us: int) -> list[Batch]:
    """Return the batches of one camera, in order; the last may still be open.

    A batch closes at the first tick at which 90 s have passed since its first detection, or 30 s since
    its last. It accepts detections until then, however old it is. A tick at the instant of a detection
    comes first.

    Parameters
    ----------
    arrivals : iterable of (int, int)
        Position and time of each detection, in time order, without those of the fast path.
    camera : int
        The camera's position.
    ends_us : int
        The end of the history; batches due later are open.

    Returns
    -------
    list of Batch

    Examples
    --------
    >>> times = [0, 10, 25, 54, 60, 89, 95, 200]
    >>> arrivals = [(i, t * SECOND) for i, t in enumerate(times)]
    >>> [len(b.rows) for b in close_batches(arrivals, camera=0, ends_us=300 * SECOND)]
    [6, 1, 1]
    """
    batches: list[Batch] = []
    for row, at_us in arrivals:
        if not batches or batches[-1].due_us() <= at_us:
            batches.append(Batch(camera, started_us=at_us, last_us=at_us))
        batches[-1].rows.append(row)
        batches[-1].last_us = at_us
    for batch in batches:
        due_us = batch.due_us()
        batch.closed_us = due_us if due_us <= ends_us else None
    return batches
