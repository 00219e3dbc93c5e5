"""How firm the best threshold is: where it would lie had other units happened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secnb.analysis.cells import Cell, Labelled
from secnb.analysis.clusters import occurring
from secnb.analysis.columns import Counts
from secnb.analysis.firing import Grid
from secnb.analysis.guarantees import lowest_within_budget, walk_down
from secnb.analysis.rules import Outcomes, Rule

N_RESAMPLES: Final = 200
_MOST_BLOCKS: Final = 200
_MOST_CANDIDATES: Final = 512
_MOST_NUMBERS: Final = 250_000
_TIE: Final = 1e-12


def best_position(
    value: NDArray[np.float64], thresholds: NDArray[np.float64], *, current: float | None
) -> NDArray[np.int64]:
    """Position of the highest value in every row; among equals the nearest to the current, else the highest.

    Parameters
    ----------
    value : ndarray of float64, shape (..., n_thresholds)
        NaN where a threshold cannot be chosen; every row has one that can.
    thresholds : ndarray of float64, shape (n_thresholds,)
        Ascending.
    current : float or None
        The threshold in force.
    """
    top = np.nanmax(value, axis=-1, keepdims=True)
    is_best = value >= top - _TIE * np.maximum(np.abs(top), 1.0)
    if current is None or current == np.inf:
        return np.asarray(len(thresholds) - 1 - np.argmax(is_best[..., ::-1], axis=-1), dtype=np.int64)
    if current == -np.inf:
        return np.asarray(np.argmax(is_best, axis=-1), dtype=np.int64)
    rank = np.empty(len(thresholds))
    # Of two that are equally far the higher one comes later in the order, and wins.
    rank[np.argsort(-np.abs(thresholds - current), kind="stable")] = np.arange(len(thresholds))
    return np.asarray(np.argmax(np.where(is_best, rank, -1.0), axis=-1), dtype=np.int64)


def thin_out(thresholds: NDArray[np.float64], *, keep: float) -> NDArray[np.float64]:
    """Return some of the thresholds, spread evenly, with the first, the last and the one to keep."""
    if len(thresholds) <= _MOST_CANDIDATES:
        return thresholds
    spread = np.linspace(0, len(thresholds) - 1, _MOST_CANDIDATES).round().astype(np.int64)
    return np.union1d(thresholds[spread], [keep])


def resampled_thresholds(
    candidates: NDArray[np.float64],
    cell: Cell,
    rule: Rule,
    *,
    is_proven: bool,
    current: float | None,
    seed: int,
) -> NDArray[np.float64]:
    """Best thresholds of resampled units, whole clusters at a time; resamples without one are left out.

    Parameters
    ----------
    candidates : ndarray of float64, shape (n_candidates,)
        Thresholds to choose from, ascending.
    cell : Cell
        The group whose labelled units are resampled.
    rule : Rule
        What each resample chooses by.
    is_proven : bool
        Whether each resample has to prove its precision.

    References
    ----------
    Davison, A. C. and Hinkley, D. V. (1997). Bootstrap methods and their application. Cambridge, 3.8.
    """
    generator = np.random.default_rng(seed)
    # Tests count units; where something is proven, all of them count alike, and stand alone.
    if is_proven or (not cell.units.has_factors and cell.units.cluster is None):
        tp, fp = _counts_alone(candidates, cell, generator, is_proven=is_proven)
    else:
        tp, fp = _counts_of_clusters(candidates, cell.labelled, generator)
    true = tp[:, :1] + cell.n_missed
    tp, fp = tp[:, 1:], fp[:, 1:]
    outcomes = Outcomes(n_fired=tp + fp, tp=tp, fp=fp, fn=true - tp)
    value = rule.allowed_value(outcomes)
    if is_proven and rule.precision_at_least is not None and rule.confidence is not None:
        n, k = (tp + fp).astype(np.int64), tp.astype(np.int64)
        proven = walk_down(n, k, target=rule.precision_at_least, risk=1 - rule.confidence)
        value = np.where(proven, value, np.nan)
    value = value[~np.isnan(value).all(axis=1)]
    return candidates[best_position(value, candidates, current=current)] if len(value) else np.empty(0)


Pair = tuple[NDArray[np.float64], NDArray[np.float64]]


def _counts_alone(
    candidates: NDArray[np.float64], cell: Cell, generator: np.random.Generator, *, is_proven: bool
) -> Pair:
    """Draw true and false units at or above each candidate, all of them first, for every resample.

    Units that stand alone are drawn by Poisson numbers, those between two candidates at once.
    """
    if is_proven:
        n, k = cell.counted(np.concatenate(([-np.inf], candidates)))
        tp, fp = k.astype(np.float64), (n - k).astype(np.float64)
        tp[0] += cell.n_missed_rows
    else:
        outcomes = cell.at(candidates)
        tp = np.concatenate(([cell.true - cell.n_missed], outcomes.tp))
        fp = np.concatenate((outcomes.fp[:1], outcomes.fp))
    # Missed objects that two parts share are fractions, which round to just below 0.
    means = (np.maximum(np.append(-np.diff(each), each[-1]), 0.0) for each in (tp, fp))
    drawn = (generator.poisson(mean, (N_RESAMPLES, len(mean))) for mean in means)
    first, second = (np.cumsum(each[:, ::-1], axis=1)[:, ::-1].astype(np.float64) for each in drawn)
    return first, second


def _counts_of_clusters(
    candidates: NDArray[np.float64], labelled: Labelled, generator: np.random.Generator
) -> Pair:
    """Draw weighted sums of true and false at or above each candidate, all first, by whole clusters."""
    block_of, n_blocks = _blocks(labelled, generator)
    drawn = generator.integers(0, n_blocks, (N_RESAMPLES, n_blocks))
    drawn += np.arange(N_RESAMPLES)[:, None] * n_blocks
    times = np.bincount(drawn.ravel(), minlength=N_RESAMPLES * n_blocks).reshape(N_RESAMPLES, n_blocks)
    grid = Grid(candidates)
    has_factors = labelled.units.has_factors
    # By kind, by how many candidates are reached, and by block.
    sums = np.zeros((2, len(candidates) + 1, n_blocks), dtype=np.float64 if has_factors else np.int64)
    for rows, part in labelled.parts():
        place = (np.where(part.is_true, 0, 1), grid.n_reached(part.scores), block_of(rows))
        # One after the other, so that fractions add up alike however they are cut.
        np.add.at(sums.reshape(-1), np.ravel_multi_index(place, sums.shape), _one(part))
    first, second = (_resampled(times, kind.ravel(), width=len(candidates) + 1) for kind in sums)
    return first, second


def _one(part: Labelled) -> NDArray[np.float64] | int:
    """Return what each of the labelled units counts for."""
    factors = part.units.factors(part.rows)
    return 1 if factors is None else factors


def _resampled(times: NDArray[np.int64], sums: Counts, *, width: int) -> NDArray[np.float64]:
    """Count units of one kind that reach so many candidates or more, from 0 on, in every resample."""
    # The farthest reach first, so that what reaches a candidate is a sum from the beginning.
    filled = np.flatnonzero(sums)[::-1]
    ends = len(filled) - np.searchsorted(filled[::-1], np.arange(width) * len(times[0]))
    of_block = filled % len(times[0])
    found = np.empty((len(times), width))
    # No matrix product: its threads wait for each other where other work has the processors.
    step = max(_MOST_NUMBERS // max(len(filled), 1), 1)
    for start in range(0, len(times), step):
        part = np.zeros((len(times[start : start + step]), len(filled) + 1))
        np.cumsum(times[start : start + step, of_block] * sums[filled], axis=1, out=part[:, 1:])
        found[start : start + step] = part[:, ends]
    return found


def resampled_days(busiest: NDArray[np.float64], *, within: float, seed: int) -> NDArray[np.float64]:
    """Return the scores above which the budget holds, had other days happened."""
    generator = np.random.default_rng(seed)
    drawn = generator.choice(busiest, (N_RESAMPLES, len(busiest)))
    return np.array([lowest_within_budget(days, within=within) for days in drawn])


def _blocks(
    labelled: Labelled, generator: np.random.Generator
) -> tuple[Callable[[slice], NDArray[np.integer]], int]:
    """Deal the clusters out to blocks at random, so that resampling stays cheap however many there are.

    Returned are what tells the blocks of some of the labelled units, and how many blocks there are.
    """
    clusters, n_clusters = labelled.units.clusters, len(labelled.rows)
    if clusters is not None:
        is_labelled = np.zeros(len(clusters), dtype=np.bool_)
        is_labelled[labelled.rows] = True
        is_dealt = occurring(clusters, is_labelled)
        n_clusters = int(np.count_nonzero(is_dealt))
    n_blocks = min(n_clusters, _MOST_BLOCKS)
    dealt = np.resize(np.arange(n_blocks, dtype=np.int16), n_clusters)
    generator.shuffle(dealt)
    if clusters is None:
        return dealt.__getitem__, n_blocks
    of_cluster = np.empty(len(is_dealt), dtype=np.int16)
    of_cluster[is_dealt] = dealt
    return lambda rows: of_cluster[clusters[labelled.rows[rows]]], n_blocks


def middle_95(drawn: NDArray[np.float64]) -> tuple[float, float] | None:
    """Return where the middle 95 % lie; None where fewer than half of the resamples kept the rule."""
    if len(drawn) < N_RESAMPLES / 2:
        return None
    # Without interpolation, which infinite thresholds do not allow.
    low, high = np.quantile(drawn, (0.025, 0.975), method="inverted_cdf")
    return float(low), float(high)
