"""Samples of the accelerator: memory in one unit."""

from __future__ import annotations

import pandas as pd
import pytest

from secnb.errors import UnknownColumnError
from secnb.frames.gpu import read_gpu_stats
from secnb.frames.wanted import Wanted

MB = 2**20
TABLE = """
CREATE TABLE gpu_stats (id integer PRIMARY KEY, recorded_at text, memory_used integer, memory_total integer);
"""


@pytest.mark.parametrize(
    ("stored", "used"),
    [
        ([(300, 8192)], [300 * MB]),
        ([(300 * MB, 8192 * MB)], [300 * MB]),
        ([(300 * MB, 8192 * MB), (300, 8192)], [300 * MB, 300 * MB]),
        ([(0, 8192 * MB), (5_000_000, None)], [0, 5_000_000]),
        ([(5, None), (300, None)], [5 * MB, 300 * MB]),
        ([(5, 0), (300, 8192)], [5 * MB, 300 * MB]),
        ([(None, 8192), (None, None)], [None, None]),
        ([(None, None)], [None]),
        ([], []),
    ],
)
async def test_memory_is_in_bytes_whatever_is_stored(written, stored, used):
    """An upgrade may have changed the unit; what is in use alone tells little."""
    words = [tuple("NULL" if each is None else each for each in row) for row in stored]
    rows = "".join(
        f"INSERT INTO gpu_stats VALUES ({i}, '2026-01-15 08:00:0{i}', {now}, {total});"
        for i, (now, total) in enumerate(words)
    )
    frame = await read_gpu_stats(written(TABLE + rows), Wanted(columns=["memory_used"]))
    assert [None if pd.isna(each) else each for each in frame["memory_used"]] == used
    assert frame["memory_used"].dtype == "Int64"


async def test_the_unit_that_was_stored_is_said(written):
    """Of the samples that have memory at all."""
    rows = "INSERT INTO gpu_stats VALUES (1, NULL, 300, 8192), (2, NULL, NULL, NULL), (3, NULL, 5, NULL);"
    frame = await read_gpu_stats(written(TABLE + rows), Wanted())
    assert frame.attrs["stored_memory_units"] == {"MB": 2}
    assert frame.attrs["memory_unit"] == "bytes"


async def test_an_unknown_column_is_an_error(written):
    """With the near matches."""
    with pytest.raises(UnknownColumnError, match="did you mean 'memory_used'"):
        await read_gpu_stats(written(TABLE), Wanted(columns=["memory_use"]))
