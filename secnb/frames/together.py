"""Many messages decoded in one go, where all of them are ordinary JSON objects.

One call of the parser for a thousand messages is several times faster than a thousand calls. What is
not ordinary in any way (a poison message, a compressed one, a very long number) sends its page the
tolerant way of `secnb.frames.messages`, message by message; both give the same payloads.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

_PAGE = 500
_SMALL = 8
_DIGITS_TO_ZERO = bytes(48 if 48 <= byte <= 57 else 32 for byte in range(256))
# orjson turns an integer beyond 64 bits into a float without an error; none is shorter than this.
_LONG_NUMBER = b"0" * 19


def decode_pages(raws: Sequence[bytes]) -> Iterator[tuple[Sequence[bytes], list[dict[str, Any]] | None]]:
    """Yield the messages page by page, and their payloads where all of them are ordinary objects.

    A page that holds something else is halved until it is small or whole.
    """
    waiting = [raws[start : start + _PAGE] for start in range(0, len(raws), _PAGE)][::-1]
    while waiting:
        page = waiting.pop()
        payloads = _decode_together(page)
        if payloads is None and len(page) > _SMALL:
            waiting += [page[len(page) // 2 :], page[: len(page) // 2]]
        else:
            yield page, payloads


def _decode_together(page: Sequence[bytes]) -> list[dict[str, Any]] | None:
    # Between two messages stands a number that no message can know. Without it, a message that is
    # left open and one that closes twice could pass for one, and a third make up for the count.
    between = secrets.randbelow(10**15)
    text = b"[" + (b",%d," % between).join(page) + b"]"
    if _LONG_NUMBER in text.translate(_DIGITS_TO_ZERO):
        return None
    try:
        values = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    payloads: list[dict[str, Any]] = values[::2]
    is_whole = len(payloads) == len(page) and values[1::2] == [between] * (len(page) - 1)
    return payloads if is_whole and set(map(type, payloads)) == {dict} else None
