"""Detections that come in a burst, as one unit: an episode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secnb import schema
from secnb.analysis.columns import (
    TRUE,
    UNLABELLED,
    read_by,
    read_column,
    read_groups,
    read_scores,
    read_truth,
)
from secnb.errors import BadInputError

TRUTH_COLUMNS: Final = ("truth", "is_true")
"""The truth of a detection, where no other column is named; the first of these that the frame has."""

_LONGEST_GAP_S: Final = 1e9


def episodes(
    frame: pd.DataFrame,
    *,
    gap_s: float = 30.0,
    by: str | Sequence[str] = "camera_id",
    score: str = "confidence",
    truth: str | None = None,
    time: str = "detected_at",
) -> pd.DataFrame:
    """One row per episode: detections of one group with no gap of more than ``gap_s`` seconds between them.

    Alarms come in bursts, and the frames of one burst are right or wrong together. So the unit that a
    threshold is chosen on is the episode: it fires where its highest score does. An empty frame gives no
    row. A detection without a time is an episode of its own; missing keys are a group.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per detection, in any order. It is not changed.
    gap_s : float
        Seconds, 0 to 1e9. A detection that comes later than that after the last one of its group begins
        an episode.
    by : str or sequence of str
        Columns whose values make groups, such as ``("camera_id", "object_type")``. Empty: one group.
    score : str
        Numeric column of scores.
    truth : str, optional
        Column of true and false, missing where nobody verified. None: ``truth``, else ``is_true``, else
        nothing is known.
    time : str
        Column of times; naive ones are taken as UTC.

    Returns
    -------
    pandas.DataFrame
        ``episode_id`` int64 from 0, by start; the by columns; ``started_at`` and ``ended_at``, UTC, of the
        first and last detection; ``n_detections`` int64; ``score`` float64, the highest; ``truth``
        boolean: true if any detection is, else false if any is, else missing. For ``sweep``, as
        ``score="score", truth="truth"``.

    Raises
    ------
    UnknownColumnError
        The frame has no such column.
    BadInputError
        The gap is not within its range; a column has no times, scores or truth; a group column is called
        like a column of the result.

    Examples
    --------
    >>> times = pd.to_datetime(["2026-03-01T09:00:00Z", "2026-03-01T09:00:20Z", "2026-03-01T09:05:00Z"])
    >>> frame = pd.DataFrame({"camera_id": "gate", "detected_at": times, "confidence": [0.6, 0.9, 0.7]})
    >>> episodes(frame)[["episode_id", "camera_id", "n_detections", "score"]]
       episode_id camera_id  n_detections  score
    0           0      gate             2    0.9
    1           1      gate             1    0.7
    """
    names = read_by(by, taken=frozenset(schema.EPISODES))
    groups, keys = read_groups(frame, names)
    instants = _instants(read_column(frame, time))
    scores = read_scores(read_column(frame, score))
    labels = _labels(frame, truth)
    ids = _number(groups, instants, gap_s)
    order = np.argsort(ids, kind="stable")
    # Every number from 0 on occurs, so that each episode is one run of the ordered rows.
    first = np.searchsorted(ids[order], np.arange(ids.max(initial=-1) + 1))
    columns = {
        "episode_id": np.arange(len(first)),
        **{name: keys[name].take(groups[order[first]]).array for name in names},
        "started_at": _utc(_reduce(np.minimum, instants[order], first)),
        "ended_at": _utc(_reduce(np.maximum, instants[order], first)),
        "n_detections": np.diff(first, append=len(order)),
        # The highest of those that are not missing.
        "score": _reduce(np.fmax, scores[order], first),
        # True comes before false, and false before unlabelled.
        "truth": _boolean(_reduce(np.minimum, labels[order], first)),
    }
    found = pd.DataFrame(columns)
    timezone = frame.attrs.get("timezone")
    found.attrs = {"unit": "episode", "gap_s": gap_s} | ({"timezone": timezone} if timezone else {})
    return found


def episode_ids(
    frame: pd.DataFrame,
    *,
    gap_s: float = 30.0,
    by: str | Sequence[str] = "camera_id",
    time: str = "detected_at",
) -> pd.Series:
    """Return the episode that each row belongs to, int64, on the index of the frame.

    The numbers are those of ``episodes`` with the same arguments. As a column they let a sweep of single
    detections know which of them come together: ``sweep(..., cluster="episode_id")``.

    Parameters
    ----------
    frame, gap_s, by, time
        As for ``episodes``.

    Raises
    ------
    UnknownColumnError
        The frame has no such column.
    BadInputError
        The gap is not within its range, or a column has no times.

    Examples
    --------
    >>> times = pd.to_datetime(["2026-03-01T09:05:00Z", "2026-03-01T09:00:20Z", "2026-03-01T09:00:00Z"])
    >>> episode_ids(pd.DataFrame({"camera_id": "gate", "detected_at": times})).tolist()
    [1, 0, 0]
    """
    groups, _ = read_groups(frame, read_by(by, taken=frozenset()))
    ids = _number(groups, _instants(read_column(frame, time)), gap_s)
    return pd.Series(ids, index=frame.index, name="episode_id")


def _instants(column: pd.Series) -> NDArray[np.datetime64]:
    """Return times as UTC in microseconds."""
    if column.isna().all() and not pd.api.types.is_numeric_dtype(column.dtype):
        return np.full(len(column), np.datetime64("NaT", "us"))
    if not pd.api.types.is_datetime64_any_dtype(column.dtype):
        raise BadInputError(
            f"Column {column.name!r} has no times: its dtype is {column.dtype}. Allowed: datetimes.",
            hint=f"convert it first: pd.to_datetime(frame[{column.name!r}], utc=True)",
        )
    times = column.dt.tz_convert("UTC").dt.tz_localize(None) if column.dt.tz is not None else column
    return times.to_numpy(dtype="datetime64[us]")


def _labels(frame: pd.DataFrame, truth: str | None) -> NDArray[np.int8]:
    if truth is None:
        truth = next((name for name in TRUTH_COLUMNS if name in frame.columns), None)
    if truth is None:
        return np.full(len(frame), UNLABELLED, dtype=np.int8)
    return read_truth(read_column(frame, truth))


def _number(groups: NDArray[np.integer], instants: NDArray[np.datetime64], gap_s: float) -> NDArray[np.int64]:
    """Return the episode of every row: by start, then by group, those without a time last."""
    is_number = isinstance(gap_s, (int, float, np.integer, np.floating)) and not isinstance(gap_s, bool)
    if not is_number or not 0 <= gap_s <= _LONGEST_GAP_S:
        raise BadInputError(f"gap_s is {gap_s!r}. Allowed: seconds from 0 to 1e9.")
    order = np.lexsort((instants, groups))
    times, keys = instants[order], groups[order]
    is_first = np.ones(len(order), dtype=np.bool_)
    # Beside a missing time nothing is within the gap, since comparisons with it are false.
    is_close = times[1:] - times[:-1] <= np.timedelta64(round(gap_s * 1e6), "us")
    is_first[1:] = (keys[1:] != keys[:-1]) | ~is_close
    starts = times[is_first]
    rank = np.empty(len(starts), dtype=np.int64)
    rank[np.argsort(starts, kind="stable")] = np.arange(len(starts))
    ids = np.empty(len(order), dtype=np.int64)
    ids[order] = rank[np.cumsum(is_first) - 1]
    return ids


def _reduce(ufunc: np.ufunc, values: NDArray[Any], first: NDArray[np.intp]) -> NDArray[Any]:
    """Reduce each run of values to one."""
    return ufunc.reduceat(values, first) if len(first) else values


def _utc(instants: NDArray[np.datetime64]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(instants).tz_localize("UTC")


def _boolean(codes: NDArray[np.int8]) -> pd.arrays.BooleanArray:
    return pd.arrays.BooleanArray(codes == TRUE, codes == UNLABELLED)
