"""What lies between the Redis client and the wire: connections, errors, and JSON in and out."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from redis import exceptions as redis_errors
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import UnixDomainSocketConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

from secnb.core.url import ENCODED, is_cut_short, mask_url
from secnb.errors import BadInputError, SettingsError, UnreachableError

logger = logging.getLogger(__name__)

MAX_CONNECTIONS: Final = 10
UNBOUNDED: Final = 2**31


class PoolBusyError(UnreachableError, redis_errors.ConnectionError):
    """All connections of a client were in use for as long as a call may wait for one."""


def connection_options(
    url: str, command_timeout_s: float, pool_wait_s: float
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arguments of the pool for commands and of the one for subscriptions."""
    try:
        given: dict[str, Any] = {} if is_cut_short(url) else dict(parse_url(url))
    except ValueError:
        # Raised below, outside of this block: the cause quotes pieces of the URL.
        given = {}
    if not given:
        raise SettingsError(
            f"The Redis URL cannot be read. Seen: {mask_url(url)}. Expected: redis://localhost:6379/0.",
            hint=f"rediss:// is for TLS, unix:// for a socket; {ENCODED}",
        )
    if "path" not in given and "db" not in given and urlsplit(url).path.strip("/ "):
        # redis-py would drop it without a word, and read database 0.
        raise SettingsError(
            f"The database of a Redis URL is a number. Seen: {mask_url(url)}. "
            "Expected: redis://localhost:6379/0.",
            hint=f"databases of Redis have no names; {ENCODED}",
        )
    bounded = {
        "max_connections": given.pop("max_connections", MAX_CONNECTIONS),
        "timeout": given.pop("timeout", pool_wait_s),
    }
    options: dict[str, Any] = {
        "decode_responses": True,
        "encoding": "utf-8",
        # Strict decoding would lose a binary item: it is popped, then the error is raised.
        "encoding_errors": "surrogateescape",
        "socket_connect_timeout": 5,
        "socket_timeout": command_timeout_s,
        "health_check_interval": 30,
        # redis-py repeats a command up to ten times by default; see the class for why we never do.
        # Without errors to handle it does not reconnect a listener behind our back either.
        "retry": Retry(NoBackoff(), 0, supported_errors=()),
        # Every server and proxy speaks version 2, and nothing here needs 3.
        "protocol": 2,
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
    if given.get("connection_class") is not UnixDomainSocketConnection:
        options["socket_keepalive"] = True
    options |= given
    _check_options(url, options)
    return options | bounded, options | {"max_connections": UNBOUNDED}


def _check_options(url: str, options: dict[str, Any]) -> None:
    """Make one connection object, which tells an unknown option before a server is needed."""
    try:
        ConnectionPool(**options).make_connection()  # type: ignore[no-untyped-call]
    except (TypeError, ValueError, redis_errors.RedisError) as exc:
        # Past an @ it may be that what looks like an option is part of a password.
        is_plain = "@" not in url.partition("?")[2]
        problem = (str(exc).partition("() ")[2] if is_plain else "") or "cannot be used"
        raise SettingsError(
            f"The Redis URL has an option that redis-py refuses ({problem}). Seen: {mask_url(url)}.",
            hint="options are those of redis.asyncio.Connection, such as ?socket_timeout=5.",
        ) from None


@contextmanager
def reported(command: str) -> Iterator[None]:
    """Log connection and timeout errors and let them through; say what a busy pool means."""
    try:
        yield
    except UnicodeEncodeError as exc:
        raise BadInputError(
            f"{command} got a string that UTF-8 cannot hold ({exc.reason} at position {exc.start})."
        ) from exc
    except redis_errors.ConnectionError as exc:
        logger.error("Redis %s failed: %s", command, exc)
        if isinstance(exc.__cause__, TimeoutError):
            # Only a pool that ran out of time has asyncio's TimeoutError as its cause.
            raise PoolBusyError(
                f"{command} found no free connection: all are in use.",
                hint="ten consumers waiting in get_from_queue hold all ten; give each its own RedisClient.",
            ) from exc
        raise
    except redis_errors.TimeoutError as exc:
        logger.error("Redis %s failed: %s", command, exc)
        raise


def not_let_in(exc: redis_errors.RedisError, shown_url: str) -> UnreachableError:
    """Return what to say of a user who may not come in, or may not do what was asked."""
    hint = f"check the user and the password; {ENCODED}"
    if isinstance(exc, redis_errors.NoPermissionError):
        hint = (
            "who only reads needs ACL SETUSER <name> ~* &* -@all +@read +@connection -@dangerous +info +time "
            "+multi +exec +subscribe +unsubscribe, and a password (README)."
        )
    reason = str(exc).rstrip(".")
    return UnreachableError(f"Redis at {shown_url} does not let us in: {reason}.", hint=hint)


async def close_pool(pool: ConnectionPool) -> None:
    """Close all connections; one that is already broken is no reason to fail."""
    try:
        await pool.aclose()
    except (redis_errors.RedisError, OSError) as exc:
        logger.warning("Redis connection was not closed cleanly: %s", exc)


async def fetch_version(redis: Redis) -> str | None:
    """Return the server's version, or None where it may not be asked for."""
    try:
        info = await redis.info("server")
    except redis_errors.ResponseError:
        # A user whose rights do not include INFO may still use the server.
        return None
    return str(info.get("redis_version"))


def encode(value: Any) -> str:
    """Return a string unchanged and everything else as JSON."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value)
    except (TypeError, ValueError, RecursionError) as exc:
        raise BadInputError(
            f"A {type(value).__name__} cannot be written as JSON: {exc}.",
            hint='send times as .isoformat(), and bytes as data.decode("utf-8", "surrogateescape").',
        ) from exc


def decode(text: str | bytes) -> Any:
    """Return what the JSON says; text that is not JSON as it is."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
