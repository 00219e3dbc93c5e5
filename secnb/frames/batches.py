"""Open batches become a frame: how old, how idle, when they close, and what is wrong with their keys."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from secnb.core.redis_batches import BatchKeys, Part, fetch_batches, read_id
from secnb.core.redis_reader import RedisReader
from secnb.frames.messages import decode_value
from secnb.frames.notes import note
from secnb.frames.secrets import mask_value
from secnb.frames.times import read_time
from secnb.frames.typed import to_frame
from secnb.schema import OPEN_BATCHES


@dataclass(frozen=True)
class Limits:
    """When a batch closes, in seconds: after its first detection, and after its last."""

    window_s: float
    idle_s: float


async def read_open_batches(redis: RedisReader, limits: Limits) -> pd.DataFrame:
    """Return one row per open batch, and per batch that lost one of its keys; sorted by start."""
    found = await fetch_batches(redis)
    now = await redis.fetch_time()
    rows = [_row(batch, now, limits) for batch in found]
    # A notebook keeps what it shows of them, and a camera may go by its URL.
    columns = {name: [mask_value(row.get(name)) for row in rows] for name in OPEN_BATCHES}
    frame = to_frame(columns, OPEN_BATCHES)
    unreadable = dict(frame.attrs)
    frame = frame.sort_values(["started_at", "camera_id", "batch_id"], kind="stable", ignore_index=True)
    frame.attrs = unreadable
    return note(
        frame,
        source="server",
        key="batch:*",
        read_at=now,
        rows=len(frame),
        truncated=False,
        window_s=limits.window_s,
        idle_timeout_s=limits.idle_s,
    )


def _row(batch: BatchKeys, now: datetime, limits: Limits) -> dict[str, Any]:
    if batch.batch_id is None:
        kind = batch.current.type if batch.current else "none"
        return {"camera_id": batch.camera, "error": f"the current batch is a {kind}, not a string"}
    errors: list[str] = []
    started = _time(batch, "started_at", errors)
    # As the deployment does: a batch without its last activity counts from its start.
    last = _time(batch, "last_activity", errors) or started
    camera = _camera(batch, errors)
    is_closing = batch.parts["closing"].type != "none"
    is_there = any(part.type != "none" for part in batch.parts.values())
    n_detections = _n_detections(batch.parts["detections"], errors) if is_there else None
    if batch.camera is None and not is_closing:
        errors.append("orphaned: no camera has it as its current batch, so nothing closes it")
    elif started is None and not is_closing:
        errors.append("without its start nothing closes it")
    closes = started is not None and last is not None and batch.camera is not None
    return {
        "camera_id": camera,
        "batch_id": batch.batch_id,
        "started_at": started,
        "age_s": _since(started, now),
        "idle_s": _since(last, now),
        "n_detections": n_detections,
        "closes_in_s": _closes_in_s(started, last, now, limits) if closes else None,
        "is_closing": is_closing,
        "error": "; ".join(errors) or None,
    }


def _closes_in_s(
    started: datetime | None, last: datetime | None, now: datetime, limits: Limits
) -> float | None:
    """Return the seconds until the first of the two limits; negative where the batch is overdue."""
    if started is None or last is None:
        return None
    return min(
        limits.window_s - (now - started).total_seconds(), limits.idle_s - (now - last).total_seconds()
    )


def _since(stamp: datetime | None, now: datetime) -> float | None:
    # The clock of the deployment may be a little ahead of the server's.
    return None if stamp is None else max(0.0, (now - stamp).total_seconds())


def _time(batch: BatchKeys, name: str, errors: list[str]) -> datetime | None:
    part = batch.parts[name]
    if part.type == "none":
        errors.append(f"no {name}")
        return None
    if part.text is None:
        errors.append(f"{name} is a {part.type}, not a string")
        return None
    stamp = read_time(decode_value(part.text).payload, UTC)
    if stamp is None:
        errors.append(f"{name} is no time")
    return stamp


def _camera(batch: BatchKeys, errors: list[str]) -> bytes | None:
    part = batch.parts["camera_id"]
    named = None if part.text is None else read_id(part.text)
    if part.type == "none":
        errors.append("no camera_id")
    elif named is None:
        errors.append(f"camera_id is a {part.type}, not a string")
    elif batch.camera is not None and named != batch.camera:
        errors.append(f"its camera_id is {named.decode('utf-8', 'backslashreplace')}")
    return batch.camera if batch.camera is not None else named


def _n_detections(part: Part, errors: list[str]) -> int | None:
    """Return how many detections either form holds: a list, or the text of a JSON list."""
    if part.type == "none":
        # A list without items is no key.
        return 0
    if part.length is not None:
        return part.length
    if part.text is None:
        errors.append(f"detections is a {part.type}, neither list nor string")
        return None
    ids = decode_value(part.text).payload
    if not isinstance(ids, list):
        errors.append("detections is no JSON list")
        return None
    return len(ids)
