"""The async Redis client: queues, pub/sub and cache, with JSON in and out."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from redis import exceptions as redis_errors
from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis
from redis.asyncio.client import PubSub

from secnb.core.config import get_settings
from secnb.core.looplock import LoopLock
from secnb.core.redis_wire import close_pool, connection_options, decode, encode, fetch_version, reported
from secnb.core.url import mask_url
from secnb.errors import BadInputError, NotInitializedError

logger = logging.getLogger(__name__)


class RedisClient:
    """A Redis client for queues, pub/sub and cache.

    Strings are written unchanged and everything else as JSON; what is read is decoded as JSON, else
    given as the raw string. Bytes that are not UTF-8 come back as a string from which
    ``text.encode("utf-8", "surrogateescape")`` makes the same bytes again. Missing data gives None,
    False or 0; connection and timeout errors of redis-py are logged and raised.

    Commands share ten connections; a call waits for a free one. Each subscription has one of its own
    beside these. Nothing is repeated after an error: whether a command whose answer was lost has run
    is unknown, and a second RPUSH would queue the item twice.

    Parameters
    ----------
    redis_url : str, optional
        ``redis://``, ``rediss://`` or ``unix://``; None for that of `get_settings`.
    connect_attempts : int, default 3
        How often `connect` tries.
    backoff_s : float, default 1.0
        Seconds before the second attempt; twice that before the third, and so on.
    command_timeout_s : float, default 10.0
        Seconds that the server may take to answer, beyond the time that a call is meant to block.
    pool_wait_s : float, default 20.0
        Seconds that a call waits for a free connection.

    Raises
    ------
    SettingsError
        The URL cannot be read, or has an option that redis-py does not know.
    """

    def __init__(
        self,
        redis_url: str | None = None,
        *,
        connect_attempts: int = 3,
        backoff_s: float = 1.0,
        command_timeout_s: float = 10.0,
        pool_wait_s: float = 20.0,
    ) -> None:
        if connect_attempts < 1:
            raise BadInputError(f"connect_attempts cannot be {connect_attempts!r}; it is 1 or more.")
        self._url = get_settings().redis_url if redis_url is None else redis_url
        self._connect_attempts = connect_attempts
        self._backoff_s = backoff_s
        self._command_timeout_s = command_timeout_s
        self._options = connection_options(self._url, command_timeout_s, pool_wait_s)
        self._connect_lock = LoopLock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._commands: Redis | None = None
        self._channels: Redis | None = None
        self._pubsubs: set[PubSub] = set()
        self._listening: set[PubSub] = set()

    def __repr__(self) -> str:
        state = "connected" if self.is_connected else "not connected"
        return f"<RedisClient {mask_url(self._url)}, {state}>"

    @property
    def is_connected(self) -> bool:
        """Whether `connect` succeeded, `disconnect` did not follow, and the event loop still exists."""
        return self._commands is not None and self._loop is not None and not self._loop.is_closed()

    # -- connection ---------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Connect, in several attempts; do nothing when already connected.

        Raises
        ------
        redis.exceptions.ConnectionError, redis.exceptions.TimeoutError
            The last attempt failed; a warning was logged for each.
        NotInitializedError
            The client is connected on another event loop, which still exists.
        """
        async with self._connect_lock():
            if self.is_connected:
                self._redis()
                return
            pool, unbounded = self._options
            commands = Redis(connection_pool=BlockingConnectionPool(**pool))
            try:
                await self._ping(commands)
            except BaseException:
                await close_pool(commands.connection_pool)
                raise
            self._loop = asyncio.get_running_loop()
            self._pubsubs, self._listening = set(), set()
            self._channels = Redis(connection_pool=ConnectionPool(**unbounded))
            self._commands = commands
            logger.info("Redis connected: %s", mask_url(self._url))

    async def disconnect(self) -> None:
        """Close the subscriptions and all connections; do nothing when not connected.

        Calls that still wait for an answer fail; a `listen` loop ends.
        """
        async with self._connect_lock():
            if not self.is_connected:
                # The connections of a closed loop can only be forgotten.
                self._commands = self._channels = None
                return
            commands, channels, pubsubs = self._redis(), self._channels, self._pubsubs
            self._commands, self._channels, self._pubsubs = None, None, set()
            for pubsub in pubsubs:
                await pubsub.aclose()  # type: ignore[no-untyped-call]
            for client in (channels, commands):
                if client is not None:
                    await close_pool(client.connection_pool)
            logger.info("Redis disconnected")

    async def health_check(self) -> dict[str, Any]:
        """Return the health of the connection; never raises.

        Returns
        -------
        dict
            ``{"status": "healthy", "connected": True, "redis_version": "7.0.0"}`` (the version is None
            where the server forbids INFO), or ``{"status": "unhealthy", "connected": False, "error": …}``.
        """
        try:
            async with asyncio.timeout(self._command_timeout_s):
                redis = self._redis()
                await redis.ping()
                return {"status": "healthy", "connected": True, "redis_version": await fetch_version(redis)}
        except Exception as exc:  # noqa: BLE001 - a health check reports every failure instead of raising it.
            text = str(exc) or type(exc).__name__
            logger.error("Redis health check failed: %s", text)
            return {"status": "unhealthy", "connected": False, "error": text}

    # -- queues -------------------------------------------------------------------------------------

    async def add_to_queue(self, queue_name: str, data: Any) -> int:
        """Append an item to a queue (RPUSH) and return the queue's length.

        Raises
        ------
        BadInputError
            The item can be written neither as a string nor as JSON.
        """
        payload = encode(data)
        with reported("RPUSH"):
            return int(await self._redis().rpush(queue_name, payload))

    async def get_from_queue(self, queue_name: str, timeout: float = 0) -> Any | None:  # noqa: ASYNC109
        """Take the first item of a queue (BLPOP), waiting for one if need be.

        Cancelling the call may lose an item: the server can hand it over at the very moment, and then
        nobody receives it.

        Parameters
        ----------
        queue_name : str
            The queue.
        timeout : float, default 0
            Seconds to wait; 0 waits for ever.

        Returns
        -------
        object or None
            The item; None when there was none in time.

        Raises
        ------
        BadInputError
            The timeout is negative or not finite.
        redis.exceptions.TimeoutError
            The server did not answer, not even to say that there is nothing.
        """
        if not isinstance(timeout, int | float) or not 0 <= timeout < math.inf:
            raise BadInputError(f"timeout cannot be {timeout!r}; it is a number of seconds, 0 for ever.")
        with reported("BLPOP"):
            reply = await self._block("BLPOP", queue_name, timeout, wait_s=timeout)
        return None if reply is None else decode(reply[1])

    async def get_queue_length(self, queue_name: str) -> int:
        """Return the number of items in a queue (LLEN); 0 for one that does not exist."""
        with reported("LLEN"):
            return int(await self._redis().llen(queue_name))

    async def peek_queue(self, queue_name: str, start: int = 0, end: int = -1) -> list[Any]:
        """Return items of a queue without removing them (LRANGE); ``end`` is included, -1 is the last."""
        with reported("LRANGE"):
            items = await self._redis().lrange(queue_name, start, end)
        return [decode(item) for item in items]

    async def clear_queue(self, queue_name: str) -> bool:
        """Remove a whole queue (DEL) and return whether it existed."""
        with reported("DEL"):
            return bool(await self._redis().delete(queue_name))

    # -- pub/sub ------------------------------------------------------------------------------------

    async def publish(self, channel: str, message: Any) -> int:
        """Send a message to a channel (PUBLISH) and return how many subscribers received it.

        Raises
        ------
        BadInputError
            The message can be written neither as a string nor as JSON.
        """
        payload = encode(message)
        with reported("PUBLISH"):
            return int(await self._redis().publish(channel, payload))

    async def subscribe(self, *channels: str) -> PubSub:
        """Subscribe to channels, on a connection of its own.

        The subscription is in force when this returns: what is published from then on arrives.

        Returns
        -------
        redis.asyncio.client.PubSub
            For `listen`. Its ``aclose()`` gives the connection back, as does `unsubscribe`.

        Raises
        ------
        BadInputError
            No channel was given.
        """
        if not channels:
            raise BadInputError("subscribe needs at least one channel.")
        self._redis()
        assert self._channels is not None  # noqa: S101 - set together with the commands.
        pubsub = self._channels.pubsub()
        with reported("SUBSCRIBE"):
            try:
                await pubsub.subscribe(*channels)
                await self._confirm(pubsub, len(set(channels)))
            except BaseException:
                await pubsub.aclose()  # type: ignore[no-untyped-call]
                raise
        self._pubsubs.add(pubsub)
        return pubsub

    async def unsubscribe(self, *channels: str) -> None:
        """Leave channels, in every subscription of this client; without arguments, all channels.

        A subscription that is left without channels ends, and so does the `listen` loop on it.
        """
        self._redis()
        for pubsub in list(self._pubsubs):
            names = [name for name in pubsub.channels if not channels or name in channels]
            if names:
                with reported("UNSUBSCRIBE"):
                    await pubsub.unsubscribe(*names)
            left = set(pubsub.channels) - pubsub.pending_unsubscribe_channels
            # A listener still has to read the confirmation; it closes the connection itself.
            if not left and not pubsub.patterns and pubsub not in self._listening:
                await self._drop(pubsub)

    async def listen(self, pubsub: PubSub) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the messages of a subscription as they arrive, for as long as it has channels.

        Yields
        ------
        dict
            type ("message", or "pmessage" for a pattern), channel, pattern, and data decoded from JSON.

        Raises
        ------
        redis.exceptions.ConnectionError
            The connection broke. Listening again subscribes again; what was published in between is lost.
        """
        self._listening.add(pubsub)
        try:
            received: Any = pubsub.listen()
            async with aclosing(received) as messages:
                async for message in messages:
                    if message["type"] in ("message", "pmessage"):
                        yield {**message, "data": decode(message["data"])}
        except (redis_errors.ConnectionError, redis_errors.TimeoutError) as exc:
            if pubsub not in self._pubsubs:
                # disconnect() closed the subscription: the end of the loop, not a failure.
                return
            logger.error("Redis listen failed: %s", exc)
            if pubsub.connection is not None:
                # redis-py leaves a broken subscription open, and then every later listen fails too.
                await pubsub.connection.disconnect(nowait=True)
            raise
        finally:
            self._listening.discard(pubsub)
            if not pubsub.subscribed:
                await self._drop(pubsub)

    # -- cache --------------------------------------------------------------------------------------

    async def get(self, key: str) -> Any | None:
        """Return a value (GET), decoded from JSON where it is JSON; None when there is no such key."""
        with reported("GET"):
            value = await self._redis().get(key)
        return None if value is None else decode(value)

    async def set(self, key: str, value: Any, expire: int | None = None) -> bool:
        """Store a value (SET) and return True.

        Parameters
        ----------
        key : str
            The key.
        value : object
            A string, or anything that JSON can hold.
        expire : int, optional
            Seconds until the key vanishes, at least 1; None keeps it.

        Raises
        ------
        BadInputError
            The value can be written neither as a string nor as JSON, or ``expire`` is below 1.
        """
        is_whole = isinstance(expire, int) and not isinstance(expire, bool)
        if expire is not None and not (is_whole and 1 <= expire < 2**53):
            raise BadInputError(
                f"expire cannot be {expire!r}; it is a whole number of seconds from 1, or None.",
                hint="delete(key) removes a key at once.",
            )
        payload = encode(value)
        with reported("SET"):
            return bool(await self._redis().set(key, payload, ex=expire))

    async def delete(self, *keys: str) -> int:
        """Delete keys (DEL) and return how many there were."""
        with reported("DEL"):
            return int(await self._redis().delete(*keys)) if keys else 0

    async def exists(self, *keys: str) -> int:
        """Return how many of the keys exist (EXISTS); a key given twice counts twice."""
        with reported("EXISTS"):
            return int(await self._redis().exists(*keys)) if keys else 0

    # -- inside -------------------------------------------------------------------------------------

    def _redis(self) -> Redis:
        """Return redis-py's client, if it is connected and this is its event loop."""
        if self._commands is None or not self.is_connected:
            raise NotInitializedError(
                "Redis client not connected.", hint="await client.connect() first, or use init_redis()."
            )
        if self._loop is not asyncio.get_running_loop():
            raise NotInitializedError(
                "Redis client not connected on this event loop, but on another one.",
                hint="use one RedisClient per event loop.",
            )
        return self._commands

    async def _ping(self, redis: Redis) -> None:
        for attempt in range(1, self._connect_attempts + 1):
            try:
                await redis.ping()
                return
            except (redis_errors.ConnectionError, redis_errors.TimeoutError) as exc:
                logger.warning(
                    "Redis connection attempt %d of %d failed: %s", attempt, self._connect_attempts, exc
                )
                if attempt == self._connect_attempts:
                    logger.error("Redis connection failed: %s", mask_url(self._url))
                    raise
            await asyncio.sleep(self._backoff_s * attempt)

    async def _block(self, *command: Any, wait_s: float) -> Any:
        """Run a command that the server may answer late, which the timeout of a connection would cut off."""
        pool = self._redis().connection_pool
        limit_s = wait_s + self._command_timeout_s if wait_s else None
        connection = await pool.get_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.send_command(*command)
            # inf switches the connection's own timeout off, for this one reply; None would not.
            async with asyncio.timeout(limit_s):
                reply = await connection.read_response(timeout=math.inf)
            if reply is None and not wait_s:
                # Without a limit the server never says "nothing": redis-py took the end of a dead
                # connection (ETIMEDOUT from keep-alive) for a timeout of ours.
                await connection.disconnect()
                raise redis_errors.ConnectionError("connection lost while waiting")
            return reply
        except TimeoutError:
            text = f"{command[0]} was not answered within {limit_s:g} s"
            raise redis_errors.TimeoutError(text) from None
        finally:
            await pool.release(connection)

    async def _confirm(self, pubsub: PubSub, n: int) -> None:
        """Read the confirmations of a SUBSCRIBE; the server sends them in one piece, before any message."""
        try:
            async with asyncio.timeout(self._command_timeout_s):
                while n:
                    if await pubsub.get_message(timeout=self._command_timeout_s) is not None:
                        n -= 1
        except TimeoutError:
            raise redis_errors.TimeoutError("SUBSCRIBE was not confirmed in time") from None

    async def _drop(self, pubsub: PubSub) -> None:
        self._pubsubs.discard(pubsub)
        await pubsub.aclose()  # type: ignore[no-untyped-call]


_redis_client: RedisClient | None = None
_init_lock = LoopLock()


async def init_redis() -> RedisClient:
    """Return the process's client, connected; calls at the same time share one.

    A client whose `connect` failed is not kept, nor one whose event loop was closed.

    Raises
    ------
    redis.exceptions.ConnectionError, redis.exceptions.TimeoutError
        No attempt to connect succeeded.
    """
    global _redis_client
    async with _init_lock():
        if _redis_client is None or not _redis_client.is_connected:
            _redis_client = None
            client = RedisClient()
            await client.connect()
            _redis_client = client
        return _redis_client


async def close_redis() -> None:
    """Disconnect the process's client and forget it; without one, do nothing."""
    global _redis_client
    async with _init_lock():
        if _redis_client is not None:
            await _redis_client.disconnect()
            _redis_client = None


async def get_redis() -> AsyncGenerator[RedisClient, None]:
    """Give the process's client to a FastAPI route: ``redis: RedisClient = Depends(get_redis)``.

    Connects it at first use; it stays connected until `close_redis`.

    Yields
    ------
    RedisClient
    """
    yield await init_redis()
