"""Reading a deployment's database: one statement, one short transaction that is always rolled back.

`DatabaseReader` holds the deployment's own engine. It never writes, never leaves a transaction open
between two calls, and stops the query on the server when the caller stops waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from numbers import Integral
from typing import Any

from sqlalchemy import Executable, SelectBase, TextClause, func, select, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from secnb.core.driver_errors import ERRORS, explained, is_undecodable, original_of
from secnb.core.postgres_reader import CONNECT_S, begin_reading, postgres_engine, read_odd_times
from secnb.core.sqlite_reader import FileState, SQLiteFile
from secnb.core.statement import check_reads, to_count, to_statement
from secnb.core.stoppable import Page, Taker, stoppable_read
from secnb.core.url import mask_url, parse_database_url, sqlite_path
from secnb.errors import (
    BadInputError,
    DatabaseNotFoundError,
    QueryError,
    QueryTimeoutError,
    SecnbError,
    UnreachableError,
)

COUNT_S = 2.0
"""How long the rows that a cap leaves out are counted."""

_ATTEMPTS = 3


@dataclass(frozen=True)
class Rows:
    """Plain rows of one statement, and how they were got.

    Attributes
    ----------
    columns : list of str
        Names in the order of the statement.
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
    """

    columns: list[str]
    rows: Page
    total: int | None
    is_truncated: bool
    seconds: float
    read_at: datetime
    source: str


@dataclass(frozen=True)
class _Job:
    """One read: the statement as it was given and as it is run, and its limits."""

    query: str | Executable
    params: Mapping[str, Any] | None
    statement: Executable
    limit: int | None
    timeout_s: float | None
    into: Taker | None

    def counting(self, dialect: str) -> Executable:
        """Return the statement that counts the rows without the cap."""
        if isinstance(self.query, str):
            return to_statement(to_count(self.query), self.params, dialect=dialect)
        if isinstance(self.statement, SelectBase):
            return select(func.count()).select_from(self.statement.subquery())
        return text(to_count(str(self.statement)))


class DatabaseReader:
    """A database that is only read.

    Parameters
    ----------
    url : str
        SQLite or PostgreSQL, with or without a driver.

    Raises
    ------
    SettingsError
        If the URL cannot be read.
    DatabaseNotFoundError
        If a SQLite file is not there.
    """

    def __init__(self, url: str) -> None:
        parsed = parse_database_url(url)
        self.dialect = parsed.get_backend_name()
        self.shown_url = mask_url(url)
        self._file: SQLiteFile | None = None
        self._is_tolerant = False
        if self.dialect == "sqlite":
            path = sqlite_path(url)
            if path is None:
                raise DatabaseNotFoundError(
                    "A database in memory belongs to the process that made it; there is nothing to look at.",
                    hint="use a file: sqlite:///data/security.db.",
                )
            self._file = SQLiteFile(path)
            self._engine = self._file.engine()
        else:
            self._engine = postgres_engine(parsed)

    async def fetch(
        self,
        query: str | Executable,
        params: Mapping[str, Any] | None = None,
        *,
        limit: int | None = None,
        timeout_s: float | None = 30.0,
        into: Taker | None = None,
    ) -> Rows:
        """Return the rows of one reading statement, or hand them over page by page.

        Parameters
        ----------
        query : str or sqlalchemy.Executable
            One statement; ``:name`` is a parameter for the names in `params`.
        limit : int, optional
            At most so many rows, and what is left out is counted if that takes at most 2 s; None for all.
        timeout_s : float, optional
            Seconds until the query is stopped; None for no limit.
        into : callable, optional
            Takes pages of rows as they come, so that a large result never lies in memory as a whole.

        Raises
        ------
        ReadOnlyError
            If the statement would write.
        QueryError
            If the database rejects it.
        QueryTimeoutError
            If it takes longer than `timeout_s`.
        UnreachableError
            If the database does not answer.
        """
        check_limits(limit, timeout_s)
        if isinstance(query, str | TextClause) and self.dialect == "postgresql":
            check_reads(str(query))
        job = _Job(query, params, to_statement(query, params, dialect=self.dialect), limit, timeout_s, into)
        try:
            async with asyncio.timeout(timeout_s) as limit_of_query:
                return await self._fetch_unchanged(job)
        except TimeoutError as exc:
            if not limit_of_query.expired():
                raise UnreachableError(
                    f"{self.shown_url} does not answer: no answer within {CONNECT_S:g} s."
                ) from exc
            raise QueryTimeoutError(
                f"The query was stopped after {timeout_s} s:\n{_shown(query)}",
                hint="narrow it down, or pass timeout_s=.",
            ) from exc
        except (OverflowError, ValueError) as exc:
            if isinstance(exc, SecnbError):
                raise
            raise QueryError(f"A value that goes out or comes in is beyond what can be: {exc}.") from exc
        except ERRORS as exc:
            if isinstance(exc, SecnbError):
                raise
            original = original_of(exc).with_traceback(None)
            raise await explained(exc, self.shown_url, self.fetch_tables) from original

    async def ping(self) -> str:
        """Return the version of the database; raises as `fetch` does."""
        query = "SELECT sqlite_version()" if self.dialect == "sqlite" else "SHOW server_version"
        try:
            fetched = await self.fetch(query, timeout_s=CONNECT_S)
        except QueryTimeoutError as exc:
            raise UnreachableError(f"{self.shown_url} does not answer within {CONNECT_S:g} s.") from exc
        return str(fetched.rows[0][0])

    async def fetch_tables(self) -> list[str]:
        """Return the names of the tables and views, sorted."""
        return [str(row[0]) for row in (await self.fetch(_TABLES[self.dialect])).rows]

    async def fetch_columns(self, table: str) -> list[str]:
        """Return the column names of `table` in their order; empty if there is no such table."""
        query = _COLUMNS[self.dialect]
        return [str(row[0]) for row in (await self.fetch(query, {"table_name": table})).rows]

    async def close(self) -> None:
        """Close all connections; idempotent."""
        await self._engine.dispose()
        if self._file is not None:
            self._file.close()

    async def _fetch_unchanged(self, job: _Job) -> Rows:
        """Read, and read again if a file that was taken for a file at rest changed meanwhile."""
        for _ in range(_ATTEMPTS):
            before = FileState.of(self._file.path) if self._file else None
            try:
                fetched = await self._fetch_once(job)
            except (DBAPIError, sqlite3.OperationalError) as exc:
                if self._file is None or self._file.is_tolerant or not is_undecodable(exc):
                    raise
                self._file.is_tolerant = True
                continue
            except (OverflowError, ValueError) as exc:
                # asyncpg has met a time that Python cannot hold.
                if self._file is not None or self._is_tolerant or isinstance(exc, UnicodeError):
                    raise
                self._is_tolerant = True
                continue
            if fetched.source != "file at rest" or (self._file and FileState.of(self._file.path) == before):
                return fetched
        raise UnreachableError(
            f"{self.shown_url} changed during each of {_ATTEMPTS} attempts to read it.",
            hint="try again; a service may just be starting.",
        )

    async def _fetch_once(self, job: _Job) -> Rows:
        read_at, started = datetime.now(UTC), time.perf_counter()
        async with self._connection(job.timeout_s) as connection:
            source = await _source(connection)
            read = await stoppable_read(connection, job.statement, job.limit, job.into)
            total = await _count(connection, job) if read.is_truncated else read.n_rows
        return Rows(
            columns=read.columns,
            rows=read.rows,
            total=total,
            is_truncated=read.is_truncated,
            seconds=time.perf_counter() - started,
            read_at=read_at,
            source=source,
        )

    @contextlib.asynccontextmanager
    async def _connection(self, timeout_s: float | None) -> AsyncIterator[AsyncConnection]:
        async with self._engine.connect() as connection:
            if self.dialect == "postgresql":
                if self._is_tolerant:
                    await read_odd_times(connection)
                await begin_reading(connection, timeout_s)
            yield connection
            # Leaving without commit rolls back, whatever the statement was.


_TABLES = {
    "sqlite": "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' "
    "ORDER BY name",
    "postgresql": "SELECT table_name FROM information_schema.tables WHERE table_schema = ANY "
    "(current_schemas(false)) ORDER BY table_name",
}
_COLUMNS = {
    "sqlite": "SELECT name FROM pragma_table_info(:table_name)",
    "postgresql": "SELECT column_name FROM information_schema.columns WHERE table_name = :table_name AND "
    "table_schema = ANY (current_schemas(false)) ORDER BY ordinal_position",
}


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
    if timeout_s is not None and not (isinstance(timeout_s, int | float) and timeout_s > 0):
        raise BadInputError(f"timeout_s is {timeout_s!r}. Allowed: seconds above 0, or None for no limit.")


async def _source(connection: AsyncConnection) -> str:
    raw = await connection.get_raw_connection()
    return str(getattr(raw.driver_connection, "source", "server"))


async def _count(connection: AsyncConnection, job: _Job) -> int | None:
    """Return how many rows there are without the cap, or None if that takes too long to find out."""
    try:
        async with asyncio.timeout(COUNT_S):
            read = await stoppable_read(connection, job.counting(connection.dialect.name), None)
        return int(read.rows[0][0])
    except (SQLAlchemyError, TimeoutError):
        return None


def _shown(query: str | Executable) -> str:
    shown = str(query).strip()
    return shown if len(shown) <= 500 else shown[:500] + " …"
