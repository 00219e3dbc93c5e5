"""The async database: one engine per process, and sessions that commit or roll back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from sqlalchemy import NullPool, StaticPool, event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from secnb.core.config import Settings, get_settings
from secnb.core.looplock import LoopLock
from secnb.core.models import Base
from secnb.core.url import connect_args, mask_url, parse_database_url, sqlite_path
from secnb.errors import MissingDependencyError, NotInitializedError, UnreachableError

__all__ = [
    "Base",
    "close_db",
    "get_db",
    "get_engine",
    "get_session",
    "get_session_factory",
    "init_db",
]

logger = logging.getLogger(__name__)

_engine: AsyncEngine | None = None
_async_session_factory: async_sessionmaker[AsyncSession] | None = None
_loop: asyncio.AbstractEventLoop | None = None
_init_lock = LoopLock()


async def init_db() -> None:
    """Create the engine of the settings, the session factory, and the tables that are missing.

    Can run again: the earlier engine is disposed of once the new one works. If the new one fails,
    nothing of it stays.

    Raises
    ------
    SettingsError
        ``database_url`` cannot be read.
    MissingDependencyError
        The driver for PostgreSQL is not installed.
    UnreachableError
        PostgreSQL cannot be reached.
    """
    async with _init_lock():
        await _init()


async def _init() -> None:
    global _engine, _async_session_factory, _loop
    engine = _make_engine(get_settings())
    try:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
    except BaseException:
        await engine.dispose()
        raise
    await close_db()
    _engine, _loop = engine, asyncio.get_running_loop()
    _async_session_factory = async_sessionmaker(
        engine, expire_on_commit=False, autocommit=False, autoflush=False
    )
    logger.info("Database initialized: %s", mask_url(engine.url))


async def close_db() -> None:
    """Dispose of the engine and forget it; without one, do nothing."""
    global _engine, _async_session_factory
    engine, _engine, _async_session_factory = _engine, None, None
    if engine is not None:
        # asyncpg cannot close the connections of a loop that is closed itself; they are forgotten.
        is_lost = engine.dialect.name == "postgresql" and _loop is not None and _loop.is_closed()
        await engine.dispose(close=not is_lost)
        logger.info("Database closed")


def get_engine() -> AsyncEngine:
    """Return the engine.

    Raises
    ------
    NotInitializedError
        (a RuntimeError) Before `init_db` and after `close_db`.
    """
    if _engine is None:
        raise _not_initialized()
    return _engine


def get_session_factory() -> async_sessionmaker[AsyncSession]:
    """Return the session factory.

    Raises
    ------
    NotInitializedError
        (a RuntimeError) Before `init_db` and after `close_db`.
    """
    if _async_session_factory is None:
        raise _not_initialized()
    return _async_session_factory


@asynccontextmanager
async def get_session() -> AsyncGenerator[AsyncSession, None]:
    """Give a session that commits at the end of the block, and rolls back if the block fails.

    Cancellation counts as failure. The session is closed in every case.

    Yields
    ------
    AsyncSession

    Raises
    ------
    NotInitializedError
        (a RuntimeError) Before `init_db` and after `close_db`.
    """
    # Leaving the session's own context closes it shielded, so that a second cancellation cannot
    # leave its connection open.
    async with get_session_factory()() as session:
        try:
            yield session
            await session.commit()
        except BaseException:
            await session.rollback()
            raise


async def get_db() -> AsyncGenerator[AsyncSession, None]:
    """Give a session to a FastAPI route: ``db: AsyncSession = Depends(get_db)``.

    Commits when the route returns and rolls back when it raises, an HTTPException included. FastAPI
    ends dependencies after the response is sent; with ``Depends(get_db, scope="function")`` the
    commit comes first, and a commit that fails becomes an error response.

    Yields
    ------
    AsyncSession
    """
    async with get_session() as session:
        yield session


def _make_engine(settings: Settings) -> AsyncEngine:
    """Return an engine, not connected yet."""
    url = parse_database_url(settings.database_url)
    options: dict[str, Any] = {
        "echo": settings.debug,
        # Values of rows belong neither in logs nor in tracebacks, unless someone is debugging.
        "hide_parameters": not settings.debug,
        "connect_args": connect_args(url),
    }
    if url.get_backend_name() == "sqlite":
        path = sqlite_path(url)
        # With NullPool every connection of an in-memory database would be a new, empty database;
        # there, all sessions share the one connection that holds it.
        engine = create_async_engine(url, poolclass=NullPool if path else StaticPool, **options)
        _prepare_sqlite(engine, is_new=path is not None and not path.exists())
        return engine
    try:
        options["connect_args"]["async_creator_fn"] = partial(_connect, mask_url(url))
        # A server that restarted has closed the pooled connections.
        return create_async_engine(url, pool_pre_ping=True, **options)
    except ModuleNotFoundError as exc:
        raise MissingDependencyError(
            f"PostgreSQL needs the package {exc.name}, which is not installed.",
            hint='pip install "secnb[postgres]"',
        ) from exc


async def _connect(shown_url: str, *args: Any, **kwargs: Any) -> Any:
    """Return a new connection of asyncpg's; a server that cannot be reached is an error of ours."""
    import asyncpg

    try:
        return await asyncpg.connect(*args, **kwargs)
    except OSError as exc:
        raise UnreachableError(
            f"{shown_url} does not answer: {exc or 'no answer in time'}.",
            hint="check DATABASE_URL, and whether the server runs.",
        ) from exc


def _prepare_sqlite(engine: AsyncEngine, *, is_new: bool) -> None:
    """Set the pragmas of each new connection; they are per connection, except for the journal mode."""
    pragmas = ["busy_timeout=30000", "foreign_keys=ON", "synchronous=NORMAL"]
    if is_new:
        # The journal mode stays in the file. A file that someone else made keeps the mode it has:
        # WAL needs two more files beside it, which may not be possible there.
        pragmas.append("journal_mode=WAL")

    @event.listens_for(engine.sync_engine, "connect")
    def set_pragmas(dbapi_connection: Any, _record: Any) -> None:
        cursor = dbapi_connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()


def _not_initialized() -> NotInitializedError:
    return NotInitializedError("Database not initialized.", hint="await init_db() first.")
