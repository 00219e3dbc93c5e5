"""What is known of which part of the units, before anything is chosen: ``coverage``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from numbers import Real
from typing import Final

import numpy as np
import pandas as pd

from secnb import schema
from secnb.analysis.columns import (
    FALSE,
    TRUE,
    read_by,
    read_column,
    read_flags,
    read_frame,
    read_groups,
    read_scores,
    read_truth,
)
from secnb.analysis.counting import FEW_LABELS
from secnb.analysis.localdays import with_clock
from secnb.errors import BadInputError, UnknownColumnError

_SCORES: Final = ("score", "confidence")
_TRUTHS: Final = ("truth", "is_true")
_DEFAULT: Final = ("camera_id", "object_type", "score_band")
_MOST_BANDS = 1000


def coverage(
    frame: pd.DataFrame,
    *,
    by: str | Sequence[str] = _DEFAULT,
    score: str | None = None,
    truth: str | None = None,
    missed: str | None = "is_missed",
    band: float | None = None,
) -> pd.DataFrame:
    """Return how many units are labelled, and how, in each part of a frame: what the evidence rests on.

    Parts without units have no row; a missing key is a part of its own, and comes last. The numbers of all
    rows add up to the whole. An empty frame gives an empty table.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per unit, such as ``site.labelled_events()``, or what ``match_boxes`` returns.
    by : str or sequence of str
        Columns of `frame`, and those that are made: ``score_band``, and as in ``sweep`` ``local_day``,
        ``local_hour`` and ``day_or_night`` (of ``started_at``, else ``detected_at``, in
        ``frame.attrs["timezone"]``, else UTC). Empty: one row for the whole.
    score : str, optional
        The column that bands are made of; by default ``score``, else ``confidence``.
    truth : str, optional
        Column of true, false and missing; by default ``truth``, else ``is_true``.
    missed : str or None, default "is_missed"
        Column of missed objects, where the frame has it.
    band : float, optional
        Width of a band; by default 0.1 where no score is above 1, else 10. A band holds its lower end and
        not its upper one; the last one holds both.

    Returns
    -------
    pandas.DataFrame
        The by columns, sorted, then int64 ``n_units, n_labelled, n_true, n_false, n_missed`` (a missed
        object is labelled, and neither of the two before), float64 ``labelled_ratio``, and bool
        ``is_thin``: under 50 labels, too few for a threshold of their own.

    Raises
    ------
    UnknownColumnError
        If a column is not there.
    BadInputError
        If `band` is not above 0, or makes more than 1,000 bands; if no time is there for what is made of it;
        if a column holds what it cannot hold; or if `by` names a column of the result.

    Examples
    --------
    >>> frame = pd.DataFrame({"camera_id": ["gate"] * 3 + ["yard"], "truth": [True, False, None, None]})
    >>> coverage(frame, by="camera_id")[["camera_id", "n_units", "n_labelled", "n_true", "is_thin"]]
      camera_id  n_units  n_labelled  n_true  is_thin
    0      gate        3           2       1     True
    1      yard        1           0       0     True
    """
    read_frame(frame)
    names = read_by(by, taken=frozenset(schema.COVERAGE))
    codes = read_truth(read_column(frame, truth or _first(frame, _TRUTHS)))
    is_missed = np.zeros(len(frame), dtype=np.bool_)
    if missed is not None and missed in frame.columns:
        is_missed = read_flags(read_column(frame, missed))
    known = with_clock(frame, names)
    if "score_band" in names and "score_band" not in frame.columns:
        known = known.assign(score_band=_bands(frame, score, band))
    groups, table = read_groups(known, names)
    flags = {
        "n_units": np.ones(len(frame), dtype=np.bool_),
        "n_labelled": (codes == TRUE) | (codes == FALSE) | is_missed,
        "n_true": (codes == TRUE) & ~is_missed,
        "n_false": (codes == FALSE) & ~is_missed,
        "n_missed": is_missed,
    }
    for name, flag in flags.items():
        table[name] = np.bincount(groups[flag], minlength=len(table)).astype(np.int64)
    ratio = table["n_labelled"] / table["n_units"].where(table["n_units"] > 0)
    return table.assign(labelled_ratio=ratio.astype("float64"), is_thin=table["n_labelled"] < FEW_LABELS)


def _first(frame: pd.DataFrame, names: Sequence[str]) -> str:
    found = next((name for name in names if name in frame.columns), None)
    if found is None:
        raise UnknownColumnError("column", names[0], frame.columns)
    return found


def _bands(frame: pd.DataFrame, score: str | None, band: float | None) -> pd.Series:
    """Return the band of each score as ordered text, missing where the score is."""
    scores = read_scores(read_column(frame, score or _first(frame, _SCORES)))
    finite = scores[np.isfinite(scores)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    width = (0.1 if high <= 1 else 10.0) if band is None else band
    if not isinstance(width, Real):
        raise BadInputError(f"band is {band!r}. Allowed: numbers above 0.")
    if not width > 0 or (high - low) / width > _MOST_BANDS:
        raise BadInputError(
            f"band is {width:g} for scores from {low:g} to {high:g}. "
            f"Allowed: above 0, and wide enough for {_MOST_BANDS} bands."
        )
    # Written out and read again, so that the third multiple of 0.1 is 0.3.
    first, last = int(np.floor(low / width + 1e-9)), int(np.ceil(high / width - 1e-9))
    edges = np.array([float(f"{i * width:.12g}") for i in range(first, max(last, first + 1) + 1)])
    # Infinite scores belong to the outermost bands.
    place = np.clip(np.searchsorted(edges, scores, side="right") - 1, 0, len(edges) - 2)
    labels = [f"{a:g} to {b:g}" for a, b in pairwise(edges)]
    codes = np.where(np.isnan(scores), -1, place).astype(np.int64)
    bands = pd.Categorical.from_codes(codes, pd.Index(labels), ordered=True)
    return pd.Series(bands, index=frame.index)
