"""The work in hand at the end of a synthetic history, before it is stored in Redis.

What waits, what failed, which batches are open, which files were seen: the same for every generation.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np

from secnb.sample.aggregate import SECOND
from secnb.sample.history import draws
from secnb.sample.reasoning import Analysis
from secnb.sample.records import Records, file_paths
from secnb.sample.scenes import CAMERAS

_DEDUPE_TTL_S: Final = 300

Job = dict[str, Any]

POISON: Final = (
    b'{"camera_id": "front_door", "file_path": "/export/foscam/front_door/cut-off.jp',
    b"\x89PNG\r\n\x1a\n\x00\xff\xfe\x80",
    b"42",
    rb'"{\"camera_id\": \"porch\", \"file_path\": \"/export/foscam/porch/twice.jpg\"}"',
    b'{"camera_id": "garage", "timestamp": "AT"}',
    rb'{"camera_id": "driveway", "file_path": "/export/foscam/driveway/\ud83d.jpg", "timestamp": "AT"}',
    b'{"camera_id": "garage", "file_path": "/export/foscam/garage/1.jpg", "frame": 18446744073709551617}',
    b'{"camera_id": "porch", "file_path": "/export/foscam/porch/<script>alert(1)</script>.jpg"}',
)
"""Messages as they go wrong: cut off, binary, a bare number, encoded twice, without a path, a lone
surrogate, an integer beyond 64 bits, markup in a path. AT becomes the time of the message before."""


@dataclass(frozen=True)
class Letter:
    """A dead letter: work that was given up.

    Attributes
    ----------
    job : dict
        The work, as it stood in its queue.
    error, error_type : str
        What went wrong the last time.
    n_attempts : int
    first_at : datetime.datetime
        When it failed for the first time, UTC.
    """

    job: Job
    error: str
    error_type: str
    n_attempts: int
    first_at: datetime

    @property
    def last_at(self) -> datetime:
        """When it failed for the last time."""
        return self.first_at + timedelta(seconds=7 * (self.n_attempts - 1))


def local(at: datetime) -> str:
    """Return what ``datetime.now().isoformat()`` gave in the deployment's zone, which is UTC here."""
    return at.replace(tzinfo=None).isoformat()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def queued(records: Records, *, seed: int) -> Iterator[tuple[str, str, datetime]]:
    """Yield camera, path and time of the images that wait, the oldest first.

    The queue has been growing: the further back, the longer an image has waited.
    """
    sending = [name for name in CAMERAS if name != records.incident.silent_camera]
    luck = draws(seed, 0, len(CAMERAS) + 1).random((records.incident.n_queued, 2))
    waited_s = np.cumsum(0.5 + 30 * luck[:, 0] ** 2)[::-1]
    for age_s, which in zip(waited_s.tolist(), luck[:, 1].tolist(), strict=True):
        at = records.ends_at - timedelta(seconds=age_s)
        camera = CAMERAS.index(sending[int(which * len(sending))])
        at_us = round(at.timestamp() * SECOND)
        yield CAMERAS[camera], file_paths(np.array([camera]), np.array([at_us]))[0], at


def images(records: Records, *, seed: int) -> Iterator[tuple[datetime, Job | bytes]]:
    """Yield the images that wait for the detector, with a poisoned one after every fifth on an ordinary day.

    A poisoned one is bytes, and has the time of the image before it.
    """
    incident = records.incident
    poison = list(itertools.islice(itertools.cycle(POISON), incident.n_poison))
    for number, (camera_id, path, at) in enumerate(queued(records, seed=seed), start=1):
        job = {"camera_id": camera_id, "file_path": path, "timestamp": local(at)}
        if number % 3 == 0:
            job["file_hash"] = _sha256(path)
        yield at, job
        if number % incident.poison_after == 0 and poison:
            yield at, poison.pop(0).replace(b"AT", local(at).encode())


def batches(records: Records) -> Iterator[tuple[datetime, Job | bytes]]:
    """Yield the batches that wait for the reasoner, the last of them without an id."""
    at = records.ends_at
    for analysis in records.waiting:
        closed_us = analysis.batch.closed_us or analysis.batch.last_us
        at = datetime.fromtimestamp(closed_us / SECOND, records.ends_at.tzinfo)
        yield at, batch_job(analysis, closed_us / SECOND)
    yield at, b'{"batch_id": null, "camera_id": "porch"}'


def batch_job(analysis: Analysis, closed_at: float) -> Job:
    """Return a batch as it is queued when it closes, at a time in seconds since 1970."""
    return {
        "batch_id": analysis.batch_id,
        "camera_id": CAMERAS[analysis.batch.camera],
        "detection_ids": [d.detection_id for d in analysis.detections],
        "timestamp": closed_at,
    }


def dead_images(records: Records) -> Iterator[Letter]:
    """Yield images that the detector gave up on, those of a staged incident last."""
    errors = (
        ("side_gate", "File not found", "FileNotFoundError", 1),
        ("porch", "cannot identify image file", "UnidentifiedImageError", 3),
        ("front_door", "Connection refused: detector at http://localhost:8090", "ConnectError", 3),
    )
    for number, (camera_id, error, error_type, attempts) in enumerate(errors, start=1):
        failed_at = records.ends_at - timedelta(hours=20 - 5 * number, seconds=11)
        path = f"/export/foscam/{camera_id}/unread-{number}.jpg"
        yield Letter(_image_job(camera_id, path, failed_at), error, error_type, attempts, failed_at)
    for number in range(records.incident.n_rejected, 0, -1):
        # Nothing could read these, five minutes apart.
        failed_at = records.ends_at - timedelta(minutes=5 * number)
        path = f"/export/foscam/garage/cut-off-{number}.jpg"
        job = _image_job("garage", path, failed_at)
        yield Letter(job, "cannot identify image file", "UnidentifiedImageError", 3, failed_at)


def _image_job(camera_id: str, path: str, at: datetime) -> Job:
    return {"camera_id": camera_id, "file_path": path, "timestamp": local(at)}


def dead_batches(records: Records) -> Iterator[Letter]:
    """Yield the one batch that was lost between closing and analysis."""
    failed_at = records.ends_at - timedelta(hours=9)
    batch_id = _sha256("lost batch")[:32]
    job = {
        "batch_id": batch_id,
        "camera_id": "driveway",
        "detection_ids": [1, 2],
        "timestamp": failed_at.timestamp(),
    }
    yield Letter(job, f"Batch {batch_id} not found in Redis", "ValueError", 3, failed_at)


def seen_files(records: Records, *, seed: int) -> Iterator[tuple[str, str, int]]:
    """Yield key, path and time to live of the marks that keep an image from being queued twice."""
    for _, path, at in queued(records, seed=seed):
        left_s = _DEDUPE_TTL_S - int((records.ends_at - at).total_seconds())
        if left_s > 0:
            yield f"dedupe:{_sha256(path)}", path, left_s
