"""The exact sweep against scikit-learn's confusion_matrix_at_thresholds: seconds, and memory.

Run with ``python benchmarks/bench_sweep.py [rows]``. Scores are synthetic: Beta(6, 2) where true,
Beta(2, 4) where false, prevalence 0.4; the 48 groups are drawn evenly.
"""

from __future__ import annotations

import sys
import tracemalloc
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
from sidebyside import compare
from sklearn.metrics import confusion_matrix_at_thresholds

import secnb

N_ROWS = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
N_GROUPS = 48


def main() -> None:
    """Print one line per kind of scores, then the memory of each."""
    warnings.simplefilter("ignore", secnb.SecnbWarning)
    generator = np.random.default_rng(0)
    truth = generator.random(N_ROWS) < 0.4
    distinct = np.where(truth, generator.beta(6, 2, N_ROWS), generator.beta(2, 4, N_ROWS))
    camera = pd.Categorical.from_codes(
        generator.integers(0, N_GROUPS, N_ROWS), categories=[f"camera {i}" for i in range(N_GROUPS)]
    )
    grid = np.arange(101) / 100
    memory: list[tuple[str, Callable[[], object]]] = []
    for name, score in (("all distinct", distinct), ("four decimals", distinct.round(4))):
        frame = pd.DataFrame({"score": score, "is_true": truth, "camera_id": camera})
        kinds = {"": {}, ", at 101 thresholds": {"at": grid}, f", {N_GROUPS} groups": {"by": "camera_id"}}
        for kind, arguments in kinds.items():

            def ours(frame: pd.DataFrame = frame, arguments: dict[str, object] = arguments) -> object:
                return secnb.sweep(frame, score="score", truth="is_true", **arguments)

            def peer(frame: pd.DataFrame = frame, is_grouped: bool = "by" in arguments) -> object:
                parts = [frame]
                if is_grouped:
                    parts = [part for _, part in frame.groupby("camera_id", observed=True)]
                return [
                    confusion_matrix_at_thresholds(part["is_true"].to_numpy(), part["score"].to_numpy())
                    for part in parts
                ]

            compare(f"secnb.sweep, {N_ROWS:,} rows, {name}{kind}", ours=ours, peer=peer, rounds=3)
            if "at" not in arguments:
                is_equal = all(map(equals, each_group(ours()), peer()))
                print(f"{'':4}counts equal, integer by integer: {is_equal}")
            memory.append((f"{name}{kind}", ours))
    times = pd.Timestamp("2026-03-01", tz="UTC") + pd.to_timedelta(np.arange(N_ROWS) * 2, unit="s")
    frame = pd.DataFrame({"score": distinct, "is_true": truth, "camera_id": camera, "started_at": times})
    for by in ((), "camera_id"):
        sweep = secnb.sweep(frame, score="score", truth="is_true", by=by)
        name = f"all distinct, times{', 48 groups' if by else ''}"
        memory.append((name, lambda by=by: secnb.sweep(frame, score="score", truth="is_true", by=by)))
        for share in (None, "last 30%"):
            rule = {"precision_at_least": 0.9, "verify_on": share}
            memory.append((f"choose, {name}, {share}", lambda s=sweep, rule=rule: s.choose(**rule)))
    frame["chance"], frame["episode_id"] = np.where(truth, 0.5, 0.25), np.arange(N_ROWS) // 10
    for kind in ({"probability": "chance"}, {"cluster": "episode_id"}):
        sweep = secnb.sweep(frame, score="score", truth="is_true", **kind)
        (name,) = kind
        memory.append(
            (f"with {name}=", lambda kind=kind: secnb.sweep(frame, score="score", truth="is_true", **kind))
        )
        for share in (None, "last 30%"):
            rule = {"precision_at_least": 0.9, "verify_on": share}
            memory.append((f"choose, with {name}=, {share}", lambda s=sweep, rule=rule: s.choose(**rule)))
    # What is loaded on first use is no memory of the work.
    secnb.sweep(frame.head(1000), score="score", truth="is_true").choose(maximize="f1")
    for name, work in memory:
        tracemalloc.start()
        work()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        print(f"peak memory beyond the input, {name:<44} {peak / (8 * N_ROWS):5.2f} times the score column")


def each_group(sweep: secnb.ThresholdSweep) -> list[tuple[np.ndarray, ...]]:
    """Return fp, tp and thresholds of each group, thresholds falling as in scikit-learn, without inf."""
    edges = list(zip(sweep.offsets[:-1], sweep.offsets[1:] - 1, strict=True))
    return [
        tuple(each[start:stop][::-1] for each in (sweep.fp, sweep.tp, sweep.threshold))
        for start, stop in edges
    ]


def equals(own: tuple[np.ndarray, ...], peer: tuple[np.ndarray, ...]) -> bool:
    """Whether the counts at each threshold are the same; the peer gives tn, fp, fn, tp and thresholds."""
    fp, tp, threshold = own
    return all(map(np.array_equal, (fp, tp, threshold), (peer[1], peer[3], peer[4])))


if __name__ == "__main__":
    main()
