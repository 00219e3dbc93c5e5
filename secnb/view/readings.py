"""The texts of the threshold panel: the numbers at the slider, and the caption under the charts."""

from __future__ import annotations

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
    every_position,
    thin_number,
    threshold_text,
    words,
)

# Where the numbers and the caption begin: at the left end of the axis labels.
_EDGE: Final = -48
_TILE: Final = 102
_BELOW_AXIS: Final = 32
_DASH: Final = "'\\u2013'"
_KIND: Final = "datum.name === 'threshold' ? ' evidence' : ' interval'"


def headline(axes: Axes) -> Spec:
    """Draw the numbers at the slider: rates with their intervals, and below them the counts."""
    rates, counts = _rates(axes), _counts(axes)
    texts = rates | counts
    below = {name: text for name, text in _below(axes).items() if name in texts}
    transform = [
        *every_position(axes),
        {"filter": "datum.i === position"},
        *({"calculate": text, "as": name} for name, text in texts.items()),
        *({"calculate": text, "as": f"{name} below"} for name, text in below.items()),
    ]
    # Below the numbers: what a count there leaves out, else what changes against the threshold in force.
    notes = [_note(_change(axes), colour=TEXT)] if axes.has_current else []
    if axes.recorded > 0:
        notes.append(_note(_warning(axes), colour=VERMILLION))
    height = 102 + LINE_HEIGHT * bool(notes) + 6 * axes.has_marks
    return {
        "width": WIDTH,
        "height": height,
        "transform": transform,
        "resolve": {"scale": {"x": "independent", "color": "independent"}},
        "layer": [
            _tiles(axes, list(rates), y=0, size=17, below=list(below)),
            _tiles(axes, list(counts), y=56, size=_size(axes), below=[]),
            *notes,
        ],
    }


def _tiles(axes: Axes, names: list[str], *, y: int, size: int, below: list[str]) -> Spec:
    """Draw a row of numbers, each under its name and over what says how sure it is."""
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
    small: Spec = {
        "type": "text",
        "align": "left",
        "baseline": "alphabetic",
        "fontSize": 11,
        "color": TEXT,
        "aria": False,
    }
    layers: list[Spec] = [
        {"mark": {**small, "y": y + 10}, "encoding": {"text": {"field": "name"}}},
        {
            "mark": {**small, "y": y + 30, "fontSize": size, "fontWeight": 600, "aria": True},
            "encoding": {"text": {"field": "shown"}, "color": colour, "description": {"field": "spoken"}},
        },
    ]
    transform: list[Spec] = [
        {"fold": names, "as": ["name", "shown"]},
        {"calculate": "datum.name + ': ' + datum.shown", "as": "spoken"},
    ]
    if below:
        transform += [
            {"calculate": "datum[datum.name + ' below']", "as": "below"},
            {"calculate": f"datum.name + ({_KIND}) + ': ' + datum.below", "as": "aloud"},
        ]
        under = {"text": {"field": "below"}, "description": {"field": "aloud"}}
        layers.append({"mark": {**small, "y": y + 44, "aria": True}, "encoding": under})
    return {"transform": transform, "encoding": {"x": place}, "layer": layers}


def _rates(axes: Axes) -> dict[str, str]:
    """Return the expressions of the first row of numbers, by name."""
    texts = {"threshold": threshold_text(axes)}
    if axes.has_labels:
        texts["precision"] = _percent(axes, "datum.tp", "datum.tp + datum.fp")
        texts["recall"] = _percent(axes, "datum.tp", "datum.positives")
    if axes.n_days:
        texts["fires per day"] = _per_day("datum.day_n")
    return texts


def _counts(axes: Axes) -> dict[str, str]:
    """Return the expressions of the second row of numbers, by name."""
    texts = {"fires": thin_number("datum.n")}
    if axes.has_labels:
        texts |= {"true alarms": thin_number("datum.tp"), "false alarms": thin_number("datum.fp")}
        if "unlabelled" in axes.kinds:
            texts["unlabelled"] = thin_number("datum.n - datum.tp - datum.fp")
        texts["missed"] = thin_number("datum.positives - datum.tp")
    return texts


