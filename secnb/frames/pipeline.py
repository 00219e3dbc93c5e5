"""The pipeline as one frame: every stage, what waits there, and where it is stuck."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final, TypeVar

import pandas as pd

from secnb.core.health import Answer, fetch_health
from secnb.core.reader import DatabaseReader
from secnb.core.redis_reader import RedisReader
from secnb.core.redis_recorded import UNKNOWN
from secnb.errors import SecnbError, UnreachableError
from secnb.frames.batches import Limits, read_open_batches
from secnb.frames.bounds import time_conditions
from secnb.frames.keynames import bare
from secnb.frames.notes import note
from secnb.frames.queues import read_messages, read_queues
from secnb.frames.records import read_end
from secnb.frames.silence import read_heard, unreadable
from secnb.frames.stages import (
    Heard,
    Open,
    Recorded,
    Row,
    Waiting,
    batching_stage,
    camera_stage,
    queue_stage,
    storage_stage,
    summary,
    worker_stage,
)
from secnb.frames.typed import to_frame, to_times
from secnb.frames.wanted import as_utc
from secnb.schema import PIPELINE, STAGES

_HEAD: Final = 100
_TAIL: Final = 5
# What acknowledged entries of a stream have left behind cannot be told apart from the front.
_MOST: Final = 1000
# The names under which the work for a worker waits, by what one item is.
_QUEUES: Final = {
    "images": ("detection_queue", "detections:stream"),
    "batches": ("analysis_queue", "analysis:stream"),
}
T = TypeVar("T")


@dataclass(frozen=True)
class Parts:
    """What the pipeline is read from.

    Attributes
    ----------
    redis : RedisReader
    database : DatabaseReader or SecnbError
        The error where there is no database to read.
    services : mapping of str to str or Answer
        URLs of the detector and the reasoner, or what they answered when a snapshot was taken.
    limits : Limits
        When batches close.
    timezone : tzinfo
        Of naive queue times.
    now : datetime or None
        The moment of a snapshot; None for now.
    """

    redis: RedisReader
    database: DatabaseReader | SecnbError
    services: Mapping[str, str | Answer]
    limits: Limits
    timezone: tzinfo
    now: datetime | None = None


async def read_pipeline(parts: Parts) -> pd.DataFrame:
    """Return one row per stage, in the order in which an image passes them; never raises on what is down."""
    queues, ends_at = await asyncio.gather(
        _or_error(read_queues(parts.redis, timezone=parts.timezone)), _or_error(_end(parts.database))
    )
    # A sandbox stands still, and is looked at as of the end of its history.
    as_of = ends_at if isinstance(ends_at, datetime) else parts.now or _server_time(queues)
    opened, heard, detections, events, detector, reasoner = await asyncio.gather(
        _open(parts, queues, as_of),
        _heard(parts.database, as_of),
        _recorded(parts.database, "detections", "detected_at", as_of),
        _recorded(parts.database, "events", "started_at", as_of),
        _service(parts.services["detector"]),
        _service(parts.services["reasoner"]),
    )
    images, batches = [await _waiting(parts, queues, what) for what in _QUEUES]
    stages = {
        "cameras": camera_stage(heard, detections),
        "detection_queue": queue_stage(images, as_of),
        "detector": worker_stage(images, detections, detector, as_of),
        "batching": batching_stage(opened, as_of),
        "analysis_queue": queue_stage(batches, as_of),
        "reasoner": worker_stage(batches, events, reasoner, as_of),
        "storage": storage_stage({"detections": detections, "events": events}, as_of),
    }
    facts = {"as_of": as_of, "is_standing_still": ends_at is not None and as_of == ends_at}
    return note(_frame(stages, as_of), summary=summary(stages), rows=len(stages), truncated=False, **facts)


def _frame(stages: Mapping[str, Row], as_of: datetime) -> pd.DataFrame:
    rows = [{"stage": name, **stages[name]} for name in STAGES]
    for row in rows:
        for age, stamp in (("oldest_age_s", "oldest_at"), ("freshness_s", "last_at")):
            found = row.get(stamp)
            row[age] = None if found is None else max(0.0, (as_of - found).total_seconds())
    return to_frame({name: [row.get(name) for row in rows] for name in PIPELINE}, PIPELINE)


async def _or_error(work: Coroutine[Any, Any, T]) -> T | SecnbError:
    """Return what comes of the work, or why nothing does."""
    try:
        return await work
    except SecnbError as exc:
        return exc


def _first_line(error: SecnbError) -> str:
    return str(error).partition("\n")[0].rstrip(".:")


async def _end(database: DatabaseReader | SecnbError) -> datetime | None:
    return None if isinstance(database, SecnbError) else await read_end(database)


def _server_time(queues: pd.DataFrame | SecnbError) -> datetime:
    """Return the time of the server, from which all ages count; the clock of this machine may be off."""
    if isinstance(queues, SecnbError):
        return datetime.now(UTC)
    return datetime.fromisoformat(queues.attrs["read_at"])


async def _waiting(parts: Parts, queues: pd.DataFrame | SecnbError, what: str) -> Waiting:
    """Return what waits under any of the names of one queue."""
    if isinstance(queues, SecnbError):
        return Waiting(what, error=_first_line(queues))
    named = queues[[bare(name) in _QUEUES[what] for name in queues["queue"]]]
    lists, streams = named[named["type"] == "list"], named[named["type"] == "stream"]
    there = named[named["type"].isin(["list", "stream"])]
    others = named[named["type"].notna() & ~named["type"].isin(["list", "stream"])]
    waiting = zip(streams["queue"], streams["backlog"].fillna(0), strict=True)
    looks = [
        *[await _or_error(_look(parts, name)) for name in lists["queue"]],
        *[await _or_error(_look_at_stream(parts, name, int(n))) for name, n in waiting if n],
    ]
    heads = [look for look in looks if not isinstance(look, SecnbError)]
    oldest = [*(each.oldest_at for each in heads), *streams["oldest_at"].dropna()]
    return Waiting(
        what,
        depth=_whole(there["backlog"]) if len(there) or others.empty else None,
        oldest_at=min((each for each in oldest if each is not None), default=None),
        newest_at=max((each.newest_at for each in heads if each.newest_at is not None), default=None),
        n_unreadable=sum(each.n_unreadable for each in heads),
        n_looked=sum(each.n_looked for each in heads),
        n_dead_letters=_whole(named["n_dead_letters"]),
        misplaced="; ".join(map(_misplaced, others["queue"], others["type"])) or None,
    )


def _misplaced(name: str, kind: str) -> str:
    if kind == UNKNOWN:
        return f"the snapshot does not say whether there was a key {name}"
    return f"{name} is a {kind}, not a queue"


async def _look(parts: Parts, name: str) -> Waiting:
    """Return what the first and last messages of a list say; the very first may be one without a time."""
    head = await read_messages(parts.redis, name, n=_HEAD, side="head", timezone=parts.timezone)
    tail = await read_messages(parts.redis, name, n=_TAIL, side="tail", timezone=parts.timezone)
    return Waiting(
        name,
        oldest_at=_stamp(head["enqueued_at"].min()),
        newest_at=_stamp(tail["enqueued_at"].max()),
        n_unreadable=int((~head["ok"]).sum()),
        n_looked=len(head),
    )


async def _look_at_stream(parts: Parts, name: str, backlog: int) -> Waiting:
    """Return what the newest entries say, which are those that wait; what was acknowledged stays before."""
    tail = await read_messages(parts.redis, name, n=min(backlog, _MOST), side="tail", timezone=parts.timezone)
    head = tail.head(_HEAD)
    return Waiting(
        name,
        newest_at=_stamp(tail["enqueued_at"].max()),
        n_unreadable=int((~head["ok"]).sum()),
        n_looked=len(head),
    )


def _stamp(value: Any) -> datetime | None:
    return None if pd.isna(value) else value.to_pydatetime(warn=False)


def _whole(column: pd.Series[Any]) -> int | None:
    """Return the sum, or None where a part of it is not known."""
    return None if column.isna().any() else int(column.sum())


async def _open(parts: Parts, queues: pd.DataFrame | SecnbError, as_of: datetime) -> Open:
    if isinstance(queues, UnreachableError):
        # Another wait would tell the same.
        return Open(error=_first_line(queues))
    frame = await _or_error(read_open_batches(parts.redis, parts.limits))
    if isinstance(frame, SecnbError):
        return Open(error=_first_line(frame))
    # The reader counts from the server's own time.
    since_s = (pd.Timestamp(frame.attrs["read_at"]) - as_of).total_seconds()
    rows = zip(frame["camera_id"], frame["started_at"], frame["closes_in_s"], strict=True)
    batches = tuple(
        (str(camera), _stamp(start), None if pd.isna(left) else -(left + since_s))
        for camera, start, left in rows
    )
    return Open(batches, n_broken=int(frame["error"].notna().sum()))


async def _heard(database: DatabaseReader | SecnbError, as_of: datetime) -> Heard:
    found = database if isinstance(database, SecnbError) else await _or_error(read_heard(database, as_of))
    return Heard(error=_first_line(found)) if isinstance(found, SecnbError) else found


async def _recorded(
    database: DatabaseReader | SecnbError, table: str, column: str, as_of: datetime
) -> Recorded:
    nothing = Recorded(table)
    if isinstance(database, SecnbError):
        return replace(nothing, error=_first_line(database))
    found = await _or_error(_count(database, table, column, as_of))
    return replace(nothing, error=_first_line(found)) if isinstance(found, SecnbError) else found


async def _count(database: DatabaseReader, table: str, column: str, as_of: datetime) -> Recorded:
    # What is newest by id tells whether its time can be read: a number sorts before all texts.
    by_id = f"SELECT {column} FROM {table} ORDER BY id DESC LIMIT 1"  # noqa: S608 - names of our own
    query = f"SELECT (SELECT max({column}) FROM {table}), ({by_id})"  # noqa: S608
    found = (await database.fetch(query)).rows[0]
    times = to_times(found)
    if found[1] is not None and pd.isna(times[1]):
        return Recorded(table, error=unreadable(f"{table}.{column}", found[1]))
    since = as_utc("as_of", as_of - timedelta(hours=1))
    where, params = time_conditions(column, since, None, dialect=database.dialect)
    counted = await database.fetch(f"SELECT count(*) FROM {table} WHERE {where[0]}", params)  # noqa: S608
    return Recorded(table, _stamp(times.max()), int(counted.rows[0][0]))


async def _service(service: str | Answer) -> str | None:
    answer = service if isinstance(service, Answer) else await fetch_health(service)
    return None if answer.is_up else f"its service does not answer ({answer.detail})"
