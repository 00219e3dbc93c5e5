"""How long each stage takes, where a deployment records it: verifications, and telemetry in Redis."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import Any, Final

import numpy as np
import pandas as pd

from secnb import schema
from secnb.core.reader import DatabaseReader
from secnb.core.redis_keys import Key, fetch_keys, fetch_values
from secnb.core.redis_reader import RedisReader
from secnb.errors import SecnbError
from secnb.frames.messages import decode_value
from secnb.frames.notes import note
from secnb.frames.queues import read_messages
from secnb.frames.typed import to_frame

VERIFICATIONS: Final = "event_verifications"
_PATTERNS: Final = ("telemetry:latency:*", "model_zoo:latency:*")
_MOST_KEYS: Final = 200
_MOST_VALUES: Final = 10_000
# Nobody documents what a telemetry key holds; these names have been seen for one measurement.
_FIELDS: Final = ("latency_ms", "duration_ms", "avg_latency_ms", "avg_ms", "value", "avg", "mean", "p50")


async def read_latencies(
    database: DatabaseReader | SecnbError, redis: RedisReader, *, timezone: Any
) -> pd.DataFrame:
    """Return one row per source of latencies, most values first; a part that is down has no row."""
    found: dict[str, list[float]] = {}
    problems: list[str] = []
    works: list[Coroutine[Any, Any, dict[str, list[float]]]] = [
        *(_of_pattern(redis, pattern, timezone) for pattern in _PATTERNS)
    ]
    if isinstance(database, SecnbError):
        problems.append(str(database).partition("\n")[0])
    else:
        works.append(_of_verifications(database))
    for outcome in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(outcome, SecnbError):
            problems.append(str(outcome).partition("\n")[0])
        elif isinstance(outcome, BaseException):
            raise outcome
        else:
            found |= outcome
    rows = [(source, *_described(values)) for source, values in found.items() if values]
    rows.sort(key=lambda row: (-row[1], row[0]))
    columns = {name: [row[n] for row in rows] for n, name in enumerate(schema.LATENCIES)}
    return note(to_frame(columns, schema.LATENCIES), rows=len(rows), problems=problems)


def _described(values: list[float]) -> tuple[int, float, float]:
    median, high = np.quantile(values, (0.5, 0.95)) / 1000
    return len(values), float(median), float(high)


async def _of_verifications(database: DatabaseReader) -> dict[str, list[float]]:
    """Return what the verifier took for the newest events."""
    columns = await database.fetch_columns(VERIFICATIONS)
    if "latency_ms" not in columns:
        return {}
    order = "id" if "id" in columns else "latency_ms"
    rows = await database.fetch(
        f"SELECT latency_ms FROM {VERIFICATIONS} WHERE latency_ms IS NOT NULL "  # noqa: S608
        f"ORDER BY {order} DESC LIMIT {_MOST_VALUES}"
    )
    return {f"{VERIFICATIONS}.latency_ms": numbers([row[0] for row in rows.rows])}


async def _of_pattern(redis: RedisReader, pattern: str, timezone: Any) -> dict[str, list[float]]:
    """Return what the keys of a pattern hold: numbers as text, JSON, or the items of a list."""
    ignore: Callable[[int], None] = lambda _: None  # noqa: E731
    values = await fetch_values(redis, pattern, limit=_MOST_KEYS, on_page=ignore)
    found = {
        _name(key): numbers(decode_value(key.value).payload) for key in values.keys if key.value is not None
    }
    for key in (await fetch_keys(redis, pattern, limit=_MOST_KEYS, on_page=ignore)).keys:
        if key.type in ("list", "stream"):
            frame = await read_messages(redis, _name(key), n=_MOST_VALUES, side="tail", timezone=timezone)
            found[_name(key)] = [each for payload in frame["payload"] for each in numbers(payload)]
    return found


def _name(key: Key) -> str:
    return key.name.decode("utf-8", "backslashreplace")


def numbers(payload: Any) -> list[float]:
    """Return the measurements in a decoded value, in its own order; what is none is left out.

    Examples
    --------
    >>> numbers([12, "7.5", {"latency_ms": 3}, None, True, "x"])
    [12.0, 7.5, 3.0]
    """
    if isinstance(payload, list | tuple):
        return [each for item in payload for each in numbers(item)]
    if isinstance(payload, dict):
        named = [payload[name] for name in _FIELDS if name in payload][:1]
        return numbers(named)
    if isinstance(payload, bool) or payload is None:
        return []
    try:
        value = float(payload)
    except (ValueError, TypeError, OverflowError):
        return []
    return [value] if math.isfinite(value) and value >= 0 else []
