"""Detections as they reach the batch aggregator: per camera, in the order in which they were added."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secnb.analysis.columns import read_column, read_scores
from secnb.analysis.firing import fires
from secnb.errors import BadInputError

SECOND = 1_000_000
"""Times are whole microseconds since 1970, UTC."""

FastPath = tuple[float, Iterable[str]]


@dataclass(frozen=True)
class Arrivals:
    """Detections sorted by camera, then time, then id.

    Attributes
    ----------
    cameras : list of str
        The cameras, sorted.
    first : ndarray of int64, shape (n_cameras + 1,)
        Where the detections of each camera begin.
    at_us : ndarray of int64, shape (n,)
        When each came.
    row : ndarray of int64, shape (n,)
        Its position in the frame that it was read from.
    fast_row : ndarray of int64
        The detections of the fast path, which no batch holds: their positions in the frame, in its order.
    fast_camera : ndarray of int64
        The number of the camera of each of them.
    fast_us : ndarray of int64
        When each of them came.
    n_left_out : int
        Rows without a camera or a time.
    """

    cameras: list[str]
    first: NDArray[np.int64]
    at_us: NDArray[np.int64]
    row: NDArray[np.int64]
    fast_row: NDArray[np.int64]
    fast_camera: NDArray[np.int64]
    fast_us: NDArray[np.int64]
    n_left_out: int

    def camera_of(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of the camera that each position belongs to."""
        return np.searchsorted(self.first, positions, side="right") - 1


def read_arrivals(
    detections: pd.DataFrame, *, fast_path: FastPath | None, until: pd.Timestamp | None
) -> Arrivals:
    """Return the detections in the order of the aggregator; those at or after `until` are not there yet."""
    if not isinstance(detections, pd.DataFrame):
        raise BadInputError(f"detections is a {type(detections).__name__}. Allowed: a DataFrame.")
    times = read_times(read_column(detections, "detected_at"))
    numbers, cameras = _cameras(read_column(detections, "camera_id"))
    kept = numbers < len(cameras)
    kept &= times != _MISSING
    n_left_out = len(kept) - int(np.count_nonzero(kept))
    if until is not None:
        kept &= times < to_us(until)
    fast_row = np.empty(0, dtype=np.int64)
    if fast_path is not None:
        is_fast = _is_fast(detections, fast_path) & kept
        kept &= ~is_fast
        fast_row = np.flatnonzero(is_fast)
    rows, first = _rows(kept, numbers, len(cameras))
    at_us = times if rows is None else times.take(rows)
    if rows is None:
        rows = np.arange(len(times))
    ids = _ids(detections)
    if not _rises(at_us, rows, ids, first):
        own = rows if ids is None else ids[rows]
        order = np.lexsort((own, at_us, np.repeat(np.arange(len(cameras)), np.diff(first))))
        rows, at_us = rows[order], at_us[order]
    fast_camera = numbers[fast_row].astype(np.int64)
    return Arrivals(cameras, first, at_us, rows, fast_row, fast_camera, times[fast_row], n_left_out)


_CHUNK = 1 << 18
_MISSING = np.iinfo(np.int64).min


def read_times(column: pd.Series) -> NDArray[np.int64]:
    """Return times as microseconds since 1970, the smallest integer where missing; naive ones are UTC."""
    if column.dtype == object and column.isna().all():
        return np.full(len(column), _MISSING)
    if not pd.api.types.is_datetime64_any_dtype(column):
        raise BadInputError(
            f"Column {column.name!r} does not hold times: its dtype is {column.dtype}. Allowed: datetimes.",
            hint=f"convert it first: pd.to_datetime(frame[{column.name!r}], utc=True, format='ISO8601')",
        )
    values = column.dt.tz_convert(None) if column.dt.tz is not None else column
    return values.to_numpy("datetime64[us]").view(np.int64)


def to_us(moment: pd.Timestamp) -> int:
    """Return an instant as microseconds since 1970; a naive one is UTC."""
    aware = moment.tz_localize("UTC") if moment.tzinfo is None else moment.tz_convert("UTC")
    # Not by subtraction: the year 1 and the year 9999 are no nanoseconds since 1970.
    return int(aware.tz_convert(None).to_datetime64().astype("datetime64[us]").astype(np.int64))


