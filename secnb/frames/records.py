"""The tables of a deployment become frames of the one vocabulary, whatever columns they really have."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

import pandas as pd

from secnb import schema
from secnb.core.driver_errors import RIGHTS
from secnb.core.reader import DatabaseReader
from secnb.core.secret_names import is_secret_name
from secnb.errors import UnknownColumnError, UnknownNameError
from secnb.frames.notes import note, note_rows
from secnb.frames.paging import Selection, quoted, read_pages
from secnb.frames.secrets import mask_field
from secnb.frames.typed import mask_secrets, to_columns, to_frame
from secnb.frames.wanted import Wanted, as_utc, bounds, check_known, chosen_columns, conditions

_TRUTH_TABLE: Final = "secnb_truth"
_NOTE_TABLE: Final = "secnb_sandbox"
_IS_DEPLOYMENT: Final = "is this the database of a deployment?"
Derive = Callable[[pd.DataFrame, Sequence[str], Mapping[str, str]], Awaitable[None]]
"""Adds derived columns to a frame of records: the frame, the columns wanted, the stored columns."""


@dataclass(frozen=True)
class Table:
    """One table and its frame.

    Attributes
    ----------
    name : str
        In the database.
    schema : mapping of str to str
        The columns that the frame always has, with their dtypes.
    ordered_by : str or None
        The column that orders it in time.
    made_of : mapping of str to tuple of str
        Derived columns, and the columns that each is made of.
    is_optional : bool
        Whether some generations lack it; its frame is then empty, and its attrs say so.
    holds_secrets : bool
        Whether its texts are looked through for passwords, which takes long for more than a few rows.
    """

    name: str
    schema: Mapping[str, str]
    ordered_by: str | None = None
    made_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    is_optional: bool = False
    holds_secrets: bool = False


_CAMERAS = Table("cameras", schema.CAMERAS, holds_secrets=True)
_DETECTIONS = Table("detections", schema.DETECTIONS, "detected_at")
EVENTS = Table(
    "events",
    schema.EVENTS,
    "started_at",
    made_of={
        "risk_level_now": ("risk_score",),
        "is_failed": ("event_id", "risk_score"),
        "n_detections": ("event_id", "detection_ids"),
        "verdict": ("event_id",),
    },
)


async def read_cameras(reader: DatabaseReader, *, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return one row per camera, sorted by id; removed ones (soft deletes) are left out."""
    return await read_table(reader, _CAMERAS, Wanted(columns=columns))


async def read_detections(
    reader: DatabaseReader, wanted: Wanted, *, on_page: Callable[[int], None] = lambda _: None
) -> pd.DataFrame:
    """Return one row per recorded detection, sorted by time, then id."""
    return await read_table(reader, _DETECTIONS, wanted, on_page=on_page)


async def read_truth(reader: DatabaseReader) -> pd.DataFrame:
    """Return what a sandbox knows of each detection; empty for a real deployment."""
    if not await reader.fetch_columns(_TRUTH_TABLE):
        return to_frame({}, schema.TRUTH)
    rows = await reader.fetch(f"SELECT detection_id, is_true, object_id FROM {_TRUTH_TABLE}")  # noqa: S608
    return note_rows(to_frame(to_columns(rows.columns, rows.rows), schema.TRUTH), rows)


async def read_note(reader: DatabaseReader) -> str | None:
    """Return what a sandbox says that its data is; None for a real deployment."""
    if not await reader.fetch_columns(_NOTE_TABLE):
        return None
    rows = (await reader.fetch(f"SELECT note FROM {_NOTE_TABLE}")).rows  # noqa: S608
    return str(rows[0][0]) if rows else None


async def read_end(reader: DatabaseReader) -> datetime | None:
    """Return when the history of a sandbox ends, in which nothing runs; None for a real deployment."""
    if not await reader.fetch_columns(_NOTE_TABLE):
        return None
    rows = (await reader.fetch(f"SELECT ends_at FROM {_NOTE_TABLE}")).rows  # noqa: S608
    return as_utc("ends_at", rows[0][0]) if rows else None


