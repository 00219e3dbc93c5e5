"""Long work in turns with whatever else runs, so that Stop ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from secnb.core.collector import collector_paused

_TURN = 2000

T = TypeVar("T")


async def in_turns(make: Callable[[int], T], n: int) -> list[T]:
    """Return what `make` makes of 0, 1 and so on, `n` times; other work goes on, and Stop ends it."""
    made: list[T] = []
    for start in range(0, n, _TURN):
        with collector_paused():
            made += [make(at) for at in range(start, min(start + _TURN, n))]
        await asyncio.sleep(0)
    return made
