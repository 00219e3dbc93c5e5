"""What ``sweep`` returns: counts at every threshold, and the table that follows from them.

Choosing among the counts is not done here, nor is drawing them.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from secnb.analysis.captions import days_sentence, recall_sentence, thin, units_sentence, weighting_sentence
from secnb.analysis.choosable import Choosable
from secnb.analysis.clusters import EffectiveSizes, effective_sizes, occurring
from secnb.analysis.columns import Counts
from secnb.analysis.firing import lowest_firing, read_thresholds
from secnb.analysis.localdays import Days
from secnb.analysis.rates import derive, wide
from secnb.analysis.tallies import TOTALS, Tally, tally, tally_days, tally_groups
from secnb.analysis.units import Units

PER_DAY: Final[Mapping[str, str]] = {"fired_per_day": "n_fired", "true_per_day": "tp", "false_per_day": "fp"}
"""The columns that a sweep has besides ``schema.SWEEP`` where whole days are known, and what they count."""

_MOST_KEPT: Final = 1 << 16


def count(units: Units) -> ThresholdSweep:
    """Return the sweep of some units, without a warning."""
    counts = tally(units)
    if units.is_missed is None:
        return ThresholdSweep(units, tally_groups(units), counts, units.n_missed)
    rows = units.missed_rows
    n_missed = np.bincount(units.groups[rows], weights=units.factors(rows), minlength=units.n_groups)
    if units.is_whole:
        n_missed = n_missed.astype(np.int64)
    return ThresholdSweep(units, tally_groups(units), counts, units.n_missed + n_missed)


@dataclass(frozen=True, eq=False, repr=False)
class ThresholdSweep(Choosable):
    """Counts at every distinct score, per group; made by ``sweep``.

    The rows of group ``g`` are ``offsets[g]`` to ``offsets[g + 1]``, thresholds ascending; the last of
    them is ``inf``, where nothing fires (after a score of ``inf``, which fires at itself).

    Attributes
    ----------
    units : Units
        What was swept, and how.
    totals : pandas.DataFrame
        One row per group: the by columns, then int64 ``n_true, n_false, n_unlabelled`` (rows with a
        score) and ``n_unscored_true, n_unscored_false, n_unscored_unlabelled`` (rows without).
    tally : Tally
        The counts in as little memory as they need; the properties of the same names are wider.
    n_missed : ndarray, shape (n_groups,)
        Misses, of rows and without: they are part of ``fn`` at every threshold.
    """

    units: Units
    totals: pd.DataFrame
    tally: Tally
    n_missed: Counts

    @property
    def score(self) -> str:
        """The column of scores."""
        return self.units.score

    @property
    def truth(self) -> str:
        """The column of truth."""
        return self.units.truth

    @property
    def by(self) -> tuple[str, ...]:
        """The group columns."""
        return self.units.by

    @property
    def threshold(self) -> NDArray[np.float64]:
        """Distinct scores (or those of ``at``), ascending within a group; shape (n_rows,)."""
        return self.tally.threshold

    @property
    def offsets(self) -> NDArray[np.int64]:
        """Where the rows of each group begin; shape (n_groups + 1,)."""
        return self.tally.offsets

    @property
    def n_fired(self) -> Counts:
        """Units that fire, weighted if they are; shape (n_rows,)."""
        return _held(self.tally.fired[:])

    @property
    def tp(self) -> Counts:
        """Units that fire and are labelled true; shape (n_rows,)."""
        return _held(self.tally.tp[:])

    @property
    def fp(self) -> Counts:
        """Units that fire and are labelled false; shape (n_rows,)."""
        return _held(self.tally.fp[:])

    @property
    def positives(self) -> Counts:
        """All units labelled true, without misses; shape (n_groups,)."""
        return self.tally.positives

    @property
    def negatives(self) -> Counts:
        """All units labelled false; shape (n_groups,)."""
        return self.tally.negatives

    @property
    def days(self) -> Days | None:
        """The whole local days; None where the frame has no aware times."""
        return self.units.days

    @cached_property
    def in_days(self) -> Counts | None:
        """``n_fired, tp, fp`` within the whole local days, shape (3, n_rows); None without any."""
        if self.days is None or not self.days.n_days:
            return None
        return self._tally_days(self._group_of_rows, np.arange(len(self.threshold)), self.threshold)

    @cached_property
    def sizes(self) -> EffectiveSizes | None:
        """What the intervals rest on; None where rows are independent and count alike."""
        if self.units.cluster is None and not self.units.has_factors:
            return None
        return effective_sizes(self.units, self.threshold, self.offsets)

    @property
    def n_groups(self) -> int:
        """Number of groups; 1 without ``by``."""
        return len(self.totals)

    @property
    def n_units(self) -> int:
        """Number of units with a score, labelled or not."""
        return int(self.totals[["n_true", "n_false", "n_unlabelled"]].to_numpy().sum())

    @cached_property
    def n_labelled(self) -> int:
        """Number of labelled units with a score; of clusters with one, where there are clusters."""
        if self.units.clusters is None:
            return int(self.totals[["n_true", "n_false"]].to_numpy().sum())
        return int(np.count_nonzero(occurring(self.units.clusters, self.units.is_labelled)))

    @property
    def n_unscored(self) -> dict[str, int]:
        """Rows left out because their score is missing, by what their truth is."""
        names = ("true", "false", "unlabelled")
        return {name: int(self.totals[f"n_unscored_{name}"].sum()) for name in names}

    @property
    def frame(self) -> pd.DataFrame:
        """The by columns and those of ``schema.SWEEP``, one row per distinct score, and ``inf``.

        Thresholds ascend within each group. Precision is NaN where nothing labelled fires, recall where
        nothing is labelled true, F1 where either is. ``*_low`` and ``*_high`` are 95 % intervals: Wilson
        where rows are independent and count alike, else Korn-Graubard on clusters. Where the evidence is
        unknown there is no point, and they are bounds: what the rates are if the unlabelled units are
        the worst or the best that they can be. Where whole days are known, ``fired_per_day``,
        ``true_per_day`` and ``false_per_day`` follow. Groups have different thresholds, so that their
        rows do not add up; those of ``.at(t)`` do.
        """
        return self._table(self._group_of_rows, np.arange(len(self.threshold)), self.threshold)

    def at(self, threshold: ArrayLike) -> pd.DataFrame:
        """Return the counts at any threshold, one row per group and threshold; groups add up to the whole.

        The row is that of the smallest distinct score at or above the threshold; above the largest
        score everything is 0 and precision NaN. With ``at``, other thresholds than those are counted anew.

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
        asked = read_thresholds(threshold)
        grid = self.units.grid
        if grid is not None and not np.isin(asked, grid).all():
            return count(self.units.but(grid=np.unique(asked))).at(asked)
        rows = [
            start + lowest_firing(self.threshold[start:stop], asked)
            for start, stop in zip(self.offsets[:-1], self.offsets[1:], strict=True)
        ]
        group = np.repeat(np.arange(self.n_groups), len(asked))
        found = np.concatenate(rows) if rows else np.empty(0, dtype=np.int64)
        return self._table(group, found, np.tile(asked, self.n_groups))

    def part(self, mask: NDArray[np.bool_]) -> ThresholdSweep:
        """Return the sweep of some of the rows, with the same arguments and groups; no column is copied.

        Misses without rows are shared out like the true units.

        Parameters
        ----------
        mask : ndarray of bool, shape (n_rows,)
            Which rows of the frame.
        """
        # A copy, since the mask is held on to.
        return count(self.units.part(mask.copy()))

    def _table(
        self, group: NDArray[np.int64], rows: NDArray[np.int64], threshold: NDArray[np.float64]
    ) -> pd.DataFrame:
        """Derive all columns for some rows; ``group`` says which group each belongs to."""
        sizes = self._sizes_at(rows, group)
        columns = derive(
            self.units, self.tally, self.n_missed, sizes, rows=rows, group=group, threshold=threshold
        )
        if self.days is not None and self.days.n_days:
            # What is small is counted once and kept.
            kept = self.in_days if len(self.threshold) <= _MOST_KEPT else None
            within = self._tally_days(group, rows, threshold) if kept is None else kept[:, rows]
            for name, counts in zip(PER_DAY, within, strict=True):
                columns[name] = counts / self.days.n_days
        keys = self.units.keys.take(group).reset_index(drop=True)
        table = pd.concat([keys, columns], axis=1) if self.by else columns
        table.attrs = {
            "unit": self.units.unit,
            "n_units": self.n_units,
            "n_labelled": self.n_labelled,
            "n_unscored": sum(self.n_unscored.values()),
        }
        if self.units.cluster is not None:
            table.attrs["cluster"] = self.units.cluster
        return table

    def _sizes_at(self, rows: NDArray[np.int64], group: NDArray[np.int64]) -> EffectiveSizes | None:
        """Return the effective sizes of some rows, groups ascending; what is small is kept."""
        if self.units.cluster is None and not self.units.has_factors:
            return None
        if len(self.threshold) <= _MOST_KEPT and self.sizes is not None:
            return self.sizes.take(rows)
        offsets = np.searchsorted(group, np.arange(self.n_groups + 1))
        return effective_sizes(self.units, self.threshold[rows], offsets)

    def _tally_days(
        self, group: NDArray[np.int64], rows: NDArray[np.int64], threshold: NDArray[np.float64]
    ) -> Counts:
        found = tally_days(self.units, group, threshold)
        # Where a score is infinite as well, only the row tells that nothing fires.
        found[:, rows == self.offsets[group + 1] - 1] = 0
        return found

    @property
    def _group_of_rows(self) -> NDArray[np.int64]:
        return np.repeat(np.arange(self.n_groups), np.diff(self.offsets))

    @property
    def caption(self) -> list[str]:
        """What a unit is, how many there are, how many are labelled, and over which days."""
        sums = self.totals[list(TOTALS)].sum()
        units = units_sentence(
            n_true=int(sums["n_true"]),
            n_false=int(sums["n_false"]),
            n_unlabelled=int(sums["n_unlabelled"]),
            n_unscored=sum(self.n_unscored.values()),
            unit=self.units.unit,
            clusters=None if self.units.cluster is None else (self.units.cluster, self.n_labelled),
        )
        recall = recall_sentence(self.n_missed.sum()) if sums["n_true"] else None
        lines = [units, self.weighting, days_sentence(self.days), recall]
        return [line for line in lines if line is not None]

    @property
    def weighting(self) -> str | None:
        """What a unit counts for, as a sentence; None where that is one."""
        return weighting_sentence(weight=self.units.weight, probability=self.units.probability)

    def __repr__(self) -> str:
        by = f" by {', '.join(map(str, self.by))} ({self.n_groups} groups)" if self.by else ""
        labelled = int(self.totals[["n_true", "n_false"]].to_numpy().sum())
        return (
            f"<ThresholdSweep of {self.score}{by}: {self.n_units} units, {labelled} labelled, "
            f"{len(self.threshold) - self.n_groups} thresholds>"
        )

    def _repr_html_(self) -> str:
        """Show the head of the table with its caption; every text in it is escaped."""
        n_rows = len(self.threshold)
        rows = np.arange(0, n_rows, max(n_rows // 10, 1))
        group = np.searchsorted(self.offsets, rows, side="right") - 1
        shown = self._table(group, rows, self.threshold[rows])
        body = shown.to_html(
            index=False, border=0, na_rep="\N{EN DASH}", float_format="{:.4g}".format, escape=True
        )
        lines = [*self.caption, f"{thin(len(shown))} of {thin(n_rows)} rows shown; all in .frame."]
        title = html.escape(repr(self)[1:-1])
        return f"<p><b>{title}</b></p>{body}<p>{'<br>'.join(map(html.escape, lines))}</p>"


def _held(counts: Counts) -> Counts:
    """Return what is held in a width that is safe to reckon with; it cannot be changed."""
    found = wide(counts)
    found.setflags(write=False)
    return found
