"""Rows counted by group and score: sorting and cumulative sums on plain arrays, no loop over rows."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secnb.analysis.columns import FALSE, TRUE

TOTALS: Final = (
    "n_true",
    "n_false",
    "n_unlabelled",
    "n_unscored_true",
    "n_unscored_false",
    "n_unscored_unlabelled",
)
"""The counts per group, in the order of the truth codes, with a score and without."""


def tally_groups(
    keys: pd.DataFrame, codes: NDArray[np.int64], labels: NDArray[np.int8], *, is_unscored: NDArray[np.bool_]
) -> pd.DataFrame:
    """Count rows per group by truth, with and without a score, in one pass."""
    cell = (codes * 2 + is_unscored) * 3 + labels
    counts = np.bincount(cell, minlength=len(keys) * 6).reshape(len(keys), 6)
    columns = {name: counts[:, i].astype(np.int64) for i, name in enumerate(TOTALS)}
    return keys.assign(**columns)


def tally_thresholds(
    scores: NDArray[np.float64],
    labels: NDArray[np.int8],
    codes: NDArray[np.int64],
    inside: NDArray[np.bool_] | None,
    *,
    n_groups: int,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Return thresholds, group offsets and counts: n_fired, tp, fp, and the same again of the rows inside."""
    order = _order(scores, codes, n_groups=n_groups)
    scores, labels, codes = scores[order], labels[order], codes[order]
    # A row starts a threshold where its score or its group differs from that of the row before.
    changes = (scores[1:] != scores[:-1]) | (codes[1:] != codes[:-1])
    first = np.flatnonzero(np.concatenate((np.ones(min(len(scores), 1), dtype=np.bool_), changes)))
    stops = np.cumsum(np.bincount(codes, minlength=n_groups))
    stop = stops[codes[first]]
    is_true, is_false = labels == TRUE, labels == FALSE
    counts = [stop - first, _from_the_top(is_true, first, stop), _from_the_top(is_false, first, stop)]
    if inside is not None:
        inside = inside[order]
        flags = (inside, inside & is_true, inside & is_false)
        counts += [_from_the_top(flag, first, stop) for flag in flags]
    rows_after = np.cumsum(np.bincount(codes[first], minlength=n_groups))
    threshold = np.insert(scores[first], rows_after, np.inf)
    offsets = np.concatenate(([0], rows_after + np.arange(1, n_groups + 1))).astype(np.int64)
    with_end = np.stack([np.insert(values, rows_after, 0) for values in counts]).astype(np.int64, copy=False)
    for array in (threshold, offsets, with_end):
        array.setflags(write=False)
    return threshold, offsets, with_end


def _order(scores: NDArray[np.float64], codes: NDArray[np.int64], *, n_groups: int) -> NDArray[np.int64]:
    """Positions of the scored rows, by group and ascending score."""
    order = np.argsort(scores)
    # NaN sorts to the end.
    order = order[: len(scores) - int(np.isnan(scores).sum())]
    if n_groups > 1:
        # numpy sorts integers of 16 bits in linear time, and few sweeps have more groups than that.
        small = codes[order].astype(np.uint16 if n_groups <= 2**16 else np.int64)
        order = order[np.argsort(small, kind="stable")]
    return order


def _from_the_top(
    flags: NDArray[np.bool_], first: NDArray[np.int64], stop: NDArray[np.int64]
) -> NDArray[np.int64]:
    """How many flagged rows there are from each first row up to the end of its group."""
    before = np.zeros(len(flags) + 1, dtype=np.int64)
    np.cumsum(flags, out=before[1:])
    return before[stop] - before[first]