def _cameras(column: pd.Series) -> tuple[NDArray[Any], list[str]]:
    """Return the number of each row's camera, the number after the last where it is missing, and their names.

    The numbers are as small as they can be: small integers are sorted by radix, many times faster.
    """
    codes, found = _factorize(column)
    names = [str(name) for name in found]
    order = sorted(range(len(names)), key=names.__getitem__)
    kind = np.uint8 if len(names) < 255 else np.uint16 if len(names) < 65_535 else np.uint64
    # The code of a missing camera is -1, which takes the last number.
    number_of = np.full(len(names) + 1, len(names), dtype=kind)
    number_of[order] = np.arange(len(names))
    return number_of.take(codes), [names[each] for each in order]


def _factorize(column: pd.Series) -> tuple[NDArray[np.int64], list[Any]]:
    """Return the number of each row's value, -1 where it is missing, and the values."""
    try:
        codes, values = pd.factorize(column)
    except TypeError as exc:
        raise BadInputError(f"Column {column.name!r} does not hold names: {exc}. Allowed: text.") from exc
    return codes, list(values)


def _rows(
    kept: NDArray[np.bool_], numbers: NDArray[Any], n_cameras: int
) -> tuple[NDArray[np.int64] | None, NDArray[np.int64]]:
    """Return the kept rows by camera, each camera's in the order of the frame, and where each begins.

    None for all rows as they are.
    """
    rows = None
    if not kept.all():
        rows = np.flatnonzero(kept)
        numbers = numbers[rows]
    first = np.zeros(n_cameras + 1, dtype=np.int64)
    # By chunks, since all numbers at once would be made large first.
    for begin in range(0, len(numbers), _CHUNK):
        first[1:] += np.bincount(numbers[begin : begin + _CHUNK], minlength=n_cameras)
    np.cumsum(first, out=first)
    if bool(np.greater_equal(numbers[1:], numbers[:-1]).all()):
        return rows, first
    order = np.argsort(numbers, kind="stable")
    return (order if rows is None else rows[order]), first


def _ids(detections: pd.DataFrame) -> NDArray[np.int64] | NDArray[np.float64] | None:
    """Return the ids, which order equal times; None where there are none, and the frame's order counts."""
    if "detection_id" not in detections.columns:
        return None
    column = read_column(detections, "detection_id")
    if pd.api.types.is_integer_dtype(column.dtype) and not column.hasnans:
        return column.to_numpy(dtype=np.int64)
    return pd.to_numeric(column, errors="coerce").to_numpy(dtype="float64", na_value=np.inf)


def _rises(
    at_us: NDArray[np.int64],
    rows: NDArray[np.int64],
    ids: NDArray[np.int64] | NDArray[np.float64] | None,
    first: NDArray[np.int64],
) -> bool:
    """Whether no detection of a camera comes before the one above it."""
    places = np.flatnonzero(at_us[1:] <= at_us[:-1]) + 1
    # A camera may begin earlier than the one above it ends.
    places = places[~np.isin(places, first)]
    if not bool((at_us[places] == at_us[places - 1]).all()):
        return False
    return ids is None or bool((ids[rows[places]] >= ids[rows[places - 1]]).all())


def _is_fast(detections: pd.DataFrame, fast_path: FastPath | None) -> NDArray[np.bool_]:
    """Which detections are analysed at once, alone: of these types, and at least so confident."""
    if fast_path is None:
        return np.zeros(len(detections), dtype=bool)
    threshold, types = _checked(fast_path)
    confidence = read_scores(read_column(detections, "confidence"))
    codes, names = _factorize(read_column(detections, "object_type"))
    # The code of a missing type is -1, which takes the last.
    is_wanted = np.array([*(str(name).lower() in types for name in names), False])
    return is_wanted[codes] & fires(confidence, threshold)


def _checked(fast_path: object) -> tuple[float, set[str]]:
    allowed = 'Allowed: None, or a threshold and its types, such as (0.9, ("person",)).'
    if not (isinstance(fast_path, tuple | list) and len(fast_path) == 2) or isinstance(fast_path[1], str):
        raise BadInputError(f"fast_path is {fast_path!r}. {allowed}")
    try:
        threshold, types = float(fast_path[0]), {str(name).lower() for name in fast_path[1]}
    except (TypeError, ValueError) as exc:
        raise BadInputError(f"fast_path is {fast_path!r}. {allowed}") from exc
    if math.isnan(threshold):
        raise BadInputError(f"fast_path is {fast_path!r}. {allowed}")
    return threshold, types
