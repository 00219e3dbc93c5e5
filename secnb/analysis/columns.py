"""Columns of a frame as plain arrays: scores, truth and group keys, checked before anything is counted."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secnb.analysis.packing import blocks, position_type
from secnb.errors import BadInputError, UnknownColumnError

Counts = NDArray[Any]
"""Whole numbers, or fractions where weights or probabilities make them."""

TRUE, FALSE, UNLABELLED = 0, 1, 2
"""Codes of what is known of a unit, in the order in which counts are stored."""

LARGEST_EXACT = 2**53
"""Up to there, floats tell all whole numbers apart."""

_LEAST_CHANCE = 1e-9
_MOST_CELLS = 2**20

# So many rows make a table that stays in the processor's cache.
_FACTORIZED = 2**17

_TRUTH_KINDS = frozenset({"boolean", "integer", "floating", "mixed-integer-float"})


def read_frame(frame: object) -> pd.DataFrame:
    """Return the frame; anything else is an error."""
    if not isinstance(frame, pd.DataFrame):
        raise BadInputError(f"A pandas DataFrame is needed, not {type(frame).__name__}.")
    return frame


def read_column(frame: pd.DataFrame, name: str) -> pd.Series:
    """One column by its name; unknown names and names that stand twice are errors."""
    read_frame(frame)
    _check_name(name)
    if name not in frame.columns:
        raise UnknownColumnError("column", name, frame.columns)
    found = frame[name]
    if isinstance(found, pd.DataFrame):
        raise BadInputError(
            f"The frame has {found.shape[1]} columns called {name!r}; one is needed.",
            hint="drop or rename the others: frame.loc[:, ~frame.columns.duplicated()]",
        )
    return found


def _check_name(name: object) -> None:
    """Refuse what can be no column's name, such as the column itself."""
    if not isinstance(name, Hashable):
        raise BadInputError(f"A column is named by its name, not by a {type(name).__name__}.")


def read_scores(column: pd.Series) -> NDArray[np.float64]:
    """Scores as float64 with NaN where missing; text, booleans and integers beyond 2**53 are errors."""
    if pd.api.types.is_integer_dtype(column.dtype):
        _refuse_collapsing(column)
    return _numbers(column, "be a score", hint=_hint_of_score(column))


def _hint_of_score(column: pd.Series) -> str:
    """Say how to make numbers of what a column holds."""
    if pd.api.types.is_bool_dtype(column.dtype):
        return "yes and no are answers; a score is the number that they were made from"
    if column.head(1000).astype(str).str.strip().str.endswith("%").any():
        return f"convert it first: frame[{column.name!r}].str.rstrip('% ').astype(float) / 100"
    return f"convert it first: pd.to_numeric(frame[{column.name!r}])"


def read_weights(column: pd.Series) -> NDArray[np.float64]:
    """Weights as float64; missing, negative and infinite ones are errors, and those beyond 2**53."""
    weights = _numbers(column, "be a weight", hint="weights are numbers such as 1 and 2.5")
    wrong = ~((weights >= 0) & (weights <= LARGEST_EXACT))
    if wrong.any():
        raise BadInputError(
            f"Column {column.name!r} cannot be a weight: {int(wrong.sum())} of {len(weights)} values are "
            f"not allowed. Values seen: {_seen(column[wrong])}. Allowed: 0 to 2**53.",
            hint=f"a row without a weight counts once: frame[{column.name!r}].fillna(1)",
        )
    return weights


