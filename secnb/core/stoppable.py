"""Running one statement so that it can be stopped, all rows at once or page by page."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, CursorResult, Executable, TextClause
from sqlalchemy.ext.asyncio import AsyncConnection

from secnb.core.collector import collector_paused

_INTERRUPT_TICK_S = 0.05
_PAGE = 10_000

Page = Sequence[Sequence[Any]]
Taker = Callable[[list[str]], Callable[[Page], None]]
"""Is told the columns when rows begin, and returns what takes their pages; anew if they begin again."""


@dataclass(frozen=True)
class Read:
    """What came of one statement."""

    columns: list[str]
    rows: Page
    n_rows: int
    is_truncated: bool


async def stoppable_read(
    connection: AsyncConnection, statement: Executable, limit: int | None, into: Taker | None = None
) -> Read:
    """Run the statement so that a cancelled caller leaves no query behind.

    Cancelling aiosqlite alone leaves SQLite at full load until the query ends, so the driver's own
    connection is asked to interrupt it. asyncpg cancels on the server by itself.
    """
    raw = await connection.get_raw_connection()
    interrupt = getattr(raw.driver_connection, "interrupt", None)
    inner = asyncio.ensure_future(connection.run_sync(_read, statement, limit, into))
    try:
        return await asyncio.shield(inner)
    except asyncio.CancelledError:
        if interrupt is None:
            inner.cancel()
        while not inner.done():
            # A second cancellation is no news; to leave now would leave the query behind.
            with contextlib.suppress(asyncio.CancelledError):
                if interrupt is not None:
                    await interrupt()
                await asyncio.wait({inner}, timeout=_INTERRUPT_TICK_S)
        inner.cancelled() or inner.exception()  # marks the outcome as seen
        raise


def _read(connection: Connection, statement: Executable, limit: int | None, into: Taker | None) -> Read:
    # Streamed, the driver hands over only what is asked for; a million rows stay where they are.
    is_streamed = limit is not None or into is not None
    result = connection.execute(statement, execution_options={"stream_results": is_streamed})
    columns = list(result.keys())
    if not is_streamed:
        with collector_paused():
            # Text keeps the driver's own tuples, several times faster than SQLAlchemy's rows.
            source: Any = result.cursor if isinstance(statement, TextClause) and result.cursor else result
            rows = source.fetchall()
        return Read(columns, rows, len(rows), is_truncated=False)
    rows, n_rows = [], 0
    take = rows.extend if into is None else into(columns)
    for page in _pages(result, statement, limit):
        kept = page if limit is None else page[: limit - n_rows]
        n_rows += len(kept)
        take(kept)
        if len(kept) < len(page):
            return Read(columns, rows, n_rows, is_truncated=True)
    return Read(columns, rows, n_rows, is_truncated=False)


def _pages(result: CursorResult[Any], statement: Executable, limit: int | None) -> Iterator[Page]:
    """Yield pages of rows, up to one row more than the limit."""
    left = math.inf if limit is None else limit + 1
    # SQLAlchemy has taken the first row off the cursor; the others of a text are read past it.
    page: Page = [tuple(row) for row in result.fetchmany(1)]
    source: Any = result.cursor if isinstance(statement, TextClause) and result.cursor else result
    while page:
        left -= len(page)
        yield page
        page = source.fetchmany(int(min(_PAGE, left))) if left else ()
