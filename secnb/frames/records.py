"""The tables of a deployment become frames of the one vocabulary."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import pandas as pd

from secnb import schema
from secnb.core.reader import DatabaseReader, Rows, check_limits
from secnb.errors import BadInputError, UnknownCameraError, UnknownColumnError, UnknownNameError
from secnb.frames.notes import note_rows, warn_truncated
from secnb.frames.typed import mask_secrets, to_columns, to_frame

_PAGE = 50_000
_TRUTH_TABLE: Final = "secnb_truth"
_NOTE_TABLE: Final = "secnb_sandbox"
# A derived column, and the stored columns that it is made of.
_DERIVED: Final[Mapping[str, tuple[str, ...]]] = {
    "risk_level_now": ("risk_score",),
    "is_failed": ("risk_score", "summary", "reasoning"),
    "n_detections": ("detection_ids",),
}
_IDS = re.compile(r"\d+")


@dataclass(frozen=True)
class Wanted:
    """Which records are wanted: half-open in time, the newest first where a limit cuts.

    Attributes
    ----------
    camera_id, object_type : str, iterable of str or None
        Only these; None for all.
    since, until : datetime, str or None
        ``since <= time < until``; aware, or taken as UTC.
    limit : int or None
        At most so many, the newest; None for all.
    columns : sequence of str or None
        Only these columns, in this order; None for all.
    """

    camera_id: str | Iterable[str] | None = None
    object_type: str | Iterable[str] | None = None
    since: datetime | str | None = None
    until: datetime | str | None = None
    limit: int | None = None
    columns: Sequence[str] | None = None


@dataclass(frozen=True)
class _Table:
    """One table: what its frame looks like, and the column that orders it in time."""

    name: str
    schema: Mapping[str, str]
    ordered_by: str | None


_CAMERAS = _Table("cameras", schema.CAMERAS, None)
_DETECTIONS = _Table("detections", schema.DETECTIONS, "detected_at")
_EVENTS = _Table("events", schema.EVENTS, "started_at")


async def read_cameras(reader: DatabaseReader, *, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return one row per camera, sorted by id."""
    return await _read(reader, _CAMERAS, Wanted(columns=columns))


async def read_detections(
    reader: DatabaseReader, wanted: Wanted, *, on_page: Callable[[int], None] = lambda _: None
) -> pd.DataFrame:
    """Return one row per recorded detection, sorted by time, then id."""
    return await _read(reader, _DETECTIONS, wanted, on_page=on_page)


async def read_events(
    reader: DatabaseReader,
    wanted: Wanted,
    *,
    cuts: tuple[int, int, int] = schema.RISK_CUTS,
    on_page: Callable[[int], None] = lambda _: None,
) -> pd.DataFrame:
    """Return one row per event, sorted by start, then id; `cuts` make ``risk_level_now``."""
    frame = await _read(reader, _EVENTS, wanted, cuts=cuts, on_page=on_page)
    frame.attrs["risk_cuts"] = list(cuts)
    return frame


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


async def _read(
    reader: DatabaseReader,
    table: _Table,
    wanted: Wanted,
    *,
    cuts: tuple[int, int, int] = schema.RISK_CUTS,
    on_page: Callable[[int], None] = lambda _: None,
) -> pd.DataFrame:
    stored = await _stored_columns(reader, table)
    chosen = _chosen(table, stored, wanted.columns)
    sources = (name for each in chosen for name in (each, *_DERIVED.get(each, ())))
    needed = {name: stored[name] for name in dict.fromkeys(sources) if name in stored}
    check_limits(wanted.limit)
    where, params = await _conditions(reader, table, stored, wanted)
    parts = _parts(table, stored, has_bounds=not params.keys().isdisjoint(("since", "until")))
    rows = await _pages(reader, table, parts, needed, where, params, wanted.limit, on_page)
    columns = mask_secrets(to_columns(list(needed), rows.rows), wanted=wanted.columns or ())
    columns |= _derived(columns, chosen, cuts, n_rows=len(rows.rows))
    kept = {name: columns[name] for name in chosen if name in columns}
    frame = to_frame(kept, {name: dtype for name, dtype in table.schema.items() if name in chosen})
    return note_rows(_sorted(frame[chosen], table), rows, table=table.name, params=params)


async def _stored_columns(reader: DatabaseReader, table: _Table) -> dict[str, str]:
    """Return the database's column by the frame's column, as the table really is."""
    found = await reader.fetch_columns(table.name)
    if not found:
        raise UnknownNameError(
            "table", table.name, await reader.fetch_tables(), hint="is this the database of a deployment?"
        )
    if "id" not in found:
        raise UnknownColumnError("column", "id", found, hint="is this the database of a deployment?")
    return {schema.PRIMARY_KEYS[table.name] if name == "id" else name: name for name in found} | {
        schema.PRIMARY_KEYS[table.name]: "id"
    }


