"""One statement of an analyst, made ready for a read-only run: its parameters, its kind, its outer form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Executable, TextClause, bindparam, text

from secnb.errors import QueryError, ReadOnlyError

READING_KINDS = ("SELECT", "WITH", "VALUES", "TABLE", "EXPLAIN", "SHOW")
"""The kinds of statement that a PostgreSQL session may run here."""

# What SQLAlchemy takes for a parameter: a colon and a word, not after a colon, a word or a backslash. A cast
# may follow, which has two colons.
_NAMED = re.compile(r"(?<![:\w\\]):([A-Za-z_]\w*)(?!\w|:(?!:))(::)?")
_COLON = re.compile(r"(?<![:\w\\]):(?=\w+(?![:\w]))")
# From which SQLAlchemy takes the backslash away.
_ESCAPED = re.compile(r"\\:\w*(?![:\w])")
_COMMENT_MARK = re.compile(r"/\*|\*/")
_WORD = re.compile(r"[A-Za-z]+")
# What pandas puts where nothing is; this layer does not know pandas.
_MISSING = ("NaTType", "NAType")


def to_statement(query: str | Executable, params: Mapping[str, Any] | None, *, dialect: str) -> Executable:
    """Return `query` as one executable statement with `params` bound.

    Only the names given in `params` are parameters; every other colon is text, so that JSON and casts
    in a query need no escaping. A list, tuple, set, array or column becomes an expanding parameter, for
    ``IN :names``.

    Raises
    ------
    QueryError
        If `query` is empty, of another type, or a parameter does not occur in it.
    ReadOnlyError
        If `query` is a SQLAlchemy statement that writes.
    """
    if params is not None and not isinstance(params, Mapping):
        raise QueryError(
            f"params is of type {type(params).__name__}. Allowed: a mapping of names to values.",
            hint='site.sql("SELECT :x", {"x": 1}).',
        )
    values = {name: _plain(value, dialect) for name, value in (params or {}).items()}
    if isinstance(query, str):
        return _bound_text(query, values)
    if not isinstance(query, Executable):
        raise QueryError(f"A query is text or a SQLAlchemy statement, not {type(query).__name__}.")
    if isinstance(query, TextClause):
        return query.bindparams(**values) if values else query
    if not getattr(query, "is_select", False):
        kind = type(query).__name__
        raise ReadOnlyError(f"{kind} is not run here: a deployment is only read.")
    return query.params(**values) if values else query  # type: ignore[attr-defined]


def _bound_text(query: str, values: Mapping[str, Any]) -> TextClause:
    if not _without_comments(query).strip(" \t\r\n;"):
        raise QueryError("The query is empty.", hint='for example site.sql("SELECT * FROM cameras").')
    found = {name for name, _ in _NAMED.findall(query)}
    if missing := sorted(set(values) - found):
        raise QueryError(
            f"The parameters {missing} do not occur in the query as :name. Found there: {sorted(found)}."
        )
    # SQLAlchemy takes nothing for a parameter that a colon follows.
    spaced = _NAMED.sub(lambda at: f":{at[1]} ::" if at[2] and at[1] in values else at[0], query)
    # Which a backslash of the query's own must survive.
    escaped = _escape_colons(_ESCAPED.sub(r"\\\g<0>", spaced), keep=set(values))
    return text(escaped).bindparams(
        *(bindparam(name, value, expanding=isinstance(value, list)) for name, value in values.items())
    )


def _escape_colons(query: str, *, keep: set[str]) -> str:
    def escape(match: re.Match[str]) -> str:
        named = _NAMED.match(query, match.start())
        return ":" if named and named.group(1) in keep else "\\:"

    return _COLON.sub(escape, query)


def _plain(value: Any, dialect: str) -> Any:
    """Return a parameter as the driver takes it; what comes from frames is of numpy and pandas."""
    if type(value).__name__ in _MISSING:
        # As text it would be compared with what is stored.
        return None
    if hasattr(value, "tolist"):
        is_time = type(value).__module__ == "numpy" and value.dtype.kind == "M"
        # Nanoseconds would become a number.
        return _plain((value.astype("datetime64[us]") if is_time else value).tolist(), dialect)
    if isinstance(value, list | tuple | set):
        return [_plain(each, dialect) for each in value]
    if isinstance(value, datetime):
        if dialect != "sqlite":
            return value.to_pydatetime(warn=False) if hasattr(value, "to_pydatetime") else value
        naive = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
        # The text in which SQLAlchemy stores a DateTime, so that comparisons are right.
        return naive.isoformat(" ", "microseconds")
    if isinstance(value, date) and dialect == "sqlite":
        return value.isoformat()
    return value


def check_reads(statement: str) -> None:
    """Refuse a PostgreSQL statement that is not of a reading kind.

    The session is READ ONLY besides; this gives the clear error, and keeps out what such a session
    would allow (SET, LISTEN, COPY TO, EXPLAIN ANALYZE, transaction control).

    Raises
    ------
    ReadOnlyError
        If the kind is not allowed.
    """
    rest = _without_comments(statement).lstrip(" \t\r\n\f\v(")
    if not rest.strip(";"):
        raise QueryError("The query is empty.", hint='for example site.sql("SELECT * FROM cameras").')
    word = _WORD.match(rest)
    kind = word.group().upper() if word else repr(rest[:20])
    if kind not in READING_KINDS:
        raise ReadOnlyError(
            f"{kind} is not run here. Allowed are {', '.join(READING_KINDS)}.",
            hint="a deployment is only read; change it with its own tools.",
        )
    if kind == "EXPLAIN" and re.match(
        r"EXPLAIN\s*(\([^)]*\banaly[sz]e\b|(verbose\s+)?analy[sz]e\b)", rest, re.I
    ):
        raise ReadOnlyError(
            "EXPLAIN ANALYZE runs the statement that it explains.", hint="use EXPLAIN without ANALYZE."
        )


def _without_comments(query: str) -> str:
    """Return a query with the comments before its first literal as spaces, for looking at how it begins."""
    kept, place = [], 0
    while place < len(query) and query[place] not in "'\"$":
        if query.startswith("--", place):
            end = query.find("\n", place)
            place = len(query) if end < 0 else end
        elif query.startswith("/*", place):
            place = _end_of_comment(query, place)
            kept.append(" ")
        else:
            kept.append(query[place])
            place += 1
    return "".join(kept) + query[place:]


def _end_of_comment(query: str, start: int) -> int:
    """Return where a comment ends; PostgreSQL nests them."""
    depth = 0
    for found in _COMMENT_MARK.finditer(query, start):
        depth += 1 if found.group() == "/*" else -1
        if depth == 0:
            return found.end()
    return len(query)


def to_count(query: str) -> str:
    """Return a statement that counts the rows of `query`."""
    # The line break ends a comment at the end of the query.
    return f"SELECT count(*) FROM (\n{query.strip().rstrip(';')}\n) AS counted"  # noqa: S608
