"""What the menus of a panel can show: every group of a sweep, and the sums over one key or several."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secnb.analysis.columns import Counts, factorize
from secnb.analysis.sweeps import ThresholdSweep, count
from secnb.analysis.tallies import TOTALS
from secnb.analysis.units import Units
from secnb.errors import BadInputError
from secnb.view.dayspread import reach_of_mean
from secnb.view.marks import printable

MOST_SELECTIONS: Final = 720
"""The most groups and sums of groups that one panel holds: 192 groups by up to four columns, and some."""

_MOST_CHARACTERS: Final = 60
ALL: Final = -1
"""The position in a menu at which its column does not matter."""


@dataclass(frozen=True, eq=False)
class Menu:
    """The values of one group column.

    Attributes
    ----------
    name : str
        The column.
    labels : list of str
        Its values as texts, in the order of their codes.
    codes : ndarray of int64, shape (n_groups,)
        The value of each group of the sweep.
    """

    name: str
    labels: list[str]
    codes: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Selection:
    """What is shown at one position of all menus.

    Attributes
    ----------
    key : str
        The positions of the menus, joined by commas.
    groups : ndarray of int64
        The groups of the sweep that are summed up.
    is_group : bool
        Whether every menu stands at a value, so that this is a group of the sweep.
    table : pandas.DataFrame
        One row of ``ThresholdSweep.at`` per threshold.
    totals : ndarray of int64, shape (6,)
        Counts as in ``ThresholdSweep.totals``.
    n_true : float
        Everything that is labelled true, and what was missed.
    n_missed : float
        What was missed.
    reach_per_day : ndarray of float64 or None
        Half the interval of what fires per day, at every threshold; None where days do not tell.
    """

    key: str
    groups: NDArray[np.int64]
    is_group: bool
    table: pd.DataFrame
    totals: NDArray[np.int64]
    n_true: float
    n_missed: float
    reach_per_day: NDArray[np.float64] | None


def menus(sweep: ThresholdSweep) -> list[Menu]:
    """Return one menu per group column; a missing key is called missing."""
    return [_menu(sweep.units.keys[name], name) for name in sweep.by]


def _menu(column: pd.Series, name: str) -> Menu:
    # The column keeps its categories, of which some may have no group.
    found, _ = factorize(column, sort=True)
    found = np.where(found < 0, np.iinfo(np.int64).max, found.astype(np.int64))
    _, first, codes = np.unique(found, return_index=True, return_inverse=True)
    return Menu(name, [_text(value) for value in column.iloc[first].tolist()], codes.astype(np.int64))


def _text(value: object) -> str:
    """Write a key; one that shows nothing would have an empty line in its menu."""
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return "missing"
    text = str(value)
    return shortened(text) if text.strip() else f"blank ({len(text)})"


def shortened(text: str) -> str:
    """Leave out the middle of a long name; beginnings are often alike, and so are ends."""
    text = printable(text)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:34]}\N{HORIZONTAL ELLIPSIS}{text[-25:]}"


def selections(
    sweep: ThresholdSweep, columns: list[Menu], thresholds: NDArray[np.float64]
) -> Iterator[Selection]:
    """Count for every position of the menus at which there are units, everything together first.

    The thresholds may stand in any order, in which those of a selection then stand as well.

    Raises
    ------
    BadInputError
        There are more of them than ``MOST_SELECTIONS``.
    """
    levels = list(_levels(sweep, columns))
    for rows, is_fixed in levels:
        yield from _counted(sweep.units, rows, is_fixed, thresholds)


def _levels(
    sweep: ThresholdSweep, columns: list[Menu]
) -> Iterator[tuple[NDArray[np.int64], tuple[bool, ...]]]:
    """Give the menu positions of every group, with the menus fixed in each possible way; refuse too many."""
    codes = np.stack([menu.codes for menu in columns], axis=1) if columns else np.empty((1, 0), np.int64)
    n_selections = 0
    for is_fixed in product((False, True), repeat=len(columns)):
        rows = np.where(is_fixed, codes, ALL)
        n_selections += len(np.unique(rows, axis=0)) if columns else 1
        if n_selections > MOST_SELECTIONS:
            raise BadInputError(
                f"The sweep has {sweep.n_groups} groups by {', '.join(map(repr, sweep.by))}, which make more "
                f"than {MOST_SELECTIONS} groups and sums of groups. A panel holds at most that many.",
                hint="sweep by fewer columns, or a part of the frame: frame[frame['camera_id'].isin([...])]",
            )
        yield rows, is_fixed


def _counted(
    units: Units, rows: NDArray[np.int64], is_fixed: tuple[bool, ...], thresholds: NDArray[np.float64]
) -> Iterator[Selection]:
    """Count the units anew by some of their keys: the intervals of a sum do not follow from its parts."""
    if any(is_fixed):
        positions, first, codes = np.unique(rows, axis=0, return_index=True, return_inverse=True)
        codes = codes.reshape(-1)
    else:
        positions, first = np.full((1, len(is_fixed)), ALL), np.zeros(1, dtype=np.int64)
        codes = np.zeros(units.n_groups, dtype=np.int64)
    ascending, where = np.unique(thresholds, return_inverse=True)
    summed = _regrouped(units, is_fixed, first, codes, ascending)
    found = count(summed)
    table, totals = found.at(thresholds), found.totals[list(TOTALS)].to_numpy()
    reach = reach_of_mean(summed, ascending)
    n = len(thresholds)
    for g, position in enumerate(positions.tolist()):
        yield Selection(
            key=",".join(map(str, position)),
            groups=np.flatnonzero(codes == g),
            is_group=all(is_fixed),
            table=table.iloc[g * n : (g + 1) * n],
            totals=totals[g],
            n_true=(found.positives[g] + found.n_missed[g]).item(),
            n_missed=found.n_missed[g].item(),
            reach_per_day=None if reach is None else reach[g][where],
        )


def _regrouped(
    units: Units,
    is_fixed: tuple[bool, ...],
    first: NDArray[np.int64],
    codes: NDArray[np.int64],
    thresholds: NDArray[np.float64],
) -> Units:
    """Return the same units, grouped by the fixed menus only, to be counted at the thresholds only."""
    by = tuple(name for name, fixed in zip(units.by, is_fixed, strict=True) if fixed)
    if by:
        keys, groups = units.keys[list(by)].iloc[first].reset_index(drop=True), codes[units.groups]
    else:
        keys = pd.DataFrame(index=pd.RangeIndex(1))
        groups = np.broadcast_to(np.zeros(1, dtype=np.int64), len(units.frame))
    n_missed: Counts = np.bincount(codes, weights=units.n_missed, minlength=len(keys))
    n_missed = n_missed.astype(units.n_missed.dtype)
    return replace(units, by=by, keys=keys, groups=groups, n_missed=n_missed, grid=thresholds)
