"""Sentences that stand under tables and charts: what a unit is, how many there are, over which days."""

from __future__ import annotations

import math

import pandas as pd

from secnb.analysis.localdays import Days

RECALL_CAVEAT = "Recall is among recorded rows; objects never detected are not counted."


def recall_sentence(n_missed: float) -> str:
    """Say which objects recall knows of."""
    if not n_missed:
        return RECALL_CAVEAT
    missed = count(round(n_missed), "missed object")
    return f"Recall counts {missed}; objects that nobody reported are not counted."


def weighting_sentence(*, weight: str | None, probability: str | None) -> str | None:
    """Say what a unit counts for, where that is not one."""
    text = f"A unit counts {weight} times. " if weight else ""
    if probability:
        text += f"True and false alarms are estimated: a label counts one over {probability}. "
    return text.rstrip() or None


def thin(number: int) -> str:
    """Write an integer with thin spaces between its thousands."""
    return f"{number:,}".replace(",", "\u2009")


def percent(share: float) -> str:
    """Write a share as a percentage: ``"90 %"``."""
    return f"{100 * share:.4g} %"


def exact(threshold: float | None) -> str:
    """Write a threshold with as many digits as it has, so that who types them gets the same counts."""
    if threshold is None:
        return "none"
    if threshold == math.inf:
        return "inf (never fire)"
    text = f"{threshold:.6g}"
    return text if float(text) == threshold else repr(float(threshold)).removesuffix(".0")


def number(value: float) -> str:
    """Write a number with three digits, or more where it has them before the point."""
    return thin(round(value)) if abs(value) >= 100 else f"{value:.3g}"


def count(number: int, noun: str) -> str:
    """Write a number with its noun, in the plural where it is not one."""
    return f"{thin(number)} {noun}{'' if number == 1 else 's'}"


def amount(value: float) -> str:
    """Write a count; weighted ones have fractions."""
    return thin(round(value)) if value >= 100 or float(value).is_integer() else f"{value:.1f}"


def rate(numbers: pd.Series, name: str) -> str:
    """Write a rate with its interval, or what is possible where there is no point."""
    value, low, high = numbers[name], numbers[f"{name}_low"], numbers[f"{name}_high"]
    if pd.isna(value):
        return f"{name} unknown" + ("" if pd.isna(low) else f", between {low:.3g} and {high:.3g}")
    return f"{name} {value:.3g} ({low:.3g} to {high:.3g})"


def units_sentence(
    *,
    n_true: int,
    n_false: int,
    n_unlabelled: int,
    n_unscored: int,
    unit: str = "row",
    clusters: tuple[str, int] | None = None,
) -> str:
    """How many units there are, how many are labelled, and how many have no score."""
    n_labelled = n_true + n_false
    labelled = f"{thin(n_labelled)} labelled"
    if n_labelled:
        labelled += f" ({thin(n_true)} true, {thin(n_false)} false)"
    units = count(n_labelled + n_unlabelled, "unit")
    is_what = "A row is a unit." if unit == "row" else f"A row is one {unit}."
    text = f"{is_what} {units}: {labelled}; {count(n_unscored, 'row')} without a score left out."
    if clusters is not None:
        column, n_clusters = clusters
        text += f" Intervals rest on {thin(n_clusters)} labelled clusters by {column}."
    return text


def few_labels_sentence(n_labelled: int, *, unit: str, few: int, where: str = "") -> str:
    """Warn that rates are not firm, with the number that they rest on."""
    what = "unit is" if n_labelled == 1 else "units are"
    if unit != "row":
        what = what.replace(" ", f" ({unit}) ")
    return (
        f"Only {n_labelled} {what} labelled{where}: with fewer than {few}, precision and recall are little "
        "more than a guess; look at their intervals."
    )


def days_sentence(days: Days | None) -> str:
    """Say what a rate per day rests on, or why there is none."""
    if days is None:
        return "No times with a zone in the frame, so nothing is known per day."
    if days.n_days:
        text = f"Per day over {count(days.n_days, 'whole day')} in {days.timezone}, {_from_to(days)}."
    elif not days.is_credible:
        years = days.span_s / (365.25 * 86_400)
        text = f"The times in {days.column} span {years:.0f} years, so some are wrong: counts, not rates."
    else:
        text = (
            f"{duration(days.span_s)} from first to last hold no whole day in {days.timezone}: "
            "counts, not rates."
        )
    if days.n_untimed:
        text += f" {count(days.n_untimed, 'row')} without a time belong to no day."
    return text


def _from_to(days: Days) -> str:
    return f"on {days.first_on}" if days.n_days == 1 else f"{days.first_on} to {days.last_on}"


def duration(seconds: float) -> str:
    """Write a span of time in the largest unit that reads well: ``"10 min"``."""
    for size, unit in ((3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
