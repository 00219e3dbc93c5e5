"""Reading a deployment's Redis: raw bytes, in pages, with commands that change nothing."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

import hiredis
from redis import exceptions as redis_errors
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import Connection
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from secnb.core.redis_pages import item_bytes, looks, n_bytes, page_size
from secnb.core.redis_wire import close_pool, connection_options, fetch_version, not_let_in
from secnb.core.url import mask_url
from secnb.errors import QueryError, UnreachableError

Side = Literal["head", "tail"]

_LIMIT_S = 3.0
# Commands in one piece, and keys in one step of SCAN.
_PAGE = 1000
_SCAN_COUNT = 1000
# A page of small messages: the server is busy with it for less than a millisecond.
_ITEMS = 4000


@dataclass(frozen=True)
class Items:
    """What was read of one list, or a page of it.

    Attributes
    ----------
    items : list of bytes
        As stored, from the head towards the tail.
    first_pos : int
        Position of the first item, from 0 at the head.
    length : int
        Length of the list when the first page was read.
    has_moved : bool
        Whether its length or its head changed since.
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


@dataclass(frozen=True)
class _Page:
    """Items of a list that follow each other, and how many more may be asked for after them."""

    items: list[bytes]
    next_size: int


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
            except ResponseError:  # not allowed, or a managed server that has no such command
                return datetime.fromtimestamp(time.time(), UTC)
            return datetime.fromtimestamp(seconds + microseconds / 1e6, UTC)

    async def fetch_names(self, pattern: str, *, key_type: str | None = None) -> list[str]:
        """Return the names of keys, found page by page with SCAN; sorted."""
        async with self._asking():
            found = self._client.scan_iter(match=pattern, count=_SCAN_COUNT, _type=key_type)
            return sorted({_to_name(key) async for key in found})

    async def fetch_states(self, names: Sequence[str]) -> list[QueueState]:
        """Return the state of each queue; lengths and oldest items of lists and streams."""
        states: list[QueueState] = []
        for page in (names[at : at + _PAGE] for at in range(0, len(names), _PAGE)):
            types = [_to_name(kind) for kind in await self.demand([("TYPE", name) for name in page])]
            asked: list[tuple[Any, ...]] = []
            for name, kind in zip(page, types, strict=True):
                asked += _state_commands(name, kind)
            answers = iter(await self.ask(asked))
            for name, kind in zip(page, types, strict=True):
                found = [next(answers) for _ in _state_commands(name, kind)] or [None, None]
                length, oldest = found
                states.append(
                    QueueState(
                        name,
                        kind,
                        length if isinstance(length, int) else None,
                        oldest if isinstance(oldest, bytes) else None,
                    )
                )
        return states

    async def fetch_type(self, name: str) -> str:
        """Return the type of a key; ``"none"`` if there is none."""
        async with self._asking():
            return _to_name(await self._client.type(name))

    async def fetch_items(
        self, name: str, *, n: int | None, side: Side, on_page: Callable[[int], None] = lambda _: None
    ) -> Items:
        """Return what `item_pages` yields as one; `on_page` is told how many items there are."""
        items: list[bytes] = []
        async with contextlib.aclosing(self.item_pages(name, n=n, side=side)) as pages:
            async for page in pages:
                items += page.items
                on_page(len(items))
        return replace(page, items=items)

    async def item_pages(self, name: str, *, n: int | None, side: Side) -> AsyncGenerator[Items, None]:
        """Yield up to `n` items of a list page by page, from its head or its tail; None for all.

        Up to 4,000 items are one page, which is the length and the items of one instant; large items make
        smaller pages, so that no command keeps the server busy for long. There is at least one page, and
        the last one says whether a list that took several moved meanwhile.
        """
        ends = [("LINDEX", name, at) for at in (0, -1)]
        looked = await self.ask(looks(name, "LLEN", *ends))
        first_size = page_size(item_bytes(looked), most=_ITEMS)
        length = looked[1] if isinstance(looked[1], int) else 0
        length, head, page, first = await self._first_page(name, n, side, first_size, length)
        n_items, has_moved = len(page.items), False
        yield Items(page.items, first, length, has_moved)
        wanted = length if n is None else min(n, length)
        while n_items < wanted:
            start = first + n_items
            stop = min(first + wanted, start + page.next_size) - 1
            now, head_now, page = await self._page(name, start, stop, length)
            has_moved = has_moved or now != length or head_now != head
            yield Items(page.items, first, length, has_moved)
            if not page.items:
                break
            n_items += len(page.items)

    async def ask(self, commands: Sequence[tuple[Any, ...]], *, at_once: bool = False) -> list[Any]:
        """Return the server's raw answers to `commands`, an error in the place of each that failed.

        They go out in one piece; `at_once` makes them one transaction where that is allowed. This is what
        many small commands are cheapest with: redis-py's pipeline takes twice as long over each.
        """
        async with self._asking():
            if at_once and self._may_multi and commands:
                begun, *answers, done = await self._send([("MULTI",), *commands, ("EXEC",)])
                if isinstance(done, list):
                    return done
                # Where a managed server has no MULTI, the commands were answered one by one.
                if isinstance(begun, RedisError):
                    self._may_multi = False
                    return answers
            return await self._send(commands) if commands else []

    async def demand(self, commands: Sequence[tuple[Any, ...]], *, at_once: bool = False) -> list[Any]:
        """Return the server's raw answers as `ask` does; raises where one of them is an error."""
        answers = await self.ask(commands, at_once=at_once)
        async with self._asking():
            for answer in answers:
                if isinstance(answer, RedisError):
                    raise answer
        return answers

    @contextlib.asynccontextmanager
    async def own_connection(self) -> AsyncIterator[Connection]:
        """Give a connection of its own to whoever listens, so that no command ever waits for it."""
        async with self._asking():
            connection = self._client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
            try:
                await connection.connect()
                yield connection
            finally:
                # Closed without a word: whatever it was subscribed to ends with it, also when cancelled.
                await connection.disconnect(nowait=True)

    async def close(self) -> None:
        """Close all connections; idempotent."""
        await close_pool(self._client.connection_pool)

    async def _first_page(
        self, name: str, n: int | None, side: Side, most: int, length: int
    ) -> tuple[int, Any, _Page, int]:
        if side == "tail" and n is not None and not 0 < n <= most:
            length, head, _ = await self._page(name, 1, 0, length)
            return length, head, _Page([], most), max(0, length - n)
        size = most if n is None else min(n, most)
        start, stop = (-size, -1) if side == "tail" and n is not None else (0, size - 1)
        length, head, page = await self._page(name, *((start, stop) if size else (1, 0)), length)
        return length, head, page, 0 if start >= 0 else length - len(page.items)

    async def _page(self, name: str, start: int, stop: int, length: int) -> tuple[int, Any, _Page]:
        # Larger items may follow: the last of what could be the next page tells.
        ahead = ("LINDEX", name, min(stop + _ITEMS, length - 1))
        asked = [("LLEN", name), ("LINDEX", name, 0), ("LRANGE", name, start, stop), ahead]
        length, head, items, sample = await self.demand(asked, at_once=True)
        mean = sum(map(len, items)) / max(len(items), 1)
        return length, head, _Page(items, page_size(max(mean, n_bytes(sample)), most=_ITEMS))

    async def _send(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        packed = b"".join([hiredis.pack_command(tuple(map(_to_raw, command))) for command in commands])
        pool = self._client.connection_pool
        connection = await pool.get_connection()  # type: ignore[no-untyped-call]
        answers: list[Any] = []
        try:
            await connection.send_packed_command(packed)
            while len(answers) < len(commands):
                # One limit for a page of answers: setting it up takes longer than reading one.
                async with asyncio.timeout(_LIMIT_S):
                    n_page = min(_PAGE, len(commands) - len(answers))
                    answers += [await _answer(connection) for _ in range(n_page)]
            if commands[-1] == ("EXEC",) and isinstance(answers[-1], NoPermissionError):
                # Still within MULTI: the next command would only be queued.
                await connection.disconnect(nowait=True)
        except BaseException:
            # What is still on its way would be taken for the answer to the next command.
            await connection.disconnect(nowait=True)
            raise
        finally:
            await pool.release(connection)
        return answers

    @contextlib.asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        try:
            yield
        except UnreachableError:  # said already, by a call within this one
            raise
        except (AuthenticationError, NoPermissionError) as exc:
            raise not_let_in(exc, self.shown_url) from exc
        except (redis_errors.ConnectionError, redis_errors.TimeoutError, OSError) as exc:
            reason = str(exc).rstrip(".") or f"no answer within {_LIMIT_S:g} s"
            raise UnreachableError(
                f"Redis at {self.shown_url} does not answer: {reason}.",
                hint="check REDIS_URL, and whether the server runs.",
            ) from exc
        except RedisError as exc:
            raise QueryError(f"Redis at {self.shown_url} refuses: {str(exc).rstrip('.')}.") from exc


async def _on_connect(connection: Connection) -> None:
    """Set a connection up as redis-py does, and ask the server not to count our looks as use of a key."""
    await connection.on_connect()
    with contextlib.suppress(ResponseError):  # before Redis 7.2, or not allowed
        await connection.send_command("CLIENT", "NO-TOUCH", "ON")
        await connection.read_response()


async def _answer(connection: Connection) -> Any:
    """Return the next answer, an error as a value; inf switches off the limit that each read has."""
    try:
        return await connection.read_response(disable_decoding=True, timeout=math.inf)
    except ResponseError as exc:
        return exc


def _state_commands(name: str, kind: str) -> list[tuple[Any, ...]]:
    if kind == "list":
        return [("LLEN", name), ("LINDEX", name, 0)]
    if kind == "stream":
        return [("XLEN", name), ("XRANGE", name, "-", "+", "COUNT", 1)]
    return []


def _to_raw(part: Any) -> Any:
    return part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part


def _to_name(raw: bytes | str) -> str:
    # A name that is not UTF-8 goes back to the server as the same bytes.
    return raw.decode("utf-8", "surrogateescape") if isinstance(raw, bytes) else raw
