"""A choice as HTML: what is to be done, the numbers, the reasons, the groups, and what they rest on."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from secnb.analysis.captions import exact, number, thin
from secnb.analysis.explaining import asked_for, headline, labels_note, reasons, sentence_of

if TYPE_CHECKING:
    from secnb.analysis.choices import ThresholdChoice

_MOST_ROWS: Final = 30

_LINES: Final = (
    ("Alerts per day", "fired_per_day"),
    ("True alarms per day", "true_per_day"),
    ("False alarms per day", "false_per_day"),
    ("Precision", "precision"),
    ("Recall", "recall"),
)


def render_choice(choice: ThresholdChoice) -> str:
    """Return HTML without colours, so that it reads on dark and on light; every text is escaped."""
    lines = "".join(f"<li>{html.escape(line)}</li>" for line in (asked_for(choice), *reasons(choice)))
    small = "<br>".join(map(html.escape, choice.caption))
    return (
        f"<p><b>{html.escape(sentence_of(headline(choice)))}</b></p>{_numbers(choice)}<ul>{lines}</ul>"
        f'{_groups(choice)}<p style="opacity:.75"><small>{small}</small></p>'
    )


def _numbers(choice: ThresholdChoice) -> str:
    """Show what happens at the threshold in force, at the one chosen, and there on the later part."""
    columns = {
        "now": choice.earlier_current.iloc[0],
        "chosen": choice.earlier.iloc[0],
        "chosen, verified later": choice.later.iloc[0],
    }
    shown = {
        name: numbers for name, numbers in columns.items() if "n_fired" in numbers and numbers["n_fired"] >= 0
    }
    if not shown:
        return ""
    table = pd.DataFrame(
        {name: [_cell(numbers, column) for _, column in _LINES] for name, numbers in shown.items()},
        index=[label for label, _ in _LINES],
    )
    rows = table[(table != "").any(axis=1)]
    note = f"<small>In brackets: 95 % intervals; {labels_note(choice)}.</small>"
    return f"{rows.to_html(border=0, escape=True)}<p>{note}</p>"


def _cell(numbers: pd.Series, column: str) -> str:
    """Write one number with its interval, if it has one; nothing where it is unknown."""
    value = float(numbers.get(column, np.nan))
    low, high = numbers.get(f"{column}_low"), numbers.get(f"{column}_high")
    known = not pd.isna(value)
    if pd.isna(low):
        return number(value) if known else ""
    return f"{number(value)} ({low:.3g} to {high:.3g})" if known else f"{low:.3g} to {high:.3g}"


def _threshold(value: object) -> str:
    """Write a threshold with all of its digits, since another fires on others."""
    return "\N{EN DASH}" if pd.isna(value) else exact(float(value))  # type: ignore[call-overload, arg-type]


def _groups(choice: ThresholdChoice) -> str:
    """Show one line per group, up to a number that is still read, and below them what there is to say."""
    if not choice.by:
        return ""
    table = choice.thresholds
    shown = table.head(_MOST_ROWS).astype(dict.fromkeys(choice.by, object))
    for name in choice.by:
        shown[name] = shown[name].where(shown[name].notna(), "missing")
    columns = [*choice.by, "threshold", "current", "status", "precision", "recall", "n_labelled"]
    if choice.rule.confidence is not None:
        columns.append("is_guaranteed")
    text = shown[columns].to_html(
        index=False,
        border=0,
        na_rep="\N{EN DASH}",
        float_format="{:.3g}".format,
        formatters=dict.fromkeys(("threshold", "current"), _threshold),
        escape=True,
    )
    # In a column of their own they would be squeezed, or squeeze the numbers.
    why = [
        f"<li><bdi>{html.escape(each.name)}</bdi>: {html.escape(each.reason)}.</li>"
        for each in choice.decisions[1 : len(shown) + 1]
        if each.reason
    ]
    if why:
        text += f"<ul>{''.join(why)}</ul>"
    if len(table) > len(shown):
        text += f"<p>{thin(len(shown))} of {thin(len(table))} groups shown; all in .thresholds.</p>"
    return text
