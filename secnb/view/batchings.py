"""A picture of batch settings: how long an alarm waits against how often the reasoner is asked."""

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
# What a name takes of the range of each axis.
_LABEL_WIDTH: Final = 0.2
_LABEL_HEIGHT: Final = 0.06
_NEEDED: Final = (
    "window_s",
    "idle_s",
    "calls",
    "calls_per_day",
    "wait_p95_s",
    "n_cut",
    "busy_ratio",
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
    drawn = [row for row in rows if row["calls"] is not None and row["wait"] is not None]
    _label(drawn)
    lines = _caption(comparison, marked)
    unit = "per day" if _has_days(comparison) else "in all"
    x: Spec = {
        "field": "calls",
        "type": "quantitative",
        "scale": {"zero": False, "nice": True, "padding": 16},
        "axis": {"title": f"calls of the reasoner, {unit}", "titleFontWeight": "normal", "labelFlush": True},
    }
    y: Spec = {
        "field": "wait",
        "type": "quantitative",
        "scale": {"zero": False, "nice": True, "padding": 12},
        "axis": {"title": "wait of an alarm, 95th percentile (s)", "titleFontWeight": "normal"},
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
                    {
                        "transform": [{"filter": "datum.is_labelled"}],
                        "mark": {
                            "type": "text",
                            "align": "left",
                            "dx": 7,
                            "dy": -6,
                            "fontSize": 10,
                            "color": TEXT,
                        },
                        "encoding": {"x": x, "y": y, "text": {"field": "name"}},
                    },
                    *_marked(x, y),
                ],
            },
            _words(lines),
        ],
    }
    return Panel(f"{len(comparison)} batch settings", spec)


def _label(rows: list[Spec]) -> None:
    """Choose which efficient settings have their name beside them, so that no name covers another."""
    ranges = {
        name: max(max(row[name] for row in rows) - min(row[name] for row in rows), 1e-9) if rows else 1
        for name in ("calls", "wait")
    }
    kept = [row for row in rows if row["is_current"]]
    for row in sorted(rows, key=lambda row: row["calls"]):
        apart = (
            abs(row["calls"] - other["calls"]) / ranges["calls"] > _LABEL_WIDTH
            or abs(row["wait"] - other["wait"]) / ranges["wait"] > _LABEL_HEIGHT
            for other in kept
        )
        row["is_labelled"] = row["is_efficient"] and not row["is_current"] and all(apart)
        if row["is_labelled"]:
            kept.append(row)


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
    only: list[Spec] = [{"filter": "datum.is_current"}]
    ring = {
        "type": "point",
        "size": 220,
        "color": VERMILLION,
        "strokeWidth": 2.5,
        "filled": False,
        "opacity": 1,
    }
    name: Spec = {"type": "text", "align": "left", "dx": 12, "dy": 12, "fontSize": 11, "fontWeight": 600}
    place = {"x": x, "y": y}
    return [
        {"transform": only, "mark": {**ring, "aria": False}, "encoding": place},
        {
            "transform": [*only, {"calculate": "'now: ' + datum.name", "as": "name"}],
            "mark": {**name, "color": VERMILLION},
            "encoding": {**place, "text": {"field": "name"}},
        },
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
            f"{'' if pd.isna(per_day) else ' per day'}, wait {row['wait_p95_s']:.0f} s at the 95th "
            f"percentile, {row['n_cut']:,} episodes cut, reasoner busy {row['busy_ratio']:.0%}"
            f"{'' if keeps_up else ': it cannot keep up'}"
        ),
    }


def _caption(comparison: pd.DataFrame, marked: tuple[float, float] | None) -> list[str]:
    attrs = comparison.attrs
    texts = [
        "Each point is a setting, window / idle timeout. Joined: no other has fewer calls and a shorter wait."
    ]
    if marked is not None:
        row = comparison[(comparison["window_s"] == marked[0]) & (comparison["idle_s"] == marked[1])].iloc[0]
        texts.append(f"Now: {_row(row.to_dict())['spoken']}.")
    if "n_detections" in attrs:
        days = (
            f"{attrs['n_days']} whole days in {attrs['timezone']}" if attrs.get("n_days") else "no whole day"
        )
        texts.append(
            f"Replayed over {attrs['n_detections']:,} detections, {days}. The reasoner is modelled as one "
            f"server with {attrs['service_s']:g} s a call."
        )
    return [line for text in texts for line in textwrap.wrap(text, _CAPTION_CHARACTERS)]


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
