"""Whole tables and free queries, read page by page, and each page typed as it comes.

A table is read in pages that each have a transaction of their own; a free query is one statement. What
is large is one statement in either case, run by the reader process, and what came before is dropped.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pandas as pd
from sqlalchemy import Executable

from secnb.core.bulk_process import BulkError
from secnb.core.bulk_reader import HandOver
from secnb.core.reader import COUNT_S, DatabaseReader, Rows, check_limits
from secnb.core.stoppable import Batch, Page
from secnb.errors import QueryTimeoutError
from secnb.frames.bounds import time_conditions, warn_of_numbers
from secnb.frames.growing import GrowingFrame
from secnb.frames.notes import mask_params, note_rows, warn_truncated
from secnb.frames.typed import mask_secrets, to_columns, unique_names
from secnb.schema import TIME

_PAGE = 50_000
# A first page that is full tells that a table is large.
_FIRST_PAGE = 10_001

Columns = Mapping[str, Sequence[Any]]
Shape = Callable[[dict[str, Sequence[Any]], int], Columns]
"""Makes a frame's columns of a page from its stored ones and its number of rows."""


@dataclass(frozen=True)
class Selection:
    """Which rows of one table are wanted.

    Attributes
    ----------
    table : str
        Its name in the database.
    columns : mapping of str to str
        The database's column by the frame's column.
    where : sequence of str
        Conditions in SQL that all hold; their parameters are in `params`.
    params : mapping of str to object
        Values by name.
    ordered_by : str or None
        The database's column that orders rows in time; None to order by `key` alone.
    key : sequence of str
        The database's columns that together tell rows apart; never NULL.
    since, until : datetime or None
        ``since <= ordered_by < until``, aware.
    limit : int or None
        At most so many rows, the newest; None for all.
    """

    table: str
    columns: Mapping[str, str]
    where: Sequence[str] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    ordered_by: str | None = None
    key: Sequence[str] = ("id",)
    since: datetime | None = None
    until: datetime | None = None
    limit: int | None = None


async def read_pages(
    reader: DatabaseReader,
    selection: Selection,
    dtypes: Mapping[str, str | None],
    *,
    shape: Shape | None = None,
    on_page: Callable[[int], None] = lambda _: None,
) -> pd.DataFrame:
    """Return the rows of a selection as a frame, sorted by time, then key; rows without a time come last.

    Pages are read from the newest backwards: new rows come at the end that was read first, so they
    neither shift a page nor repeat a row. A large table is read anew by the reader process, in one
    statement, which takes less time than a few pages.

    Parameters
    ----------
    reader : DatabaseReader
    selection : Selection
    dtypes : mapping of str to str or None
        The frame's columns in their order, with their dtypes; None where the values decide.
    shape : callable, optional
        Makes the frame's columns of a page from the stored ones and the number of rows: masks secrets,
        derives columns. None to take them as they are.
    on_page : callable
        Is told after each page how many rows there are.

    Returns
    -------
    DataFrame
        With ``attrs`` that say how its rows were got. A `TruncatedWarning` says what a limit left out.

    Raises
    ------
    BadInputError
        If the limit is none.
    """
    check_limits(selection.limit)
    started = time.perf_counter()
    keys = _keys(selection, dtypes)
    kinds = {name: TIME if column == selection.ordered_by else None for column, name in keys.items()}
    hidden = {name: kind for name, kind in kinds.items() if name not in dtypes}
    where, params = _conditions(reader, selection)
    stored = _stored(selection)

    def begin(*, is_backwards: bool) -> tuple[GrowingFrame, Callable[[Page | Batch], None]]:
        growing = GrowingFrame({**dtypes, **hidden}, is_backwards=is_backwards)

        def take(rows: Page | Batch) -> None:
            read = to_columns(stored, rows)
            columns: Columns = {name: read[column] for name, column in selection.columns.items()}
            shown = shape(dict(columns), len(rows)) if shape else columns
            growing.add({**{name: read[key] for key, name in keys.items()}, **shown}, len(rows))
            on_page(growing.n_rows)

        return growing, take

    growing, take = begin(is_backwards=True)
    hand_over = reader.hand_over(is_paged=True)
    async with aclosing(_pages(reader, selection, where, params)) as pages:
        async for page in pages:
            is_full = len(page.rows) in (_FIRST_PAGE, _PAGE) and not page.is_truncated
            if is_full and hand_over(page.sent, page.rows, growing.n_rows + len(page.rows)):
                whole, take_whole = begin(is_backwards=False)
                try:
                    page = await _read_whole(reader, selection, where, params, hand_over, take_whole)
                except BulkError:
                    # The pages go on, and ask again unless it was refused for good.
                    on_page(growing.n_rows)
                else:
                    growing = whole
                    break
            take(page.rows[::-1])
    n_rows = growing.n_rows
    total: int | None = n_rows
    if page.is_truncated:
        total = await _total(reader, selection.table, where, params)
        warn_truncated(n_rows, total, what=f"{selection.table}, the newest", hint="limit=None reads all.")
    frame = growing.to_frame(sort_by=list(keys.values()), without=list(hidden))
    if selection.since is not None and selection.ordered_by is not None:
        more = {"where": selection.where, "params": selection.params}
        await warn_of_numbers(frame, reader, selection.table, selection.ordered_by, **more)
    last = replace(page, rows=(), total=total, seconds=time.perf_counter() - started, why_rows=hand_over.why)
    bounds = {"since": selection.since, "until": selection.until}
    given = dict(selection.params) | {name: stamp for name, stamp in bounds.items() if stamp is not None}
    return note_rows(frame, last, table=selection.table, params=given)


