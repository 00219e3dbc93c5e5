"""Exact counts at every threshold: ``sweep`` and what it returns.

Choosing among the counts is not done here, nor is drawing them.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from secnb import schema
from secnb.analysis.captions import days_sentence, thin, units_sentence
from secnb.analysis.columns import read_by, read_column, read_groups, read_scores, read_truth
from secnb.analysis.localdays import Days, read_days
from secnb.analysis.tallies import TOTALS, tally_groups, tally_thresholds
from secnb.errors import BadInputError

PER_DAY: Final[Mapping[str, str]] = {"fired_per_day": "n_fired", "true_per_day": "tp", "false_per_day": "fp"}
"""The columns that a sweep has besides ``schema.SWEEP`` where whole days are known, and what they count."""

_TAKEN: Final = frozenset({*schema.SWEEP, *PER_DAY, *TOTALS})


def sweep(frame: pd.DataFrame, *, score: str, truth: str, by: str | Sequence[str] = ()) -> ThresholdSweep:
    """Exact counts of what fires, rightly and wrongly, at every distinct score.

    A unit is one row, and it fires when ``score >= threshold``. Ties fire together. Missing scores are
    left out and counted in ``.n_unscored``; infinite scores are ordinary. Rows without truth count in
    ``n_fired`` and ``n_unlabelled`` but neither as true nor as false alarms. An empty frame has the one
    threshold ``inf``, or no row at all when grouped.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per unit. It is not changed. With an aware ``started_at`` (or else ``detected_at``),
        rates per whole local day are known as well; the zone is ``frame.attrs["timezone"]``, else UTC.
    score : str
        Numeric column, float or integer, nullable or not. Integers are compared as float64.
    truth : str
        Column of true and false (bool, boolean, object, or 0 and 1), missing where nobody verified.
    by : str or sequence of str
        Columns whose values make groups; a missing key is a group of its own. Empty: one group.

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
        neighbour; the truth holds other values; a column stands twice; a group column is called like
        a column of the result; the time zone does not exist.

    References
    ----------
    Fawcett, T. (2006). An introduction to ROC analysis. Pattern Recognition Letters 27, 861-874,
    algorithm 1. The counts equal ``sklearn.metrics.confusion_matrix_at_thresholds``.

    Examples
    --------
    >>> frame = pd.DataFrame({"score": [0.9, 0.7, 0.7, 0.2], "is_true": [True, True, False, None]})
    >>> sweep(frame, score="score", truth="is_true").at(0.5)[["n_fired", "tp", "fp", "fn"]]
       n_fired  tp  fp  fn
    0        3   2   1   0
    """
    if not isinstance(frame, pd.DataFrame):
        raise BadInputError(f"sweep needs a pandas DataFrame, not {type(frame).__name__}.")
    names = read_by(by, taken=_TAKEN)
    scores = read_scores(read_column(frame, score))
    labels = read_truth(read_column(frame, truth))
    codes, keys = read_groups(frame, names)
    days, inside = read_days(frame)
    totals = tally_groups(keys, codes, labels, is_unscored=np.isnan(scores))
    threshold, offsets, counts = tally_thresholds(scores, labels, codes, inside, n_groups=len(keys))
    return ThresholdSweep(
        score=score,
        truth=truth,
        by=names,
        totals=totals,
        offsets=offsets,
        threshold=threshold,
        n_fired=counts[0],
        tp=counts[1],
        fp=counts[2],
        days=days,
        in_days=None if inside is None else counts[3:],
    )


@dataclass(frozen=True, eq=False, repr=False)
class ThresholdSweep:
    """Counts at every distinct score, per group; made by ``sweep``.

    The rows of group ``g`` are ``offsets[g]`` to ``offsets[g + 1]``, thresholds ascending; the last of
    them is ``inf``, where nothing fires (after a score of ``inf``, which fires at itself).

    Attributes
    ----------
    score, truth : str
        The columns that were swept.
    by : tuple of str
        The group columns.
    totals : pandas.DataFrame
        One row per group: the by columns, then int64 ``n_true, n_false, n_unlabelled`` (units with a
        score) and ``n_unscored_true, n_unscored_false, n_unscored_unlabelled`` (rows without).
    offsets : ndarray of int64, shape (n_groups + 1,)
        Where the rows of each group begin.
    threshold : ndarray of float64, shape (n_rows,)
        Distinct scores, ascending within a group.
    n_fired, tp, fp : ndarray of int64, shape (n_rows,)
        Units that fire, and those of them that are labelled true and false.
    days : Days or None
        The whole local days; None where the frame has no aware times.
    in_days : ndarray of int64, shape (3, n_rows), or None
        ``n_fired, tp, fp`` within the whole local days; None without a whole day.
    """

    score: str
    truth: str
    by: tuple[str, ...]
    totals: pd.DataFrame
    offsets: NDArray[np.int64]
    threshold: NDArray[np.float64]
    n_fired: NDArray[np.int64]
    tp: NDArray[np.int64]
    fp: NDArray[np.int64]
    days: Days | None
    in_days: NDArray[np.int64] | None

    @property
    def n_groups(self) -> int:
        """Number of groups; 1 without ``by``."""
        return len(self.totals)

    @property
    def n_units(self) -> int:
        """Number of units with a score, labelled or not."""
        return int(self.totals[["n_true", "n_false", "n_unlabelled"]].to_numpy().sum())

    @property
    def n_unscored(self) -> dict[str, int]:
        """Rows left out because their score is missing, by what their truth is."""
        names = ("true", "false", "unlabelled")
        return {name: int(self.totals[f"n_unscored_{name}"].sum()) for name in names}

    @property
    def frame(self) -> pd.DataFrame:
        """The by columns and those of ``schema.SWEEP``, one row per distinct score, and ``inf``.

        Thresholds ascend within each group. Precision is NaN where nothing labelled fires, recall where
        nothing is labelled true, F1 where either is. Where whole days are known, ``fired_per_day``,
        ``true_per_day`` and ``false_per_day`` follow. Groups have different thresholds, so that their
        rows do not add up; those of ``.at(t)`` do.
        """
        group = np.repeat(np.arange(self.n_groups), np.diff(self.offsets))
        return self._table(group, np.arange(len(self.threshold)), self.threshold)

    def at(self, threshold: ArrayLike) -> pd.DataFrame:
        """Return the counts at any threshold, one row per group and threshold; groups add up to the whole.

        The row is that of the smallest distinct score at or above the threshold; above the largest
        score everything is 0 and precision NaN.

        Parameters
        ----------
        threshold : float or array-like of float, shape (n_thresholds,)
            In any order; ``inf`` and ``-inf`` are allowed.

        Returns
        -------
        pandas.DataFrame
            Columns as in ``.frame``; ``threshold`` is the one asked for. Group by group, thresholds in
            the order given.

        Raises
        ------
        BadInputError
            A threshold is NaN or no number, or the array has more than one dimension.
        """
        asked = _thresholds(threshold)
        rows = [
            start + lowest_firing(self.threshold[start:stop], asked)
            for start, stop in zip(self.offsets[:-1], self.offsets[1:], strict=True)
        ]
        group = np.repeat(np.arange(self.n_groups), len(asked))
        found = np.concatenate(rows) if rows else np.empty(0, dtype=np.int64)
        return self._table(group, found, np.tile(asked, self.n_groups))

    def _table(
        self, group: NDArray[np.int64], rows: NDArray[np.int64], threshold: NDArray[np.float64]
    ) -> pd.DataFrame:
        """Derive all columns for some rows; ``group`` says which group each belongs to."""
        n_fired, tp, fp = self.n_fired[rows], self.tp[rows], self.fp[rows]
        positives = self.totals["n_true"].to_numpy()[group]
        negatives = self.totals["n_false"].to_numpy()[group]
        fn = positives - tp
        precision, recall = _ratio(tp, tp + fp), _ratio(tp, positives)
        f1 = _ratio(2 * tp, 2 * tp + fp + fn)
        f1[np.isnan(precision) | np.isnan(recall)] = np.nan
        values = (threshold, n_fired, n_fired - tp - fp, tp, fp, fn, negatives - fp, precision, recall, f1)
        columns = pd.DataFrame(dict(zip(schema.SWEEP, values, strict=True)))
        if self.days is not None and self.in_days is not None:
            for name, counts in zip(PER_DAY, self.in_days, strict=True):
                columns[name] = counts[rows] / self.days.n_days
        keys = self.totals[list(self.by)].take(group).reset_index(drop=True)
        table = pd.concat([keys, columns], axis=1) if self.by else columns
        table.attrs = {"n_units": self.n_units, "n_unscored": sum(self.n_unscored.values())}
        return table

    @property
    def caption(self) -> list[str]:
        """What a unit is, how many there are, how many are labelled, and over which days."""
        sums = self.totals[list(TOTALS)].sum()
        units = units_sentence(
            n_true=int(sums["n_true"]),
            n_false=int(sums["n_false"]),
            n_unlabelled=int(sums["n_unlabelled"]),
            n_unscored=sum(self.n_unscored.values()),
        )
        return [units, days_sentence(self.days)]

    def __repr__(self) -> str:
        by = f" by {', '.join(self.by)} ({self.n_groups} groups)" if self.by else ""
        labelled = int(self.totals[["n_true", "n_false"]].to_numpy().sum())
        return (
            f"<ThresholdSweep of {self.score}{by}: {self.n_units} units, {labelled} labelled, "
            f"{len(self.threshold) - self.n_groups} thresholds>"
        )

    def _repr_html_(self) -> str:
        """Show the head of the table with its caption; every text in it is escaped."""
        table = self.frame
        step = max(len(table) // 10, 1)
        shown = table.iloc[::step]
        body = shown.to_html(
            index=False, border=0, na_rep="\N{EN DASH}", float_format="{:.4g}".format, escape=True
        )
        lines = [*self.caption, f"{thin(len(shown))} of {thin(len(table))} rows shown; all in .frame."]
        title = html.escape(repr(self)[1:-1])
        return f"<p><b>{title}</b></p>{body}<p>{'<br>'.join(map(html.escape, lines))}</p>"


def lowest_firing(ascending: NDArray[np.float64], threshold: NDArray[np.float64]) -> NDArray[np.int64]:
    """Position of the first of the ascending scores that fires: the one place of ``score >= threshold``.

    Everything from there on fires too; ``len(ascending)`` where nothing does.
    """
    return np.searchsorted(ascending, threshold, side="left").astype(np.int64)


def _thresholds(threshold: ArrayLike) -> NDArray[np.float64]:
    """Thresholds as a float64 vector; text is refused, though numpy would parse it."""
    asked = np.asarray(threshold)
    if asked.ndim > 1 or (asked.size and asked.dtype.kind not in "iuf"):
        raise BadInputError(f"A threshold must be a number or a list of numbers, not {threshold!r}.")
    asked = np.atleast_1d(asked).astype(np.float64)
    if np.isnan(asked).any():
        raise BadInputError("A threshold is NaN; nothing is at or above it. Allowed: numbers, inf and -inf.")
    return asked


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """Part of the whole, NaN where there is no whole."""
    found = np.full(len(whole), np.nan)
    np.divide(part, whole, out=found, where=whole > 0)
    return found
