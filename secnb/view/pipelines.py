"""A picture of the pipeline: its stages from left to right, what waits there, and which one is stuck.

Everything that comes from data is a value of the chart, never an expression.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any, Final

import pandas as pd

from secnb.errors import BadInputError, UnknownColumnError
from secnb.view.marks import COLOURS, LINE, LINE_HEIGHT, TEXT, VERMILLION, Spec, config, words
from secnb.view.panels import EMBED, SCHEMA, Panel

_BOX_WIDTH: Final = 104
_BOX_HEIGHT: Final = 96
_GAP: Final = 22
_CAPTION_CHARACTERS: Final = 140
_NEEDED: Final = ("stage", "status", "depth", "oldest_age_s", "out_per_hour", "freshness_s", "why")
# An orange that can be read on white and on JupyterLab's dark background alike.
_ORANGE: Final = "#C77700"
_STATUS: Final = {
    "ok": COLOURS["true alarms"],
    "slow": _ORANGE,
    "poisoned": _ORANGE,
    "silent": _ORANGE,
    "stuck": VERMILLION,
    "unknown": LINE,
}
_UNKNOWN: Final = "\N{EN DASH}"


def plot_pipeline(frame: pd.DataFrame) -> Panel:
    """Return the stages from left to right, each with what waits there and since when; marked where stuck.

    Under the stages stands, in words, what is wrong with each that is not "ok". A number that cannot be
    known is a dash. An empty frame gives an empty picture.

    Parameters
    ----------
    frame : pandas.DataFrame
        What ``site.pipeline()`` returns, or rows of it.

    Returns
    -------
    Panel
        Shows itself in a notebook.

    Raises
    ------
    BadInputError
        The argument is not a frame.
    UnknownColumnError
        A column of the pipeline is missing.
    """
    if not isinstance(frame, pd.DataFrame):
        raise BadInputError(
            f"plot_pipeline needs a DataFrame, not {type(frame).__name__}.",
            hint="secnb.plot_pipeline(site.pipeline())",
        )
    for name in _NEEDED:
        if name not in frame.columns:
            raise UnknownColumnError("column", name, map(str, frame.columns))
    stages = [_stage(number, row) for number, row in enumerate(frame.to_dict("records"))]
    lines = _caption(frame)
    width = max(1, len(stages)) * (_BOX_WIDTH + _GAP) - _GAP
    spec: Spec = {
        "$schema": SCHEMA,
        "description": f"Pipeline: {' '.join(lines)}",
        "usermeta": EMBED,
        "background": "transparent",
        "config": config(),
        "width": width,
        "height": _BOX_HEIGHT + 8 + LINE_HEIGHT * len(lines),
        "data": {"values": stages},
        "layer": [*_arrows(len(stages)), _boxes(), *_texts(), _words(lines)],
    }
    return Panel(_title(frame), spec)


def _stage(number: int, row: Mapping[Any, Any]) -> Spec:
    """Return the texts and the place of one stage."""
    status = str(row["status"])
    left = number * (_BOX_WIDTH + _GAP)
    waits, since = _number(row["depth"]), _age(row["oldest_age_s"])
    return {
        "left": left,
        "right": left + _BOX_WIDTH,
        "middle": left + _BOX_WIDTH / 2,
        "name": str(row["stage"]).replace("_", " "),
        "status": status.upper() if status == "stuck" else status,
        "colour": _STATUS.get(status, LINE),
        "fill": 0.22 if status == "stuck" else 0.06,
        "line": 3 if status == "stuck" else 1.5,
        "large": waits if waits != _UNKNOWN else _rate(row["out_per_hour"]),
        "small": _small(row, since) if waits != _UNKNOWN else f"newest {_age(row['freshness_s'])} old",
        "spoken": f"{row['stage']}: {status}. {row['why']}",
    }


def _small(row: Mapping[Any, Any], since: str) -> str:
    return f"oldest {since}" if row["depth"] else "nothing waits"


def _number(value: Any) -> str:
    return _UNKNOWN if pd.isna(value) else f"{int(value):,}".replace(",", "\N{THIN SPACE}")


def _rate(value: Any) -> str:
    return _UNKNOWN if pd.isna(value) else f"{_number(value)} / h"


def _age(seconds: Any) -> str:
    if pd.isna(seconds):
        return _UNKNOWN
    for size, unit, below in ((1, "s", 120), (60, "min", 7200), (3600, "h", 172_800)):
        if seconds < below:
            return f"{seconds / size:.0f} {unit}"
    return f"{_number(seconds / 86_400)} days"


def _place(field: str) -> Spec:
    # The numbers are pixels already.
    return {"field": field, "type": "quantitative", "scale": None, "axis": None}


def _colour() -> Spec:
    return {"field": "colour", "type": "nominal", "scale": None, "legend": None}


def _boxes() -> Spec:
    plain: Spec = {"type": "quantitative", "scale": None, "legend": None}
    return {
        "mark": {"type": "rect", "y": 0, "y2": _BOX_HEIGHT, "cornerRadius": 5},
        "encoding": {
            "x": _place("left"),
            "x2": {"field": "right"},
            "fill": _colour(),
            "stroke": _colour(),
            "fillOpacity": {"field": "fill", **plain},
            "strokeWidth": {"field": "line", **plain},
            "description": {"field": "spoken"},
            "tooltip": {"field": "spoken"},
        },
    }


def _texts() -> list[Spec]:
    """Return the four lines in a box: name, number, since when, status."""
    lines: list[tuple[str, int, Spec]] = [
        ("name", 18, {"fontSize": 11, "color": TEXT}),
        ("large", 45, {"fontSize": 20, "fontWeight": 600}),
        ("small", 65, {"fontSize": 11, "color": TEXT}),
        ("status", 85, {"fontSize": 11, "fontWeight": 600}),
    ]
    coloured = {"large", "status"}
    return [
        {
            "mark": {"type": "text", "align": "center", "y": y, "aria": False, **style},
            "encoding": {
                "x": _place("middle"),
                "text": {"field": field},
                **({"color": _colour()} if field in coloured else {}),
            },
        }
        for field, y, style in lines
    ]


def _arrows(n_stages: int) -> list[Spec]:
    """Draw how an image goes on from one stage to the next."""
    ends = [(number + 1) * (_BOX_WIDTH + _GAP) for number in range(n_stages - 1)]
    data = {"values": [{"from": end - _GAP + 3, "to": end - 7, "tip": end - 7} for end in ends]}
    if not ends:
        return []
    y = _BOX_HEIGHT / 2
    shaft: Spec = {"type": "rule", "y": y, "color": LINE, "strokeWidth": 1.5, "aria": False}
    tip: Spec = {"type": "point", "shape": "triangle-right", "y": y, "size": 45, "aria": False}
    return [
        {"data": data, "mark": shaft, "encoding": {"x": _place("from"), "x2": {"field": "to"}}},
        {
            "data": data,
            "mark": {**tip, "filled": True, "color": LINE, "opacity": 1},
            "encoding": {"x": _place("tip")},
        },
    ]


def _words(lines: list[str]) -> Spec:
    return {
        "data": {"values": [{"left": 0, "words": "\n".join(lines)}]},
        "mark": words(y=_BOX_HEIGHT + 12),
        "encoding": {"x": _place("left"), "text": {"field": "words"}},
    }


def _caption(frame: pd.DataFrame) -> list[str]:
    """Say what is wrong where; the worst first."""
    order = {name: place for place, name in enumerate(("stuck", "poisoned", "silent", "slow", "unknown"))}
    troubled = frame[frame["status"] != "ok"]
    rows = sorted(troubled.to_dict("records"), key=lambda row: order.get(row["status"], len(order)))
    texts = [f"{row['stage']} ({row['status']}): {row['why']}." for row in rows]
    if len(frame) and not texts:
        texts = ["Nothing is stuck."]
    as_of = frame.attrs.get("as_of")
    if as_of is not None:
        ended = ", where the history of this sandbox ends" if frame.attrs.get("is_standing_still") else ""
        texts.append(f"As of {pd.Timestamp(as_of):%Y-%m-%d %H:%M:%S} UTC{ended}.")
    return [line for text in texts for line in textwrap.wrap(text, _CAPTION_CHARACTERS)]


def _title(frame: pd.DataFrame) -> str:
    shown = frame[frame["status"] != "ok"]
    named = [f"{stage} {status}" for stage, status in zip(shown["stage"], shown["status"], strict=True)]
    return f"pipeline, {', '.join(named)}" if named else "pipeline, nothing stuck"