async def read_query(
    reader: DatabaseReader,
    query: str | Executable,
    params: Mapping[str, Any] | None = None,
    *,
    limit: int | None = None,
    timeout_s: float | None = 30.0,
    on_page: Callable[[int], None] = lambda _: None,
) -> pd.DataFrame:
    """Return the rows of one statement as a frame, typed as they come; secrets are masked.

    Parameters and errors are those of `secnb.core.reader.DatabaseReader.fetch`; `on_page` is told after
    each page how many rows there are. A `TruncatedWarning` says what a limit left out.
    """
    growing = GrowingFrame({})

    def begin(columns: list[str]) -> Callable[[Page | Batch], None]:
        nonlocal growing
        names = unique_names(columns)
        growing = GrowingFrame(dict.fromkeys(names))

        def take(page: Page | Batch) -> None:
            growing.add(mask_secrets(to_columns(names, page)), len(page))
            on_page(growing.n_rows)

        return take

    hand_over = reader.hand_over()
    rows = await reader.fetch(
        query, params, limit=limit, timeout_s=timeout_s, into=begin, hand_over=hand_over
    )
    frame = growing.to_frame()
    if rows.is_truncated:
        warn_truncated(len(frame), rows.total, what="rows", hint="limit=None shows all.")
    return note_rows(frame, rows, query=str(query), params=mask_params(params))


async def _total(
    reader: DatabaseReader, table: str, where: Sequence[str], params: Mapping[str, Any]
) -> int | None:
    """Return how many rows there are without the limit, or None if that takes too long to find out."""
    counting = f"SELECT count(*) FROM {quoted(table)} WHERE {' AND '.join(where) or '1 = 1'}"  # noqa: S608
    try:
        return int((await reader.fetch(counting, params, timeout_s=COUNT_S)).rows[0][0])
    except QueryTimeoutError:
        return None


def _keys(selection: Selection, dtypes: Mapping[str, str | None]) -> dict[str, str]:
    """Return, by the database's column, what orders the frame: its own column where it has it."""
    time_first = [] if selection.ordered_by is None else [selection.ordered_by]
    shown = {column: name for name, column in selection.columns.items() if name in dtypes}
    # No name in a database holds this sign.
    return {column: shown.get(column, f"\0{column}") for column in [*time_first, *selection.key]}


