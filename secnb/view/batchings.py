"""A picture of batch settings: how long a batch stays open against how often the reasoner is asked."""

from __future__ import annotations

import math
import textwrap
from typing import Any, Final

import pandas as pd

from secnb.errors import BadInputError, UnknownColumnError
from secnb.view.marks import COLOURS, LINE, LINE_HEIGHT, TEXT, VERMILLION, Spec, config, words
from secnb.view.panels import EMBED, SCHEMA, Panel

_WIDTH: Final = 460
_HEIGHT: Final = 300
_CAPTION_CHARACTERS: Final = 88
# What a name takes of the range of each axis, and where near the left edge there is no room for one.
_LABEL_WIDTH: Final = 0.22
_LABEL_HEIGHT: Final = 0.06
_LEFT_EDGE: Final = 0.3
_NEEDED: Final = (
    "window_s",
    "idle_s",
    "calls",
    "calls_per_day",
    "wait_p95_s",
    "n_cut",
    "busy_ratio",
    "backlog_max",
    "answer_p95_s",
    "is_efficient",
)
_BLUE: Final = COLOURS["fires"]


def plot_batching(comparison: pd.DataFrame, *, current: tuple[float, float] | None = None) -> Panel:
    """Return wait against calls for each setting; the efficient ones are joined, the current one is marked.

    Left and below is better. A setting that a reasoner could not keep up with is hollow.

    Parameters
    ----------
    comparison : pandas.DataFrame
        What ``secnb.compare_batching`` returns.
    current : (float, float), optional
        Window and idle timeout in force, in seconds; one of the settings that were compared.

    Returns
    -------
    Panel
        Shows itself in a notebook; a tooltip tells the numbers of a setting.

    Raises
    ------
    BadInputError
        The argument is no such frame, or `current` is not among its settings.
    UnknownColumnError
        A column of the comparison is missing.
    """
    _check(comparison)
    rows = [_row(each) for each in comparison.to_dict("records")]
    marked = _current(comparison, current)
    for row in rows:
        row["is_current"] = (row["window"], row["idle"]) == marked
        row["title"] = f"now: {row['name']}" if row["is_current"] else row["name"]
    # The efficient ones come last, so that no other lies on them.
    drawn = sorted((row for row in rows if row["wait"] is not None), key=lambda row: row["is_efficient"])
    _label(drawn)
    lines = _caption(comparison, marked)
    unit = "per day" if _has_days(comparison) else "in all"
    x: Spec = {
        "field": "calls",
        "type": "quantitative",
        "scale": {"zero": False, "nice": True, "padding": 16},
        "axis": {
            "title": f"calls of the reasoner, {unit}",
            "titleFontWeight": "normal",
            "labelFlush": True,
            "tickCount": 8,
        },
    }
    y: Spec = {
        "field": "wait",
        "type": "quantitative",
        "scale": {"zero": False, "nice": True, "padding": 12},
        "axis": {"title": "wait until a batch closes, 95th percentile (s)", "titleFontWeight": "normal"},
    }
    efficient: list[Spec] = [{"filter": "datum.is_efficient"}]
    spec: Spec = {
        "$schema": SCHEMA,
        "description": " ".join(lines),
        "usermeta": EMBED,
        "background": "transparent",
        "config": config(),
        "data": {"values": drawn},
        "vconcat": [
            {
                "width": _WIDTH,
                "height": _HEIGHT,
                "layer": [
                    {
                        "transform": efficient,
                        "mark": {"type": "line", "color": _BLUE, "strokeWidth": 1.5, "opacity": 0.6},
                        "encoding": {"x": x, "y": y, "order": {"field": "calls", "type": "quantitative"}},
                    },
                    _points(x, y),
                    *_names("datum.is_labelled", x, y, apart=7, mark={"fontSize": 10, "color": TEXT}),
                    *_marked(x, y),
                ],
            },
            _words(lines),
        ],
    }
    return Panel(f"{len(comparison)} batch settings", spec)


