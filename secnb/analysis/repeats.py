"""Rows that stand several times: what has one id is one unit."""

from __future__ import annotations

import contextlib
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secnb.analysis.packing import blocks

_IDS: Final = ("event_id", "detection_id")


def repeated_id(frame: pd.DataFrame, groups: NDArray[np.integer]) -> str | None:
    """Return which column of ids has one twice within a group; None where every row has its own."""
    for name in _IDS:
        # What stands in two columns of that name is another error's matter.
        if list(frame.columns).count(name) == 1:
            # Lists, say, cannot be compared so, and are no ids.
            with contextlib.suppress(TypeError):
                if _repeats(frame[name], groups):
                    return name
    return None


def _repeats(column: pd.Series, groups: NDArray[np.integer]) -> bool:
    """Whether a value other than missing occurs twice within a group."""
    if pd.api.types.is_integer_dtype(column.dtype):
        # Most frames come in this order, which takes no table to see.
        if _is_rising(column):
            return False
        known = np.sort(column.dropna().to_numpy(dtype=np.int64))
        if not (known[1:] == known[:-1]).any():
            return False
    elif column.dropna().is_unique:
        return False
    table = pd.DataFrame({"id": column.to_numpy(), "group": groups})
    return bool(table[column.notna().to_numpy()].duplicated().any())


def _is_rising(column: pd.Series) -> bool:
    """Whether integers rise from row to row, without a copy of them all."""
    last: int | None = None
    for rows in blocks(len(column)):
        part = column.iloc[rows].dropna().to_numpy(dtype=np.int64)
        if not len(part):
            continue
        if (last is not None and part[0] <= last) or (part[1:] <= part[:-1]).any():
            return False
        last = int(part[-1])
    return True
