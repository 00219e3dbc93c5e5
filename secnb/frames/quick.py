"""The quick way into a frame, for columns that hold one kind of value and nothing odd.

Most columns are like that. What this module does not take goes the tolerant way of
`secnb.frames.typed`, value by value; where it takes a column, both give the same series.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from secnb.schema import TIME

# Before and after these a time may be one that only the tolerant way can read.
_FIRST_YEAR, _LAST_YEAR = "1900", "2262"


def kinds_of(values: Sequence[Any]) -> set[type]:
    """Return the types of the values that are there."""
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
    if dtype == "str" and kinds == {str}:
        return _texts(values)
    if dtype == "Int64" and kinds == {int}:
        return _integers(values)
    if dtype == "float64" and kinds and kinds <= {int, float}:
        return _floats(values)
    if dtype == TIME and kinds == {str}:
        return _times(values)
    return None


def _texts(values: Sequence[Any]) -> pd.Series[Any] | None:
    try:
        "".join(filter(None, values)).encode("utf-8")
    except UnicodeEncodeError:
        return None  # a lone surrogate
    return pd.Series(values, dtype="str")


def _floats(values: Sequence[Any]) -> pd.Series[Any] | None:
    try:
        return pd.Series(np.array(values, dtype=np.float64))
    except OverflowError:
        return None


def _integers(values: Sequence[Any]) -> pd.Series[Any] | None:
    is_missing = np.fromiter((value is None for value in values), dtype=np.bool_, count=len(values))
    try:
        numbers = np.array([0 if value is None else value for value in values], dtype=np.int64)
    except OverflowError:
        return None
    return pd.Series(pd.arrays.IntegerArray(numbers, is_missing))


def _times(values: Sequence[Any]) -> pd.Series[Any] | None:
    there = list(filter(None, values))
    # Words such as "now" are read as times; so are numbers. Text of a deployment begins with its year.
    if not there or min(there) < _FIRST_YEAR or max(there) >= _LAST_YEAR:
        return None
    try:
        return pd.to_datetime(pd.Series(values, dtype=object), format="ISO8601", utc=True).astype(TIME)
    except (ValueError, OverflowError):
        return None
