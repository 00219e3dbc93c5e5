"""What other batch settings would have cost and gained: ``compare_batching``."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secnb import schema
from secnb.analysis.arrivals import SECOND, Arrivals, FastPath, read_arrivals
from secnb.analysis.localdays import Days, read_days
from secnb.analysis.replaying import middle, per_day
from secnb.analysis.splitting import Settings, Split, Splitter
from secnb.bridge import Progress
from secnb.errors import BadInputError

EPISODE_GAP_S: Final = 30.0
"""Detections of a camera that follow each other within this many seconds are one episode."""


def compare_batching(
    detections: pd.DataFrame,
    *,
    window_s: float | Iterable[float] = (30, 60, 90, 120, 180),
    idle_s: float | Iterable[float] = (10, 20, 30, 45, 60),
    service_s: float,
    tick_s: float | None = None,
    phase_s: float = 0,
    max_detections: int | None = None,
    fast_path: FastPath | None = None,
) -> pd.DataFrame:
    """One row per pair of batch window and idle timeout: what the reasoner gets, and how long it takes.

    Every setting is replayed over the same detections, as `replay_batches` does. A long window asks the
    reasoner less often and shows it whole episodes, but an alarm waits longer. The reasoner is taken as
    one server that works first in, first out, `service_s` for each call, idle at the start; its queue is
    a model, not a measurement. A setting is efficient where no other has both fewer calls and a shorter
    wait.

    Parameters
    ----------
    detections : pandas.DataFrame
        As for `replay_batches`. It is not changed.
    window_s, idle_s : float or iterable of float
        Seconds; every pair is tried.
    service_s : float
        Seconds that the reasoner takes for one call. ``site.latencies()`` suggests it where the
        deployment records them.
    tick_s, phase_s, max_detections, fast_path
        As for `replay_batches`, the same for all settings.

    Returns
    -------
    DataFrame
        Columns of ``secnb.schema.BATCHING``: window_s, idle_s; n_batches, calls, calls_per_day (whole local
        days; NaN without one); size_median, size_p95, size_max; wait_median_s, wait_p95_s (first detection
        to close); n_episodes and n_cut (episodes, gaps up to 30 s, that more than one batch holds);
        busy_ratio (share of the time that the reasoner works; above 1 it can never keep up), backlog_max
        (calls that wait or are worked on), oldest_max_s (longest wait in its queue), answer_p95_s (first
        detection to answer, of batches as wait_p95_s is; calls of the fast path wait in the same queue);
        is_efficient. ``attrs`` hold the settings that all share.

    Raises
    ------
    UnknownColumnError
        The frame lacks a column.
    BadInputError
        An argument has a value that is not allowed.

    Examples
    --------
    >>> at = pd.to_datetime([0, 10, 25, 54, 60, 89, 95, 200], unit="s", utc=True)
    >>> frame = pd.DataFrame({"camera_id": "porch", "detected_at": at})
    >>> compare_batching(frame, window_s=[60, 90], idle_s=30, service_s=5)[["window_s", "calls", "n_cut"]]
       window_s  calls  n_cut
    0      60.0      3      1
    1      90.0      3      1
    """
    if isinstance(phase_s, str):
        raise BadInputError(f"phase_s is {phase_s!r}. Allowed here: one phase, in seconds.")
    windows, idles = _several("window_s", window_s), _several("idle_s", idle_s)
    pairs = [
        Settings(window, idle, tick_s, phase_s, max_detections) for window, idle in product(windows, idles)
    ]
    service_us = _service_us(service_s)
    arrivals = read_arrivals(detections, fast_path=fast_path, until=None)
    splitter = Splitter(arrivals)
    days = read_days(detections)
    first = episode_starts(arrivals)
    rows, note = [], [""]
    with Progress("compare_batching", note) as progress:
        for number, pair in enumerate(pairs):
            (limits,) = pair.limits()
            rows.append(_row(pair, splitter.split(limits), arrivals, first, service_us, days))
            note[0] = f"{number + 1} of {len(pairs)} settings"
            progress.tick()
    frame = pd.DataFrame(rows, columns=list(schema.BATCHING)).astype(dict(schema.BATCHING))
    frame["is_efficient"] = _efficient(frame["calls"].to_numpy(), frame["wait_p95_s"].to_numpy())
    frame.attrs = {
        "service_s": float(service_s),
        "tick_s": tick_s,
        "max_detections": max_detections,
        "n_detections": len(arrivals.at_us),
        "n_fast_path": len(arrivals.fast_us),
        "n_left_out": arrivals.n_left_out,
        "n_days": days.n_days if days else 0,
        "timezone": days.timezone if days else "UTC",
    }
    return frame


def episode_starts(arrivals: Arrivals) -> NDArray[np.bool_]:
    """Which arrivals begin an episode: the first of a camera, and those after a longer gap."""
    is_first = np.ones(len(arrivals.at_us), dtype=bool)
    is_first[1:] = np.diff(arrivals.at_us) > round(EPISODE_GAP_S * SECOND)
    starts = arrivals.first[:-1]
    # The last cameras may have only detections of the fast path.
    is_first[starts[starts < len(is_first)]] = True
    return is_first


def _row(
    pair: Settings,
    split: Split,
    arrivals: Arrivals,
    is_first: NDArray[np.bool_],
    service_us: int,
    days: Days | None,
) -> dict[str, object]:
    sizes = split.stop - split.start
    waits = split.closed_us - arrivals.at_us[split.start]
    calls = np.concatenate([split.closed_us, arrivals.fast_us])
    size, wait = middle(sizes), middle(waits / SECOND)
    return {
        "window_s": pair.window_s,
        "idle_s": pair.idle_s,
        "n_batches": len(sizes),
        "calls": len(calls),
        "calls_per_day": per_day(calls, days),
        "size_median": size["median"],
        "size_p95": size["p95"],
        "size_max": sizes.max() if len(sizes) else np.nan,
        "wait_median_s": wait["median"],
        "wait_p95_s": wait["p95"],
        "n_episodes": np.count_nonzero(is_first),
        "n_cut": _n_cut(split, is_first),
        **_queue(calls, waits, service_us),
        "is_efficient": False,
    }


def _n_cut(split: Split, is_first: NDArray[np.bool_]) -> int:
    """How many episodes more than one batch holds: a batch begins within them."""
    within = split.start[~is_first[split.start]]
    if not len(within):
        return 0
    # Batches that begin in the same episode come one after the other, with no episode's start between.
    n_before = np.searchsorted(np.flatnonzero(is_first), within, side="right")
    return 1 + int(np.count_nonzero(n_before[1:] != n_before[:-1]))


def _queue(calls_us: NDArray[np.int64], waits_us: NDArray[np.int64], service_us: int) -> dict[str, float]:
    """Return how busy one server is, and how long its queue grows.

    With arrivals a_i in order and service s, work i ends at s * (i + 1) + max over j <= i of
    (a_j - s * j): Lindley's recursion, solved for a constant service time.
    """
    if not len(calls_us):
        return {"busy_ratio": 0.0, "backlog_max": 0, "oldest_max_s": 0.0, "answer_p95_s": np.nan}
    order = np.argsort(calls_us, kind="stable")
    came = calls_us[order]
    numbers = np.arange(len(came), dtype=np.int64)
    ends = service_us * (numbers + 1) + np.maximum.accumulate(came - service_us * numbers)
    n_done = np.searchsorted(ends, came, side="right")
    # Calls of the fast path come after those of batches, and have no first detection that waited.
    is_batch = order < len(waits_us)
    answered = (ends - came)[is_batch] + waits_us[order[is_batch]]
    # The last call's own time counts too, so that a single call is a share of 1 at most.
    span = max(int(came[-1] - came[0]) + service_us, 1)
    return {
        "busy_ratio": service_us * len(came) / span,
        "backlog_max": int((numbers + 1 - n_done).max()),
        "oldest_max_s": float((ends - service_us - came).max() / SECOND),
        "answer_p95_s": middle(answered / SECOND)["p95"],
    }


def _efficient(calls: NDArray[np.int64], waits: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which settings no other beats in one without losing in the other."""
    fewer, shorter = calls[:, None] <= calls, waits[:, None] <= waits
    better = (calls[:, None] < calls) | (waits[:, None] < waits)
    return ~(fewer & shorter & better).any(axis=0) & ~np.isnan(waits)


def _several(name: str, values: object) -> list[float]:
    given = [values] if isinstance(values, int | float | np.number | str) else values
    try:
        listed = list(dict.fromkeys(given))  # type: ignore[call-overload]
    except TypeError as exc:
        raise BadInputError(f"{name} is {values!r}. Allowed: seconds, or several of them.") from exc
    if not listed:
        raise BadInputError(f"{name} is empty. Allowed: seconds, or several of them.")
    return listed


def _service_us(service_s: object) -> int:
    is_number = isinstance(service_s, int | float | np.number) and not isinstance(service_s, bool)
    if not is_number or not 1e-6 <= float(service_s) <= 1e6:  # type: ignore[arg-type]
        raise BadInputError(
            f"service_s is {service_s!r}. Allowed: seconds of one call, above 0 and up to 1e6.",
            hint="site.latencies() suggests it where the deployment records them.",
        )
    return round(float(service_s) * SECOND)  # type: ignore[arg-type]
