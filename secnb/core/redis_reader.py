"""Reading a deployment's Redis: raw bytes, in pages, with commands that change nothing."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from redis import exceptions as redis_errors
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import Connection
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from secnb.core.redis_wire import close_pool, connection_options, fetch_version
from secnb.core.url import mask_url
from secnb.errors import QueryError, UnreachableError

Side = Literal["head", "tail"]

_LIMIT_S = 3.0
# A page of ordinary messages keeps the server busy for well under 10 ms.
_PAGE = 1000
_SCAN_COUNT = 1000


@dataclass(frozen=True)
class Items:
    """What was read of one list.

    Attributes
    ----------
    items : list of bytes
        As stored, from the head towards the tail.
    first_pos : int
        Position of the first item, from 0 at the head.
    length : int
        Length of the list when the first page was read.
    has_moved : bool
        Whether its length or its head changed between pages.
    """

    items: list[bytes]
    first_pos: int
    length: int
    has_moved: bool


@dataclass(frozen=True)
class QueueState:
    """A queue at one instant: its type, its length, and the item that is next in turn."""

    name: str
    type: str
    length: int | None
    oldest: bytes | None


class RedisReader:
    """A Redis server that is only read.

    Parameters
    ----------
    url : str
        ``redis://``, ``rediss://`` or ``unix://``.

    Raises
    ------
    SettingsError
        If the URL cannot be read.
    """

    def __init__(self, url: str) -> None:
        self.shown_url = mask_url(url)
        self._may_multi = True
        options, _ = connection_options(url, command_timeout_s=_LIMIT_S, pool_wait_s=_LIMIT_S)
        options |= {
            # Raw bytes: what a message holds is not always text.
            "decode_responses": False,
            "socket_connect_timeout": _LIMIT_S,
            "redis_connect_func": _on_connect,
        }
        self._client = Redis(connection_pool=BlockingConnectionPool(**options))

    async def ping(self) -> str | None:
        """Return the version of the server, or None where it may not be asked for."""
        async with self._asking(), asyncio.timeout(_LIMIT_S):
            await self._client.ping()
            return await fetch_version(self._client)

    async def fetch_time(self) -> datetime:
        """Return the server's time, or this machine's where the server may not be asked."""
        async with self._asking():
            try:
                seconds, microseconds = await self._client.time()
            except NoPermissionError:
                return datetime.fromtimestamp(time.time(), UTC)
            return datetime.fromtimestamp(seconds + microseconds / 1e6, UTC)

    async def fetch_names(self, pattern: str, *, key_type: str | None = None) -> list[str]:
        """Return the names of keys, found page by page with SCAN; sorted."""
        async with self._asking():
            found = self._client.scan_iter(match=pattern, count=_SCAN_COUNT, _type=key_type)
            return sorted({_to_name(key) async for key in found})

    async def fetch_states(self, names: Sequence[str]) -> list[QueueState]:
        """Return the state of each queue; lengths and oldest items of lists and streams."""
        async with self._asking():
            types = [_to_name(kind) for kind in await self._together([("TYPE", name) for name in names])]
            asked: list[tuple[Any, ...]] = []
            for name, kind in zip(names, types, strict=True):
                asked += _state_commands(name, kind)
            answers = iter(await self._together(asked, failing_is=None))
        states = []
        for name, kind in zip(names, types, strict=True):
            length, oldest = (next(answers), next(answers)) if _state_commands(name, kind) else (None, None)
            states.append(QueueState(name, kind, length, oldest if isinstance(oldest, bytes) else None))
        return states

    async def fetch_type(self, name: str) -> str:
        """Return the type of a key; ``"none"`` if there is none."""
        async with self._asking():
            return _to_name(await self._client.type(name))

    async def fetch_items(
        self, name: str, *, n: int | None, side: Side, on_page: Callable[[int], None] = lambda _: None
    ) -> Items:
        """Return up to `n` items of a list, from its head or its tail; None for all.

        Up to 1,000 items are one page, which is the length and the items of one instant. A longer read
        of a live list says whether it moved.
        """
        async with self._asking():
            length, head, items, first = await self._first_page(name, n=n, side=side)
            wanted = length if n is None else min(n, length)
            has_moved = False
            while len(items) < wanted:
                start = first + len(items)
                stop = first + min(wanted, len(items) + _PAGE) - 1
                now, head_now, page = await self._page(name, start, stop)
                has_moved = has_moved or now != length or head_now != head
                if not page:
                    break
                items += page
                on_page(len(items))
        return Items(items, first, length, has_moved)

    async def close(self) -> None:
        """Close all connections; idempotent."""
        await close_pool(self._client.connection_pool)

    async def _first_page(self, name: str, *, n: int | None, side: Side) -> tuple[int, Any, list[bytes], int]:
        if side == "head" or (n is not None and n <= _PAGE):
            size = _PAGE if n is None else min(n, _PAGE)
            start, stop = (0, size - 1) if side == "head" else (-size, -1)
            if size == 0:
                start, stop = 1, 0
            length, head, items = await self._page(name, start, stop)
            return length, head, items, 0 if side == "head" else length - len(items)
        length, head, _ = await self._page(name, 1, 0)
        return length, head, [], max(0, length - n) if n is not None else 0

    async def _page(self, name: str, start: int, stop: int) -> tuple[int, Any, list[bytes]]:
        length, head, items = await self._together(
            [("LLEN", name), ("LINDEX", name, 0), ("LRANGE", name, start, stop)], at_once=True
        )
        return length, head, items

    async def _together(
        self, commands: Sequence[tuple[Any, ...]], *, at_once: bool = False, failing_is: Any = ...
    ) -> list[Any]:
        """Send commands in one go; `at_once` makes them one transaction where that is allowed."""
        if not commands:
            return []
        try:
            async with self._client.pipeline(transaction=at_once and self._may_multi) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                answers = await pipeline.execute(raise_on_error=failing_is is ...)
        except NoPermissionError:
            if not (at_once and self._may_multi):
                raise
            self._may_multi = False
            return await self._together(commands, failing_is=failing_is)
        return [failing_is if isinstance(each, RedisError) else each for each in answers]

    @contextlib.asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        try:
            yield
        except (AuthenticationError, NoPermissionError) as exc:
            raise UnreachableError(f"Redis at {self.shown_url} does not let us in: {exc}.") from exc
        except (redis_errors.ConnectionError, redis_errors.TimeoutError, OSError) as exc:
            reason = str(exc).rstrip(".") or f"no answer within {_LIMIT_S:g} s"
            raise UnreachableError(
                f"Redis at {self.shown_url} does not answer: {reason}.",
                hint="check REDIS_URL, and whether the server runs.",
            ) from exc
        except RedisError as exc:
            raise QueryError(f"Redis at {self.shown_url} refuses: {exc}.") from exc


async def _on_connect(connection: Connection) -> None:
    """Set a connection up as redis-py does, and ask the server not to count our looks as use of a key."""
    await connection.on_connect()
    with contextlib.suppress(ResponseError):  # before Redis 7.2, or not allowed
        await connection.send_command("CLIENT", "NO-TOUCH", "ON")
        await connection.read_response()


def _state_commands(name: str, kind: str) -> list[tuple[Any, ...]]:
    if kind == "list":
        return [("LLEN", name), ("LINDEX", name, 0)]
    if kind == "stream":
        return [("XLEN", name), ("XRANGE", name, "-", "+", "COUNT", 1)]
    return []


def _to_name(raw: bytes | str) -> str:
    return raw.decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else raw
