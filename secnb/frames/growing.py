"""Frames that grow page by page, so that a large table never lies in memory as plain rows.

Each page becomes typed columns as it comes, and its rows are forgotten. The frame in the end is the one
that a single conversion of all rows would have given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from secnb.core.collector import collector_paused
from secnb.core.postgres_reader import OddTime
from secnb.frames.buffers import GrowingSeries, concat
from secnb.frames.quick import kinds_of, quick_series, stored_texts, stored_times
from secnb.frames.typed import empty_series, guess_series, is_time_name, to_series
from secnb.schema import TIME

# What can be kept in a dtype without loss until all pages are there.
_LOSSLESS: Mapping[type, str] = {
    int: "Int64",
    float: "float64",
    str: "str",
    bool: "boolean",
    datetime: TIME,
}
_LAST = np.iinfo(np.int64).max
_Page: TypeAlias = "pd.Series[Any] | list[Any]"


class GrowingFrame:
    """Columns that pages of plain values are added to.

    Parameters
    ----------
    dtypes : mapping of str to str or None
        The columns in the order wanted, with a dtype of the vocabulary; None where the values decide.
    is_backwards : bool
        Whether each page goes before those that were added.
    """

    def __init__(self, dtypes: Mapping[str, str | None], *, is_backwards: bool = False) -> None:
        self.n_rows = 0
        self._columns = {
            name: _Guessed(name, is_backwards=is_backwards)
            if dtype is None
            else _Typed(dtype, is_backwards=is_backwards)
            for name, dtype in dtypes.items()
        }

    def add(self, columns: Mapping[str, Sequence[Any]], n_rows: int) -> None:
        """Add a page; columns that it lacks are missing in all of its `n_rows`."""
        self.n_rows += n_rows
        with collector_paused():
            for name, column in self._columns.items():
                column.add(columns[name] if name in columns else [None] * n_rows)

    def to_frame(self, *, sort_by: Sequence[str] = (), without: Sequence[str] = ()) -> pd.DataFrame:
        """Return the frame, and keep nothing.

        Parameters
        ----------
        sort_by : sequence of str
            Columns that order the rows, what is missing last; empty for the order of the pages.
        without : sequence of str
            Columns that the frame does not have.

        Returns
        -------
        DataFrame
            With a RangeIndex. ``attrs["unreadable"]`` counts, by column, the values that were there but
            could not be read.
        """
        columns, self._columns = self._columns, {}
        unreadable = {name: each.n_unreadable for name, each in columns.items() if each.n_unreadable}
        names = [name for name in columns if name not in without]
        typed = {name: columns.pop(name).joined() for name in sort_by}
        order = _order(list(typed.values()))
        for name in names:
            # Popped, so that the pages of a column are gone before the next one is joined.
            series = typed.pop(name) if name in typed else columns.pop(name).joined()
            typed[name] = series if order is None else series.take(order).reset_index(drop=True)
        typed = {name: typed[name] for name in names}
        frame = pd.DataFrame(typed, index=pd.RangeIndex(self.n_rows), columns=names, copy=False)
        if shown := {name: n for name, n in unreadable.items() if name in typed}:
            frame.attrs["unreadable"] = shown
        return frame


def _order(keys: Sequence[pd.Series[Any]]) -> np.ndarray[Any, Any] | None:
    """Return the positions of the rows in the order of their keys; None where they are in order already."""
    if not keys:
        return None
    ranks = [_rank(key) for key in keys]
    # A row is after the one before it if the first key that differs rises.
    rises, is_tied = np.zeros(max(len(keys[0]) - 1, 0), dtype=bool), np.array(True)
    for rank in ranks:
        rises = rises | (is_tied & (rank[1:] > rank[:-1]))
        is_tied = is_tied & (rank[1:] == rank[:-1])
    return None if bool((rises | is_tied).all()) else np.lexsort(ranks[::-1])


def _rank(key: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """Return a key as whole numbers that sort as it does, what is missing last."""
    if key.dtype == TIME:
        numbers = key.to_numpy(dtype="datetime64[us]").view(np.int64)
        return np.where(key.isna(), _LAST, numbers)
    if key.dtype == "Int64":
        return key.to_numpy(dtype=np.int64, na_value=_LAST)
    ranks, _ = pd.factorize(key.astype(str), sort=True)
    return np.where(key.isna(), _LAST, ranks)


class _Typed:
    """A column whose dtype the vocabulary knows."""

    def __init__(self, dtype: str, *, is_backwards: bool) -> None:
        self._dtype = dtype
        self._series = GrowingSeries(dtype, is_backwards=is_backwards)
        self.n_unreadable = 0

    def add(self, values: Sequence[Any]) -> None:
        page, n_unreadable = to_series(values, self._dtype)
        self._series.add(page)
        self.n_unreadable += n_unreadable

    def joined(self) -> pd.Series[Any]:
        return self._series.joined()


@dataclass
class _Stretch:
    """Pages that follow each other and hold values of one type; plain values where it is None."""

    kind: type | None
    dtype: str | None
    plain: list[list[Any]]
    series: GrowingSeries | None


class _Guessed:
    """A column whose values decide what it is: all of them, not those of the first page.

    A page is kept as a series where that holds every value as it was, else as plain values.
    """

    def __init__(self, name: str, *, is_backwards: bool) -> None:
        self._name, self._is_backwards = name, is_backwards
        self._stretches: list[_Stretch] = []
        self._kinds: set[type | None] = set()
        self.n_unreadable = 0

    def add(self, values: Sequence[Any]) -> None:
        kinds = kinds_of(values)
        if OddTime in kinds and is_time_name(self._name):
            self.n_unreadable += sum(type(value) is OddTime for value in values)
            kinds = kinds_of(values := [None if type(value) is OddTime else value for value in values])
        kind = next(iter(kinds)) if len(kinds) == 1 else None
        page = None if kind is None else self._kept(values, kind)
        if kinds:
            self._kinds.add(None if page is None else kind)
        if page is None:
            self._stretch(None, None).plain.append(list(values))
        elif (series := self._stretch(kind, str(page.dtype)).series) is not None:
            series.add(page)

    def joined(self) -> pd.Series[Any]:
        kind = next(iter(self._kinds)) if len(self._kinds) == 1 else None
        stretches, self._stretches = self._stretches[:: -1 if self._is_backwards else 1], []
        pages = [page for each in stretches for page in self._pages(each)]
        if kind is not None and (series := self._of_one_kind(pages, kind)) is not None:
            return series
        return guess_series([value for page in pages for value in _values(*page)], self._name)

    def _stretch(self, kind: type | None, dtype: str | None) -> _Stretch:
        last = self._stretches[-1] if self._stretches else None
        if last is None or (last.kind, last.dtype) != (kind, dtype):
            series = None if dtype is None else GrowingSeries(dtype, is_backwards=self._is_backwards)
            self._stretches.append(last := _Stretch(kind, dtype, [], series))
        return last

    def _pages(self, stretch: _Stretch) -> list[tuple[type | None, _Page]]:
        if stretch.series is not None:
            return [(stretch.kind, stretch.series.joined())]
        return [(None, page) for page in stretch.plain[:: -1 if self._is_backwards else 1]]

    def _kept(self, values: Sequence[Any], kind: type) -> pd.Series[Any] | None:
        if kind is str and is_time_name(self._name) and (times := stored_times(values)) is not None:
            return times
        is_kept = kind in _LOSSLESS and (kind is not datetime or is_time_name(self._name))
        return quick_series(values, _LOSSLESS[kind], {kind}) if is_kept else None

    def _of_one_kind(self, pages: list[tuple[type | None, _Page]], kind: type) -> pd.Series[Any] | None:
        dtype = _LOSSLESS[kind]
        typed = [empty_series(dtype, len(p)) if isinstance(p, list) else p for _, p in pages]
        if kind is str and is_time_name(self._name):
            times = [p if p.dtype == TIME else guess_series(_values(kind, p), self._name) for p in typed]
            typed = times if all(each.dtype == TIME for each in times) else typed
        return concat(typed, dtype) if len({page.dtype for page in typed}) == 1 else None


def _values(kind: type | None, page: _Page) -> list[Any]:
    if isinstance(page, list):
        return page
    if kind is str and page.dtype == TIME:
        return stored_texts(page)
    values: list[Any] = page.astype(object).where(page.notna(), None).tolist()
    return values
