"""What waits in Redis becomes frames: queues, and the messages in one of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, tzinfo

import pandas as pd

from secnb.core.redis_reader import QueueState, RedisReader, Side
from secnb.errors import BadInputError, UnknownQueueError
from secnb.frames.messages import decode_message, enqueued_at, to_messages
from secnb.frames.notes import note
from secnb.frames.typed import to_frame
from secnb.schema import QUEUE_FIELDS, QUEUES

_BATCH_KEYS = "batch:"
_DEAD_LETTERS = "dlq:"


async def read_queues(redis: RedisReader, *, timezone: tzinfo) -> pd.DataFrame:
    """Return one row per queue: the known ones, and every other list or stream that is there."""
    names = sorted(
        {*QUEUE_FIELDS, *await _other_queues(redis)}, key=lambda name: (name not in QUEUE_FIELDS, name)
    )
    now = await redis.fetch_time()
    states = await redis.fetch_states(names)
    lengths = {state.name: state.length for state in states}
    oldest = [_oldest_at(state, timezone) for state in states]
    ages = [None if stamp is None else (now - stamp).total_seconds() for stamp in oldest]
    frame = to_frame(
        {
            "queue": names,
            "type": [None if state.type == "none" else state.type for state in states],
            "length": [0 if state.type == "none" else state.length for state in states],
            # What a list holds is waiting; a stream keeps what was done, so its length says nothing.
            "backlog": [_backlog(state) for state in states],
            "oldest_at": oldest,
            "oldest_age_s": [None if age is None or age < 0 else age for age in ages],
            "n_dead_letters": [_n_dead_letters(name, lengths) for name in names],
        },
        QUEUES,
    )
    return note(frame, source="server", read_at=now, rows=len(frame), truncated=False, timezone=str(timezone))


async def read_messages(
    redis: RedisReader,
    name: str,
    *,
    n: int | None,
    side: Side,
    timezone: tzinfo,
    on_page: Callable[[int], None] = lambda _: None,
) -> pd.DataFrame:
    """Return one row per message of a queue, without taking any out.

    Raises
    ------
    UnknownQueueError
        If there is no such queue, and it is not one of those that always exist.
    BadInputError
        If the key is no list, or `n` or `side` is not allowed.
    """
    _check(n, side)
    kind = await redis.fetch_type(name)
    if kind == "none" and name not in QUEUE_FIELDS:
        raise UnknownQueueError("queue", name, {*QUEUE_FIELDS, *await _other_queues(redis)})
    if kind not in ("none", "list"):
        raise BadInputError(
            f"{name!r} is a {kind}, and a queue is a list.", hint="site.queues() lists the queues."
        )
    now = await redis.fetch_time()
    read = await redis.fetch_items(name, n=n, side=side, on_page=on_page)
    positions = range(read.first_pos, read.first_pos + len(read.items))
    frame = to_messages(read.items, queue=name, positions=positions, now=now, timezone=timezone)
    return note(
        frame,
        source="server",
        key=name,
        side=side,
        read_at=now,
        rows=len(frame),
        total=read.length,
        truncated=len(frame) < read.length,
        moved=read.has_moved,
        timezone=str(timezone),
    )


def _check(n: int | None, side: str) -> None:
    if n is not None and (isinstance(n, bool) or not isinstance(n, int) or n < 0):
        raise BadInputError(f"n is {n!r}. Allowed: a whole number from 0, or None for all messages.")
    if side not in ("head", "tail"):
        raise BadInputError(f"side is {side!r}. Allowed: 'head' (next in turn) or 'tail' (newest).")


async def _other_queues(redis: RedisReader) -> list[str]:
    """Return lists and streams besides the known ones; a batch keeps its detections in a list as well."""
    lists = await redis.fetch_names("*", key_type="list")
    streams = await redis.fetch_names("*", key_type="stream")
    return [name for name in [*lists, *streams] if not name.startswith(_BATCH_KEYS)]


def _backlog(state: QueueState) -> int | None:
    if state.type == "none":
        return 0
    return state.length if state.type == "list" else None


def _oldest_at(state: QueueState, timezone: tzinfo) -> datetime | None:
    if state.oldest is None:
        return None
    return enqueued_at(decode_message(state.oldest).payload, timezone)


def _n_dead_letters(name: str, lengths: dict[str, int | None]) -> int | None:
    if name.startswith(_DEAD_LETTERS):
        return None
    dead = _DEAD_LETTERS + name
    return (lengths[dead] or 0) if dead in lengths else None
