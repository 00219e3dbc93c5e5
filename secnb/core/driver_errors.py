"""What a driver says when a read fails, as an error of ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from secnb.core.url import ENCODED
from secnb.errors import QueryError, ReadOnlyError, SecnbError, UnreachableError

try:
    from asyncpg import InterfaceError, PostgresError

    # What a cursor raises while it fetches comes past SQLAlchemy as it is.
    _DRIVER_ERRORS: tuple[type[Exception], ...] = (PostgresError, InterfaceError)
except ImportError:
    _DRIVER_ERRORS = ()
ERRORS: tuple[type[Exception], ...] = (SQLAlchemyError, sqlite3.Error, OSError, *_DRIVER_ERRORS)
"""Whatever a read may raise that is no error of ours."""

_ANSWERS: tuple[type[Exception], ...] = (DBAPIError, sqlite3.Error, *_DRIVER_ERRORS)
_WRITE_CODES = ("SQLITE_AUTH", "SQLITE_READONLY", "SQLITE_READONLY_DBMOVED", "25006")
_BUSY_CODES = ("SQLITE_BUSY", "SQLITE_BUSY_SNAPSHOT", "SQLITE_LOCKED", "SQLITE_BUSY_RECOVERY")
_UNREADABLE_CODES = ("SQLITE_CANTOPEN", "SQLITE_NOTADB", "SQLITE_CORRUPT", "SQLITE_IOERR", "57P01", "57P03")
# A wrong password, a user or a host without access, no such database, too many connections.
_CLOSED_CODES = ("28P01", "28000", "3D000", "53300")
_LOCKED = "try again; a shell with an open transaction may hold it, and `fuser <file>` says who does."
_DAMAGED_CODES = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_UNDECODABLE = "Could not decode to UTF-8"
RIGHTS = (
    "a role of PostgreSQL sees no table without GRANT USAGE ON SCHEMA, and reads none without GRANT SELECT; "
    "the README has both."
)
"""What a role may lack that sees no tables."""


def original_of(exc: Exception) -> BaseException:
    """Return the driver's own error; the layers between tell an analyst nothing."""
    return getattr(exc, "orig", None) or exc


def is_undecodable(exc: Exception) -> bool:
    """Return whether SQLite met text that is not UTF-8."""
    return _UNDECODABLE in str(original_of(exc))


async def explained(
    exc: Exception, shown_url: str, fetch_tables: Callable[[], Awaitable[list[str]]]
) -> SecnbError:
    """Return what the driver says as an error of ours; the driver's text holds no parameters."""
    original = original_of(exc)
    message = str(original).strip().removeprefix("<class ").split("\n[SQL:")[0].rstrip(".")
    code = getattr(original, "sqlite_errorname", None) or getattr(original, "sqlstate", None) or ""
    if code in _WRITE_CODES or "not authorized" in message or "prohibited" in message:
        return ReadOnlyError(
            f"The statement was not run, since it does more than read: {message}.",
            hint="a deployment is only read; change it with its own tools.",
        )
    if "one statement at a time" in message or "multiple commands" in message:
        return QueryError("A query is exactly one statement.", hint="run them one after the other.")
    if code in _BUSY_CODES:
        return UnreachableError(f"{shown_url} is locked by another process: {message}.", hint=_LOCKED)
    if "does not return rows" in message:
        return QueryError("The query returns no rows.", hint="only statements that read are run.")
    is_answer = isinstance(exc, _ANSWERS)
    if not is_answer or code in _UNREADABLE_CODES or getattr(exc, "connection_invalidated", False):
        return UnreachableError(f"{shown_url} does not answer: {message}.", hint=_repair(code))
    if code in _CLOSED_CODES:
        hint = f"check the user and the password; {ENCODED}" if code == "28P01" else None
        return UnreachableError(f"{shown_url} does not let us in: {message}.", hint=hint)
    hint = None
    if "no such table" in message or code == "42P01":
        found = await fetch_tables()
        hint = f"the tables are {', '.join(found)}." if found else f"no table is seen; {RIGHTS}"
    elif code == "42501":
        hint = RIGHTS
    elif "number of bindings" in message or 'at or near ":"' in message:
        hint = 'what stands as :name in the query needs a value: site.sql(query, {"name": …}).'
    elif code == "42883" and "character varying" in message:
        hint = "a text is compared with another type; give times as datetime or pandas.Timestamp."
    return QueryError(f"The database rejects the query: {message}.", hint=hint)


def _repair(code: str) -> str | None:
    """Return what to do about a file that is damaged."""
    if code not in _DAMAGED_CODES:
        return None
    return (
        "the other tables may still be readable. Restore a backup, or save what is left of a copy: "
        'sqlite3 copy.db .recover | sqlite3 saved.db, then connect(database_url="sqlite:///saved.db").'
    )
