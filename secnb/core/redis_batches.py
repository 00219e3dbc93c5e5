"""Reading the keys of open batches: which belong together, each batch at one instant."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from secnb.core.redis_keys import scan
from secnb.core.redis_reader import RedisReader

PARTS: Final = ("camera_id", "started_at", "last_activity", "detections", "closing")
_OTHER_PARTS: Final = ("pipeline_start_time",)
_PREFIX: Final = b"batch:"
_CURRENT: Final = b"current"
# Seven commands each; a transaction of them all keeps the server busy for well under 10 ms.
_AT_ONCE = 50
_PAGE = 1000


@dataclass(frozen=True)
class Part:
    """One key of a batch: its type (``"none"`` where absent), its text, its length if it is a list."""

    type: str
    text: bytes | None
    length: int | None = None


@dataclass(frozen=True)
class BatchKeys:
    """The keys of one batch.

    Attributes
    ----------
    camera : bytes or None
        The camera whose ``current`` key names the batch; None where no camera does.
    batch_id : bytes or None
        None where the ``current`` key of the camera cannot be read; `current` is that key then.
    parts : mapping of str to Part
        By the names of `PARTS`.
    """

    camera: bytes | None
    batch_id: bytes | None
    parts: Mapping[str, Part]
    current: Part | None = None


async def fetch_batches(reader: RedisReader) -> list[BatchKeys]:
    """Return every batch that a camera's ``current`` key or any key of its own names.

    A batch that was closed while it was looked for is left out.
    """
    cameras, ids = await _names(reader)
    currents = await _currents(reader, cameras)
    unreadable = [
        BatchKeys(camera, None, {}, part)
        for camera, part in currents.items()
        if part.text is None and part.type != "none"
    ]
    wanted: dict[bytes, list[bytes | None]] = {batch_id: [] for batch_id in ids}
    for camera, part in currents.items():
        if part.text is not None:
            wanted.setdefault(read_id(part.text), []).append(camera)
    pairs = [(camera, batch_id) for batch_id, owners in wanted.items() for camera in owners or [None]]
    batches = []
    for at in range(0, len(pairs), _AT_ONCE):
        batches += await _batches(reader, pairs[at : at + _AT_ONCE], currents)
    return unreadable + batches


def read_id(text: bytes) -> bytes:
    """Return an id without the quotes that a value written as JSON has."""
    if text.startswith(b'"'):
        try:
            value = json.loads(text)
        except ValueError:
            return text
        # A lone surrogate has no bytes of its own, and names no key.
        return str(value).encode("utf-8", "backslashreplace")
    return text


async def _names(reader: RedisReader) -> tuple[list[bytes], list[bytes]]:
    """Return the cameras with a ``current`` key, and the ids of batches with any other."""
    cameras: list[bytes] = []
    ids: dict[bytes, None] = {}
    known = {part.encode() for part in (*PARTS, *_OTHER_PARTS)}
    async for names in scan(reader, "batch:*"):
        for name in names:
            owner, _, part = name.removeprefix(_PREFIX).rpartition(b":")
            if part == _CURRENT:
                cameras.append(owner)
            elif part in known:
                ids[owner] = None
    return cameras, list(ids)


async def _currents(reader: RedisReader, cameras: Sequence[bytes]) -> dict[bytes, Part]:
    found: dict[bytes, Part] = {}
    for at in range(0, len(cameras), _PAGE):
        page = cameras[at : at + _PAGE]
        keys = [_key(camera, _CURRENT) for camera in page]
        answers = await reader.ask([command for key in keys for command in (("TYPE", key), ("GET", key))])
        for camera, kind, text in zip(page, answers[::2], answers[1::2], strict=True):
            found[camera] = _part(kind, text)
    return found


async def _batches(
    reader: RedisReader,
    pairs: Sequence[tuple[bytes | None, bytes]],
    currents: Mapping[bytes, Part],
) -> list[BatchKeys]:
    asked: list[tuple[Any, ...]] = []
    for camera, batch_id in pairs:
        asked.append(("GET", _key(camera or b"", _CURRENT)))
        for part in PARTS:
            key = _key(batch_id, part.encode())
            asked += [("TYPE", key), ("GET", key)]
        asked.append(("LLEN", _key(batch_id, b"detections")))
    answers = iter(await reader.ask(asked, at_once=True))
    batches = []
    for camera, batch_id in pairs:
        current = next(answers)
        parts = {part: _part(next(answers), next(answers)) for part in PARTS}
        length = next(answers)
        if parts["detections"].type == "list" and isinstance(length, int):
            parts["detections"] = Part("list", None, length)
        is_current = camera is not None and current == currents[camera].text
        if is_current or any(part.type != "none" for part in parts.values()):
            batches.append(BatchKeys(camera if is_current else None, batch_id, parts))
    return batches


def _key(owner: bytes, part: bytes) -> bytes:
    return _PREFIX + owner + b":" + part


def _part(kind: Any, text: Any) -> Part:
    shown = kind.decode() if isinstance(kind, bytes) else "unknown"
    return Part(shown, text if isinstance(text, bytes) else None)
