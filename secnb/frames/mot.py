"""Detections from MOTChallenge text files, in the one vocabulary."""

from __future__ import annotations

import codecs
import errno
import io
import math
import os
import re
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypedDict

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secnb import schema
from secnb.errors import BadInputError, MalformedLineWarning
from secnb.frames.notes import note
from secnb.frames.wanted import as_utc

_FIELDS: Final = ("frame", "id", "x", "y", "width", "height", "score", "world_x", "world_y", "world_z")
_SHORT: Final = 7
# What a file without a single odd character consists of; anything else is read line by line.
_PLAIN = re.compile(rb"[0-9eE+\-., \t\r\n]*")
_NUMBER = re.compile(r"[ \t]*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[ \t]*")
_LAST = datetime(9999, 12, 31, tzinfo=UTC)
# Beyond this, floats no longer tell one frame from the next.
_LAST_FRAME = 2**53
_SHOWN = 3
_SHOWN_LENGTH = 200

Numbers = NDArray[np.float64]


class _BadLine(TypedDict):
    line: int
    text: str
    error: str


def read_mot(
    path: str | os.PathLike[str],
    *,
    fps: float,
    start_at: datetime | str,
    camera_id: str | None = None,
    object_type: str = "person",
) -> pd.DataFrame:
    """Return the detections of a MOTChallenge text file, one row per well-formed line, in file order.

    Lines are ``frame, id, x, y, width, height, score, -1, -1, -1``: pixels from the top-left corner, frames
    from 1. The three after the score are missing in some files (MOT17), and then in all of their lines.
    Scores are kept as they are, beyond 0 to 1 too. Malformed lines are left out and reported; blank lines
    and lines that begin with ``#`` are no lines. A file without lines gives an empty frame with all columns
    and dtypes.

    Parameters
    ----------
    path : str or path-like
        The file.
    fps : float
        Frames per second of the video, above 0.
    start_at : datetime.datetime or str
        When frame 1 was taken; naive values are taken as UTC.
    camera_id : str, optional
        By default the file's name without its ending, as a deployment normalises folder names: in lower
        case, spaces and hyphens as underscores.
    object_type : str, default "person"
        What the detector looked for; the file does not say.

    Returns
    -------
    pandas.DataFrame
        Columns and dtypes of ``schema.DETECTIONS``; ``detection_id`` counts from 1, ``file_path`` is
        ``<stem>/<frame>.jpg``. ``attrs["malformed_lines"]`` is a list of line, text and error.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    BadInputError
        If `fps` or `start_at` is not allowed, the path is a folder, or no camera id can be made of it.

    Warns
    -----
    MalformedLineWarning
        If lines were left out: how many, and the first of them with file, line and reason.

    References
    ----------
    MOTChallenge 2015, arXiv 1504.01942, section 3.3.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
    ...     _ = file.write("8,-1,10.5,20,30,60,0.97,-1,-1,-1")
    ...     file.flush()
    ...     df = read_mot(file.name, fps=7, start_at="2026-03-01", camera_id="gate")
    >>> df[["camera_id", "confidence", "bbox_x", "detected_at"]]
      camera_id  confidence  bbox_x               detected_at
    0      gate        0.97    10.5 2026-03-01 00:00:01+00:00
    """
    file = Path(path)
    speed = _checked_fps(fps)
    start = as_utc("start_at", start_at)
    if start is None:
        raise BadInputError("start_at is None. Allowed: a datetime, or ISO 8601 text.")
    camera = _normalised(file.stem) if camera_id is None else camera_id
    if not camera:
        raise BadInputError(
            f"No camera id can be made of the name {file.name!r}.", hint="give one with camera_id=…."
        )
    data = _content(file)
    last_frame = min(1 + (_LAST - start).total_seconds() * speed, _LAST_FRAME)
    bad: list[_BadLine] = []
    numbers = _read_plain(data, last_frame)
    if numbers is None:
        numbers, bad = _read_lines(data, last_frame)
    frame = _frame(numbers, speed, start, camera, object_type, file.stem)
    note(frame, source=str(file), rows=len(frame), malformed_lines=bad)
    _warn(file, bad)
    return frame


def _checked_fps(fps: float) -> float:
    try:
        value = float(fps)
    except (TypeError, ValueError):
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise BadInputError(
            f"fps={fps!r} is not allowed. Allowed: numbers above 0.",
            hint="the frames per second of the video; a sequence's seqinfo.ini calls it frameRate.",
        )
    return value


def _content(file: Path) -> bytes:
    try:
        data = file.read_bytes()
    except FileNotFoundError as exc:
        raise FileNotFoundError(errno.ENOENT, "There is no such file", str(file.absolute())) from exc
    except IsADirectoryError as exc:
        raise BadInputError(f"{str(file)!r} is a folder. Allowed: one text file.") from exc
    return data.removeprefix(codecs.BOM_UTF8)


def _normalised(name: str) -> str:
    """Return a folder's name as a deployment makes a camera id of it."""
    words = re.sub(r"[\s-]+", "_", name.strip().lower())
    return re.sub(r"_+", "_", re.sub(r"\W", "", words)).strip("_")


