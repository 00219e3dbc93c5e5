"""The charts of the threshold panel: precision and recall, what fires, and the scores by verdict.

A screen reader gets the numbers at the slider instead of the marks, of which there are hundreds.
"""

from __future__ import annotations

import json
from typing import Final

from secnb.view.marks import (
    BAND_OPACITY,
    BELOW_OPACITY,
    COLOURS,
    LINE,
    TEXT,
    WIDTH,
    Axes,
    Spec,
    every_position,
    rule,
    thin_number,
    x_axis,
    zones,
)
from secnb.view.thresholds import marked, names_of_marked

# What fires is counted within the whole days where those are known, else over all units.
_FIRED: Final = {
    "fires": "{n}",
    "true alarms": "{tp}",
    "false alarms": "{fp}",
    "unlabelled": "{n} - {tp} - {fp}",
}
# Names of zones stand between two charts, where no line crosses them.
_UNDER: Final = 9
_POINT: Final[Spec] = {"type": "point", "filled": True, "size": 80, "aria": False}
_AREA: Final[Spec] = {"type": "area", "clip": True, "aria": False}
_AXIS: Final[Spec] = {"minExtent": 40, "titleFontWeight": "normal", "titleLimit": 130}


def rates(axes: Axes) -> Spec:
    """Draw precision and recall with their intervals, and their names at the ends of the curves.

    Where the evidence is unknown there is no curve: the bands are what the rates are at least and at most.
    """
    names = ["precision", "recall"]
    low, high = (
        f"datum.name === 'precision' ? datum.precision_{end} : datum.recall_{end}" for end in ("low", "high")
    )
    long: list[Spec] = [
        *every_position(axes),
        {"filter": f"datum.i >= {axes.recorded}"},
        {"calculate": "datum.tp + datum.fp > 0 ? datum.tp / (datum.tp + datum.fp) : null", "as": "precision"},
        {"calculate": "datum.positives > 0 ? datum.tp / datum.positives : null", "as": "recall"},
        {"fold": names, "as": ["name", "rate"]},
        {"calculate": low, "as": "low"},
        {"calculate": high, "as": "high"},
        {"calculate": f"datum.i >= {axes.known}", "as": "is_known"},
        {"filter": "isValid(datum.rate) || !datum.is_known"},
    ]
    known: list[Spec] = [{"filter": "datum.is_known"}]
    y = {
        "field": "rate",
        "type": "quantitative",
        "scale": {"domain": [0, 1]},
        "axis": {"format": ".0%", "tickCount": 5, "minExtent": 40, "title": None},
    }
    curve = {"x": x_axis(axes, "t"), "y": y, "color": _colour(names)}
    # What is possible and what is likely are two bands, which do not run into each other.
    band = {
        **curve,
        "y": {**y, "field": "low"},
        "y2": {"field": "high"},
        "detail": {"field": "is_known", "type": "nominal"},
    }
    return {
        "width": WIDTH,
        "height": 150,
        "layer": [
            *zones(axes, words_y=_UNDER + 150),
            *marked(axes),
            *names_of_marked(axes),
            {
                "transform": long,
                "layer": [
                    {"mark": {**_AREA, "opacity": BAND_OPACITY}, "encoding": band},
                    {
                        "transform": known,
                        "mark": {"type": "line", "strokeWidth": 2.5, "clip": True, "aria": False},
                        "encoding": curve,
                    },
                    *(_end_name(name, dy, curve, known) for name, dy in (("precision", -9), ("recall", 4))),
                    {
                        "transform": [*known, {"filter": "datum.i === position"}],
                        "mark": {**_POINT, "opacity": 1},
                        "encoding": curve,
                    },
                ],
            },
            rule(axes),
        ],
    }


def _end_name(name: str, dy: int, curve: Spec, known: list[Spec]) -> Spec:
    """Write a curve's name at its right end; one above and one below, so that they never overlap."""
    ends: list[Spec] = [
        {"joinaggregate": [{"op": "max", "field": "i", "as": "last"}], "groupby": ["name"]},
        {"filter": f"datum.i === datum.last && datum.name === {json.dumps(name)}"},
    ]
    return {
        "transform": [*known, *ends],
        "mark": {
            "type": "text",
            "align": "left",
            "dx": 7,
            "dy": dy,
            "fontSize": 12,
            "fontWeight": 600,
            "aria": False,
        },
        "encoding": {**curve, "text": {"field": "name"}},
    }


