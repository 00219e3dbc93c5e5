"""Panels: live charts that answer while a slider moves, without kernel, script or network."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, overload

import numpy as np
import pandas as pd

from secnb.analysis.choices import ThresholdChoice
from secnb.analysis.counting import ThresholdSweep
from secnb.analysis.scales import check_scale
from secnb.errors import BadInputError, MissingDependencyError
from secnb.view.curves import fires, rates, scores
from secnb.view.extents import axes_of, spanned
from secnb.view.groupings import ALL, Menu, menus, selections, shortened
from secnb.view.marks import Spec, config, printable
from secnb.view.readings import caption, headline
from secnb.view.rows import NOTHING, row_of, row_of_nothing
from secnb.view.sliders import Slider, resting, slider_over, stand_at
from secnb.view.standings import Standings

if TYPE_CHECKING:
    from secnb.view.linked import LinkedPanel

MIME: Final = "application/vnd.vegalite.v5+json"
SCHEMA: Final = "https://vega.github.io/schema/vega-lite/v5.json"


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


@overload
def panel(
    sweep: ThresholdSweep,
    *,
    current: float | pd.Series | None = ...,
    choice: ThresholdChoice | None = ...,
    link: Literal[False] = ...,
) -> Panel: ...


@overload
def panel(
    sweep: ThresholdSweep,
    *,
    current: float | pd.Series | None = ...,
    choice: ThresholdChoice | None = ...,
    link: Literal[True],
) -> LinkedPanel: ...


def panel(
    sweep: ThresholdSweep,
    *,
    current: float | pd.Series | None = None,
    choice: ThresholdChoice | None = None,
    link: bool = False,
) -> Panel | LinkedPanel:
    """Return precision, recall and what fires against the threshold, with a slider.

    The numbers at the slider are those of ``sweep.at``, to the last integer. Scores from 0 to 1 have
    positions 0.01 apart, whole numbers from 0 to 100 positions 1 apart, others about a hundred round
    positions over their range; the thresholds chosen and in force are positions, too (of more than 48, or of
    more groups, those of all together alone). Bands are the intervals of the sweep; that of what fires per
    day comes from how far the days lie apart. Zones of evidence are shaded apart, and below the smallest
    recorded score nothing is drawn. Without labels, only what fires is shown; without a whole day in the
    data, counts instead of rates per day. Every group column gets a menu; sums over groups are counted anew,
    so that their intervals are right too. An empty sweep shows zeros. Tab reaches the slider, which arrow
    keys move, and the menus, which Space opens.

    Parameters
    ----------
    sweep : ThresholdSweep
        What ``secnb.sweep`` returns.
    current : float or pandas.Series, optional
        The threshold in force, or one for each group, indexed by the group columns; it is marked, and the
        counts at the slider are compared with it. None: that of the choice, if it has one.
    choice : ThresholdChoice, optional
        What ``sweep.choose`` returns: the threshold chosen and those as good are marked, and the caption
        says why it was chosen, or why there is none.
    link : bool, default False
        Return a widget instead, whose ``threshold`` Python can read and set; it needs a kernel and the
        extra ``lab``.

    Returns
    -------
    Panel or LinkedPanel
        Shows itself in a notebook.

    Raises
    ------
    BadInputError
        An argument is of another kind; the choice is one of another score or of other groups; a threshold
        is not on the scale of the scores; there are too many groups.
    MissingDependencyError
        ``link=True`` without altair or vl-convert.

    Examples
    --------
    >>> frame = pd.DataFrame({"score": [0.9, 0.7, 0.2], "is_true": [True, True, False]})
    >>> from secnb.analysis.counting import sweep
    >>> panel(sweep(frame, score="score", truth="is_true"), current=0.5)
    <Panel: is_true against score, 3 units>
    """
    if not isinstance(sweep, ThresholdSweep):
        raise BadInputError(
            f"panel needs a ThresholdSweep, not {type(sweep).__name__}.",
            hint="secnb.panel(secnb.sweep(frame, score=..., truth=...))",
        )
    if not isinstance(link, bool):
        raise BadInputError(f"link is {link!r}. Allowed: True and False.")
    standings = Standings(sweep, current=current, choice=choice)
    check_scale(spanned(sweep), standings.currents)
    slider = slider_over(spanned(sweep), standings.marked).stopping_at(standings.stops)
    title = printable(f"{sweep.truth} against {sweep.score}, {sweep.n_units} units")
    found = Panel(title, _spec(sweep, slider, standings, title))
    return _linked(found) if link else found


def _linked(found: Panel) -> LinkedPanel:
    try:
        from secnb.view.linked import LinkedPanel
    except ImportError as exc:
        raise MissingDependencyError(
            f"panel(link=True) needs {exc.name}, which is not installed.",
            hint="pip install 'secnb[lab]'; without link=True, the panel needs nothing more",
        ) from exc
    return LinkedPanel(found)


# SVG keeps the numbers as text, for screen readers and for selecting. The menu of an output offers to
# save the picture, but not the online editor, which would send the data away.
EMBED: Final[Spec] = {
    "embedOptions": {
        "renderer": "svg",
        "actions": {"export": True, "source": False, "compiled": False, "editor": False},
    }
}


def _spec(sweep: ThresholdSweep, slider: Slider, standings: Standings, title: str) -> Spec:
    """Count at all positions, and put the charts together."""
    columns = menus(sweep)
    # Thresholds in force that are no positions are counted beside them.
    thresholds = slider.thresholds
    beside = np.setdiff1d(standings.currents, thresholds)
    found = list(selections(sweep, columns, np.concatenate((thresholds, beside))))
    axes = axes_of(sweep, slider, found[0], standings=standings)
    rows = []
    for selection in found:
        standing = standings.of(selection)
        at = selection.table
        at_current = None if standing.current is None else at[at["threshold"] == standing.current]
        rows.append(
            row_of(
                selection,
                standing,
                at_current=at_current,
                sweep=sweep,
                axes=axes,
                n_positions=len(thresholds),
            )
        )
    if len(columns) > 1:
        rows.append(row_of_nothing(axes, len(thresholds)))
    n_lines = max(row["caption"].count("\n") + 1 for row in rows)
    parts = [headline(axes), *([rates(axes)] if axes.has_labels else []), fires(axes), scores(axes)]
    marks = [rows[0][name] for name in ("chosen", "current") if name in rows[0]]
    # JupyterLab takes the arrow keys of a menu, and of radio buttons, unless it is open.
    keys = "Tab reaches the slider, which arrow keys move"
    keys += ", and the menus, which Space opens." if columns else "."
    spec: Spec = {
        "$schema": SCHEMA,
        "description": f"Threshold panel: {title}. {keys}",
        "usermeta": EMBED,
        "background": "transparent",
        "config": config(),
        "params": _params(slider, columns, [row["key"] for row in rows]),
        "data": {"name": "groups"},
        "datasets": {"groups": rows},
        "vconcat": [*parts, caption(n_lines)],
        "bounds": "flush",
        "resolve": {"scale": {"color": "independent"}, "legend": {"color": "independent"}},
    }
    stand_at(spec, marks[0] if marks else slider.value(slider.start))
    return spec


def _params(slider: Slider, columns: list[Menu], keys: list[str]) -> list[Spec]:
    # Vega passes on no attributes to an input of type "range", but all of them to one of a type that it
    # does not know; HTML reads "RANGE" as it reads "range". The width lets a mouse reach every position,
    # and without the last attribute JupyterLab takes the arrow keys for itself. Values come back as text.
    slide = {
        "input": "RANGE",
        "name": "threshold",
        "min": slider.value(0),
        "max": slider.value(slider.n_steps),
        "step": slider.step,
        "style": _SLIDER,
        "data-lm-suppress-shortcuts": "true",
    }
    choosers: list[Spec] = [
        {
            "name": f"shown_{n}",
            "value": ALL,
            "bind": {
                "input": "select",
                "name": f"{shortened(menu.name)}\N{EN SPACE}",
                "options": list(range(ALL, len(menu.labels))),
                "labels": ["all", *menu.labels],
            },
        }
        for n, menu in enumerate(columns)
    ]
    wanted = " + ',' + ".join(chooser["name"] for chooser in choosers) or "''"
    return [
        *_positions(slider, slide),
        *choosers,
        {"name": "keys", "value": keys},
        {"name": "wanted", "expr": f"'' + {wanted}"},
        {"name": "shown", "expr": f"indexof(keys, wanted) < 0 ? '{NOTHING}' : wanted"},
    ]


def _positions(slider: Slider, slide: Spec) -> list[Spec]:
    """Return the slider, and where it stands.

    An input has even steps, on the round numbers. Where thresholds lie between two of them, one step of
    the input goes to the next threshold; a jump is taken as it is. When the slider is released, the input
    goes back to where it rests.
    """
    # The step is rounded, since 0.29 / 0.01 is a little less than 29.
    step = f"clamp(round(toNumber(threshold) / {slider.step!r} - {slider.first}), 0, {slider.n_steps})"
    moved = f"{step} - {resting('position')}"
    to = f"abs({moved}) > 1 ? places[{step}] : clamp(position + {moved}, 0, length(stops) - 1)"
    released = f"stops[places[{resting('position')}]]"
    return [
        {"name": "threshold", "bind": slide, "on": [{"events": "window:change", "update": released}]},
        {"name": "stops", "value": slider.thresholds.tolist()},
        {"name": "places", "value": slider.places.tolist()},
        {"name": "cells", "value": slider.cells.tolist()},
        {"name": "position", "on": [{"events": "window:input", "update": to}]},
        {"name": "cut", "expr": "stops[position]"},
    ]


_SLIDER: Final = "width: 460px; max-width: 70%; margin-left: 8px; vertical-align: middle"
