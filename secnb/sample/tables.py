"""The tables of a sandbox before they are stored: which columns they have, and how times are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

CAMERA_COLUMNS = ("id", "name", "folder_path", "status", "created_at", "last_seen_at")
DETECTION_COLUMNS = (
    *("id", "camera_id", "file_path", "file_type", "detected_at", "object_type", "confidence"),
    *("bbox_x", "bbox_y", "bbox_width", "bbox_height", "thumbnail_path"),
)
EVENT_COLUMNS = (
    *("id", "camera_id", "started_at", "ended_at", "batch_id", "risk_score", "risk_level", "summary"),
    *("reasoning", "detection_ids", "reviewed", "notes", "is_fast_path"),
)
FEEDBACK_COLUMNS = ("id", "event_id", "feedback_type", "notes", "expected_severity", "created_at")
GPU_COLUMNS = (
    *("recorded_at", "gpu_utilization", "memory_used", "memory_total", "temperature", "inference_fps"),
)
TRUTH_COLUMNS = ("detection_id", "is_true", "object_id")

Rows = list[tuple[Any, ...]]
Tables = Mapping[str, tuple[tuple[str, ...], Rows]]
"""Per table its column names and its rows."""


def as_text(at_us: Sequence[int] | NDArray[np.int64]) -> list[str]:
    """Return times as SQLAlchemy writes them into SQLite: naive text, in UTC.

    Examples
    --------
    >>> as_text([0])
    ['1970-01-01 00:00:00.000000']
    """
    times = np.asarray(at_us, dtype=np.int64).astype("datetime64[us]")
    return [text.replace("T", " ") for text in np.datetime_as_string(times, unit="us").tolist()]


def from_text(at: str) -> int:
    """Return the whole microseconds since 1970 of such a text.

    Examples
    --------
    >>> from_text("1970-01-01 00:00:01.000000")
    1000000
    """
    return int(np.datetime64(at, "us").astype(np.int64))


def as_dicts(tables: Tables, name: str) -> list[dict[str, Any]]:
    """Return the rows of one table, each by the names of its columns; empty where there is no such table."""
    columns, rows = tables.get(name, ((), []))
    return [dict(zip(columns, row, strict=True)) for row in rows]
