"""What a sample near the decision is worth: errors of recall and precision beside a random audit.

Run with ``python benchmarks/bench_sampling.py [runs]``. The population is synthetic: prevalence 0.4 (then
0.05), scores Beta(6, 2) where true and Beta(2, 4) where false; 3,000 units (then 10,000), 300 labels. The
audit is a simple random sample; estimates are Hajek's. "best" is the design that is ideal for recall in
large populations, and knows the share of true units at every score, which nobody does.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secnb.analysis.inclusion import draw_systematically, favour_near, raise_chances

N_RUNS = int(sys.argv[1]) if len(sys.argv) > 1 else 400
N_LABELS = 300
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]


def population(generator: np.random.Generator, n: int, prevalence: float) -> tuple[Numbers, Flags]:
    """Return scores and truth."""
    is_true = generator.random(n) < prevalence
    return np.where(is_true, generator.beta(6, 2, n), generator.beta(2, 4, n)), is_true


def rates(scores: Numbers, is_true: Flags, weights: Numbers, threshold: float) -> tuple[float, float]:
    """Return recall and precision."""
    fires = scores >= threshold
    hits = weights[fires & is_true].sum()
    return hits / max(weights[is_true].sum(), 1e-9), hits / max(weights[fires].sum(), 1e-9)


def sampled(
    favour: Numbers, scores: Numbers, generator: np.random.Generator
) -> tuple[NDArray[np.intp], Numbers]:
    """Return what one wave takes, and the probabilities of all."""
    is_open, none = np.ones(len(scores), dtype=np.bool_), np.zeros(len(scores))
    chance = raise_chances(none, favour, N_LABELS, is_open=is_open, goes_on=is_open)
    return draw_systematically(chance, N_LABELS, along=scores, generator=generator), chance


def ideal(scores: Numbers, threshold: float, prevalence: float) -> Numbers:
    """Return what the best design for recall favours, from densities that nobody knows."""
    true = prevalence * scores**5 * (1 - scores) * 42
    false = (1 - prevalence) * scores * (1 - scores) ** 3 * 20
    share = true / (true + false)
    recall = share[scores >= threshold].sum() / share.sum()
    side = np.where(scores >= threshold, 1 - recall, recall)
    favour = np.sqrt(share * (1 - share)) * side
    return np.maximum(favour, 0.02 * favour.max())


def errors(n_units: int, prevalence: float, threshold: float) -> Numbers:
    """Return errors by run: recall and precision of the audit, of the sample near, and of the ideal one."""
    found = []
    for run in range(N_RUNS):
        generator = np.random.default_rng(run)
        scores, is_true = population(generator, n_units, prevalence)
        truth = rates(scores, is_true, np.ones(n_units), threshold)
        taken = [(generator.choice(n_units, N_LABELS, replace=False), np.ones(n_units))]
        taken += [
            sampled(favour, scores, generator)
            for favour in (favour_near(scores, threshold), ideal(scores, threshold, prevalence))
        ]
        estimates = [
            rates(scores[rows], is_true[rows], 1 / chance[rows], threshold) for rows, chance in taken
        ]
        found.append(np.subtract(estimates, truth).ravel())
    return np.array(found)


def main() -> None:
    """Print one line per population and threshold."""
    table = []
    for n_units, prevalence in ((3000, 0.4), (3000, 0.05), (10_000, 0.4)):
        for threshold in THRESHOLDS:
            found = errors(n_units, prevalence, threshold)
            rms = np.sqrt((found**2).mean(axis=0))
            lean = found.mean(axis=0) / (found.std(axis=0) / np.sqrt(N_RUNS))
            table.append(
                {
                    "units": n_units,
                    "prevalence": prevalence,
                    "threshold": threshold,
                    "recall: audit": rms[0],
                    "near": rms[2],
                    "ratio": rms[2] / rms[0],
                    "best": rms[4] / rms[0],
                    "bias/se": lean[2],
                    "precision: audit": rms[1],
                    "ratio ": rms[3] / rms[1],
                    "bias/se ": lean[3],
                }
            )
            print(".", end="", flush=True)
    print("\n" + pd.DataFrame(table).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
