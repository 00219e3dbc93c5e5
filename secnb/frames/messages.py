"""Raw bytes from Redis become message rows: one row per message, whatever is in it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from itertools import compress
from operator import not_
from typing import Any

import numpy as np
import pandas as pd

from secnb.core.collector import collector_paused
from secnb.frames.buffers import GrowingSeries
from secnb.frames.keynames import bare
from secnb.frames.payloads import load_object, load_value
from secnb.frames.quick import quick_texts
from secnb.frames.secrets import mask_places
from secnb.frames.times import all_enqueued_at
from secnb.frames.typed import to_series
from secnb.schema import MESSAGES, QUEUE_FIELDS

# So few are still near the processor when columns are made of them; fewer cost more calls.
_PAGE = 20_000
_IDS = ("camera_id", "batch_id")
_FROM_MESSAGES = ("raw", "size_bytes", "enqueued_at", *_IDS, "file_path", "payload")


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
        value = load_value(raw)
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
        return Decoded(load_value(raw), None)
    except (ValueError, RecursionError):
        pass
    try:
        return Decoded(raw.decode("utf-8"), None)
    except UnicodeDecodeError as exc:
        return Decoded(None, f"not UTF-8 text (byte {raw[exc.start]:#04x} at {exc.start})")


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list"}
    return names.get(type(value), type(value).__name__)


class GrowingMessages:
    """Messages of one list that pages are added to, each decoded while it is near the processor.

    Parameters
    ----------
    queue : str
        Its name decides which fields a message needs.
    timezone : tzinfo
        The zone of naive times in messages.
    """

    def __init__(self, *, queue: str, timezone: tzinfo) -> None:
        self._needed, self._timezone = needed_fields(queue), timezone
        self._errors: dict[int, str] = {}
        self._waiting: list[bytes] = []
        self._n_rows = 0
        self._columns = {name: GrowingSeries(MESSAGES[name]) for name in _FROM_MESSAGES}

    def add(self, raws: Sequence[bytes]) -> None:
        """Add messages as stored, in the order of their queue."""
        self._waiting += raws
        if len(self._waiting) >= _PAGE:
            self._decode()

    def to_frame(self, *, first_pos: int, now: datetime) -> pd.DataFrame:
        """Return one row per message with the columns of `secnb.schema.MESSAGES`, and keep nothing.

        Parameters
        ----------
        first_pos : int
            Position of the first message in its queue, from 0 at the head.
        now : datetime
            The server's time, aware; ages are measured against it.
        """
        self._decode()
        columns = {name: column.joined() for name, column in self._columns.items()}
        return message_frame(columns, self._errors, first_pos=first_pos, now=now)

    def _decode(self) -> None:
        raws, self._waiting = self._waiting, []
        with collector_paused():
            columns, errors = _read_page(raws, self._needed, self._timezone)
            for name, column in self._columns.items():
                column.add(columns[name])
        self._errors |= {self._n_rows + row: error for row, error in errors.items()}
        self._n_rows += len(raws)


def _read_page(
    raws: Sequence[bytes], needed: Sequence[str], timezone: tzinfo
) -> tuple[dict[str, pd.Series[Any]], dict[int, str]]:
    """Return the columns that messages make, and by row what is wrong with them."""
    payloads, objects, errors = _decode_all(raws)
    fields = _fields_of(objects)
    errors |= _missing_fields(objects, fields, needed, errors.keys())
    stamps = all_enqueued_at(objects, timezone)
    if any("original_job" in each for each in objects):
        fields = _fields_of(list(map(work_of, objects)))
    return message_columns(raws, payloads, stamps, fields), errors


def _decode_all(raws: Sequence[bytes]) -> tuple[list[Any], list[dict[str, Any]], dict[int, str]]:
    """Return all payloads; the same with an empty object for each that is none; and by row why it is none."""
    payloads: list[Any] = []
    odd: list[int] = []
    # One by one is as fast as many in one text, and what is poison harms only itself.
    for raw in raws:
        try:
            payloads.append(load_object(raw))
        except (ValueError, RecursionError):
            odd.append(len(payloads))
            payloads.append(None)
    objects, errors = payloads.copy(), {}
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
    objects: Sequence[Mapping[str, Any]],
    fields: Callable[[str], Sequence[Any]],
    needed: Sequence[str],
    poison: Collection[int],
) -> dict[int, str]:
    """Return by row what messages lack that are no poison; one that has every field is the ordinary case."""
    rows: set[int] = set()
    for name in needed:
        if not all(values := fields(name)):
            # Zero and False are values; they are rare enough to be looked at closely.
            rows.update(compress(range(len(values)), map(not_, values)))
    found = {row: _checked(objects[row], needed).error for row in rows.difference(poison)}
    return {row: error for row, error in found.items() if error is not None}


def message_columns(
    raws: Sequence[bytes],
    payloads: Sequence[Any],
    stamps: pd.Series[Any],
    fields: Callable[[str], Sequence[Any]],
) -> dict[str, pd.Series[Any]]:
    """Return the columns that messages make; `fields` gives the values of a field."""
    return {
        "raw": _objects(raws),
        "size_bytes": _whole(np.fromiter(map(len, raws), np.int64, len(raws))),
        "enqueued_at": stamps,
        **{name: _plain_fields(fields(name)) for name in _IDS},
        "file_path": _plain_fields(mask_places(fields("file_path"))),
        "payload": _objects(payloads),
    }


def message_frame(
    columns: Mapping[str, pd.Series[Any]],
    errors: Mapping[int, str],
    *,
    first_pos: int,
    now: datetime,
    entry_ids: Sequence[str | bytes] | None = None,
) -> pd.DataFrame:
    """Return one row per message with the columns of `secnb.schema.MESSAGES`; errors are by row."""
    stamps = columns["enqueued_at"]
    n_rows = len(stamps)
    ages = (pd.Timestamp(now) - stamps).dt.total_seconds()
    is_sound = np.ones(n_rows, dtype=np.bool_)
    is_sound[list(errors)] = False
    ahead = {int(row): _with_age(errors.get(row), ages[row]) for row in ages.index[ages < 0]}
    shown = {
        **columns,
        "pos": _whole(np.arange(first_pos, first_pos + n_rows)),
        "entry_id": to_series(entry_ids, "str")[0] if entry_ids else _sparse_texts({}, n_rows),
        "ok": pd.Series(is_sound).astype("boolean"),
        "error": _sparse_texts({**errors, **ahead}, n_rows),
        "age_s": ages.where(ages >= 0),
    }
    return pd.DataFrame(shown, index=pd.RangeIndex(n_rows), columns=list(MESSAGES), copy=False)


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
    quick = quick_texts(values)
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
