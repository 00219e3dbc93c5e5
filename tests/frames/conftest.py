"""Databases written by hand."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest

from secnb.core.reader import DatabaseReader


@pytest.fixture
async def written(tmp_path: Path) -> AsyncIterator[Callable[[str], DatabaseReader]]:
    """Return a function that runs a script on a new SQLite file, and returns a reader of it."""
    numbers, readers = itertools.count(), list[DatabaseReader]()

    def write(script: str) -> DatabaseReader:
        path = tmp_path / f"written-{next(numbers)}.db"
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.executescript(script)
        readers.append(DatabaseReader(f"sqlite:///{path}"))
        return readers[-1]

    yield write
    for reader in readers:
        await reader.close()
