"""Choosing a threshold: how long it takes, and whether what must hold holds, beside the naive way.

Run with ``python benchmarks/bench_choosing.py``; it takes a few minutes. Every population is synthetic and
described in its table; seeds are fixed.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import beta
from tqdm import tqdm

import secnb
from secnb.analysis.guarantees import (
    busiest_scores,
    fixed_grid,
    lowest_within_budget,
    p_values,
    prove_precision,
)
from secnb.analysis.intervals import korn_graubard, wilson

Draw = Callable[[np.random.Generator, int], tuple[NDArray[np.float64], NDArray[np.bool_]]]
Precision = Callable[[float], float]

GRID = fixed_grid(np.array([0.0, 1.0]))
TARGET, RISK = 0.9, 0.1


def main() -> None:
    """Print the table of speed, and then one table per method."""
    warnings.simplefilter("ignore", secnb.SecnbWarning)
    speed()
    coverage()
    guarantees()
    refusals()
    budgets()
    recalls()
    intervals()


def speed() -> None:
    """Choose with every rule on 10,000 units in 48 groups, a third of a month verified on."""
    frame = units(np.random.default_rng(0), 10_000).assign(camera_id=np.arange(10_000) % 48)
    sweep = secnb.sweep(frame, score="score", truth="is_true", by="camera_id")
    print("\nChoose on 10,000 units, 48 groups: median seconds of 7 (target 0.3)")
    for rule in (
        {"precision_at_least": 0.9},
        {"precision_at_least": 0.9, "confidence": 0.9},
        {"recall_at_least": 0.9},
        {"alerts_per_day_at_most": 3},
        {"cost_missed": 10, "cost_false_alarm": 1},
        {"maximize": "f1", "current": 0.5},
    ):
        seconds = []
        for _ in range(7):
            started = time.perf_counter()
            sweep.choose(**rule)
            seconds.append(time.perf_counter() - started)
        asked = ", ".join(f"{name}={value}" for name, value in rule.items())
        print(f"  {asked:<48}{statistics.median(seconds):8.3f}")


def units(generator: np.random.Generator, n: int) -> pd.DataFrame:
    """Beta(6, 2) where true, Beta(2, 4) where false, prevalence 0.4, over 30 days."""
    score, truth = beta_scores(6, 2, 2, 4, 0.4)[0](generator, n)
    times = pd.Timestamp("2026-03-01", tz="UTC") + pd.to_timedelta(np.arange(n) / n * 30, unit="D")
    return pd.DataFrame({"score": score, "is_true": truth, "started_at": times})


def coverage() -> None:
    """Cover the precision of bursts by 95 % intervals."""
    print("\nCoverage of 95 % intervals: episodes of 1 + Poisson(9) frames, intra-class correlation 0.8")
    print("must hold: at least 94 %; 1,000 runs each (bootstrap 300)")
    print(f"{'precision':>10}{'episodes':>10}{'Korn-Graubard':>15}{'frame-wise':>12}{'bootstrap':>11}")
    for precision in tqdm((0.7, 0.8, 0.9, 0.97), desc="coverage", leave=False):
        for n_episodes in (30, 100, 300):
            generator = np.random.default_rng([n_episodes, int(100 * precision)])
            spread = (1 - 0.8) / 0.8
            sizes = 1 + generator.poisson(9, (1000, n_episodes))
            chance = generator.beta(precision * spread, (1 - precision) * spread, sizes.shape)
            true = generator.binomial(sizes, chance)
            n, k = sizes.sum(axis=1), true.sum(axis=1)
            p = k / n
            variance = ((true - p[:, None] * sizes) ** 2).sum(axis=1) / n**2 * n_episodes / (n_episodes - 1)
            effective = np.divide(p * (1 - p), variance, out=np.full_like(p, np.nan), where=variance > 0)
            ends = [korn_graubard(p, effective, n_episodes), wilson(k, n), resampled(sizes, true, generator)]
            shares = [np.mean((low <= precision) & (precision <= high)) for low, high in ends]
            print(f"{precision:>10}{n_episodes:>10}{shares[0]:>15.1%}{shares[1]:>12.1%}{shares[2]:>11.1%}")


def resampled(
    sizes: NDArray[np.int64], true: NDArray[np.int64], generator: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Percentiles of 300 resamples of whole episodes, for the first 300 runs."""
    ends = []
    for run in range(300):
        drawn = generator.integers(0, sizes.shape[1], (300, sizes.shape[1]))
        ends.append(np.quantile(true[run][drawn].sum(axis=1) / sizes[run][drawn].sum(axis=1), (0.025, 0.975)))
    low, high = np.transpose(ends)
    return low, high


