"""Reading a deployment's database: one statement, one short transaction that is always rolled back.

`DatabaseReader` holds the deployment's own engine. It never writes, never leaves a transaction open
between two calls, and stops the query on the server when the caller stops waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
import warnings
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Executable, TextClause
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from secnb.core.bulk_process import BulkError
from secnb.core.bulk_reader import BulkReader, HandOver
from secnb.core.bulk_ways import Way, postgres_way, sqlite_way
from secnb.core.driver_errors import ERRORS, explained, is_undecodable, original_of
from secnb.core.jobs import COUNT_S as COUNT_S
from secnb.core.jobs import EXPLAIN, Job, count_rows
from secnb.core.jobs import Rows as Rows
from secnb.core.jobs import check_limits as check_limits
from secnb.core.postgres_reader import CONNECT_S, begin_reading, postgres_engine, read_odd_times
from secnb.core.sqlite_reader import FileState, SQLiteFile
from secnb.core.statement import check_reads, to_statement
from secnb.core.stoppable import Read, Taker, stoppable_read
from secnb.core.url import mask_url, parse_database_url, sqlite_path
from secnb.errors import (
    DatabaseNotFoundError,
    DegradedWarning,
    QueryError,
    QueryTimeoutError,
    SecnbError,
    UnreachableError,
)

_ATTEMPTS = 3


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
        self._bulk = BulkReader(self.dialect)
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
        hand_over: HandOver | None = None,
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
        hand_over : HandOver, optional
            From `hand_over`, for a taker that understands pages that are a `pyarrow.RecordBatch`: a large
            result then comes from the reader process, where that gives the same values. It is always the
            result of one statement: what came before is read again.

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
        statement = to_statement(query, params, dialect=self.dialect)
        return await self._fetch(Job(query, params, statement, limit, timeout_s, into, hand_over))

    def hand_over(self, *, is_paged: bool = False) -> HandOver:
        """Return what decides, for one read, whether the reader process takes over."""
        return HandOver(self._bulk, is_paged=is_paged)

    async def fetch_whole(
        self,
        query: str,
        params: Mapping[str, Any],
        *,
        limit: int | None,
        into: Taker,
        hand_over: HandOver,
    ) -> Rows:
        """Hand over the rows of one statement as Arrow, read by the reader process from the beginning.

        Parameters and other errors are those of `fetch`; `hand_over` has decided.

        Raises
        ------
        BulkError
            If the rows cannot be had in this way, or do not count; some pages may have come.
        """
        statement = to_statement(query, params, dialect=self.dialect)
        return await self._fetch(Job(query, params, statement, limit, None, into, hand_over, is_whole=True))

    async def _fetch(self, job: Job) -> Rows:
        """Read with a time limit, and say what went wrong in errors of ours."""
        query, timeout_s = job.query, job.timeout_s
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
        """Return the names of the tables and views, sorted, with those that this role may not read."""
        return [str(row[0]) for row in (await self.fetch(_TABLES[self.dialect])).rows]

    async def fetch_columns(self, table: str) -> list[str]:
        """Return the names of the columns of `table` that this role may read, in their order.

        Empty if there is no such table. A table that is there and may not be read is warned of: a frame
        that does without it holds less than the deployment does.
        """
        query = _COLUMNS[self.dialect]
        found = [str(row[0]) for row in (await self.fetch(query, {"table_name": table})).rows]
        if not found and self.dialect == "postgresql" and table in await self.fetch_tables():
            warning = DegradedWarning(
                f"Serving without the table {table}: it is there, but this role may not read it.\n\n"
                f"Hint: GRANT SELECT ON {table} TO the role of DATABASE_URL."
            )
            warnings.warn(warning, stacklevel=2)
        return found

    async def close(self) -> None:
        """Close all connections, and end the reader process; idempotent."""
        await self._bulk.close()
        await self._engine.dispose()
        if self._file is not None:
            await self._file.close()

    async def _fetch_unchanged(self, job: Job) -> Rows:
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
            if job.is_whole:
                raise BulkError("the file changed while it was read")
        raise UnreachableError(
            f"{self.shown_url} changed during each of {_ATTEMPTS} attempts to read it.",
            hint="try again; a service may just be starting.",
        )

    async def _fetch_once(self, job: Job) -> Rows:
        read_at, started = datetime.now(UTC), time.perf_counter()
        async with self._connection(job.timeout_s) as connection:
            raw = await connection.get_raw_connection()
            source = str(getattr(raw.driver_connection, "source", "server"))
            read = await self._begin(connection, job)
            total = await count_rows(connection, job) if read.is_truncated else read.n_rows
        path = "rows"
        if read.is_handed_over and job.hand_over is not None and job.into is not None:
            try:
                way = await self._way(job.timeout_s)
                total, is_truncated = await self._bulk.read(
                    read.sent, job.hand_over, way, limit=job.limit, into=job.into
                )
            except BulkError as exc:
                job.hand_over.refuse(str(exc))
                if job.is_whole:
                    raise
                return await self._fetch_once(job)
            path, source, read = "arrow", way.source, replace(read, is_truncated=is_truncated)
            if is_truncated and not job.is_whole:
                async with self._connection(COUNT_S) as connection:
                    total = await count_rows(connection, job)
        return Rows(
            sent=read.sent,
            rows=read.rows,
            total=total,
            is_truncated=read.is_truncated,
            seconds=time.perf_counter() - started,
            read_at=read_at,
            source=source,
            path=path,
            why_rows=job.hand_over.why if job.hand_over else None,
        )

    async def _begin(self, connection: AsyncConnection, job: Job) -> Read:
        """Read in the kernel, to the end or until the reader process takes over."""
        if job.is_whole:
            read = await stoppable_read(connection, job.explaining(self.dialect), None)
            sent = replace(read.sent, query=read.sent.query.removeprefix(EXPLAIN))
            return Read(sent, (), 0, is_truncated=False, is_handed_over=True)
        if job.hand_over is not None and not isinstance(job.statement, TextClause):
            job.hand_over.refuse("a statement of SQLAlchemy's makes its values itself")
        if job.hand_over is not None and (self._is_tolerant or (self._file and self._file.is_tolerant)):
            job.hand_over.refuse("the database holds values that Python cannot")
        return await stoppable_read(connection, job.statement, job.limit, job.into, job.hand_over)

    async def _way(self, timeout_s: float | None) -> Way:
        """Return the way that the reader process takes."""
        if self._file is None:
            return postgres_way(self._engine.url, timeout_s)
        return await asyncio.to_thread(sqlite_way, self._file)

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
    # The information schema would leave out what the role may not read.
    "postgresql": "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND "
    "relnamespace = ANY (current_schemas(false)::regnamespace[]) ORDER BY relname",
}
_COLUMNS = {
    "sqlite": "SELECT name FROM pragma_table_info(:table_name)",
    "postgresql": "SELECT column_name FROM information_schema.columns WHERE table_name = :table_name AND "
    "table_schema = ANY (current_schemas(false)) ORDER BY ordinal_position",
}


def _shown(query: str | Executable) -> str:
    shown = str(query).strip()
    return shown if len(shown) <= 500 else shown[:500] + " …"
