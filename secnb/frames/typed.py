"""Plain rows become frames with the dtypes of the vocabulary, whatever the rows hold.

A value that its column's dtype cannot hold becomes missing, and is counted in
``df.attrs["unreadable"]``: a helper never fails on data, and never hides that it left something out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from secnb.schema import SECRET_COLUMNS, TIME

MASK = "***"
_TIME_NAME = re.compile(r"(_at|^timestamp)$")


def to_frame(columns: Mapping[str, Sequence[Any]], schema: Mapping[str, str]) -> pd.DataFrame:
    """Return a frame with the columns of `schema` in its dtypes, then whatever else `columns` has.

    Parameters
    ----------
    columns : mapping of str to sequence
        Values by column name, all of one length; columns of `schema` that are absent are all missing.
    schema : mapping of str to str
        Dtypes by column name, in the order wanted.

    Returns
    -------
    DataFrame
        With a RangeIndex. ``attrs["unreadable"]`` counts, by column, the values that were there but
        could not be read.
    """
    n_rows = len(next(iter(columns.values()), ()))
    unreadable: dict[str, int] = {}
    typed: dict[str, pd.Series[Any]] = {}
    for name, dtype in schema.items():
        values = columns.get(name)
        if values is None:
            typed[name] = empty_series(dtype, n_rows)
            continue
        typed[name], n_bad = to_series(values, dtype)
        if n_bad:
            unreadable[name] = n_bad
    for name, values in columns.items():
        if name not in schema:
            typed[name] = guess_series(values, name)
    frame = pd.DataFrame(typed, index=pd.RangeIndex(n_rows), copy=False)
    if unreadable:
        frame.attrs["unreadable"] = unreadable
    return frame


def to_columns(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """Return rows as columns; names that occur twice get a number, so that no column is lost."""
    unique: list[str] = []
    for name in names:
        n_before = sum(1 for each in unique if each == name or each.startswith(f"{name}_"))
        unique.append(name if name not in unique else f"{name}_{n_before + 1}")
    if not rows:
        return dict.fromkeys(unique, ())
    return dict(zip(unique, zip(*rows, strict=True), strict=True))


def guess_frame(columns: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """Return a frame of a free query: ids stay integers, times become UTC-aware, the rest as it is."""
    n_rows = len(next(iter(columns.values()), ()))
    typed = {name: guess_series(values, name) for name, values in columns.items()}
    return pd.DataFrame(typed, index=pd.RangeIndex(n_rows), columns=list(columns), copy=False)


def mask_secrets(
    columns: Mapping[str, Sequence[Any]], *, wanted: Sequence[str] = ()
) -> dict[str, Sequence[Any]]:
    """Return the columns with those that hold secrets masked, unless they are `wanted` by name."""
    return {
        name: [None if v is None else MASK for v in values]
        if name.lower() in SECRET_COLUMNS and name not in wanted
        else values
        for name, values in columns.items()
    }


def empty_series(dtype: str, n_rows: int) -> pd.Series[Any]:
    """Return a series of `n_rows` missing values."""
    if dtype == "object":
        return pd.Series([None] * n_rows, dtype=object)
    if dtype == "int64":
        return pd.Series(np.zeros(n_rows, dtype=np.int64))
    return pd.Series([None] * n_rows, dtype=object).astype(dtype)  # type: ignore[call-overload, no-any-return]


def to_series(values: Sequence[Any], dtype: str) -> tuple[pd.Series[Any], int]:
    """Return `values` as a series of `dtype`, and how many of them could not be read."""
    raw = pd.Series(list(values), dtype=object)
    if dtype == "object":
        return raw, 0
    there = raw.notna()
    if dtype == TIME:
        series = to_times(values)
    elif dtype in ("Int64", "int64", "float64"):
        series = _to_numbers(raw, dtype)
    elif dtype == "boolean":
        series = raw.map(_to_bool, na_action="ignore").astype("boolean")
    else:
        series = raw.map(_to_text, na_action="ignore").astype("str")
    return series, int((there & series.isna()).sum())


_TRUTH_WORDS = {"true": True, "false": False, "t": True, "f": False, "1": True, "0": False}


def _to_bool(value: Any) -> bool | None:
    return _TRUTH_WORDS.get(str(int(value) if isinstance(value, bool) else value).lower())


def _to_text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    words = value if isinstance(value, str) else str(value)
    # A lone surrogate cannot be shown or stored anywhere; its escape can.
    return words if words.isascii() else words.encode("utf-8", "backslashreplace").decode("utf-8")


def _to_numbers(raw: pd.Series[Any], dtype: str) -> pd.Series[Any]:
    if dtype == "float64":
        return pd.to_numeric(raw.map(_decimal_to_float), errors="coerce").astype("float64")
    whole = [_to_int(value) for value in raw]
    return pd.Series(pd.array(whole, dtype="Int64"))


def _decimal_to_float(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value


def _to_int(value: Any) -> int | None:
    """Return a whole number, never by way of a float that would round it."""
    if isinstance(value, str | bytes):
        try:
            value = int(value)
        except ValueError:
            return None
    if isinstance(value, float | Decimal):
        value = int(value) if math.isfinite(value) and value == int(value) else None
    return int(value) if isinstance(value, int) and -(2**63) <= value < 2**63 else None


def to_times(values: Sequence[Any]) -> pd.Series[Any]:
    """Return times as UTC-aware microseconds; naive ones are UTC, what is no time is NaT."""
    raw = pd.Series(list(values), dtype=object)
    texts = raw.where(raw.map(lambda v: not isinstance(v, int | float | bool | bytes)), None)
    times = pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce")
    return times.astype(TIME)


def guess_series(values: Sequence[Any], name: str) -> pd.Series[Any]:
    """Return a series in the dtype that holds all `values` without loss."""
    raw = pd.Series(list(values), dtype=object)
    there = raw[raw.notna()]
    kinds = {type(value) for value in there}
    if kinds and _TIME_NAME.search(name) and not kinds & {int, float, bool, bytes}:
        times = to_times(values)
        if times.notna().sum() == len(there):
            return times
    if not kinds:
        return raw
    if kinds == {bool}:
        return raw.astype("boolean")
    if kinds == {int} and all(-(2**63) <= value < 2**63 for value in there):
        return raw.astype("Int64")
    if kinds <= {float, int, Decimal} and kinds & {float, Decimal}:
        return raw.map(_decimal_to_float).astype("float64")
    if kinds == {str}:
        return raw.map(_to_text, na_action="ignore").astype("str")
    return raw