def _chosen(table: _Table, stored: Mapping[str, str], columns: Sequence[str] | None) -> list[str]:
    known = list(dict.fromkeys([*table.schema, *stored]))
    if columns is None:
        return known
    chosen = [columns] if isinstance(columns, str) else list(dict.fromkeys(columns))
    for name in chosen:
        if name not in known:
            raise UnknownColumnError("column", name, known)
    return chosen


async def _conditions(
    reader: DatabaseReader, table: _Table, stored: Mapping[str, str], wanted: Wanted
) -> tuple[list[str], dict[str, Any]]:
    where: list[str] = []
    params: dict[str, Any] = {}
    for name, value in (("camera_id", wanted.camera_id), ("object_type", wanted.object_type)):
        if value is not None:
            _check_stored(name, stored)
            params[name] = _names(name, value)
            where.append(f"{_quoted(name)} IN :{name}")
    if "camera_id" in params:
        await _check_cameras(reader, table, params["camera_id"])
    since, until = as_utc("since", wanted.since), as_utc("until", wanted.until)
    if since is not None and until is not None and since > until:
        raise BadInputError(f"since ({since.isoformat()}) is after until ({until.isoformat()}).")
    for name, stamp, sign in (("since", since, ">="), ("until", until, "<")):
        if stamp is not None and table.ordered_by:
            _check_stored(table.ordered_by, stored)
            params[name] = _text_bound(stamp) if reader.dialect == "sqlite" else stamp
            where.append(f"{_quoted(table.ordered_by)} {sign} :{name}")
    return where, params


def _check_stored(name: str, stored: Mapping[str, str]) -> None:
    # SQLite takes an unknown name in double quotes for text, and the condition would hold for every row.
    if name not in stored:
        raise UnknownColumnError("column", name, stored)


def _names(name: str, value: str | Iterable[str]) -> list[str]:
    if isinstance(value, str):
        return [value]
    try:
        return [str(each) for each in value]
    except TypeError as exc:
        raise BadInputError(f"{name} is {value!r}. Allowed: a str, or several of them.") from exc


def _text_bound(stamp: datetime) -> str:
    """Return a time bound as the shortest text, which sorts before every longer form of the same instant."""
    text = stamp.astimezone(UTC).replace(tzinfo=None).isoformat(" ")
    return text.rstrip("0") if "." in text else text


async def _check_cameras(reader: DatabaseReader, table: _Table, wanted: Sequence[str]) -> None:
    known: list[str] = []
    if "id" in await reader.fetch_columns("cameras"):
        known = [str(row[0]) for row in (await reader.fetch("SELECT id FROM cameras")).rows]
    for name in wanted:
        # A camera that was removed may have left its records behind.
        seen = f"SELECT 1 FROM {_quoted(table.name)} WHERE camera_id = :name LIMIT 1"  # noqa: S608
        if name not in known and not (await reader.fetch(seen, {"name": name})).rows:
            raise UnknownCameraError("camera", name, known)


def as_utc(name: str, value: datetime | str | None) -> datetime | None:
    """Return a time bound as aware UTC; naive values are taken as UTC.

    Raises
    ------
    BadInputError
        If it is no time.
    """
    if value is None:
        return None
    try:
        if isinstance(value, int | float):
            raise TypeError("a number could count seconds, or nanoseconds")
        stamp = pd.Timestamp(value)
        if pd.isna(stamp):
            raise ValueError("it is missing")
        stamp = stamp.tz_localize(UTC) if stamp.tzinfo is None else stamp.tz_convert(UTC)
        return stamp.to_pydatetime(warn=False)
    except (ValueError, TypeError, OverflowError) as exc:
        raise BadInputError(
            f"{name} is {value!r}. Allowed: a datetime, or ISO 8601 text.",
            hint="for example '2026-01-15 08:00'.",
        ) from exc


def _parts(
    table: _Table, stored: Mapping[str, str], *, has_bounds: bool
) -> list[tuple[list[str], list[str]]]:
    """Return the parts that are read one after the other; rows without a time have no place in a page."""
    if table.ordered_by is None or table.ordered_by not in stored:
        return [(["id"], [])]
    keys, column = [table.ordered_by, "id"], _quoted(table.ordered_by)
    if has_bounds:
        return [(keys, [])]
    return [(keys, [f"{column} IS NOT NULL"]), (["id"], [f"{column} IS NULL"])]