def beta_scores(a: float, b: float, c: float, d: float, prevalence: float) -> tuple[Draw, Precision]:
    """Beta(a, b) where true, Beta(c, d) where false."""

    def draw(generator: np.random.Generator, n: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        truth = generator.random(n) < prevalence
        return np.where(truth, generator.beta(a, b, n), generator.beta(c, d, n)), truth

    def precision(t: float) -> float:
        true, false = prevalence * beta.sf(t, a, b), (1 - prevalence) * beta.sf(t, c, d)
        return float(true / (true + false))

    return draw, precision


def uniform_scores(top: float, knee: float, slope: float) -> tuple[Draw, Precision]:
    """Uniform scores, true with a chance that is level above a knee and falls below it."""

    def chance(score: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.clip(np.where(score >= knee, top, top - slope * (knee - score)), 0, 1)

    def draw(generator: np.random.Generator, n: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        score = generator.random(n)
        return score, generator.random(n) < chance(score)

    def precision(t: float) -> float:
        return float(chance(np.linspace(t, 1, 4001)).mean())

    return draw, precision


POPULATIONS = {
    "Beta(6, 2), Beta(2, 4), 0.40": (beta_scores(6, 2, 2, 4, 0.40), (0.26, 0.86, 0.94, 0.99)),
    "Beta(5, 2), Beta(2, 3.5), 0.45": (beta_scores(5, 2, 2, 3.5, 0.45), (0.07, 0.53, 0.79, 0.97)),
    "uniform, 0.96 above 0.5": (uniform_scores(0.96, 0.5, 1.6), (0.54, 0.93, 0.98, 1.00)),
    "uniform, 0.93 above 0.6": (uniform_scores(0.93, 0.6, 1.2), (0.20, 0.37, 0.62, 0.97)),
}


def counted(
    scores: NDArray[np.float64], truth: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Units and true units at or above each threshold of the grid."""
    order = np.argsort(scores)
    first = np.searchsorted(scores[order], GRID)
    true = np.concatenate(([0], np.cumsum(truth[order])))
    return len(scores) - first, true[-1] - true[first]


def guarantees() -> None:
    """Say how often a precision of 0.9 is guaranteed, and how often wrongly; naive is the estimate."""
    print("\nGuarantee of precision 0.9, d = 0.1: share of 200 runs with an answer, and violated")
    print("must hold: violated in at most 10 %; the naive way takes the lowest t whose estimate is 0.9")
    print("published: the figures of the starts at 44 labels and at a third; the same starts here; ours")
    head = f"{'labels':>8}{'published':>11}{'here':>6}{'violated':>10}{'ours':>7}{'violated':>10}"
    print(f"{'population':<32}{head}{'naive violated':>16}{'more labels (median)':>22}")
    for name, ((draw, precision), published) in tqdm(POPULATIONS.items(), desc="guarantees", leave=False):
        for n, share in zip((200, 500, 1000, 3000), published, strict=True):
            lowest, naive, more, others = [], [], [], []
            for run in range(200):
                n_above, k = counted(*draw(np.random.default_rng([run, n]), n))
                tests = prove_precision(GRID, n_above, k, target=TARGET, risk=RISK)
                lowest += GRID[tests.is_proven][:1].tolist()
                others += GRID[published_walk(n_above, k)][:1].tolist()
                more += [] if tests.n_more in (0, None) else [tests.n_more]
                naive += GRID[(n_above > 0) & (k >= TARGET * n_above)][:1].tolist()
            violated, naively, other = (
                sum(precision(t) < TARGET for t in each) / 200 for each in (lowest, naive, others)
            )
            line = f"{name:<32}{n:>8}{share:>11.0%}{len(others) / 200:>6.0%}{other:>10.1%}"
            line += f"{len(lowest) / 200:>7.0%}{violated:>10.1%}{naively:>16.0%}"
            print(f"{line}{np.median(more) if more else 0:>22.0f}")


def published_walk(n: NDArray[np.int64], k: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Walk down from the highest threshold with 44 labels, and from that with a third of all."""
    is_proven = np.zeros(len(n), dtype=np.bool_)
    for fewest in (44, n[0] / 3):
        enough = np.flatnonzero(n >= fewest)
        failed = np.flatnonzero(p_values(n[enough], k[enough], target=TARGET) > RISK / 2)
        is_proven[enough[failed[-1] + 1 if len(failed) else 0 :]] = True
    return is_proven


def refusals() -> None:
    """Label in three ways, and test as if labels were random; choose refuses where they are not."""
    print("\nThe same test on 500 labels of 20,000 units, Beta(6, 2), Beta(2, 4), 0.40; 200 runs")
    print(f"{'labels':<64}{'violated':>10}{'guarantee given by choose':>27}")
    draw, precision = POPULATIONS["Beta(6, 2), Beta(2, 4), 0.40"][0]
    designs = {
        "a random sample, probability known": lambda score, truth: np.ones(len(score)),
        "more often near 0.9, probability known: exp(-40 |score - 0.9|)": lambda score, truth: np.exp(
            -40 * np.abs(score - 0.9)
        ),
        "feedback, four times as often on true alarms, from 0.5 on": lambda score, truth: (
            np.where(truth, 4.0, 1.0) * (score >= 0.5)
        ),
    }
    for name, design in tqdm(designs.items(), desc="refusals", leave=False):
        lowest, given, runs = [], 0, 200
        for run in range(runs):
            generator = np.random.default_rng(run)
            score, truth = draw(generator, 20_000)
            chance = design(score, truth)
            chance = np.minimum(chance * 500 / chance.sum(), 1)
            is_drawn = generator.random(len(score)) < chance
            tests = prove_precision(
                GRID, *counted(score[is_drawn], truth[is_drawn]), target=TARGET, risk=RISK
            )
            lowest += GRID[tests.is_proven][:1].tolist()
            if run < 20:
                frame = pd.DataFrame({"score": score, "is_true": pd.array(truth, dtype="boolean")})
                frame["is_true"] = frame["is_true"].where(is_drawn)
                known = "known" in name
                sweep = secnb.sweep(
                    frame.assign(chance=chance),
                    score="score",
                    truth="is_true",
                    probability="chance" if known else None,
                )
                given += sweep.choose(precision_at_least=TARGET, confidence=1 - RISK).is_guaranteed
        print(f"{name:<64}{sum(precision(t) < TARGET for t in lowest) / runs:>10.0%}{f'{given} of 20':>27}")


def budgets() -> None:
    """Keep a budget of alerts on later days."""
    print("\nBudget of 20 alerts per day on 90 % of days: share of 20 later days over it; 2,000 runs")
    print("must hold: at most 10 %. Days: Poisson of gamma(shape, mean 40)")
    print(f"{'days seen':>10}{'shape':>7}{'conformal':>11}{'mean = budget':>15}{'alerts per day':>16}")
    for n_days in tqdm((9, 20, 60), desc="budgets", leave=False):
        for shape in (4, 20):
            over, fired, runs = np.zeros(2), 0.0, 2000
            for run in range(runs):
                generator = np.random.default_rng([run, n_days, shape])
                seen, later = (generator.poisson(generator.gamma(shape, 40 / shape, n)) for n in (n_days, 20))
                score = generator.random(int(seen.sum()))
                day = np.repeat(np.arange(n_days), seen)
                bound = lowest_within_budget(
                    busiest_scores(day, score, None, n_days=n_days, per_day=20), within=0.9
                )
                ordered = np.sort(score)[::-1]
                mean = ordered[min(20 * n_days, len(ordered)) - 1]
                firing = [generator.binomial(later, 1 - min(max(t, 0), 1)) for t in (bound, mean)]
                over += [(each > 20).mean() for each in firing]
                fired += firing[0].mean()
            line = f"{n_days:>10}{shape:>7}{over[0] / runs:>11.1%}{over[1] / runs:>15.1%}"
            print(f"{line}{fired / runs:>16.1f}")


def recalls() -> None:
    """Estimate recall at 0.5 from labels that favour high scores, with and without their probabilities."""
    print("\nRecall at 0.5 from 1,000 labels of 10,000 units drawn in proportion to the score; 200 runs")
    print("population Beta(6, 2), Beta(2, 4), 0.40")
    true = float(beta.sf(0.5, 6, 2))
    found: dict[str, list[float]] = {"with probability": [], "without": []}
    covered = 0
    for run in tqdm(range(200), desc="recalls", leave=False):
        generator = np.random.default_rng(run)
        score, truth = POPULATIONS["Beta(6, 2), Beta(2, 4), 0.40"][0][0](generator, 10_000)
        chance = np.minimum(1000 * score / score.sum(), 1)
        frame = pd.DataFrame({"score": score, "is_true": pd.array(truth, dtype="boolean"), "chance": chance})
        frame["is_true"] = frame["is_true"].where(generator.random(len(frame)) < chance)
        for name, probability in (("with probability", "chance"), ("without", None)):
            row = (
                secnb.sweep(frame, score="score", truth="is_true", at=[0.5], probability=probability)
                .at(0.5)
                .iloc[0]
            )
            found[name].append(row["recall"])
            covered += name != "without" and row["recall_low"] <= true <= row["recall_high"]
    for name, values in found.items():
        print(f"  {name:<20}mean {np.mean(values):.3f}, sd {np.std(values):.3f} (truth {true:.3f})")
    print(f"  the 95 % interval with probability covers the truth in {covered / 200:.0%}")


def intervals() -> None:
    """Cover the best threshold of the population by the interval from resamples."""
    print("\nInterval (95 %) of the best threshold, costs 1 : 1, 300 labels; 200 runs; the best is 0.589")
    held = widths = 0.0
    for run in tqdm(range(200), desc="intervals", leave=False):
        frame = units(np.random.default_rng(run), 300)
        choice = secnb.sweep(frame, score="score", truth="is_true").choose(
            cost_missed=1, cost_false_alarm=1, verify_on=None
        )
        low, high = choice.interval or (np.nan, np.nan)
        held += low <= 0.5892 <= high
        widths += high - low
    print(f"  held in {held / 200:.0%}, mean width {widths / 200:.3f}")


if __name__ == "__main__":
    main()
