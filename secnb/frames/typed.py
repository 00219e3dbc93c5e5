r"""Plain rows become frames with the dtypes of the vocabulary, whatever the rows hold.

A value that its column's dtype cannot hold becomes missing, and is counted in
``df.attrs["unreadable"]``: a helper never fails on data, and never hides that it left something out.
Text never holds a lone surrogate, which neither Arrow nor a notebook can take: it becomes its escape,
such as ``\ud83d``. Bytes stay bytes where a column is not text.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from numbers import Integral
from operator import itemgetter
from typing import Any

import numpy as np
import pandas as pd

from secnb.core.collector import collector_paused
from secnb.core.stoppable import Batch, Page
from secnb.frames.bulk import ArrowValues
from secnb.frames.quick import kinds_of, quick_series
from secnb.frames.storedtimes import FIRST_TIME, LAST_TIME
from secnb.schema import SECRET_COLUMNS, TIME

MASK = "***"
_TIME_NAME = re.compile(r"(_at|^timestamp)$")
# A column that occurs twice has a number at its end; it is as secret as the first.
_NUMBERED = re.compile(r"_\d+$")
_EXACT_FLOAT = 2**53
_NO_FLOAT = 2**1023


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


def to_columns(names: Sequence[str], rows: Page | Batch) -> dict[str, Sequence[Any]]:
    """Return rows as columns; names that occur twice get a number, so that no column is lost."""
    unique = unique_names(names)
    if not isinstance(rows, Sequence):
        # A batch of Arrow's, from the reader process.
        return {name: ArrowValues(array) for name, array in zip(unique, rows.columns, strict=True)}
    if not rows:
        return dict.fromkeys(unique, ())
    with collector_paused():
        return {name: list(map(itemgetter(i), rows)) for i, name in enumerate(unique)}


def unique_names(names: Sequence[str]) -> list[str]:
    """Return the names, those that occurred before with a number at the end."""
    unique: list[str] = []
    for name in names:
        free = (f"{name}_{n}" for n in itertools.count(2))
        taken = {*names, *unique}
        unique.append(next(each for each in free if each not in taken) if name in unique else name)
    return unique


def mask_secrets(
    columns: Mapping[str, Sequence[Any]], *, wanted: Sequence[str] = ()
) -> dict[str, Sequence[Any]]:
    """Return the columns with those that hold secrets masked, unless they are `wanted` by name."""
    return {
        name: [None if v is None else MASK for v in values]
        if _is_secret(name) and name not in wanted
        else values
        for name, values in columns.items()
    }


def _is_secret(name: str) -> bool:
    return not SECRET_COLUMNS.isdisjoint((name.lower(), _NUMBERED.sub("", name.lower())))


def empty_series(dtype: str, n_rows: int) -> pd.Series[Any]:
    """Return a series of `n_rows` missing values."""
    if dtype == "object":
        return pd.Series([None] * n_rows, dtype=object)
    if dtype == "int64":
        return pd.Series(np.zeros(n_rows, dtype=np.int64))
    return pd.Series(np.nan, index=pd.RangeIndex(n_rows), dtype=dtype)


def to_series(values: Sequence[Any], dtype: str) -> tuple[pd.Series[Any], int]:
    """Return `values` as a series of `dtype`, and how many of them could not be read."""
    kinds = kinds_of(values)
    if not kinds and dtype not in ("object", "int64"):
        return empty_series(dtype, len(values)), 0
    if (quick := quick_series(values, dtype, kinds)) is not None:
        n_bad = len(values) - values.count(None) - quick.count() if dtype == TIME else 0
        return quick, int(n_bad)
    raw = pd.Series(list(values), dtype=object)
    if dtype == "object":
        return raw, 0
    there = raw.notna()
    if dtype == TIME:
        series = to_times(values)
    elif dtype in ("Int64", "int64", "float64"):
        series = _to_numbers(raw, dtype)
    elif dtype == "boolean":
        series = raw.where(there, None).map(_to_bool, na_action="ignore").astype("boolean")
    else:
        series = raw.map(_to_text, na_action="ignore").astype("str")
    return series, int((there & series.isna()).sum())


_TRUTH_WORDS = {"true": True, "false": False, "t": True, "f": False, "1": True, "0": False}


def _to_bool(value: Any) -> bool | None:
    if isinstance(value, int | float | Decimal | np.bool_):
        return bool(value) if value in (0, 1) else None
    return _TRUTH_WORDS.get(_to_text(value).lower())


def _to_text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    words = value if isinstance(value, str) else str(value)
    # A lone surrogate cannot be shown or stored anywhere; its escape can.
    return words if words.isascii() else words.encode("utf-8", "backslashreplace").decode("utf-8")


def _showable(value: Any) -> Any:
    return _to_text(value) if type(value) is str else value


def _to_numbers(raw: pd.Series[Any], dtype: str) -> pd.Series[Any]:
    if dtype == "float64":
        plain = pd.Series([_to_plain_number(value) for value in raw], dtype=object)
        return pd.to_numeric(plain, errors="coerce").astype("float64")
    whole = pd.Series(pd.array([_to_int(value) for value in raw], dtype="Int64"))
    # A plain int64 has no missing value.
    return whole.astype("int64") if dtype == "int64" and not whole.hasnans else whole


def _to_plain_number(value: Any) -> Any:
    """Return decimals as floats, and what no float can hold as missing."""
    if value is None or isinstance(value, float):
        return value
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, int):
        return value if abs(value) < _NO_FLOAT else None
    # pandas would count the nanoseconds of a time.
    return value if isinstance(value, str | bytes | np.number) else None


def _to_int(value: Any) -> int | None:
    """Return a whole number, never by way of a float that would round it."""
    whole: int | None = None
    if isinstance(value, int):
        whole = int(value)
    elif isinstance(value, str | bytes):
        text = _to_text(value)
        # Python would take 1_0 for 10.
        with contextlib.suppress(ValueError):
            whole = None if "_" in text else int(text)
    elif isinstance(value, float | Decimal) and math.isfinite(value):
        # The size first: 1E+999999 takes long to write out.
        whole = int(value) if -(2**64) < value < 2**64 and value == int(value) else None
    elif isinstance(value, Integral):
        whole = int(value)
    return whole if whole is not None and -(2**63) <= whole < 2**63 else None


def to_times(values: Sequence[Any]) -> pd.Series[Any]:
    """Return times as UTC-aware microseconds; naive ones are UTC, what is no time is NaT."""
    raw = pd.Series(list(values), dtype=object)
    texts = raw.where(raw.map(_may_be_time), None)
    times = _parsed(texts)
    # One value with nanoseconds makes pandas lose the others that are far from our time.
    lost = texts.notna() & times.isna()
    if lost.any():
        times = times.mask(lost, _parsed(texts[lost]))
    return times.where(times.between(FIRST_TIME, LAST_TIME))


def _may_be_time(value: Any) -> bool:
    # pandas reads "now" and "today" as the time of the reading.
    if isinstance(value, str):
        return value[:1].isdigit()
    return isinstance(value, date | np.datetime64)


def _parsed(texts: pd.Series[Any]) -> pd.Series[Any]:
    return pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce").astype(TIME)


def is_time_name(name: str) -> bool:
    """Return whether a column of this name holds times, if its values allow it."""
    return bool(_TIME_NAME.search(name))


def guess_series(values: Sequence[Any], name: str) -> pd.Series[Any]:
    """Return a series in the dtype that holds all `values` without loss."""
    kinds = kinds_of(values)
    if (quick := _quick_guess(values, kinds, is_time=is_time_name(name))) is not None:
        return quick
    raw = pd.Series(list(values), dtype=object)
    there = raw[raw.notna()]
    kinds = {type(value) for value in there}
    if is_time_name(name) and not kinds & {int, float, bool, bytes}:
        times = to_times(values)
        if times.notna().sum() == len(there):
            return times
    if not kinds:
        return raw
    if kinds == {bool}:
        return raw.where(raw.notna(), None).astype("boolean")
    if kinds == {float}:
        return raw.where(raw.notna(), None).astype("float64")
    if kinds == {int} and there.min() >= -(2**63) and there.max() < 2**63:
        return raw.where(raw.notna(), None).astype("Int64")
    if kinds <= {int, Decimal} and all(map(_is_whole, there)):
        return pd.Series(pd.array([_to_int(value) for value in raw], dtype="Int64"))
    if kinds <= {float, int, Decimal} and kinds & {float, Decimal} and not any(map(_is_beyond_float, there)):
        return raw.map(_to_plain_number).astype("float64")
    if kinds == {str}:
        return raw.map(_to_text, na_action="ignore").astype("str")
    return pd.Series([_showable(value) for value in raw], dtype=object) if str in kinds else raw


def _quick_guess(values: Sequence[Any], kinds: set[type], *, is_time: bool) -> pd.Series[Any] | None:
    if is_time:
        times = quick_series(values, TIME, kinds)
        return times if times is not None and times.count() == len(values) - values.count(None) else None
    dtypes = {int: "Int64", float: "float64", str: "str", bool: "boolean"}
    dtype = dtypes.get(next(iter(kinds))) if len(kinds) == 1 else None
    return None if dtype is None else quick_series(values, dtype, kinds)


def _is_whole(value: int | Decimal) -> bool:
    """Whether Int64 holds the value; PostgreSQL's sum of integers is a decimal without a fraction."""
    is_written_whole = isinstance(value, int) or value.as_tuple().exponent == 0
    # Not so NaN and Infinity, whose exponent is a letter.
    return is_written_whole and -(2**63) <= value < 2**63


def _is_beyond_float(value: Any) -> bool:
    """Whether a float would round this whole number."""
    is_written_whole = isinstance(value, int) or (
        isinstance(value, Decimal) and value.as_tuple().exponent == 0
    )
    return is_written_whole and not -_EXACT_FLOAT <= value <= _EXACT_FLOAT
