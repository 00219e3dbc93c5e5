"""What a frame says about itself: JSON-safe ``df.attrs``, and a warning when rows were left out."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import pandas as pd

from secnb.core.reader import Rows
from secnb.core.secret_names import is_secret_name
from secnb.errors import TruncatedWarning
from secnb.frames.typed import MASK


def note_rows(frame: pd.DataFrame, rows: Rows, **more: Any) -> pd.DataFrame:
    """Write into ``frame.attrs`` how its rows were got; returns the same frame."""
    if rows.why_rows is not None:
        more["why_rows"] = rows.why_rows
    return note(
        frame,
        source=rows.source,
        path=rows.path,
        read_at=rows.read_at,
        seconds=round(rows.seconds, 6),
        rows=len(frame),
        truncated=rows.is_truncated,
        total=rows.total,
        **more,
    )


def note(frame: pd.DataFrame, **facts: Any) -> pd.DataFrame:
    """Write facts into ``frame.attrs`` in JSON-safe form; returns the same frame."""
    frame.attrs.update({name: _json_safe(value) for name, value in facts.items()})
    return frame


def mask_params(params: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return parameters with those masked whose names say that they are secret."""
    return {name: MASK if is_secret_name(name) else value for name, value in (params or {}).items()}


def warn_truncated(n_shown: int, n_total: int | None, *, what: str, hint: str) -> None:
    """Warn that a cap left rows out: ``showing 10 000 of 26 431 rows``."""
    shown = f"{n_shown:,}".replace(",", " ")
    total = "" if n_total is None else f"{n_total:,}".replace(",", " ")
    said = f"{shown} of {total} {what}" if total else f"the first {shown} {what}; there are more"
    message = TruncatedWarning(f"showing {said}\n\nHint: {hint}")
    # A registry of its own: the same cap is reported each time, not once per session.
    warnings.warn_explicit(message, TruncatedWarning, "secnb", 1, registry={})


def _json_safe(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _json_safe(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set):
        return [_json_safe(each) for each in value]
    if isinstance(value, datetime | date):
        return value.isoformat()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return str(value)
