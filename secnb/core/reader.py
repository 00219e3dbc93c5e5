"""Reading a deployment's database: one statement, one short transaction that is always rolled back.

`DatabaseReader` holds the deployment's own engine. It never writes, never leaves a transaction open
between two calls, and stops the query on the server when the caller stops waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import URL, Connection, Executable, SelectBase, TextClause, func, select, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from secnb.core.collector import collector_paused
from secnb.core.sqlite_reader import FileState, SQLiteFile
from secnb.core.statement import check_reads, to_count, to_statement
from secnb.core.url import connect_args, mask_url, parse_database_url, sqlite_path
from secnb.errors import (
    BadInputError,
    DatabaseNotFoundError,
    QueryError,
    QueryTimeoutError,
    ReadOnlyError,
    SecnbError,
    UnreachableError,
)

try:
    from asyncpg import InterfaceError, PostgresError

    # What a cursor raises while it fetches comes past SQLAlchemy as it is.
    _DRIVER_ERRORS: tuple[type[Exception], ...] = (PostgresError, InterfaceError)
except ImportError:
    _DRIVER_ERRORS = ()
_ANSWERS: tuple[type[Exception], ...] = (DBAPIError, *_DRIVER_ERRORS)
_ERRORS: tuple[type[Exception], ...] = (SQLAlchemyError, sqlite3.Error, OSError, *_DRIVER_ERRORS)

_CONNECT_S = 3.0
_COUNT_S = 2.0
_INTERRUPT_TICK_S = 0.05
_ATTEMPTS = 3
_UNDECODABLE = "Could not decode to UTF-8"


@dataclass(frozen=True)
class Rows:
    """Plain rows of one statement, and how they were got.

    Attributes
    ----------
    columns : list of str
        Names in the order of the statement.
    rows : sequence of tuple
        Values as the driver gives them.
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
    rows: Sequence[Sequence[Any]]
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
            self._engine = _postgres_engine(parsed)

    async def fetch(
        self,
        query: str | Executable,
        params: Mapping[str, Any] | None = None,
        *,
        limit: int | None = None,
        timeout_s: float | None = 30.0,
    ) -> Rows:
        """Return the rows of one reading statement.

        Parameters
        ----------
        query : str or sqlalchemy.Executable
            One statement; ``:name`` is a parameter for the names in `params`.
        limit : int, optional
            At most so many rows, and what is left out is counted if that takes at most 2 s; None for all.
        timeout_s : float, optional
            Seconds until the query is stopped; None for no limit.

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
        job = _Job(query, params, to_statement(query, params, dialect=self.dialect), limit, timeout_s)
        try:
            async with asyncio.timeout(timeout_s) as limit_of_query:
                return await self._fetch_unchanged(job)
        except TimeoutError as exc:
            if not limit_of_query.expired():
                raise UnreachableError(
                    f"{self.shown_url} does not answer: no answer within {_CONNECT_S:g} s."
                ) from exc
            raise QueryTimeoutError(
                f"The query was stopped after {timeout_s} s:\n{_shown(query)}",
                hint="narrow it down, or pass timeout_s=.",
            ) from exc
        except (OverflowError, UnicodeEncodeError) as exc:
            raise QueryError(f"A value that goes out or comes in is beyond what can be: {exc}.") from exc
        except _ERRORS as exc:
            if isinstance(exc, SecnbError):
                raise
            # The driver's own words are the cause; the layers between tell an analyst nothing.
            original = getattr(exc, "orig", None) or exc
            raise await self._explained(exc, original) from original.with_traceback(None)

    async def ping(self) -> str:
        """Return the version of the database; raises as `fetch` does."""
        query = "SELECT sqlite_version()" if self.dialect == "sqlite" else "SHOW server_version"
        try:
            fetched = await self.fetch(query, timeout_s=_CONNECT_S)
        except QueryTimeoutError as exc:
            raise UnreachableError(f"{self.shown_url} does not answer within {_CONNECT_S:g} s.") from exc
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
            except DBAPIError as exc:
                if self._file is None or self._file.is_tolerant or _UNDECODABLE not in str(exc.orig):
                    raise
                self._file.is_tolerant = True
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
            columns, rows = await _stoppable_read(connection, job.statement, job.limit)
            is_truncated = job.limit is not None and len(rows) > job.limit
            total = await _count(connection, job) if is_truncated else len(rows)
        return Rows(
            columns=columns,
            rows=rows[: job.limit] if is_truncated else rows,
            total=total,
            is_truncated=is_truncated,
            seconds=time.perf_counter() - started,
            read_at=read_at,
            source=source,
        )

    @contextlib.asynccontextmanager
    async def _connection(self, timeout_s: float | None) -> AsyncIterator[AsyncConnection]:
        async with self._engine.connect() as connection:
            if self.dialect == "postgresql":
                await connection.execution_options(postgresql_readonly=True)
                # SET LOCAL ends with the transaction, which PgBouncer needs. The server's own limit
                # is for the case that our cancellation does not reach it.
                limit_ms = 0 if timeout_s is None else int((timeout_s + _CONNECT_S) * 1000)
                await connection.exec_driver_sql("SET LOCAL application_name = 'secnb'")
                # Some deployments store times without a zone, and mean UTC.
                await connection.exec_driver_sql("SET LOCAL TimeZone = 'UTC'")
                await connection.exec_driver_sql(f"SET LOCAL statement_timeout = {limit_ms}")
            yield connection
            # Leaving without commit rolls back, whatever the statement was.

    async def _explained(self, exc: Exception, original: BaseException) -> SecnbError:
        """Return what the driver says as an error of ours; the driver's text holds no parameters."""
        message = str(original).strip().removeprefix("<class ").split("\n[SQL:")[0]
        code = getattr(original, "sqlite_errorname", None) or getattr(original, "sqlstate", None) or ""
        if code in _WRITE_CODES or "not authorized" in message or "prohibited" in message:
            return ReadOnlyError(
                f"The statement was not run, since it does more than read: {message}.",
                hint="a deployment is only read; change it with its own tools.",
            )
        if "one statement at a time" in message or "multiple commands" in message:
            return QueryError("A query is exactly one statement.", hint="run them one after the other.")
        if code in _BUSY_CODES:
            return UnreachableError(f"{self.shown_url} is locked by another process: {message}.")
        if "does not return rows" in message:
            return QueryError("The query returns no rows.", hint="only statements that read are run.")
        is_answer = isinstance(exc, _ANSWERS)
        if not is_answer or code in _UNREADABLE_CODES or getattr(exc, "connection_invalidated", False):
            return UnreachableError(f"{self.shown_url} does not answer: {message}.")
        hint = None
        if "no such table" in message or code == "42P01":
            hint = f"the tables are {', '.join(await self.fetch_tables()) or 'none'}."
        return QueryError(f"The database rejects the query: {message}.", hint=hint)


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
_WRITE_CODES = ("SQLITE_AUTH", "SQLITE_READONLY", "SQLITE_READONLY_DBMOVED", "25006")
_BUSY_CODES = ("SQLITE_BUSY", "SQLITE_BUSY_SNAPSHOT", "SQLITE_LOCKED", "SQLITE_BUSY_RECOVERY")
_UNREADABLE_CODES = ("SQLITE_CANTOPEN", "SQLITE_NOTADB", "SQLITE_CORRUPT", "SQLITE_IOERR", "57P01", "57P03")