def _read_plain(data: bytes, last_frame: float) -> Numbers | None:
    """Return the fields of all lines with the fast reader; None if any line needs a closer look."""
    if _PLAIN.fullmatch(data) is None or not data.strip():
        return None
    try:
        # numpy's reader rounds as Python does, and stops at a line of another length.
        numbers: Numbers = np.loadtxt(io.BytesIO(data), delimiter=",", comments=None, ndmin=2)
    except ValueError:
        return None
    if numbers.shape[1] not in (_SHORT, len(_FIELDS)):
        return None
    return numbers if _is_fine(numbers, last_frame) else None


def _is_fine(numbers: Numbers, last_frame: float) -> bool:
    frame, size = numbers[:, 0], numbers[:, 4:6]
    in_range = (frame >= 1) & (frame <= last_frame) & (frame == np.floor(frame))
    return bool(np.isfinite(numbers).all() and in_range.all() and (size > 0).all())


def _read_lines(data: bytes, last_frame: float) -> tuple[Numbers, list[_BadLine]]:
    """Return the fields of the well-formed lines, and what is wrong with the others."""
    rows: dict[int, tuple[int, str, list[float]]] = {}
    bad: dict[int, _BadLine] = {}
    for number, text, problem in _lines(data):
        values, error = ([], problem) if problem else _parsed(text, last_frame)
        if error:
            bad[number] = _bad_line(number, text, error)
        else:
            rows[number] = (len(values), text, values[:_SHORT])
    # A line that was cut off after its score is well-formed by itself, but not in a file of longer ones.
    n_short = sum(length == _SHORT for length, _, _ in rows.values())
    n_fields = _SHORT if 2 * n_short > len(rows) else len(_FIELDS)
    for number, (length, text, _) in rows.items():
        if length != n_fields:
            bad[number] = _bad_line(number, text, f"{length} fields instead of {n_fields}")
    kept = [values for number, (_, _, values) in rows.items() if number not in bad]
    return np.array(kept, dtype=np.float64).reshape(-1, _SHORT), [bad[number] for number in sorted(bad)]


def _bad_line(number: int, text: str, error: str) -> _BadLine:
    return {"line": number, "text": text[:_SHOWN_LENGTH], "error": error}


def _lines(data: bytes) -> Iterator[tuple[int, str, str]]:
    """Yield number, text and problem of each line that is neither blank nor a comment."""
    for number, raw in enumerate(data.splitlines(), start=1):
        try:
            text, problem = raw.decode("utf-8"), ""
        except UnicodeDecodeError as exc:
            text, problem = raw.decode("utf-8", "backslashreplace"), f"not UTF-8: {exc.reason}"
        if text.strip(" \t") and not text.lstrip(" \t").startswith("#"):
            yield number, text, problem


def _parsed(text: str, last_frame: float) -> tuple[list[float], str]:
    """Return the numbers of a line, or what is wrong with it."""
    fields = text.split(",")
    if len(fields) not in (_SHORT, len(_FIELDS)):
        return [], f"{len(fields)} field{'s' * (len(fields) > 1)} instead of {len(_FIELDS)}"
    for name, field in zip(_FIELDS, fields, strict=False):
        if _NUMBER.fullmatch(field) is None:
            return [], f"{name} is {field.strip()[:40]!r}, which is no number"
    values = [float(field) for field in fields]
    for name, value in zip(_FIELDS, values, strict=False):
        if not math.isfinite(value):
            return [], f"{name} is too large"
    if values[0] < 1 or values[0] != math.floor(values[0]):
        return [], f"frame is {fields[0].strip()[:40]}; frames are whole numbers from 1"
    if values[0] > last_frame:
        return [], f"frame is {fields[0].strip()[:40]}, which is too large: at most {math.floor(last_frame)}"
    if values[4] <= 0 or values[5] <= 0:
        return [], "the box is empty: width and height must be above 0"
    return values, ""


def _frame(
    numbers: Numbers, fps: float, start: datetime, camera_id: str, object_type: str, stem: str
) -> pd.DataFrame:
    n = len(numbers)
    # The fast reader gives all ten columns.
    frame, _, x, y, width, height, score = numbers[:, :_SHORT].T
    since = np.rint((frame - 1) / fps * 1e6).astype("timedelta64[us]")
    at = np.datetime64(start.replace(tzinfo=None), "us") + since
    images, image = np.unique(frame.astype(np.int64), return_inverse=True)
    paths = np.array([f"{stem}/{number:06d}.jpg" for number in images.tolist()], dtype=object)
    columns = {
        "detection_id": np.arange(1, n + 1),
        "camera_id": camera_id,
        "object_type": object_type,
        "confidence": score,
        "detected_at": pd.Series(at).dt.tz_localize(UTC),
        "bbox_x": x,
        "bbox_y": y,
        "bbox_width": width,
        "bbox_height": height,
        "file_path": paths[image],
        "file_type": ".jpg",
        "thumbnail_path": None,
    }
    result = pd.DataFrame(columns, index=pd.RangeIndex(n), columns=list(schema.DETECTIONS))
    return result.astype(dict(schema.DETECTIONS))


def _warn(file: Path, bad: list[_BadLine]) -> None:
    if not bad:
        return
    shown = [f"{file}, line {one['line']}: {one['error']}" for one in bad[:_SHOWN]]
    more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    lines = "1 line was" if len(bad) == 1 else f"{len(bad)} lines were"
    message = (
        f"{lines} malformed and left out of {file.name}: {'; '.join(shown)}{more}."
        '\n\nHint: df.attrs["malformed_lines"] lists them all.'
    )
    # From here to the caller of read_mot.
    warnings.warn(message, MalformedLineWarning, stacklevel=3)
