"""The options of a PostgreSQL URL: libpq's words become asyncpg's, and what it cannot honour is refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from sqlalchemy.engine import URL

from secnb.errors import SettingsError


def _seconds(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


NUMBERS: Final[Mapping[str, Callable[[Any], float]]] = {
    "timeout": _seconds,
    "command_timeout": _seconds,
    "statement_cache_size": int,
    "max_cached_statement_lifetime": int,
    "max_cacheable_statement_size": int,
    "prepared_statement_cache_size": int,
}
"""Arguments of asyncpg.connect that are numbers, and what reads them."""

_SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
# Arguments of asyncpg.connect that are text; host and port are joined by SQLAlchemy.
_TEXTS: Final = frozenset(
    {"host", "port", "passfile", "service", "servicefile", "target_session_attrs", "krbsrvname", "gsslib"}
)
# What libpq does and asyncpg cannot; sent to the server they would be unknown settings.
_REFUSED: Final = frozenset(
    {"channel_binding", "client_encoding", "fallback_application_name", "gssdelegation", "gssencmode"}
    | {"hostaddr", "keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval"}
    | {"load_balance_hosts", "replication", "require_auth", "requirepeer", "requiressl", "sslcertmode"}
    | {"sslcompression", "sslsni", "tcp_user_timeout"}
    # Arguments of the driver that are not text.
    | {"async_creator_fn", "connection_class", "direct_tls", "dsn", "loop", "prepared_statement_name_func"}
    | {"record_class", "server_settings"}
)
_NAMES: Final = {"sslmode": "ssl", "connect_timeout": "timeout", "dbname": "database", "user": "username"}


def to_asyncpg(parsed: URL) -> URL:
    """Return a PostgreSQL URL in asyncpg's terms.

    Raises
    ------
    SettingsError
        An option cannot be honoured, or is no number.
    """
    query: dict[str, str | tuple[str, ...]] = {}
    parts: dict[str, str] = {}
    rest: dict[str, str] = {}
    for key, value in parsed.query.items():
        name = _NAMES.get(key, key)
        if key in ("host", "port"):
            query[key] = value
            continue
        _check_option(key, name, value, query.get(name))
        text = str(value)
        if name in ("database", "username", "password"):
            parts[name] = text
        elif name == "ssl" or name in NUMBERS or name in _TEXTS:
            query[name] = text
        else:
            rest[name] = text
    if rest:
        # Certificates are read, and server settings such as application_name collected, by asyncpg's
        # own parser alone.
        query["dsn"] = f"postgresql://?{urlencode(rest)}"
    return parsed.set(
        drivername="postgresql+asyncpg",
        database=parts.get("database"),
        username=parts.get("username"),
        password=parts.get("password"),
        query=query,
    )


def _check_option(key: str, name: str, value: object, earlier: object) -> None:
    """Refuse an option that asyncpg would not honour or would stumble over."""
    problem = hint = None
    if isinstance(value, tuple) or (earlier is not None and earlier != value):
        problem, hint = "is given more than once, with different values", "keep one of them."
    elif key in _REFUSED:
        problem, hint = "is not an option of the driver, asyncpg", f"remove {key} from the URL."
    elif name == "ssl" and value not in _SSL_MODES:
        problem, hint = f"cannot be {value!r}", f"one of {', '.join(_SSL_MODES)}."
    elif name in NUMBERS:
        try:
            NUMBERS[name](value)
        except ValueError:
            problem, hint = f"cannot be {value!r}", f"a number, such as {key}=10."
    if problem:
        raise SettingsError(f"The option {key!r} of the database URL {problem}.", hint=hint)
