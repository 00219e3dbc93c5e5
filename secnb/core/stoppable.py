"""Running one statement so that it can be stopped, all rows at once or page by page."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy import Connection, CursorResult, Executable, TextClause
from sqlalchemy.ext.asyncio import AsyncConnection

from secnb.core.collector import collector_paused

_INTERRUPT_TICK_S = 0.05
_PAGE = 10_000

Page = Sequence[Sequence[Any]]


class Batch(Protocol):
    """What comes instead of a page of rows from the reader process: a `pyarrow.RecordBatch`."""

    columns: Sequence[Any]

    def __len__(self) -> int:
        """Return the number of rows."""


Taker = Callable[[list[str]], Callable[[Any], None]]
"""Is told the columns when rows begin, and returns what takes their pages; anew if they begin again."""


HandOver = Callable[["Sent", Page, int], bool]
"""Is asked with each page, and how many rows there are by now, whether somebody else reads the statement."""


@dataclass(frozen=True)
class Sent:
    """A statement as it went to the driver, and the columns of its result.

    Attributes
    ----------
    query : str
    params : sequence
        No part of the repr.
    columns : list of str
    types : list
        What the driver calls the types of the columns; None where it does not say.
    """

    query: str
    params: Sequence[Any] = field(repr=False)
    columns: list[str]
    types: list[Any]


@dataclass(frozen=True)
class Read:
    """What came of one statement."""

    sent: Sent
    rows: Page
    n_rows: int
    is_truncated: bool
    is_handed_over: bool = False


async def stoppable_read(
    connection: AsyncConnection,
    statement: Executable,
    limit: int | None,
    into: Taker | None = None,
    hand_over: HandOver | None = None,
) -> Read:
    """Run the statement so that a cancelled caller leaves no query behind.

    Cancelling aiosqlite alone leaves SQLite at full load until the query ends, so the driver's own
    connection is asked to interrupt it. asyncpg cancels on the server by itself.
    """
    raw = await connection.get_raw_connection()
    interrupt = getattr(raw.driver_connection, "interrupt", None)
    inner = asyncio.ensure_future(connection.run_sync(_read, statement, limit, into, hand_over))
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


def _read(
    connection: Connection,
    statement: Executable,
    limit: int | None,
    into: Taker | None,
    hand_over: HandOver | None,
) -> Read:
    # Streamed, the driver hands over only what is asked for; a million rows stay where they are.
    is_streamed = limit is not None or into is not None
    result = connection.execute(statement, execution_options={"stream_results": is_streamed})
    sent = _sent(result)
    if not is_streamed:
        with collector_paused():
            # Text keeps the driver's own tuples, several times faster than SQLAlchemy's rows.
            source: Any = result.cursor if isinstance(statement, TextClause) and result.cursor else result
            rows = source.fetchall()
        return Read(sent, rows, len(rows), is_truncated=False)
    rows, n_rows = [], 0
    take = rows.extend if into is None else into(sent.columns)
    for page in _pages(result, statement, limit):
        # Nothing is left to read after a page that is not full, or that has the row beyond the limit.
        is_end = (n_rows and len(page) < _PAGE) or (limit is not None and n_rows + len(page) > limit)
        if hand_over is not None and not is_end and hand_over(sent, page, n_rows + len(page)):
            return Read(sent, (), n_rows, is_truncated=False, is_handed_over=True)
        kept = page if limit is None else page[: limit - n_rows]
        n_rows += len(kept)
        take(kept)
        if len(kept) < len(page):
            return Read(sent, rows, n_rows, is_truncated=True)
    return Read(sent, rows, n_rows, is_truncated=False)


def _sent(result: CursorResult[Any]) -> Sent:
    context: Any = result.context
    params = tuple(context.parameters[0]) if context.parameters else ()
    described = result.cursor.description if result.cursor is not None else ()
    return Sent(str(context.statement), params, list(result.keys()), [each[1] for each in described or ()])


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
