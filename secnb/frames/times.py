"""The times in messages: ISO 8601 text or seconds since 1970, one by one and many at once.

Most times are full ISO 8601 text or plain numbers, and those are read together, in arrays. What is
anything else goes through `read_time`, value by value; both give the same times.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import compress
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

_NUMBER = re.compile(r"\s*[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?\s*")
# Seconds since 1970 in this range are 2001 to 2286; anything else is no time of a deployment.
_EPOCH_S = (1e9, 1e10)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME_FIELDS = ("timestamp", "last_failed_at", "dlq_timestamp", "ended_at")
# The forms that datetime.isoformat writes: with microseconds or without, with an offset or without.
_FORMS = {
    len(form): form
    for second in ("dddd-dd-ddTdd:dd:dd", "dddd-dd-ddTdd:dd:dd.dddddd")
    for form in (second, second + "±dd:dd")
}
# In the years 20.. every zone changes its offset at a whole minute.
_CENTURY = 20
_NO_DAY = 0
_US_PER_MINUTE = 60 * 10**6
_NO_TIME = np.iinfo(np.int64).min

_Whole = npt.NDArray[np.int64]
_Flags = npt.NDArray[np.bool_]
_Small = npt.NDArray[np.uint8]


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


def all_enqueued_at(payloads: Sequence[Mapping[str, Any]], timezone: tzinfo) -> pd.Series[Any]:
    """Return `enqueued_at` of many messages as UTC-aware microseconds; NaT where there is none."""
    first, *others = _TIME_FIELDS
    stamps = _read_times([payload.get(first) for payload in payloads], timezone)
    for name in others:
        # An empty object, which stands for a poison message, has none of them.
        missing = [row for row in np.flatnonzero(stamps == _NO_TIME).tolist() if payloads[row]]
        if not missing:
            break
        stamps[missing] = _read_times([payloads[row].get(name) for row in missing], timezone)
    return pd.Series(stamps.view("datetime64[us]")).dt.tz_localize("UTC")


def _read_times(values: Sequence[Any], timezone: tzinfo) -> _Whole:
    """Return `read_time` of each value in microseconds since 1970, the lowest integer where it is none."""
    kinds = set(map(type, values))
    if kinds <= {str, type(None)}:
        texts = values if kinds == {str} else [value or "" for value in values]
        stamps = _read_texts(texts, timezone)
    else:
        stamps = np.full(len(values), _NO_TIME)
        for found, read in (({str}, _read_texts), ({int, float}, _read_numbers)):
            if kinds & found:
                is_found = bytes(map(found.__contains__, map(type, values)))
                stamps[np.frombuffer(is_found, np.bool_)] = read(list(compress(values, is_found)), timezone)
    for row in np.flatnonzero(stamps == _NO_TIME).tolist() if kinds - {type(None)} else ():
        if values[row] is not None and (stamp := read_time(values[row], timezone)) is not None:
            stamps[row] = (stamp - _EPOCH) // timedelta(microseconds=1)
    return stamps


def _read_numbers(values: Sequence[float], _: tzinfo) -> _Whole:
    stamps = np.full(len(values), _NO_TIME)
    try:
        seconds = np.array(values, dtype=np.float64)
    except OverflowError:
        return stamps
    fits = (seconds >= _EPOCH_S[0]) & (seconds < _EPOCH_S[1])
    # As datetime.fromtimestamp rounds.
    fraction, whole = np.modf(seconds[fits])
    stamps[fits] = whole.astype(np.int64) * 10**6 + np.rint(fraction * 1e6).astype(np.int64)
    return stamps


def _read_texts(texts: Sequence[str], timezone: tzinfo) -> _Whole:
    stamps = np.full(len(texts), _NO_TIME)
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    for length, form in _FORMS.items():
        has_form = lengths == length
        if has_form.any():
            # As bytes, a mask is gone through several times faster than as numbers of numpy's.
            times = _read_form(list(compress(texts, has_form.tobytes())), form)
            stamps[has_form] = times if "±" in form else _from_local(times, timezone)
    return stamps


def _read_form(texts: Sequence[str], form: str) -> _Whole:
    """Return times of one form, without heed to a zone where they name none."""
    letters = np.frombuffer("".join(texts).encode("ascii", "replace"), np.uint8).reshape(len(texts), -1)

    def pair(at: int) -> _Small:
        """Return the numbers that two digits make; what is too large for any use where they are none."""
        return _pairs().take(letters[:, at : at + 2].view("<u2")[:, 0])

    # Where a month or a day is 0, this wraps around to what is too large as well.
    month, day = pair(5) - 1, pair(8) - 1
    century, year, hour, minute, second = (pair(at) for at in (0, 2, 11, 14, 17))
    good = _has_marks(letters, form) & (century == _CENTURY) & (year < 100) & (month < 12) & (day < 31)
    good &= (hour < 24) & (minute < 60) & (second < 60)
    days = _days().take((year * np.int32(12) + month) * 31 + day, mode="clip")
    good &= days != _NO_DAY
    minutes = days * np.int64(1440) + hour * np.int64(60) + minute
    if "±" in form:
        east_hours, east_minutes = pair(len(form) - 5), pair(len(form) - 2)
        good &= (east_hours < 24) & (east_minutes < 60)
        east = east_hours * np.int64(60) + east_minutes
        minutes -= np.where(letters[:, -6] == ord("-"), -east, east)
    times = minutes * _US_PER_MINUTE + second * np.int64(10**6)
    for at, unit in ((20, 10_000), (22, 100), (24, 1)) if "." in form else ():
        fraction = pair(at)
        good &= fraction < 100
        times += fraction * np.int64(unit)
    return np.where(good, times, _NO_TIME)


@functools.cache
def _pairs() -> _Small:
    """Return the number that two digits make, by their letters as one number; 255 for other letters."""
    numbers = np.full(2**16, 255, np.uint8)
    digits = np.arange(10)
    numbers[(digits[:, None] + ord("0")) + ((digits + ord("0")) << 8)] = digits[:, None] * 10 + digits
    return numbers


@functools.cache
def _days() -> npt.NDArray[np.int32]:
    """Return the days since 1970 for 31 days of each month of the century; 0 for those that it lacks."""
    first = (_CENTURY * 100 - 1970) * 12
    months = np.arange(first, first + 1200).astype("datetime64[M]")[:, None]
    days = months.astype("datetime64[D]") + np.arange(31).astype("timedelta64[D]")
    return np.where(days.astype("datetime64[M]") == months, days.astype(np.int32), _NO_DAY).ravel()


def _has_marks(letters: _Small, form: str) -> _Flags:
    allowed = {"T": "T ", "±": "+-"}
    marks = [(at, allowed.get(mark, mark)) for at, mark in enumerate(form) if mark != "d"]
    good = np.ones(len(letters), np.bool_)
    for at, mark in marks:
        good &= np.logical_or.reduce([letters[:, at] == ord(each) for each in mark])
    return good


def _from_local(times: _Whole, timezone: tzinfo) -> _Whole:
    """Return naive times as those of `timezone`; its offset is looked up once for each minute."""
    if str(timezone) == "UTC":
        return times
    there = times != _NO_TIME
    codes, minutes = pd.factorize(times[there] // _US_PER_MINUTE)
    walls = [_EPOCH.replace(tzinfo=timezone) + timedelta(minutes=each) for each in minutes.tolist()]
    offsets = [(wall.utcoffset() or timedelta(0)) // timedelta(microseconds=1) for wall in walls]
    local = times.copy()
    local[there] -= np.array(offsets, dtype=np.int64)[codes]
    return local