def _below(axes: Axes) -> dict[str, str]:
    """Return the expressions of what stands below a number: the kind of evidence, and the intervals."""
    recorded = f"position < {axes.recorded} ? 'not recorded' : "
    if not axes.has_labels:
        evidence = f"{recorded}'recorded'"
    else:
        known = f"position < {axes.known} ? 'unknown' : position < {axes.measured} ? 'corrected' : 'measured'"
        evidence = recorded + known
    texts = {"threshold": evidence}
    for rate, whole in (("precision", "datum.tp + datum.fp"), ("recall", "datum.positives")):
        ends = [f"format(100 * datum.{rate}_{end}, '.1f')" for end in ("low", "high")]
        is_known = f"{whole} > 0 || position < {axes.known}"
        texts[rate] = f"{is_known} ? {ends[0]} + '\\u2013' + {ends[1]} + '%' : ''"
    texts["fires per day"] = "''"
    if axes.has_reach:
        low, high = "max(datum.day_n - datum.reach, 0)", "datum.day_n + datum.reach"
        # Days that are all alike, such as all silent, do not tell how sure that is.
        reach = f"({_per_day(low)}) + '\\u2013' + ({_per_day(high)})"
        texts["fires per day"] = f"datum.reach > 0 ? {reach} : ''"
    return texts


def _per_day(rate: str) -> str:
    return f"{rate} < 10 ? format({rate}, '.2f') : {thin_number(rate, ',.1f')}"


def _size(axes: Axes) -> int:
    """Return a size of letters at which the largest count fits its place."""
    return 15 if len(str(axes.n_units)) <= 9 else 12


def _percent(axes: Axes, part: str, whole: str) -> str:
    return f"position >= {axes.known} && {whole} > 0 ? format({part} / ({whole}), '.1%') : {_DASH}"


def _change(axes: Axes) -> str:
    """Return the expression of what is more and less at the slider than at the threshold in force."""
    counts = [("fires", "n")] + ([("true alarms", "tp"), ("false alarms", "fp")] if axes.has_labels else [])
    differences = [(name, f"datum.{field} - datum.now_{field}", "+,.1~f") for name, field in counts]
    if axes.n_days:
        differences.append(("fires per day", "datum.day_n - datum.now_day_n", "+,.1f"))
    parts = [f"'{name} ' + {thin_number(number, form)}" for name, number, form in differences]
    before = "'Against ' + datum.current + ' in force: '"
    joined = " + ', ' + ".join(parts)
    same = "'This is the threshold in force.'"
    is_shown = f"isValid(datum.current) && position >= {axes.recorded}"
    return f"{is_shown} ? (datum.current === cut ? {same} : {before} + {joined}) : ''"


def _warning(axes: Axes) -> str:
    """Return the expression that says that a count below the record is not what would fire there."""
    text = "'Below the smallest recorded score: more would fire than was recorded.'"
    return f"position < {axes.recorded} ? {text} : ''"


def _note(text: str, *, colour: str) -> Spec:
    return {
        "transform": [{"calculate": text, "as": "note"}, {"filter": "datum.note"}],
        "mark": {"type": "text", "align": "left", "y": 104, "fontSize": 11, "color": colour},
        "encoding": {
            "text": {"field": "note"},
            "x": {"value": _EDGE},
            "description": {"field": "note"},
        },
    }


def caption(n_lines: int) -> Spec:
    """Write under the charts what the numbers rest on; the text of each group comes with its counts."""
    return {
        "width": WIDTH,
        "height": _BELOW_AXIS + LINE_HEIGHT * n_lines,
        "transform": [GROUP],
        "mark": words(),
        "encoding": {
            "text": {"field": "caption"},
            "x": {"value": _EDGE},
            "y": {"value": _BELOW_AXIS},
            "description": {"field": "caption"},
        },
    }
