"""The quick way into a frame, for columns that hold one kind of value and nothing odd.

Most columns are like that. What this module does not take goes the tolerant way of
`secnb.frames.typed`, value by value; where it takes a column, both give the same series.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from secnb.frames.bulk import ArrowValues
from secnb.frames.storedtimes import FIRST_TIME, LAST_TIME, STORED_TIME, has_stored_form
from secnb.schema import TIME

try:
    import pyarrow as pa
except ImportError:  # text is then held as Python objects
    pa = None

# Before and after these a time may be one that only the tolerant way can read.
_FIRST_YEAR, _LAST_YEAR = "1900", "2262"


def kinds_of(values: Sequence[Any]) -> set[type]:
    """Return the types of the values that are there."""
    if isinstance(values, ArrowValues):
        return values.kinds
    return set(map(type, values)) - {type(None)}


def quick_series(values: Sequence[Any], dtype: str, kinds: set[type]) -> pd.Series[Any] | None:
    """Return `values` as a series of `dtype`, or None where that takes a closer look.

    Parameters
    ----------
    values : sequence
        Of one column.
    dtype : str
        One of the vocabulary.
    kinds : set of type
        What `kinds_of` says of them.
    """
    if isinstance(values, ArrowValues):
        return values.series(dtype)
    if dtype == "str" and kinds == {str}:
        return quick_texts(values)
    if dtype == "Int64" and kinds == {int}:
        return _integers(values)
    if dtype == "float64" and kinds and kinds <= {int, float}:
        return _floats(values)
    if dtype == "boolean" and kinds and kinds <= {int, bool}:
        return _booleans(values)
    if dtype == TIME and kinds == {str}:
        return _times(values)
    if dtype == TIME and kinds == {datetime}:
        return _parsed(values)
    return None


def quick_texts(values: Sequence[Any]) -> pd.Series[Any] | None:
    """Return values that are all text or missing as a series of text, else None; none of them is bytes."""
    try:
        if pa is not None:
            return pd.Series(pd.array(pa.array(values, pa.large_string()), dtype="str"))
        "".join(value for value in values if value is not None).encode("utf-8")
    except (TypeError, ValueError):
        return None  # a number, say, or a lone surrogate
    return pd.Series(values, dtype="str")


def _floats(values: Sequence[Any]) -> pd.Series[Any] | None:
    try:
        return pd.Series(np.array(values, dtype=np.float64))
    except OverflowError:
        return None


def _integers(values: Sequence[Any]) -> pd.Series[Any] | None:
    is_missing = _missing(values)
    there = [0 if value is None else value for value in values] if is_missing.any() else values
    try:
        return pd.Series(pd.arrays.IntegerArray(np.array(there, dtype=np.int64), is_missing))
    except OverflowError:
        return None


def _booleans(values: Sequence[Any]) -> pd.Series[Any] | None:
    if not set(values) <= {0, 1, None}:
        return None
    truths = np.fromiter(map(bool, values), dtype=np.bool_, count=len(values))
    return pd.Series(pd.arrays.BooleanArray(truths, _missing(values)))


def _missing(values: Sequence[Any]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    if None not in values:
        return np.zeros(len(values), dtype=np.bool_)
    return np.fromiter((value is None for value in values), dtype=np.bool_, count=len(values))


def _times(values: Sequence[Any]) -> pd.Series[Any] | None:
    if (stored := stored_times(values)) is not None:
        return stored
    there = list(filter(None, values))
    # Words such as "now" are read as times; so are numbers. Text of a deployment begins with its year.
    if not there or min(there) < _FIRST_YEAR or max(there) >= _LAST_YEAR:
        return None
    return _parsed(values)


def stored_times(values: Sequence[str | None]) -> pd.Series[Any] | None:
    """Return text as times if all of it has the form in which SQLAlchemy stores them, else None.

    Numpy reads that form several times as fast as pandas, and `stored_texts` makes the same text again.
    """
    if isinstance(values, ArrowValues):
        return values.stored_times()
    is_missing = _missing(values)
    there = [value for value in values if value is not None] if is_missing.any() else values
    joined = "".join(there)  # type: ignore[arg-type]
    if set(map(len, there)) != {len(STORED_TIME)} or not joined.isascii():  # type: ignore[arg-type]
        return None
    letters = np.frombuffer(joined.encode("ascii"), dtype=np.uint8).reshape(len(there), -1)
    # Of other forms numpy would skip what it does not understand.
    if not has_stored_form(letters):
        return None
    times = np.full(len(values), np.datetime64("NaT", "us"))
    try:
        times[~is_missing] = letters.view(f"S{len(STORED_TIME)}").ravel().astype(times.dtype)
    except ValueError:
        return None
    series = pd.Series(times).dt.tz_localize("UTC")
    # The year 0 is none.
    return None if series.min() < FIRST_TIME else series


def stored_texts(times: pd.Series[Any]) -> list[str | None]:
    """Return the text that `stored_times` read."""
    texts = np.datetime_as_string(times.to_numpy(dtype="datetime64[us]"))
    return [None if text == "NaT" else str(text).replace("T", " ") for text in texts]


def _parsed(values: Sequence[Any]) -> pd.Series[Any] | None:
    try:
        times = pd.to_datetime(pd.Series(values, dtype=object), format="ISO8601", utc=True).astype(TIME)
    except (ValueError, OverflowError):
        return None
    is_odd = times.min() < FIRST_TIME or times.max() > LAST_TIME
    return None if is_odd else times