async def _pages(
    reader: DatabaseReader,
    table: _Table,
    parts: Sequence[tuple[Sequence[str], Sequence[str]]],
    columns: Mapping[str, str],
    where: Sequence[str],
    params: Mapping[str, Any],
    limit: int | None,
    on_page: Callable[[int], None],
) -> Rows:
    """Read page by page from the newest backwards, each in a transaction of its own.

    New rows come at the end that was read first, so they neither shift a page nor repeat a row. `parts`
    are the keys that order each part, and the condition for it.
    """
    counting = f"SELECT count(*) FROM {_quoted(table.name)} WHERE {' AND '.join(where) or '1 = 1'}"  # noqa: S608
    started, rows, n_later = time.perf_counter(), list[Sequence[Any]](), 0
    for keys, condition in parts:
        order = ", ".join(f"{_quoted(key)} DESC" for key in keys)
        selected = ", ".join(_quoted(name) for name in [*columns.values(), *keys])
        place = f"({', '.join(map(_quoted, keys))}) < ({', '.join(f':last_{key}' for key in keys)})"
        last: dict[str, Any] = {}
        n_later = len(rows)
        while True:
            size = _PAGE if limit is None else min(_PAGE, limit - len(rows))
            conditions = " AND ".join([*where, *condition, *([place] if last else [])]) or "1 = 1"
            page = await reader.fetch(
                f"SELECT {selected} FROM {_quoted(table.name)} WHERE {conditions} "  # noqa: S608
                f"ORDER BY {order} LIMIT {size}",
                {**params, **last},
            )
            rows.extend(page.rows)
            on_page(len(rows))
            if len(page.rows) < size or len(rows) == limit:
                break
            values = page.rows[-1][-len(keys) :]
            last = {f"last_{key}": value for key, value in zip(keys, values, strict=True)}
    # Turned round in the end, so that rows without a time come last.
    rows = rows[n_later:] + rows[:n_later]
    total = len(rows) if limit is None else int((await reader.fetch(counting, params)).rows[0][0])
    if total > len(rows):
        warn_truncated(len(rows), total, what=f"{table.name}, the newest", hint="limit=None reads all.")
    return Rows(
        columns=list(columns),
        rows=rows,
        total=total,
        is_truncated=total > len(rows),
        seconds=time.perf_counter() - started,
        read_at=page.read_at,
        source=page.source,
    )


def _derived(
    columns: Mapping[str, Sequence[Any]], chosen: Sequence[str], cuts: tuple[int, int, int], *, n_rows: int
) -> dict[str, Sequence[Any]]:
    missing = [None] * n_rows
    scores = columns.get("risk_score", missing)
    made: dict[str, Sequence[Any]] = {}
    if "risk_level_now" in chosen:
        made["risk_level_now"] = [_level(score, cuts) for score in scores]
    if "is_failed" in chosen:
        words = zip(scores, columns.get("summary", missing), columns.get("reasoning", missing), strict=True)
        # Without either text nobody can tell.
        is_known = "summary" in columns or "reasoning" in columns
        made["is_failed"] = [_is_failed(*each) for each in words] if is_known else missing
    if "n_detections" in chosen and "detection_ids" in columns:
        made["n_detections"] = [_n_ids(ids) for ids in columns["detection_ids"]]
    return made


def _level(score: Any, cuts: tuple[int, int, int]) -> str | None:
    try:
        score = float(score)
    except (ValueError, TypeError, OverflowError):
        return None
    if not math.isfinite(score):
        return None
    return schema.RISK_LEVELS[sum(score > cut for cut in cuts)]


def _is_failed(score: Any, summary: Any, reasoning: Any) -> bool:
    """Whether the reasoner did not answer; the service then writes a score of 50 that is none."""
    fell_back = summary == schema.FAILED_SUMMARY or str(reasoning or "").startswith(schema.FAILED_REASONING)
    return score == 50 and fell_back


def _n_ids(ids: Any) -> int | None:
    """Return how many detections an event names: a JSON list of integers or strings, or comma-separated."""
    if ids is None:
        return None
    try:
        value = json.loads(ids)
    except (ValueError, TypeError, RecursionError):
        return len(_IDS.findall(str(ids)))
    if isinstance(value, str):
        return _n_ids(value)
    return len(value) if isinstance(value, list) else int(value is not None)


def _sorted(frame: pd.DataFrame, table: _Table) -> pd.DataFrame:
    key = schema.PRIMARY_KEYS[table.name]
    by = [name for name in (table.ordered_by, key) if name is not None and name in frame.columns]
    # Rows came newest first; where what sorts them was not asked for, turning round suffices.
    is_known = bool(by) and by[0] == (table.ordered_by or key)
    frame = frame.iloc[::-1].reset_index(drop=True)
    if not is_known or _is_sorted([frame[name] for name in by]):
        return frame
    # Stable: where the id was not asked for, ties keep its order all the same.
    return frame.sort_values(by, kind="stable").reset_index(drop=True)


def _is_sorted(keys: list[pd.Series[Any]]) -> bool:
    """Whether rows are in order already, as the database says; odd values make it say otherwise."""
    if any(key.hasnans for key in keys):
        return False
    if len(keys) == 1:
        return keys[0].is_monotonic_increasing
    first, second = (key.astype("int64").to_numpy() for key in keys)
    rises = first[1:] > first[:-1]
    return bool((rises | ((first[1:] == first[:-1]) & (second[1:] > second[:-1]))).all())


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
