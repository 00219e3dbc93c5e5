"""Risk levels from risk scores, and what other cuts between them would change."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from secnb import schema
from secnb.analysis.columns import read_column, read_flags, read_scores
from secnb.analysis.intervals import wilson
from secnb.analysis.localdays import read_days
from secnb.errors import BadInputError

Cuts = tuple[int, int, int]

_NONE: Final = -1


def risk_level(
    scores: ArrayLike | pd.Series[Any],
    *,
    low_max: int = schema.RISK_CUTS[0],
    medium_max: int = schema.RISK_CUTS[1],
    high_max: int = schema.RISK_CUTS[2],
) -> pd.Series[Any]:
    """Return the risk level of each score: low, medium, high or critical; missing where the score is.

    A score at a cut still has the lower level. Nothing says that a score is one: events whose analysis
    failed hold 50 in the first generation, and ``is_failed`` marks them.

    Parameters
    ----------
    scores : array-like of int or float
        Risk scores, 0 to 100.
    low_max, medium_max, high_max : int
        The highest score that is still low, medium and high, inclusive; they must rise.
        ``user_calibration`` stores the first score of the next level instead: 30, 60, 85.

    Returns
    -------
    Series of str
        With the index of `scores` where it is a Series.

    Raises
    ------
    BadInputError
        The cuts do not rise, or a score is no number.

    Examples
    --------
    >>> risk_level([29, 30, 59, 85, None]).tolist()
    ['low', 'medium', 'medium', 'critical', nan]
    """
    column = _as_column(scores)
    codes = _codes(column, _checked((low_max, medium_max, high_max)))
    levels = pd.array(schema.RISK_LEVELS, dtype="str").take(codes, allow_fill=True)
    return pd.Series(levels, index=column.index, name="risk_level")


def compare_risk_levels(
    events: pd.DataFrame, *, cuts: Sequence[Cuts] = (schema.RISK_CUTS,), confidence: float = 0.95
) -> pd.DataFrame:
    """Return one row per triple of cuts: how many events have which level, and whether operators agree.

    Events whose analysis failed (``is_failed``) and those without a score have no level; they are counted
    apart. Operators' agreement is that of the few events that somebody looked at, which are no random
    sample: mostly those say what they expected who disagree with the level that they saw. So it is low for
    the cuts in force and flatters all others; the events that they accepted as they were tell the other
    side.

    Parameters
    ----------
    events : pandas.DataFrame
        What ``site.events()`` or ``site.labelled_events()`` returns: risk_score and, where they are there,
        is_failed, started_at (for rates), risk_level, feedback_type, expected_severity and suggested_score,
        as ``events.merge(site.feedback(), how="left", on="event_id")`` has. It is not changed.
    cuts : sequence of (int, int, int)
        Highest low, medium and high score, inclusive, as for `risk_level`.
    confidence : float
        Of the Wilson intervals.

    Returns
    -------
    DataFrame
        Columns of ``secnb.schema.RISK_COMPARISON``: low_max, medium_max, high_max; n_events (with a level),
        n_failed, n_unscored; n_low, n_medium, n_high, n_critical and the same ``_per_day`` over the whole
        local days (NaN without one); high_or_critical_ratio; n_expected, agree_ratio with ``_low`` and
        ``_high`` (level equal to the operator's expected_severity); n_suggested, suggested_agree_ratio
        (level equal to that of suggested_score); n_accepted, accepted_agree_ratio (of the events that
        operators called accurate or correct: equal to the stored risk_level); n_stored,
        stored_agree_ratio (equal to the stored risk_level). Ratios of nothing are NaN.

    Raises
    ------
    UnknownColumnError
        There is no risk_score.
    BadInputError
        Cuts do not rise, or a score is no number.
    """
    if not isinstance(events, pd.DataFrame):
        raise BadInputError(f"events is a {type(events).__name__}. Allowed: a DataFrame of events.")
    triples = _triples(cuts)
    is_failed = _flag(events, "is_failed")
    scores = read_column(events, "risk_score")
    is_unscored = scores.isna().to_numpy() & ~is_failed
    kept = events[~is_failed & ~is_unscored]
    days = read_days(events)
    is_in_days = days.contains(kept) if days is not None and days.n_days else None
    n_days = days.n_days if days is not None else 0
    counted = {"n_failed": int(is_failed.sum()), "n_unscored": int(is_unscored.sum())}
    rows = [counted | _row(kept, triple, is_in_days, n_days, confidence) for triple in triples]
    frame = pd.DataFrame(rows, columns=list(schema.RISK_COMPARISON)).astype(dict(schema.RISK_COMPARISON))
    frame.attrs = {"confidence": confidence, "n_days": n_days, "timezone": days.timezone if days else "UTC"}
    return frame


def _row(
    events: pd.DataFrame, cuts: Cuts, is_in_days: NDArray[np.bool_] | None, n_days: int, confidence: float
) -> dict[str, float]:
    codes = _codes(events["risk_score"], cuts)
    numbers = np.bincount(codes, minlength=len(schema.RISK_LEVELS))
    row: dict[str, float] = dict(zip(("low_max", "medium_max", "high_max"), cuts, strict=True))
    row["n_events"] = len(codes)
    row["high_or_critical_ratio"] = _ratio(int(numbers[2:].sum()), len(codes))
    within = None if is_in_days is None else np.bincount(codes[is_in_days], minlength=len(schema.RISK_LEVELS))
    for code, level in enumerate(schema.RISK_LEVELS):
        row[f"n_{level}"] = int(numbers[code])
        row[f"{level}_per_day"] = math.nan if within is None else within[code] / n_days
    n_agree, n_expected = _agreement(codes, _levels(events, "expected_severity"))
    low, high = wilson(n_agree, n_expected, confidence)
    row |= {"n_expected": n_expected, "agree_ratio": _ratio(n_agree, n_expected)}
    row |= {"agree_ratio_low": float(low), "agree_ratio_high": float(high)}
    suggested = np.full(len(events), _NONE)
    if "suggested_score" in events.columns:
        suggested = _codes(read_column(events, "suggested_score"), cuts)
    n_agree, n_suggested = _agreement(codes, suggested)
    row |= {"n_suggested": n_suggested, "suggested_agree_ratio": _ratio(n_agree, n_suggested)}
    stored = _levels(events, "risk_level")
    n_agree, n_accepted = _agreement(codes, np.where(_is_accepted(events), stored, _NONE))
    row |= {"n_accepted": n_accepted, "accepted_agree_ratio": _ratio(n_agree, n_accepted)}
    n_agree, n_stored = _agreement(codes, stored)
    return row | {"n_stored": n_stored, "stored_agree_ratio": _ratio(n_agree, n_stored)}


def _as_column(scores: object) -> pd.Series[Any]:
    if isinstance(scores, pd.Series):
        return scores
    try:
        return pd.Series(scores, name="scores")
    except (ValueError, TypeError) as exc:
        raise BadInputError(f"scores is a {type(scores).__name__}: {exc}. Allowed: one column.") from exc


def _codes(scores: pd.Series[Any], cuts: Cuts) -> NDArray[np.int64]:
    """Return the number of each score's level, -1 where it is missing."""
    if not pd.api.types.is_numeric_dtype(scores.dtype):
        # Text and objects may hold numbers; times and truth values are none.
        scores = scores.astype(object)
        try:
            scores = pd.to_numeric(scores)
        except (ValueError, TypeError) as exc:
            raise BadInputError(f"Column {scores.name!r} holds what is no score: {exc}.") from exc
    numbers = read_scores(scores)
    return np.where(np.isfinite(numbers), np.searchsorted(cuts, numbers, side="left"), _NONE)


def _levels(events: pd.DataFrame, name: str) -> NDArray[np.int64]:
    """Return the number of each level that a column names, -1 for anything else."""
    if name not in events.columns:
        return np.full(len(events), _NONE)
    known = {level: code for code, level in enumerate(schema.RISK_LEVELS)}
    return np.array([known.get(str(each).lower(), _NONE) for each in read_column(events, name)], dtype=int)


def _is_accepted(events: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which events an operator has called right, level and all."""
    if "feedback_type" not in events.columns:
        return np.zeros(len(events), dtype=bool)
    return read_column(events, "feedback_type").isin(schema.FEEDBACK_ACCEPTED).to_numpy(dtype=bool)


def _agreement(codes: NDArray[np.int64], other: NDArray[np.int64]) -> tuple[int, int]:
    is_known = other != _NONE
    return int((codes == other)[is_known].sum()), int(is_known.sum())


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _flag(events: pd.DataFrame, name: str) -> NDArray[np.bool_]:
    """Return which rows are marked; without the column, or where it is missing, none."""
    if name not in events.columns:
        return np.zeros(len(events), dtype=bool)
    return read_flags(read_column(events, name))


def _triples(cuts: object) -> list[Cuts]:
    if not isinstance(cuts, Iterable) or isinstance(cuts, str):
        raise BadInputError(f"cuts is {cuts!r}. Allowed: triples such as [(29, 59, 84)].")
    listed = list(cuts)
    # A single triple is what was meant.
    if len(listed) == 3 and all(isinstance(each, int | np.integer) for each in listed):
        listed = [tuple(listed)]
    return [_checked(each) for each in listed]


def _checked(cuts: object) -> Cuts:
    allowed = "Allowed: three whole numbers that rise, from 0 to 100."
    if not isinstance(cuts, tuple | list) or len(cuts) != 3:
        raise BadInputError(f"The cuts are {cuts!r}. {allowed}", hint="for example (29, 59, 84).")
    is_whole = all(isinstance(each, int | np.integer) and not isinstance(each, bool) for each in cuts)
    if not is_whole or not 0 <= cuts[0] < cuts[1] < cuts[2] <= 100:
        raise BadInputError(f"The cuts are {', '.join(map(repr, cuts))}. {allowed}")
    return int(cuts[0]), int(cuts[1]), int(cuts[2])
