"""How each generation puts its work into Redis: lists or streams, open batches, caches.

Everything is written with the raw client, because a real deployment's values are encoded in a way of
their own: each value of a plain key is JSON, even a string, and in the first generation a batch's ids
are JSON within JSON.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import redis
import zstandard

from secnb import schema
from secnb.sample.aggregate import SECOND
from secnb.sample.generations import Generation
from secnb.sample.records import Records
from secnb.sample.scenes import CAMERAS
from secnb.sample.streams import fill_streams
from secnb.sample.tables import as_dicts, as_text
from secnb.sample.work import (
    Job,
    Letter,
    batches,
    dead_batches,
    dead_images,
    images,
    local,
    seen_files,
)

_BATCH_TTL_S: Final = 3600
_CACHE_TTL_S: Final = 300
_STATUS_TTL_S: Final = 60
_COMPRESSED_FROM_BYTES: Final = 1024

Pipeline = redis.client.Pipeline


def fill_redis(url: str, records: Records, *, seed: int, generation: Generation) -> None:
    """Write the queues, batches and caches of a synthetic sandbox into its empty Redis.

    Parameters
    ----------
    url : str
        The URL of a server that was started for this sandbox.
    records : Records
        What the database holds; the queues go on from there.
    seed : int
        Not negative.
    generation : {"sqlite", "postgres", "streams"}
        In which form.
    """
    with (
        contextlib.closing(redis.Redis.from_url(url)) as client,
        client.pipeline(transaction=False) as pipe,
    ):
        if generation == "streams":
            fill_streams(pipe, records, seed=seed)
        elif generation == "postgres":
            _fill_later_lists(pipe, records, seed=seed)
        else:
            _fill_first_lists(pipe, records, seed=seed)
        _fill_batches(pipe, records, is_first=generation == "sqlite")
        _fill_caches(pipe, records, is_first=generation == "sqlite")
        for key, path, ttl_s in seen_files(records, seed=seed):
            pipe.set(key, json.dumps(path), ex=ttl_s)
        pipe.execute()


def _fill_first_lists(pipe: Pipeline, records: Records, *, seed: int) -> None:
    pipe.rpush("detection_queue", *first_items(images(records, seed=seed)))
    pipe.rpush("analysis_queue", *first_items(batches(records)))
    pipe.rpush(
        "dlq:detection_queue", *(_json(_letter(each, "detection_queue")) for each in dead_images(records))
    )
    pipe.rpush(
        "dlq:analysis_queue", *(_json(_letter(each, "analysis_queue")) for each in dead_batches(records))
    )


def first_items(work: Iterable[tuple[Any, Job | bytes]]) -> list[bytes]:
    """Return the items of a list as the first generation stores them; what is poisoned stays as it is."""
    return [job if isinstance(job, bytes) else _json(job) for _, job in work]


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _letter(letter: Letter, queue: str) -> dict[str, Any]:
    return {
        "original_job": letter.job,
        "error": letter.error,
        "attempt_count": letter.n_attempts,
        "first_failed_at": local(letter.first_at),
        "last_failed_at": local(letter.last_at),
        "queue_name": queue,
    }


def _fill_later_lists(pipe: Pipeline, records: Records, *, seed: int) -> None:
    """Write lists with more fields, some of them compressed.

    Only the watcher of the folders puts the prefix before the name; the aggregator and the workers that
    give up use the bare one.
    """
    images_key = f"{schema.KEY_PREFIX}:queue:detection_queue"
    waiting = [
        job
        if isinstance(job, bytes)
        else packed(job | {"media_type": "image", "pipeline_start_time": local(at)})
        for at, job in images(records, seed=seed)
    ]
    pipe.rpush(images_key, *waiting)
    pipe.rpush(
        "analysis_queue",
        *(
            job if isinstance(job, bytes) else packed(job | {"pipeline_start_time": local(at)})
            for at, job in batches(records)
        ),
    )
    for queue, letters in (
        ("detection_queue", dead_images(records)),
        ("analysis_queue", dead_batches(records)),
    ):
        pipe.rpush(f"dlq:{queue}", *(packed(_later_letter(each, queue)) for each in letters))
    pipe.rpush("dlq:overflow:analysis_queue", _json(_overflow(records)))


def packed(value: Mapping[str, Any]) -> bytes:
    """Return an item as the second generation stores it: compressed where it is long."""
    text = _json(value)
    if len(text) <= _COMPRESSED_FROM_BYTES:
        return text
    return b"Z:" + base64.b64encode(zstandard.ZstdCompressor().compress(text))


def _later_letter(letter: Letter, queue: str) -> dict[str, Any]:
    module = f"/app/backend/services/{queue}_worker.py"
    frames = "".join(
        f'  File "{module}", line {line}, in step_{line}\n    await step(job)\n'
        for line in range(40, 40 + 12 * letter.n_attempts, 3)
    )
    has_answer = letter.error_type == "ConnectError"
    return {
        **_letter(letter, queue),
        "error_type": letter.error_type,
        "stack_trace": f"Traceback (most recent call last):\n{frames}{letter.error_type}: {letter.error}",
        "http_status": 503 if has_answer else None,
        "response_body": "Service Unavailable" if has_answer else None,
        "retry_delays": [1.0, 2.0, 4.0][: letter.n_attempts - 1],
        "context": {"worker": f"{queue}-worker-1"},
    }


def _overflow(records: Records) -> dict[str, str]:
    """Return a batch that was closed because it was full, and that its queue then had no room for."""
    started_at = records.ends_at.timestamp() - 5 * 86_400
    job = {
        "batch_id": "0f" * 16,
        "camera_id": "driveway",
        "detection_ids": list(range(1, 501)),
        "started_at": started_at,
        "ended_at": started_at + 88.5,
        "reason": "max_size",
    }
    return {
        "original_queue": "analysis_queue",
        "data": packed(job).decode(),
        "reason": "queue_overflow",
        "overflow_policy": "dlq",
    }


def _fill_batches(pipe: Pipeline, records: Records, *, is_first: bool) -> None:
    """Write the keys of the batches that were open at the end, with what is left of their hour."""
    ends_us = records.ends_at.timestamp() * SECOND
    for analysis in records.open_batches:
        batch, camera_id = analysis.batch, CAMERAS[analysis.batch.camera]
        key = f"batch:{analysis.batch_id}:"
        since_start = _BATCH_TTL_S - int((ends_us - batch.started_us) / SECOND)
        since_last = _BATCH_TTL_S - int((ends_us - batch.last_us) / SECOND)
        ids = [d.detection_id for d in analysis.detections]
        pipe.set(f"batch:{camera_id}:current", json.dumps(analysis.batch_id), ex=since_start)
        pipe.set(f"{key}camera_id", json.dumps(camera_id), ex=since_start)
        if is_first:
            pipe.set(f"{key}detections", json.dumps(json.dumps(ids)), ex=since_last)
        else:
            pipe.rpush(f"{key}detections", *ids)
            pipe.expire(f"{key}detections", since_last)
            started_at = as_text([batch.started_us])[0].replace(" ", "T")
            pipe.set(f"{key}pipeline_start_time", json.dumps(started_at), ex=since_start)
        # Only the start is not refreshed when a detection is added; both hold decimals as text.
        pipe.set(f"{key}started_at", json.dumps(str(batch.started_us / SECOND)), ex=since_start)
        pipe.set(f"{key}last_activity", json.dumps(str(batch.last_us / SECOND)), ex=since_last)


def _fill_caches(pipe: Pipeline, records: Records, *, is_first: bool) -> None:
    # Later a key helper puts its own prefix behind that of the service.
    before = "cache:" if is_first else f"cache:{schema.KEY_PREFIX}:cache:"
    n_events = len(records.tables["events"][1])
    for name, value, ttl_s in (
        ("cameras:list", as_dicts(records.tables, "cameras"), _CACHE_TTL_S),
        ("event_stats", {"total_events": n_events}, _CACHE_TTL_S),
        ("system_status", {"status": "healthy", "redis": "healthy"}, _STATUS_TTL_S),
    ):
        pipe.set(f"{before}{name}", json.dumps(value), ex=ttl_s)
