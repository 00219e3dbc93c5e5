"""A Redis server of which only a record is left: the same questions, answered as they were then."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from redis.asyncio.connection import Connection
from redis.exceptions import ResponseError

from secnb.core.redis_reader import Items, RedisReader, Side
from secnb.core.redis_recording import ALL_KEYS, Record
from secnb.errors import SnapshotError, UnreachableError

UNKNOWN: Final = "unknown"
"""The type of a key of which a record does not say whether it was there."""

# A range may end in a bracket, and the last set need not be closed.
_GLOB: Final = re.compile(r"\\(.)|\[(\^?)((?:\\.|[^\]\\]-.|[^\]\\]|\\\Z)*+)\]?|(\*)|(\?)|(.)", re.DOTALL)
_IN_SET: Final = re.compile(r"\\(.)|(.)-(.)|(.)", re.DOTALL)
_NOT_LOOKED_AT: Final = ResponseError("the snapshot does not say whether there is such a key")
_MISSING: Final = {b"TYPE": b"none", b"PTTL": -2, b"LLEN": 0, b"XLEN": 0, b"STRLEN": 0}


class RecordedRedis(RedisReader):
    """A recorded Redis server, with the surface of one that is read.

    Parameters
    ----------
    records : iterable of Record
        What was in it.
    taken_at : datetime
        When, by its own clock; it stands still.
    shown_url : str
        Where it was, safe to show.
    version : str or None
        Of the server.
    failure : str or None
        Why nothing was recorded.
    looked_at : sequence of str
        Names and globs of which every key is in `records`. Of other keys that are missing there, nobody
        knows whether they were in the server.
    """

    def __init__(
        self,
        records: Iterable[Record],
        *,
        taken_at: datetime,
        shown_url: str,
        version: str | None = None,
        failure: str | None = None,
        looked_at: Sequence[str] = (ALL_KEYS,),
    ) -> None:
        self.shown_url = shown_url
        self._records = {record.key: record for record in records}
        self._taken_at = taken_at
        self._version = version
        self._failure = failure
        self._looked_at = [_to_pattern(each) for each in looked_at]

    async def ping(self) -> str | None:
        """Return the version that the server had."""
        self._check()
        return self._version

    async def fetch_time(self) -> datetime:
        """Return the moment of the record."""
        self._check()
        return self._taken_at

    async def fetch_names(self, pattern: str, *, key_type: str | None = None) -> list[str]:
        """Return the names of recorded keys, sorted."""
        self._check()
        kind = None if key_type is None else key_type.encode()
        return sorted(key.decode("utf-8", "surrogateescape") for key in self._matching(pattern, kind))

    async def fetch_type(self, name: str) -> str:
        """Return the type of a key; ``"none"`` if there was none.

        Raises
        ------
        SnapshotError
            If the key was not looked at.
        """
        (answer,) = await self.demand([("TYPE", name)])
        if answer == UNKNOWN.encode():
            raise SnapshotError(
                f"The snapshot does not say whether there was a key {name!r}: it holds only some of them.",
                hint="site.queues() lists the queues that it holds, site.keys() the keys.",
            )
        return str(answer.decode())

    async def item_pages(self, name: str, *, n: int | None, side: Side) -> AsyncGenerator[Items, None]:
        """Yield up to `n` recorded items of a list in one page, from its head or its tail; None for all.

        Of a list that was too long to be recorded in whole, those at that end.
        """
        self._check()
        record = self._records.get(name.encode("utf-8", "surrogateescape"))
        if record is None or record.type != b"list":
            yield Items([], 0, 0, False)
            return
        length = record.length or 0
        if side == "head" or n is None:
            yield Items(record.head[:n], 0, length, record.has_moved)
            return
        end = _end(record)
        items = end[max(0, len(end) - n) :]
        yield Items(items, length - len(items), length, record.has_moved)

    async def ask(self, commands: Sequence[tuple[Any, ...]], *, at_once: bool = False) -> list[Any]:
        """Return the answers that the server would have given, an error in the place of each unknown one."""
        self._check()
        return [self._answer([_to_raw(part) for part in each], at_once=at_once) for each in commands]

    @contextlib.asynccontextmanager
    async def own_connection(self) -> AsyncIterator[Connection]:
        """Raise: nobody publishes anything in a record."""
        raise SnapshotError(
            "Nothing is published in a snapshot: it is one moment.",
            hint="tail() listens to a live deployment; site.events() has what was recorded.",
        )
        yield  # makes it a context manager

    async def close(self) -> None:
        """Do nothing; there is no connection."""

    def _check(self) -> None:
        if self._failure is not None:
            raise UnreachableError(f"When the snapshot was taken: {self._failure}")

    def _answer(self, command: list[Any], *, at_once: bool) -> Any:
        verb, rest = command[0], command[1:]
        if verb == b"SCAN":
            return self._scan(rest)
        if verb in (b"MEMORY", b"OBJECT", b"XINFO"):
            verb, rest = verb + b" " + rest[0], rest[1:]
        if verb not in _FACTS and verb not in _ANSWERS:
            return ResponseError(f"a snapshot does not answer {verb.decode('utf-8', 'backslashreplace')}")
        record = self._records.get(rest[0])
        if record is None and not any(each.fullmatch(rest[0]) for each in self._looked_at):
            return UNKNOWN.encode() if verb == b"TYPE" else _NOT_LOOKED_AT
        if record is None:
            return [] if verb in _RANGES else _MISSING.get(verb)
        if verb in _FACTS:
            return _FACTS[verb](record)
        kind, answer = _ANSWERS[verb]
        if record.type != kind:
            return ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")
        return answer(record, at_once, *rest[1:]) if verb in _RANGES else answer(record, *rest[1:])

    def _scan(self, rest: list[Any]) -> list[Any]:
        options = dict(zip(rest[1::2], rest[2::2], strict=True))
        kind = options.get(b"TYPE")
        pattern = options.get(b"MATCH", b"*").decode("utf-8", "surrogateescape")
        return [b"0", self._matching(pattern, kind)]

    def _matching(self, pattern: str, kind: bytes | None) -> list[bytes]:
        matches = _to_pattern(pattern).fullmatch
        return [key for key, record in self._records.items() if kind in (None, record.type) and matches(key)]


def _to_pattern(glob: str) -> re.Pattern[bytes]:
    return re.compile(_to_regex(glob.encode("utf-8", "surrogateescape")), re.DOTALL)


def _to_regex(pattern: bytes) -> bytes:
    """Return a glob of Redis as a regular expression."""
    parts = []
    # One byte is one character, as in Redis.
    for found in _GLOB.finditer(pattern.decode("latin-1")):
        escaped, negated, chosen, many, one, plain = found.groups()
        if chosen is not None:
            inside = "".join(map(_to_set, _IN_SET.findall(chosen)))
            # An empty set matches nothing, and its opposite everything.
            parts.append(f"[{negated}{inside}]" if inside else "." if negated else "(?!)")
        else:
            parts.append(".*" if many else "." if one else re.escape(escaped or plain))
    return "".join(parts).encode("latin-1")


def _to_set(part: tuple[str, str, str, str]) -> str:
    escaped, first, last, plain = part
    if first:
        return "-".join(map(re.escape, sorted((first, last))))
    return re.escape(escaped or plain)


def _value(record: Record) -> Any:
    return record.head[0] if record.head else ResponseError("the value was not recorded")


def _item(record: Record, index: bytes | int) -> Any:
    at = int(index)
    items = record.head if at >= 0 else _end(record)
    return items[at] if -len(items) <= at < len(items) else None


def _range(record: Record, at_once: bool, start: bytes, stop: bytes, *limit: Any) -> Any:
    """Return entries by id, as XRANGE does; a page ends where something was not recorded."""
    n = int(limit[1]) if limit else None
    entries = _ordered(record)
    if not record.is_whole and n != 1:
        # Pages are read together with the length. What is asked alone is being counted, and that is
        # not possible across entries that are not here.
        if not at_once:
            return ResponseError("not all entries were recorded")
        entries = record.head
    return [entry for entry in entries if _is_within(entry[0], start, stop)][:n]


def _reversed_range(record: Record, _: bool, stop: bytes, start: bytes, *limit: Any) -> Any:
    found = [entry for entry in _end(record) if _is_within(entry[0], start, stop)]
    return found[::-1][: int(limit[1]) if limit else None]


def _end(record: Record) -> list[Any]:
    """Return the newest items or entries without a gap: all of what was recorded in whole."""
    return record.tail or (record.head if record.is_whole else [])


def _ordered(record: Record) -> list[Any]:
    known = {entry[0]: entry for entry in (*record.head, *record.waiting, *record.tail)}
    return sorted(known.values(), key=lambda entry: _order(entry[0]))


def _is_within(entry_id: bytes, start: bytes, stop: bytes) -> bool:
    order = _order(entry_id)
    above = start == b"-" or (order > _order(start[1:]) if start.startswith(b"(") else order >= _order(start))
    below = stop == b"+" or (order < _order(stop[1:]) if stop.startswith(b"(") else order <= _order(stop))
    return above and below


def _order(entry_id: bytes) -> tuple[int, int]:
    milliseconds, _, sequence = entry_id.partition(b"-")
    return int(milliseconds), int(sequence or 0)


def _pending(record: Record, group: bytes) -> Any:
    for about, pending in zip(record.groups or (), record.pending or (), strict=False):
        if dict(zip(about[::2], about[1::2], strict=False)).get(b"name") == group:
            return pending
    return ResponseError("NOGROUP No such consumer group")


def _or_refused(answer: Any) -> Any:
    return ResponseError("not recorded") if answer is None else answer


def _to_raw(part: Any) -> Any:
    return part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part


_FACTS: Final[dict[bytes, Callable[[Record], Any]]] = {
    b"TYPE": lambda record: _or_refused(record.type),
    b"PTTL": lambda record: _or_refused(record.pttl_ms),
    b"MEMORY USAGE": lambda record: record.size_bytes,
    b"OBJECT ENCODING": lambda record: record.encoding,
}
_RANGES: Final = (b"XRANGE", b"XREVRANGE")
_ANSWERS: Final[dict[bytes, tuple[bytes, Callable[..., Any]]]] = {
    b"GET": (b"string", _value),
    b"STRLEN": (b"string", lambda record: record.length),
    b"LLEN": (b"list", lambda record: record.length),
    b"LINDEX": (b"list", _item),
    b"XLEN": (b"stream", lambda record: record.length),
    b"XINFO STREAM": (b"stream", lambda record: _or_refused(record.info)),
    b"XINFO GROUPS": (b"stream", lambda record: _or_refused(record.groups)),
    b"XPENDING": (b"stream", _pending),
    b"XRANGE": (b"stream", _range),
    b"XREVRANGE": (b"stream", _reversed_range),
}
