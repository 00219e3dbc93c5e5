"""Events: what the reasoner made of each batch, from an invented model of risk."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from secnb import schema
from secnb.sample.aggregate import SECOND, Batch
from secnb.sample.history import DAY_US, Floats, draws
from secnb.sample.scenes import CAMERAS, NIGHT_HOURS

LLM_CUTS: Final = (25, 50, 75)
"""The highest score that is low, medium and high where the reasoner's own word was not usable."""

_FAILED_RATIO = 0.02
_LOST_RATIO = 0.012
_OTHER_LEVEL_RATIO = 0.07
_REVIEWED_RATIO = 0.35
_BASE = {"person": 47, "truck": 36, "car": 29, "package": 27, "dog": 17, "cat": 9}
_NOTES = ("Mail carrier.", "Neighbour's cat.", "Only the wind.", "Family.", "Asked next door, all well.")
_WHY = ("nobody was expected", "a familiar pattern at this hour", "no known person matched", "little detail")

# Purposes of random numbers, beside the day and the camera that they belong to.
_BATCHES, _FAST_PATH = 1, 2


@dataclass(frozen=True)
class Seen:
    """What the reasoner is told of one detection, and what it cannot know.

    Attributes
    ----------
    detection_id : int
    label : str or None
    confidence : float or None
    is_true : bool
        Whether something is really there.
    """

    detection_id: int
    label: str | None
    confidence: float | None
    is_true: bool


@dataclass(frozen=True)
class Analysis:
    """A batch on its way through the reasoner.

    Attributes
    ----------
    batch : Batch
    batch_id : str
    detections : tuple of Seen
    is_fast_path : bool
    is_lost : bool
        The batch vanished between closing and analysis; its detections belong to no event.
    done_us : int or None
        When the event is written; None while the batch is open.
    luck : array of float
        Numbers from 0 to 1 that decide what the reasoner answers.
    """

    batch: Batch
    batch_id: str
    detections: tuple[Seen, ...]
    is_fast_path: bool
    is_lost: bool
    done_us: int | None
    luck: Floats


def analyses(
    batches: Sequence[Batch], seen: Sequence[Seen], *, seed: int, midnight_us: int, is_fast_path: bool
) -> Iterator[Analysis]:
    """Yield the analysis of each batch, whether or not it comes to an event.

    Parameters
    ----------
    batches : sequence of Batch
        Of all cameras; in time order within each.
    seen : sequence of Seen
        All detections, by position.
    seed : int
    midnight_us : int
        The beginning of the last day; random numbers belong to the days counted back from it.
    is_fast_path : bool
        Whether each of the batches is one detection that was analysed alone, at once.

    Yields
    ------
    Analysis
    """
    purpose = _FAST_PATH if is_fast_path else _BATCHES
    streams: dict[tuple[int, int], np.random.Generator] = {}
    for batch in batches:
        day = (midnight_us - batch.started_us + DAY_US - 1) // DAY_US
        belongs_to = (int(day), batch.camera)
        if belongs_to not in streams:
            streams[belongs_to] = draws(seed, *belongs_to, purpose)
        luck = streams[belongs_to].random(12)
        told = tuple(seen[row] for row in batch.rows)
        batch_id = f"fast_path_{told[0].detection_id}" if is_fast_path else _batch_id(luck)
        done_us = None if batch.closed_us is None else batch.closed_us + int((2 + 8 * luck[4]) * SECOND)
        yield Analysis(batch, batch_id, told, is_fast_path, bool(luck[5] < _LOST_RATIO), done_us, luck)


def _batch_id(luck: Floats) -> str:
    number = int(luck[0] * 2**53) << 75 | int(luck[1] * 2**53) << 22 | int(luck[2] * 2**22)
    return uuid.UUID(int=number % 2**128, version=4).hex


def event_row(analysis: Analysis) -> tuple[object, ...]:
    """Return the columns of an event after ``camera_id`` and its times.

    Parameters
    ----------
    analysis : Analysis

    Returns
    -------
    tuple
        batch_id, risk_score, risk_level, summary, reasoning, detection_ids (a tuple), reviewed, notes,
        is_fast_path. A failed analysis is 50 and medium, as the first generation writes it.
    """
    luck = analysis.luck
    ids = tuple(d.detection_id for d in analysis.detections)
    if luck[6] < _FAILED_RATIO:
        # An event is written all the same; its score is none.
        reasoning = f"{schema.FAILED_REASONING}: timed out after 30.0 s"
        told: tuple[object, ...] = (50, "medium", schema.FAILED_SUMMARY, reasoning)
    else:
        score = _risk_score(analysis)
        told = (score, _level(score, luck), _summary(analysis), _reasoning(analysis, score))
    reviewed = bool(luck[7] < _REVIEWED_RATIO)
    notes = _NOTES[int(luck[8] * len(_NOTES))] if reviewed and luck[9] < 0.05 else None
    return (analysis.batch_id, *told, ids, int(reviewed), notes, int(analysis.is_fast_path))


def _best(analysis: Analysis) -> Seen:
    return max(analysis.detections, key=lambda d: d.confidence or 0.0)


def _is_night(analysis: Analysis) -> bool:
    return analysis.batch.started_us % DAY_US // (3600 * SECOND) in NIGHT_HOURS


def _risk_score(analysis: Analysis) -> int:
    """Return 0 to 100: by label, hour, number of images, and a little by what is really there."""
    luck, best = analysis.luck, _best(analysis)
    score = _BASE.get(best.label or "", 20) + 0.9 * min(len(analysis.detections), 15)
    score += 17 * _is_night(analysis) + 8 * analysis.is_fast_path - 13 * (not best.is_true)
    score += 34 * (luck[3] + luck[10] + luck[11] - 1.5)
    # Language models like round numbers.
    rounded = 5 * round(score / 5) if luck[8] < 0.7 else round(score)
    return int(min(max(rounded, 0), 100))


def _level(score: int, luck: Floats) -> str:
    """Return the level as the reasoner says it, which now and then does not fit its score."""
    level = sum(score > cut for cut in LLM_CUTS)
    if luck[9] > 1 - _OTHER_LEVEL_RATIO:
        level += 1 if level == 0 or (luck[10] < 0.5 and level < 3) else -1
    return schema.RISK_LEVELS[level]


def _counted(analysis: Analysis) -> str:
    labels = Counter(d.label or "object" for d in analysis.detections)
    return ", ".join(f"{label} in {n} image{'s' * (n > 1)}" for label, n in labels.most_common())


def _clock(at_us: int) -> str:
    minutes = at_us % DAY_US // (60 * SECOND)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _summary(analysis: Analysis) -> str:
    place = CAMERAS[analysis.batch.camera].replace("_", " ")
    text = _counted(analysis)
    return f"{text[:1].upper()}{text[1:]} at the {place} at {_clock(analysis.batch.started_us)}."


def _reasoning(analysis: Analysis, score: int) -> str:
    batch = analysis.batch
    seconds = (batch.last_us - batch.started_us) / SECOND
    light = "in the dark" if _is_night(analysis) else "in daylight"
    why = _WHY[int(analysis.luck[11] * len(_WHY))]
    return f"{_counted(analysis)} within {seconds:.0f} s {light}; {why}. Risk {score} of 100."
