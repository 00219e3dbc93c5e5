"""The exact sweep against scikit-learn's confusion_matrix_at_thresholds.

Run with ``python benchmarks/bench_sweep.py [rows]``. Scores are synthetic: Beta(6, 2) where true,
Beta(2, 4) where false, prevalence 0.4.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
from sidebyside import compare
from sklearn.metrics import confusion_matrix_at_thresholds

import secnb

N_ROWS = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000


def main() -> None:
    """Print one line per kind of scores."""
    generator = np.random.default_rng(0)
    truth = generator.random(N_ROWS) < 0.4
    scores = np.where(truth, generator.beta(6, 2, N_ROWS), generator.beta(2, 4, N_ROWS))
    for name, score in (("all distinct", scores), ("four decimals", scores.round(4))):
        frame = pd.DataFrame({"score": score, "is_true": truth})
        compare(
            f"secnb.sweep, {N_ROWS:,} rows, {name}, against scikit-learn",
            ours=lambda frame=frame: secnb.sweep(frame, score="score", truth="is_true"),
            peer=lambda score=score: confusion_matrix_at_thresholds(truth, score),
        )


if __name__ == "__main__":
    main()
