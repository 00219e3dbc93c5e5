"""Opening a PostgreSQL session so that it only reads, and hands over whatever a table holds."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from datetime import date, datetime, timedelta
from datetime import time as clock_time
from functools import partial
from typing import Any

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.util.concurrency import await_

from secnb.core.url import connect_args

CONNECT_S = 3.0
# The server counts milliseconds in 32 bits.
_LONGEST_S = (2**31 - 1) // 1000
_TOLERANT = "secnb reads odd times"


class OddTime(str):
    """A time that Python cannot hold, nearly as the database writes it: ``0044-03-15 BC``."""

    __slots__ = ()


def postgres_engine(url: URL) -> AsyncEngine:
    """Return an engine that keeps no statement, as PgBouncer needs, and leaves JSON as text."""
    engine = create_async_engine(
        url,
        pool_size=2,
        max_overflow=8,
        pool_recycle=300,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={
            "timeout": CONNECT_S,
            **connect_args(url),
            # Nothing prepared outlives its transaction, and nothing has a name.
            "statement_cache_size": 0,
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": str,
        },
    )
    # asyncpg hands JSON over as text by itself; what SQLAlchemy would set up calls Python for each value.
    for name in ("setup_asyncpg_json_codec", "setup_asyncpg_jsonb_codec"):
        setattr(engine.dialect, name, _leave_codec)
    # A line that broke without a word would let SQLAlchemy's own wait for good.
    setattr(engine.dialect, "do_ping", _is_alive)  # noqa: B010 - a method of every dialect
    return engine


async def _leave_codec(_: Any) -> None:
    pass


def _is_alive(connection: Any) -> bool:
    """Return whether a pooled connection can be used; else there will be a new one, or its failure."""

    async def ask() -> None:
        async with asyncio.timeout(CONNECT_S):
            await connection.driver_connection.execute(";")

    try:
        await_(ask())
    except Exception:  # noqa: BLE001 - whatever it is
        return False
    return True


async def begin_reading(connection: AsyncConnection, timeout_s: float | None) -> None:
    """Begin a transaction that can only read, and say who reads.

    The settings end with the transaction, which PgBouncer needs.

    Raises
    ------
    TimeoutError
        If the server that was connected to does not answer any more.
    """
    async with asyncio.timeout(CONNECT_S):
        await connection.execution_options(postgresql_readonly=True)
        await connection.exec_driver_sql(reading_settings(timeout_s))


def reading_settings(timeout_s: float | None) -> str:
    """Return the statement that gives a transaction its settings."""
    limit_s = math.inf if timeout_s is None else timeout_s + CONNECT_S
    settings = {
        "application_name": "secnb",
        # Some deployments store times without a zone, and mean UTC.
        "TimeZone": "UTC",
        "DateStyle": "ISO",
        # The server's own limit is for the case that our cancellation does not reach it.
        "statement_timeout": 0 if limit_s > _LONGEST_S else int(limit_s * 1000),
    }
    calls = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings.items())
    return f"SELECT {calls}"


async def read_odd_times(connection: AsyncConnection) -> None:
    """Let times before and after Python's years come as `OddTime`; asyncpg fails on the first of them.

    Every time is then text that Python parses, so this is for tables that need it.
    """
    raw = await connection.get_raw_connection()
    if _TOLERANT in raw.info or raw.driver_connection is None:
        return
    set_codec = partial(raw.driver_connection.set_type_codec, schema="pg_catalog")
    for name, decode in _DECODERS.items():
        await set_codec(name, encoder=str, decoder=decode, format="text")
    await set_codec("interval", encoder=_from_span, decoder=_to_span, format="tuple")
    raw.info[_TOLERANT] = True


def _decoder(parse: Callable[[str], Any], limits: dict[str, Any]) -> Callable[[str], Any]:
    def decode(text: str) -> Any:
        try:
            # As asyncpg does, infinity is the last or the first time that there is.
            return limits[text] if text in limits else parse(text)
        except ValueError:
            return OddTime(text)

    return decode


def _from_span(span: timedelta) -> tuple[int, int, int]:
    return 0, span.days, span.seconds * 10**6 + span.microseconds


def _to_span(parts: tuple[int, int, int]) -> timedelta | OddTime:
    months, days, microseconds = parts
    if parts in _ENDLESS:
        return _ENDLESS[parts]
    # As asyncpg does, towards zero.
    years = int(months / 12)
    try:
        return timedelta(days=years * 365 + (months - 12 * years) * 30 + days, microseconds=microseconds)
    except OverflowError:
        return OddTime(f"{months} mons {days} days {microseconds / 1e6} secs")


# What an infinite time leaves when another is taken from it, since PostgreSQL 17.
_ENDLESS = {
    (2**31 - 1, 2**31 - 1, 2**63 - 1): timedelta.max,
    (-(2**31), -(2**31), -(2**63)): timedelta.min,
}
_ENDS = {"infinity": datetime.max, "-infinity": datetime.min}  # noqa: DTZ901
_DAYS = {"infinity": date.max, "-infinity": date.min}
_DECODERS = {
    "timestamptz": _decoder(datetime.fromisoformat, _ENDS),
    "timestamp": _decoder(datetime.fromisoformat, _ENDS),
    "date": _decoder(date.fromisoformat, _DAYS),
    "time": _decoder(clock_time.fromisoformat, {}),
    "timetz": _decoder(clock_time.fromisoformat, {}),
}
