"""What the parts of the threshold panel share, as Vega-Lite v5: axes, colours, the line at the slider.

Nothing that comes from data stands in an expression; names of columns and groups are titles and labels.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

Spec = dict[str, Any]

WIDTH: Final = 410
LINE_HEIGHT: Final = 15
"""Width of the plots in pixels; axis labels stand left of them, names of curves right of them."""

# Greys that can be read on white and on JupyterLab's dark background alike.
TEXT: Final = "#7a7a7a"
LINE: Final = "#808080"
# Colours of Okabe and Ito, which colour-blind eyes tell apart: those with contrast on both backgrounds, the
# blue a little lighter than theirs for that reason.
_BLUE, _PURPLE, _GREEN, VERMILLION = "#0A7CC0", "#CC79A7", "#009E73", "#D55E00"
COLOURS: Final = {
    "precision": _BLUE,
    "recall": _PURPLE,
    "true alarms": _GREEN,
    "false alarms": VERMILLION,
    "unlabelled": "#999999",
    "fires": _BLUE,
}


@dataclass(frozen=True)
class Axes:
    """What all parts of one panel share.

    Attributes
    ----------
    low, high, step : float
        The range of the slider and of the x axis, and the distance of two positions.
    number_format : str
        d3 format of a threshold.
    recorded : int
        Position from which on scores were recorded.
    known : int
        Position from which on precision and recall are more than bounds; below it they are not shown.
    n_units : int
        Units with a score, which is the largest count there can be.
    n_days : int
        Whole days; 0 where counts are shown instead of rates.
    score : str
        The score's column name, for the title of the axis.
    fires_title : str
        Title of the y axis of what fires.
    kinds : sequence of str
        The kinds of units that fire, from the bottom of the stack to its top.
    """

    low: float
    high: float
    step: float
    number_format: str
    recorded: int
    known: int
    n_units: int
    n_days: int
    score: str
    fires_title: str
    kinds: Sequence[str]

    @property
    def has_labels(self) -> bool:
        """Whether precision and recall can be shown."""
        return "fires" not in self.kinds


# The one row of the group that is shown; its columns are lists with a number for each position.
GROUP: Final[Spec] = {"filter": "datum.g === shown_group"}


def thin_number(number: str, d3_format: str = ",.1~f") -> str:
    """Return an expression that writes a number with thin spaces between its thousands."""
    return f"replace(format({number}, {json.dumps(d3_format)}), regexp(',', 'g'), '\\u2009')"


def config() -> Spec:
    """Return what makes the panel readable on light and dark pages."""
    return {
        "background": "transparent",
        "view": {"stroke": None},
        "concat": {"spacing": 12},
        "axis": {
            "labelColor": TEXT,
            "titleColor": TEXT,
            "domainColor": LINE,
            "tickColor": LINE,
            "gridColor": LINE,
            "gridOpacity": 0.2,
        },
        "legend": {"labelColor": TEXT, "labelFontSize": 11, "symbolType": "square", "symbolOpacity": 0.75},
    }


def every_position(axes: Axes) -> list[Spec]:
    """Expand the lists of the shown group to one row per position, from the recorded ones on."""
    lists = ["n"] + (["tp", "fp"] if axes.has_labels else [])
    if axes.n_days:
        lists += [f"day_{name}" for name in lists]
    return [
        GROUP,
        {"flatten": lists},
        {"window": [{"op": "row_number", "as": "row"}]},
        {"calculate": "datum.row - 1", "as": "i"},
        {"filter": f"datum.i >= {axes.recorded}"},
        {"calculate": f"{json.dumps(axes.low)} + datum.i * {json.dumps(axes.step)}", "as": "t"},
    ]


def x_axis(axes: Axes, field: str, *, named: bool) -> Spec:
    """Return the shared x axis; only the lower chart names it."""
    axis: Spec = {"tickCount": 10, "title": None, "labels": False, "ticks": False, "domain": False}
    if named:
        title = {"title": f"threshold on {axes.score}", "titleFontWeight": "normal", "titleLimit": WIDTH}
        axis = {"tickCount": 10, "labelFlush": True, **title}
    domain = [axes.low, axes.high]
    scale = {"domain": domain, "nice": False, "zero": False}
    return {"field": field, "type": "quantitative", "scale": scale, "axis": axis}


def rule(axes: Axes, *, named: bool) -> Spec:
    """Draw the line at the slider."""
    return {
        "data": {"values": [{}]},
        "transform": [{"calculate": "cut", "as": "cut"}],
        "mark": {"type": "rule", "color": LINE, "strokeWidth": 1.5, "strokeDash": [4, 3]},
        "encoding": {"x": x_axis(axes, "cut", named=named)},
    }


def not_recorded(axes: Axes, *, named: bool) -> list[Spec]:
    """Shade where no score was recorded; nothing where the record covers the whole axis."""
    if axes.recorded == 0:
        return []
    edge = axes.low + axes.recorded * axes.step
    data = {"values": [{"from": axes.low, "to": edge, "middle": axes.low / 2 + edge / 2}]}
    shade = {
        "data": data,
        "mark": {"type": "rect", "color": LINE, "opacity": 0.13},
        "encoding": {"x": x_axis(axes, "from", named=named), "x2": {"field": "to"}},
    }
    words = {
        "data": data,
        "mark": {"type": "text", "y": 14, "fontSize": 11, "color": TEXT, "text": "not recorded"},
        "encoding": {"x": x_axis(axes, "middle", named=named)},
    }
    is_wide = (edge - axes.low) * WIDTH > 80 * (axes.high - axes.low)
    # The upper chart says it for both; without labels there is only the lower one.
    is_upper = named is not axes.has_labels
    return [shade, words] if is_wide and is_upper else [shade]


def words(**more: object) -> Spec:
    """Return the mark of small words under a chart, one line per line break."""
    return {
        "type": "text",
        "align": "left",
        "baseline": "top",
        "lineBreak": "\n",
        "lineHeight": LINE_HEIGHT,
        "fontSize": 11,
        "color": TEXT,
        **more,
    }
