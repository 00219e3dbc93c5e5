"""How the reader process comes to a database: with the same rights, settings and limits as the kernel."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

from sqlalchemy import URL

from secnb.core.postgres_reader import CONNECT_S, reading_settings
from secnb.core.sqlite_reader import SQLiteFile

# The file is opened in the way that leaves no trace; this says it once more, and waits for a writer.
_SQLITE: Final = ("PRAGMA query_only = ON", "PRAGMA busy_timeout = 3000")
# A server notices that nobody waits any more, even when the request to cancel did not come through.
_NOTICE: Final = (
    "SELECT set_config(name, '1000', true) FROM pg_settings "
    "WHERE name = 'client_connection_check_interval' AND version() LIKE '%linux%'"
)
# libpq's words for what stands in asyncpg's in a URL; None for what only asyncpg has.
_NAMES: Final[Mapping[str, str | None]] = {
    "ssl": "sslmode",
    "timeout": "connect_timeout",
    "command_timeout": None,
    "statement_cache_size": None,
    "max_cached_statement_lifetime": None,
    "max_cacheable_statement_size": None,
    "prepared_statement_cache_size": None,
    "servicefile": None,
    "gsslib": None,
}
_OPTIONS: Final = frozenset(
    {"application_name", "connect_timeout", "host", "krbsrvname", "options", "passfile", "port", "service"}
    | {"sslcert", "sslcrl", "sslkey", "sslmode", "sslpassword", "sslrootcert", "target_session_attrs"}
    | {"ssl_max_protocol_version", "ssl_min_protocol_version"}
)


@dataclass(frozen=True)
class Way:
    """Where the reader process finds a database, and how it begins.

    Attributes
    ----------
    uri : str
        As ADBC takes it; it may hold a password, and is no part of the repr.
    before : sequence of str
        Statements that prepare the transaction.
    source : str
        As in `secnb.core.reader.Rows`.
    """

    uri: str = field(repr=False)
    before: Sequence[str]
    source: str


def sqlite_way(file: SQLiteFile) -> Way:
    """Return the way to a SQLite file, as it is opened just now; may copy the file."""
    uri, source = file.way_in()
    return Way(uri, _SQLITE, source)


def postgres_way(url: URL, timeout_s: float | None) -> Way:
    """Return the way to a PostgreSQL database, into a transaction that can only read.

    Parameters
    ----------
    url : sqlalchemy.URL
        From `secnb.core.url.parse_database_url`.
    timeout_s : float or None
        Seconds until the server stops a statement; None for no limit.
    """
    before = ("SET TRANSACTION READ ONLY", reading_settings(timeout_s), _NOTICE)
    return Way(conninfo(url), before, "server")


def conninfo(url: URL) -> str:
    r"""Return a URL in asyncpg's terms as a connection string of libpq's.

    Examples
    --------
    >>> from secnb.core.url import parse_database_url
    >>> conninfo(parse_database_url("postgresql://ann:it's@db/security?sslmode=require"))
    "user='ann' password='it\\'s' host='db' dbname='security' connect_timeout='3' sslmode='require'"
    """
    parts = {
        "user": url.username,
        "password": url.password,
        "host": url.host,
        "port": None if url.port is None else str(url.port),
        "dbname": url.database,
        "connect_timeout": str(math.ceil(CONNECT_S)),
    }
    given: dict[str, str] = {}
    for key, value in url.query.items():
        texts = [value] if isinstance(value, str) else list(value)
        given |= dict(parse_qsl(texts[0].partition("?")[2])) if key == "dsn" else {key: ",".join(texts)}
    settings = []
    for key, text in given.items():
        name = _NAMES.get(key, key)
        if name in _OPTIONS:
            parts[name] = str(math.ceil(float(text))) if name == "connect_timeout" else text
        elif name is not None:
            # What is no option of the driver is a setting of the server.
            escaped = text.replace("\\", "\\\\").replace(" ", "\\ ")
            settings.append(f"-c {name}={escaped}")
    if settings:
        parts["options"] = " ".join([*filter(None, [parts.get("options")]), *settings])
    return " ".join(f"{name}={_quoted(text)}" for name, text in parts.items() if text)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
