"""What the parts of the threshold panel share, as Vega-Lite v5: axes, colours, zones, lines at thresholds.

Nothing that comes from data stands in an expression; names of columns and groups are titles and labels.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

Spec = dict[str, Any]

WIDTH: Final = 410
"""Width of the plots in pixels; axis labels stand left of them, names of curves right of them."""
LINE_HEIGHT: Final = 15

# Greys that can be read on white and on JupyterLab's dark background alike.
TEXT: Final = "#7a7a7a"
LINE: Final = "#808080"
# Hues of Okabe and Ito, as light or dark as it takes for colour-blind eyes to tell apart what stands side by
# side, and for contrast with light and dark pages (tests/view/test_colours.py).
_BLUE, _PURPLE, _GREEN, VERMILLION = "#0A70CC", "#CC79A7", "#117944", "#D55E00"
_ORANGE: Final = "#E69F00"
BAND_OPACITY: Final = 0.35
"""Of intervals around a curve."""
BELOW_OPACITY: Final = 0.5
"""Of what does not fire at the slider."""
COLOURS: Final = {
    "precision": _BLUE,
    "recall": _PURPLE,
    "true alarms": _GREEN,
    "false alarms": VERMILLION,
    "unlabelled": "#909090",
    "fires": _BLUE,
}
_SHADES: Final = {"not recorded": (LINE, 0.24), "unknown": (LINE, 0.1), "corrected": (_ORANGE, 0.1)}
"""What lies behind the curves, by the kind of evidence; measured is clear."""


class Zone(NamedTuple):
    """A range of thresholds with one kind of evidence."""

    name: str
    start: float
    stop: float


@dataclass(frozen=True)
class Axes:
    """What all parts of one panel share.

    Attributes
    ----------
    low, high : float
        The range of the slider and of the x axis.
    number_format : str
        d3 format of a round threshold.
    recorded, known, measured : int
        Positions from which on scores were recorded; precision and recall are more than bounds; and
        they are measured.
    zones : sequence of Zone
        The same as ranges, ascending.
    n_units : int
        Units with a score, which is the largest count there can be.
    n_days : int
        Whole days; 0 where counts are shown instead of rates.
    scale : int
        What counts were multiplied by to make them whole.
    score : str
        The score's column name, for the title of the axis.
    fires_title : str
        Title of the y axis of what fires.
    kinds : sequence of str
        The kinds of units that fire, from the bottom of the stack to its top.
    has_reach : bool
        Whether what fires per day has an interval.
    has_current, has_marks : bool
        Whether a threshold in force is known, and whether any threshold is marked.
    """

    low: float
    high: float
    number_format: str
    recorded: int
    known: int
    measured: int
    zones: Sequence[Zone]
    n_units: int
    n_days: int
    scale: int
    score: str
    fires_title: str
    kinds: Sequence[str]
    has_reach: bool
    has_current: bool
    has_marks: bool

    @property
    def has_labels(self) -> bool:
        """Whether precision and recall can be shown."""
        return "fires" not in self.kinds


def lists_of(axes: Axes) -> list[str]:
    """Return the names of the columns that a group has a list for, with a number for every position."""
    names = ["n", "tp", "fp"] if axes.has_labels else ["n"]
    per_day = [f"day_{name}" for name in names] if axes.n_days else []
    rates = ["precision_low", "precision_high", "recall_low", "recall_high"] if axes.has_labels else []
    return [*names, *per_day, *rates, *(["reach"] if axes.has_reach else [])]


PERCENT: Final = 1000
"""What the ends of intervals of rates are multiplied by, and rounded."""
PER_DAY: Final = 100
"""The same for what fires per day."""

_MOST_DIGITS: Final = 9
# The one row of the groups that are shown.
GROUP: Final[Spec] = {"filter": "datum.key === shown"}


def thin_number(number: str, d3_format: str = ",.1~f") -> str:
    """Return an expression that writes a number with thin spaces between its thousands."""
    return f"replace(format({number}, {json.dumps(d3_format)}), regexp(',', 'g'), '\\u2009')"


def threshold_text(axes: Axes) -> str:
    """Return an expression that writes the threshold at the slider; in full, where that fits its place."""
    other = f"length('' + cut) > {_MOST_DIGITS} ? format(cut, '.6~g') : '' + cut"
    return f"places[cells[position]] === position ? format(cut, {json.dumps(axes.number_format)}) : {other}"


def printable(text: str) -> str:
    """Write what is not Unicode as escapes, since a page takes nothing else."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def config() -> Spec:
    """Return what makes the panel readable on light and dark pages."""
    return {
        "background": "transparent",
        "view": {"stroke": None},
        "concat": {"spacing": 18},
        "axis": {
            "labelColor": TEXT,
            "titleColor": TEXT,
            "domainColor": LINE,
            "tickColor": LINE,
            "gridColor": LINE,
            "gridOpacity": 0.2,
        },
        "legend": {"labelColor": TEXT, "labelFontSize": 11, "symbolType": "square"},
    }


