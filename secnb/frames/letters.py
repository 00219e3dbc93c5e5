"""Dead letters become frames: what failed, how often, since when, and the work that it was about."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any, NamedTuple

import pandas as pd

from secnb.core.redis_reader import RedisReader
from secnb.core.redis_streams import Entry, fetch_entries
from secnb.errors import UnknownQueueError
from secnb.frames.keynames import bare, both_forms, check_text, is_dead_letters, read_limit, source_of
from secnb.frames.messages import Decoded, decode_message, plain_field
from secnb.frames.notes import note
from secnb.frames.payloads import load_object
from secnb.frames.queues import fetch_other_queues
from secnb.frames.secrets import mask_places, mask_text, mask_value
from secnb.frames.streams import decode_entry, entry_at, raw_entry
from secnb.frames.times import read_time
from secnb.frames.turns import in_turns
from secnb.frames.typed import to_columns, to_frame
from secnb.schema import DEAD_LETTERS, DLQ_FIELDS, KEY_PREFIX, QUEUE_FIELDS


class _Letter(NamedTuple):
    """What one dead letter says; everything None where it says nothing that can be read."""

    ok: bool = False
    error: Any = None
    error_type: Any = None
    n_attempts: Any = None
    first_failed_at: datetime | None = None
    last_failed_at: datetime | None = None
    queue: Any = None
    original: Any = None


async def read_dead_letters(
    redis: RedisReader,
    name: str | None,
    *,
    n: int | None,
    timezone: tzinfo,
    prefix: str = KEY_PREFIX,
    on_page: Callable[[int], None] = lambda _: None,
) -> pd.DataFrame:
    """Return one row per dead letter of one queue, or of all, whatever is in it.

    Raises
    ------
    UnknownQueueError
        If there is no such queue.
    BadInputError
        If `name` or `n` is not allowed.
    """
    n = read_limit("n", n)
    keys = await _find_keys(redis, name, prefix=prefix)
    rows: list[tuple[Any, ...]] = []
    total, has_moved = 0, False
    for key in keys:
        found, length, moved = await _read_key(redis, key, n, timezone, _from(len(rows), on_page))
        rows, total, has_moved = rows + found, total + length, has_moved or moved
    frame = to_frame(to_columns(list(DEAD_LETTERS), rows), DEAD_LETTERS)
    return note(
        frame,
        source="server",
        keys=keys,
        read_at=await redis.fetch_time(),
        rows=len(frame),
        total=total,
        truncated=len(frame) < total,
        moved=has_moved,
        timezone=str(timezone),
    )


async def _read_key(
    redis: RedisReader, key: str, n: int | None, timezone: tzinfo, on_page: Callable[[int], None]
) -> tuple[list[tuple[Any, ...]], int, bool]:
    """Return the rows of one key, how many there are in all, and whether it changed meanwhile."""
    if await redis.fetch_type(key) == "stream":
        entries = await fetch_entries(redis, key, n=n, side="head", on_page=on_page)
        rows = await in_turns(
            lambda pos: _entry_row(entries.items[pos], key, pos, timezone), len(entries.items)
        )
        return rows, entries.length, entries.has_moved
    items = await redis.fetch_items(key, n=n, side="head", on_page=on_page)
    rows = await in_turns(lambda pos: _item_row(items.items[pos], key, pos, timezone), len(items.items))
    return rows, items.length, items.has_moved


def _from(n_before: int, on_page: Callable[[int], None]) -> Callable[[int], None]:
    return lambda n_rows: on_page(n_before + n_rows)


def read_letter(payload: Any, timezone: tzinfo) -> _Letter:
    """Return what a dead letter in a list says: one of the worker's shape, or one of an overflow."""
    if not isinstance(payload, dict):
        return _Letter(original=payload)
    if "original_job" in payload:
        job = payload["original_job"]
        return _Letter(
            ok=True,
            error=payload.get("error"),
            error_type=payload.get("error_type"),
            n_attempts=payload.get("attempt_count"),
            first_failed_at=read_time(payload.get("first_failed_at"), timezone),
            last_failed_at=read_time(payload.get("last_failed_at"), timezone),
            queue=payload.get("queue_name"),
            original=_inside(job).payload if isinstance(job, str) else job,
        )
    if "data" in payload and "original_queue" in payload:
        inner = _inside(payload["data"])
        reason = plain_field(payload, "reason")
        return _Letter(
            ok=inner.error is None,
            error="; ".join(each for each in (reason, _inner_error(inner)) if each) or None,
            queue=payload["original_queue"],
            original=inner.payload,
        )
    return _Letter(error="neither original_job nor original_queue and data", original=payload)


