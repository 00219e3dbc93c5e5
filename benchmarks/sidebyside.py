"""Ratios of medians: ours and a peer take turns in one run, so that a busy machine slows down both."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable


def compare(title: str, *, ours: Callable[[], object], peer: Callable[[], object], rounds: int = 5) -> float:
    """Print how long both take and how many times as fast ours is; return that ratio.

    Parameters
    ----------
    title : str
        What is measured, and against what.
    ours, peer : callable
        Do the same work; the first call of each is not counted.
    rounds : int
        How often each is measured.
    """
    seconds: dict[str, list[float]] = {"ours": [], "peer": []}
    for turn in range(rounds + 1):
        for name, work in (("ours", ours), ("peer", peer)):
            gc.collect()
            started = time.perf_counter()
            work()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    median = {name: statistics.median(each) for name, each in seconds.items()}
    ratio = median["peer"] / median["ours"]
    print(f"{title:<72} {median['ours']:8.3f} s {median['peer']:8.3f} s  {ratio:5.2f} times as fast")
    return ratio
