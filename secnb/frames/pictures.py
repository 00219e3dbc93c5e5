"""The picture of a detection: found below the cameras' folder, read with a cap, or said why not."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from secnb.core.reader import DatabaseReader
from secnb.errors import UnknownColumnError, UnknownDetectionError, UnknownNameError

MAX_BYTES: Final = 20 * 2**20
"""A picture above this is not read: it would be copied into the notebook a third larger."""

_VIDEOS: Final = frozenset({".mp4", ".mkv", ".avi", ".mov", ".webm", ".m4v", ".ts"})
_COLUMNS: Final = (
    *("id", "camera_id", "file_path", "file_type", "media_type", "detected_at", "object_type", "confidence"),
    *("bbox_x", "bbox_y", "bbox_width", "bbox_height"),
)


@dataclass(frozen=True)
class Image:
    """The bytes of a picture, or why there are none.

    Attributes
    ----------
    content : bytes
    mime : str
        ``"image/jpeg"`` or ``"image/png"``; ``""`` without a picture.
    width, height : int
        In pixels; 0 without a picture.
    problem : str or None
        Why there is no picture.
    """

    content: bytes = b""
    mime: str = ""
    width: int = 0
    height: int = 0
    problem: str | None = None


async def read_detection(
    reader: DatabaseReader, detection_id: int, *, left_out: str | None = None
) -> dict[str, Any]:
    """Return what is recorded of one detection.

    Parameters
    ----------
    reader : DatabaseReader
    detection_id : int
    left_out : str, optional
        What a snapshot says of its table of detections; None where the retention decides.

    Raises
    ------
    UnknownDetectionError
        If there is none of that id.
    UnknownNameError, UnknownColumnError
        If there is no table of detections, or none with ids.
    """
    stored = await reader.fetch_columns("detections")
    if not stored:
        raise UnknownNameError("table", "detections", await reader.fetch_tables())
    if "id" not in stored:
        raise UnknownColumnError("column", "id", stored)
    names = [name for name in _COLUMNS if name in stored]
    query = f"SELECT {', '.join(names)} FROM detections WHERE id = :id"  # noqa: S608 - names of our own
    rows = (await reader.fetch(query, {"id": detection_id})).rows
    if not rows:
        first, last = (await reader.fetch("SELECT min(id), max(id) FROM detections")).rows[0]
        known = [] if first is None else [f"from {first} to {last}"]
        why = "what is older than the retention is deleted"
        why = why if left_out is None else f"the snapshot has of that table: {left_out}"
        hint = f"site.detections() lists them; {why}."
        raise UnknownDetectionError("detection", detection_id, known, hint=hint)
    return dict.fromkeys(_COLUMNS) | dict(zip(names, rows[0], strict=True))


async def read_folder(reader: DatabaseReader, camera_id: object) -> object:
    """Return the folder that a camera uploads to; None where none is recorded."""
    if not {"id", "folder_path"} <= set(await reader.fetch_columns("cameras")):
        return None
    found = await reader.fetch("SELECT folder_path FROM cameras WHERE id = :id", {"id": camera_id})
    return found.rows[0][0] if found.rows else None


def read_image(root: Path, file_path: object, *, folder: object = None, is_video: bool = False) -> Image:
    """Return the picture in a file below `root`; what cannot be shown is said, never raised.

    Parameters
    ----------
    root : Path
        The folder that the cameras upload to. Nothing outside of it is read, by whatever way.
    file_path : object
        As recorded. Relative ones count from the camera's `folder`, and that from `root`.
    folder : object
        As recorded.
    is_video : bool
        Whether the record says that it is one.
    """
    if not isinstance(file_path, str) or not file_path or "\0" in file_path:
        return Image(problem="no file is recorded")
    if is_video or Path(file_path).suffix.lower() in _VIDEOS:
        return Image(problem="it is a video")
    try:
        inside = _inside(root, Path(folder) if isinstance(folder, str) and folder else Path(), file_path)
        if inside is None:
            return Image(problem=f"the file does not lie below {root}, where the cameras upload to")
        return _image(_read(root.resolve(), inside.parts))
    except FileNotFoundError:
        return Image(problem="there is no such file here; it was deleted, or lies on another machine")
    # A path can also be too long, a loop of links, or not to be encoded.
    except (OSError, ValueError, RuntimeError) as exc:
        return Image(problem=f"the file cannot be read ({getattr(exc, 'strerror', None) or exc})")


def _inside(root: Path, folder: Path, file_path: str) -> Path | None:
    """Return the way from `root` to the file, all links followed; None if it lies outside."""
    base = root.resolve()
    target = (base / folder / file_path).resolve()
    return target.relative_to(base) if target.is_relative_to(base) and target != base else None


def _read(base: Path, parts: Sequence[str]) -> bytes:
    """Return the content of a regular file, opened step by step.

    No step follows a link, so that one put there since the way was checked leads nowhere.
    """
    opened = os.open(base, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for number, part in enumerate(parts, start=1):
            kind = os.O_NONBLOCK if number == len(parts) else os.O_DIRECTORY
            deeper = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | kind, dir_fd=opened)
            os.close(opened)
            opened = deeper
        found = os.fstat(opened)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("it is no regular file")
        if found.st_size > MAX_BYTES:
            raise ValueError(f"it has {found.st_size:,} bytes, and {MAX_BYTES:,} are the most that is read")
        with os.fdopen(os.dup(opened), "rb") as file:
            return file.read(MAX_BYTES)
    finally:
        os.close(opened)


def _image(content: bytes) -> Image:
    for mime, measure in (("image/png", png_size), ("image/jpeg", jpeg_size)):
        size = measure(content)
        if size is not None and min(size) > 0:
            return Image(content, mime, *size)
    return Image(problem="it is neither JPEG nor PNG" if content else "the file is empty")


def png_size(content: bytes) -> tuple[int, int] | None:
    """Return width and height of a PNG; None if it is none."""
    if len(content) < 24 or not content.startswith(b"\x89PNG\r\n\x1a\n") or content[12:16] != b"IHDR":
        return None
    width, height = struct.unpack(">II", content[16:24])
    return width, height


def jpeg_size(content: bytes) -> tuple[int, int] | None:
    """Return width and height of a JPEG from the header of its frame; None if it has none."""
    if not content.startswith(b"\xff\xd8\xff"):
        return None
    at = 2
    while at + 9 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:
            at += 1  # a filling byte
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", content[at + 5 : at + 9])
            return width, height
        elif marker in (0xD8, 0x01) or 0xD0 <= marker <= 0xD7:
            at += 2
        else:
            at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return None
