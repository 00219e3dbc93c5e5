"""Raw bytes from Redis become message rows: one row per message, whatever is in it."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

import orjson
import pandas as pd
import zstandard

from secnb.core.collector import collector_paused
from secnb.frames.keynames import bare
from secnb.frames.quick import kinds_of, quick_series
from secnb.frames.together import decode_pages
from secnb.frames.typed import to_frame, to_times
from secnb.schema import MESSAGES, QUEUE_FIELDS, TIME

_COMPRESSED = b"Z:"
_MAX_UNPACKED_BYTES = 64 * 1024 * 1024
# orjson turns an integer beyond 64 bits into a float without an error.
_LONG_NUMBER = re.compile(rb"\d{19}")
_NUMBER = re.compile(r"\s*[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?\s*")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
# Seconds since 1970 in this range are 2001 to 2286; anything else is no time of a deployment.
_EPOCH_S = (1e9, 1e10)
# What pandas and Python read alike: with seconds or microseconds, with an offset or without.
_FULL_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{6})?(?:[+-]\d\d:\d\d)?", re.ASCII)
_TIME_FIELDS = ("timestamp", "last_failed_at", "dlq_timestamp", "ended_at")


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


def read_time(value: Any, timezone: tzinfo) -> datetime | None:
    """Return a queue's time as aware UTC, or None where it is none.

    Understood are ISO 8601 text (naive text in `timezone`), and seconds since 1970 as number or text.
    """
    if isinstance(value, str):
        if _NUMBER.fullmatch(value):
            # Some numbers would pass for dates: 1701123112123 for an evening of 1701.
            return _from_epoch(value)
        try:
            stamp = datetime.fromisoformat(value)
        except ValueError:
            return None
        try:
            return (stamp if stamp.tzinfo else stamp.replace(tzinfo=timezone)).astimezone(UTC)
        except (OverflowError, ValueError):
            return None
    return None if isinstance(value, bool) else _from_epoch(value)


def _from_epoch(value: Any) -> datetime | None:
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if not math.isfinite(seconds) or not _EPOCH_S[0] <= seconds < _EPOCH_S[1]:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def enqueued_at(payload: Any, timezone: tzinfo) -> datetime | None:
    """Return when a message was put into its queue, by the first time field that it has."""
    if not isinstance(payload, dict):
        return None
    for name in _TIME_FIELDS:
        if (stamp := read_time(payload.get(name), timezone)) is not None:
            return stamp
    return None


def to_messages(
    raws: Sequence[bytes],
    *,
    queue: str,
    positions: Sequence[int],
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
    positions : sequence of int
        Position of each message in its queue, from 0 at the head.
    now : datetime
        The server's time, aware; ages are measured against it.
    timezone : tzinfo
        The zone of naive times in messages.
    """
    with collector_paused():
        payloads, errors = _decode_all(raws, needed=needed_fields(queue))
        stamps = _all_enqueued_at(payloads, timezone)
        return message_frame(
            raws, payloads, errors, stamps, positions=positions, now=now, entry_ids=entry_ids
        )


def _decode_all(raws: Sequence[bytes], *, needed: Sequence[str]) -> tuple[list[Any], list[str | None]]:
    payloads: list[Any] = []
    errors: list[str | None] = []
    for page, found in decode_pages(raws):
        if found is None:
            decoded = [decode_message(raw, needed=needed) for raw in page]
            payloads += [each.payload for each in decoded]
            errors += [each.error for each in decoded]
        else:
            payloads += found
            errors += _missing_fields(found, needed)
    return payloads, errors


def _missing_fields(payloads: Sequence[Mapping[str, Any]], needed: Sequence[str]) -> list[str | None]:
    """Return what each message lacks; a page where all have everything is the ordinary case."""
    for name in needed:
        values = [payload.get(name) for payload in payloads]
        if None in values or "" in values:
            return [_checked(payload, needed).error for payload in payloads]
    return [None] * len(payloads)


def _all_enqueued_at(payloads: Sequence[Any], timezone: tzinfo) -> pd.Series[Any]:
    """Return `enqueued_at` of all messages; those with a full ISO 8601 text are read together."""
    texts: list[str | None] = [None] * len(payloads)
    if str(timezone) == "UTC":
        texts = [_full_time(payload) for payload in payloads]
    stamps = quick_series(texts, TIME, kinds_of(texts))
    if stamps is None:
        return to_times([enqueued_at(payload, timezone) for payload in payloads])
    odd = {row: enqueued_at(payloads[row], timezone) for row, text in enumerate(texts) if text is None}
    found = {row: stamp for row, stamp in odd.items() if stamp is not None}
    if found:
        stamps.loc[list(found)] = to_times(list(found.values())).array
    return stamps


def _full_time(payload: Any) -> str | None:
    """Return the time of a message if it is full ISO 8601 text; the rest is the matter of `read_time`."""
    text = payload.get(_TIME_FIELDS[0]) if type(payload) is dict else None
    return text if type(text) is str and _FULL_TIME.fullmatch(text) else None


def message_frame(
    raws: Sequence[bytes],
    payloads: Sequence[Any],
    errors: Sequence[str | None],
    stamps: pd.Series[Any],
    *,
    positions: Sequence[int],
    now: datetime,
    entry_ids: Sequence[str | bytes] | None = None,
) -> pd.DataFrame:
    """Return one row per decoded message with the columns of `secnb.schema.MESSAGES`."""
    ages = (pd.Timestamp(now) - stamps).dt.total_seconds()
    is_sound = [error is None for error in errors]
    errors = list(errors)
    for row in ages.index[ages < 0]:
        errors[row] = _with_age(errors[row], ages[row])
    jobs = [work_of(payload) for payload in payloads]
    frame = to_frame(
        {
            "pos": positions,
            "entry_id": entry_ids if entry_ids is not None else [None] * len(raws),
            "error": errors,
            "raw": raws,
            "size_bytes": list(map(len, raws)),
            "camera_id": _plain_fields(jobs, "camera_id"),
            "batch_id": _plain_fields(jobs, "batch_id"),
            "file_path": _plain_fields(jobs, "file_path"),
            "payload": payloads,
        },
        MESSAGES,
    )
    frame["ok"] = pd.array(is_sound, dtype="boolean")
    frame["enqueued_at"] = stamps
    frame["age_s"] = ages.where(ages >= 0)
    return frame


def _plain_fields(jobs: Sequence[Mapping[str, Any]], name: str) -> list[str | None]:
    values = [job.get(name) for job in jobs]
    return values if kinds_of(values) <= {str} else [plain_field(job, name) for job in jobs]


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
    value = job.get(name)
    return None if value is None or isinstance(value, dict | list) else str(value)
