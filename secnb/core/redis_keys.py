"""Reading keys whatever their type: what there is, what it takes, and what plain values hold."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import NoPermissionError, ResponseError

from secnb.core.redis_reader import RedisReader

_PAGE = 1000
# Values are fetched in groups; one that is larger than this would keep the server busy for too long.
MAX_VALUE_BYTES = 4 * 1024 * 1024
_GROUP_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Key:
    """One key; None is what the server does not say, or what the key does not have.

    Attributes
    ----------
    value : bytes or None
        Of a string that was asked for and is not too long.
    n_bytes : int or None
        Length of a string.
    """

    name: bytes
    type: str | None
    ttl_s: float | None
    size_bytes: int | None = None
    encoding: str | None = None
    value: bytes | None = None
    n_bytes: int | None = None


@dataclass(frozen=True)
class Keys:
    """The keys that were found, sorted, and whether a cap left some out."""

    keys: list[Key]
    is_truncated: bool


class Facts:
    """Commands about each key; one that this user may not run at all is not sent again."""

    def __init__(self, *commands: tuple[str, ...]) -> None:
        self._commands = commands
        self._denied: set[tuple[str, ...]] = set()

    async def fetch(self, reader: RedisReader, names: Sequence[bytes]) -> list[list[Any]]:
        """Return per key the answers to the commands, None where one was refused."""
        sent = [command for command in self._commands if command not in self._denied]
        answers = iter(await reader.ask([(*command, name) for name in names for command in sent]))
        rows = []
        for _ in names:
            found = {command: next(answers) for command in sent}
            self._denied |= {command for command, answer in found.items() if _is_refused(answer)}
            rows.append([_or_none(found.get(command)) for command in self._commands])
        return rows


async def scan(reader: RedisReader, pattern: str) -> AsyncIterator[list[bytes]]:
    """Yield the names of keys page by page; one that the server gives twice comes once."""
    cursor: bytes = b"0"
    seen: set[bytes] = set()
    while True:
        ((cursor, names),) = await reader.demand([("SCAN", cursor, "MATCH", pattern, "COUNT", _PAGE)])
        fresh = [name for name in dict.fromkeys(names) if name not in seen]
        seen.update(fresh)
        if fresh:
            yield fresh
        if cursor == b"0":
            return


async def fetch_keys(
    reader: RedisReader, pattern: str, *, limit: int | None, on_page: Callable[[int], None]
) -> Keys:
    """Return keys with type, time to live, size and encoding; one that vanished meanwhile is left out."""
    facts = Facts(("TYPE",), ("PTTL",), ("MEMORY", "USAGE"), ("OBJECT", "ENCODING"))

    async def look(names: Sequence[bytes]) -> list[Key]:
        return [
            Key(name, _text(kind), _ttl_s(ttl), size, _text(encoding))
            for name, (kind, ttl, size, encoding) in zip(names, await facts.fetch(reader, names), strict=True)
        ]

    return await _collect(reader, pattern, look, limit=limit, on_page=on_page)


async def fetch_values(
    reader: RedisReader, pattern: str, *, limit: int | None, on_page: Callable[[int], None]
) -> Keys:
    """Return keys with type, time to live and, where they are strings, their value."""
    facts = Facts(("TYPE",), ("PTTL",), ("STRLEN",))

    async def look(names: Sequence[bytes]) -> list[Key]:
        rows = await facts.fetch(reader, names)
        sizes = [size if kind == b"string" else None for kind, _, size in rows]
        values = await read_values(reader, names, sizes)
        return [
            Key(name, _text(kind), _ttl_s(ttl), value=value, n_bytes=size)
            for name, (kind, ttl, _), size, value in zip(names, rows, sizes, values, strict=True)
        ]

    return await _collect(reader, pattern, look, limit=limit, on_page=on_page)


async def _collect(
    reader: RedisReader,
    pattern: str,
    look: Callable[[Sequence[bytes]], Any],
    *,
    limit: int | None,
    on_page: Callable[[int], None],
) -> Keys:
    keys: list[Key] = []
    most = math.inf if limit is None else limit
    async for names in scan(reader, pattern):
        keys += [key for key in await look(names) if key.type != "none"]
        on_page(min(len(keys), limit) if limit is not None else len(keys))
        if len(keys) > most:
            break
    is_truncated = len(keys) > most
    return Keys(sorted(keys[:limit], key=lambda key: key.name), is_truncated)


async def read_values(
    reader: RedisReader, names: Sequence[bytes], sizes: Sequence[int | None]
) -> list[bytes | None]:
    """Return the values of strings in groups of a bounded size; None where one has no size, or too much."""
    values: list[bytes | None] = [None] * len(names)
    group: list[int] = []
    room = _GROUP_BYTES
    for at, size in [*enumerate(sizes), (-1, _GROUP_BYTES + 1)]:
        if size is None or (size > MAX_VALUE_BYTES):
            continue
        if group and (size > room or at < 0):
            answers = await reader.ask([("GET", names[each]) for each in group])
            for each, answer in zip(group, answers, strict=True):
                values[each] = _or_none(answer)
            group, room = [], _GROUP_BYTES
        group.append(at)
        room -= size
    return values


def _is_refused(answer: Any) -> bool:
    """Whether the command itself is refused, and not only for this one key."""
    if isinstance(answer, NoPermissionError):
        return "run the" in str(answer)
    return isinstance(answer, ResponseError) and str(answer).lower().startswith("unknown command")


def _or_none(answer: Any) -> Any:
    return None if isinstance(answer, Exception) else answer


def _ttl_s(milliseconds: int | None) -> float | None:
    # -1 has no end, -2 is gone.
    return None if milliseconds is None or milliseconds < 0 else milliseconds / 1000


def _text(answer: bytes | None) -> str | None:
    return None if answer is None else answer.decode("utf-8", "backslashreplace")
