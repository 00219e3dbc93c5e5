"""What is known of each stage of the pipeline becomes a verdict: is it stuck, and why, in words.

Pure functions. A stage that waits is told from one that has nothing to do by what is before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

SLOW_S: Final = 600.0
"""What has waited longer than this waits for something slow."""

STUCK_S: Final = 900.0
"""What has waited longer than this, while nothing came out, waits for something stuck."""

OVERDUE_S: Final = 60.0
"""The checker of batches comes every few seconds; a batch overdue for longer is not closed by anything."""

POISONED_RATIO: Final = 0.2
N_POISONED: Final = 5
"""From this share and this number of unreadable messages on, they are the trouble of a queue."""

QUIET_S: Final = 3600.0
"""A camera that recorded nothing for longer than this is compared with the days before."""

N_DAYS: Final = 3
N_USUAL: Final = 3
"""It is silent if at least so many days are known, and each had at least so much in the same hours."""

_NAMED: Final = 5
_RATES = "site.queues(watch_s=30) shows whether it moves at all"


@dataclass(frozen=True)
class Waiting:
    """What waits in a queue; None is what cannot be known.

    Attributes
    ----------
    what : str
        What an item is, in the plural.
    depth : int or None
    oldest_at, newest_at : datetime or None
    n_unreadable, n_looked : int
        Of the first messages.
    n_dead_letters : int or None
    misplaced : str or None
        What stands in the place of a queue, where nothing can wait.
    error : str or None
        Why nothing is known.
    """

    what: str
    depth: int | None = None
    oldest_at: datetime | None = None
    newest_at: datetime | None = None
    n_unreadable: int = 0
    n_looked: int = 0
    n_dead_letters: int | None = None
    misplaced: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class Recorded:
    """What a stage has written into the database; None is what cannot be known."""

    what: str
    last_at: datetime | None = None
    n_last_hour: int | None = None
    error: str | None = None


@dataclass(frozen=True)
class Open:
    """The open batches: camera, start and seconds overdue of each; `error` says why nothing is known."""

    batches: tuple[tuple[str, datetime | None, float | None], ...] = ()
    n_broken: int = 0
    error: str | None = None


@dataclass(frozen=True)
class Camera:
    """When a camera recorded last; of a quiet one, what earlier days had in the same hours instead."""

    name: str
    last_at: datetime | None = None
    quiet_s: float = 0.0
    n_before: tuple[int, ...] = ()


@dataclass(frozen=True)
class Heard:
    """What came from the cameras, since the history begins; `error` says why nothing is known."""

    cameras: tuple[Camera, ...] = ()
    begins_at: datetime | None = None
    error: str | None = None


Row = dict[str, Any]


def camera_stage(heard: Heard, recorded: Recorded) -> Row:
    """Return the row of the cameras: which one is silent, although the days before were not."""
    if heard.error is not None:
        return _failed(heard.error)
    cameras = sorted(heard.cameras, key=lambda each: -each.quiet_s)
    last_at = max((each.last_at for each in cameras if each.last_at is not None), default=None)
    row: Row = {"out_per_hour": recorded.n_last_hour, "last_at": last_at}
    quiet = [each for each in cameras if each.quiet_s >= QUIET_S]
    if silent := [each for each in quiet if len(each.n_before) >= N_DAYS and min(each.n_before) >= N_USUAL]:
        first, n_days = silent[0], len(silent[0].n_before)
        usual = f"each of the {n_days} days before had at least {min(first.n_before):,} in the same hours"
        row |= {"depth": len(silent), "oldest_at": first.last_at}
        return row | _said("silent", _quiet(silent), f"of {first.name}, {usual}")
    never = [each for each in cameras if each.last_at is None]
    unknown = [each for each in quiet if len(each.n_before) < N_DAYS]
    if last_at is not None and heard.begins_at is not None and (last_at - heard.begins_at).days < N_DAYS:
        unknown += never
    if unknown:
        return row | _said("unknown", _quiet(unknown), "there are too few days before to compare with")
    n_heard = len(cameras) - len(never) - len(quiet)
    ends = "" if last_at is None else " within the hour before the newest detection"
    return row | _said("ok", f"{n_heard} of {len(cameras)} cameras recorded something{ends}")


def queue_stage(waiting: Waiting, now: datetime) -> Row:
    """Return the row of a queue: how much waits, since when, and whether it can be read."""
    row: Row = {
        "depth": waiting.depth,
        "oldest_at": waiting.oldest_at,
        "last_at": waiting.newest_at,
        "n_dead_letters": waiting.n_dead_letters,
    }
    age_s = _age_s(waiting.oldest_at, now)
    if waiting.error is not None:
        return row | _failed(waiting.error)
    if waiting.misplaced is not None:
        return row | _failed(waiting.misplaced, _counted(waiting) if waiting.depth else None)
    if waiting.depth == 0:
        return row | _said("ok", "nothing waits")
    words = [_counted(waiting) + (f", the oldest for {duration(age_s)}" if age_s is not None else "")]
    if waiting.n_unreadable:
        words.append(f"{waiting.n_unreadable} of the next {waiting.n_looked} messages cannot be read")
    if waiting.n_unreadable >= max(N_POISONED, POISONED_RATIO * waiting.n_looked):
        return row | _said("poisoned", *words)
    if waiting.depth is None or age_s is None:
        return row | _said("unknown", *words, "nobody knows since when or how many")
    return row | _said("slow" if age_s >= SLOW_S else "ok", *words)


def worker_stage(waiting: Waiting, recorded: Recorded, service: str | None, now: datetime) -> Row:
    """Return the row of what works off a queue; `service` says that it does not answer, None that it does."""
    row: Row = {"out_per_hour": recorded.n_last_hour, "last_at": recorded.last_at}
    waited_s, fresh_s = _age_s(waiting.oldest_at, now), _age_s(recorded.last_at, now)
    if recorded.error is not None:
        return row | _failed(recorded.error, service)
    newest = f"no {recorded.what} at all" if fresh_s is None else f"the last of its {recorded.what} is "
    newest += "" if fresh_s is None else f"{duration(fresh_s)} old"
    is_idle = fresh_s is None or fresh_s >= STUCK_S
    if waiting.depth != 0 and waited_s is not None and waited_s >= SLOW_S:
        behind = f"{_counted(waiting)} for it, the oldest for {duration(waited_s)}"
        if waited_s >= STUCK_S and is_idle:
            return row | _said("stuck", behind, newest, service, _RATES)
        return row | _said("slow", behind, newest, service)
    if is_idle:
        return row | _said("unknown", newest, "it has little to do, or nobody sends it anything", service)
    return row | _said("ok", newest, service)


def batching_stage(found: Open, now: datetime) -> Row:
    """Return the row of the open batches, which close within seconds of their limits."""
    if found.error is not None:
        return _failed(found.error)
    starts = [start for _, start, _ in found.batches if start is not None]
    row: Row = {
        "depth": len(found.batches),
        "oldest_at": min(starts, default=None),
        "last_at": max(starts, default=None),
    }
    broken = f"{found.n_broken} with broken keys (site.open_batches())" if found.n_broken else None
    overdue = [(late, camera) for camera, _, late in found.batches if late is not None and late >= OVERDUE_S]
    if overdue:
        late, camera = max(overdue)
        words = f"the batch of {camera} should have closed {duration(late)} ago"
        return row | _said("stuck", words, "nothing closes batches", broken)
    return row | _said("ok", f"{len(found.batches)} open, none overdue", broken)


def storage_stage(parts: Mapping[str, Recorded], now: datetime) -> Row:
    """Return the row of the database: what has come into it."""
    errors = [each.error for each in parts.values() if each.error is not None]
    if errors:
        return _failed(errors[0])
    last_at = max((each.last_at for each in parts.values() if each.last_at is not None), default=None)
    counted = [each.n_last_hour for each in parts.values()]
    n_rows = None if None in counted else sum(n or 0 for n in counted)
    row: Row = {"last_at": last_at, "out_per_hour": n_rows}
    words = ", ".join(f"{each.n_last_hour:,} {each.what}" for each in parts.values() if each.n_last_hour)
    if not n_rows:
        return row | _said("unknown", "nothing was recorded within the last hour")
    return row | _said("ok", f"{words} within the last hour")


def summary(rows: Mapping[str, Row]) -> str:
    """Return where the pipeline is stuck, in one sentence; in more, where a part or a camera is missing."""
    said = [*_trouble(rows), *_missing(rows)]
    if said:
        return " ".join(f"{each}." for each in said)
    unknown = [stage for stage, row in rows.items() if row["status"] == "unknown"]
    if unknown:
        return f"Nothing is seen to be stuck; not known of {', '.join(unknown)}."
    return "Nothing is stuck."


def _trouble(rows: Mapping[str, Row]) -> Iterator[str]:
    for status, verb in (("stuck", "is stuck"), ("poisoned", "holds what cannot be read"), ("slow", "lags")):
        named = [stage for stage, row in rows.items() if row["status"] == status]
        if named:
            # A queue waits because of what works it off, which comes right after it.
            worst = next((name for name in named if not name.endswith("_queue")), named[0])
            yield f"{worst} {verb}: {rows[worst]['why']}"
            break
    if rows["cameras"]["status"] == "silent":
        yield f"A camera is silent: {rows['cameras']['why']}"


def _missing(rows: Mapping[str, Row]) -> Iterator[str]:
    """Yield, by cause, which stages cannot be seen."""
    causes: dict[str, list[str]] = {}
    for stage, row in rows.items():
        if "failure" in row:
            causes.setdefault(row["failure"], []).append(stage)
    for failure, stages in causes.items():
        yield f"{failure}; so {', '.join(stages)} cannot be seen"


def duration(seconds: float) -> str:
    """Return a duration in the unit that reads best.

    Examples
    --------
    >>> [duration(s) for s in (40, 3660, 5 * 3600, 3 * 86_400)]
    ['40 s', '61 min', '5.0 h', '3.0 days']
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:,.1f} days"


def _counted(waiting: Waiting) -> str:
    if waiting.depth is None:
        return f"{waiting.what} wait"
    one = {"images": "image", "batches": "batch"}
    if waiting.depth == 1:
        return f"1 {one.get(waiting.what, waiting.what)} waits"
    return f"{waiting.depth:,} {waiting.what} wait"


def _quiet(cameras: Sequence[Camera]) -> str:
    times = ["at all" if each.last_at is None else f"for {duration(each.quiet_s)}" for each in cameras]
    named = [f"{each.name} {time}" for each, time in zip(cameras[:_NAMED], times, strict=False)]
    more = [f"{len(cameras) - _NAMED:,} more"] if len(cameras) > _NAMED else []
    return f"no detection from {', '.join([*named, *more])}"


def _failed(failure: str, *words: str | None) -> Row:
    return _said("unknown", failure, *words) | {"failure": failure}


def _said(status: str, *words: str | None) -> Row:
    return {"status": status, "why": "; ".join(each for each in words if each)}


def _age_s(stamp: datetime | None, now: datetime) -> float | None:
    return None if stamp is None else max(0.0, (now - stamp).total_seconds())
