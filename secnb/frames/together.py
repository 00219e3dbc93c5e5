"""Many messages decoded in one go, where they are ordinary JSON objects.

One call of the parser for some hundred messages is several times faster than as many calls. What is not
ordinary in any way (a poison message, a compressed one, a very long number) is left to the tolerant way
of `secnb.frames.messages`, message by message; both give the same payloads.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import orjson

_PAGE = 500
_SMALL = 8
# orjson turns an integer beyond 64 bits into a float without an error; none is shorter than this.
_LONG_NUMBER = b"0" * 19
# Of so many digits in a row, every fourth byte is one at least four times; of a timestamp, never.
_STEP, _DIGITS = 4, b"0" * 4
_DIGITS_TO_ZERO = bytes(48 if 48 <= byte <= 57 else 32 for byte in range(256))


def decode_together(raws: Sequence[bytes]) -> tuple[list[dict[str, Any] | None], list[int]]:
    """Return the payloads of ordinary messages, None for the others, and the rows of the others."""
    payloads: list[dict[str, Any] | None] = []
    odd: list[int] = []
    for start in range(0, len(raws), _PAGE):
        page = raws[start : start + _PAGE]
        found: Sequence[dict[str, Any] | None] | None = _decode_page(page)
        if found is None:
            found = _decode_plausible(page)
            odd += [start + at for at, payload in enumerate(found) if payload is None]
        payloads += found
    return payloads, odd


def _decode_plausible(page: Sequence[bytes]) -> list[dict[str, Any] | None]:
    """Return the payloads of a page that holds something odd: most often what was cut off, or no JSON."""
    cut_off = [at for at, raw in enumerate(page) if raw[-1:] != b"}"]
    others = [raw for raw in page if raw[-1:] == b"}"] if cut_off else page
    payloads = list(_decode_halved(others))
    for at in cut_off:
        payloads.insert(at, None)
    return payloads


def _decode_halved(page: Sequence[bytes]) -> Sequence[dict[str, Any] | None]:
    payloads = _decode_page(page)
    if payloads is not None:
        return payloads
    if len(page) <= _SMALL:
        return [None] * len(page)
    middle = len(page) // 2
    return [*_decode_halved(page[:middle]), *_decode_halved(page[middle:])]


def _decode_page(page: Sequence[bytes]) -> list[dict[str, Any]] | None:
    if not page:
        return []
    # Between two messages stands a number that no message can know. Without it, a message that is
    # left open and one that closes twice could pass for one, and a third make up for the count.
    between = secrets.randbelow(10**12)
    text = b"[" + (b", %d, " % between).join(page) + b"]"
    try:
        values = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if _holds_long_number(text):
        return None
    payloads: list[dict[str, Any]] = values[::2]
    is_whole = len(payloads) == len(page) and values[1::2] == [between] * (len(page) - 1)
    return payloads if is_whole and set(map(type, payloads)) == {dict} else None


def _holds_long_number(text: bytes) -> bool:
    if _DIGITS not in text[::_STEP].translate(_DIGITS_TO_ZERO):
        return False
    return _LONG_NUMBER in text.translate(_DIGITS_TO_ZERO)
