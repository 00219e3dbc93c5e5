"""Whether the parts of a deployment answer, as a frame."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from secnb.core.health import fetch_health
from secnb.core.reader import DatabaseReader
from secnb.core.redis_reader import RedisReader
from secnb.core.url import mask_url
from secnb.errors import SecnbError
from secnb.frames.generations import read_generation
from secnb.frames.notes import note
from secnb.frames.typed import to_columns, to_frame
from secnb.schema import HEALTH

_NAMES = ("status", "latency_ms", "version", "generation", "detail")


async def read_health(
    database: DatabaseReader | SecnbError, redis: RedisReader, services: Mapping[str, str]
) -> pd.DataFrame:
    """Return one row per component; one that is down is a row, never an error.

    Parameters
    ----------
    database : DatabaseReader or SecnbError
        The error where there is no database to read.
    services : mapping of str to str
        URLs of AI services by component.
    """
    rows = await asyncio.gather(
        _database(database), _server(redis.ping, redis.shown_url), *map(_service, services.values())
    )
    columns = {"component": ["database", "redis", *services], **to_columns(_NAMES, rows)}
    return note(to_frame(columns, HEALTH), read_at=datetime.now(UTC), rows=len(rows), truncated=False)


async def _database(database: DatabaseReader | SecnbError) -> tuple[Any, ...]:
    if isinstance(database, SecnbError):
        return _down(database)
    answer = await _server(database.ping, database.shown_url)
    if answer[0] == "down":
        return answer
    try:
        generation = await read_generation(database)
    except SecnbError as exc:
        return _down(exc)
    status, latency_ms, version, _, detail = answer
    return status, latency_ms, version, generation, detail


async def _server(ping: Callable[[], Awaitable[str | None]], shown_url: str) -> tuple[Any, ...]:
    started = time.perf_counter()
    try:
        version = await ping()
    except SecnbError as exc:
        return _down(exc)
    return "up", (time.perf_counter() - started) * 1000, version, None, shown_url


async def _service(url: str) -> tuple[Any, ...]:
    answer = await fetch_health(url)
    status = "up" if answer.is_up else "down"
    return status, answer.latency_ms, None, None, f"{mask_url(url)}: {answer.detail}"


def _down(error: SecnbError) -> tuple[Any, ...]:
    return "down", None, None, None, str(error).partition("\n")[0]
