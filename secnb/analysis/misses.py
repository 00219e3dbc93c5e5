"""Missed objects that have no row: numbers given beside the frame, one per group."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secnb.analysis.columns import LARGEST_EXACT, Counts
from secnb.errors import BadInputError

Misses = float | pd.Series | None


def read_misses(n_missed: Misses, keys: pd.DataFrame) -> tuple[Counts, pd.DataFrame]:
    """Return the number of misses per group, and the groups, with those added that only have misses."""
    by = list(keys.columns)
    if n_missed is None:
        return np.zeros(len(keys), dtype=np.int64), keys
    if isinstance(n_missed, pd.Series) != bool(by):
        allowed = f"a Series indexed by {', '.join(map(repr, by))}" if by else "a number, since by= is empty"
        raise BadInputError(
            f"n_missed is {type(n_missed).__name__}. Allowed: {allowed}.",
            hint="count the missed objects per group: missed.groupby(by).size()" if by else None,
        )
    if not isinstance(n_missed, pd.Series):
        return np.atleast_1d(_checked(np.asarray(n_missed), shape=())), keys
    groups, keys = _match(n_missed.index, keys)
    found = np.zeros(len(keys))
    # Keys that stand twice in the index are added up.
    np.add.at(found, groups, values := _checked(n_missed.to_numpy(), shape=(len(n_missed),)))
    return found.astype(values.dtype), keys


def _checked(values: Counts, *, shape: tuple[int, ...]) -> Counts:
    """Return whole numbers as int64 and others as float64."""
    if values.dtype.kind not in "iuf" or values.shape != shape:
        raise BadInputError(
            f"n_missed holds {values.dtype} values of shape {values.shape}. Allowed: numbers, 0 or more, "
            "one without by= and else one per group."
        )
    numbers = values.astype(np.float64)
    if not ((numbers >= 0) & (numbers <= LARGEST_EXACT)).all():
        raise BadInputError(
            f"n_missed holds {numbers.ravel()[:5].tolist()}. Allowed: numbers from 0 to 2**53."
        )
    return numbers.astype(np.int64) if (numbers == np.floor(numbers)).all() else numbers


def _match(index: pd.Index, keys: pd.DataFrame) -> tuple[NDArray[np.integer], pd.DataFrame]:
    """Return the group of every entry of the index; keys that the frame does not have are appended."""
    by = list(keys.columns)
    if index.nlevels != len(by):
        raise BadInputError(
            f"n_missed is indexed by {index.nlevels} keys, and by= names {len(by)}: "
            f"{', '.join(map(repr, by))}.",
        )
    asked = index.to_frame(index=False)
    asked = asked[by] if set(by) == set(asked.columns) else asked.set_axis(by, axis=1)
    try:
        asked = asked.astype({name: _fitting(asked[name], keys[name]) for name in by})
    except (TypeError, ValueError) as exc:
        raise BadInputError(
            f"The keys of n_missed do not fit the columns {', '.join(map(repr, by))}: {exc}.",
            hint="count the missed objects by columns of the same dtypes",
        ) from exc
    known = {name: keys[name].astype(asked[name].dtype) for name in by}
    together = pd.concat([keys.assign(**known), asked], ignore_index=True)
    codes = together.groupby(by, dropna=False, sort=False, observed=True).ngroup().to_numpy()
    _, first = np.unique(codes, return_index=True)
    return codes[len(keys) :], together.iloc[first].reset_index(drop=True)


def _fitting(asked: pd.Series, known: pd.Series) -> Any:
    """Return the dtype of the keys, with the categories that only the misses have."""
    if not isinstance(known.dtype, pd.CategoricalDtype):
        return known.dtype
    new = pd.Index(asked.dropna().unique()).difference(known.cat.categories, sort=False)
    return pd.CategoricalDtype([*known.cat.categories, *new], ordered=known.cat.ordered)
