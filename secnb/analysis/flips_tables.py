"""What two thresholds make of the same rows: which fire, and counts of those that flip, by group."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secnb import schema
from secnb.analysis.bursts import TRUTH_COLUMNS
from secnb.analysis.choices import ThresholdChoice
from secnb.analysis.columns import read_clusters, read_column, read_groups, read_scores, read_truth
from secnb.analysis.firing import fires
from secnb.analysis.flips_at import Row, Threshold, read_threshold
from secnb.analysis.scales import check_scale
from secnb.analysis.sweeps import count
from secnb.analysis.units import Units

Mask = NDArray[np.bool_]

_COUNTS: Final = {"n": "n_fired", "true": "tp", "false": "fp", "unlabelled": "n_unlabelled"}
_RATES: Final = ("precision", "precision_low", "precision_high")


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows with the two thresholds that each is compared at.

    Attributes
    ----------
    frame : pandas.DataFrame
        A shallow copy, with a column of truth where there was none.
    score, truth : str
        The names of the columns.
    current, proposed : float or ndarray
        The thresholds; a number where all rows have the same.
    """

    frame: pd.DataFrame
    score: str
    truth: str
    current: Row
    proposed: Row

    @classmethod
    def of(
        cls,
        frame: pd.DataFrame,
        current: Threshold,
        proposed: Threshold,
        *,
        score: str | None = None,
        truth: str | None = None,
    ) -> Rows:
        """Return it for a frame, whose columns are found where they are not named."""
        frame = frame.copy(deep=False)
        if score is None:
            score = "score" if "score" in frame.columns else "confidence"
        if truth is None:
            truth = next((name for name in TRUTH_COLUMNS if name in frame.columns), None)
        if truth is None:
            truth = TRUTH_COLUMNS[0]
            frame[truth] = pd.array([pd.NA], dtype="boolean").repeat(len(frame))
        now = read_threshold("current", current, frame)
        rows = cls(frame, score, truth, now, read_threshold("proposed", proposed, frame, otherwise=now))
        for given, used in ((current, rows.current), (proposed, rows.proposed)):
            distinct = pd.unique(np.atleast_1d(used))
            check_scale(rows.scores, distinct, is_chosen=isinstance(given, ThresholdChoice))
        return rows

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """Scores, NaN where missing."""
        return read_scores(read_column(self.frame, self.score))

    @cached_property
    def labels(self) -> NDArray[np.int8]:
        """Truth as the codes of ``columns``."""
        return read_truth(read_column(self.frame, self.truth))

    @cached_property
    def fires_now(self) -> Mask:
        """Which fire at the threshold in force."""
        return fires(self.scores, self.current)

    @cached_property
    def would_fire(self) -> Mask:
        """Which fire at the one proposed."""
        return fires(self.scores, self.proposed)

    @property
    def appears(self) -> Mask:
        """Which fire at the one proposed alone."""
        return self.would_fire & ~self.fires_now

    @property
    def disappears(self) -> Mask:
        """Which fire at the one in force alone."""
        return self.fires_now & ~self.would_fire

    @property
    def lowest(self) -> float:
        """The lowest score; NaN without any."""
        return float(np.fmin.reduce(self.scores, initial=np.nan))


@dataclass(frozen=True, eq=False)
class Flips:
    """Counts of the rows that flip, by any grouping, with the intervals of a sweep."""

    rows: Rows
    cluster: str | None
    probability: str | None

    def by(self, groups: NDArray[np.integer], keys: pd.DataFrame) -> pd.DataFrame:
        """Return the keys and the columns of ``schema.FLIPS``; rows of the group -1 are in none."""
        is_in = groups >= 0
        columns: dict[str, NDArray[Any]] = {}
        for name, mask in (("current", self.rows.fires_now), ("proposed", self.rows.would_fire)):
            columns[f"n_{name}"] = np.bincount(groups[mask & is_in], minlength=len(keys))
        for name, mask in (("appear", self.rows.appears), ("disappear", self.rows.disappears)):
            counts = self._count(mask & is_in, groups, len(keys))
            for column, values in counts.items():
                columns[f"n_{name}" if column == "n" else f"{name}_{column}"] = values.to_numpy()
        return keys.reset_index(drop=True).assign(**columns).astype(dict(schema.FLIPS))

    def by_column(self, name: str) -> pd.DataFrame:
        """Return the flips per value of a column; without a row where the frame does not have it."""
        if name in self.rows.frame.columns:
            return self.by(*read_groups(self.rows.frame, (name,)))
        return self.by(np.full(len(self.rows.frame), -1), pd.DataFrame({name: pd.array([], dtype="str")}))

    def _count(self, mask: Mask, groups: NDArray[np.integer], n_groups: int) -> pd.DataFrame:
        """Count some rows of each group by truth, with precision and its interval, as a sweep does."""
        table = count(self._units(mask, groups[mask], n_groups)).at(-np.inf)
        return table[[*_COUNTS.values(), *_RATES]].set_axis([*_COUNTS, *_RATES], axis=1)

    @property
    def weights(self) -> NDArray[np.float64] | None:
        """What every labelled row counts for among the true and the false; None where always 1."""
        n_rows = len(self.rows.frame)
        every = np.ones(n_rows, dtype=np.bool_)
        return self._units(every, np.zeros(n_rows, dtype=np.int64), 1).factors(slice(None))

    def _units(self, mask: Mask, groups: NDArray[np.integer], n_groups: int) -> Units:
        names = (self.rows.score, self.rows.truth, self.cluster, self.probability)
        frame = self.rows.frame.loc[mask, list(dict.fromkeys(filter(None, names)))]
        return Units(
            frame=frame,
            score=self.rows.score,
            truth=self.rows.truth,
            by=(),
            cluster=self.cluster,
            weight=None,
            probability=self.probability,
            missed=None,
            keys=pd.DataFrame(index=pd.RangeIndex(n_groups)),
            groups=groups,
            clusters=read_clusters(frame, self.cluster),
            n_missed=np.zeros(n_groups, dtype=np.int64),
            recorded_from=None,
            # What is weighted was shown throughout, since it fires.
            shown_from=-np.inf,
            # All of them fire there, so that nothing is sorted.
            grid=np.array([-np.inf]),
        )
