"""Panels: live charts that answer while a slider moves, without kernel, script or network."""

from __future__ import annotations

import copy
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secnb.analysis.captions import days_sentence, duration, recall_sentence, units_sentence
from secnb.analysis.columns import Counts
from secnb.analysis.counting import ThresholdSweep
from secnb.analysis.tallies import TOTALS
from secnb.errors import BadInputError
from secnb.view.curves import fires, rates
from secnb.view.marks import Axes, Spec, config
from secnb.view.readings import caption, headline
from secnb.view.sliders import Slider, slider_over

MIME: Final = "application/vnd.vegalite.v5+json"
SCHEMA: Final = "https://vega.github.io/schema/vega-lite/v5.json"
_CAPTION_CHARACTERS: Final = 96


@dataclass(frozen=True, eq=False, repr=False)
class Panel:
    """A live chart for a notebook; made by ``panel``.

    JupyterLab draws it from Vega-Lite v5 as the last value of a cell, in untrusted notebooks too. There
    is no HTML beside it, since JupyterLab would then take that and show nothing.

    Attributes
    ----------
    title : str
        What the panel shows, in a few words.
    """

    title: str
    _spec: Spec = field()

    @property
    def spec(self) -> Spec:
        """A Vega-Lite v5 specification in plain JSON; a new copy each time."""
        return copy.deepcopy(self._spec)

    def __repr__(self) -> str:
        return f"<Panel: {self.title}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, object]:
        return {MIME: self.spec, "text/plain": repr(self)}


def panel(sweep: ThresholdSweep) -> Panel:
    """Return precision, recall and what fires against the threshold, with a slider.

    The numbers at the slider are those of ``sweep.at``, to the last integer. Scores from 0 to 1 have
    positions 0.01 apart, whole numbers from 0 to 100 positions 1 apart, others about a hundred round
    positions over their range. Without labels, only what fires is shown; without a whole day in the
    data, counts instead of rates per day. A grouped sweep gets a menu of its groups and of all together.
    Below the smallest recorded score nothing is drawn. An empty sweep shows zeros.

    Parameters
    ----------
    sweep : ThresholdSweep
        What ``secnb.sweep`` returns.

    Returns
    -------
    Panel
        Shows itself in a notebook.

    Raises
    ------
    BadInputError
        The argument is not a sweep.

    Examples
    --------
    >>> frame = pd.DataFrame({"score": [0.9, 0.7, 0.2], "is_true": [True, True, False]})
    >>> from secnb.analysis.counting import sweep
    >>> panel(sweep(frame, score="score", truth="is_true"))
    <Panel: is_true against score, 3 units>
    """
    if not isinstance(sweep, ThresholdSweep):
        raise BadInputError(
            f"panel needs a ThresholdSweep, not {type(sweep).__name__}.",
            hint="secnb.panel(secnb.sweep(frame, score=..., truth=...))",
        )
    slider = slider_over(sweep.threshold)
    table = sweep.at(slider.thresholds)
    axes = _axes(sweep, slider, table)
    groups = list(_groups(sweep, slider, table, axes))
    n_lines = max(group["caption"].count("\n") + 1 for group in groups)
    parts = [headline(axes), *([rates(axes)] if axes.has_labels else []), fires(axes), caption(n_lines)]
    title = f"{sweep.truth} against {sweep.score}, {sweep.n_units} units"
    spec: Spec = {
        "$schema": SCHEMA,
        "description": f"Threshold panel: {title}",
        "usermeta": EMBED,
        "background": "transparent",
        "config": config(),
        "params": _params(sweep, slider),
        "data": {"name": "groups"},
        "datasets": {"groups": groups},
        "vconcat": parts,
        "resolve": {"scale": {"color": "independent"}, "legend": {"color": "independent"}},
    }
    return Panel(title, spec)


# SVG keeps the numbers as text, for screen readers and for selecting. The menu of an output offers to
# save the picture, but not the online editor, which would send the data away.
EMBED: Final[Spec] = {
    "embedOptions": {
        "renderer": "svg",
        "actions": {"export": True, "source": False, "compiled": False, "editor": False},
    }
}


def _axes(sweep: ThresholdSweep, slider: Slider, table: pd.DataFrame) -> Axes:
    sums = sweep.totals[list(TOTALS)].sum()
    n_true, n_false, n_unlabelled = (int(sums[name]) for name in TOTALS[:3])
    # With probabilities, the labelled units stand for the others as well.
    has_rest = n_unlabelled and sweep.units.probability is None
    kinds = ["true alarms", "false alarms"] + (["unlabelled"] if has_rest else [])
    days = sweep.days
    title = "fires"
    if days is not None:
        title = "fires per day" if days.n_days else f"fires in {duration(days.span_s)}, first to last"
    is_recorded = ~np.isposinf(sweep.threshold)
    return Axes(
        low=slider.value(0),
        high=slider.value(slider.n_steps),
        step=slider.step,
        number_format=slider.number_format,
        recorded=slider.position_below(sweep.threshold[is_recorded].min()) if is_recorded.any() else 0,
        known=int((table["evidence"] == "unknown").sum()) // max(sweep.n_groups, 1),
        n_units=sweep.n_units,
        n_days=days.n_days if days is not None else 0,
        score=sweep.score,
        fires_title=title,
        kinds=kinds if n_true + n_false else ["fires"],
    )


