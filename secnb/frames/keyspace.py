"""Keys become frames: what there is and what it takes, and the values of a cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from secnb.core.redis_keys import MAX_VALUE_BYTES, Key, Keys, fetch_keys, fetch_values
from secnb.core.redis_reader import RedisReader
from secnb.frames.keynames import check_text, read_limit
from secnb.frames.messages import decode_value
from secnb.frames.notes import note, warn_truncated
from secnb.frames.secrets import hiding
from secnb.frames.typed import to_columns, to_frame
from secnb.schema import CACHE, KEYS


async def read_keys(
    redis: RedisReader, pattern: str, *, limit: int | None, on_page: Callable[[int], None]
) -> pd.DataFrame:
    """Return one row per key that matches, sorted by name.

    Raises
    ------
    BadInputError
        If `pattern` or `limit` is not allowed.
    """
    limit = _limit(pattern, limit)
    found = await fetch_keys(redis, pattern, limit=limit, on_page=on_page)
    columns: dict[str, list[Any]] = {
        "key": [key.name for key in found.keys],
        "type": [key.type for key in found.keys],
        "ttl_s": [key.ttl_s for key in found.keys],
        "size_bytes": [key.size_bytes for key in found.keys],
        "encoding": [key.encoding for key in found.keys],
    }
    return await _noted(redis, to_frame(columns, KEYS), found, pattern)


async def read_cache(
    redis: RedisReader, pattern: str, *, limit: int | None, on_page: Callable[[int], None]
) -> pd.DataFrame:
    """Return one row per key that matches, sorted by name, with its decoded value.

    Raises
    ------
    BadInputError
        If `pattern` or `limit` is not allowed.
    """
    limit = _limit(pattern, limit)
    found = await fetch_values(redis, pattern, limit=limit, on_page=on_page)
    rows = [_cache_row(key) for key in found.keys]
    return await _noted(redis, to_frame(to_columns(list(CACHE), rows), CACHE), found, pattern)


def _cache_row(key: Key) -> tuple[Any, ...]:
    """Return a row in the order of `secnb.schema.CACHE`."""
    value, error, raw = None, _why_no_value(key), key.value
    if raw is not None:
        # What a service keeps of its cameras may hold their passwords.
        raw = hiding(key.name)(raw)
        decoded = decode_value(raw)
        value, error = decoded.payload, decoded.error
    return key.name, key.type, key.ttl_s, error is None, error, value, raw, key.n_bytes


def _why_no_value(key: Key) -> str | None:
    if key.type in ("list", "stream"):
        return f"type is {key.type}, use peek"
    if key.type not in ("string", None):
        return f"type is {key.type}, and a cached value is a string"
    if key.n_bytes is not None and key.n_bytes > MAX_VALUE_BYTES:
        return f"{key.n_bytes:,} bytes; values up to {MAX_VALUE_BYTES:,} bytes are read"
    return "the server does not give the value"


def _limit(pattern: str, limit: int | None) -> int | None:
    check_text("pattern", pattern, example="batch:*")
    return read_limit("limit", limit)


async def _noted(redis: RedisReader, frame: pd.DataFrame, found: Keys, pattern: str) -> pd.DataFrame:
    if found.is_truncated:
        warn_truncated(len(frame), None, what="keys", hint="limit=None reads all.")
    return note(
        frame,
        source="server",
        key=pattern,
        read_at=await redis.fetch_time(),
        rows=len(frame),
        truncated=found.is_truncated,
        total=None if found.is_truncated else len(frame),
    )