def read_probability(column: pd.Series, *, needed: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Probabilities as float64 with NaN where missing; where needed, they lie between 1e-9 and 1."""
    chances = _numbers(column, "be a probability", hint="it is the probability that a row was labelled")
    wrong = needed & ~(np.isnan(chances) | ((chances >= _LEAST_CHANCE) & (chances <= 1)))
    if wrong.any():
        raise BadInputError(
            f"Column {column.name!r} cannot be a probability: {int(wrong.sum())} of {int(needed.sum())} "
            f"labelled rows have others. Values seen: {_seen(column[wrong])}. "
            "Allowed: 1e-9 to 1, and missing for labels that were not drawn.",
            hint="a row that was labelled had some probability of it; percentages are divided by 100",
        )
    return chances


def _numbers(column: pd.Series, what: str, *, hint: str) -> NDArray[np.float64]:
    """Return a column as float64 with NaN where missing; a float64 column itself, not a copy."""
    dtype = column.dtype
    if pd.api.types.is_object_dtype(dtype) and column.isna().all():
        return np.full(len(column), np.nan)
    is_number = pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_complex_dtype(dtype)
    if pd.api.types.is_bool_dtype(dtype) or not is_number:
        raise BadInputError(
            f"Column {column.name!r} cannot {what}: its dtype is {dtype}. "
            f"Values seen: {_seen(column)}. Allowed: integers and floats.",
            hint=hint,
        )
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def _refuse_collapsing(column: pd.Series) -> None:
    """Thresholds are float64, where neighbours beyond 2**53 would silently become one threshold."""
    known = column.dropna()
    if len(known) and (known.min() < -LARGEST_EXACT or known.max() > LARGEST_EXACT):
        raise BadInputError(
            f"Column {column.name!r} cannot be a score: it holds integers from {known.min()} to "
            f"{known.max()}. Allowed: -2**53 to 2**53, which floats tell apart.",
            hint=f"sweep the ranks, which count alike: frame[{column.name!r}].rank(method='dense')",
        )


def read_truth(column: pd.Series) -> NDArray[np.int8]:
    """Truth as the codes TRUE, FALSE and UNLABELLED; anything but true, false and missing is an error."""
    if column.dtype == np.bool_:
        # Most large columns are of this kind; true is 0 and false is 1.
        return (~column.to_numpy()).view(np.int8)
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    missing = column.isna().to_numpy()
    codes = np.full(len(column), UNLABELLED, dtype=np.int8)
    known = column[~missing]
    if known.empty:
        return codes
    if pd.api.types.infer_dtype(known, skipna=True) not in _TRUTH_KINDS:
        raise _not_truth(known)
    values = known.to_numpy(dtype=np.float64)
    if not ((values == 0.0) | (values == 1.0)).all():
        raise _not_truth(known)
    codes[~missing] = np.where(values == 1.0, TRUE, FALSE)
    return codes


def read_flags(column: pd.Series) -> NDArray[np.bool_]:
    """Return flags as bool, false where missing; anything but true, false and missing is an error."""
    return np.equal(read_truth(column), TRUE)


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


def read_by(by: str | Sequence[str] | None, *, taken: frozenset[str]) -> tuple[str, ...]:
    """Return the names of the group columns, once each and none of them a column of the result."""
    names: tuple[str, ...] = ()
    if isinstance(by, Sequence | pd.Index | np.ndarray) and not isinstance(by, str):
        names = tuple(by)
    elif by is not None:
        # A name need not be text.
        names = (by,)
    for name in names:
        _check_name(name)
    if len(set(names)) < len(names):
        raise BadInputError(f"by= names a column twice: {', '.join(map(repr, names))}.")
    clash = [name for name in names if name in taken]
    if clash:
        raise BadInputError(
            f"by= names {clash[0]!r}, which is also a column of the result.",
            hint=f"rename it first: frame.rename(columns={{{clash[0]!r}: {clash[0] + '_group'!r}}})",
        )
    return names


def factorize(column: pd.Series, *, sort: bool = False) -> tuple[NDArray[np.integer], int]:
    """Return a number for every row by its value, -1 where missing, and how many numbers there are."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes.to_numpy(), len(column.cat.categories)
    try:
        if not sort:
            return _factorize_blocks(column)
        codes, found = pd.factorize(column, sort=True)
    except TypeError as exc:
        if sort:
            # Values that cannot be compared are grouped all the same, in the order of their appearance.
            return factorize(column)
        raise BadInputError(
            f"The column {column.name!r} cannot be grouped: {exc}.",
            hint="lists and dicts are not keys; take one value out of them first",
        ) from exc
    return codes, len(found)


def _factorize_blocks(column: pd.Series) -> tuple[NDArray[np.integer], int]:
    """Return numbers by the order of appearance: block by block, since a table of all takes much memory."""
    codes: NDArray[np.integer] = np.empty(len(column), dtype=position_type(len(column)))
    values: list[pd.Series] = []
    n_values = 0
    for rows in blocks(len(column), _FACTORIZED):
        # As an array, so that the values of a block keep their type, whichever they are.
        numbers, found = pd.factorize(column.array[rows])
        codes[rows] = np.where(numbers < 0, -1, numbers + n_values)
        values.append(pd.Series(found, dtype=column.dtype))
        n_values += len(found)
    if len(values) > 1:
        # The last number stands for -1, and stays.
        numbers, together = pd.factorize(pd.concat(values, ignore_index=True))
        number = np.append(numbers, -1).astype(codes.dtype)
        n_values = len(together)
        for rows in blocks(len(codes)):
            codes[rows] = number[codes[rows]]
    return codes, n_values


def read_clusters(frame: pd.DataFrame, name: str | None) -> NDArray[np.integer] | None:
    """Return the cluster number of every row; a row without one is a cluster of its own."""
    if name is None:
        return None
    codes, n_clusters = factorize(read_column(frame, name))
    clusters: NDArray[np.integer] = codes.astype(position_type(len(codes)))
    alone = np.flatnonzero(codes < 0)
    clusters[alone] = n_clusters + np.arange(len(alone))
    return clusters


def read_groups(frame: pd.DataFrame, by: tuple[str, ...]) -> tuple[NDArray[np.int32], pd.DataFrame]:
    """Return the group number of every row, and one row of keys per group; missing keys are a group too."""
    if not by:
        # One zero that stands for all rows.
        return np.broadcast_to(np.zeros(1, dtype=np.int32), len(frame)), pd.DataFrame(index=pd.RangeIndex(1))
    columns = [read_column(frame, name) for name in by]
    groups, n_groups = dense(np.zeros(len(frame), dtype=np.int8), 1)
    for column in columns:
        codes, n_codes = factorize(column, sort=True)
        codes, n_codes = dense(codes, n_codes + 1)
        if n_groups == 1:
            groups, n_groups = codes, n_codes
        else:
            groups, n_groups = dense(groups * np.int64(n_codes) + codes, n_groups * n_codes)
    keys = pd.concat(columns, axis=1).iloc[_first_rows(groups, n_groups)].reset_index(drop=True)
    keys.attrs = {}
    return groups, keys


def dense(cells: NDArray[np.integer], n_cells: int) -> tuple[NDArray[np.int32], int]:
    """Return the number of every cell among those that occur, and how many do; -1 is the last cell."""
    if n_cells > max(_MOST_CELLS, 2 * len(cells)):
        found, numbers = np.unique(np.where(cells < 0, n_cells - 1, cells), return_inverse=True)
        return numbers.astype(np.int32), len(found)
    occurs = np.zeros(n_cells, dtype=np.bool_)
    for rows in blocks(len(cells)):
        occurs[cells[rows]] = True
    number = (np.cumsum(occurs) - 1).astype(np.int32)
    dense = np.empty(len(cells), dtype=np.int32)
    for rows in blocks(len(cells)):
        dense[rows] = number.take(cells[rows])
    return dense, int(np.count_nonzero(occurs))


def _first_rows(groups: NDArray[np.int32], n_groups: int) -> NDArray[np.int64]:
    """Return the first row of every group."""
    first = np.full(n_groups, -1)
    for rows in blocks(len(groups)):
        new = np.flatnonzero(first[groups[rows]] < 0)
        if len(new):
            # Assigned from the back, so that the first row of each group is the one that stays.
            first[groups[rows][new[::-1]]] = rows.start + new[::-1]
        if (first >= 0).all():
            break
    return first
