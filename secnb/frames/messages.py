"""Raw bytes from Redis become message rows: one row per message, whatever is in it."""

from __future__ import annotations

import base64
import binascii
import functools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

import numpy as np
import orjson
import pandas as pd
import zstandard

from secnb.core.collector import collector_paused
from secnb.frames.keynames import bare
from secnb.frames.quick import kinds_of, quick_series
from secnb.frames.times import all_enqueued_at
from secnb.frames.together import decode_together
from secnb.frames.typed import to_series
from secnb.schema import MESSAGES, QUEUE_FIELDS

_COMPRESSED = b"Z:"
_MAX_UNPACKED_BYTES = 64 * 1024 * 1024
# orjson turns an integer beyond 64 bits into a float without an error.
_LONG_NUMBER = re.compile(rb"\d{19}")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass(frozen=True)
class Decoded:
    """What was found in one message.

    Attributes
    ----------
    payload : object
        The decoded JSON value; None where nothing could be decoded.
    error : str or None
        Why it is not the message that its queue expects.
    """

    payload: Any
    error: str | None


def decode_message(raw: bytes, *, needed: Sequence[str] = ()) -> Decoded:
    """Return what is in `raw`; never raises on data.

    Understood are JSON, JSON in a JSON string (encoded twice), and ``Z:`` with base64 of zstd.

    Parameters
    ----------
    raw : bytes
        As stored.
    needed : sequence of str
        Fields that the consumer of the queue cannot do without.
    """
    try:
        value = _loads(_unpacked(raw))
        if isinstance(value, str):
            value = _decoded_again(value)
    except (ValueError, RecursionError) as exc:
        return Decoded(None, str(exc) or type(exc).__name__)
    if not isinstance(value, dict):
        return Decoded(value, f"a JSON object was expected, got {_kind(value)}")
    return _checked(value, needed)


def _checked(payload: Mapping[str, Any], needed: Sequence[str]) -> Decoded:
    missing = [name for name in needed if payload.get(name) in (None, "")]
    return Decoded(payload, f"no {' and no '.join(missing)}" if missing else None)


def decode_value(raw: bytes) -> Decoded:
    """Return what is in the value of a plain key: JSON, encoded once or twice, else the text itself."""
    try:
        value = _loads(_unpacked(raw))
        return Decoded(_decoded_again(value) if isinstance(value, str) else value, None)
    except (ValueError, RecursionError):
        pass
    try:
        return Decoded(raw.decode("utf-8"), None)
    except UnicodeDecodeError as exc:
        return Decoded(None, f"not UTF-8 text (byte {raw[exc.start]:#04x} at {exc.start})")


def _unpacked(raw: bytes) -> bytes:
    if not raw.startswith(_COMPRESSED):
        return raw
    try:
        packed = base64.b64decode(raw[len(_COMPRESSED) :], validate=True)
        reader = zstandard.ZstdDecompressor().stream_reader(packed)
        unpacked = reader.read(_MAX_UNPACKED_BYTES + 1)
    except (binascii.Error, zstandard.ZstdError) as exc:
        raise ValueError(f"marked as compressed (Z:), but {exc}") from exc
    if len(unpacked) > _MAX_UNPACKED_BYTES:
        raise ValueError(f"unpacks to more than {_MAX_UNPACKED_BYTES:,} bytes")
    return unpacked


def _loads(raw: bytes) -> Any:
    try:
        if not _LONG_NUMBER.search(raw):
            return orjson.loads(raw)
    except orjson.JSONDecodeError:
        pass  # The standard library is laxer: NaN, lone surrogates.
    try:
        value = json.loads(raw.decode("utf-8"))
        return _showable(value) if _SURROGATE.search(raw) else value
    except UnicodeDecodeError as exc:
        raise ValueError(f"not UTF-8 text (byte {raw[exc.start]:#04x} at {exc.start})") from exc
    except json.JSONDecodeError as exc:
        raise ValueError(f"not JSON: {exc.msg.removesuffix(' at')} at {exc.pos}" if raw else "empty") from exc


def _showable(value: Any) -> Any:
    """Return `value` with lone surrogates as their escapes; a notebook cannot show them."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, list):
        return [_showable(each) for each in value]
    if isinstance(value, dict):
        return {_showable(name): _showable(each) for name, each in value.items()}
    return value


def _decoded_again(value: str) -> Any:
    """Return the JSON inside a JSON string, or the string itself if there is none."""
    try:
        inner = _loads(value.encode("utf-8", "surrogatepass"))
    except ValueError:
        return value
    return inner if isinstance(inner, dict | list) else value


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list"}
    return names.get(type(value), type(value).__name__)


def to_messages(
    raws: Sequence[bytes],
    *,
    queue: str,
    first_pos: int,
    now: datetime,
    timezone: tzinfo,
    entry_ids: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return one row per message with the columns of `secnb.schema.MESSAGES`.

    Parameters
    ----------
    raws : sequence of bytes
        As stored; kept in the column ``raw``.
    queue : str
        Its name decides which fields a message needs.
    first_pos : int
        Position of the first message in its queue, from 0 at the head.
    now : datetime
        The server's time, aware; ages are measured against it.
    timezone : tzinfo
        The zone of naive times in messages.
    """
    with collector_paused():
        payloads, objects, errors = _decode_all(raws)
        fields = _fields_of(objects)
        errors = _missing_fields(objects, fields, needed_fields(queue)) | errors
        stamps = all_enqueued_at(objects, timezone)
        works = _works(objects)
        return message_frame(
            raws,
            payloads,
            errors,
            stamps,
            fields=fields if works is objects else _fields_of(works),
            first_pos=first_pos,
            now=now,
            entry_ids=entry_ids,
        )


