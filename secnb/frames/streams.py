"""Entries of a stream become messages: flat fields of text instead of one JSON object."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Any

import pandas as pd

from secnb.core.redis_streams import Entry
from secnb.frames.messages import (
    Decoded,
    decode_value,
    message_columns,
    message_frame,
    needed_fields,
)
from secnb.frames.times import enqueued_at, read_time
from secnb.frames.turns import in_turns
from secnb.frames.typed import to_times


async def to_entry_messages(
    entries: Sequence[Entry], *, stream: str, first_pos: int, now: datetime, timezone: tzinfo
) -> pd.DataFrame:
    """Return one row per entry with the columns of `secnb.schema.MESSAGES`; raw is `raw_entry`."""
    needed = needed_fields(stream)
    decoded = await in_turns(lambda at: decode_entry(entries[at], needed=needed), len(entries))
    payloads = [each.payload for each in decoded]
    columns = message_columns(
        await in_turns(lambda at: raw_entry(entries[at]), len(entries)),
        payloads,
        to_times(await in_turns(lambda at: entry_at(entries[at], timezone), len(entries))),
        lambda name: [payload.get(name) for payload in payloads],
    )
    return message_frame(
        columns,
        {row: each.error for row, each in enumerate(decoded) if each.error is not None},
        first_pos=first_pos,
        now=now,
        entry_ids=[entry.id for entry in entries],
    )


def decode_entry(entry: Entry, *, needed: tuple[str, ...] = ()) -> Decoded:
    """Return the fields of an entry as a dict of text; never raises on data.

    ``detection_ids`` stays the JSON text that it is, but has to be a list.
    """
    payload: dict[str, Any] = {}
    errors = []
    for name, value in entry.fields:
        shown = _shown(name)
        if shown in payload:
            errors.append(f"{shown} occurs twice")
        payload[shown] = _shown(value)
        try:
            (name + value).decode("utf-8")
        except UnicodeDecodeError as exc:
            errors.append(f"{shown} is not UTF-8 text (byte {exc.object[exc.start]:#04x})")
    if missing := [name for name in needed if not payload.get(name)]:
        errors.append(f"no {' and no '.join(missing)}")
    if "detection_ids" in payload and not isinstance(_decoded(payload["detection_ids"]), list):
        errors.append("detection_ids is no JSON list")
    return Decoded(payload, "; ".join(errors) or None)


def raw_entry(entry: Entry) -> bytes:
    """Return the fields as they were on the wire (an array of RESP), from which they can be had back."""
    parts = [part for field in entry.fields for part in field]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


def entry_at(entry: Entry, timezone: tzinfo) -> datetime | None:
    """Return when an entry was added: the server's own time in its id, else a time field."""
    milliseconds = int(entry.id.partition(b"-")[0])
    return read_time(milliseconds / 1000, timezone) or enqueued_at(decode_entry(entry).payload, timezone)


def _shown(part: bytes) -> str:
    return part.decode("utf-8", "backslashreplace")


def _decoded(text: str) -> Any:
    return decode_value(text.encode()).payload
