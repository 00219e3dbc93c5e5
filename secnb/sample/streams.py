"""How the newest generation queues: streams, whose groups hold what was delivered and not yet done."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import redis
from redis.typing import EncodableT, FieldT

from secnb.sample.aggregate import SECOND
from secnb.sample.history import to_us
from secnb.sample.records import Records
from secnb.sample.tables import as_dicts, from_text
from secnb.sample.work import Job, Letter, batches, dead_batches, dead_images, images, local

_N_DONE: Final = 200
_N_WORKERS: Final = 2

Pipeline = redis.client.Pipeline
Timed = tuple[datetime, Job | bytes]


def fill_streams(pipe: Pipeline, records: Records, *, seed: int) -> None:
    """Write both streams, each with entries that are done, in work and waiting, and their dead letters.

    Entries have the times of the history in their ids. What is done stays, so that the length of a
    stream says nothing about what waits.
    """
    for name, done, waiting, letters in (
        ("detection", _done_images(records), images(records, seed=seed), dead_images(records)),
        ("analysis", _done_batches(records), batches(records), dead_batches(records)),
    ):
        # One image that waits may be poisoned, and so may a batch: the stream keeps their order.
        stream = "detections:stream" if name == "detection" else "analysis:stream"
        work = list(waiting)
        earlier = [each for each in done if each[0] < work[0][0]][-_N_DONE:]
        ids = _add(pipe, stream, [*earlier, *work])
        _deliver(pipe, stream, f"{name}-workers", ids, n_done=len(earlier), at=records.ends_at)
        _add(pipe, f"{stream}:dlq", [(each.last_at, _dead(each)) for each in letters])


def _add(pipe: Pipeline, stream: str, entries: Iterable[Timed]) -> list[str]:
    """Add entries in their order, and return their ids."""
    ids = []
    for number, (at, job) in enumerate(entries, start=1):
        ids.append(f"{to_us(at) // 1000}-{number}")
        pipe.xadd(stream, _fields(job), id=ids[-1])
    return ids


def _fields(job: Job | bytes) -> dict[FieldT, EncodableT]:
    """Return flat fields of text; what cannot be read as any is one field of bytes."""
    if isinstance(job, bytes):
        found = _inside(job)
        return _fields(found) if isinstance(found, dict) else {"data": job}
    return {
        name: _text(value).encode("utf-8", "backslashreplace")
        for name, value in job.items()
        if value is not None
    }


def _inside(raw: bytes) -> Any:
    """Return the JSON in `raw`, encoded once or twice; as much of it as there is."""
    found: Any = raw
    while isinstance(found, bytes | str):
        try:
            found = json.loads(found)
        except ValueError:
            break
    return found


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _deliver(pipe: Pipeline, stream: str, group: str, ids: list[str], *, n_done: int, at: datetime) -> None:
    """Let the workers of a group take entries: those done are acknowledged, one each is in work."""
    pipe.xgroup_create(stream, group, id="0")
    if n_done:
        pipe.xreadgroup(group, f"{group[:-1]}-1", {stream: ">"}, count=n_done)
        pipe.xack(stream, group, *ids[:n_done])
    taken_ms = to_us(at - timedelta(seconds=3)) // 1000
    for number, entry_id in enumerate(ids[n_done : n_done + _N_WORKERS], start=1):
        worker = f"{group[:-1]}-{number}"
        pipe.xreadgroup(group, worker, {stream: ">"}, count=1)
        # As of the end of the history, not of when the sandbox was made.
        pipe.xclaim(stream, group, worker, 0, [entry_id], time=taken_ms, retrycount=1, justid=True)


def _dead(letter: Letter) -> Job:
    return {
        **letter.job,
        "original_message_id": f"{to_us(letter.first_at) // 1000}-0",
        "dlq_reason": letter.error,
        "dlq_timestamp": local(letter.last_at),
        "delivery_count": letter.n_attempts,
    }


def _done_images(records: Records) -> Iterator[Timed]:
    """Yield the images of the newest detections, each once, in the order in which they came."""
    newest = as_dicts(records.tables, "detections")[-5 * _N_DONE :]
    cameras = {row["file_path"]: row["camera_id"] for row in newest}
    taken = sorted((_taken_at(path), path) for path in cameras)
    for at, path in taken:
        yield at, {"camera_id": cameras[path], "file_path": path, "timestamp": local(at)}


def _taken_at(path: str) -> datetime:
    """Return the time in the name of an image."""
    clock = path.rpartition("MDAlarm_")[2].removesuffix(".jpg")
    return datetime.strptime(clock, "%Y%m%d-%H%M%S-%f").replace(tzinfo=UTC)


def _done_batches(records: Records) -> Iterator[Timed]:
    """Yield the batches of the newest events, as if each had been idle for 30 s before it closed."""
    events = [event for event in as_dicts(records.tables, "events") if not event["is_fast_path"]]
    closed = sorted((from_text(event["ended_at"]) + 30 * SECOND, event["id"], event) for event in events)
    for closed_us, _, event in closed:
        at = datetime.fromtimestamp(closed_us / SECOND, UTC)
        job = {name: event[name] for name in ("batch_id", "camera_id", "detection_ids")}
        yield at, job | {"timestamp": closed_us / SECOND}
