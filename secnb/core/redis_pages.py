"""How much of a list or a stream one command may ask for, so that the server is never busy for long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

# The server copies so many bytes in well under 10 ms, in which it does nothing else.
PAGE_BYTES: Final = 2 * 1024 * 1024
# What is sampled are nodes, of which each holds many small items or one large one.
_SAMPLES: Final = 100


def page_size(item_bytes: float, *, most: int) -> int:
    """Return how many items of such a size make a page: at least one, `most` at most."""
    return max(1, min(most, int(PAGE_BYTES / max(item_bytes, 1.0))))


def looks(name: str, length: str, *ends: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """Return the commands whose answers `item_bytes` reads: `length` counts the items, `ends` reads some."""
    return [("MEMORY", "USAGE", name, "SAMPLES", _SAMPLES), (length, name), *ends]


def item_bytes(answers: Sequence[Any]) -> float:
    """Return how large an item is, by what the key takes and by items at its ends; the larger counts.

    What the server does not say, it does without: a user may not be allowed to ask for the memory.
    """
    usage, length, *ends = answers
    is_known = isinstance(usage, int) and isinstance(length, int) and length > 0
    return max(usage / length if is_known else 0.0, *map(n_bytes, ends))


def n_bytes(answer: Any) -> int:
    """Return how many bytes an answer holds, however deep."""
    if isinstance(answer, bytes):
        return len(answer)
    return sum(map(n_bytes, answer)) if isinstance(answer, list) else 0
