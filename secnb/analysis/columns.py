"""Columns of a frame as plain arrays: scores, truth and group keys, checked before anything is counted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secnb.errors import BadInputError, UnknownColumnError

TRUE, FALSE, UNLABELLED = 0, 1, 2
"""Codes of what is known of a unit, in the order in which counts are stored."""

_LARGEST_EXACT = 2**53
_TRUTH_KINDS = frozenset({"boolean", "integer", "floating", "mixed-integer-float"})


def read_column(frame: pd.DataFrame, name: str) -> pd.Series:
    """One column by its name; unknown names and names that stand twice are errors."""
    if name not in frame.columns:
        raise UnknownColumnError("column", name, frame.columns)
    found = frame[name]
    if isinstance(found, pd.DataFrame):
        raise BadInputError(
            f"The frame has {found.shape[1]} columns called {name!r}; one is needed.",
            hint="drop or rename the others: frame.loc[:, ~frame.columns.duplicated()]",
        )
    return found


def read_scores(column: pd.Series) -> NDArray[np.float64]:
    """Scores as float64 with NaN where missing; text, booleans and integers beyond 2**53 are errors."""
    dtype = column.dtype
    if pd.api.types.is_object_dtype(dtype) and column.isna().all():
        return np.full(len(column), np.nan)
    is_number = pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_complex_dtype(dtype)
    if pd.api.types.is_bool_dtype(dtype) or not is_number:
        raise BadInputError(
            f"Column {column.name!r} cannot be a score: its dtype is {dtype}. "
            f"Values seen: {_seen(column)}. Allowed: integers and floats.",
            hint=f"convert it first: pd.to_numeric(frame[{column.name!r}])",
        )
    if pd.api.types.is_integer_dtype(dtype):
        _refuse_collapsing(column)
    # Adding 0.0 copies, so that the input stays as it is, and makes -0.0 and 0.0 one threshold.
    return column.to_numpy(dtype=np.float64, na_value=np.nan) + 0.0


def _refuse_collapsing(column: pd.Series) -> None:
    """Thresholds are float64, where neighbours beyond 2**53 would silently become one threshold."""
    known = column.dropna()
    if len(known) and (known.min() < -_LARGEST_EXACT or known.max() > _LARGEST_EXACT):
        raise BadInputError(
            f"Column {column.name!r} cannot be a score: it holds integers from {known.min()} to "
            f"{known.max()}. Allowed: -2**53 to 2**53, which floats tell apart.",
            hint=f"sweep the ranks, which count alike: frame[{column.name!r}].rank(method='dense')",
        )


def read_truth(column: pd.Series) -> NDArray[np.int8]:
    """Truth as the codes TRUE, FALSE and UNLABELLED; anything but true, false and missing is an error."""
    missing = column.isna().to_numpy()
    codes = np.full(len(column), UNLABELLED, dtype=np.int8)
    known = column[~missing]
    if known.empty:
        return codes
    if pd.api.types.infer_dtype(known, skipna=True) not in _TRUTH_KINDS:
        raise _not_truth(known)
    values = known.to_numpy(dtype=np.float64)
    if not np.isin(values, (0.0, 1.0)).all():
        raise _not_truth(known)
    codes[~missing] = np.where(values == 1.0, TRUE, FALSE)
    return codes


def _not_truth(known: pd.Series) -> BadInputError:
    return BadInputError(
        f"Column {known.name!r} does not hold truth. Values seen: {_seen(known)}. "
        "Allowed: True, False, 1, 0, and missing for what nobody has verified.",
        hint="say what each value means: frame[column].map({'accurate': True, 'false_positive': False})",
    )


def _seen(column: pd.Series) -> str:
    """Show the first distinct values, found by their text, since values that cannot be hashed occur too."""
    shown = list(dict.fromkeys(repr(value)[:40] for value in column.head(1000).tolist()))
    return ", ".join(shown[:5]) + (", …" if len(shown) > 5 else "") if shown else "none"


def read_by(by: str | Sequence[str], *, taken: frozenset[str]) -> tuple[str, ...]:
    """Return the names of the group columns, once each and none of them a column of the result."""
    names = (by,) if isinstance(by, str) else tuple(by)
    if len(set(names)) < len(names):
        raise BadInputError(f"by= names a column twice: {', '.join(map(repr, names))}.")
    clash = [name for name in names if name in taken]
    if clash:
        raise BadInputError(
            f"by= names {clash[0]!r}, which is also a column of the result.",
            hint=f"rename it first: frame.rename(columns={{{clash[0]!r}: {clash[0] + '_group'!r}}})",
        )
    return names


def read_groups(frame: pd.DataFrame, by: tuple[str, ...]) -> tuple[NDArray[np.int64], pd.DataFrame]:
    """Return the group number of every row, and one row of keys per group; missing keys are a group too."""
    if not by:
        return np.zeros(len(frame), dtype=np.int64), pd.DataFrame(index=pd.RangeIndex(1))
    keys = pd.concat([read_column(frame, name) for name in by], axis=1)
    try:
        grouped = keys.groupby(list(by), dropna=False, sort=True, observed=True)
        codes = np.asarray(grouped.ngroup(), dtype=np.int64)
    except TypeError as exc:
        raise BadInputError(
            f"The columns {', '.join(map(repr, by))} cannot be grouped: {exc}.",
            hint="lists and dicts are not keys; take one value out of them first",
        ) from exc
    first = np.empty(int(codes.max()) + 1 if len(codes) else 0, dtype=np.int64)
    # Assigned from the back, so that the first row of each group is the one that stays.
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    found = keys.iloc[first].reset_index(drop=True)
    found.attrs = {}
    return codes, found
