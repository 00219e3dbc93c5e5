"""What a label store asks of its file: verdicts and draws, in and out of SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import pandas as pd

from secnb import schema
from secnb.errors import BadInputError
from secnb.frames.typed import to_columns, to_frame
from secnb.frames.verdicts import to_rows, to_units

CONTEXT: Final = ("detection_id", "camera_id", "object_type", "score", "risk_score", "started_at")
"""What a corrected verdict need not say again."""

NEWEST: Final = """
    SELECT max(verdict_id) FROM verdicts
    WHERE verdict_id NOT IN (SELECT verdict_id FROM undone) GROUP BY unit
"""
"""The verdicts that count: the newest of each unit that was not taken back."""

_IDENTITY: Final = ("camera_id", "started_at")
_STORED: Final = tuple(schema.LABELS)
_INSERT = f"INSERT INTO verdicts (unit, {', '.join(_STORED)}) VALUES (?{', ?' * len(_STORED)})"  # noqa: S608
# A unit that was labelled before any draw could take it is there for certain.
_READ = """
    SELECT verdict_id, event_id, detection_id, camera_id, object_type, score, risk_score, started_at, truth,
        is_missed, coalesce(v.design, w.design) AS design,
        CASE WHEN c.wave IS NOT NULL THEN c.probability
            ELSE coalesce(v.probability, CASE WHEN c.probability = 1 THEN 1.0 END) END AS probability,
        who, verified_at, undone_at
    FROM verdicts v LEFT JOIN undone USING (verdict_id)
    LEFT JOIN (SELECT unit, wave, probability FROM chances) c ON c.unit = v.unit
    LEFT JOIN (SELECT wave, design FROM waves) w ON w.wave = c.wave
"""
_VERDICTS: Final = {"verdict_id": "Int64", **schema.LABELS, "undone_at": schema.TIME}
_CHANCE = """
    INSERT INTO chances (unit, event_id, detection_id, probability, wave) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (unit) DO UPDATE SET probability = excluded.probability, wave = coalesce(wave, excluded.wave)
"""


def insert_verdicts(connection: sqlite3.Connection, frame: pd.DataFrame) -> range:
    """Store verdicts as rows of their own, and return their numbers."""
    units = to_units(frame)
    known = newest_verdicts(connection, units)
    rows = []
    for unit, row in zip(units, to_rows(frame), strict=True):
        known[unit] = _completed(unit, row, known.get(unit))
        rows.append((unit, *(known[unit][name] for name in _STORED)))
    (last,) = connection.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence").fetchone()
    connection.executemany(_INSERT, rows)
    return range(last + 1, last + 1 + len(rows))


def newest_verdicts(connection: sqlite3.Connection, units: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the newest verdict by unit, for those of `units` that have one."""
    sql = """
        SELECT * FROM verdicts WHERE verdict_id IN (
            SELECT max(verdict_id) FROM verdicts
            WHERE unit IN (SELECT value FROM json_each(?))
                AND verdict_id NOT IN (SELECT verdict_id FROM undone)
            GROUP BY unit
        )
    """
    cursor = connection.execute(sql, (json.dumps(units),))
    names = [column[0] for column in cursor.description]
    rows = (dict(zip(names, row, strict=True)) for row in cursor)
    return {row["unit"]: row for row in rows}


def _completed(unit: str, row: dict[str, Any], known: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a verdict with what it leaves out of its unit's last one."""
    if known is None:
        return row
    for name in _IDENTITY:
        if None not in (row[name], known[name]) and row[name] != known[name]:
            raise BadInputError(
                f"The store knows {unit} with {name} {known[name]}, but here it has {row[name]}.",
                hint="ids are those of one deployment; give each deployment a store of its own",
            )
    return row | {name: known[name] for name in CONTEXT if row[name] is None}


def read_verdicts(
    connection: sqlite3.Connection, where: str = "", params: Sequence[Any] = ()
) -> pd.DataFrame:
    """Return verdicts as a frame, oldest first: ``schema.LABELS`` between verdict_id and undone_at."""
    return read_rows(connection, f"{_READ} {where} ORDER BY verdict_id", _VERDICTS, params)


def read_rows(
    connection: sqlite3.Connection, sql: str, wanted: Mapping[str, str], params: Sequence[Any] = ()
) -> pd.DataFrame:
    """Return the rows of a query, the columns of `wanted` in their dtypes and no others."""
    cursor = connection.execute(sql, params)
    columns = to_columns([column[0] for column in cursor.description], cursor.fetchall())
    return to_frame({name: columns[name] for name in wanted}, wanted)


def insert_wave(
    connection: sqlite3.Connection, units: pd.DataFrame, *, wave: int, design: str, seed: int
) -> None:
    """Store what a draw could have taken and what it took."""
    drawn_at = datetime.now(UTC).isoformat()
    connection.execute(
        "INSERT INTO waves (wave, design, seed, drawn_at) VALUES (?, ?, ?, ?)",
        (wave, design, str(seed), drawn_at),
    )
    names = ["event_id", "detection_id", "probability", "is_drawn"]
    rows = to_rows(units.reindex(columns=names))
    connection.executemany(
        _CHANCE,
        [
            (unit, *(row[name] for name in names[:3]), wave if row["is_drawn"] else None)
            for unit, row in zip(to_units(units), rows, strict=True)
        ],
    )
