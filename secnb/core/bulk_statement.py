"""A query as the reader process runs it: every column of one type, which is known beforehand.

PostgreSQL has the types; what ADBC cannot read of them comes as text, as in the kernel. The type of a
SQLite column ADBC takes from the first rows, and what comes later it casts or refuses. So a row of
examples goes before the rows of the query, which costs nothing, and a value that is of another type than
its column is made an error, instead of being cast to it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

Kind = str | None
"""``"int"``, ``"float"``, ``"str"``, ``"bool"``, ``"datetime"``; None where only NULLs were seen."""

KINDS: Final = {"integer": "int", "real": "float", "text": "str"}
"""The kinds that a SQLite column can have, by what SQLite's ``typeof`` says."""

_EXAMPLES: Final[dict[Kind, tuple[str, Any]]] = {
    "int": ("1", 1),
    "float": ("0.5", 0.5),
    "str": ("'a'", "a"),
    None: ("NULL", None),
}
# Whole numbers are cast to floats, and anything to text, unless the value itself makes an error. It reads
# the column, since SQLite would work out a constant beforehand.
_GUARD: Final = (
    "iif(typeof({0}) = '{1}', {0}, iif({0} IS NULL, NULL, abs(-9223372036854775808 + ({0} IS NULL))))"
)
_GUARDED: Final = {"float": "real", "str": "text"}


def examples(kinds: Sequence[Kind]) -> list[Any]:
    """Return the values of the row that goes before those of the query."""
    return [_EXAMPLES[kind][1] for kind in kinds]


def typed_query(query: str, kinds: Sequence[Kind]) -> str:
    """Return a SQLite query whose first row is that of `examples`, and whose columns hold only their kind.

    Examples
    --------
    >>> print(typed_query("SELECT id, NULL FROM t", ["int", None]))
    WITH secnb_read(c0, c1) AS (
    SELECT id, NULL FROM t
    ) SELECT 1, NULL UNION ALL SELECT c0, c1 FROM secnb_read
    """
    first = ", ".join(_EXAMPLES[kind][0] for kind in kinds)
    others = ", ".join(
        _GUARD.format(f"c{i}", _GUARDED[kind]) if kind in _GUARDED else f"c{i}"
        for i, kind in enumerate(kinds)
    )
    return f"{_named(query, len(kinds))} SELECT {first} UNION ALL SELECT {others} FROM secnb_read"  # noqa: S608


def first_types(query: str, columns: Sequence[int], n_columns: int) -> str:
    """Return a query for the types of the first row in which one of `columns` is not NULL."""
    types = ", ".join(f"typeof(c{i})" for i in columns)
    found = " OR ".join(f"c{i} IS NOT NULL" for i in columns)
    return f"{_named(query, n_columns)} SELECT {types} FROM secnb_read WHERE {found} LIMIT 1"  # noqa: S608


def as_text(query: str, columns: Collection[int], n_columns: int) -> str:
    """Return a PostgreSQL query whose `columns` come as the text that the database would write.

    Examples
    --------
    >>> print(as_text("SELECT 1, 'a'::tsvector", [1], 2))
    WITH secnb_read(c0, c1) AS (
    SELECT 1, 'a'::tsvector
    ) SELECT c0, c1::text FROM secnb_read
    """
    if not columns:
        return bare(query)
    shown = ", ".join(f"c{i}::text" if i in columns else f"c{i}" for i in range(n_columns))
    return f"{_named(query, n_columns)} SELECT {shown} FROM secnb_read"  # noqa: S608


def _named(query: str, n_columns: int) -> str:
    names = ", ".join(f"c{i}" for i in range(n_columns))
    return f"WITH secnb_read({names}) AS (\n{bare(query)})"


def bare(query: str) -> str:
    """Return a query without what may stand after it, and with the end of a comment that it may end with."""
    return query.strip().rstrip("; \t\r\n") + "\n"


def kinds_in(page: Sequence[Sequence[Any]]) -> Iterator[set[type]]:
    """Yield, for each column of a page of rows, the types of the values that are there."""
    for values in zip(*page, strict=True):
        yield set(map(type, values)) - {type(None)}