def every_position(axes: Axes) -> list[Spec]:
    """Expand the lists of the shown group to one row per position.

    A list holds by how much its column is more at a position than at the next, which takes fewer digits;
    sums from the right give the numbers back, exactly, since all of them are whole. It comes as one text,
    since a notebook's file gives every element of a list a line of its own.
    """
    names = lists_of(axes)
    sums = [{"op": "sum", "field": f"d_{name}", "as": f"w_{name}"} for name in names]
    return [
        GROUP,
        *({"calculate": f"split(datum.d_{name}, ' ')", "as": f"d_{name}"} for name in names),
        {"flatten": [f"d_{name}" for name in names]},
        *({"calculate": f"toNumber(datum.d_{name})", "as": f"d_{name}"} for name in names),
        {"window": [{"op": "row_number", "as": "row"}]},
        {"window": sums, "sort": [{"field": "row"}], "frame": [0, None]},
        {"calculate": "datum.row - 1", "as": "i"},
        {"calculate": "stops[datum.i]", "as": "t"},
        *({"calculate": f"datum.w_{name} / {_divisor(axes, name)}", "as": name} for name in names),
    ]


def _divisor(axes: Axes, name: str) -> int:
    if name.endswith(("_low", "_high")):
        return PERCENT
    if name == "reach":
        return PER_DAY
    return axes.scale * (axes.n_days if name.startswith("day_") else 1)


def x_axis(axes: Axes, field: str, *, named: bool = False) -> Spec:
    """Return the shared x axis; only the lowest chart names it."""
    axis: Spec = {"tickCount": 10, "title": None, "labels": False, "ticks": False, "domain": False}
    if named:
        title = {"title": f"threshold on {axes.score}", "titleFontWeight": "normal", "titleLimit": WIDTH}
        axis = {"tickCount": 10, "labelFlush": True, **title}
    domain = [axes.low, axes.high]
    scale = {"domain": domain, "nice": False, "zero": False}
    return {"field": field, "type": "quantitative", "scale": scale, "axis": axis}


def rule(axes: Axes, *, named: bool = False) -> Spec:
    """Draw the line at the slider."""
    return {
        "data": {"values": [{}]},
        "transform": [{"calculate": "cut", "as": "cut"}],
        "mark": {"type": "rule", "color": LINE, "strokeWidth": 1.5, "strokeDash": [4, 3], "aria": False},
        "encoding": {"x": x_axis(axes, "cut", named=named)},
    }


def zones(axes: Axes, *, named: bool = False, words_y: int | None = None) -> list[Spec]:
    """Shade the zones of evidence apart, with their names where those fit; nothing where all is measured."""
    layers: list[Spec] = []
    for zone in axes.zones if len(axes.zones) > 1 or axes.zones[0].name != "measured" else ():
        middle = zone.start / 2 + zone.stop / 2
        data = {"values": [{"from": zone.start, "to": zone.stop, "middle": middle}]}
        if zone.name in _SHADES:
            colour, opacity = _SHADES[zone.name]
            x = {"x": x_axis(axes, "from", named=named), "x2": {"field": "to"}}
            mark = {"type": "rect", "color": colour, "opacity": opacity, "aria": False}
            layers.append({"data": data, "mark": mark, "encoding": x})
        is_wide = (zone.stop - zone.start) * WIDTH > 7 * len(zone.name) * (axes.high - axes.low)
        # Where nothing is shaded but what was not recorded, the rest needs no name.
        if words_y is not None and is_wide and (zone.name != "measured" or len(axes.zones) > 2):
            mark = {"type": "text", "y": words_y, "fontSize": 11, "color": TEXT, "text": zone.name}
            mark["aria"] = False
            x = {"x": x_axis(axes, "middle", named=named)}
            layers.append({"data": data, "mark": mark, "encoding": x})
    return layers


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
