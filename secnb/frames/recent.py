"""The recent rows of any table, as stored: read page by page from the newest backwards, within bounds."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from secnb.core.reader import DatabaseReader
from secnb.core.secret_names import is_secret_name
from secnb.errors import QueryError, SecnbError
from secnb.frames.bounds import count_numbers, time_conditions
from secnb.frames.latencies import VERIFICATIONS
from secnb.frames.secrets import is_suspect, mask_bytes, mask_pairs, mask_text
from secnb.frames.typed import MASK, mask_secrets, to_columns, to_times
from secnb.schema import HISTORY, PRIMARY_KEYS

MAX_TABLE_BYTES: Final = 256 * 1024 * 1024
_PAGE: Final = 20_000
_FIRST_PAGE: Final = 500
_PAGE_BYTES: Final = 8 * 1024 * 1024
_COUNT_S: Final = 2.0
_TABLES: Final = {
    "sqlite": "SELECT name, type = 'view', 1 FROM sqlite_schema WHERE type IN ('table', 'view') "
    "AND name NOT LIKE 'sqlite_%' ORDER BY name",
    # The rows of a partition are those of its table.
    "postgresql": "SELECT relname, relkind IN ('v', 'm'), has_any_column_privilege(oid, 'SELECT') "
    "FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT relispartition "
    "AND relnamespace = ANY (current_schemas(false)::regnamespace[]) ORDER BY relname",
}
# What the helpers read may be a view. Others can take long, and hold nothing of their own.
_READ: Final = frozenset({*PRIMARY_KEYS, *HISTORY, VERIFICATIONS})
_VIEW: Final = "a view that no helper reads; what it shows is in its tables"
_REFUSED: Final = "this role may not read it"


@dataclass(frozen=True)
class Stored:
    """A table or view of a database; `problem` says why its rows are not taken, where they are not."""

    name: str
    problem: str | None = None
    is_missed: bool = True


@dataclass
class Recent:
    """The newest rows of a table, the oldest of them first.

    Attributes
    ----------
    columns : dict of str to list
        Values of None, bool, int, float, str, bytes and datetime; secrets are masked.
    n_rows : int
    since : datetime or None
        What is older was not asked for; None where the whole table was.
    is_truncated : bool
        Whether a cap left rows out.
    notes : list of str
        What else is to be said, in words.
    failure : str or None
        Why older rows could not be read.
    """

    columns: dict[str, Sequence[Any]]
    n_rows: int
    since: datetime | None
    is_truncated: bool
    notes: list[str] = field(default_factory=list)
    failure: str | None = None


@dataclass
class _Selection:
    """What is selected: the columns as SQL, the condition, the key that orders the rows."""

    table: str
    columns: list[str]
    where: list[str]
    params: dict[str, Any]
    key: str | None

    def page(self, size: int, last: Any = None) -> tuple[str, dict[str, Any]]:
        """Return the statement of the page that follows `last`, and its parameters."""
        names = ", ".join(map(_quoted, self.columns))
        place = [] if last is None or self.key is None else [f"{_quoted(self.key)} < :secnb_last"]
        ordered = "" if self.key is None else f"ORDER BY {_quoted(self.key)} DESC "
        params = self.params | ({"secnb_last": last} if place else {})
        return f"SELECT {names} {self.source([*self.where, *place])} {ordered}LIMIT {size}", params

    def source(self, where: Sequence[str] | None = None) -> str:
        """Return the part of a statement that says which rows."""
        conditions = self.where if where is None else where
        return f"FROM {_quoted(self.table)} WHERE {' AND '.join(conditions) or '1 = 1'}"


async def fetch_stored(reader: DatabaseReader) -> list[Stored]:
    """Return the tables and views, sorted by name, with those that this role may not read."""
    rows = (await reader.fetch(_TABLES[reader.dialect])).rows
    return [_stored(str(name), bool(is_view), bool(may_read)) for name, is_view, may_read in rows]


def _stored(name: str, is_view: bool, may_read: bool) -> Stored:
    if is_view and name not in _READ:
        return Stored(name, _VIEW, is_missed=False)
    return Stored(name, None if may_read else _REFUSED)


async def read_newest(reader: DatabaseReader, now: datetime) -> datetime:
    """Return when the newest detection or event was, at most `now`; `now` where there is none."""
    found: list[Any] = []
    for table in ("detections", "events"):
        column = HISTORY[table]
        where, params = time_conditions(column, None, now + timedelta(microseconds=1), dialect=reader.dialect)
        query = f"SELECT max({column}) FROM {table} WHERE {where[0]}"  # noqa: S608 - names of our own
        # What is damaged is said when its turn comes.
        with contextlib.suppress(SecnbError):
            found += (await reader.fetch(query, params)).rows[0]
    times = to_times(found).dropna()
    return now if times.empty else min(now, times.max().to_pydatetime(warn=False))


async def read_recent(
    reader: DatabaseReader,
    table: str,
    *,
    since: datetime | None,
    limit: int,
    on_page: Callable[[int], None],
) -> Recent:
    """Return the newest rows of a table: of those that grow with time, what is not before `since`.

    Raises
    ------
    SecnbError
        If the table cannot be read.
    """
    names = await reader.fetch_columns(table)
    if not names:
        raise QueryError(f"{table!r} has no columns that can be read.")
    selection = _Selection(table, names, [], {}, "id" if "id" in names else None)
    notes: list[str] = []
    time = HISTORY.get(table, "")
    if time not in names:
        since = None
    elif since is not None and await count_numbers(reader, table, time):
        notes.append(f"{time} holds numbers, which are not read as times: rows of all times")
        since = None
    if since is not None:
        where, params = time_conditions(_quoted(time), since, None, dialect=reader.dialect)
        selection.where, selection.params = where, params
    rows, is_truncated, failure = await _pages(reader, selection, limit, on_page)
    recent = Recent({}, len(rows), since, is_truncated, notes, failure)
    if is_truncated:
        recent.notes.append(await _counted(reader, selection, len(rows)))
    # Long texts are looked through for secrets, and meanwhile others are served.
    recent.columns = await asyncio.to_thread(_columns, names, rows[::-1] if selection.key else rows)
    return recent


def _columns(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, Sequence[Any]]:
    masked = mask_pairs(mask_secrets(to_columns(names, rows)))
    return {name: _plain_column(values, is_hidden=is_secret_name(name)) for name, values in masked.items()}


def _plain_column(values: Sequence[Any], *, is_hidden: bool) -> Sequence[Any]:
    kinds = set(map(type, values)) - {type(None)}
    if kinds <= {int, float, bool}:
        return values
    if is_hidden:
        return [MASK if isinstance(value, str | bytes) else _plain(value) for value in values]
    if kinds == {str} and not is_suspect("\n".join(filter(None, values))):
        return values
    return [_plain(value) for value in values]


async def _pages(
    reader: DatabaseReader, selection: _Selection, limit: int, on_page: Callable[[int], None]
) -> tuple[list[Sequence[Any]], bool, str | None]:
    """Return rows, whether there are more, and what stopped the read where it was neither end nor cap."""
    rows: list[Sequence[Any]] = []
    n_bytes, last = 0, None
    # Without a key there is nothing to follow: what is wanted comes at once.
    size = limit + 1 if selection.key is None else min(_FIRST_PAGE, limit + 1)
    while True:
        try:
            page = (await reader.fetch(*selection.page(size, last))).rows
        except SecnbError as exc:
            if not rows:
                raise
            return rows, True, str(exc).partition("\n")[0]
        rows += page
        n_bytes += sum(len(value) for row in page for value in row if isinstance(value, str | bytes))
        on_page(min(len(rows), limit))
        if len(rows) > limit:
            return rows[:limit], True, None
        if len(page) < size:
            return rows, False, None
        if n_bytes > MAX_TABLE_BYTES:
            return rows, True, None
        last = page[-1][selection.columns.index("id")]
        # No page takes much memory, however large the values are.
        size = max(1, min(_PAGE, limit + 1 - len(rows), _PAGE_BYTES * len(rows) // max(1, n_bytes)))


async def _counted(reader: DatabaseReader, selection: _Selection, n_rows: int) -> str:
    newest = "newest by id" if selection.key else "first that came"
    with contextlib.suppress(SecnbError):
        counting = f"SELECT count(*) {selection.source()}"
        counted = await reader.fetch(counting, selection.params, timeout_s=_COUNT_S)
        return f"{n_rows:,} of {int(counted.rows[0][0]):,} rows, the {newest}"
    return f"{n_rows:,} rows, the {newest}; how many there are was not counted"


def _plain(value: Any) -> Any:
    """Return a value as one of the few types that a file keeps; what a driver makes of others is text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value
    if isinstance(value, str):
        return mask_text(str(value))
    if isinstance(value, bytes | memoryview):
        return mask_bytes(bytes(value))
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, list | tuple | dict):
        return mask_text(json.dumps(value, default=str))
    return mask_text(str(value))


def _number(value: Decimal) -> int | float | str:
    if not value.is_finite():
        return math.nan if value.is_nan() else math.inf if value > 0 else -math.inf
    if value.as_tuple().exponent == 0:
        return int(value) if -(2**63) <= value < 2**63 else str(value)
    return float(value)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
