"""The texts of the threshold panel: the numbers at the slider, and the caption under the charts."""

from __future__ import annotations

import json
from typing import Final

from secnb.view.marks import (
    COLOURS,
    GROUP,
    LINE_HEIGHT,
    TEXT,
    VERMILLION,
    WIDTH,
    Axes,
    Spec,
    thin_number,
    words,
)

# Where the numbers and the caption begin: at the left end of the axis labels.
_EDGE: Final = -48
_TILE: Final = 78


def headline(axes: Axes) -> Spec:
    """Draw the numbers at the slider, large, each under its name."""
    numbers = _numbers(axes)
    names = list(numbers)
    transform = [
        GROUP,
        *({"calculate": text, "as": name} for name, text in numbers.items()),
        {"fold": names, "as": ["name", "shown"]},
        {"calculate": "datum.name + ': ' + datum.shown", "as": "spoken"},
    ]
    place = {
        "field": "name",
        "type": "nominal",
        "axis": None,
        "scale": {
            "type": "point",
            "padding": 0,
            "domain": names,
            "range": [_EDGE, _EDGE + _TILE * (len(names) - 1)],
        },
    }
    # What fires is blue where its area is; beside precision, which is blue too, it is grey.
    colours = COLOURS | ({"fires": TEXT} if axes.has_labels else {})
    colour = {
        "field": "name",
        "type": "nominal",
        "legend": None,
        "scale": {"domain": names, "range": [colours.get(name, TEXT) for name in names]},
    }
    left: Spec = {"type": "text", "align": "left", "baseline": "alphabetic"}
    return {
        "width": WIDTH,
        "height": 44,
        "transform": transform,
        "encoding": {"x": place},
        "layer": [
            {
                "mark": {**left, "y": 10, "fontSize": 11, "color": TEXT, "aria": False},
                "encoding": {"text": {"field": "name"}},
            },
            {
                "mark": {**left, "y": 34, "fontSize": _size(axes), "fontWeight": 600},
                "encoding": {
                    "text": {"field": "shown"},
                    "color": colour,
                    "description": {"field": "spoken"},
                },
            },
            _warning(axes),
        ],
    }


def _numbers(axes: Axes) -> dict[str, str]:
    """Return the expressions of the texts of the headline, by name."""
    n, tp, fp = "datum.n[position]", "datum.tp[position]", "datum.fp[position]"
    numbers = {"threshold": f"format(cut, {json.dumps(axes.number_format)})", "fires": thin_number(n)}
    if axes.has_labels:
        numbers |= {
            "true alarms": thin_number(tp),
            "false alarms": thin_number(fp),
            "precision": _percent(axes, tp, f"{tp} + {fp}"),
            "recall": _percent(axes, tp, "datum.positives"),
        }
    if axes.n_days:
        rate = f"datum.day_n[position] / {axes.n_days}"
        numbers["fires per day"] = f"{rate} < 10 ? format({rate}, '.2f') : {thin_number(rate, ',.1f')}"
    return numbers


def _size(axes: Axes) -> int:
    """Return a size of letters at which the largest count fits its place."""
    n_digits = len(str(axes.n_units))
    return 17 if n_digits <= 6 else 14 if n_digits <= 8 else 11


def _percent(axes: Axes, part: str, whole: str) -> str:
    return f"position >= {axes.known} && {whole} > 0 ? format({part} / ({whole}), '.1%') : '\\u2013'"


def _warning(axes: Axes) -> Spec:
    """Say that a count below the smallest recorded score is not what would fire there."""
    text = "'Below the smallest recorded score: more would fire than was recorded.'"
    return {
        "data": {"values": [{}]},
        "transform": [{"calculate": f"position < {axes.recorded} ? {text} : ''", "as": "warning"}],
        "mark": {
            "type": "text",
            "align": "left",
            "y": 50,
            "fontSize": 11,
            "color": VERMILLION,
        },
        "encoding": {"text": {"field": "warning"}, "x": {"value": _EDGE}},
    }


def caption(n_lines: int) -> Spec:
    """Write under the charts what the numbers rest on; the text of each group comes with its counts."""
    return {
        "width": WIDTH,
        "height": LINE_HEIGHT * n_lines,
        "transform": [GROUP],
        "mark": words(),
        "encoding": {"text": {"field": "caption"}, "x": {"value": _EDGE}, "y": {"value": 0}},
    }
