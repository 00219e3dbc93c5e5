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

YEAR_US = 365 * 24 * 3600 * SECOND
_LONGEST_US = 2**62
# With so few segments left, stepping through each is faster than another round over all.
_FEW = 64


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

    def reach_us(self) -> int:
        """Return more than a batch can be open after its last detection."""
        return _us(max(self.window_s, self.idle_s)) + _us(self.tick_s or 0)

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


class Line:
    """The arrivals of all cameras on one line of time, so far apart that no batch reaches across.

    Made once for several limits of which none is longer than `reach_us`.
    """

    def __init__(self, arrivals: Arrivals, *, reach_us: int) -> None:
        at_us, first = arrivals.at_us, arrivals.first
        self.shift = np.zeros(len(first) - 1, dtype=np.int64)
        if len(at_us):
            span = int(at_us.max()) - int(at_us.min()) + 2 * reach_us + 1
            if span * len(self.shift) > _LONGEST_US:
                raise BadInputError(
                    f"The detections of {len(self.shift)} cameras span {span / YEAR_US:,.0f} years.",
                    hint="a clock was wrong; leave those rows out by their detected_at.",
                )
            self.shift = np.arange(len(self.shift), dtype=np.int64) * span - int(at_us.min())
        self.first = first
        self.at = at_us + np.repeat(self.shift, np.diff(first))
        # Where the gap before a detection is at least the shortest limit: nothing else can split by idling.
        self._gaps: dict[int, NDArray[np.int64]] = {}

    def split(self, limits: Limits) -> Split:
        """Return the batches under some limits.

        A detection joins the open batch of its camera unless a tick closed it before; a tick at the
        instant of a detection comes first. The limit of the window is that of the batch's first
        detection, so each start leads to the next: all idle segments are stepped through side by side.
        """
        starts, is_start = self._segments(limits)
        self._windows(starts, is_start, limits)
        start = np.flatnonzero(is_start)
        stop = np.append(start[1:], len(self.at)) if len(start) else start
        opened, last = self.at[start], self.at[stop - 1] if len(start) else self.at[start]
        shift = self.shift[np.searchsorted(self.first, start, side="right") - 1]
        closed = np.minimum(opened + limits.window_us, last + limits.idle_us)
        closed = _next_tick(closed, shift, limits)
        reason = np.where(closed - opened >= limits.window_us, 0, 1).astype(np.int8)
        if limits.max_detections is not None and len(start):
            following = self.at[np.minimum(stop, len(self.at) - 1)]
            is_full = (stop < len(self.at)) & (following < closed)
            closed = np.where(is_full, following, closed)
            reason[is_full] = 2
        return Split(start, stop, closed - shift, reason)

    def _segments(self, limits: Limits) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return where idling splits, whatever else happens."""
        is_start = np.zeros(len(self.at), dtype=bool)
        is_start[:1] = True
        after = self._gaps.get(limits.idle_us)
        if after is None:
            after = np.flatnonzero(self.at[1:] - self.at[:-1] >= limits.idle_us) + 1
            self._gaps[limits.idle_us] = after
        if limits.tick_us:
            shift = self.shift[np.searchsorted(self.first, after - 1, side="right") - 1]
            due = _next_tick(self.at[after - 1] + limits.idle_us, shift, limits)
            after = after[due <= self.at[after]]
        is_start[after] = True
        starts = after if not len(self.at) else np.concatenate(([0], after))
        return starts, is_start

    def _windows(self, starts: NDArray[np.int64], is_start: NDArray[np.bool_], limits: Limits) -> None:
        """Mark where the window or the size splits a segment, from each start to the next."""
        stops = np.append(starts[1:], len(self.at)) if len(starts) else starts
        shift = self.shift[np.searchsorted(self.first, starts, side="right") - 1]
        is_long = self.at[stops - 1] - self.at[starts] >= limits.window_us if len(starts) else starts > 0
        if limits.max_detections is not None:
            is_long |= stops - starts > limits.max_detections
        starts, stops, shift = starts[is_long], stops[is_long], shift[is_long]
        while len(starts) > _FEW:
            starts = self._following(starts, shift, limits)
            goes_on = starts < stops
            starts, stops, shift = starts[goes_on], stops[goes_on], shift[goes_on]
            is_start[starts] = True
        at: memoryview = self.at.data
        for start, stop, offset in zip(starts.tolist(), stops.tolist(), shift.tolist(), strict=True):
            each = start
            while True:
                limit = _tick_after(at[each] + limits.window_us, offset, limits)
                each = _stop_of(each, bisect_left(at, limit, each, stop), limits)
                if each >= stop:
                    break
                is_start[each] = True

    def _following(
        self, starts: NDArray[np.int64], shift: NDArray[np.int64], limits: Limits
    ) -> NDArray[np.int64]:
        limit = _next_tick(self.at[starts] + limits.window_us, shift, limits)
        found = np.searchsorted(self.at, limit)
        if limits.max_detections is not None:
            found = np.minimum(found, starts + limits.max_detections)
        return found


def _next_tick(times: NDArray[np.int64], shift: NDArray[np.int64], limits: Limits) -> NDArray[np.int64]:
    """Return the first tick at or after each time on the line."""
    if not limits.tick_us:
        return times
    return times + (limits.phase_us + shift - times) % limits.tick_us


def _tick_after(time: int, shift: int, limits: Limits) -> int:
    return time + (limits.phase_us + shift - time) % limits.tick_us if limits.tick_us else time


def _stop_of(start: int, found: int, limits: Limits) -> int:
    return found if limits.max_detections is None else min(found, start + limits.max_detections)
