"""The marks of thresholds in the panel's charts: the one in force, the one chosen, and those as good."""

from __future__ import annotations

import json

from secnb.view.marks import GROUP, LINE, TEXT, Axes, Spec, x_axis


def marked(axes: Axes, *, named: bool = False) -> list[Spec]:
    """Draw a line at the threshold in force and at the one chosen, where the shown group has them."""
    return [
        {
            "transform": [GROUP, {"filter": f"isValid(datum.{name})"}],
            "mark": {"type": "rule", "color": LINE, "aria": False, **look},
            "encoding": {"x": x_axis(axes, name, named=named)},
        }
        for name, look in (
            ("current", {"strokeWidth": 1.5, "strokeDash": [1, 2]}),
            ("chosen", {"strokeWidth": 2}),
        )
    ]


def names_of_marked(axes: Axes) -> list[Spec]:
    """Write above the highest chart which line is which, and draw a bar over the thresholds as good."""
    y = {"y": {"value": -4}}
    bar = {
        "transform": [GROUP, {"filter": "isValid(datum.plateau_low)"}],
        "mark": {"type": "rule", "color": LINE, "strokeWidth": 5, "opacity": 0.7, "aria": False},
        "encoding": {"x": x_axis(axes, "plateau_low"), "x2": {"field": "plateau_high"}, **y},
    }
    return [bar, *_name(axes, "current"), *_name(axes, "chosen")]


def _name(axes: Axes, name: str) -> list[Spec]:
    """Write a name beside the line away from the other one, so that the two never overlap."""
    other, word = ("chosen", "now") if name == "current" else ("current", "chosen")
    is_left = f"isValid(datum.{other}) && datum.{name} < datum.{other}"
    text = f"{json.dumps(word + ' ')} + datum.{name}"
    if name == "chosen":
        # Of one that is kept, the line in force tells that it is the one chosen.
        text = f"datum.current === datum.chosen ? '' : {text}"
    else:
        text = f"{text} + (datum.current === datum.chosen ? ', and chosen' : '')"
    return [
        {
            "transform": [
                GROUP,
                {"filter": f"isValid(datum.{name}) && ({is_left}) === {json.dumps(side == 'right')}"},
                {"calculate": text, "as": "word"},
            ],
            "mark": {
                "type": "text",
                "align": side,
                "dx": -3 if side == "right" else 3,
                "y": -13,
                "fontSize": 11,
                "color": TEXT,
            },
            "encoding": {
                "x": x_axis(axes, name),
                "text": {"field": "word"},
                "description": {"field": "word"},
            },
        }
        for side in ("left", "right")
    ]
