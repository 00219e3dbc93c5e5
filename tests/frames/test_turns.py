"""Long work takes turns with what else runs."""

from __future__ import annotations

import asyncio

import pytest

from secnb.frames.turns import in_turns


async def test_all_is_made_in_order():
    """In however many turns."""
    for n in (0, 1, 2000, 2001, 4000):
        assert await in_turns(lambda at: at, n) == list(range(n))


async def test_a_long_read_takes_turns():
    """So it ends when it is cancelled; a thousand million rows would not end before that."""
    work = asyncio.create_task(in_turns(lambda at: (at,), 10**9))
    await asyncio.sleep(0.01)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
