"""Columns of Arrow as the values of a page, which become the same series as plain values would.

What is quick comes straight from Arrow's arrays. Everything else goes through the plain values, which an
`ArrowValues` gives to whoever goes through it, and so through the tolerant way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, SupportsIndex, overload

import numpy as np
import pandas as pd

from secnb.frames.storedtimes import FIRST_TIME, STORED_TIME, has_stored_form
from secnb.schema import TIME

try:
    import pyarrow as pa
except ImportError:  # then no page is of Arrow's
    pa = None


class ArrowValues(Sequence[Any]):
    """The values of one column, which stay in an array until they are asked for.

    Parameters
    ----------
    array : pyarrow.Array
        Of int64, double, string, bool or timestamp[us]. A time with a zone is one in UTC.

    Attributes
    ----------
    kinds : set of type
        The type of the values that are there; empty where none is.
    """

    def __init__(self, array: Any) -> None:
        self._array = array
        kind = None if array.null_count == len(array) else _kind(array.type)
        self.kinds: set[type] = set() if kind is None else {kind}

    def __len__(self) -> int:
        return len(self._array)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._plain)

    @overload
    def __getitem__(self, place: SupportsIndex) -> Any: ...

    @overload
    def __getitem__(self, place: slice) -> list[Any]: ...

    def __getitem__(self, place: Any) -> Any:
        return self._plain[place]

    def count(self, value: Any) -> int:
        """Return how often a value occurs; None at once."""
        return int(self._array.null_count) if value is None else self._plain.count(value)

    def series(self, dtype: str) -> pd.Series[Any] | None:
        """Return a series of `dtype`, or None where that takes a closer look at the values."""
        kind = next(iter(self.kinds), None)
        if kind is str and dtype == "str":
            return _texts(self._array)
        if kind is int and dtype == "Int64":
            return pd.Series(pd.arrays.IntegerArray(self._numbers(np.int64), self._is_missing()))
        if kind in (int, float) and dtype == "float64":
            return pd.Series(self._array.to_numpy(zero_copy_only=False).astype(np.float64))
        if kind is bool and dtype == "boolean":
            truths = self._array.fill_null(False).to_numpy(zero_copy_only=False)
            return pd.Series(pd.arrays.BooleanArray(truths, self._is_missing()))
        if kind is int and dtype == "boolean":
            numbers, is_missing = self._numbers(np.int64), self._is_missing()
            if np.isin(numbers[~is_missing], (0, 1)).all():
                return pd.Series(pd.arrays.BooleanArray(numbers.astype(np.bool_), is_missing))
        if kind is datetime and dtype == TIME:
            return _times(self._array)
        return self.stored_times() if kind is str and dtype == TIME else None

    def stored_times(self) -> pd.Series[Any] | None:
        """Return text as times if all of it has the form in which SQLAlchemy stores them, else None."""
        letters = _letters(self._array, len(STORED_TIME))
        if letters is None or not has_stored_form(letters):
            return None
        try:
            times = _times(self._array.cast(pa.timestamp("us")))
        except pa.ArrowInvalid:
            return None
        # The year 0 is none.
        return None if times.min() < FIRST_TIME else times

    def _numbers(self, dtype: Any) -> np.ndarray[Any, Any]:
        numbers: np.ndarray[Any, Any] = self._array.fill_null(0).to_numpy(zero_copy_only=False)
        return numbers.astype(dtype, copy=False)

    def _is_missing(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        return np.asarray(self._array.is_null().to_numpy(zero_copy_only=False))

    @cached_property
    def _plain(self) -> list[Any]:
        values: list[Any] = self._array.to_pylist()
        if self.kinds == {datetime} and self._array.type.tz is not None:
            # As the driver gives them; which class says UTC is visible where the values stay objects.
            return [None if each is None else each.astimezone(UTC) for each in values]
        return values


def _kind(arrow: Any) -> type:
    kinds = {pa.int64(): int, pa.float64(): float, pa.string(): str, pa.bool_(): bool}
    return kinds.get(arrow, datetime)


def _texts(array: Any) -> pd.Series[Any]:
    # A copy, since what came lies in one piece of memory with the columns that are done with.
    own = array.cast(pa.large_string()).copy_to(pa.default_cpu_memory_manager())
    return pd.Series(pd.array(own, dtype="str"))


def _times(array: Any) -> pd.Series[Any]:
    return pd.Series(array.to_numpy(zero_copy_only=False)).dt.tz_localize("UTC")


def _letters(array: Any, length: int) -> np.ndarray[Any, np.dtype[np.uint8]] | None:
    """Return texts that all have a length as one row of letters for each; None where one has not."""
    there = array.drop_null()
    _, offsets, letters = there.buffers()
    places = np.frombuffer(offsets, np.int32)[there.offset : there.offset + len(there) + 1]
    if not len(there) or (np.diff(places) != length).any():
        return None
    return np.frombuffer(letters, np.uint8)[places[0] : places[-1]].reshape(-1, length)
