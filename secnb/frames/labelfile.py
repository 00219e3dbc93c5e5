"""The SQLite file of a label store: checked before it is touched, and durable when a call returns.

Each call opens the file anew and leaves nothing open. So threads, forked children and several kernels
share one store, and between two calls it is a single file that can be copied.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from secnb.errors import LabelStoreError

APPLICATION_ID: Final = int.from_bytes(b"secl")
FORMAT: Final = 1

_MAGIC = b"SQLite format 3\0"
_APPLICATION_ID_AT = 68
# Short waits, many of them: SQLite's own waiting cannot be stopped.
_BUSY_MS = 100
_PATIENCE_S = 30.0
_WAITING = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL")
_TABLES = """
CREATE TABLE verdicts (
    verdict_id INTEGER PRIMARY KEY AUTOINCREMENT,
    unit TEXT NOT NULL,
    event_id INTEGER, detection_id INTEGER, camera_id TEXT, object_type TEXT,
    score REAL, risk_score INTEGER, started_at TEXT,
    truth INTEGER CHECK (truth IN (0, 1)), is_missed INTEGER NOT NULL CHECK (is_missed IN (0, 1)),
    design TEXT, probability REAL CHECK (probability > 0 AND probability <= 1),
    who TEXT, verified_at TEXT NOT NULL
);
CREATE INDEX verdicts_unit ON verdicts (unit);
CREATE TABLE undone (verdict_id INTEGER PRIMARY KEY REFERENCES verdicts, undone_at TEXT NOT NULL);
CREATE TABLE waves (
    wave INTEGER PRIMARY KEY, design TEXT NOT NULL, seed TEXT NOT NULL, drawn_at TEXT NOT NULL
);
CREATE TABLE chances (
    unit TEXT PRIMARY KEY, event_id INTEGER, detection_id INTEGER,
    probability REAL NOT NULL CHECK (probability > 0 AND probability <= 1),
    wave INTEGER REFERENCES waves
) WITHOUT ROWID;
"""
_HINTS = {
    "SQLITE_FULL": "the disk is full; nothing of this call was stored, and nothing before it is lost.",
    "SQLITE_BUSY": "another process is writing to it for very long.",
    "SQLITE_READONLY": "the file and its folder must be writable; copy it to a folder of your own.",
    "SQLITE_CANTOPEN": "the folder must exist and be writable; SQLite keeps files beside this one.",
    "SQLITE_CORRUPT": "the file is damaged; take a copy of it from before.",
    "SQLITE_NOTADB": "the file is damaged; take a copy of it from before.",
    "SQLITE_IOERR": "the disk may be full or gone; nothing of this call was stored.",
}


class LabelFile:
    """A label store's file, created with its tables where there is none.

    Parameters
    ----------
    path : Path
        Absolute.

    Raises
    ------
    LabelStoreError
        If the path is a folder, another kind of file or of a newer format, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_made = False
        with self.opened(writing=True):
            pass
        self._is_made = True

    @contextmanager
    def opened(self, *, writing: bool) -> Iterator[sqlite3.Connection]:
        """Yield a connection within one transaction, which is stored for good when the block ends."""
        self._refuse_other_files()
        doing = "written" if writing else "read"
        try:
            with closing(self._begun(writing=writing)) as connection:
                yield connection
                connection.execute("COMMIT")
        except sqlite3.Error as exc:
            raise self._cannot_be(doing, exc) from exc

    def _refuse_other_files(self) -> None:
        """Raise where another program's file stands; SQLite would change some by opening them."""
        try:
            with self.path.open("rb") as file:
                header = file.read(100)
        except FileNotFoundError:
            if not self.path.parent.is_dir():
                raise LabelStoreError(
                    f"There is no folder {str(self.path.parent)!r} for the label store {self.path.name!r}.",
                    hint="create the folder first, or name another.",
                ) from None
            header = b""
        except IsADirectoryError as exc:
            raise LabelStoreError(
                f"{str(self.path)!r} is a folder. Allowed: the path of a label store, there or not."
            ) from exc
        # A path with a NUL is a ValueError.
        except (OSError, ValueError) as exc:
            raise LabelStoreError(f"The label store {str(self.path)!r} cannot be read: {exc}.") from exc
        if not header:
            self._refuse_to_begin_again()
            return
        if not header.startswith(_MAGIC):
            raise self._not_a_store("it is no SQLite file")
        number = int.from_bytes(header[_APPLICATION_ID_AT : _APPLICATION_ID_AT + 4])
        if number != APPLICATION_ID:
            raise self._not_a_store("it is a SQLite file of something else")

    def _refuse_to_begin_again(self) -> None:
        """Raise where the file is gone under our hands; an empty one in its place would hide the loss."""
        if self._is_made:
            raise LabelStoreError(
                f"The label store {str(self.path)!r} is gone: its file was moved, deleted or emptied.",
                hint="put it back; LabelStore(path) begins a new one.",
            )

    def _not_a_store(self, why: str) -> LabelStoreError:
        return LabelStoreError(
            f"{str(self.path)!r} is not a label store: {why}. It was not changed.",
            hint="name a file that does not exist yet; it will be created.",
        )

    def _begun(self, *, writing: bool) -> sqlite3.Connection:
        """Return a connection in a transaction; waits for other writers, and can be stopped while waiting."""
        until = time.monotonic() + _PATIENCE_S
        while True:
            connection = sqlite3.connect(self.path, timeout=_BUSY_MS / 1000, isolation_level=None)
            try:
                self._prepare(connection)
                connection.execute("BEGIN IMMEDIATE" if writing else "BEGIN")
                # The first look takes the lock of a reader, for which it may have to wait.
                connection.execute("SELECT 1 FROM waves LIMIT 1").fetchone()
                return connection
            except sqlite3.OperationalError as exc:
                connection.close()
                if not _is_busy(exc) or time.monotonic() > until:
                    raise
            except BaseException:
                connection.close()
                raise

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        (stored,) = connection.execute("PRAGMA user_version").fetchone()
        if stored == 0:
            # Before WAL, so that the number that tells a store from another file is in the file itself.
            _create(connection)
        elif stored > FORMAT:
            raise LabelStoreError(
                f"The label store {str(self.path)!r} has format {stored}. Known: up to {FORMAT}.",
                hint="a newer secnb wrote it; update this one.",
            )
        connection.execute("PRAGMA journal_mode=WAL")

    def _cannot_be(self, doing: str, exc: sqlite3.Error) -> LabelStoreError:
        name = "_".join((getattr(exc, "sqlite_errorname", None) or "").split("_")[:2])
        text = f"The label store {str(self.path)!r} cannot be {doing}: {exc}."
        return LabelStoreError(text, hint=_HINTS.get(name))


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    # Another process may have come first.
    if connection.execute("PRAGMA user_version").fetchone() == (0,):
        for statement in filter(str.strip, _TABLES.split(";")):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={FORMAT}")
    connection.execute("COMMIT")


def _is_busy(exc: sqlite3.Error) -> bool:
    return (getattr(exc, "sqlite_errorname", None) or "").startswith(_WAITING)
