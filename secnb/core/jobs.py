"""One read of a database: what was asked for and within which limits, and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from numbers import Integral
from typing import Any, Final

from sqlalchemy import Executable, SelectBase, func, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from secnb.core.bulk_reader import HandOver
from secnb.core.statement import to_count, to_statement
from secnb.core.stoppable import Page, Sent, Taker, stoppable_read
from secnb.errors import BadInputError

COUNT_S: Final = 2.0
"""How long the rows that a cap leaves out are counted."""
EXPLAIN: Final = "EXPLAIN "
"""What makes a database prepare a statement without running it."""


@dataclass(frozen=True)
class Rows:
    """Plain rows of one statement, and how they were got.

    Attributes
    ----------
    sent : Sent
        The statement, and what the database calls its columns.
    rows : sequence of tuple
        Values as the driver gives them; empty where a taker has got them.
    total : int or None
        The number of rows without the cap; None where it is not known.
    is_truncated : bool
        Whether the cap left rows out.
    seconds : float
        How long the database took.
    read_at : datetime
        When the read began, UTC.
    source : str
        ``"live file"``, ``"file at rest"``, ``"private copy"`` or ``"server"``.
    path : str
        ``"rows"`` through Python, in the kernel, or ``"arrow"`` from the reader process.
    why_rows : str or None
        Why a large result did not come as Arrow.
    """

    sent: Sent = field(repr=False)
    rows: Page
    total: int | None
    is_truncated: bool
    seconds: float
    read_at: datetime
    source: str
    path: str = "rows"
    why_rows: str | None = None

    @property
    def columns(self) -> list[str]:
        """Names in the order of the statement."""
        return self.sent.columns


@dataclass(frozen=True)
class Job:
    """One read: the statement as it was given and as it is run, and its limits.

    Attributes
    ----------
    hand_over : HandOver or None
        Decides whether the reader process takes over; None where it may not.
    is_whole : bool
        Whether the reader process reads from the beginning, and nobody else will.
    """

    query: str | Executable
    params: Mapping[str, Any] | None
    statement: Executable
    limit: int | None
    timeout_s: float | None
    into: Taker | None
    hand_over: HandOver | None = None
    is_whole: bool = False

    def counting(self, dialect: str) -> Executable:
        """Return the statement that counts the rows without the cap."""
        if isinstance(self.query, str):
            return to_statement(to_count(self.query), self.params, dialect=dialect)
        if isinstance(self.statement, SelectBase):
            return select(func.count()).select_from(self.statement.subquery())
        return text(to_count(str(self.statement)))

    def explaining(self, dialect: str) -> Executable:
        """Return the statement, of a text, with `EXPLAIN` before it."""
        return to_statement(f"{EXPLAIN}{self.query}", self.params, dialect=dialect)


async def count_rows(connection: AsyncConnection, job: Job) -> int | None:
    """Return how many rows there are without the cap, or None if that takes too long to find out."""
    try:
        async with asyncio.timeout(COUNT_S):
            read = await stoppable_read(connection, job.counting(connection.dialect.name), None)
        return int(read.rows[0][0])
    except (SQLAlchemyError, TimeoutError):
        return None


def check_limits(limit: int | None, timeout_s: float | None = None) -> None:
    """Refuse a row cap or a time limit that is none.

    Raises
    ------
    BadInputError
        With the value seen and those allowed.
    """
    is_whole = isinstance(limit, Integral) and not isinstance(limit, bool)
    if limit is not None and not (is_whole and 0 <= limit < 2**31):
        raise BadInputError(f"limit is {limit!r}. Allowed: a whole number from 0, or None for all rows.")
    is_number = isinstance(timeout_s, int | float) and not isinstance(timeout_s, bool)
    if timeout_s is not None and not (is_number and timeout_s > 0):
        raise BadInputError(f"timeout_s is {timeout_s!r}. Allowed: seconds above 0, or None for no limit.")