def _params(sweep: ThresholdSweep, slider: Slider) -> list[Spec]:
    low, high, step = slider.value(0), slider.value(slider.n_steps), slider.step
    # Vega passes on no attributes to an input of type "range", but all of them to one of a type that it
    # does not know; HTML reads "RANGE" as it reads "range". The width lets a mouse reach every position,
    # and without the last attribute JupyterLab takes the arrow keys for itself. Values come back as text.
    slide = {
        "input": "RANGE",
        "name": "threshold",
        "min": low,
        "max": high,
        "step": step,
        "style": _SLIDER,
        "data-lm-suppress-shortcuts": "true",
    }
    group: Spec = {"name": "shown_group", "value": 0}
    if sweep.by:
        options = list(range(sweep.n_groups + 1))
        name = ", ".join(sweep.by) + "\N{EN SPACE}"
        menu = {"input": "select", "name": name, "options": options, "labels": _labels(sweep)}
        group["bind"] = menu
    # The position is rounded, since (0.29 - 0) / 0.01 is a little less than 29.
    position = f"clamp(round((toNumber(threshold) - ({low!r})) / {step!r}), 0, {slider.n_steps})"
    return [
        {"name": "threshold", "value": slider.value(slider.start), "bind": slide},
        group,
        {"name": "position", "expr": position},
        {"name": "cut", "expr": "toNumber(threshold)"},
    ]


_SLIDER: Final = "width: 460px; max-width: 70%; margin-left: 8px; vertical-align: middle"


def _labels(sweep: ThresholdSweep) -> list[str]:
    """Name the groups in the menu; a missing key is called missing."""
    keys = sweep.totals[list(sweep.by)].astype(object).itertuples(index=False)
    return ["all", *(" · ".join("missing" if pd.isna(k) else str(k) for k in key) for key in keys)]


def _groups(sweep: ThresholdSweep, slider: Slider, table: pd.DataFrame, axes: Axes) -> Iterator[Spec]:
    """Give a row of lists for all groups together, then one for each; a list has a number per position."""
    counts = _counts(table, axes, shape=(sweep.n_groups, slider.n_steps + 1))
    totals = sweep.totals[list(TOTALS)].to_numpy()
    lists = {name: np.vstack([by_group.sum(axis=0), by_group]) for name, by_group in counts.items()}
    totals = np.vstack([totals.sum(axis=0), totals])
    n_missed = [sweep.n_missed.sum().item(), *sweep.n_missed.tolist()]
    positives = [sweep.positives.sum().item(), *sweep.positives.tolist()]
    for g in range(len(totals) if sweep.by else 1):
        row: Spec = {"g": g, "positives": positives[g] + n_missed[g]}
        row["caption"] = _caption(sweep, totals[g], n_missed[g], axes)
        yield row | {name: by_group[g].tolist() for name, by_group in lists.items()}


def _counts(table: pd.DataFrame, axes: Axes, *, shape: tuple[int, int]) -> dict[str, Counts]:
    """Count at every position; arrays of groups by positions."""
    sources = {"n": "n_fired", "tp": "tp", "fp": "fp"} if axes.has_labels else {"n": "n_fired"}
    counts = {name: table[column].to_numpy().reshape(shape) for name, column in sources.items()}
    if axes.n_days:
        per_day = {"n": "fired_per_day", "tp": "true_per_day", "fp": "false_per_day"}
        for name in sources:
            # Whole numbers again, which are shorter to send and add up exactly.
            within = (table[per_day[name]].to_numpy() * axes.n_days).round(9)
            if counts[name].dtype.kind == "i":
                within = within.astype(np.int64)
            counts[f"day_{name}"] = within.reshape(shape)
    return counts


def _caption(sweep: ThresholdSweep, totals: NDArray[np.int64], n_missed: float, axes: Axes) -> str:
    """Say what the numbers of one group rest on, in lines that fit the width."""
    n_true, n_false, n_unlabelled = (int(n) for n in totals[:3])
    n_unscored = int(totals[3:].sum())
    units = units_sentence(
        n_true=n_true,
        n_false=n_false,
        n_unlabelled=n_unlabelled,
        n_unscored=n_unscored,
        unit=sweep.units.unit,
    )
    recall = recall_sentence(n_missed) if axes.has_labels else None
    lines = [units, sweep.weighting, days_sentence(sweep.days), recall]
    return "\n".join(part for line in lines for part in textwrap.wrap(line or "", _CAPTION_CHARACTERS))
