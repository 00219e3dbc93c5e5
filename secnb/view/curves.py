"""The charts of the threshold panel: precision and recall, and what fires."""

from __future__ import annotations

import json
from typing import Final

from secnb.view.marks import (
    COLOURS,
    LINE,
    WIDTH,
    Axes,
    Spec,
    every_position,
    not_recorded,
    rule,
    thin_number,
    x_axis,
)

# What fires is counted within the whole days where those are known, else over all units.
_FIRED: Final = {
    "fires": "{n}",
    "true alarms": "{tp}",
    "false alarms": "{fp}",
    "unlabelled": "{n} - {tp} - {fp}",
}


def rates(axes: Axes) -> Spec:
    """Draw precision and recall over the threshold, with their names at the ends of the curves."""
    names = ["precision", "recall"]
    long: list[Spec] = [
        *every_position(axes),
        {"calculate": "datum.tp + datum.fp > 0 ? datum.tp / (datum.tp + datum.fp) : null", "as": "precision"},
        {"calculate": "datum.positives > 0 ? datum.tp / datum.positives : null", "as": "recall"},
        {"fold": names, "as": ["name", "rate"]},
        {"filter": f"isValid(datum.rate) && datum.i >= {axes.known}"},
    ]
    ends: list[Spec] = [
        {"joinaggregate": [{"op": "max", "field": "i", "as": "last"}], "groupby": ["name"]},
        {"filter": "datum.i === datum.last"},
    ]
    y = {
        "field": "rate",
        "type": "quantitative",
        "scale": {"domain": [0, 1]},
        "axis": {"format": ".0%", "tickCount": 5, "minExtent": 40, "title": None},
    }
    colour = _colour(names)
    curve = {"x": x_axis(axes, "t", named=False), "y": y, "color": colour}
    return {
        "width": WIDTH,
        "height": 170,
        "layer": [
            *not_recorded(axes, named=False),
            {
                "transform": long,
                "layer": [
                    {"mark": {"type": "line", "strokeWidth": 2.5, "clip": True}, "encoding": curve},
                    *(_end_name(name, dy, curve, ends) for name, dy in (("precision", -7), ("recall", 7))),
                    {
                        "transform": [{"filter": "datum.i === position"}],
                        "mark": {"type": "point", "filled": True, "size": 80, "opacity": 1},
                        "encoding": curve,
                    },
                ],
            },
            rule(axes, named=False),
        ],
    }


def _end_name(name: str, dy: int, curve: Spec, ends: list[Spec]) -> Spec:
    """Write a curve's name at its right end; one above and one below, so that they never overlap."""
    return {
        "transform": [*ends, {"filter": f"datum.name === {json.dumps(name)}"}],
        "mark": {"type": "text", "align": "left", "dx": 7, "dy": dy, "fontSize": 12, "fontWeight": 600},
        "encoding": {**curve, "text": {"field": "name"}},
    }


def fires(axes: Axes) -> Spec:
    """Draw what fires over the threshold, split into true, false and unlabelled where labels exist."""
    per = f" / {axes.n_days}" if axes.n_days else ""
    source = {"n": "datum.n", "tp": "datum.tp", "fp": "datum.fp"}
    if axes.n_days:
        source = {name: f"datum.day_{name}" for name in source}
    counted = {kind: _FIRED[kind].format(**source) for kind in axes.kinds}
    stacked: list[Spec] = [
        *every_position(axes),
        *({"calculate": f"({text}){per}", "as": kind} for kind, text in counted.items()),
        {"fold": list(axes.kinds), "as": ["name", "number"]},
        {"calculate": f"indexof({json.dumps(list(axes.kinds))}, datum.name)", "as": "rank"},
    ]
    title = {"title": axes.fires_title, "titleFontWeight": "normal", "titleLimit": 170}
    # A handful of units must not get ticks at halves.
    n_ticks = 5 if axes.n_days else max(min(axes.n_units, 5), 1)
    y: Spec = {
        "field": "number",
        "type": "quantitative",
        "stack": "zero",
        "axis": {
            **title,
            "tickCount": n_ticks,
            "minExtent": 40,
            "labelExpr": thin_number("datum.value", ",~r"),
        },
    }
    if not axes.n_units:
        y["scale"] = {"domain": [0, 1]}
    seen = {"expr": f"position < {axes.recorded} ? 0 : 1"}
    total = {**y, "field": "total", "stack": None}
    at_slider = [
        *every_position(axes),
        # The point is always there, if unseen, since the y axis has no range over no data.
        {"filter": f"datum.i === max(position, {axes.recorded})"},
        {"calculate": f"({source['n']}){per}", "as": "total"},
    ]
    return {
        "width": WIDTH,
        "height": 130,
        "layer": [
            *not_recorded(axes, named=True),
            {
                "transform": stacked,
                "mark": {"type": "area", "opacity": 0.75, "clip": True},
                "encoding": {
                    "x": x_axis(axes, "t", named=True),
                    "y": y,
                    "order": {"field": "rank", "type": "quantitative"},
                    "color": _colour(list(axes.kinds), has_legend=axes.has_labels),
                },
            },
            {
                "transform": at_slider,
                "mark": {"type": "point", "filled": True, "size": 80, "color": LINE, "opacity": seen},
                "encoding": {"x": x_axis(axes, "t", named=True), "y": total},
            },
            rule(axes, named=True),
        ],
    }


def _colour(names: list[str], *, has_legend: bool = False) -> Spec:
    legend = {"title": None, "orient": "right", "offset": 8} if has_legend else None
    scale = {"domain": names, "range": [COLOURS[name] for name in names]}
    return {"field": "name", "type": "nominal", "scale": scale, "legend": legend}
