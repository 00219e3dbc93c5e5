"""Reading streams: their entries, and what of them still waits for a consumer group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from secnb.core.redis_pages import item_bytes, looks, page_size
from secnb.core.redis_reader import RedisReader, Side

_PAGE = 500
# Counting what was never delivered reads the entries themselves; beyond this the answer is "not known".
_COUNT_PAGES = 20
# How many streams are looked at in one transaction.
_AT_ONCE = 50

Fields = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True)
class Entry:
    """One entry of a stream: its id, and its fields in order, as stored; a field may occur twice."""

    id: bytes
    fields: Fields


@dataclass(frozen=True)
class Entries:
    """What was read of one stream; the fields are those of `secnb.core.redis_reader.Items`."""

    items: list[Entry]
    first_pos: int
    length: int
    has_moved: bool


@dataclass(frozen=True)
class Group:
    """A consumer group of a stream.

    Attributes
    ----------
    n_pending : int or None
        Entries delivered and not yet acknowledged.
    lag : int or None
        Entries not yet delivered; None where neither the server nor a bounded count can say.
    waiting_ids : tuple of bytes
        The oldest pending and the oldest undelivered entry, as far as there are any.
    """

    n_consumers: int | None
    n_pending: int | None
    lag: int | None
    waiting_ids: tuple[bytes, ...]


@dataclass(frozen=True)
class StreamState:
    """A stream at one instant; None is what the server does not say.

    Attributes
    ----------
    groups : tuple of Group or None
        Empty where nobody consumes in a group.
    last_id : bytes or None
        The id of the newest entry that was ever added.
    n_added : int or None
        How many were ever added; Redis 7 and later.
    oldest : Entry or None
        The oldest entry that waits; without fields where it was trimmed before it was done.
    """

    name: str
    length: int | None
    groups: tuple[Group, ...] | None
    last_id: bytes | None
    n_added: int | None
    oldest: Entry | None

    @property
    def backlog(self) -> int | None:
        """Pending and undelivered entries of the group that is farthest behind; None if not known."""
        waiting = [
            None if group.n_pending is None or group.lag is None else group.n_pending + group.lag
            for group in self.groups or ()
        ]
        known = [each for each in waiting if each is not None]
        return max(known) if known and len(known) == len(waiting) else None

    @property
    def n_consumers(self) -> int | None:
        """Consumers of all groups; None if not known."""
        if self.groups is None or any(group.n_consumers is None for group in self.groups):
            return None
        return sum(group.n_consumers or 0 for group in self.groups)


async def fetch_stream_states(reader: RedisReader, names: Sequence[str]) -> list[StreamState]:
    """Return the state of each stream; a key that is no stream has a state of which nothing is known."""
    states: list[StreamState] = []
    for chunk in (names[at : at + _AT_ONCE] for at in range(0, len(names), _AT_ONCE)):
        asked = [
            command
            for name in chunk
            for command in (("XLEN", name), ("XINFO", "STREAM", name), ("XINFO", "GROUPS", name))
        ]
        answers = await reader.ask(asked, at_once=True)
        for at, name in enumerate(chunk):
            states.append(await _state(reader, name, *answers[3 * at : 3 * at + 3]))
    return states


async def fetch_entries(
    reader: RedisReader, name: str, *, n: int | None, side: Side, on_page: Callable[[int], None]
) -> Entries:
    """Return up to `n` entries of a stream in its order, from its oldest or its newest; None for all.

    Pages follow the ids, so that none is read twice or skipped whatever is added or trimmed meanwhile.
    """
    from_tail = side == "tail" and n is not None
    items: list[Entry] = []
    mean = await _mean_bytes(reader, name)
    most = page_size(mean, most=_PAGE)
    size = most if n is None else min(n, most)
    length, first, page = await _page(reader, name, items, size, from_tail=from_tail)
    wanted, has_moved = length if n is None else min(n, length), False
    while page:
        items += page
        on_page(len(items))
        if len(items) >= wanted:
            break
        size = min(wanted - len(items), page_size(max(mean, _page_mean(page)), most=_PAGE))
        now, first_now, page = await _page(reader, name, items, size, from_tail=from_tail)
        has_moved = has_moved or (now, first_now) != (length, first)
    first_pos = length - len(items) if from_tail else 0
    return Entries(items[::-1] if from_tail else items, first_pos, length, has_moved)


async def count_after(reader: RedisReader, name: str, last_id: bytes) -> int | None:
    """Return how many entries came after `last_id`; None beyond 10,000, or where it may not be asked.

    Large entries make smaller pages, of which there are no more: then it is None beyond fewer.
    """
    count = 0
    size = page_size(await _mean_bytes(reader, name), most=_PAGE)
    for _ in range(_COUNT_PAGES):
        (page,) = await reader.ask([("XRANGE", name, b"(" + last_id, "+", "COUNT", size)])
        if not isinstance(page, list):
            return None
        count += len(page)
        if len(page) < size:
            return count
        last_id = page[-1][0]
    return None


async def _state(reader: RedisReader, name: str, length: Any, stream: Any, groups: Any) -> StreamState:
    about = _to_dict(stream)
    found = (
        tuple([await _group(reader, name, _to_dict(each)) for each in groups])
        if isinstance(groups, list)
        else None
    )
    ids = [each for group in found or () for each in group.waiting_ids]
    return StreamState(
        name=name,
        length=_whole(length),
        groups=found,
        last_id=about.get(b"last-generated-id"),
        n_added=_whole(about.get(b"entries-added")),
        oldest=await _entry(reader, name, min(ids, key=_order)) if ids else None,
    )


async def _group(reader: RedisReader, name: str, about: dict[bytes, Any]) -> Group:
    """Return a group with its lag, counted where the server does not know it (always before Redis 7)."""
    last = about.get(b"last-delivered-id", b"0-0")
    summary, after, first = await reader.ask(
        [
            ("XPENDING", name, about.get(b"name", b"")),
            ("XRANGE", name, b"(" + last, "+", "COUNT", 1),
            ("XRANGE", name, "-", "+", "COUNT", 1),
        ]
    )
    ids = [summary[1]] if isinstance(summary, list) and isinstance(summary[1], bytes) else []
    lag = _whole(about.get(b"lag"))
    if isinstance(after, list):
        ids += [each[0] for each in after]
        if lag is None:
            lag = 0 if not after else await _lag(reader, name, last, is_all=after == first)
    return Group(_whole(about.get(b"consumers")), _whole(about.get(b"pending")), lag, tuple(ids))


async def _lag(reader: RedisReader, name: str, last_id: bytes, *, is_all: bool) -> int | None:
    if is_all:
        # Nothing that is still there was delivered: the length says it without reading the entries.
        (length,) = await reader.ask([("XLEN", name)])
        return _whole(length)
    return await count_after(reader, name, last_id)


async def _entry(reader: RedisReader, name: str, entry_id: bytes) -> Entry:
    (found,) = await reader.ask([("XRANGE", name, entry_id, entry_id, "COUNT", 1)])
    entries = _to_entries(found) if isinstance(found, list) else []
    return entries[0] if entries else Entry(entry_id, ())


async def _mean_bytes(reader: RedisReader, name: str) -> float:
    ends = [("XRANGE", name, "-", "+", "COUNT", 1), ("XREVRANGE", name, "+", "-", "COUNT", 1)]
    return item_bytes(await reader.ask(looks(name, "XLEN", *ends)))


def _page_mean(page: Sequence[Entry]) -> float:
    return sum(len(part) for entry in page for field in entry.fields for part in field) / len(page)


async def _page(
    reader: RedisReader, name: str, items: Sequence[Entry], size: int, *, from_tail: bool
) -> tuple[int, Any, list[Entry]]:
    """Return length, first entry and the page after `items`, all of one instant."""
    start, stop = ("+", "-") if from_tail else ("-", "+")
    page: tuple[Any, ...] = (
        "XREVRANGE" if from_tail else "XRANGE",
        name,
        b"(" + items[-1].id if items else start,
        stop,
        "COUNT",
        size,
    )
    length, first, found = await reader.demand(
        [("XLEN", name), ("XRANGE", name, "-", "+", "COUNT", 1), page], at_once=True
    )
    return length, first, _to_entries(found or [])


def _to_entries(answer: Sequence[Any]) -> list[Entry]:
    return [Entry(entry_id, tuple(zip(flat[::2], flat[1::2], strict=True))) for entry_id, flat in answer]


def _to_dict(flat: Any) -> dict[bytes, Any]:
    """Return the server's flat list of names and values as a dict; empty where it gave an error."""
    return dict(zip(flat[::2], flat[1::2], strict=False)) if isinstance(flat, list) else {}


def _whole(answer: Any) -> int | None:
    return answer if isinstance(answer, int) else None


def _order(entry_id: bytes) -> tuple[int, int]:
    milliseconds, _, sequence = entry_id.partition(b"-")
    return int(milliseconds), int(sequence or 0)
