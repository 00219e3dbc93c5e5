"""Where batches begin and when they close: the aggregator's rules, for millions of detections at once."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from secnb.analysis.arrivals import SECOND, Arrivals
from secnb.errors import BadInputError

REASONS = ("window", "idle", "size")
"""Why a batch closes, by code."""

N_PHASES: Final = 20
"""Equally spaced phases that ``phase_s="bounds"`` tries."""

_CHUNK: Final = 1 << 18
# With so few segments left, stepping through each is faster than another round over all.
_FEW = 64


Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Limits:
    """When a batch closes, in microseconds.

    Attributes
    ----------
    window_us, idle_us : int
        Since its first detection, since its last; both limits are reached at equality.
    tick_us : int
        How often the limits are looked at; 0 for at the instant.
    phase_us : int
        Ticks come at this time after every whole number of ticks since 1970.
    max_detections : int or None
        The next detection after so many closes the batch, and opens another.
    """

    window_us: int
    idle_us: int
    tick_us: int = 0
    phase_us: int = 0
    max_detections: int | None = None


@dataclass(frozen=True)
class Settings:
    """The settings of a replay, checked as they are made."""

    window_s: float
    idle_s: float
    tick_s: float | None
    phase_s: float | Literal["bounds"]
    max_detections: int | None

    def __post_init__(self) -> None:
        for name in ("window_s", "idle_s", "tick_s"):
            value = getattr(self, name)
            if not (name == "tick_s" and value is None):
                _check_seconds(name, value)
        if self.phase_s == "bounds":
            if self.tick_s is None:
                raise BadInputError(
                    'phase_s is "bounds", and tick_s is None. Without a tick there is no phase.',
                    hint="pass tick_s=10 (first generation) or tick_s=5.",
                )
        elif not _is_number(self.phase_s) or not math.isfinite(float(self.phase_s)):
            raise BadInputError(f'phase_s is {self.phase_s!r}. Allowed: seconds, or "bounds".')
        most = self.max_detections
        is_whole = isinstance(most, int | np.integer) and not isinstance(most, bool)
        if most is not None and not (is_whole and most >= 1):
            raise BadInputError(f"max_detections is {most!r}. Allowed: whole numbers from 1, or None.")

    def limits(self) -> list[Limits]:
        """Return the limits of each phase that is to be tried."""
        tick_us = max(_us(self.tick_s), 1) if self.tick_s is not None else 0
        if self.phase_s == "bounds":
            phases = [tick_us * n // N_PHASES for n in range(N_PHASES)]
        else:
            phases = [_us(float(self.phase_s)) % tick_us if tick_us else 0]
        most = None if self.max_detections is None else int(self.max_detections)
        window_us, idle_us = _us(self.window_s), _us(self.idle_s)
        return [Limits(window_us, idle_us, tick_us, phase_us, most) for phase_us in phases]


def _check_seconds(name: str, value: object) -> None:
    if not _is_number(value) or not 1e-6 <= float(value) <= 1e9:  # type: ignore[arg-type]
        raise BadInputError(f"{name} is {value!r}. Allowed: seconds, from a microsecond to 1e9.")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _us(seconds: float) -> int:
    return round(seconds * SECOND)


@dataclass(frozen=True)
class Split:
    """Batches of all cameras, one after the other, as arrays of equal length.

    Attributes
    ----------
    start, stop : ndarray of int64
        Positions among the arrivals; ``stop`` is one past the last.
    closed_us : ndarray of int64
        When it closes.
    reason : ndarray of int8
        Index into ``REASONS``.
    """

    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    closed_us: NDArray[np.int64]
    reason: NDArray[np.int8]


class Splitter:
    """Splits the arrivals of each camera into batches, for as many limits as are asked for."""

    def __init__(self, arrivals: Arrivals) -> None:
        self.arrivals = arrivals
        # Where the gap before a detection reaches the idle limit: nothing else can split by idling.
        self._gaps: dict[tuple[int, int], Ints] = {}

    def split(self, limits: Limits) -> Split:
        """Return the batches of all cameras under some limits.

        A detection joins the open batch of its camera unless a tick closed it before; a tick at the
        instant of a detection comes first.
        """
        first = self.arrivals.first
        # A camera may have only detections of the fast path.
        parts = [self._camera(int(number), limits) for number in np.flatnonzero(np.diff(first))]
        if not parts:
            none = np.empty(0, dtype=np.int64)
            return Split(none, none, none, none.astype(np.int8))
        return Split(*(np.concatenate(each) for each in zip(*parts, strict=True)))

    def _camera(self, number: int, limits: Limits) -> tuple[Ints, Ints, Ints, NDArray[np.int8]]:
        """Return start, stop, close and reason of the batches of one camera."""
        begin, end = self.arrivals.first[number : number + 2]
        at = self.arrivals.at_us[begin:end]
        is_start = np.zeros(len(at), dtype=bool)
        starts = self._segments(number, at, limits)
        is_start[starts] = True
        _step(at, starts, is_start, limits)
        start = np.flatnonzero(is_start)
        stop = np.append(start[1:], len(at))
        opened = at[start]
        closed = next_tick(np.minimum(opened + limits.window_us, at[stop - 1] + limits.idle_us), limits)
        reason = np.where(closed - opened >= limits.window_us, 0, 1).astype(np.int8)
        if limits.max_detections is not None:
            following = at[np.minimum(stop, len(at) - 1)]
            is_full = (stop < len(at)) & (following < closed)
            closed = np.where(is_full, following, closed)
            reason[is_full] = 2
        return start + begin, stop + begin, closed, reason

    def _segments(self, number: int, at: Ints, limits: Limits) -> Ints:
        """Return where idling splits, whatever else happens."""
        after = self._gaps.get((number, limits.idle_us))
        if after is None:
            after = _gaps(at, limits.idle_us)
            self._gaps[number, limits.idle_us] = after
        if limits.tick_us:
            due = next_tick(at[after - 1] + limits.idle_us, limits)
            after = after[due <= at[after]]
        return np.concatenate(([0], after))


def _gaps(at: Ints, idle_us: int) -> Ints:
    """Return the places before which the gap reaches the limit; by chunks, which stay in the cache."""
    found = [
        np.flatnonzero(np.diff(at[begin : begin + _CHUNK + 1]) >= idle_us) + (begin + 1)
        for begin in range(0, len(at) - 1, _CHUNK)
    ]
    return np.concatenate(found) if found else np.empty(0, dtype=np.int64)


def _step(at: Ints, starts: Ints, is_start: NDArray[np.bool_], limits: Limits) -> None:
    """Mark where the window or the size splits a segment.

    The window counts from a batch's first detection, so that each start leads to the next: all segments
    are stepped through side by side.
    """
    stops = np.append(starts[1:], len(at))
    is_long = at[stops - 1] - at[starts] >= limits.window_us
    if limits.max_detections is not None:
        is_long |= stops - starts > limits.max_detections
    starts, stops = starts[is_long], stops[is_long]
    while len(starts) > _FEW:
        starts = _following(at, starts, limits)
        goes_on = starts < stops
        starts, stops = starts[goes_on], stops[goes_on]
        is_start[starts] = True
    values: memoryview = at.data
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        each = start
        while True:
            limit = _tick_after(values[each] + limits.window_us, limits)
            found = bisect_left(values, limit, each, stop)
            most = limits.max_detections
            each = found if most is None else min(found, each + most)
            if each >= stop:
                break
            is_start[each] = True


def _following(at: Ints, starts: Ints, limits: Limits) -> Ints:
    found = np.searchsorted(at, next_tick(at[starts] + limits.window_us, limits))
    return found if limits.max_detections is None else np.minimum(found, starts + limits.max_detections)


def next_tick(times: Ints, limits: Limits) -> Ints:
    """Return the first tick at or after each time."""
    return times + (limits.phase_us - times) % limits.tick_us if limits.tick_us else times


def _tick_after(time: int, limits: Limits) -> int:
    return time + (limits.phase_us - time) % limits.tick_us if limits.tick_us else time
