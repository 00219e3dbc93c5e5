"""Database and Redis URLs: the one parser, the file behind a SQLite URL, a form that is safe to show."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, unquote_plus, urlencode

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from secnb.core.secret_names import is_secret_name
from secnb.core.url_options import NUMBERS, to_asyncpg
from secnb.errors import SettingsError

MASK: Final = "***"
FORMS: Final = "sqlite+aiosqlite:///./data/security.db or postgresql://user:password@host:5432/name"
ENCODED: Final = (
    "in a user name or password write @ as %40, : as %3A, / as %2F, ? as %3F, # as %23 and % as %25."
)

# Besides those that are secrets everywhere. The dsn carries whatever only asyncpg's own parser understands,
# an sslpassword perhaps among it.
_SECRET_KEYS: Final = frozenset({"passfile", "dsn", "key", "sig", "signature"})
# Those of drivers, whose values may well hold an @.
_OPTIONS: Final = frozenset({"password", "sslpassword", "passfile", "token", "dsn"})
# A host and a port, perhaps after a user.
_PLACE: Final = re.compile(r"([^:@]*@)?(\[[^\]@]*\]|[^:@]*)(:\d*)?")
_TRUE: Final = frozenset({"true", "yes", "on", "y", "t", "1"})


def mask_url(url: str | URL) -> str:
    """Return a database or Redis URL that is safe to show.

    The password becomes ``***``, and so do the values of query keys that are secrets by their name
    (`secnb.core.secret_names`) and of passfile, key and signature. Text that cannot be a URL becomes
    ``***`` as a whole, and where it is unclear how far a password reaches, more is masked rather than
    less. Never raises.

    Parameters
    ----------
    url : str or sqlalchemy.URL
        Any URL, also a broken one.

    Returns
    -------
    str
        The URL without its secrets.

    Examples
    --------
    >>> mask_url("postgresql://ann:secret@db/security?sslpassword=x")
    'postgresql://ann:***@db/security?sslpassword=***'
    """
    text = url.render_as_string(hide_password=True) if isinstance(url, URL) else str(url)
    match = re.match(r"\s*([A-Za-z][\w+.-]*://)(.*)", text, re.DOTALL)
    if match is None:
        return MASK
    scheme, rest = match.groups()
    is_file = scheme.lower().startswith("sqlite")
    authority = _authority(rest)
    if not is_file and ":" in authority and _may_be_password(rest):
        return f"{scheme}{rest.partition(':')[0]}:{MASK}"
    if "@" not in authority and not _PLACE.fullmatch(authority):
        # What looks like an option is a piece of a password, and its @ is farther on.
        rest = _mask_userinfo(rest, is_file=is_file)
    return scheme + _mask_userinfo(_mask_query(rest), is_file=is_file)


def parse_database_url(url: str) -> URL:
    """Return a database URL with the async driver that the core uses.

    Accepts ``sqlite://``, ``sqlite:///``, ``sqlite+aiosqlite:///``, ``postgres://``, ``postgresql://`` and
    ``postgresql+asyncpg://``; another driver is replaced. libpq's query keys are translated for asyncpg
    (``sslmode`` and ``ssl`` are the same); those that asyncpg cannot honour are refused, not dropped.

    Parameters
    ----------
    url : str
        A database URL.

    Returns
    -------
    sqlalchemy.URL
        For ``create_async_engine``, together with `connect_args`. Its text never shows a secret.

    Raises
    ------
    SettingsError
        The URL cannot be read, names another kind of database, or has an option that cannot be honoured.
    """
    parsed = _split(url)
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        return _SafeURL(*parsed.set(drivername="sqlite+aiosqlite"))
    if backend == "postgresql":
        return _SafeURL(*to_asyncpg(parsed))
    raise SettingsError(
        f"The core has no driver for {backend!r}. Seen: {mask_url(url)}. Expected: {FORMS}.",
        hint="secnb reads SQLite and PostgreSQL.",
    )


def connect_args(url: URL) -> dict[str, Any]:
    """Return what the driver must get as values, where a URL holds only text.

    Parameters
    ----------
    url : sqlalchemy.URL
        From `parse_database_url`.

    Returns
    -------
    dict
        For ``create_async_engine(url, connect_args=…)``. A ``timeout`` of None (``connect_timeout=0``)
        means no limit, as in libpq.
    """
    if url.get_backend_name() == "sqlite":
        # aiosqlite works each connection in a thread that is not the one it was opened from.
        return {"check_same_thread": False}
    values: dict[str, Any] = {key: kind(url.query[key]) for key, kind in NUMBERS.items() if key in url.query}
    if "timeout" in values and values["timeout"] <= 0:
        values["timeout"] = None
    return values


def sqlite_path(url: str | URL) -> Path | None:
    """Return the file of a SQLite URL, as written (it may be relative).

    None for a database in memory, for an empty name and for other databases. With ``uri=true`` a
    ``file:`` name is read as SQLite does: percent-encoding, ``mode=memory``, ``//localhost``.

    Parameters
    ----------
    url : str or sqlalchemy.URL
        A database URL.

    Returns
    -------
    pathlib.Path or None

    Raises
    ------
    SettingsError
        The URL cannot be read.
    """
    parsed = url if isinstance(url, URL) else _split(url)
    name = parsed.database
    if parsed.get_backend_name() != "sqlite" or not name or name == ":memory:":
        return None
    if name.startswith("file:") and str(parsed.query.get("uri", "")).lower() in _TRUE:
        return _uri_path(name, parsed.query)
    return Path(name)


def is_cut_short(url: str) -> bool:
    """Return whether a password seems to end within itself, since an ``@`` stands where none can be.

    The parsers of both databases end an unencoded password at its first ``@`` (PostgreSQL) or at its first
    ``/``, ``?`` or ``#`` (Redis), and take what follows for a host, a path or an option.

    Parameters
    ----------
    url : str
        Of PostgreSQL or Redis.

    Examples
    --------
    >>> is_cut_short("redis://:12/ab@host:6379/0"), is_cut_short("redis://:12%2Fab@host:6379/0")
    (True, False)
    """
    scheme, _, rest = url.strip().partition("://")
    if scheme.lower().startswith("postgres"):
        userinfo = re.match(r"[^:/]*:[^@]*@", rest)
        end = userinfo.end() if userinfo else len(rest)
    else:
        authority = _authority(rest)
        end = authority.rfind("@") + 1
        if scheme.lower() == "unix":
            # The path of a socket may hold an @.
            return not end and ":" in authority
    place, _, query = rest[end:].partition("?")
    # The value of an option may hold one; its name may not.
    return "@" in place or any("@" in option.partition("=")[0] for option in query.split("&"))


class HiddenURL(str):
    """The text of a URL whose repr is masked, since a Verbose traceback shows the repr of every variable."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(mask_url(self))


