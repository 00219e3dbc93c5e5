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
            memory.append((f"{name}{kind}", ours))
    for name, work in memory:
        tracemalloc.start()
        work()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        print(f"peak memory beyond the input, {name:<36} {peak / (8 * N_ROWS):5.2f} times the score column")


if __name__ == "__main__":
    main()
