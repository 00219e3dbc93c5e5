"""Opening a SQLite file so that it can only be read, and so that looking leaves no trace.

``mode=ro`` alone is not enough, twice over. ATTACH of the same file opens it writable, which the
authorizer and the attach limit close. And a look at a WAL database whose service is down would create
``-shm`` and ``-wal`` files that belong to the analyst, after which the service cannot write; so such a
file is opened as immutable, or as a private copy when its ``-wal`` still holds rows.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import aiosqlite
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from secnb.errors import DatabaseNotFoundError, UnreachableError

Source = Literal["live file", "file at rest", "private copy"]

_BUSY_S = 3.0
_JOIN_S = 1.0
_JOIN_TICK_S = 0.005
_HEADER_BYTES = 100
# Byte 18 of the header is the write version: 2 means WAL.
_WRITE_VERSION_AT = 18
_WAL_VERSION = 2
# What SQLAlchemy and the helpers ask for by themselves; read_uncommitted only without a value.
_PRAGMAS = ("table_info", "table_xinfo")
_TABLE_FUNCTIONS = ("json_each('[]')", "json_tree('[]')", "pragma_table_info('sqlite_schema')")
_UNSAFE_FUNCTIONS = ("load_extension", "fts3_tokenizer", "readfile", "writefile", "edit")


def authorize(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    """Allow what reads, and nothing else; SQLite asks once for each thing that a statement would do."""
    if action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE):
        return sqlite3.SQLITE_OK
    # The driver ends its own transactions; a read-only file has nothing to commit.
    if action == sqlite3.SQLITE_TRANSACTION:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION and second not in _UNSAFE_FUNCTIONS:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_PRAGMA and (
        first in _PRAGMAS or (first == "read_uncommitted" and second is None)
    ):
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


class GuardedConnection(aiosqlite.Connection):
    """A connection that can only read, and knows what it was opened on."""

    source: Source

    def guard_thread(self) -> None:
        """Let the interpreter exit although the connection is open; SQLAlchemy does the same."""
        self._thread.daemon = True

    @property
    def is_alive(self) -> bool:
        """Whether its thread still runs."""
        return self._thread.is_alive()

    def join(self, timeout_s: float) -> None:
        """Wait until its thread has ended."""
        self._thread.join(timeout_s)


async def _opened(connection: GuardedConnection) -> None:
    await connection


def _guard(connection: sqlite3.Connection) -> None:
    # The first use of a built-in table function declares it, which looks like a write to an authorizer.
    for function in _TABLE_FUNCTIONS:
        connection.execute(f"SELECT 1 FROM {function} LIMIT 0")  # noqa: S608
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.set_authorizer(authorize)


@dataclass(frozen=True)
class FileState:
    """What tells whether a database file was written to between two looks."""

    stamps: tuple[tuple[int, int, int] | None, ...]

    @classmethod
    def of(cls, path: Path) -> FileState:
        """Return the state of the file and of what SQLite keeps beside it."""
        return cls(tuple(_stamp(_beside(path, suffix)) for suffix in ("", "-wal", "-journal")))


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _uri(path: Path, options: str) -> str:
    return f"file:{quote(os.fsencode(path))}?{options}"


def _header(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEADER_BYTES)


def _has_content(path: Path) -> bool:
    stamp = _stamp(path)
    return stamp is not None and stamp[1] > 0


def _to_text(stored: bytes) -> str:
    return stored.decode("utf-8", "backslashreplace")


class SQLiteFile:
    """One SQLite file, opened anew for each read in the way that leaves no trace.

    Parameters
    ----------
    path : Path
        An existing file.

    Attributes
    ----------
    is_tolerant : bool
        Whether text that is not UTF-8 is read with escapes, which is slower, instead of being an error.

    Raises
    ------
    DatabaseNotFoundError
        If there is no file at `path`; nothing is created.
    UnreachableError
        If it is not a SQLite database, or may not be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.is_tolerant = False
        self._lock = threading.Lock()
        self._copy: tuple[FileState, Path] | None = None
        self._copy_folder: Path | None = None
        self._connections: list[GuardedConnection] = []
        self._is_wal()

    def engine(self) -> AsyncEngine:
        """Return an engine whose every connection is opened by `connect`."""
        return create_async_engine(
            URL.create("sqlite+aiosqlite", database=str(self.path)),
            async_creator=self.connect,
            poolclass=NullPool,
            hide_parameters=True,
        )

    async def connect(self, *_: Any, **__: Any) -> GuardedConnection:
        """Return a new connection that can only read.

        Raises
        ------
        DatabaseNotFoundError
            If the file is gone.
        UnreachableError
            If it cannot be opened or copied.
        """
        way: list[Source] = []
        connection = GuardedConnection(lambda: self._open(way), iter_chunk_size=64)
        connection.guard_thread()
        self._connections = [*(each for each in self._connections if each.is_alive), connection]
        opening = asyncio.ensure_future(_opened(connection))
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            # aiosqlite forgets a connection that it is told to cancel while it opens.
            opening.add_done_callback(lambda done: done.cancelled() or done.exception() or connection.stop())
            raise
        except Exception:
            # Its thread ends a moment later, and would complain about an event loop closed meanwhile.
            await asyncio.to_thread(connection.join, _JOIN_S)
            raise
        connection.source = way[0]
        return connection

    async def close(self) -> None:
        """Wait for the threads of its connections to end, and remove the private copy, if one was made."""
        # A read that was cancelled is over before its thread is, which needs the event loop to end in peace.
        deadline = time.monotonic() + _JOIN_S
        while any(each.is_alive for each in self._connections) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_JOIN_TICK_S)
        self._connections = []
        self._remove_copy()

    def _remove_copy(self) -> None:
        if self._copy_folder is not None:
            shutil.rmtree(self._copy_folder, ignore_errors=True)
        self._copy = self._copy_folder = None

    def way_in(self) -> tuple[str, Source]:
        """Return the URI by which the file is opened just now, and what that opens."""
        with self._lock:
            path, options, source = self._way_in()
        return _uri(path, options), source

    def _open(self, way: list[Source]) -> sqlite3.Connection:
        """Open the file and say in `way` how; runs in the connection's own thread."""
        uri, source = self.way_in()
        way.append(source)
        connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_S)
        if self.is_tolerant:
            connection.text_factory = _to_text
        try:
            _guard(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _way_in(self) -> tuple[Path, str, Source]:
        if not self._is_wal():
            if _has_content(_beside(self.path, "-journal")) and self._journal_is_hot():
                return self._private_copy(), "mode=rw", "private copy"
            return self.path, "mode=ro", "live file"
        shm, wal = _beside(self.path, "-shm"), _beside(self.path, "-wal")
        if wal.exists() and os.access(shm, os.R_OK):
            # readonly_shm: a service that crashed left its -shm behind, and repairing it is not our business.
            return self.path, "mode=ro&readonly_shm=1", "live file"
        if not _has_content(wal):
            return self.path, "mode=ro&immutable=1", "file at rest"
        return self._private_copy(), "mode=rw", "private copy"

    def _is_wal(self) -> bool:
        try:
            # Opening a named pipe would wait for whoever writes to it.
            is_regular = stat.S_ISREG(self.path.stat().st_mode)
            header = _header(self.path) if is_regular else b""
        except FileNotFoundError as exc:
            raise DatabaseNotFoundError(
                f"There is no database at {self.path.absolute()}.",
                hint="check DATABASE_URL, or try secnb.sandbox() for sample data.",
            ) from exc
        except OSError as exc:
            raise UnreachableError(f"The database {self.path} cannot be read: {exc.strerror}.") from exc
        if not is_regular:
            raise UnreachableError(f"{self.path} is not a SQLite database: it is no regular file.")
        if header and not header.startswith(b"SQLite format 3\0"):
            raise UnreachableError(f"{self.path} is not a SQLite database (it begins with {header[:16]!r}).")
        return len(header) > _WRITE_VERSION_AT and header[_WRITE_VERSION_AT] == _WAL_VERSION

    def _journal_is_hot(self) -> bool:
        """Whether a crashed writer left a journal that a reader would have to roll back."""
        probe = sqlite3.connect(_uri(self.path, "mode=ro"), uri=True, timeout=_BUSY_S)
        try:
            probe.execute("SELECT 1 FROM sqlite_schema").fetchone()
        except sqlite3.OperationalError as exc:
            return exc.sqlite_errorname in ("SQLITE_READONLY_ROLLBACK", "SQLITE_READONLY", "SQLITE_CANTOPEN")
        finally:
            probe.close()
        return False

    def _private_copy(self) -> Path:
        """Return a copy of the file and what lies beside it, made anew when they changed."""
        for _ in range(3):
            before = FileState.of(self.path)
            if self._copy is not None and self._copy[0] == before:
                return self._copy[1]
            copied = self._copy_now()
            if FileState.of(self.path) == before:
                self._copy = (before, copied)
                return copied
        raise UnreachableError(
            f"{self.path} is being written to, but its shared memory file cannot be read, and it changed "
            "during each of three attempts to copy it.",
            hint="read it as the user that the service runs as.",
        )

    def _copy_now(self) -> Path:
        self._remove_copy()
        self._copy_folder = Path(tempfile.mkdtemp(prefix="secnb-copy-"))
        target = self._copy_folder / self.path.name
        needed = sum(
            _beside(self.path, s).stat().st_size for s in ("", "-wal") if _beside(self.path, s).exists()
        )
        free = shutil.disk_usage(self._copy_folder).free
        if needed > free:
            raise UnreachableError(
                f"{self.path} can only be read as a private copy of {needed:,} bytes; "
                f"{self._copy_folder.parent} has {free:,} bytes free.",
                hint="set TMPDIR to a folder with more room.",
            )
        for suffix in ("", "-wal", "-journal"):
            if _beside(self.path, suffix).exists():
                shutil.copyfile(_beside(self.path, suffix), _beside(target, suffix))
        return target