async def _find_keys(redis: RedisReader, name: str | None, *, prefix: str) -> list[str]:
    """Return the keys where dead letters lie: those of one queue in both forms of its key, or all."""
    others = await fetch_other_queues(redis)
    known = sorted({*QUEUE_FIELDS, *others})
    letters = [key for key in others if is_dead_letters(key)]
    if name is None:
        return sorted(letters)
    forms = both_forms(check_text("name", name, example="detection_queue"), prefix)
    if not any(form in known for form in forms) and bare(name) not in QUEUE_FIELDS:
        raise UnknownQueueError("queue", name, known)
    if is_dead_letters(name):
        return sorted(key for key in letters if key in forms)
    return sorted(key for key in letters if source_of(key) == bare(name))


def _item_row(raw: bytes, key: str, pos: int, timezone: tzinfo) -> tuple[Any, ...]:
    try:
        payload, poison = load_object(raw), None
    except (ValueError, RecursionError):
        decoded = decode_message(raw)
        payload, poison = decoded.payload, decoded.error
    letter = read_letter(payload, timezone)
    return _row(letter, poison or letter.error, raw, key=key, pos=pos, entry_id=None)


def _entry_row(entry: Entry, key: str, pos: int, timezone: tzinfo) -> tuple[Any, ...]:
    """Return the row of a stream's dead letter, whose fields stand beside those of the original entry."""
    decoded = decode_entry(entry, needed=("dlq_reason",))
    fields: Mapping[str, Any] = decoded.payload
    letter = _Letter(
        ok=decoded.error is None,
        n_attempts=fields.get("delivery_count"),
        last_failed_at=read_time(fields.get("dlq_timestamp"), timezone) or entry_at(entry, timezone),
        original={name: value for name, value in fields.items() if name not in DLQ_FIELDS},
    )
    error = "; ".join(each for each in (fields.get("dlq_reason"), decoded.error) if each) or None
    return _row(letter, error, raw_entry(entry), key=key, pos=pos, entry_id=entry.id)


def _row(
    letter: _Letter, error: Any, raw: bytes, *, key: str, pos: int, entry_id: bytes | None
) -> tuple[Any, ...]:
    """Return a row in the order of `secnb.schema.DEAD_LETTERS`."""
    work = letter.original if isinstance(letter.original, dict) else {}
    return (
        letter.queue if isinstance(letter.queue, str) and letter.queue else source_of(key),
        letter.ok,
        _shown(error) if isinstance(error, str) else mask_value(error),
        letter.error_type,
        letter.n_attempts,
        letter.first_failed_at,
        letter.last_failed_at,
        *_work_fields(work, ("camera_id", "batch_id", "file_path")),
        letter.original,
        raw,
        key,
        pos,
        entry_id,
    )


@functools.lru_cache(maxsize=1024)
def _shown(error: str) -> str:
    """Return what a worker says without the passwords in it; most letters say the same."""
    return mask_text(error)


def _work_fields(work: Mapping[str, Any], names: Sequence[str]) -> list[str | None]:
    return list(mask_places([plain_field(work, name) for name in names]))


def _inside(text: Any) -> Decoded:
    """Return the message inside a letter, which is text as it stood in its queue."""
    if not isinstance(text, str):
        return Decoded(text, None if isinstance(text, dict) else "a JSON object was expected")
    return decode_message(text.encode("utf-8", "backslashreplace"))


def _inner_error(inner: Decoded) -> str | None:
    return None if inner.error is None else f"its data: {inner.error}"
