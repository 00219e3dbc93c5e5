"""Sentences on whether a choice lasts: the period it was verified on, its floors there, and drift."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import pandas as pd

from secnb.analysis.captions import amount, count, duration, rate, thin

if TYPE_CHECKING:
    from secnb.analysis.choices import ThresholdChoice

Verdict = Literal["kept", "short", "broken", "unknown"]

_OF_ONE: Final[dict[Verdict, str]] = {
    "kept": "is kept there",
    "short": "is missed there, by no more than chance explains",
    "broken": "is broken there, by more than chance explains: choose again",
    "unknown": "could not be verified there: nothing labelled tells",
}
_OF_GROUPS: Final[dict[Verdict, str]] = {
    "kept": "kept in {n}",
    "short": "missed in {n}, by no more than chance explains",
    "broken": "broken in {n}, by more than chance explains: choose again",
    "unknown": "not to be verified in {n}",
}


def verified(choice: ThresholdChoice) -> list[str]:
    """Say on which period it was verified, and what came of it."""
    periods = choice.periods
    if periods.verified_from is None:
        return [f"Not verified on later units: {periods.why_not}."]
    seen = _span(periods.chosen_from, periods.chosen_until)
    kept_back = _span(periods.verified_from, periods.verified_until)
    later = choice.later.iloc[0]
    if pd.isna(later.get("n_fired")):
        return [f"Looked at {seen} alone; the later {kept_back} would verify a choice."]
    labels = count(int(later["n_labelled_fired"]), "labelled unit")
    verb = "fires" if later["n_labelled_fired"] == 1 else "fire"
    return [
        f"Chosen on {seen} alone, verified on the later {kept_back}.",
        f"There {labels} {verb}: {rate(later, 'precision')}, {rate(later, 'recall')}.",
        *_floors(choice),
        *_budget(choice),
    ]


def _floors(choice: ThresholdChoice) -> list[str]:
    """Say which floors were kept on later units; each group has to keep them by itself."""
    floors = {"precision": choice.rule.precision_at_least, "recall": choice.rule.recall_at_least}
    sentences = []
    for name, floor in floors.items():
        if floor is None:
            continue
        text = f"The floor of {name}, {floor:g}, "
        if not choice.by:
            sentences.append(f"{text}{_OF_ONE[_verdict(choice.later.iloc[0], name, floor)]}.")
            continue
        rows = [
            row for row, decision in enumerate(choice.decisions) if row and decision.threshold is not None
        ]
        found = Counter(_verdict(choice.later.iloc[row], name, floor) for row in rows)
        parts = [words.format(n=thin(found[each])) for each, words in _OF_GROUPS.items() if found[each]]
        if parts:
            sentences.append(f"{text}there, of {count(len(rows), 'group')}: {'; '.join(parts)}.")
    return sentences


def _verdict(later: pd.Series, name: str, floor: float) -> Verdict:
    """Compare a rate on later units with its floor."""
    if pd.isna(later[name]):
        return "unknown"
    if later[name] >= floor:
        return "kept"
    return "broken" if later[f"{name}_high"] < floor else "short"


def _budget(choice: ThresholdChoice) -> list[str]:
    """Say on how many later days the budget was exceeded."""
    if "n_days_over" not in choice.later:
        return []
    days = choice.later[["n_days", "n_days_over"]].dropna()
    if days.empty:
        return []
    n_days, n_over = days.sum()
    groups = " of single groups" if choice.by else ""
    return [f"There {amount(n_over)} of {count(int(n_days), 'whole day')}{groups} exceeded the budget."]


def drifted(choice: ThresholdChoice) -> list[str]:
    """Say whether scores or their precision changed between the two parts."""
    drift = choice.drift.iloc[0]
    sentences = []
    if drift["score_distance"] > drift["score_distance_limit"]:
        sentences.append(
            f"The scores drift: their distributions are {drift['score_distance']:.2g} apart, where chance "
            f"explains {drift['score_distance_limit']:.2g}."
        )
    if drift["precision_change_low"] > 0 or drift["precision_change_high"] < 0:
        sentences.append(
            f"Precision drifts: it changed by {drift['precision_change']:+.2g} "
            f"({drift['precision_change_low']:+.2g} to {drift['precision_change_high']:+.2g})."
        )
    if not sentences and not np.isnan(drift["score_distance"]):
        what = "scores" if np.isnan(drift["precision_change"]) else "scores or precision"
        sentences.append(f"No drift of {what} beyond chance.")
    return sentences


def _span(start: pd.Timestamp | None, stop: pd.Timestamp | None) -> str:
    if start is None or stop is None:
        return "nothing"
    seconds = (stop - start).total_seconds()
    days = seconds / 86_400
    length = f"{days:.1f} days" if days >= 2 else duration(seconds)
    return f"{length} ({start:%Y-%m-%d} to {stop:%Y-%m-%d})"
