"""Detections that the caller brings, as the rows of a deployment's tables."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from secnb import schema
from secnb.errors import BadInputError, UnknownColumnError
from secnb.sample.records import Records
from secnb.sample.tables import CAMERA_COLUMNS, DETECTION_COLUMNS, TRUTH_COLUMNS, Rows, as_text

NEEDED: Final = ("camera_id", "confidence", "detected_at")
"""The columns that a frame of detections cannot do without."""

_BOX = ("bbox_x", "bbox_y", "bbox_width", "bbox_height")
_TEXT = ("object_type", "file_path", "file_type", "thumbnail_path")


def given(detections: pd.DataFrame) -> Records:
    """Return the records of a deployment that holds these detections, and nothing else.

    Parameters
    ----------
    detections : pandas.DataFrame
        Columns of ``schema.DETECTIONS``, of which camera_id, confidence and detected_at are needed.
        Naive times are taken as UTC. ``detection_id`` is kept when it is present and unique; otherwise
        the detections are numbered in time order. Boxes keep their fractions. The frame is not changed.

    Returns
    -------
    Records
        One camera per camera_id; no events, and a truth that nobody knows.

    Raises
    ------
    UnknownColumnError
        If a needed column is missing.
    BadInputError
        If this is no frame, or a column holds what it cannot hold; the text says how many rows.
    """
    frame = _checked(detections)
    frame = frame.sort_values("detected_at", kind="stable", ignore_index=True)
    frame["detection_id"] = _ids(frame)
    at = as_text(_microseconds(frame["detected_at"]))
    columns = {
        "id": frame["detection_id"],
        **{name: frame[name] for name in DETECTION_COLUMNS if name not in ("id", "detected_at")},
        "detected_at": pd.Series(at, dtype=object),
    }
    rows = list(zip(*(_values(columns[name]) for name in DETECTION_COLUMNS), strict=True))
    tables = {
        "cameras": (CAMERA_COLUMNS, _cameras(frame)),
        "detections": (DETECTION_COLUMNS, rows),
        "secnb_truth": (TRUTH_COLUMNS, [(row[0], None, None) for row in rows]),
    }
    last = frame["detected_at"].max() if len(frame) else pd.Timestamp.now("UTC")
    return Records(tables, (), (), last.to_pydatetime(warn=False))


def _checked(detections: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of the vocabulary, each of a type that the database takes."""
    if not isinstance(detections, pd.DataFrame):
        raise BadInputError(
            f"detections is a {type(detections).__name__}. Allowed: a DataFrame of detections.",
            hint="secnb.read_mot(path, fps=…, start_at=…) reads one from a file.",
        )
    for name in NEEDED:
        if name not in detections.columns:
            raise UnknownColumnError(
                "column",
                name,
                map(str, detections.columns),
                hint=f"a frame of detections needs {', '.join(NEEDED)}; see .rename(columns=…).",
            )
    twice = sorted({str(name) for name in detections.columns[detections.columns.duplicated()]})
    if twice:
        raise BadInputError(f"detections has several columns of one name: {', '.join(twice)}.")
    frame = pd.DataFrame(index=range(len(detections)))
    frame["camera_id"] = _camera_ids(detections["camera_id"])
    frame["detected_at"] = _times(detections["detected_at"])
    for name in ("confidence", *_BOX):
        frame[name] = _numbers(detections[name], name) if name in detections.columns else np.nan
    for name in _TEXT:
        frame[name] = _texts(detections[name]) if name in detections.columns else None
    # The one text that a deployment never leaves out.
    frame["file_path"] = frame["file_path"].fillna("")
    if "detection_id" in detections.columns:
        frame["detection_id"] = detections["detection_id"].to_numpy()
    return frame


def _camera_ids(column: pd.Series[Any]) -> list[str]:
    missing = int(column.isna().sum())
    if missing:
        raise BadInputError(f"camera_id is missing in {missing} of {len(column)} detections.")
    return [str(value) for value in column]


def _times(column: pd.Series[Any]) -> Any:
    """Return the times as UTC; numbers are refused, since their unit cannot be known."""
    if pd.api.types.is_numeric_dtype(column):
        raise BadInputError(
            f"detected_at holds numbers ({column.dtype}). Allowed: datetimes, or ISO 8601 text.",
            hint='convert them with pandas.to_datetime(column, unit="s", utc=True).',
        )
    try:
        times = pd.to_datetime(column, utc=True, format="ISO8601")
    except (ValueError, TypeError, OverflowError) as exc:
        raise BadInputError(f"detected_at cannot be read as times: {exc}.") from exc
    missing = int(times.isna().sum())
    if missing:
        raise BadInputError(
            f"detected_at is missing (NaT) in {missing} of {len(column)} detections.",
            hint='leave them out with frame.dropna(subset=["detected_at"]).',
        )
    return times.astype(schema.TIME).array


def _numbers(column: pd.Series[Any], name: str) -> Any:
    try:
        return pd.to_numeric(column).astype("Float64").to_numpy("float64", na_value=np.nan)
    except (ValueError, TypeError) as exc:
        raise BadInputError(f"{name} holds what is no number: {exc}.") from exc


def _texts(column: pd.Series[Any]) -> list[str | None]:
    return [None if missing else str(value) for value, missing in zip(column, column.isna(), strict=True)]


def _ids(frame: pd.DataFrame) -> Any:
    """Return the given ids where they are whole and unique, else 1, 2, … in time order."""
    numbered = np.arange(1, len(frame) + 1)
    if "detection_id" not in frame.columns:
        return numbered
    ids = pd.to_numeric(frame["detection_id"], errors="coerce")
    is_whole = (
        not ids.isna().any() and bool((ids % 1 == 0).all()) and bool(ids.between(-(2**53), 2**53).all())
    )
    is_usable = is_whole and ids.is_unique
    return ids.astype(np.int64).to_numpy() if is_usable else numbered


def _values(column: pd.Series[Any]) -> list[Any]:
    """Return Python values, with None for what is missing."""
    return column.astype(object).where(column.notna(), None).tolist()


def _microseconds(times: pd.Series[Any]) -> Any:
    return times.dt.tz_localize(None).to_numpy("datetime64[us]").astype(np.int64)


def _cameras(frame: pd.DataFrame) -> Rows:
    rows: Rows = []
    for camera_id, times in frame.groupby("camera_id", sort=True)["detected_at"]:
        first, last = as_text(np.sort(_microseconds(times))[[0, -1]])
        rows.append((camera_id, str(camera_id), str(camera_id), "online", first, last))
    return rows