def _postgres_engine(url: URL) -> AsyncEngine:
    return create_async_engine(
        url,
        pool_size=2,
        max_overflow=8,
        pool_recycle=300,
        pool_pre_ping=True,
        hide_parameters=True,
        # JSON stays text; parsing is for those who ask.
        json_deserializer=str,
        connect_args={
            "timeout": _CONNECT_S,
            **connect_args(url),
            # Nothing prepared outlives its transaction, and nothing has a name, as PgBouncer needs.
            "statement_cache_size": 0,
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": str,
        },
    )


def check_limits(limit: int | None, timeout_s: float | None = None) -> None:
    """Refuse a row cap or a time limit that is none.

    Raises
    ------
    BadInputError
        With the value seen and those allowed.
    """
    is_whole = isinstance(limit, int) and not isinstance(limit, bool)
    if limit is not None and not (is_whole and 0 <= limit < 2**31):
        raise BadInputError(f"limit is {limit!r}. Allowed: a whole number from 0, or None for all rows.")
    if timeout_s is not None and not (isinstance(timeout_s, int | float) and timeout_s > 0):
        raise BadInputError(f"timeout_s is {timeout_s!r}. Allowed: seconds above 0, or None for no limit.")


async def _source(connection: AsyncConnection) -> str:
    raw = await connection.get_raw_connection()
    return str(getattr(raw.driver_connection, "source", "server"))


async def _stoppable_read(
    connection: AsyncConnection, statement: Executable, limit: int | None
) -> tuple[list[str], Sequence[Sequence[Any]]]:
    """Run the statement so that a cancelled caller leaves no query behind.

    Cancelling aiosqlite alone leaves SQLite at full load until the query ends, so the driver's own
    connection is asked to interrupt it. asyncpg cancels on the server by itself.
    """
    raw = await connection.get_raw_connection()
    interrupt = getattr(raw.driver_connection, "interrupt", None)
    inner = asyncio.ensure_future(connection.run_sync(_read, statement, limit))
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


def _read(connection: Connection, statement: Executable, limit: int | None) -> tuple[list[str], Any]:
    # With a cap the driver hands over only what is asked for; a million rows stay where they are.
    result = connection.execute(statement, execution_options={"stream_results": limit is not None})
    columns = list(result.keys())
    with collector_paused():
        if limit is not None:
            return columns, result.fetchmany(limit + 1)
        # Text keeps the driver's own tuples, several times faster than SQLAlchemy's rows. Only here:
        # a streamed result has already taken its first row off the cursor.
        source: Any = result.cursor if isinstance(statement, TextClause) and result.cursor else result
        return columns, source.fetchall()


async def _count(connection: AsyncConnection, job: _Job) -> int | None:
    """Return how many rows there are without the cap, or None if that takes too long to find out."""
    try:
        async with asyncio.timeout(_COUNT_S):
            _, rows = await _stoppable_read(connection, job.counting(connection.dialect.name), None)
        return int(rows[0][0])
    except (SQLAlchemyError, TimeoutError):
        return None


def _shown(query: str | Executable) -> str:
    shown = str(query).strip()
    return shown if len(shown) <= 500 else shown[:500] + " …"
