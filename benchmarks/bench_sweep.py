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
    """Print one line per kind of scores, then the memory of each and of choosing."""
    warnings.simplefilter("ignore", secnb.SecnbWarning)
    generator = np.random.default_rng(0)
    truth = generator.random(N_ROWS) < 0.4
    distinct = np.where(truth, generator.beta(6, 2, N_ROWS), generator.beta(2, 4, N_ROWS))
    camera = pd.Categorical.from_codes(
        generator.integers(0, N_GROUPS, N_ROWS), categories=[f"camera {i}" for i in range(N_GROUPS)]
    )
    grid = np.arange(101) / 100
    works: list[tuple[str, Callable[[], object]]] = []
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
            works.append((f"{name}{kind}", ours))
    print_memory(works, pd.DataFrame({"score": distinct, "is_true": truth, "camera_id": camera}))


def print_memory(works: list[tuple[str, Callable[[], object]]], frame: pd.DataFrame) -> None:
    """Print the peak of what was measured, and of sweep and choose by argument."""
    frame["started_at"] = pd.Timestamp("2026-03-01", tz="UTC") + pd.to_timedelta(
        np.arange(N_ROWS) * 2, unit="s"
    )
    frame["chance"] = np.where(frame["is_true"], 0.5, 0.25)
    frame["weight"] = 0.5 + frame["score"]
    frame["episode_id"] = np.arange(N_ROWS) // 10
    shuffled = frame.sample(frac=1, random_state=0, ignore_index=True)
    # What is loaded on first use is no memory of the work.
    secnb.sweep(frame.head(1000), score="score", truth="is_true").choose(maximize="f1")
    print("Peak memory beyond the input, in score columns of 8 bytes a row")
    for name, work in works:
        print(f"{f'sweep, {name}':<72}{peak(work):5.2f}")
    by, chance, episode = {"by": "camera_id"}, {"probability": "chance"}, {"cluster": "episode_id"}
    kinds = ({}, by, chance, episode, {"weight": "weight"}, chance | episode, by | chance, by | episode)
    print(
        f"{'all distinct, times':<36}{'sweep':>9}{'choose':>9}{'last 30%':>11}{'last 30%, rows shuffled':>26}"
    )
    for kind in kinds:
        name = ", ".join(f"{argument}=" for argument in kind) or "plain"
        peaks = [peak(lambda kind=kind: swept(frame, kind))]
        for rows, share in ((frame, None), (frame, "last 30%"), (shuffled, "last 30%")):
            sweep = swept(rows, kind)
            peaks.append(peak(lambda s=sweep, on=share: s.choose(precision_at_least=0.9, verify_on=on)))
        print("{:<36}{:>9.2f}{:>9.2f}{:>11.2f}{:>26.2f}".format(name, *peaks))


def swept(frame: pd.DataFrame, kind: dict[str, str]) -> secnb.ThresholdSweep:
    """Sweep it with some arguments."""
    return secnb.sweep(frame, score="score", truth="is_true", **kind)


def peak(work: Callable[[], object]) -> float:
    """Return the most memory that the work allocates at a time, in score columns."""
    tracemalloc.start()
    work()
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found / (8 * N_ROWS)


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