async def read_table(
    reader: DatabaseReader,
    table: Table,
    wanted: Wanted,
    *,
    where: Mapping[str, Any] | None = None,
    derive: Derive | None = None,
    on_page: Callable[[int], None] = lambda _: None,
) -> pd.DataFrame:
    """Return the rows of a table that are wanted, without those that are marked as deleted.

    Parameters
    ----------
    reader : DatabaseReader
    table : Table
    wanted : Wanted
    where : mapping of str to dict, optional
        More conditions in SQL, and the parameters of each.
    derive : coroutine function, optional
        Adds the derived columns that are wanted.
    on_page : callable
        Is told after each page how many rows there are.

    Raises
    ------
    UnknownNameError
        If there is no such table, unless it is optional.
    UnknownColumnError, UnknownCameraError
        With the near matches.
    """
    stored = await _stored_columns(reader, table)
    chosen = chosen_columns(wanted.columns, [*table.schema, *stored])
    if not stored:
        kept = {name: table.schema[name] for name in chosen}
        frame = to_frame({}, kept)
        return note(frame, table=table.name, rows=0, total=0, truncated=False, missing_tables=[table.name])
    sources = [name for each in chosen for name in table.made_of.get(each, ()) if name in stored]
    read = [name for name in dict.fromkeys([*chosen, *sources]) if name not in table.made_of]
    selection = await _selection(reader, table, wanted, stored, [name for name in read if name in stored])
    for condition, params in (where or {}).items():
        selection = replace(
            selection, where=[*selection.where, condition], params={**selection.params, **params}
        )

    def masked(page: dict[str, Sequence[Any]], _: int) -> dict[str, Sequence[Any]]:
        named = () if wanted.columns is None else chosen
        shown = mask_secrets(page, wanted=named)
        if not table.holds_secrets:
            return shown
        # Keys stay what other tables call their rows.
        kept = {schema.PRIMARY_KEYS[table.name], *filter(is_secret_name, named)}
        return {
            name: each if name in kept else [mask_field(name, value) for value in each]
            for name, each in shown.items()
        }

    dtypes = {name: table.schema.get(name) for name in read}
    frame = await read_pages(reader, selection, dtypes, shape=masked, on_page=on_page)
    if derive is not None:
        await derive(frame, chosen, stored)
    return frame[chosen]


async def _selection(
    reader: DatabaseReader, table: Table, wanted: Wanted, stored: Mapping[str, str], columns: Sequence[str]
) -> Selection:
    where, params = await conditions(reader, table.name, stored, wanted)
    since, until = bounds(wanted)
    if table.ordered_by is not None and (since is not None or until is not None):
        check_known(table.ordered_by, stored)
    return Selection(
        table=table.name,
        columns={name: stored[name] for name in columns},
        where=[*where, *not_deleted(stored)],
        params=params,
        ordered_by=table.ordered_by if table.ordered_by in stored else None,
        since=since if table.ordered_by else None,
        until=until if table.ordered_by else None,
        limit=wanted.limit,
    )


def not_deleted(stored: Mapping[str, str] | Sequence[str]) -> list[str]:
    """Return the condition that leaves out what is marked as deleted, where a table has such marks."""
    return [f"{quoted('deleted_at')} IS NULL"] if "deleted_at" in stored else []


async def _stored_columns(reader: DatabaseReader, table: Table) -> dict[str, str]:
    """Return the database's column by the frame's column, as the table really is."""
    found = await reader.fetch_columns(table.name)
    if not found and table.is_optional:
        return {}
    if not found:
        known = await reader.fetch_tables()
        is_role = not known and reader.dialect == "postgresql"
        hint = f"{_IS_DEPLOYMENT} Or: {RIGHTS}" if is_role else _IS_DEPLOYMENT
        raise UnknownNameError("table", table.name, known, hint=hint)
    if "id" not in found:
        raise UnknownColumnError("column", "id", found, hint=_IS_DEPLOYMENT)
    key = schema.PRIMARY_KEYS[table.name]
    return {key if name == "id" else name: name for name in found} | {key: "id"}
