"""Thresholds beyond the labels that they were chosen on: in thin cells, in groups, later, and step by step.

Run with ``python benchmarks/bench_lasting.py``; it takes a few minutes. Every population is synthetic and
described in its table; seeds are fixed. The naive way stands beside ours on the same units.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from bench_choosing import beta_scores, units
from numpy.typing import NDArray
from scipy.stats import beta
from tqdm import tqdm

import secnb

N_CELLS = 12
COUNTS = ["n_fired", "tp", "fp", "fn", "tn"]


def main() -> None:
    """Print one table per method."""
    warnings.simplefilter("ignore", secnb.SecnbWarning)
    thin_cells()
    totals()
    periods()
    nudges()


def thin_cells() -> None:
    """Choose in cells of few labels: each for itself, or as choose does, from 50 labels on for itself."""
    print(f"\nThin cells: cost per unit above the best of each of {N_CELLS} cells, 40 runs")
    print("3 per miss, 1 per false alarm; true Beta(6 - a, 2), false Beta(2, 4 + b), prevalence 0.40")
    print("by cell, a is uniform from 0 to 2 s, b from -1.5 s to 1.5 s")
    print(f"{'cells':<22}{'labels in each':>16}{'naive: its own':>16}{'choose':>9}{'inherited':>11}", end="")
    print(f"{'if all inherited':>18}")
    for name, spread in (("alike, s = 0", 0.0), ("differing, s = 1", 1.0), ("very different, s = 2", 2.0)):
        for n in tqdm((10, 20, 40, 49, 100, 400), desc=f"thin cells, {name}", leave=False):
            excess, n_inherited = np.zeros(3), 0
            for run in range(40):
                generator = np.random.default_rng([run, n])
                shapes = [
                    (6 - 2 * spread * generator.random(), 4 + 1.5 * spread * generator.uniform(-1, 1))
                    for _ in range(N_CELLS)
                ]
                cells = [draw_cell(generator, shape, n).assign(cell=i) for i, shape in enumerate(shapes)]
                choice = chosen(pd.concat(cells, ignore_index=True), by="cell")
                n_inherited += int((choice.thresholds["status"] == "inherited").sum())
                for cell, shape, ours in zip(cells, shapes, choice.thresholds["threshold"], strict=True):
                    asked = [chosen(cell).threshold, ours, choice.threshold]
                    best = cost(np.linspace(0, 1, 1001), shape).min()
                    excess += cost(np.array(asked, dtype=np.float64), shape) - best
            own, ours, inherited = excess / (40 * N_CELLS)
            line = f"{name:<22}{n:>16}{own:>16.4f}{ours:>9.4f}{n_inherited / (40 * N_CELLS):>11.0%}"
            print(f"{line}{inherited:>18.4f}")


def chosen(frame: pd.DataFrame, by: str | tuple[str, ...] = ()) -> secnb.ThresholdChoice:
    """Choose by cost."""
    sweep = secnb.sweep(frame, score="score", truth="is_true", by=by)
    return sweep.choose(cost_missed=3, cost_false_alarm=1, verify_on=None)


def draw_cell(generator: np.random.Generator, shape: tuple[float, float], n: int) -> pd.DataFrame:
    """Units of a cell, all of them labelled."""
    score, truth = beta_scores(shape[0], 2, 2, shape[1], 0.4)[0](generator, n)
    return pd.DataFrame({"score": score, "is_true": truth})


def cost(t: NDArray[np.float64], shape: tuple[float, float]) -> NDArray[np.float64]:
    """Cost of a unit of such a cell."""
    return np.asarray(3 * 0.4 * beta.cdf(t, shape[0], 2) + 0.6 * beta.sf(t, 2, shape[1]))


def totals() -> None:
    """Add up the counts of groups, and compare them with those of the whole."""
    print("\nGroup totals: greatest difference to the whole at 101 thresholds, of 100,000 units; must be 0")
    print("48 cameras, 2 % of the units without one; 30 % of the units are not labelled; scores as above")
    generator = np.random.default_rng(0)
    frame = units(generator, 100_000)
    frame["camera_id"] = pd.array(generator.integers(0, 48, len(frame)), dtype="Int64")
    frame["camera_id"] = frame["camera_id"].where(generator.random(len(frame)) >= 0.02)
    frame["is_true"] = frame["is_true"].astype("boolean").where(generator.random(len(frame)) >= 0.3)
    at = np.arange(101) / 100
    sweep = secnb.sweep(frame, score="score", truth="is_true", by="camera_id")
    whole = secnb.sweep(frame, score="score", truth="is_true").at(at)[COUNTS].to_numpy()
    ours = sweep.at(at).groupby("threshold")[COUNTS].sum().to_numpy()
    grouped = [part for _, part in frame.groupby("camera_id")]
    looped = sum(
        secnb.sweep(part, score="score", truth="is_true").at(at)[COUNTS].to_numpy() for part in grouped
    )
    rounded = frame.assign(t=frame["score"].round(2)).groupby("camera_id", dropna=False)
    binned = sum(np.array([(part["t"] >= t).sum() for t in at], dtype=np.int64) for _, part in rounded)
    print(f"  {'ours, .at(t), all counts':<56}{np.abs(ours - whole).max():>8}")
    print(f"  {'naive: a loop over groupby, which drops missing keys':<56}{np.abs(looped - whole).max():>8}")
    print(
        f"  {'naive: scores rounded to bins of 0.01, what fires':<56}{np.abs(binned - whole[:, 0]).max():>8}"
    )


def periods() -> None:
    """Choose on the past and verify on the later part, where scores or prevalence change, or nothing does."""
    print("\nDoes it last: 2,000 units in 30 days, precision at least 0.8; 200 runs; later: the last 30 %")
    print("population as above, 0.40. naive: chosen on everything, and its own estimate is believed")
    print("promised: what was said of the precision; truth: of the later population at that threshold")
    head = f"{'later':<34}{'naive promised':>15}{'truth':>7}{'verified':>10}{'truth':>7}"
    print(f"{head}{'kept':>7}{'by chance':>11}{'broken':>8}{'drift said':>12}")
    for name, shift, prevalence in tqdm(
        (
            ("nothing changes", 0.0, 0.4),
            ("scores fall by 0.1", 0.1, 0.4),
            ("scores rise by 0.1", -0.1, 0.4),
            ("twice as many false (prevalence 0.25)", 0.0, 0.25),
        ),
        desc="periods",
        leave=False,
    ):
        rates, words = np.zeros(4), np.zeros(4)
        for run in range(200):
            frame = later_changed(np.random.default_rng(run), shift, prevalence)
            sweep = secnb.sweep(frame, score="score", truth="is_true")
            naive = sweep.choose(precision_at_least=0.8, verify_on=None)
            ours = sweep.choose(precision_at_least=0.8)
            truths = [later_precision(each.threshold, shift, prevalence) for each in (naive, ours)]
            promised, verified = naive.earlier["precision"].iloc[0], ours.later["precision"].iloc[0]
            rates += (promised, truths[0], verified, truths[1])
            said = ours.explain()
            kinds = ("is kept there", "by no more than chance", "by more than chance", "drift")
            words += [kind in said.replace("No drift", "") for kind in kinds]
        numbers = "".join(
            f"{rate:>{width}.3f}" for rate, width in zip(rates / 200, (13, 7, 10, 7), strict=True)
        )
        shares = "".join(
            f"{word:>{width}.0%}" for word, width in zip(words / 200, (7, 11, 8, 12), strict=True)
        )
        print(f"{name:<36}{numbers}{shares}")


def later_changed(generator: np.random.Generator, shift: float, prevalence: float) -> pd.DataFrame:
    """Units of 30 days, of which the last 30 % are of another population."""
    frame = units(generator, 2000)
    score, truth = beta_scores(6, 2, 2, 4, prevalence)[0](generator, 600)
    frame.loc[1400:, "score"], frame.loc[1400:, "is_true"] = score - shift, truth
    return frame


def later_precision(t: float | None, shift: float, prevalence: float) -> float:
    """Precision of the later population at a threshold."""
    return np.nan if t is None else beta_scores(6, 2, 2, 4, prevalence)[1](t + shift)


def nudges() -> None:
    """Settle a threshold by fixed steps, as feedback comes in, and by cost, from the same labels."""
    print("\nA step of 0.01 up per false alarm, and down per reported miss, 200,000 units; beside least cost")
    print("population Beta(6, 2), Beta(2, 4), 0.40; 3 per miss, 1 per false alarm; the best is 0.496")
    generator = np.random.default_rng(0)
    score, truth = beta_scores(6, 2, 2, 4, 0.40)[0](generator, 200_000)
    found = {}
    for share in (1.0, 0.2, 0.05):
        is_reported = generator.random(len(score)) < share
        t, settled = 0.5, []
        for each, is_true, is_seen in zip(score.tolist(), truth.tolist(), is_reported.tolist(), strict=True):
            if each >= t:
                t += 0.0 if is_true else 0.01
            elif is_true and is_seen:
                t -= 0.01
            settled.append(t)
        found[f"steps, {share:.0%} of misses reported"] = float(np.mean(settled[100_000:]))
    frame = pd.DataFrame({"score": score, "is_true": truth}).head(1000)
    choice = secnb.sweep(frame, score="score", truth="is_true").choose(cost_missed=3, cost_false_alarm=1)
    found["choose, from the first 1,000"] = choice.threshold or np.nan
    for name, t in found.items():
        missed, false = 0.4 * beta.cdf(t, 6, 2), 0.6 * beta.sf(t, 2, 4)
        line = f"  {name:<34}settles at {t:.3f}, recall {beta.sf(t, 6, 2):.2f}"
        print(f"{line}, cost {3 * missed + false:.3f} per unit")


if __name__ == "__main__":
    main()
