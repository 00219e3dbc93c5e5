"""Two looks at lists, some time apart: what was added and taken in between, as far as that can be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from secnb.core.redis_pages import page_size
from secnb.core.redis_reader import RedisReader

_AT_ONCE = 100
# The last item of the first look is searched for among so many of the newest: well under a millisecond.
# Where items are large it is among fewer, since each may have to be compared to its end.
_SEARCHED = 10_000


@dataclass(frozen=True)
class ListMark:
    """A list at one instant: its length and its last item; None where the key is no list."""

    length: int
    last: bytes | None


@dataclass(frozen=True)
class Flow:
    """Items added to and taken from a queue between two looks; None where that cannot be told."""

    n_in: int | None = None
    n_out: int | None = None


async def fetch_marks(reader: RedisReader, names: Sequence[str]) -> dict[str, ListMark]:
    """Return a mark of each list that has items."""
    marks = {}
    for at in range(0, len(names), _AT_ONCE):
        page = names[at : at + _AT_ONCE]
        asked = [command for name in page for command in (("LLEN", name), ("LINDEX", name, -1))]
        answers = await reader.ask(asked, at_once=True)
        for name, length, last in zip(page, answers[::2], answers[1::2], strict=True):
            if isinstance(last, bytes) and isinstance(length, int):
                marks[name] = ListMark(length, last)
    return marks


async def fetch_flows(reader: RedisReader, marks: Mapping[str, ListMark]) -> dict[str, Flow]:
    """Return what happened to each list since its mark.

    What is behind the item that was last then has been added since. Where that item is gone, or is not
    the only one of its kind, nobody can tell.
    """
    flows: dict[str, Flow] = {}
    names = list(marks)
    for at in range(0, len(names), _AT_ONCE):
        page = names[at : at + _AT_ONCE]
        asked: list[tuple[Any, ...]] = []
        for name in page:
            last = marks[name].last or b""
            search = ("RANK", -1, "COUNT", 2, "MAXLEN", page_size(len(last), most=_SEARCHED))
            asked += [("LLEN", name), ("LPOS", name, last, *search)]
        answers = await reader.ask(asked, at_once=True)
        for name, length, found in zip(page, answers[::2], answers[1::2], strict=True):
            flows[name] = _flow(marks[name], length, found)
    return flows


def _flow(mark: ListMark, length: Any, found: Any) -> Flow:
    if not isinstance(length, int) or not isinstance(found, list) or len(found) != 1:
        return Flow()
    n_in = length - 1 - int(found[0])
    n_out = mark.length + n_in - length
    return Flow(n_in, n_out) if n_out >= 0 else Flow()
