"""What waits in Redis becomes frames: queues, and the messages in one of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, tzinfo

import pandas as pd

from secnb.core.redis_marks import Flow, fetch_flows, fetch_marks
from secnb.core.redis_reader import Items, QueueState, RedisReader, Side
from secnb.core.redis_streams import Entries, StreamState, count_after, fetch_entries, fetch_stream_states
from secnb.errors import BadInputError, UnknownQueueError
from secnb.frames.keynames import bare, both_forms, check_text, owners, read_limit
from secnb.frames.messages import GrowingMessages, decode_message
from secnb.frames.notes import note
from secnb.frames.streams import entry_at, to_entry_messages
from secnb.frames.times import enqueued_at
from secnb.frames.typed import to_frame
from secnb.schema import KEY_PREFIX, QUEUE_FIELDS, QUEUE_RATES, QUEUES

_BATCH_KEYS = "batch:"
_LONGEST_S = 24 * 3600.0


@dataclass(frozen=True)
class _Look:
    """All queues at one instant: their keys in the order of the frame, and what is known of each."""

    names: list[str]
    states: dict[str, QueueState]
    streams: dict[str, StreamState]


async def read_queues(
    redis: RedisReader,
    *,
    timezone: tzinfo,
    watch_s: float | None = None,
    on_wait: Callable[[str], None] = lambda _: None,
) -> pd.DataFrame:
    """Return one row per queue: the known ones, and every other list or stream that is there.

    With `watch_s` there are two looks, so many seconds apart, and the frame has the columns of
    `secnb.schema.QUEUE_RATES` as well.

    Raises
    ------
    BadInputError
        If `watch_s` is no time to wait.
    """
    _check_watch(watch_s)
    names = sorted(
        {*QUEUE_FIELDS, *await fetch_other_queues(redis)}, key=lambda name: (name not in QUEUE_FIELDS, name)
    )
    look = await _look(redis, names)
    if watch_s is None:
        return await _queue_frame(redis, look, timezone)
    lists = [name for name, state in look.states.items() if state.type == "list"]
    marks, started = await fetch_marks(redis, lists), time.monotonic()
    await _wait(watch_s, on_wait)
    flows, seconds = await fetch_flows(redis, marks), time.monotonic() - started
    later = await _look(redis, names)
    for name in look.streams.keys() & later.streams.keys():
        flows[name] = await _stream_flow(redis, look.streams[name], later.streams[name])
    frame = await _queue_frame(redis, later, timezone)
    found = [flows.get(name, Flow()) for name in names]
    rates = {
        "in_per_s": [None if each.n_in is None else each.n_in / seconds for each in found],
        "out_per_s": [None if each.n_out is None else each.n_out / seconds for each in found],
    }
    watched = frame.join(to_frame(rates, QUEUE_RATES))
    watched.attrs = frame.attrs
    return note(watched, watched_s=round(seconds, 6))


async def read_messages(
    redis: RedisReader,
    name: str,
    *,
    n: int | None,
    side: Side,
    timezone: tzinfo,
    prefix: str = KEY_PREFIX,
    on_page: Callable[[int], None] = lambda _: None,
) -> pd.DataFrame:
    """Return one row per message of a queue, list or stream, without taking any out.

    The key is `name` itself, or its other form (with or without `prefix`) where only that is there.

    Raises
    ------
    UnknownQueueError
        If there is no such queue, and it is not one of those that always exist.
    BadInputError
        If the key is neither list nor stream, or `name`, `n` or `side` is not allowed.
    """
    check_text("name", name, example="detection_queue")
    n = read_limit("n", n)
    _check_side(side)
    key, kind = await find_queue(redis, name, prefix=prefix)
    read: Items | Entries
    if kind == "stream":
        read = await fetch_entries(redis, key, n=n, side=side, on_page=on_page)
        # After the items, or the newest ones would be ahead of it.
        now = await redis.fetch_time()
        frame = await to_entry_messages(
            read.items, stream=key, first_pos=read.first_pos, now=now, timezone=timezone
        )
    else:
        messages, n_read = GrowingMessages(queue=key, timezone=timezone), 0
        async with aclosing(redis.item_pages(key, n=n, side=side)) as pages:
            async for read in pages:
                messages.add(read.items)
                on_page(n_read := n_read + len(read.items))
        now = await redis.fetch_time()
        frame = messages.to_frame(first_pos=read.first_pos, now=now)
    return note(
        frame,
        source="server",
        key=key,
        side=side,
        read_at=now,
        rows=len(frame),
        total=read.length,
        truncated=len(frame) < read.length,
        moved=read.has_moved,
        timezone=str(timezone),
    )


async def find_queue(redis: RedisReader, name: str, *, prefix: str) -> tuple[str, str]:
    """Return the key that holds a queue, and its type: ``"none"`` for a known queue that is empty.

    Raises
    ------
    UnknownQueueError
        If neither form of the key is there, and it is not one of the queues that always exist.
    BadInputError
        If the key holds no queue.
    """
    for key in both_forms(name, prefix):
        kind = await redis.fetch_type(key)
        if kind in ("list", "stream"):
            return key, kind
        if kind != "none":
            raise BadInputError(
                f"{key!r} is a {kind}, and a queue is a list or a stream.",
                hint="site.queues() lists the queues, site.cache() shows plain values.",
            )
    if bare(name) not in QUEUE_FIELDS:
        raise UnknownQueueError("queue", name, {*QUEUE_FIELDS, *await fetch_other_queues(redis)})
    return name, "none"


async def _look(redis: RedisReader, names: list[str]) -> _Look:
    states = {state.name: state for state in await redis.fetch_states(names)}
    streams = [name for name in names if states[name].type == "stream"]
    found = {state.name: state for state in await fetch_stream_states(redis, streams)}
    return _Look(names, states, found)


async def _queue_frame(redis: RedisReader, look: _Look, timezone: tzinfo) -> pd.DataFrame:
    now = await redis.fetch_time()
    states = [look.states[name] for name in look.names]
    oldest = [_oldest_at(state, look.streams.get(state.name), timezone) for state in states]
    ages = [None if stamp is None else (now - stamp).total_seconds() for stamp in oldest]
    letters = owners(look.names)
    consumers = [look.streams[name].n_consumers if name in look.streams else None for name in look.names]
    frame = to_frame(
        {
            "queue": [name.encode("utf-8", "surrogateescape") for name in look.names],
            "type": [None if state.type == "none" else state.type for state in states],
            "length": [0 if state.type == "none" else state.length for state in states],
            # What a list holds is waiting; a stream keeps what was done, so its length says nothing.
            "backlog": [_backlog(state, look.streams.get(state.name)) for state in states],
            "oldest_at": oldest,
            "oldest_age_s": [None if age is None or age < 0 else age for age in ages],
            "n_consumers": consumers,
            "n_dead_letters": [_n_dead_letters(letters.get(name), look.states) for name in look.names],
        },
        QUEUES,
    )
    return note(frame, source="server", read_at=now, rows=len(frame), truncated=False, timezone=str(timezone))


async def _stream_flow(redis: RedisReader, before: StreamState, after: StreamState) -> Flow:
    """Return what was added, and from it and the backlog what was done."""
    n_in: int | None = None
    if before.n_added is not None and after.n_added is not None:
        n_in = after.n_added - before.n_added
    elif before.last_id is not None:
        n_in = await count_after(redis, before.name, before.last_id)
    if n_in is None or n_in < 0:
        return Flow()
    # Each group does the work of its own; a sum over several would say nothing about any of them.
    is_one = len(before.groups or ()) == len(after.groups or ()) == 1
    if not is_one or before.backlog is None or after.backlog is None:
        return Flow(n_in, None)
    n_out = n_in - (after.backlog - before.backlog)
    return Flow(n_in, n_out if n_out >= 0 else None)


async def _wait(seconds: float, on_wait: Callable[[str], None]) -> None:
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        on_wait(f"second look in {left:.0f} s")
        await asyncio.sleep(min(left, 1.0))


def _check_watch(watch_s: float | None) -> None:
    is_number = isinstance(watch_s, int | float) and not isinstance(watch_s, bool)
    if watch_s is not None and not (is_number and 0 < watch_s <= _LONGEST_S):
        raise BadInputError(
            f"watch_s is {watch_s!r}. Allowed: seconds above 0, up to {_LONGEST_S:g}, or None for one look."
        )


def _check_side(side: str) -> None:
    if side not in ("head", "tail"):
        raise BadInputError(f"side is {side!r}. Allowed: 'head' (next in turn) or 'tail' (newest).")


async def fetch_other_queues(redis: RedisReader) -> list[str]:
    """Return lists and streams besides the known ones; a batch keeps its detections in a list as well."""
    lists = await redis.fetch_names("*", key_type="list")
    streams = await redis.fetch_names("*", key_type="stream")
    return [name for name in [*lists, *streams] if not name.startswith(_BATCH_KEYS)]


def _backlog(state: QueueState, stream: StreamState | None) -> int | None:
    if state.type == "none":
        return 0
    if stream is not None:
        return stream.backlog
    return state.length if state.type == "list" else None


def _oldest_at(state: QueueState, stream: StreamState | None, timezone: tzinfo) -> datetime | None:
    if stream is not None:
        return None if stream.oldest is None else entry_at(stream.oldest, timezone)
    if state.oldest is None:
        return None
    return enqueued_at(decode_message(state.oldest).payload, timezone)


def _n_dead_letters(keys: list[str] | None, states: Mapping[str, QueueState]) -> int | None:
    """Return how many letters lie in `keys`; None where there is no place for any, or one is not known."""
    if keys is None:
        return None
    lengths = [0 if states[key].type == "none" else states[key].length for key in keys]
    return None if None in lengths else sum(length or 0 for length in lengths)