def fires(axes: Axes) -> Spec:
    """Draw what fires over the threshold, split into true, false and unlabelled where labels exist."""
    prefix = "datum.day_" if axes.n_days else "datum."
    stacked: list[Spec] = [
        *every_position(axes),
        {"filter": f"datum.i >= {axes.recorded}"},
        *_by_kind(axes, prefix),
    ]
    y = _number(axes, "number", title=axes.fires_title, n_ticks=4, is_rate=bool(axes.n_days))
    x = x_axis(axes, "t")
    seen = {"expr": f"position < {axes.recorded} ? 0 : 1"}
    total: list[Spec] = [*every_position(axes), {"calculate": f"{prefix}n", "as": "total"}]
    # The point is always there, if unseen, since the y axis has no range over no data.
    at_slider: list[Spec] = [*total, {"filter": f"datum.i === max(position, {axes.recorded})"}]
    colour = _colour(list(axes.kinds), has_legend=axes.has_labels)
    area = {"x": x, "y": y, "order": {"field": "rank", "type": "quantitative"}, "color": colour}
    point = {"x": x, "y": {**y, "field": "total", "stack": None}}
    return {
        "width": WIDTH,
        "height": 100,
        "layer": [
            *zones(axes, words_y=None if axes.has_labels else _UNDER + 100),
            {"transform": stacked, "mark": {**_AREA, "opacity": 1}, "encoding": area},
            *(_days_band(axes, total, point) if axes.has_reach else []),
            *marked(axes),
            *(names_of_marked(axes) if not axes.has_labels else []),
            {
                "transform": at_slider,
                "mark": {**_POINT, "color": LINE, "opacity": seen},
                "encoding": point,
            },
            rule(axes),
        ],
    }


def _days_band(axes: Axes, total: list[Spec], point: Spec) -> list[Spec]:
    """Draw the interval of what fires per day as a band around the top of the stack."""
    ends: list[Spec] = [
        *total,
        {"filter": f"datum.i >= {axes.recorded}"},
        {"calculate": "max(datum.total - datum.reach, 0)", "as": "low"},
        {"calculate": "datum.total + datum.reach", "as": "high"},
    ]
    y = {**point["y"], "field": "low"}
    mark = {**_AREA, "color": LINE, "opacity": 0.45}
    return [{"transform": ends, "mark": mark, "encoding": {**point, "y": y, "y2": {"field": "high"}}}]


def scores(axes: Axes) -> Spec:
    """Draw how many units have which score, by verdict; those that fire at the slider are stronger.

    Bars stand between round numbers. The last also holds what lies at the end of the axis or beyond, as
    that of a histogram does.
    """
    binned: list[Spec] = [
        *every_position(axes),
        *({"calculate": f"datum.d_{name} / {axes.scale}", "as": f"b_{name}"} for name in _counted(axes)),
        *_by_kind(axes, "datum.b_"),
        {"calculate": "min(cells[datum.i], length(places) - 2)", "as": "bin"},
        {
            "stack": "number",
            "groupby": ["bin"],
            "sort": [{"field": "rank"}, {"field": "i"}],
            "as": ["below", "above"],
        },
        {"filter": "datum.number > 0"},
        {"calculate": "stops[places[datum.bin]]", "as": "from"},
        {"calculate": "stops[places[datum.bin + 1]]", "as": "to"},
    ]
    x = {"x": x_axis(axes, "from", named=True), "x2": {"field": "to"}}
    y = {**_number(axes, "below", title="scores", n_ticks=2), "stack": None}
    return {
        "width": WIDTH,
        "height": 60,
        "layer": [
            *zones(axes, named=True),
            {
                "transform": binned,
                "mark": {"type": "rect", "aria": False},
                "encoding": {
                    **x,
                    "y": y,
                    "y2": {"field": "above"},
                    "color": _colour(list(axes.kinds)),
                    "opacity": {
                        "condition": {"test": "datum.i >= position", "value": 1},
                        "value": BELOW_OPACITY,
                    },
                },
            },
            *marked(axes, named=True),
            rule(axes, named=True),
        ],
    }


def _counted(axes: Axes) -> list[str]:
    return ["n", "tp", "fp"] if axes.has_labels else ["n"]


def _by_kind(axes: Axes, prefix: str) -> list[Spec]:
    """Make a row of every kind of unit, in the order of the stack."""
    parts = {name: f"{prefix}{name}" for name in ("n", "tp", "fp")}
    return [
        *({"calculate": _FIRED[kind].format(**parts), "as": kind} for kind in axes.kinds),
        {"fold": list(axes.kinds), "as": ["name", "number"]},
        {"calculate": f"indexof({json.dumps(list(axes.kinds))}, datum.name)", "as": "rank"},
    ]


def _number(axes: Axes, field: str, *, title: str, n_ticks: int, is_rate: bool = False) -> Spec:
    """Return a y axis of stacked numbers, with thin spaces between thousands."""
    label = thin_number("datum.value", ",~r")
    if not is_rate and axes.scale == 1:
        # There are no halves of units; Vega-Lite 5 knows no smallest step of ticks.
        label = f"datum.value % 1 ? '' : {label}"
    axis = {**_AXIS, "title": title, "tickCount": n_ticks, "labelExpr": label}
    y: Spec = {"field": field, "type": "quantitative", "stack": "zero", "axis": axis}
    return y if axes.n_units else {**y, "scale": {"domain": [0, 1]}}


def _colour(names: list[str], *, has_legend: bool = False) -> Spec:
    legend = {"title": None, "orient": "right", "offset": 8, "labelColor": TEXT} if has_legend else None
    scale = {"domain": names, "range": [COLOURS[name] for name in names]}
    return {"field": "name", "type": "nominal", "scale": scale, "legend": legend}