def _stored(selection: Selection) -> list[str]:
    """Return the columns to read, each once: those of the frame, and those that order it."""
    return list(dict.fromkeys([*selection.columns.values(), *_keys(selection, {})]))


def _conditions(reader: DatabaseReader, selection: Selection) -> tuple[list[str], dict[str, Any]]:
    where, params = list(selection.where), dict(selection.params)
    if selection.ordered_by is not None:
        column = quoted(selection.ordered_by)
        bounds = time_conditions(column, selection.since, selection.until, dialect=reader.dialect)
        where, params = [*where, *bounds[0]], {**params, **bounds[1]}
    return where, params


def _parts(selection: Selection) -> list[tuple[list[str], list[str]]]:
    """Return the keys that order each part, and the condition for it; the parts are read in turn."""
    key, ordered_by = list(selection.key), selection.ordered_by
    has_bounds = selection.since is not None or selection.until is not None
    # All rows of a table come quickest in the order of its key, with or without an index on the time.
    if ordered_by is None or (selection.limit is None and not has_bounds):
        return [(key, [])]
    if has_bounds:
        return [([ordered_by, *key], [])]
    # Rows without a time have no place among the others.
    column = quoted(ordered_by)
    return [([ordered_by, *key], [f"{column} IS NOT NULL"]), (key, [f"{column} IS NULL"])]


async def _pages(
    reader: DatabaseReader, selection: Selection, where: Sequence[str], params: Mapping[str, Any]
) -> AsyncGenerator[Rows, None]:
    """Read from the newest backwards."""
    stored = _stored(selection)
    n_rows = 0
    for keys, condition in _parts(selection):
        order = _order(keys)
        place = f"({', '.join(map(quoted, keys))}) < ({', '.join(f':last_{i}' for i in range(len(keys)))})"
        last: dict[str, Any] = {}
        while True:
            size = _PAGE if n_rows else min(_PAGE, _FIRST_PAGE)
            size = size if selection.limit is None else min(size, selection.limit + 1 - n_rows)
            conditions = " AND ".join([*where, *condition, *([place] if last else [])]) or "1 = 1"
            page = await reader.fetch(
                f"{_select(selection)} WHERE {conditions} ORDER BY {order} LIMIT {size}",
                {**params, **last},
            )
            n_rows += len(page.rows)
            if selection.limit is not None and n_rows > selection.limit:
                # The row beyond the limit only tells that there are more.
                yield replace(page, rows=page.rows[:-1], is_truncated=True)
                return
            yield page
            if len(page.rows) < size:
                break
            last = {f"last_{i}": page.rows[-1][stored.index(key)] for i, key in enumerate(keys)}


async def _read_whole(
    reader: DatabaseReader,
    selection: Selection,
    where: Sequence[str],
    params: Mapping[str, Any],
    hand_over: HandOver,
    take: Callable[[Page | Batch], None],
) -> Rows:
    """Read in one statement for each part, in any order; the frame is sorted in the end."""
    n_rows = 0

    def begin(_: list[str]) -> Callable[[Batch], None]:
        def count(batch: Batch) -> None:
            nonlocal n_rows
            n_rows += len(batch)
            take(batch)

        return count

    for keys, condition in _parts(selection):
        left = None if selection.limit is None else selection.limit - n_rows
        conditions = " AND ".join([*where, *condition]) or "1 = 1"
        newest = "" if left is None else f" ORDER BY {_order(keys)} LIMIT {left + 1}"
        rows = await reader.fetch_whole(
            f"{_select(selection)} WHERE {conditions}{newest}",
            params,
            limit=left,
            into=begin,
            hand_over=hand_over,
        )
        if rows.is_truncated:
            break
    return rows


def _select(selection: Selection) -> str:
    return f"SELECT {', '.join(map(quoted, _stored(selection)))} FROM {quoted(selection.table)}"  # noqa: S608


def _order(keys: Sequence[str]) -> str:
    return ", ".join(f"{quoted(key)} DESC" for key in keys)


def quoted(name: str) -> str:
    """Return a name as SQL."""
    return '"' + name.replace('"', '""') + '"'
