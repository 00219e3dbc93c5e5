"""What is published on a channel becomes a frame: envelopes and flat messages in one vocabulary."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from secnb.core.redis_reader import RedisReader
from secnb.core.redis_tail import Published, listen
from secnb.errors import BadInputError
from secnb.frames.keynames import check_text, read_limit
from secnb.frames.messages import Decoded, decode_message, plain_field
from secnb.frames.notes import note, warn_truncated
from secnb.frames.typed import to_columns, to_frame
from secnb.schema import PUBLISHED

_LONGEST_S = 24 * 3600.0
_SHOWN = ("type", "event_id", "camera_id", "risk_level", "risk_score")


async def read_published(
    redis: RedisReader,
    channel: str,
    *,
    seconds: float,
    limit: int | None,
    on_message: Callable[[str], None] = lambda _: None,
) -> pd.DataFrame:
    """Return one row per message that is published while this listens, in the order they came.

    Raises
    ------
    BadInputError
        If `channel`, `seconds` or `limit` is not allowed.
    """
    check_text("channel", channel, example="security_events")
    limit = read_limit("limit", limit)
    _check_seconds(seconds)
    rows: list[tuple[Any, ...]] = []
    is_truncated = False
    on_message(f"listening to {_line(channel)}")
    async with contextlib.aclosing(listen(redis, channel, seconds=seconds)) as messages:
        async for message in messages:
            if limit is not None and len(rows) >= limit:
                is_truncated = True
                break
            rows.append(_row(channel, message))
            on_message(_summary(rows))
    if is_truncated:
        warn_truncated(len(rows), None, what=f"messages on {channel}", hint="limit=None keeps all.")
    frame = to_frame(to_columns(list(PUBLISHED), rows), PUBLISHED)
    return note(
        frame,
        source="server",
        key=channel,
        seconds=seconds,
        read_at=await redis.fetch_time(),
        rows=len(frame),
        truncated=is_truncated,
    )


def _row(channel: str, message: Published) -> tuple[Any, ...]:
    """Return a row in the order of `secnb.schema.PUBLISHED`."""
    decoded = decode_message(message.data)
    fields = _fields(decoded)
    event_id = fields.get("event_id")
    if event_id is None and str(_of(decoded, "type")).startswith("event"):
        event_id = fields.get("id")
    return (
        message.received_at,
        channel,
        plain_field(_mapping(decoded.payload), "type"),
        event_id,
        plain_field(fields, "batch_id"),
        plain_field(fields, "camera_id"),
        fields.get("risk_score"),
        plain_field(fields, "risk_level"),
        decoded.error is None,
        decoded.error,
        message.data,
        decoded.payload,
    )


def _fields(decoded: Decoded) -> Mapping[str, Any]:
    """Return what a message is about: the inside of an envelope, or the message itself."""
    inner = _of(decoded, "data")
    return inner if isinstance(inner, dict) else _mapping(decoded.payload)


def _of(decoded: Decoded, name: str) -> Any:
    return _mapping(decoded.payload).get(name)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _summary(rows: list[tuple[Any, ...]]) -> str:
    newest = dict(zip(PUBLISHED, rows[-1], strict=True))
    told = " ".join(f"{name}={newest[name]}" for name in _SHOWN if newest[name] is not None)
    return f"{len(rows):,} messages, the newest: {_line(told or str(newest['error'] or 'no known field'))}"


def _line(text: str) -> str:
    """Return one line that a terminal shows as it is; a message could steer it otherwise."""
    shown = "".join(each if each.isprintable() else "�" for each in text)
    return shown if len(shown) <= 120 else f"{shown[:119]}…"


def _check_seconds(seconds: float) -> None:
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not 0 < seconds <= _LONGEST_S:
        raise BadInputError(f"seconds is {seconds!r}. Allowed: a number above 0, up to {_LONGEST_S:g}.")