class _SafeURL(URL):
    """A URL whose text hides the secret query keys too, which SQLAlchemy leaves."""

    def render_as_string(self, hide_password: bool = True) -> str:
        text = super().render_as_string(hide_password=hide_password)
        return _mask_query(text) if hide_password else text


def _mask_query(text: str) -> str:
    """Mask the values of secret keys; a value reaches to the next ``&``, whatever is in it."""
    parts = re.split(r"([?&;#])", text)
    for i, part in enumerate(parts):
        key, equals, _ = part.partition("=")
        # What stands before the first of these signs is a place.
        if not i or not equals or not _is_secret_option(unquote_plus(key).strip()):
            continue
        parts[i] = f"{key}={MASK}"
        for j in range(i + 1, len(parts)):
            if parts[j] == "&":
                break
            # A question mark does not end a value.
            parts[j] = ""
    return "".join(parts)


def _may_be_password(rest: str) -> bool:
    """Return whether what looks like a secret option may be part of a password, since an ``@`` follows it."""
    keys = re.findall(r"[?&;#]([^?&;#=]*)=(?=[^&]*@)", rest)
    return any(key.lower() not in _OPTIONS and _is_secret_option(unquote_plus(key).strip()) for key in keys)


def _is_secret_option(key: str) -> bool:
    return is_secret_name(key) or re.split(r"[_-]", key.lower())[-1] in _SECRET_KEYS


def _mask_userinfo(rest: str, *, is_file: bool) -> str:
    """Mask from the first colon to the last ``@``: a password may hold ``/``, ``?`` and ``@`` itself."""
    authority = _authority(rest)
    colon, at = rest.find(":"), rest.rfind("@")
    if is_file and ":" not in authority:
        # The path of a file may hold colons and @; it has no password.
        return rest
    if 0 <= colon < at:
        return f"{rest[: colon + 1]}{MASK}{rest[at:]}"
    if ":" in authority and not _PLACE.fullmatch(authority):
        # user:password without a host looks like host:port.
        return f"{rest[: colon + 1]}{MASK}{rest[len(authority) :]}"
    return rest


def _authority(rest: str) -> str:
    return re.split(r"[/?#]", rest, maxsplit=1)[0]


def _split(url: str) -> URL:
    """Return SQLAlchemy's reading of a URL, or raise without a trace of what is in it."""
    text = url.strip()
    # sqlite://data/x.db: the guide accepts two slashes before a relative path as well.
    text = re.sub(r"^(sqlite(?:\+\w+)?)://(?=[^/?])(?![^/]*@)", r"\1:///", text, flags=re.IGNORECASE)
    text = re.sub(r"^[\w+]+", lambda scheme: scheme[0].lower(), text)
    text = re.sub(r"^postgres(?=\+|:)", "postgresql", text)
    try:
        parsed = make_url(text)
    except (ArgumentError, ValueError):
        # Raised below, outside of this block: the cause quotes pieces of the URL.
        parsed = None
    is_file = parsed is not None and parsed.get_backend_name() == "sqlite"
    is_odd_host = parsed is not None and (parsed.host if is_file else "@" in (parsed.host or ""))
    if parsed is None or is_odd_host or (not is_file and is_cut_short(text)):
        raise SettingsError(
            f"The database URL cannot be read. Seen: {mask_url(url)}. Expected: {FORMS}.", hint=ENCODED
        )
    return parsed


def _uri_path(name: str, query: Mapping[str, str | tuple[str, ...]]) -> Path | None:
    """Return the file of a ``file:`` name, read as in https://www.sqlite.org/uri.html."""
    path, _, inner = name.removeprefix("file:").partition("#")[0].partition("?")
    options = f"{inner}&{urlencode(query, doseq=True)}"
    if path.startswith("//"):
        path = "/" + path[2:].partition("/")[2]
    path = unquote(path)
    if not path or path == ":memory:" or re.search(r"(^|&)(mode=memory|vfs=memdb)(&|$)", options):
        return None
    return Path(path)
