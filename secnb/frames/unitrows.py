"""The rows of a frame as units to judge: each named once, in the vocabulary of a label store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pandas as pd

from secnb import schema
from secnb.errors import BadInputError, UnknownColumnError
from secnb.frames.typed import to_frame
from secnb.frames.verdicts import ELSEWHERE, to_units

_IDS: Final = ("event_id", "detection_id")
# What an earlier verdict says of itself is not said of the next one.
_OF_A_VERDICT: Final = ("truth", "who", "verified_at")


def read_units(frame: object) -> pd.DataFrame:
    """Return one row per unit, by its name such as ``"event 12"``, in the order of the frame.

    Columns of ``schema.LABELS`` but what an earlier verdict said. A value that its column cannot hold is
    missing; an id must be there.

    Raises
    ------
    BadInputError
        If it is no frame, or an id is missing, no whole number, or there twice.
    UnknownColumnError
        If it has neither ``event_id`` nor ``detection_id``.

    Examples
    --------
    >>> read_units(pd.DataFrame({"detection_id": [4, 5], "confidence": ["0.5", "high"]}))["score"]
    detection 4    0.5
    detection 5    NaN
    Name: score, dtype: float64
    """
    if not isinstance(frame, pd.DataFrame):
        raise BadInputError(f"frame is {type(frame).__name__}. Allowed: a DataFrame, one row per unit.")
    if frame.columns.isin(_IDS).sum() == 0:
        hint = "or detection_id, one per row"
        raise UnknownColumnError("column", "event_id", map(str, frame.columns), hint=hint)
    columns = {str(name): _values(frame, name) for name in frame.columns if _is_known(name)}
    for name, other in ELSEWHERE.items():
        if other in columns:
            columns.setdefault(name, columns.pop(other))
            columns.pop(other, None)
    typed = to_frame(columns, schema.LABELS).drop(columns=list(_OF_A_VERDICT))
    for name in _IDS:
        typed[name] = _ids(frame, name) if name in frame.columns else typed[name]
    n_nameless = int(typed[list(_IDS)].isna().all(axis=1).sum())
    if n_nameless:
        raise BadInputError(f"{n_nameless} rows have neither event_id nor detection_id.")
    names = pd.Index(to_units(typed))
    if not names.is_unique:
        raise BadInputError(f"The frame has {names[names.duplicated()][0]} twice. Allowed: each unit once.")
    return typed.set_axis(names)


def _is_known(name: object) -> bool:
    return name in schema.LABELS or name in ELSEWHERE.values()


def _values(frame: pd.DataFrame, name: Any) -> Sequence[Any]:
    column = frame[name]
    if isinstance(column, pd.DataFrame):
        raise BadInputError(f"The frame has {column.shape[1]} columns called {name!r}; one is needed.")
    values: list[Any] = column.astype(object).where(column.notna(), None).tolist()
    return values


def _ids(frame: pd.DataFrame, name: str) -> Any:
    """Return ids as they are; a frame with missing ones may hold them as floats."""
    try:
        return frame[name].astype("Int64").array
    except (TypeError, ValueError, OverflowError) as exc:
        seen = ", ".join(map(repr, frame[name].head(3).tolist()))
        raise BadInputError(
            f"Column {name!r} holds other values than ids: {seen}. Allowed: whole numbers below 2**63."
        ) from exc
