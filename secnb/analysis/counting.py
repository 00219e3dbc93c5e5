"""``sweep``: exact counts of what fires at every threshold."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from secnb import schema
from secnb.analysis.captions import few_labels_sentence
from secnb.analysis.columns import read_by, read_clusters, read_frame, read_groups
from secnb.analysis.evidence import check_zones
from secnb.analysis.firing import read_thresholds
from secnb.analysis.localdays import read_zone, with_clock
from secnb.analysis.misses import Misses, read_misses
from secnb.analysis.sweeps import PER_DAY, count
from secnb.analysis.sweeps import ThresholdSweep as ThresholdSweep
from secnb.analysis.tallies import TOTALS
from secnb.analysis.units import Units
from secnb.errors import FewLabelsWarning

FEW_LABELS: Final = 50
"""Fewer labelled units than that are too few for a threshold."""

_TAKEN: Final = frozenset({*schema.SWEEP, *PER_DAY, *TOTALS})


def sweep(
    frame: pd.DataFrame,
    *,
    score: str,
    truth: str,
    at: ArrayLike | None = None,
    by: str | Sequence[str] = (),
    cluster: str | None = None,
    weight: str | None = None,
    probability: str | None = None,
    missed: str | None = None,
    n_missed: Misses = None,
    recorded_from: float | None = None,
    shown_from: float | None = None,
) -> ThresholdSweep:
    """Exact counts of what fires, rightly and wrongly, at every distinct score.

    A unit is one row, and it fires when ``score >= threshold``. Ties fire together. Missing scores are
    left out and counted in ``.n_unscored``; infinite scores are ordinary. Rows without truth count in
    ``n_fired`` and ``n_unlabelled`` but neither as true nor as false alarms. An empty frame has the one
    threshold ``inf``, or no row at all when grouped. Under 50 labelled units, it warns.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per unit. It is not changed. With an aware ``started_at`` (or else ``detected_at``),
        rates per whole local day are known as well; the zone is ``frame.attrs["timezone"]``, else UTC.
    score : str
        Numeric column, float or integer, nullable or not. Integers are compared as float64.
    truth : str
        Column of true and false (bool, boolean, object, or 0 and 1), missing where nobody verified.
    at : array-like of float, optional
        Count at these thresholds only, in any order, which takes less time and memory than one row per
        distinct score. None: every distinct score.
    by : str or sequence of str
        Columns whose values make groups; a missing key is a group of its own. Empty: one group. Made from
        the times, where the frame has no such column: ``local_hour`` (0 to 23), ``day_or_night`` (``day``
        from 6:00 to 18:00) and ``local_day``, all by the clock of ``frame.attrs["timezone"]``, else UTC.
    cluster : str, optional
        Column whose values tell which rows come together, such as an episode: intervals then rest on
        clusters. Rows without one stand alone. None: rows are independent.
    weight : str, optional
        Column of what a row counts for, 0 to 2**53. Sums of whole weights up to there are exact integers.
    probability : str, optional
        Column of the probability that a row was labelled, 1e-9 to 1. Labels, and rows that are
        missed, count one over it, so that tp, fp, fn and tn estimate what all rows hold; ``n_fired`` and
        ``n_unlabelled`` stay counts. A label without a probability stands for itself only.
    missed : str, optional
        Column of rows that are missed objects, missing meaning no: each adds 1 to ``fn`` of its group at
        every threshold and never fires, whatever its score and truth.
    n_missed : float or pandas.Series, optional
        Missed objects without rows: a number, or with ``by`` a Series indexed by the group keys. Keys
        that the frame does not have become groups that never fire.
    recorded_from : float, optional
        The lowest score that the recorder kept. Below it, evidence is unknown. None: it kept all.
    shown_from : float, optional
        The lowest score that was shown for a verdict. Below it, evidence is corrected with
        ``probability``, else unknown; from there on it is measured. None: all were, or with
        ``probability`` none for certain.

    Returns
    -------
    ThresholdSweep
        The counts; ``.frame`` is the table and ``.at(t)`` the row of one threshold.

    Raises
    ------
    UnknownColumnError
        The frame has no such column.
    BadInputError
        The score is not numeric, or an integer beyond 2**53, which float64 would merge with its
        neighbour; the truth holds other values; a weight is missing, negative or beyond 2**53; a probability
        does not lie between 1e-9 and 1; ``n_missed`` does not fit the groups; a threshold is NaN; a
        column stands twice; a group column is called like a column of the result, or is made from times and
        there are none; the time zone does not exist.

    Warns
    -----
    FewLabelsWarning
        Fewer than 50 units (clusters, if there are any) are labelled.

    References
    ----------
    Fawcett, T. (2006). An introduction to ROC analysis. Pattern Recognition Letters 27, 861-874,
    algorithm 1. The counts equal ``sklearn.metrics.confusion_matrix_at_thresholds``. With probabilities:
    Horvitz, D. G. and Thompson, D. J. (1952), Journal of the American Statistical Association 47,
    663-685, for the totals; Alonzo, T. A. and Pepe, M. S. (2005), Applied Statistics 54, 173-190, for
    the rates.

    Examples
    --------
    >>> frame = pd.DataFrame({"score": [0.9, 0.7, 0.7, 0.2] * 20, "is_true": [True, True, False, None] * 20})
    >>> sweep(frame, score="score", truth="is_true").at(0.5)[["n_fired", "tp", "fp", "fn"]]
       n_fired  tp  fp  fn
    0       60  40  20   0
    """
    read_frame(frame)
    check_zones(recorded_from, shown_from)
    read_zone(frame.attrs.get("timezone") or "UTC")
    names = read_by(by, taken=_TAKEN)
    groups, keys = read_groups(with_clock(frame, names), names)
    missed_objects, keys = read_misses(n_missed, keys)
    if names and len(keys) <= 2**15:
        groups = groups.astype(np.int16)
    units = Units(
        frame=frame.copy(deep=False),
        score=score,
        truth=truth,
        by=names,
        cluster=cluster,
        weight=weight,
        probability=probability,
        missed=missed,
        keys=keys,
        groups=groups,
        clusters=read_clusters(frame, cluster),
        n_missed=missed_objects,
        recorded_from=recorded_from,
        shown_from=shown_from,
        grid=None if at is None else np.unique(read_thresholds(at)),
    )
    found = count(units)
    if found.n_labelled < FEW_LABELS:
        sentence = few_labels_sentence(found.n_labelled, unit=units.cluster or units.unit, few=FEW_LABELS)
        warnings.warn(sentence, FewLabelsWarning, stacklevel=2)
    return found
