"""The data of a panel: one row for every selection, with lists of whole numbers and texts."""

from __future__ import annotations

import textwrap
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from secnb.analysis.captions import days_sentence, recall_sentence, units_sentence
from secnb.analysis.columns import Counts
from secnb.analysis.sweeps import ThresholdSweep
from secnb.view.groupings import Selection
from secnb.view.marks import PER_DAY, PERCENT, Axes, Spec, lists_of, printable
from secnb.view.standings import Standing

NOTHING: Final = "nothing"
"""The key of the row that is shown where the menus stand at values that never occur together."""
_CAPTION_CHARACTERS: Final = 92
_COLUMNS: Final = {
    "n": "n_fired",
    "tp": "tp",
    "fp": "fp",
    "day_n": "fired_per_day",
    "day_tp": "true_per_day",
    "day_fp": "false_per_day",
}


def row_of(
    selection: Selection,
    standing: Standing,
    *,
    at_current: pd.DataFrame | None,
    sweep: ThresholdSweep,
    axes: Axes,
    n_positions: int,
) -> Spec:
    """Return the row of one selection; of the table, only the first rows are positions of the slider."""
    table = selection.table.iloc[:n_positions]
    row: Spec = {
        "key": selection.key,
        "positives": selection.n_true,
        "caption": _caption(sweep, selection, standing, axes),
    }
    for name in lists_of(axes):
        if name == "reach":
            values: ArrayLike = _reach(selection, n_positions)
        else:
            values = table[_COLUMNS.get(name, name)].to_numpy()
        row[f"d_{name}"] = _differences(values, _factor(axes, name))
    return row | _marks(standing, at_current)


def _reach(selection: Selection, n_positions: int) -> Counts:
    found = selection.reach_per_day
    return np.zeros(n_positions) if found is None else found[:n_positions]


def row_of_nothing(axes: Axes, n_positions: int) -> Spec:
    """Return a row of zeros, which says so."""
    lists = {f"d_{name}": " ".join("0" * n_positions) for name in lists_of(axes)}
    return {"key": NOTHING, "positives": 0, "caption": "No unit has these values together.", **lists}


def _factor(axes: Axes, name: str) -> int:
    if name.endswith(("_low", "_high")):
        return PERCENT
    if name == "reach":
        return PER_DAY
    return axes.scale * (axes.n_days if name.startswith("day_") else 1)


def _differences(values: ArrayLike, factor: int) -> str:
    """Return by how much each value is more than the next one, as whole numbers in a text."""
    whole = np.rint(np.nan_to_num(np.asarray(values, dtype=np.float64)) * factor).astype(np.int64)
    return " ".join(map(str, (-np.diff(whole, append=0)).tolist()))


def _marks(standing: Standing, at_current: pd.DataFrame | None) -> Spec:
    """Return the thresholds that are marked, and the counts at the one in force."""
    found: Spec = {}
    if standing.chosen is not None:
        found["chosen"] = standing.chosen
    if standing.plateau is not None:
        found["plateau_low"], found["plateau_high"] = standing.plateau
    if standing.current is not None and at_current is not None:
        found["current"] = standing.current
        numbers = at_current.iloc[0]
        for name in ("n", "tp", "fp", "day_n"):
            if _COLUMNS[name] in numbers:
                found[f"now_{name}"] = numbers[_COLUMNS[name]].item()
    return found


def _caption(sweep: ThresholdSweep, selection: Selection, standing: Standing, axes: Axes) -> str:
    """Say what the numbers of one selection rest on, in lines that fit the width."""
    n_true, n_false, n_unlabelled = (int(n) for n in selection.totals[:3])
    units = units_sentence(
        n_true=n_true,
        n_false=n_false,
        n_unlabelled=n_unlabelled,
        n_unscored=int(selection.totals[3:].sum()),
        unit=sweep.units.unit,
    )
    lines = [units, sweep.weighting, days_sentence(sweep.days)]
    if axes.has_labels:
        lines += [_intervals(sweep, axes), recall_sentence(selection.n_missed)]
    paragraphs = [standing.sentence, printable(" ".join(line for line in lines if line))]
    return "\n".join(line for text in paragraphs for line in textwrap.wrap(text, _CAPTION_CHARACTERS))


def _intervals(sweep: ThresholdSweep, axes: Axes) -> str:
    """Say what the bands are."""
    rests_on = f" on clusters by {sweep.units.cluster}" if sweep.units.cluster else ""
    text = f"Bands are 95 % intervals{rests_on}"
    if axes.has_reach:
        text += "; per day, from how far the days lie apart"
    if axes.known > axes.recorded:
        text += "; where evidence is unknown, what is possible"
    return f"{text}."
