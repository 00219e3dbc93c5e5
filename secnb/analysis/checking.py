"""How far a replay can be trusted: ``check_replay`` compares it with the batches that were really made."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secnb import schema
from secnb.analysis.arrivals import SECOND, Arrivals, FastPath, read_arrivals
from secnb.analysis.happened import Held, Made, read_held, read_made
from secnb.analysis.intervals import wilson
from secnb.analysis.splitting import Limits, Settings, Split, Splitter
from secnb.bridge import Progress
from secnb.errors import BadInputError

Ints = NDArray[np.int64]

WHY: Final = {
    "agrees": "",
    "lost batch": "no event holds its detections",
    "not analysed yet": "it closed after the last event that there is began",
    "missing detections": "the event names detections that are not in the frame",
    "fast path": "a detection was analysed alone that the replay batches, or the reverse",
    "size limit": "it ends at the largest size that any batch has",
    "tick": "within one tick of a limit, where the phase decides",
    "restart": "it holds what a limit should have split: nothing checked in between",
    "other settings": "it ends before any of these limits",
}
"""Why a batch does not agree, in the order in which reasons are tried, and what each means."""


def check_replay(
    events: pd.DataFrame,
    detections: pd.DataFrame,
    *,
    memberships: pd.DataFrame,
    window_s: float = 90,
    idle_s: float = 30,
    tick_s: float | None = 10,
    phase_s: float | Literal["best"] = "best",
    max_detections: int | None = None,
    fast_path: FastPath | None = None,
) -> pd.DataFrame:
    """Return one row per batch that was made or replayed: do they agree, and if not, why.

    A call of the fast path is a batch of one here.

    A batch agrees where exactly the same detections are in one event and in one replayed batch. Several
    events of the same batch, which a race makes, count once. The reasons are what the records suggest,
    not what was logged.

    Parameters
    ----------
    events : pandas.DataFrame
        What ``site.events()`` returns: event_id, started_at and, where they are there, is_fast_path and
        batch_id.
    detections : pandas.DataFrame
        What ``site.detections()`` returns, over the same time.
    memberships : pandas.DataFrame
        What ``site.memberships()`` returns: event_id, detection_id.
    window_s, idle_s, tick_s, max_detections, fast_path
        The settings that were in force, as for `replay_batches`; ``site.settings()`` shows them.
    phase_s : float or "best"
        Seconds, or the one of twenty phases under which most batches agree: nothing records it.

    Returns
    -------
    DataFrame
        Columns of ``secnb.schema.REPLAY_CHECK``: camera_id, started_at (first detection), event_id (NA
        where no event holds the batch), n_detections (of the event, else of the replayed batch),
        n_replayed (of the replayed batch that holds its first detection; NA on the fast path), agrees,
        why ("agrees", "lost batch", "not analysed yet", "missing detections", "fast path", "size limit",
        "tick", "restart", "other settings"). ``attrs`` hold agree_ratio and its 95 % Wilson interval
        (agree_ratio_low, agree_ratio_high; it counts batches as independent, and what is not analysed yet
        not at all), phase_s, n_duplicates (events beyond the first of a batch).

    Raises
    ------
    UnknownColumnError
        A frame lacks a column.
    BadInputError
        An argument has a value that is not allowed.
    """
    for name, frame in (("events", events), ("memberships", memberships)):
        if not isinstance(frame, pd.DataFrame):
            raise BadInputError(f"{name} is a {type(frame).__name__}. Allowed: a DataFrame.")
    limits = _phases(Settings(window_s, idle_s, tick_s, 0, max_detections), phase_s)
    arrivals = read_arrivals(detections, fast_path=fast_path, until=None)
    made = read_made(events, detections, memberships)
    best = max(_checks(made, arrivals, limits), key=_Check.n_agree)
    frame = best.frame()
    counted = frame[frame["why"] != "not analysed yet"]
    n_agree = int(counted["agrees"].sum())
    low, high = wilson(n_agree, len(counted))
    frame.attrs = {
        "agree_ratio": n_agree / len(counted) if len(counted) else None,
        "agree_ratio_low": float(low),
        "agree_ratio_high": float(high),
        "phase_s": best.limits.phase_us / SECOND if tick_s is not None else None,
        "n_duplicates": made.n_duplicates,
        "why": {name: text for name, text in WHY.items() if text},
    }
    return frame


def _phases(settings: Settings, phase_s: object) -> list[Limits]:
    if phase_s != "best":
        return Settings(
            settings.window_s,
            settings.idle_s,
            settings.tick_s,
            phase_s,  # type: ignore[arg-type]
            settings.max_detections,
        ).limits()
    if settings.tick_s is None:
        return settings.limits()
    return Settings(
        settings.window_s, settings.idle_s, settings.tick_s, "bounds", settings.max_detections
    ).limits()


def _checks(made: Made, arrivals: Arrivals, limits: list[Limits]) -> Iterator[_Check]:
    """Yield the check of each phase; one after the other, since together they would fill the memory."""
    held, splitter, note = read_held(made, arrivals), Splitter(arrivals), [""]
    with Progress("check_replay", note) as progress:
        for number, each in enumerate(limits):
            yield _Check(made, held, arrivals, splitter.split(each), each)
            note[0] = f"{number + 1} of {len(limits)} phases"
            progress.tick()


class _Check:
    """What was made beside what one replay makes."""

    def __init__(self, made: Made, held: Held, arrivals: Arrivals, split: Split, limits: Limits) -> None:
        self.made, self.held, self.arrivals, self.split, self.limits = made, held, arrivals, split, limits
        has = held.first >= 0
        low, high = (np.searchsorted(split.start, each, side="right") - 1 for each in (held.first, held.last))
        # What has no place has the position -1, which takes the last.
        self.n_replayed = np.append(split.stop - split.start, 0)[low]
        is_same = has & (low == high) & (held.n_held == self.n_replayed)
        # On the fast path the replay took it out, and so did the service.
        is_out = ~has & made.is_alone
        self.agrees = np.where(is_out, made.n_present, held.n_held) == made.n_members
        self.agrees &= is_same | is_out

    def n_agree(self) -> int:
        """Return how many batches agree."""
        return int(self.agrees.sum())

    @cached_property
    def replayed(self) -> Ints:
        """The replayed batch of each arrival."""
        return np.repeat(np.arange(len(self.split.start)), self.split.stop - self.split.start)

    def frame(self) -> pd.DataFrame:
        """Return the rows of the check, those of lost batches too, by camera and time."""
        made = self._rows_made()
        frame = pd.concat([made, self._rows_lost()], ignore_index=True)
        frame = frame.sort_values(["camera_id", "started_at", "event_id"], kind="stable", ignore_index=True)
        return frame.astype(dict(schema.REPLAY_CHECK))

    def _rows_made(self) -> pd.DataFrame:
        arrivals, has = self.arrivals, self.held.first >= 0
        at = np.append(arrivals.at_us, np.iinfo(np.int64).min)[self.held.first]
        number = arrivals.camera_of(np.maximum(self.held.first, 0))
        names = pd.array([*arrivals.cameras, None], dtype="str").take(np.where(has, number, -1))
        return pd.DataFrame(
            {
                "camera_id": names,
                "started_at": _times(at),
                "event_id": pd.array(self.made.event_id, dtype="Int64"),
                "n_detections": pd.array(self.made.n_members, dtype="Int64"),
                "n_replayed": pd.array(np.where(has, self.n_replayed, np.nan), dtype="Int64"),
                "agrees": self.agrees,
                "why": pd.array(self._why(), dtype="str"),
            }
        )

    def _why(self) -> NDArray[np.object_]:
        """Return why each batch that was made does not agree.

        What no phase explains is told first. A batch that is possible in itself begins or ends elsewhere
        because the one before it does, or else by the phase of the tick.
        """
        made = self.made
        largest = int(made.n_members.max(initial=0))
        is_full = (made.n_members == largest) & (largest > 1) & ((made.n_members == largest).sum() > 1)
        is_early, is_late = self._impossible()
        tests = {
            "agrees": self.agrees,
            "missing detections": made.n_present < made.n_members,
            "fast path": made.is_alone | self._holds_alone() | (self.held.n_held < made.n_present),
            "size limit": is_early & is_full,
            "other settings": is_early,
            "restart": is_late,
        }
        found = pd.Series(np.select(list(tests.values()), list(tests), ""), dtype=object)
        order = np.argsort(self.held.first, kind="stable")
        camera = self.arrivals.camera_of(np.maximum(self.held.first, 0))[order]
        # Nothing passes from a batch that agrees to the next.
        unexplained = "tick" if self.limits.tick_us else "other settings"
        passed = found.iloc[order].replace({"agrees": unexplained, "": None}).groupby(camera).ffill()
        found.iloc[order] = found.iloc[order].mask(found.iloc[order] == "", passed.fillna(unexplained))
        return found.to_numpy()

    def _impossible(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which batches end before any limit, and which go on after one, at whatever phase."""
        limits, at, n_made = self.limits, self.arrivals.at_us, len(self.made.event_id)
        if not len(self.held.place):
            return np.zeros(n_made, dtype=bool), np.zeros(n_made, dtype=bool)
        has = self.held.first >= 0
        first, last = np.maximum(self.held.first, 0), np.maximum(self.held.last, 0)
        following = np.minimum(last + 1, len(at) - 1)
        is_last = (following == last) | (self.arrivals.camera_of(following) != self.arrivals.camera_of(last))
        is_early = at[following] - at[last] < limits.idle_us
        is_early &= at[following] - at[first] < limits.window_us
        owner = self.held.real[self.held.place]
        order = np.lexsort((self.held.place, owner))
        gaps = np.diff(at[self.held.place[order]], prepend=0)
        gaps[np.diff(owner[order], prepend=-1) != 0] = 0
        longest = np.zeros(n_made, dtype=np.int64)
        np.maximum.at(longest, owner[order], gaps)
        is_late = longest >= limits.idle_us + limits.tick_us
        is_late |= at[last] - at[first] >= limits.window_us + limits.tick_us
        return has & ~is_last & is_early, has & is_late

    def _holds_alone(self) -> NDArray[np.bool_]:
        """Which batches share a replayed batch with a detection that was analysed alone."""
        of = self.held.real
        is_alone = (of >= 0) & self.made.is_alone[of] if len(self.made.is_alone) else of > len(of)
        touched = np.zeros(len(self.split.start) + 1, dtype=bool)
        touched[self.replayed[is_alone]] = True
        found = np.zeros(len(self.made.event_id), dtype=bool)
        within = self.held.place[touched[self.replayed[self.held.place]]]
        found[self.held.real[within]] = True
        return found

    def _rows_lost(self) -> pd.DataFrame:
        """Return replayed batches, and calls of the fast path, of which no event holds a detection."""
        split, arrivals = self.split, self.arrivals
        n_real = np.bincount(self.replayed[self.held.real >= 0], minlength=len(split.start))
        lost = np.flatnonzero(n_real == 0)
        alone = self.made.of[arrivals.fast_row] < 0
        at = np.concatenate([arrivals.at_us[split.start[lost]], arrivals.fast_us[alone]])
        number = np.concatenate([arrivals.camera_of(split.start[lost]), arrivals.fast_camera[alone]])
        sizes = np.concatenate([split.stop[lost] - split.start[lost], np.ones(alone.sum(), dtype=np.int64)])
        is_late = at > self.made.last_us
        is_fast = np.arange(len(at)) >= len(lost)
        return pd.DataFrame(
            {
                "camera_id": pd.array(arrivals.cameras, dtype="str").take(number),
                "started_at": _times(at),
                "event_id": pd.array([None] * len(at), dtype="Int64"),
                "n_detections": pd.array(sizes, dtype="Int64"),
                "n_replayed": pd.array(np.where(is_fast, np.nan, sizes), dtype="Int64"),
                "agrees": np.zeros(len(at), dtype=bool),
                "why": pd.array(np.where(is_late, "not analysed yet", "lost batch"), dtype="str"),
            }
        )


def _times(at_us: Ints) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(at_us.view("datetime64[us]")).tz_localize("UTC")
