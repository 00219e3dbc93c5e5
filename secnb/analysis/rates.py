"""The columns of a sweep's table that follow from its counts: rates, their intervals, and the evidence."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secnb import schema
from secnb.analysis.clusters import EffectiveSizes
from secnb.analysis.columns import UNLABELLED, Counts
from secnb.analysis.evidence import LEVELS, UNKNOWN, evidence_levels, possible_precision, possible_recall
from secnb.analysis.intervals import korn_graubard, wilson
from secnb.analysis.tallies import Tally
from secnb.analysis.units import Units

CONFIDENCE: Final = 0.95
"""The confidence of the intervals in a table."""

Numbers = NDArray[np.float64]


def derive(
    units: Units,
    tally: Tally,
    n_missed: Counts,
    sizes: EffectiveSizes | None,
    *,
    rows: NDArray[np.int64],
    group: NDArray[np.int64],
    threshold: Numbers,
) -> pd.DataFrame:
    """Return the columns of ``schema.SWEEP`` for some rows of a tally."""
    fired, tp, fp = (wide(counts[rows]) for counts in (tally.fired, tally.tp, tally.fp))
    unlabelled = fired - tp - fp if tally.unlabelled is None else wide(tally.unlabelled[rows])
    missed = n_missed[group]
    fn, tn = tally.positives[group] - tp + missed, tally.negatives[group] - fp
    precision, recall = _ratio(tp, tp + fp), _ratio(tp, tp + fn)
    f1 = _ratio(2 * tp, 2 * tp + fp + fn)
    f1[np.isnan(precision) | np.isnan(recall)] = np.nan
    if sizes is None:
        ends = (*wilson(tp, tp + fp, CONFIDENCE), *wilson(tp, tp + fn, CONFIDENCE))
    else:
        ends = _clustered(precision, recall, sizes)
    levels = evidence_levels(
        threshold,
        recorded_from=units.recorded_from,
        shown_from=units.shown_from,
        is_weighted=units.probability is not None,
    )
    if len(unknown := np.flatnonzero(levels == UNKNOWN)):
        # There is no point to give, and what chance could do is small beside what is not known.
        for rate in (precision, recall, f1):
            rate[unknown] = np.nan
        counts = [each[unknown] for each in (fired, unlabelled, tp, tp + fn)]
        bounds = _bounds(units, threshold[unknown], group[unknown], *counts)
        for end, bound in zip(ends, bounds, strict=True):
            end[unknown] = bound
    evidence = pd.Categorical.from_codes(levels, categories=pd.Index(LEVELS), ordered=True)
    columns = (
        *(threshold, fired, unlabelled, tp, fp, fn, tn, missed),
        *(precision, recall, f1, *ends, evidence),
    )
    return pd.DataFrame(dict(zip(schema.SWEEP, columns, strict=True)))


def _clustered(
    precision: Numbers, recall: Numbers, sizes: EffectiveSizes
) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    return (
        *korn_graubard(precision, sizes.precision, sizes.n_fired, CONFIDENCE),
        *korn_graubard(recall, sizes.recall, sizes.n_true, CONFIDENCE),
    )


def wide(counts: Counts) -> Counts:
    """Whole numbers of 64 bits, in which sums and products have room."""
    return counts.astype(np.int64, copy=False) if counts.dtype.kind == "i" else counts


def _ratio(part: Counts, whole: Counts) -> Numbers:
    """Part of the whole, NaN where there is no whole."""
    found = np.full(len(whole), np.nan)
    np.divide(part, whole, out=found, where=whole > 0)
    return found


def _bounds(
    units: Units,
    threshold: Numbers,
    group: NDArray[np.int64],
    fired: Counts,
    unlabelled: Counts,
    tp: Counts,
    known: Counts,
) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """Return what precision and recall are at least and at most, whatever the unlabelled units are."""
    others = unlabelled_by_group(units)[group] - unlabelled
    low, high = possible_precision(tp, fired, unlabelled)
    recall_low, recall_high = possible_recall(tp, known, unlabelled, others)
    # Below what the recorder kept, more would fire than there are rows.
    lost = threshold < (-np.inf if units.recorded_from is None else units.recorded_from)
    low[lost], high[lost], recall_high[lost] = 0.0, 1.0, 1.0
    return low, high, recall_low, recall_high


def unlabelled_by_group(units: Units) -> Numbers:
    """Return how many scored units of every group nobody verified, weighted as those that fire are."""
    counts = np.equal(units.labels, UNLABELLED) & units.is_swept
    weights = None if units.weights is None else units.weights[counts]
    return np.bincount(units.groups[counts], weights=weights, minlength=units.n_groups).astype(np.float64)
