"""Series of one dtype that grow by pages, in no more memory than they need in the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from secnb.frames.typed import empty_series
from secnb.schema import TIME

# What lies in a plain array, beside which a second one may say what is missing.
_NUMBERS: Mapping[str, Any] = {
    "Int64": np.int64,
    "boolean": np.bool_,
    "float64": np.float64,
    TIME: "datetime64[us]",
    "object": np.object_,
}
_MASKED: Mapping[str, Any] = {"Int64": pd.arrays.IntegerArray, "boolean": pd.arrays.BooleanArray}
# Small, since new room is filled with zeros, and so is memory in use.
_GROWTH = 1.125


class GrowingSeries:
    """A series that pages are added to.

    Joining pages at the end would take the memory of all of them twice. So numbers go into one array that
    grows in place, and the pages of text stay what they are, parts of one series.

    Parameters
    ----------
    dtype : str
        One of the vocabulary.
    is_backwards : bool
        Whether each page goes before those that were added.
    """

    def __init__(self, dtype: str, *, is_backwards: bool = False) -> None:
        self._dtype, self._is_backwards = dtype, is_backwards
        self._pages: list[pd.Series[Any]] = []
        self._numbers = _Buffer(_NUMBERS[dtype], is_backwards) if dtype in _NUMBERS else None
        self._is_missing = _Buffer(np.bool_, is_backwards) if dtype in _MASKED else None

    def add(self, page: pd.Series[Any]) -> None:
        """Add a page, a series of the dtype."""
        if self._numbers is None:
            self._pages.append(page)
        elif self._is_missing is None:
            self._numbers.add(page.to_numpy(dtype=_NUMBERS[self._dtype]))
        else:
            self._numbers.add(page.to_numpy(dtype=_NUMBERS[self._dtype], na_value=0))
            self._is_missing.add(page.isna().to_numpy())

    def joined(self) -> pd.Series[Any]:
        """Return the series, and keep nothing."""
        if self._numbers is None:
            pages, self._pages = self._pages, []
            return concat(pages[::-1] if self._is_backwards else pages, self._dtype)
        numbers = self._numbers.taken()
        if self._is_missing is not None:
            return pd.Series(_MASKED[self._dtype](numbers, self._is_missing.taken()), copy=False)
        # Objects that happen to be text would else become a series of text.
        series: pd.Series[Any] = pd.Series(numbers, dtype=numbers.dtype, copy=False)
        return series.dt.tz_localize("UTC") if self._dtype == TIME else series


def concat(pages: list[pd.Series[Any]], dtype: str) -> pd.Series[Any]:
    """Return pages of one dtype as one series."""
    if len(pages) < 2:
        return pages[0] if pages else empty_series(dtype, 0)
    return pd.concat(pages, ignore_index=True)


class _Buffer:
    """An array that grows in place."""

    def __init__(self, dtype: Any, is_backwards: bool) -> None:
        self._array = np.empty(0, dtype=dtype)
        self._n, self._is_backwards = 0, is_backwards

    def add(self, page: np.ndarray[Any, Any]) -> None:
        end = self._n + len(page)
        if end > len(self._array):
            self._array.resize(max(end, int(len(self._array) * _GROWTH)), refcheck=False)
        self._array[self._n : end] = page[::-1] if self._is_backwards else page
        self._n = end

    def taken(self) -> np.ndarray[Any, Any]:
        """Return what was added, and keep nothing."""
        array, self._array = self._array, np.empty(0, dtype=self._array.dtype)
        array.resize(self._n, refcheck=False)
        if self._is_backwards:
            half = self._n // 2
            first = array[:half].copy()
            array[:half] = array[::-1][:half]
            array[self._n - half :] = first[::-1]
        return array
