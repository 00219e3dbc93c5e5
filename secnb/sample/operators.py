"""What operators said of the events: few verdicts, and those about what looked dangerous."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from secnb import schema
from secnb.sample.aggregate import SECOND
from secnb.sample.history import Floats, draws
from secnb.sample.tables import EVENT_COLUMNS, Rows, as_text, from_text

# Random numbers of their own, by place in the list of events: so they change nothing else.
_VERDICTS: Final = 100

_HURRIED_RATIO = 0.3
_WRONG_SEVERITY_RATIO = 0.12
_NOTED_RATIO = 0.12
_LONGEST_S = 20 * 3600
_NOTES: Final[Mapping[str, str]] = {
    "accurate": "Went to look; somebody was there.",
    "correct": "Yes.",
    "false_positive": "Nothing there.",
    "missed_threat": "Somebody tried the door; this is no low risk.",
    "severity_wrong": "Seen rightly, judged wrongly.",
}


def feedback(events: Rows, is_true: Mapping[int, bool], *, seed: int, ends_us: int) -> Rows:
    """Return the verdicts on the events, at most one each, in the order in which they were given.

    About one event in twelve has one. An operator looks at what was reviewed anyway, rather at high
    scores, and rather says so when the alarm was true; nobody judges an analysis that failed.

    Parameters
    ----------
    events : list of tuple
        The columns of ``EVENT_COLUMNS``, numbered in the order in which they were written.
    is_true : mapping of int to bool
        Whether something is really there, by detection id.
    seed : int
    ends_us : int
        The end of the history; what would be said later was not said.

    Returns
    -------
    list of tuple
        The columns of ``FEEDBACK_COLUMNS``.
    """
    luck = draws(seed, _VERDICTS).random((len(events), 6))
    given = []
    for row, chance in zip(events, luck, strict=True):
        event = dict(zip(EVENT_COLUMNS, row, strict=True))
        is_alarm = any(is_true[one] for one in event["detection_ids"])
        # Verdicts come within hours, most of them soon.
        said_us = from_text(event["ended_at"]) + int((60 + _LONGEST_S * chance[4] ** 4) * SECOND)
        is_judged = event["reviewed"] and event["summary"] != schema.FAILED_SUMMARY
        if is_judged and said_us <= ends_us and chance[0] < _looks(event["risk_score"], is_alarm):
            verdict, expected = _verdict(event["risk_score"], is_alarm, chance)
            note = _NOTES[verdict] if chance[5] < _NOTED_RATIO else None
            given.append((said_us, event["id"], verdict, note, expected))
    given.sort()
    stamps = as_text([each[0] for each in given])
    return [
        (number, *each[1:], stamp)
        for number, (each, stamp) in enumerate(zip(given, stamps, strict=True), start=1)
    ]


def _looks(score: int, is_alarm: bool) -> float:
    """Return how probable a verdict on a reviewed event is."""
    return (0.08 + 0.36 * score / 100) if is_alarm else (0.06 + 0.22 * score / 100)


def _verdict(score: int, is_alarm: bool, luck: Floats) -> tuple[str, str | None]:
    """Return what is said, and the level that it should have been where that is wrong."""
    if not is_alarm:
        return "false_positive", None
    level = sum(score > cut for cut in schema.RISK_CUTS)
    if level == 0 and luck[1] < 0.5:
        return "missed_threat", schema.RISK_LEVELS[2 if luck[2] < 0.6 else 1]
    if luck[1] > 1 - _WRONG_SEVERITY_RATIO:
        step = -1 if level == 3 or (level and luck[2] < 0.5) else 1
        return "severity_wrong", schema.RISK_LEVELS[level + step]
    return ("correct" if luck[3] < _HURRIED_RATIO else "accurate"), None
