"""The threshold of every row: one number for all, or one per group."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secnb.analysis.captions import exact
from secnb.analysis.choices import ThresholdChoice
from secnb.analysis.columns import read_groups
from secnb.errors import BadInputError, UnknownNameError

Threshold = float | ThresholdChoice | pd.Series
"""A number; a choice; or numbers indexed by the keys of groups, the index named after their columns."""

Row = NDArray[np.float64] | float


def read_threshold(name: str, given: Threshold, frame: pd.DataFrame, *, otherwise: Row | None = None) -> Row:
    """Return the threshold of every row, a number where it is the same for all.

    Where a choice has no threshold for a group, its rows get that of the whole, else `otherwise`.

    Raises
    ------
    BadInputError
        It is neither; or a group has no threshold and there is no other.
    UnknownNameError
        A Series names a group that no row is in.
    """
    if isinstance(given, ThresholdChoice):
        if not given.by:
            return _of_whole(name, given)
        of_group = dict(zip(_tuples(given.keys), given.thresholds["threshold"].tolist(), strict=True))
        # With groups, the threshold of the whole is that of what is in none of them.
        whole = otherwise if given.threshold is None else given.threshold
        return _by_group(name, frame, given.by, of_group, outside=whole, otherwise=otherwise)
    if isinstance(given, pd.Series):
        by = tuple(given.index.names)
        is_number = pd.api.types.is_numeric_dtype(given.dtype) and not pd.api.types.is_bool_dtype(given.dtype)
        if None in by or not given.index.is_unique or not is_number:
            raise BadInputError(
                f"{name} is a Series that does not give each group one number. Allowed: numbers, the index "
                "named after the columns of the groups, each key once.",
                hint='pd.Series({"porch": 0.6}).rename_axis("camera_id")',
            )
        numbers_given = given.to_numpy(dtype=np.float64, na_value=np.nan).tolist()
        of_group = dict(zip(_tuples(given.index.to_frame(index=False)), numbers_given, strict=True))
        return _by_group(name, frame, by, of_group, outside=None, otherwise=None, is_exact=True)
    is_number = isinstance(given, numbers.Real) and not isinstance(given, bool)
    if not is_number or np.isnan(float(given)):
        hint = 'pd.Series({"porch": 0.6}).rename_axis("camera_id")' if isinstance(given, Mapping) else None
        raise BadInputError(
            f"{name} is {given!r}. Allowed: a number, a ThresholdChoice, or a Series of numbers by group.",
            hint=hint,
        )
    return float(given)


def describe_threshold(given: Threshold) -> str:
    """Return a threshold in few words."""
    if isinstance(given, ThresholdChoice):
        return f"one per {', '.join(given.by)}" if given.by else exact(_of_whole("threshold", given))
    if isinstance(given, pd.Series):
        return f"one per {', '.join(map(str, given.index.names))}"
    return exact(given)


def _of_whole(name: str, choice: ThresholdChoice) -> float:
    if choice.threshold is None:
        raise BadInputError(
            f"{name} is a choice without a threshold: {choice.reason}.",
            hint="compare a number: compare_thresholds(frame, current=0.5, proposed=0.6)",
        )
    return choice.threshold


def _by_group(
    name: str,
    frame: pd.DataFrame,
    by: tuple[Any, ...],
    of_group: Mapping[tuple[Any, ...], float],
    *,
    outside: Row | None,
    otherwise: Row | None,
    is_exact: bool = False,
) -> Row:
    groups, keys = read_groups(frame, by)
    found = _tuples(keys)
    known = set(found)
    # Of a frame without rows, no name is known.
    unknown = [] if not (is_exact and found) else [key for key in of_group if key not in known]
    if unknown:
        # A name with a slip of the pen would silently change nothing.
        raise UnknownNameError(_key(by), _key(unknown[0]), map(_key, found))
    thresholds = np.array([of_group.get(key, np.nan) for key in found], dtype=np.float64)
    is_known = np.array([key in of_group for key in found], dtype=np.bool_)
    rows = thresholds[groups] if len(found) else np.empty(0)
    for missing, other in ((~is_known, outside), (is_known & np.isnan(thresholds), otherwise)):
        if not missing.any():
            continue
        if other is None:
            without = [_key(key) for key, is_out in zip(found, missing, strict=True) if is_out]
            more = f" and {len(without) - 3} more" if len(without) > 3 else ""
            raise BadInputError(
                f"{name} has no threshold for {_key(by)} {', '.join(without[:3])}{more}.",
                hint="a Series has a number for every group; one that is to stay as it is has that in force",
            )
        rows = np.where(missing[groups], other, rows)
    return rows


def _key(key: tuple[Any, ...]) -> str:
    """Write the key of a group, or the names of its columns."""
    return ", ".join("missing" if part is None else str(part) for part in key)


def _tuples(keys: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Return the keys of groups as they can be looked up; missing ones are alike."""
    plain = keys.astype(object).where(keys.notna(), None)
    return list(plain.itertuples(index=False, name=None))
