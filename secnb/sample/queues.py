"""What a first-generation deployment holds in Redis: queues, dead letters, open batches, caches.

Everything is written with the raw client, because a real deployment's values are encoded in a way of
their own: each value of a plain key is JSON, even a string, and a batch's ids are JSON within JSON.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import redis

from secnb.sample.aggregate import SECOND
from secnb.sample.history import draws
from secnb.sample.reasoning import Analysis
from secnb.sample.records import Records, file_paths
from secnb.sample.scenes import CAMERAS

_BATCH_TTL_S: Final = 3600
_DEDUPE_TTL_S: Final = 300
_CACHE_TTL_S: Final = 300
_STATUS_TTL_S: Final = 60

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


def fill(client: redis.Redis, records: Records, *, seed: int) -> None:
    """Write the queues, batches and caches of a synthetic deployment into an empty server.

    Parameters
    ----------
    client : redis.Redis
        A raw, synchronous client.
    records : Records
        What the database holds; the queues go on from there.
    seed : int
        Not negative.
    """
    with client.pipeline(transaction=False) as pipe:
        pipe.rpush("detection_queue", *_images(records, seed=seed))
        pipe.rpush("analysis_queue", *_waiting(records), b'{"batch_id": null, "camera_id": "porch"}')
        pipe.rpush("dlq:detection_queue", *_dead_images(records))
        pipe.rpush("dlq:analysis_queue", _dead_batch(records))
        for key, value, ttl_s in (
            *_open_batches(records),
            *_caches(records),
            *_seen_files(records, seed=seed),
        ):
            pipe.set(key, json.dumps(value), ex=ttl_s)
        pipe.execute()


def _queued(records: Records, *, seed: int) -> Iterator[tuple[str, str, datetime]]:
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


def _images(records: Records, *, seed: int) -> Iterator[bytes]:
    """Yield the items of ``detection_queue``, a poisoned one after every fifth on an ordinary day."""
    incident = records.incident
    poison = list(itertools.islice(itertools.cycle(POISON), incident.n_poison))
    for number, (camera_id, path, at) in enumerate(_queued(records, seed=seed), start=1):
        item = {"camera_id": camera_id, "file_path": path, "timestamp": _local(at)}
        if number % 3 == 0:
            item["file_hash"] = _sha256(path)
        yield json.dumps(item).encode()
        if number % incident.poison_after == 0 and poison:
            yield poison.pop(0).replace(b"AT", _local(at).encode())


def _local(at: datetime) -> str:
    """Return what ``datetime.now().isoformat()`` gave in the deployment's zone, which is UTC here."""
    return at.replace(tzinfo=None).isoformat()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _waiting(records: Records) -> Iterator[bytes]:
    for analysis in records.waiting:
        yield json.dumps(_batch_item(analysis)).encode()


def _batch_item(analysis: Analysis) -> dict[str, object]:
    return {
        "batch_id": analysis.batch_id,
        "camera_id": CAMERAS[analysis.batch.camera],
        "detection_ids": [d.detection_id for d in analysis.detections],
        "timestamp": (analysis.batch.closed_us or analysis.batch.last_us) / SECOND,
    }


def _dead_images(records: Records) -> Iterator[bytes]:
    """Yield images that the detector gave up on."""
    errors = (
        ("side_gate", "File not found", 1),
        ("porch", "cannot identify image file", 3),
        ("front_door", "Connection refused: detector at http://localhost:8090", 3),
    )
    for number, (camera_id, error, attempts) in enumerate(errors, start=1):
        failed_at = records.ends_at - timedelta(hours=20 - 5 * number, seconds=11)
        path = f"/export/foscam/{camera_id}/unread-{number}.jpg"
        job = {"camera_id": camera_id, "file_path": path, "timestamp": _local(failed_at)}
        yield _dead_letter("detection_queue", job, error, attempts, failed_at)
    yield from _rejected(records)


def _rejected(records: Records) -> Iterator[bytes]:
    """Yield images of one camera that nothing could read, five minutes apart."""
    for number in range(records.incident.n_rejected, 0, -1):
        failed_at = records.ends_at - timedelta(minutes=5 * number)
        path = f"/export/foscam/garage/cut-off-{number}.jpg"
        job = {"camera_id": "garage", "file_path": path, "timestamp": _local(failed_at)}
        yield _dead_letter("detection_queue", job, "cannot identify image file", 3, failed_at)


def _dead_batch(records: Records) -> bytes:
    failed_at = records.ends_at - timedelta(hours=9)
    batch_id = _sha256("lost batch")[:32]
    job = {
        "batch_id": batch_id,
        "camera_id": "driveway",
        "detection_ids": [1, 2],
        "timestamp": failed_at.timestamp(),
    }
    return _dead_letter("analysis_queue", job, f"Batch {batch_id} not found in Redis", 3, failed_at)


def _dead_letter(
    queue: str, job: dict[str, object] | dict[str, str], error: str, attempts: int, failed_at: datetime
) -> bytes:
    last_at = failed_at + timedelta(seconds=7 * (attempts - 1))
    letter = {
        "original_job": job,
        "error": error,
        "attempt_count": attempts,
        "first_failed_at": _local(failed_at),
        "last_failed_at": _local(last_at),
        "queue_name": queue,
    }
    return json.dumps(letter).encode()


Entry = tuple[str, object, int]


def _open_batches(records: Records) -> Iterator[Entry]:
    """Yield the keys of the batches that were open at the end, with what is left of their hour."""
    ends_us = records.ends_at.timestamp() * SECOND
    for analysis in records.open_batches:
        batch, batch_id = analysis.batch, analysis.batch_id
        since_start = _BATCH_TTL_S - int((ends_us - batch.started_us) / SECOND)
        since_last = _BATCH_TTL_S - int((ends_us - batch.last_us) / SECOND)
        ids = json.dumps([d.detection_id for d in analysis.detections])
        yield f"batch:{CAMERAS[batch.camera]}:current", batch_id, since_start
        yield f"batch:{batch_id}:camera_id", CAMERAS[batch.camera], since_start
        yield f"batch:{batch_id}:detections", ids, since_last
        # Only this one is not refreshed when a detection is added; both hold decimals as text.
        yield f"batch:{batch_id}:started_at", str(batch.started_us / SECOND), since_start
        yield f"batch:{batch_id}:last_activity", str(batch.last_us / SECOND), since_last


def _caches(records: Records) -> Iterator[Entry]:
    columns, rows = records.tables["cameras"]
    cameras = [dict(zip(columns, row, strict=True)) for row in rows]
    yield "cache:cameras:list", cameras, _CACHE_TTL_S
    yield "cache:event_stats", {"total_events": len(records.tables["events"][1])}, _CACHE_TTL_S
    yield "cache:system_status", {"status": "healthy", "redis": "healthy"}, _STATUS_TTL_S


def _seen_files(records: Records, *, seed: int) -> Iterator[Entry]:
    """Yield the marks that keep an image from being queued twice within five minutes."""
    for _, path, at in _queued(records, seed=seed):
        left_s = _DEDUPE_TTL_S - int((records.ends_at - at).total_seconds())
        if left_s > 0:
            yield f"dedupe:{_sha256(path)}", path, left_s
