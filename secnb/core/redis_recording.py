"""Recording what is in Redis, key by key: what the readers of this package ask for, within bounds.

A `Record` holds answers as they came over the wire, so that `secnb.core.redis_recorded` can give them
again. Content is kept of strings, lists and streams; of other types only what they are and take.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from secnb.core.redis_keys import MAX_VALUE_BYTES, Facts, read_values, scan
from secnb.core.redis_reader import RedisReader
from secnb.core.redis_streams import Group, fetch_stream_states
from secnb.errors import QueryError

MAX_KEYS: Final = 100_000
N_ITEMS: Final = 10_000
"""A longer list or stream is recorded in two halves: what is next in turn, and the newest."""

MAX_KEY_BYTES: Final = 16 * 1024 * 1024
MAX_BYTES: Final = 256 * 1024 * 1024

ALL_KEYS: Final = "*"
_GLOB_SIGNS: Final = frozenset("*?[\\")

# A page of this size keeps the server busy for well under 10 ms.
_PAGE = 1000
_PAGE_BYTES = 1024 * 1024
_PAGE_UNKNOWN = 100
_FACTS = (("TYPE",), ("PTTL",), ("MEMORY", "USAGE"), ("OBJECT", "ENCODING"), ("STRLEN",))


@dataclass(frozen=True)
class Record:
    """One key as the server described it; None is what it did not say.

    Attributes
    ----------
    length : int or None
        Bytes of a string, items of a list, entries of a stream.
    head, tail : list
        Items or entries from both ends, in order; all are in `head` where that is whole. The value of a
        string is the one item of `head`.
    waiting : list
        Entries of a stream that lie between, and that a group has next in turn.
    has_moved : bool
        Whether the list changed while it was read.
    info, groups, pending : list or None
        The answers to XINFO STREAM (without entries), XINFO GROUPS (with the lag counted where the server
        does not know it), and to XPENDING for each group.
    """

    key: bytes
    type: bytes | None = None
    pttl_ms: int | None = None
    size_bytes: int | None = None
    encoding: bytes | None = None
    length: int | None = None
    head: list[Any] = field(default_factory=list)
    tail: list[Any] = field(default_factory=list)
    waiting: list[Any] = field(default_factory=list)
    has_moved: bool = False
    info: list[Any] | None = None
    groups: list[Any] | None = None
    pending: list[Any] | None = None

    @property
    def is_whole(self) -> bool:
        """Whether all of its content is here; of types without content there is nothing to miss."""
        n_there = min(1, self.length or 0) if self.type == b"string" else self.length or 0
        return len(self.head) + len(self.tail) >= n_there

    def to_json(self) -> str:
        """Return one line of JSON; bytes are text, and those that are not UTF-8 lone surrogates in it."""
        return json.dumps(_to_text({name: value for name, value in vars(self).items() if value is not None}))

    @classmethod
    def from_json(cls, line: str) -> Record:
        """Return the record of one line; ValueError or TypeError where it is none."""
        return cls(**{name: _to_bytes(value) for name, value in json.loads(line).items()})


@dataclass
class _Room:
    """How many bytes of content there is still room for."""

    left: int = MAX_BYTES

    def of_a_key(self) -> int:
        return min(self.left, MAX_KEY_BYTES)


class KeyRecorder:
    """What records the keys of a server: of at most `MAX_KEYS`, those first that somebody looks for.

    Parameters
    ----------
    reader : RedisReader
    first : sequence of str
        Names and globs of the keys that come first, in this order; before globs come lists and streams.

    Attributes
    ----------
    looked_at : list of str
        Those names and globs of which every key was recorded: of another key that is missing in the
        record, nobody knows whether it was there.
    """

    def __init__(self, reader: RedisReader, first: Sequence[str] = ()) -> None:
        self.looked_at: list[str] = []
        self._reader, self._first = reader, first
        self._facts, self._room = Facts(*_FACTS), _Room()

    async def pages(self) -> AsyncIterator[list[Record]]:
        """Yield records page by page; what vanished meanwhile is left out."""
        seen: set[bytes] = set()
        n_left = MAX_KEYS
        async for names, done in self._names():
            fresh = [name for name in dict.fromkeys(names) if name not in seen]
            page = fresh[:n_left]
            seen.update(page)
            if page:
                records = await self._recorded(page)
                n_left -= len(records)
                yield records
            if len(page) < len(fresh):
                return
            self.looked_at += done

    async def _names(self) -> AsyncIterator[tuple[list[bytes], Sequence[str]]]:
        """Yield the names of keys page by page, each time with what no further page belongs to."""
        plain = [each for each in self._first if _GLOB_SIGNS.isdisjoint(each)]
        yield _to_bytes(plain), plain
        for kind in ("list", "stream"):
            found: list[str] = []
            # Before Redis 6 nobody can ask for types; then they come with the others.
            with contextlib.suppress(QueryError):
                found = await self._reader.fetch_names(ALL_KEYS, key_type=kind)
            for at in range(0, len(found), _PAGE):
                yield _to_bytes(found[at : at + _PAGE]), ()
        for pattern in dict.fromkeys([*self._first, ALL_KEYS]):
            if pattern not in plain:
                async for page in scan(self._reader, pattern):
                    yield page, ()
                yield [], [pattern]

    async def _recorded(self, names: Sequence[bytes]) -> list[Record]:
        rows = zip(names, await self._facts.fetch(self._reader, names), strict=True)
        found = [Record(name, *row) for name, row in rows if row[0] != b"none"]
        filled = await _with_values(self._reader, found, self._room)
        return [await _filled(self._reader, record, self._room) for record in filled]


async def fetch_info(reader: RedisReader) -> dict[str, str]:
    """Return what INFO says, by name; empty where it may not be asked."""
    (answer,) = await reader.ask([("INFO",)])
    if not isinstance(answer, bytes):
        return {}
    lines = [line.partition(":") for line in answer.decode("utf-8", "backslashreplace").splitlines()]
    return {name: value for name, colon, value in lines if colon and not name.startswith("#")}


async def _with_values(reader: RedisReader, records: Sequence[Record], room: _Room) -> list[Record]:
    sizes: list[int | None] = []
    for record in records:
        is_wanted = record.type == b"string" and record.length is not None
        is_small = (record.length or 0) <= min(MAX_VALUE_BYTES, room.left)
        size = record.length if is_wanted and is_small else None
        sizes.append(size)
        room.left -= size or 0
    values = await read_values(reader, [record.key for record in records], sizes)
    return [
        record if value is None else replace(record, head=[value], length=len(value))
        for record, value in zip(records, values, strict=True)
    ]


async def _filled(reader: RedisReader, record: Record, room: _Room) -> Record:
    if record.type == b"list":
        return await _list(reader, record, room)
    if record.type == b"stream":
        return await _stream(reader, record, room)
    return record


async def _list(reader: RedisReader, record: Record, room: _Room) -> Record:
    (length,) = await reader.ask([("LLEN", record.key)])
    if not isinstance(length, int):
        return record
    # The first item of each look tells whether the list moved.
    looks: set[tuple[int, Any]] = set()

    async def page(start: int, size: int) -> list[Any]:
        asked = [("LLEN", record.key), ("LINDEX", record.key, 0)]
        now, first, items = await reader.ask(
            [*asked, ("LRANGE", record.key, start, start + size - 1)], at_once=True
        )
        looks.add((now, first))
        return items if isinstance(items, list) else []

    n_head, n_tail = _halves(length)
    size = _page_size(record, length)
    head = await _pages(page, 0, n_head, size, room, len)
    tail = await _pages(page, length - n_tail, n_tail, size, room, len)
    return replace(record, length=length, head=head, tail=tail, has_moved=len(looks) > 1)


async def _stream(reader: RedisReader, record: Record, room: _Room) -> Record:
    name = record.key.decode("utf-8", "surrogateescape")
    (state,) = await fetch_stream_states(reader, [name])
    asked = [("XLEN", name), ("XINFO", "STREAM", name), ("XINFO", "GROUPS", name)]
    length, info, groups = await reader.ask(asked, at_once=True)
    if not isinstance(length, int):
        return record
    groups = groups if isinstance(groups, list) else None
    pending = await reader.ask([("XPENDING", name, _pairs(each)[b"name"]) for each in groups or ()])
    n_head, n_tail = _halves(length)
    size = _page_size(record, length)
    head = await _entries(reader, name, n_head, size, room, newest=False)
    tail = await _entries(reader, name, n_tail, size, room, newest=True)
    ids = dict.fromkeys(each for group in state.groups or () for each in group.waiting_ids)
    found = await reader.ask([("XRANGE", name, each, each, "COUNT", 1) for each in ids])
    return replace(
        record,
        length=length,
        head=head,
        tail=tail,
        waiting=[entry for answer in found if isinstance(answer, list) for entry in answer],
        info=_without_entries(info),
        groups=None if groups is None else _with_lags(groups, state.groups or ()),
        pending=None if groups is None else [_or_none(each) for each in pending],
    )


async def _entries(
    reader: RedisReader, name: str, n: int, size: int, room: _Room, *, newest: bool
) -> list[Any]:
    last: list[bytes] = []

    async def page(_: int, size: int) -> list[Any]:
        beyond = b"(" + last[0] if last else (b"+" if newest else b"-")
        command = ("XREVRANGE", name, beyond, "-") if newest else ("XRANGE", name, beyond, "+")
        (found,) = await reader.ask([(*command, "COUNT", size)])
        entries = found if isinstance(found, list) else []
        last[:] = [entries[-1][0]] if entries else last
        return entries

    entries = await _pages(page, 0, n, size, room, lambda entry: sum(map(len, entry[1])))
    return entries[::-1] if newest else entries


async def _pages(page: Any, start: int, n: int, size: int, room: _Room, n_bytes: Any) -> list[Any]:
    """Return up to `n` items, read page by page, while there is room for them."""
    items: list[Any] = []
    key_room = room.of_a_key() // 2
    while len(items) < n and key_room > 0:
        found = await page(start + len(items), min(size, n - len(items)))
        if not found:
            break
        items += found
        taken = sum(map(n_bytes, found))
        key_room -= taken
        room.left -= taken
    return items


def _halves(length: int) -> tuple[int, int]:
    return (length, 0) if length <= N_ITEMS else (N_ITEMS // 2, N_ITEMS // 2)


def _page_size(record: Record, length: int) -> int:
    """Return how many items make a page, by what the server says that they take."""
    if not record.size_bytes or not length:
        return _PAGE_UNKNOWN
    return max(1, min(_PAGE, _PAGE_BYTES * length // record.size_bytes))


def _with_lags(groups: Sequence[Any], counted: Sequence[Group]) -> list[Any]:
    known = [each.lag for each in counted] if len(counted) == len(groups) else [None] * len(groups)
    return [
        [part for pair in (_pairs(group) | {b"lag": lag}).items() for part in pair]
        for group, lag in zip(groups, known, strict=True)
    ]


def _without_entries(info: Any) -> list[Any] | None:
    if not isinstance(info, list):
        return None
    kept = {name: value for name, value in _pairs(info).items() if not isinstance(value, list)}
    return [part for pair in kept.items() for part in pair]


def _pairs(flat: Sequence[Any]) -> dict[bytes, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=False))


def _or_none(answer: Any) -> Any:
    return None if isinstance(answer, Exception) else answer


def _to_text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, list):
        return [_to_text(each) for each in value]
    return {name: _to_text(each) for name, each in value.items()} if isinstance(value, dict) else value


def _to_bytes(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    return [_to_bytes(each) for each in value] if isinstance(value, list) else value