def _label(rows: list[Spec]) -> None:
    """Choose which efficient settings have their name beside them, so that no name covers another.

    Nothing is better than an efficient setting in both ways: below and left of it there is room.
    """
    for field in ("calls", "wait"):
        least = min((row[field] for row in rows), default=0)
        spread = max(max((row[field] for row in rows), default=0) - least, 1e-9)
        for row in rows:
            row[f"{field}_share"] = (row[field] - least) / spread
    kept: list[Spec] = []
    for row in sorted(rows, key=lambda row: (not row["is_current"], row["calls"])):
        row["is_right"] = row["calls_share"] < _LEFT_EDGE
        is_named = row["is_efficient"] and not any(_covers(row, other) for other in kept)
        row["is_labelled"] = is_named and not row["is_current"]
        if row["is_labelled"] or row["is_current"]:
            kept.append(row)


def _covers(row: Spec, other: Spec) -> bool:
    """Whether the names of two settings would lie on each other, or one on the ring of the current one."""
    (left, height), (other_left, other_height) = _corner(row), _corner(other)
    is_beside = 0 <= other["calls_share"] - left <= _LABEL_WIDTH
    if other["is_current"] and is_beside and abs(height - other["wait_share"]) < _LABEL_HEIGHT:
        return True
    return abs(left - other_left) < _LABEL_WIDTH and abs(height - other_height) < _LABEL_HEIGHT


def _corner(row: Spec) -> tuple[float, float]:
    """Return the left end of a name and its height, as shares of both axes."""
    if row["is_right"]:
        return row["calls_share"], row["wait_share"] + _LABEL_HEIGHT / 2
    return row["calls_share"] - _LABEL_WIDTH, row["wait_share"] - _LABEL_HEIGHT / 2


def _names(chosen: str, x: Spec, y: Spec, *, apart: int, mark: Spec) -> list[Spec]:
    """Draw names below and left of their settings; above and right of those near the left edge."""
    sides = {"datum.is_right": ("left", apart, -apart), "!datum.is_right": ("right", -apart, apart + 2)}
    return [
        {
            "transform": [{"filter": f"{chosen} && {side}"}],
            "mark": {"type": "text", "align": align, "dx": dx, "dy": dy, **mark},
            "encoding": {"x": x, "y": y, "text": {"field": "title"}},
        }
        for side, (align, dx, dy) in sides.items()
    ]


def _points(x: Spec, y: Spec) -> Spec:
    colour = {"condition": {"test": "datum.is_efficient", "value": _BLUE}, "value": LINE}
    return {
        "mark": {"type": "point", "size": 60, "strokeWidth": 1.5, "opacity": 1},
        "encoding": {
            "x": x,
            "y": y,
            "stroke": colour,
            "fill": {
                "condition": [{"test": "!datum.keeps_up", "value": "transparent"}, colour["condition"]],
                "value": LINE,
            },
            "description": {"field": "spoken"},
            "tooltip": {"field": "spoken"},
        },
    }


def _marked(x: Spec, y: Spec) -> list[Spec]:
    """Draw a ring round the current setting, and name it."""
    ring = {
        "type": "point",
        "size": 220,
        "color": VERMILLION,
        "strokeWidth": 2.5,
        "filled": False,
        "opacity": 1,
        "aria": False,
    }
    name = {"fontSize": 11, "fontWeight": 600, "color": VERMILLION}
    only = [{"filter": "datum.is_current"}]
    return [
        {"transform": only, "mark": ring, "encoding": {"x": x, "y": y}},
        *_names("datum.is_current", x, y, apart=11, mark=name),
    ]


def _words(lines: list[str]) -> Spec:
    return {
        "width": _WIDTH,
        "height": LINE_HEIGHT * len(lines),
        "view": {"stroke": None},
        "data": {"values": [{"words": "\n".join(lines)}]},
        "mark": words(x=0, y=0),
        "encoding": {"text": {"field": "words"}},
    }


