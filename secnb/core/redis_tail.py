"""Listening to a channel, on a connection of its own."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from redis import exceptions as redis_errors
from redis.asyncio.connection import Connection

from secnb.core.redis_reader import RedisReader

_ANSWER_WITHIN_S = 3.0
# A server that hangs looks like a quiet channel; after this long without a word it is asked.
_SILENT_S = 2.0


@dataclass(frozen=True)
class Published:
    """One message: when it came in, by the server's clock, and its bytes."""

    received_at: datetime
    data: bytes


async def listen(reader: RedisReader, channel: str, *, seconds: float) -> AsyncGenerator[Published, None]:
    """Yield what is published to a channel within `seconds`; nothing that came before.

    Raises
    ------
    UnreachableError
        If the server goes away, or no longer answers, in the meantime.
    """
    ahead = await reader.fetch_time() - datetime.now(UTC)
    async with reader.own_connection() as connection:
        await connection.send_command("SUBSCRIBE", channel)
        await _answer(connection)
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            message = await _next(connection, min(left, _SILENT_S))
            if message is None and left > _SILENT_S:
                await connection.send_command("PING")
                message = await _answer(connection)
            if message is not None and message[0] == b"message":
                yield Published(datetime.now(UTC) + ahead, message[2])
        # What was sent before the server read this still counts, and its answer shows that it is there.
        await connection.send_command("UNSUBSCRIBE", channel)
        while (message := await _answer(connection))[0] != b"unsubscribe":
            if message[0] == b"message":
                yield Published(datetime.now(UTC) + ahead, message[2])


async def _next(connection: Connection, timeout_s: float) -> Any:
    return await connection.read_response(disable_decoding=True, timeout=timeout_s)


async def _answer(connection: Connection) -> Any:
    """Return the next thing that the server says; it has to say something."""
    answer = await _next(connection, _ANSWER_WITHIN_S)
    if answer is None:
        raise redis_errors.TimeoutError(f"no answer within {_ANSWER_WITHIN_S:g} s")
    return answer
