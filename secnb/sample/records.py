"""The rows of a synthetic deployment's tables, made from its history."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from secnb.errors import BadInputError
from secnb.sample.aggregate import SECOND, Batch, close_batches
from secnb.sample.history import (
    DAY_US,
    RECORDED_FROM,
    WHOLE_DAYS,
    Frames,
    Ints,
    draws,
    frames_until,
    to_us,
)
from secnb.sample.incidents import ORDINARY, Incident
from secnb.sample.operators import feedback
from secnb.sample.reasoning import Analysis, Seen, analyses, event_row
from secnb.sample.scenes import CAMERAS, KINDS, NEVER_SEEN
from secnb.sample.tables import (
    CAMERA_COLUMNS,
    DETECTION_COLUMNS,
    EVENT_COLUMNS,
    FEEDBACK_COLUMNS,
    GPU_COLUMNS,
    TRUTH_COLUMNS,
    Rows,
    Tables,
    as_text,
)

FAST_PATH_FROM: Final = 0.90
FAST_PATH_TYPES: Final = ("person",)

# Rows of an early version that was stopped between two writes: a value is missing.
_NO_CONFIDENCE_BELOW = 0.0004
_NO_TYPE_ABOVE = 0.9997
_NO_THUMBNAIL_RATIO = 0.04
_N_WAITING = 3
_WAITING_US = 480 * SECOND
_GPU_STEP_US = 300 * SECOND
_GPU_MEMORY_MB = 24 * 1024

_LABELS = np.array([kind.label for kind in KINDS.values()])
_IS_TRUE = np.array([kind.is_true for kind in KINDS.values()])


@dataclass(frozen=True)
class Records:
    """All that a sandbox's database and Redis are filled from, whatever its generation.

    Attributes
    ----------
    tables : mapping of str to (tuple of str, list of tuple)
        Per table its column names and its rows: times as text in UTC, an event's detection ids as a tuple.
    open_batches, waiting : tuple of Analysis
        Batches not closed yet, and closed ones that wait for their analysis.
    ends_at : datetime.datetime
        The end of the history, UTC.
    incident : Incident
        What of it shows in Redis.
    """

    tables: Tables
    open_batches: tuple[Analysis, ...]
    waiting: tuple[Analysis, ...]
    ends_at: datetime
    incident: Incident = ORDINARY


def synthetic(*, seed: int, ends_at: datetime, incident: Incident = ORDINARY) -> Records:
    """Return the records of six cameras over 14 whole days and the running one.

    Parameters
    ----------
    seed : int
        Not negative; equal seeds give equal records.
    ends_at : datetime.datetime
        Aware; nothing is later.
    incident : Incident, optional
        What went wrong in the end.

    Returns
    -------
    Records

    Raises
    ------
    BadInputError
        If the seed is no whole number from 0, or the time lies before 1971 or after 9998.
    """
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or seed < 0:
        raise BadInputError(f"seed={seed!r} is not allowed. Allowed: whole numbers from 0.")
    if not 1970 < ends_at.year < 9999:
        raise BadInputError(f"ends_at={ends_at.isoformat()} is not allowed. Allowed: years 1971 to 9998.")
    ends_us = to_us(ends_at)
    midnight_us = ends_us - ends_us % DAY_US
    frames = _happened(frames_until(ends_us, seed=int(seed)), incident, ends_us)
    recorded = frames.take(frames.score >= RECORDED_FROM)
    seen = _seen(recorded)
    found = _analyses(recorded, seen, seed=int(seed), midnight_us=midnight_us, ends_us=ends_us)
    closed = [a for a in found if a.done_us is not None and not a.is_lost]
    waiting = _waiting(closed, ends_us)
    if incident.reasoner_down_s:
        stopped_us = ends_us - incident.reasoner_down_s * SECOND
        waiting = [a for a in closed if (a.done_us or 0) > stopped_us and (a.batch.closed_us or 0) <= ends_us]
    kept_back = {a.batch_id for a in waiting}
    done = [a for a in closed if a.batch_id not in kept_back and (a.done_us or 0) <= ends_us]
    events = _events(done)
    is_true = {one.detection_id: one.is_true for one in seen}
    tables = {
        "cameras": (CAMERA_COLUMNS, _cameras(recorded, midnight_us)),
        "detections": (DETECTION_COLUMNS, _detections(recorded, seen)),
        "events": (EVENT_COLUMNS, events),
        "event_feedback": (FEEDBACK_COLUMNS, feedback(events, is_true, seed=int(seed), ends_us=ends_us)),
        "gpu_stats": (GPU_COLUMNS, _gpu_stats(int(seed), midnight_us, ends_us)),
        "secnb_truth": (TRUTH_COLUMNS, _truth(frames, seen)),
    }
    return Records(tables, tuple(a for a in found if a.done_us is None), _in_turn(waiting), ends_at, incident)


def file_paths(camera: Ints, taken_us: Ints) -> list[str]:
    """Return where a camera uploads an image, by the time at which it was taken.

    Examples
    --------
    >>> file_paths(np.array([2]), np.array([0]))
    ['/export/foscam/front_door/1970/01/01/MDAlarm_19700101-000000-000000.jpg']
    """
    paths = []
    for position, text in zip(camera.tolist(), as_text(taken_us), strict=True):
        day, clock = text.split(" ")
        name = f"{day.replace('-', '')}-{clock.replace(':', '').replace('.', '-')}"
        folder = f"{CAMERAS[position]}/{day.replace('-', '/')}"
        paths.append(f"/export/foscam/{folder}/MDAlarm_{name}.jpg")
    return paths


def _seen(recorded: Frames) -> list[Seen]:
    """Return the detections, numbered in time order, as they were inserted."""
    columns = (
        recorded.luck.tolist(),
        _LABELS[recorded.kind].tolist(),
        recorded.score.tolist(),
        _IS_TRUE[recorded.kind].tolist(),
    )
    return [
        Seen(
            number,
            None if luck > _NO_TYPE_ABOVE else label,
            None if luck < _NO_CONFIDENCE_BELOW else score,
            is_true,
        )
        for number, (luck, label, score, is_true) in enumerate(zip(*columns, strict=True), start=1)
    ]


def _is_fast_path(seen: Seen) -> bool:
    if seen.confidence is None or seen.label is None:
        return False
    return seen.confidence >= FAST_PATH_FROM and seen.label in FAST_PATH_TYPES


def _analyses(
    recorded: Frames, seen: list[Seen], *, seed: int, midnight_us: int, ends_us: int
) -> list[Analysis]:
    fast = np.array([_is_fast_path(one) for one in seen])
    batches: list[Batch] = []
    alone: list[Batch] = []
    for camera in range(len(CAMERAS)):
        here = recorded.camera == camera
        rows = np.flatnonzero(here & ~fast)
        arrivals = zip(rows.tolist(), recorded.at_us[rows].tolist(), strict=True)
        batches.extend(close_batches(arrivals, camera=camera, ends_us=ends_us))
        rows = np.flatnonzero(here & fast)
        for row, at_us in zip(rows.tolist(), recorded.at_us[rows].tolist(), strict=True):
            alone.append(Batch(camera, at_us, at_us, [row], closed_us=at_us))
    return [
        *analyses(batches, seen, seed=seed, midnight_us=midnight_us, is_fast_path=False),
        *analyses(alone, seen, seed=seed, midnight_us=midnight_us, is_fast_path=True),
    ]


def _happened(frames: Frames, incident: Incident, ends_us: int) -> Frames:
    """Return what reached the detector, and from when its images are."""
    if incident.silent_camera:
        since_us = ends_us - incident.silent_s * SECOND
        is_lost = (frames.camera == CAMERAS.index(incident.silent_camera)) & (frames.at_us >= since_us)
        frames = frames.take(~is_lost)
    if incident.detector_lag_s:
        # At half speed, what it replies to lies back half the time since it became slow.
        behind_us = (frames.at_us - (ends_us - 2 * incident.detector_lag_s * SECOND)) // 2
        frames.taken_us = np.minimum(frames.taken_us, frames.at_us - behind_us.clip(min=0))
    return frames


def _in_turn(waiting: list[Analysis]) -> tuple[Analysis, ...]:
    """Return the batches that wait, the first closed first; the fast path queues nothing."""
    queued = [a for a in waiting if not a.is_fast_path]
    return tuple(sorted(queued, key=lambda a: (a.batch.closed_us or 0, a.batch_id)))


def _waiting(closed: list[Analysis], ends_us: int) -> list[Analysis]:
    """Return the batches closed last; those closed earlier are done, as on any ordinary day."""
    midnight_us, since_us = ends_us - ends_us % DAY_US, ends_us - _WAITING_US
    late = [a for a in closed if not a.is_fast_path and (a.batch.closed_us or 0) >= since_us]
    # Earlier days do not depend on the time of day at which the history ends.
    today = [a for a in late if a.batch.started_us >= midnight_us]
    return sorted(today, key=lambda a: a.batch.closed_us or 0)[-_N_WAITING:]


def _cameras(recorded: Frames, midnight_us: int) -> Rows:
    created_at = as_text([midnight_us - (WHOLE_DAYS + 1) * DAY_US + 9 * 3600 * SECOND])[0]
    rows: Rows = []
    for camera, name in enumerate(CAMERAS):
        seen_at = as_text([int(recorded.at_us[recorded.camera == camera].max())])[0]
        last_seen_at = None if name == NEVER_SEEN else seen_at
        title = name.replace("_", " ").title()
        rows.append((name, title, f"/export/foscam/{name}", "online", created_at, last_seen_at))
    return rows


def _detections(recorded: Frames, seen: list[Seen]) -> Rows:
    box = recorded.box.T.tolist()
    # The lowest and highest luck is spent above; any other stretch is as good.
    has_none = (recorded.luck > 0.5) & (recorded.luck < 0.5 + _NO_THUMBNAIL_RATIO)
    return [
        (s.detection_id, CAMERAS[camera], path, ".jpg", at, s.label, s.confidence, x, y, w, h, thumbnail)
        for s, camera, path, at, x, y, w, h, thumbnail in zip(
            seen,
            recorded.camera.tolist(),
            file_paths(recorded.camera, recorded.taken_us),
            as_text(recorded.at_us),
            *box,
            [
                None if none else f"data/thumbnails/{s.detection_id}_thumb.jpg"
                for s, none in zip(seen, has_none.tolist(), strict=True)
            ],
            strict=True,
        )
    ]


def _events(done: list[Analysis]) -> Rows:
    """Return the events, numbered in the order in which the reasoner finished."""
    done = sorted(done, key=lambda a: (a.done_us or 0, a.batch_id))
    started = as_text([a.batch.started_us for a in done])
    ended = as_text([a.batch.last_us for a in done])
    return [
        (event_id, CAMERAS[a.batch.camera], start, end, *event_row(a))
        for event_id, (a, start, end) in enumerate(zip(done, started, ended, strict=True), start=1)
    ]


def _truth(frames: Frames, seen: list[Seen]) -> Rows:
    """Return one row per detection, and one per object of which no image was recorded."""
    is_true = _IS_TRUE[frames.kind]
    objects = np.unique(frames.burst[is_true])
    object_id = {int(burst): number for number, burst in enumerate(objects, start=1)}
    is_recorded = frames.score >= RECORDED_FROM
    bursts = frames.burst[is_recorded].tolist()
    rows: Rows = [
        (one.detection_id, int(one.is_true), object_id.get(burst) if one.is_true else None)
        for one, burst in zip(seen, bursts, strict=True)
    ]
    missed = np.setdiff1d(objects, frames.burst[is_recorded]).tolist()
    return [*rows, *((None, 1, object_id[burst]) for burst in missed)]


def _gpu_stats(seed: int, midnight_us: int, ends_us: int) -> Rows:
    """Return one sample per five minutes of the last 24 hours, in percent, MB (2**20 bytes), °C, frames/s."""
    rows: Rows = []
    for offset in (1, 0):
        luck = draws(seed, offset, len(CAMERAS)).random((DAY_US // _GPU_STEP_US, 4))
        at_us = midnight_us - offset * DAY_US + np.arange(len(luck)) * _GPU_STEP_US
        busy = 12 + 70 * luck[:, 0] ** 3
        used = (0.55 + 0.1 * luck[:, 1]) * _GPU_MEMORY_MB
        columns = (
            as_text(at_us),
            np.round(busy, 1).tolist(),
            used.astype(np.int64).tolist(),
            [_GPU_MEMORY_MB] * len(luck),
            np.round(41 + 0.4 * busy + 3 * luck[:, 2], 1).tolist(),
            np.round(2 + 9 * luck[:, 3], 2).tolist(),
        )
        wanted = (at_us > ends_us - DAY_US) & (at_us <= ends_us)
        rows.extend(row for row, keep in zip(zip(*columns, strict=True), wanted, strict=True) if keep)
    return rows