def _row(row: dict[Any, Any]) -> Spec:
    name = f"{row['window_s']:g} / {row['idle_s']:g} s"
    per_day = row["calls_per_day"]
    calls = row["calls"] if pd.isna(per_day) else per_day
    keeps_up = bool(row["busy_ratio"] < 1)
    return {
        "name": name,
        "window": float(row["window_s"]),
        "idle": float(row["idle_s"]),
        "calls": float(calls),
        "wait": None if math.isnan(row["wait_p95_s"]) else float(row["wait_p95_s"]),
        "is_efficient": bool(row["is_efficient"]),
        "keeps_up": keeps_up,
        "spoken": (
            f"window {row['window_s']:g} s, idle {row['idle_s']:g} s: {calls:,.0f} calls"
            f"{'' if pd.isna(per_day) else ' per day'}{_within(row)}, "
            f"{row['n_cut']:,} episode{'s' * (row['n_cut'] != 1)} cut, "
            f"reasoner busy {100 * row['busy_ratio']:.0f} % with a backlog of up to {row['backlog_max']:,}"
            f"{'' if keeps_up else ': it cannot keep up'}"
        ),
    }


def _within(row: dict[Any, Any]) -> str:
    """Say how long it takes; nothing where there is no batch."""
    if pd.isna(row["wait_p95_s"]):
        return ""
    return (
        f", 95 % of the batches closed within {row['wait_p95_s']:,.0f} s "
        f"and answered within {row['answer_p95_s']:,.0f} s"
    )


def _caption(comparison: pd.DataFrame, marked: tuple[float, float] | None) -> list[str]:
    attrs = comparison.attrs
    texts = [
        "Each point is a setting, window / idle timeout. Joined: no other is better in one way without being "
        "worse in the other."
    ]
    if (comparison["busy_ratio"] >= 1).any():
        texts.append("Hollow: the reasoner cannot keep up.")
    if marked is not None:
        row = comparison[(comparison["window_s"] == marked[0]) & (comparison["idle_s"] == marked[1])].iloc[0]
        texts.append(f"Now: {_row(row.to_dict())['spoken']}.")
    if "n_detections" in attrs:
        days = (
            f"{attrs['n_days']} whole days in {attrs['timezone']}" if attrs.get("n_days") else "no whole day"
        )
        texts.append(
            f"Replayed over {attrs['n_detections']:,} detections, {days}{_fast(attrs)}. The reasoner is "
            f"modelled as one server with {attrs['service_s']:g} s a call."
        )
    return [line for text in texts for line in textwrap.wrap(text, _CAPTION_CHARACTERS)]


def _fast(attrs: dict[Any, Any]) -> str:
    n_fast = attrs.get("n_fast_path", 0)
    return f"; {n_fast:,} more took the fast path, a call each without a wait" if n_fast else ""


def _has_days(comparison: pd.DataFrame) -> bool:
    return bool(comparison["calls_per_day"].notna().any())


def _check(comparison: object) -> None:
    if not isinstance(comparison, pd.DataFrame):
        raise BadInputError(
            f"plot_batching needs a DataFrame, not {type(comparison).__name__}.",
            hint="secnb.plot_batching(secnb.compare_batching(detections, service_s=…))",
        )
    for name in _NEEDED:
        if name not in comparison.columns:
            raise UnknownColumnError("column", name, map(str, comparison.columns))


def _current(comparison: pd.DataFrame, current: object) -> tuple[float, float] | None:
    if current is None:
        return None
    known = list(zip(comparison["window_s"].tolist(), comparison["idle_s"].tolist(), strict=True))
    try:
        window, idle = (float(each) for each in current)  # type: ignore[attr-defined]
    except (TypeError, ValueError) as exc:
        raise BadInputError(f"current is {current!r}. Allowed: window and idle timeout in seconds.") from exc
    if (window, idle) not in known:
        raise BadInputError(
            f"current is {current!r}, which is not among the {len(known)} settings.",
            hint="compare it as well: compare_batching(…, window_s=[…], idle_s=[…]).",
        )
    return window, idle