def _decode_all(raws: Sequence[bytes]) -> tuple[list[Any], list[dict[str, Any]], dict[int, str]]:
    """Return all payloads; the same with an empty object for each that is none; and by row why it is none."""
    payloads: list[Any]
    payloads, odd = decode_together(raws)
    objects: list[Any] = list(payloads)
    errors: dict[int, str] = {}
    for row in odd:
        decoded = decode_message(raws[row])
        payloads[row], objects[row] = decoded.payload, decoded.payload
        if decoded.error is not None:
            errors[row], objects[row] = decoded.error, {}
    return payloads, objects, errors


def _fields_of(objects: Sequence[Mapping[str, Any]]) -> Callable[[str], list[Any]]:
    """Return a function that gives the values of a field; each field is gone through once."""
    return functools.cache(lambda name: [each.get(name) for each in objects])


def _missing_fields(
    objects: Sequence[Mapping[str, Any]], fields: Callable[[str], list[Any]], needed: Sequence[str]
) -> dict[int, str]:
    """Return by row what messages lack; one that has every field is the ordinary case."""
    rows: set[int] = set()
    for name in needed:
        if not all(values := fields(name)):
            # Zero and False are values; they are rare enough to be looked at closely.
            rows |= set(np.flatnonzero(~np.fromiter(map(bool, values), np.bool_, len(values))).tolist())
    found = {row: _checked(objects[row], needed).error for row in rows}
    return {row: error for row, error in found.items() if error is not None}


def _works(objects: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Return `work_of` each message; where none is a dead letter, these are the same."""
    is_letter = any("original_job" in each for each in objects)
    return list(map(work_of, objects)) if is_letter else objects


def message_frame(
    raws: Sequence[bytes],
    payloads: Sequence[Any],
    errors: Mapping[int, str],
    stamps: pd.Series[Any],
    *,
    fields: Callable[[str], Sequence[Any]],
    first_pos: int,
    now: datetime,
    entry_ids: Sequence[str | bytes] | None = None,
) -> pd.DataFrame:
    """Return one row per decoded message with the columns of `secnb.schema.MESSAGES`.

    Errors are by row, `stamps` has the UTC-aware times, and `fields` gives the values of a field.
    """
    n_rows = len(raws)
    ages = (pd.Timestamp(now) - stamps).dt.total_seconds()
    is_sound = np.ones(n_rows, dtype=np.bool_)
    is_sound[list(errors)] = False
    ahead = {int(row): _with_age(errors.get(row), ages[row]) for row in ages.index[ages < 0]}
    columns = {
        "pos": _whole(np.arange(first_pos, first_pos + n_rows)),
        "entry_id": to_series(entry_ids, "str")[0] if entry_ids else _sparse_texts({}, n_rows),
        "ok": pd.Series(is_sound).astype("boolean"),
        "error": _sparse_texts({**errors, **ahead}, n_rows),
        "raw": _objects(raws),
        "size_bytes": _whole(np.fromiter(map(len, raws), np.int64, n_rows)),
        "enqueued_at": stamps,
        "age_s": ages.where(ages >= 0),
        **{name: _plain_fields(fields(name)) for name in ("camera_id", "batch_id", "file_path")},
        "payload": _objects(payloads),
    }
    return pd.DataFrame(columns, index=pd.RangeIndex(n_rows), columns=list(MESSAGES), copy=False)


def _whole(numbers: np.ndarray[Any, np.dtype[np.int64]]) -> pd.Series[Any]:
    return pd.Series(pd.arrays.IntegerArray(numbers, np.zeros(len(numbers), dtype=np.bool_)))


def _objects(values: Sequence[Any]) -> pd.Series[Any]:
    return pd.Series(np.fromiter(values, dtype=object, count=len(values)), dtype=object, copy=False)


def _sparse_texts(texts: Mapping[int, str], n_rows: int) -> pd.Series[Any]:
    """Return a column of text that is missing in most rows."""
    which = np.zeros(n_rows, dtype=np.intp)
    which[list(texts)] = range(1, len(texts) + 1)
    found, _ = to_series([None, *texts.values()], "str")
    return pd.Series(found.array.take(which))


def _plain_fields(values: Sequence[Any]) -> pd.Series[Any]:
    kinds = kinds_of(values)
    if not kinds:
        return _sparse_texts({}, len(values))
    quick = quick_series(values, "str", kinds)
    return to_series(list(map(_plain, values)), "str")[0] if quick is None else quick


def needed_fields(queue: str) -> tuple[str, ...]:
    """Return the fields that a message of the queue cannot do without, whatever form its key has."""
    return QUEUE_FIELDS.get(bare(queue), ())


def _with_age(error: str | None, age_s: float) -> str:
    ahead = f"its time is {-age_s:,.0f} s ahead of the server: is the time zone of the deployment known?"
    return f"{error}; {ahead}" if error else ahead


def work_of(payload: Any) -> Mapping[str, Any]:
    """Return the work that a message is about; a dead letter holds it inside."""
    if not isinstance(payload, dict):
        return {}
    inner = payload.get("original_job")
    return inner if isinstance(inner, dict) else payload


def plain_field(job: Mapping[str, Any], name: str) -> str | None:
    """Return a field of plain text; None where it is absent or holds something else."""
    return _plain(job.get(name))


def _plain(value: Any) -> str | None:
    return None if value is None or isinstance(value, dict | list) else str(value)
