"""What an analyst gives a label store, as the rows that it stores: checked, and in one vocabulary."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import pandas as pd

from secnb import schema
from secnb.errors import BadInputError, UnknownColumnError
from secnb.frames.typed import to_frame

ELSEWHERE: Final[Mapping[str, str]] = {"score": "confidence", "started_at": "detected_at"}
"""What a detections frame calls two columns of a verdict."""

_REQUIRED_OF_A_MISS = ("camera_id", "started_at")


def to_verdicts(given: object, fields: Mapping[str, Any]) -> pd.DataFrame:
    """Return one row per verdict, with the columns and dtypes of ``schema.LABELS``.

    Parameters
    ----------
    given : DataFrame, Series, mapping or None
        A frame of verdicts, where rows without truth are left out, or one unit.
    fields : mapping
        Values by column that stand above those of `given`.
    """
    if isinstance(given, pd.DataFrame):
        columns = {name: _column(given, name) for name in map(str, given.columns) if _is_known(name)}
        n_rows = len(given)
        if not {"truth", "is_missed"} & (columns.keys() | fields.keys()):
            raise UnknownColumnError("column", "truth", map(str, given.columns))
    elif given is None or isinstance(given, Mapping | pd.Series):
        # In the row of a frame a missing truth is one that nobody has given, and no "unsure".
        one = given.dropna().to_dict() if isinstance(given, pd.Series) else dict(given or {})
        columns = {str(name): [value] for name, value in one.items() if _is_known(str(name))}
        n_rows = 1
    else:
        raise BadInputError(
            f"A verdict cannot be read from {type(given).__name__}. Allowed: a DataFrame, one of its rows, "
            "a dict, or none of them and event_id= or detection_id=."
        )
    for name, other in ELSEWHERE.items():
        if other in columns:
            columns.setdefault(name, columns.pop(other))
            columns.pop(other, None)
    columns |= {name: [value] * n_rows for name, value in fields.items()}
    frame = _typed(columns)
    is_missed = frame["is_missed"].fillna(False)
    frame["is_missed"] = is_missed
    # A miss is a true object; saying so twice is not needed.
    frame["truth"] = frame["truth"].mask(is_missed & frame["truth"].isna(), True)
    if isinstance(given, pd.DataFrame):
        frame = frame[frame["truth"].notna()].reset_index(drop=True)
    elif "truth" not in columns and not is_missed.any():
        raise BadInputError(
            "The verdict has no truth.", hint="add(…, truth=True), False, or None where you are unsure"
        )
    _check(frame)
    now = pd.Timestamp(datetime.now(UTC))
    return frame.assign(
        who=frame["who"].fillna(_login()), verified_at=frame["verified_at"].fillna(now).astype(schema.TIME)
    )


def _is_known(name: str) -> bool:
    return name in schema.LABELS or name in ELSEWHERE.values()


def _column(frame: pd.DataFrame, name: str) -> list[Any]:
    column = frame[name]
    if isinstance(column, pd.DataFrame):
        raise BadInputError(f"The frame has {column.shape[1]} columns called {name!r}; one is needed.")
    return [None if is_missing else value for value, is_missing in zip(column, column.isna(), strict=True)]


def _typed(columns: Mapping[str, list[Any]]) -> pd.DataFrame:
    """Return the columns in their dtypes; a value that its dtype cannot hold is an error, not missing."""
    plain = {name: [_plain(value) for value in values] for name, values in columns.items()}
    frame = to_frame(plain, schema.LABELS)
    for name in frame.attrs.pop("unreadable", {}):
        is_bad = frame[name].isna() & pd.Series([value is not None for value in plain[name]])
        value = plain[name][int(is_bad.to_numpy().argmax())]
        raise BadInputError(
            f"{name} is {str(value)[:60]!r}, which is not allowed. Allowed: {_ALLOWED.get(name, 'text')}."
        )
    return frame[list(schema.LABELS)]


_ALLOWED: Final = {
    "event_id": "whole numbers",
    "detection_id": "whole numbers",
    "score": "numbers",
    "risk_score": "whole numbers",
    "started_at": "datetimes and ISO 8601 text",
    "verified_at": "datetimes and ISO 8601 text",
    "truth": "True, False, and None for unsure",
    "is_missed": "True and False",
    "probability": "above 0 and up to 1",
}


def _plain(value: Any) -> Any:
    """Return a value of numpy or pandas as Python's own, and any kind of missing value as None."""
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
        return None
    return value.item() if isinstance(value, np.generic) and not isinstance(value, np.datetime64) else value


def _check(frame: pd.DataFrame) -> None:
    contradicts = frame["is_missed"].astype(bool) & ~frame["truth"].fillna(True).astype(bool)
    if contradicts.any():
        raise BadInputError(
            f"{_named(frame, contradicts)} has is_missed=True and truth=False.",
            hint="a miss is a true object; leave truth out",
        )
    outside = ~frame["probability"].fillna(1.0).between(0, 1, inclusive="right")
    if outside.any():
        value = frame.loc[outside, "probability"].iloc[0]
        raise BadInputError(f"probability is {value}. Allowed: {_ALLOWED['probability']}.")
    nameless = frame["event_id"].isna() & frame["detection_id"].isna()
    incomplete = ~frame["is_missed"].astype(bool)
    for name in _REQUIRED_OF_A_MISS:
        incomplete |= frame[name].isna()
    if (nameless & incomplete).any():
        raise BadInputError(
            "A verdict has neither event_id nor detection_id.",
            hint="an object that nothing recorded has is_missed=True, camera_id and started_at instead",
        )


def _named(frame: pd.DataFrame, which: pd.Series[bool]) -> str:
    return next(iter(to_units(frame[which])), "A verdict")


def to_units(frame: pd.DataFrame) -> list[str]:
    """Return what names the unit of each row: its event, else its detection, else camera, label and time."""
    columns = ["event_id", "detection_id", "camera_id", "object_type", "started_at"]
    found = frame.reindex(columns=columns)
    return [_unit(*values) for values in zip(*(_nones(found[name]) for name in columns), strict=True)]


def _unit(event_id: Any, detection_id: Any, camera: Any, label: Any, started_at: Any) -> str:
    if event_id is not None:
        return f"event {event_id}"
    if detection_id is not None:
        return f"detection {detection_id}"
    return f"missed {label} of {camera} at {started_at.isoformat()}"


def to_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return rows as SQLite stores them: times as ISO 8601 text, what is missing as None."""
    # A list: names asked of Arrow for each row would take longer than all else.
    names = list(frame.columns)
    columns = [_stored(frame[name]) for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _stored(column: pd.Series[Any]) -> list[Any]:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return [None if value is None else value.isoformat() for value in _nones(column)]
    return _nones(column)


def _nones(column: pd.Series[Any]) -> list[Any]:
    return column.astype(object).where(column.notna(), None).tolist()


def _login() -> str:
    try:
        return getpass.getuser()
    # A container may run under a number that no user has.
    except (OSError, KeyError, ImportError):
        return "unknown"
