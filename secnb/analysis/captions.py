"""Sentences that stand under tables and charts: what a unit is, how many there are, over which days."""

from __future__ import annotations

from secnb.analysis.localdays import Days

RECALL_CAVEAT = "Recall is among recorded rows; objects never detected are not counted."


def thin(number: int) -> str:
    """Write an integer with thin spaces between its thousands."""
    return f"{number:,}".replace(",", "\u2009")


def count(number: int, noun: str) -> str:
    """Write a number with its noun, in the plural where it is not one."""
    return f"{thin(number)} {noun}{'' if number == 1 else 's'}"


def units_sentence(*, n_true: int, n_false: int, n_unlabelled: int, n_unscored: int) -> str:
    """How many units there are, how many are labelled, and how many have no score."""
    n_labelled = n_true + n_false
    labelled = f"{thin(n_labelled)} labelled"
    if n_labelled:
        labelled += f" ({thin(n_true)} true, {thin(n_false)} false)"
    units = count(n_labelled + n_unlabelled, "unit")
    return f"A row is a unit. {units}: {labelled}; {count(n_unscored, 'row')} without a score left out."


def days_sentence(days: Days | None) -> str:
    """Say what a rate per day rests on, or why there is none."""
    if days is None:
        return "No times with a zone in the frame, so nothing is known per day."
    if days.n_days:
        text = f"Per day over {count(days.n_days, 'whole day')} in {days.timezone}, {_from_to(days)}."
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
