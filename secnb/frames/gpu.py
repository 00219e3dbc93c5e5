"""Samples of the accelerator, with memory in one unit whichever way a generation stores it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pandas as pd

from secnb import schema
from secnb.core.reader import DatabaseReader
from secnb.frames.notes import note
from secnb.frames.records import Table, read_table
from secnb.frames.wanted import Wanted, chosen_columns

_MEMORY: Final = ("memory_used", "memory_total")
_GPU_STATS: Final = Table("gpu_stats", schema.GPU_STATS, "recorded_at", is_optional=True)
_MB: Final = 2**20
# No accelerator has 10 TB, and none that runs a detector has less than 10 MB.
_FEWEST_BYTES: Final = 10_000_000


async def read_gpu_stats(
    reader: DatabaseReader, wanted: Wanted, *, on_page: Callable[[int], None] = lambda _: None
) -> pd.DataFrame:
    """Return one row per sample, sorted by time, then id; memory in bytes, whatever unit is stored."""
    frame = await read_table(reader, _GPU_STATS, replace(wanted, columns=None), on_page=on_page)
    chosen = chosen_columns(wanted.columns, frame.columns)
    is_mb = _sizes(frame) < _FEWEST_BYTES
    for name in _MEMORY:
        frame[name] = frame[name].where(~is_mb.fillna(False), frame[name] * _MB)
    # A sample without memory tells of no unit.
    is_mb = is_mb.mask(frame[list(_MEMORY)].isna().all(axis=1))
    units = {"bytes": int((~is_mb).sum()), "MB": int(is_mb.sum())}
    stored = {unit: n for unit, n in units.items() if n}
    return note(frame[chosen], memory_unit="bytes", stored_memory_units=stored)


def _sizes(frame: pd.DataFrame) -> pd.Series[Any]:
    """Return how much memory the accelerator of each sample has, in the unit stored."""
    total = frame["memory_total"].where(frame["memory_total"] > 0)
    # What is in use may be next to nothing, and tell no unit; the nearest sample with a total does.
    return total.ffill().bfill().fillna(frame["memory_used"].max())
