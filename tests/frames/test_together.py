"""Messages decoded together are what they are one by one, and so are their times."""

from __future__ import annotations

import json
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secnb.frames import quick, together
from secnb.frames.messages import decode_message, to_messages
from secnb.frames.times import all_enqueued_at, enqueued_at
from secnb.frames.together import decode_together
from secnb.frames.typed import to_times

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=4).map(lambda each: json.dumps(each).encode())
PIECES = st.sampled_from(
    [b'{"a":[{"q":1}', b'{"z":1}]}', b'{"x":1},0,{"y":2}', b"[1", b"2]", b"", b"{}", b"1", b"}", b"{"]
)
ZONES = ("UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe")
FIELDS = ("timestamp", "last_failed_at", "ended_at", "camera_id")


@given(st.lists(OBJECTS | PIECES | st.binary(max_size=20), max_size=12))
def test_messages_decoded_together_equal_messages_decoded_alone(raws):
    """Poison that would make up for other poison included."""
    payloads, odd = decode_together(raws)
    assert [row for row, payload in enumerate(payloads) if payload is None] == odd
    for row in set(range(len(raws))) - set(odd):
        assert payloads[row] == decode_message(raws[row]).payload


def test_ordinary_messages_are_decoded_together():
    """The quick way is taken where it can be."""
    raws = [json.dumps({"n": n}).encode() for n in range(1201)]
    assert decode_together(raws) == ([{"n": n} for n in range(1201)], [])


@pytest.mark.parametrize("raw", [b'{"n": 18446744073709551617}', b'{"n": "\\ud800"}', b"Z:abc", b"[1]", b"1"])
def test_one_odd_message_goes_the_tolerant_way(raw):
    """Long numbers too, which the parser would round without a word."""
    assert 600 in decode_together([b"{}"] * 600 + [raw] + [b"{}"] * 600)[1]


@given(st.binary(max_size=8), st.text("0123456789", min_size=19, max_size=25), st.binary(max_size=8))
def test_no_long_number_is_overlooked(before, digits, after):
    """Wherever in the text it begins."""
    assert together._holds_long_number(before + digits.encode() + after)


def test_poison_takes_few_others_with_it():
    """What was cut off is known by its end, so its neighbours are still decoded together."""
    raws = [b'{"n": 1}' if n % 100 else b'{"n": ' for n in range(2000)]
    assert decode_together(raws)[1] == list(range(0, 2000, 100))


def mutated(parts: tuple[int, str]) -> str:
    place, character = parts
    text = "2026-03-14T20:15:16.123456+01:00"
    return text[:place] + character + text[place + 1 :]


TIMES = st.tuples(st.integers(0, 31), st.characters(codec="ascii")).map(mutated)
CUT = st.tuples(TIMES, st.sampled_from([10, 16, 19, 25, 26, 32])).map(lambda each: each[0][: each[1]])
WRITTEN = st.datetimes(timezones=st.none() | st.timezones()).map(lambda at: at.isoformat())
EPOCHS = st.floats(0.9e9, 1.1e10) | st.integers(int(0.9e9), int(1.1e10)) | st.integers(10**400, 10**401)
STAMPS = st.dictionaries(st.sampled_from(FIELDS), CUT | WRITTEN | EPOCHS | VALUES, max_size=3)


@settings(max_examples=300)
@given(st.lists(STAMPS, max_size=5), st.sampled_from(ZONES).map(ZoneInfo))
def test_times_read_together_equal_times_read_alone(payloads, timezone):
    """Whatever their forms are, and wherever the deployment is."""
    together = all_enqueued_at(payloads, timezone)
    alone = to_times([enqueued_at(payload, timezone) for payload in payloads])
    pd.testing.assert_series_equal(together, alone)


@pytest.mark.parametrize("zone", ZONES)
def test_local_times_are_told_apart_around_each_change_of_the_clock(zone):
    """The hour that occurs twice and the one that does not occur are read as they are one by one."""
    minutes = pd.date_range("2026-01-01", "2027-01-01", freq="13min")
    payloads = [{"timestamp": at.isoformat()} for at in minutes]
    alone = to_times([enqueued_at(payload, ZoneInfo(zone)) for payload in payloads])
    pd.testing.assert_series_equal(all_enqueued_at(payloads, ZoneInfo(zone)), alone)


@given(
    st.lists(OBJECTS | PIECES | st.binary(max_size=20) | STAMPS.map(lambda each: json.dumps(each).encode()))
)
def test_the_frame_is_the_same_without_pyarrow(raws):
    """Which is an extra; pandas then holds text as objects."""
    options = {
        "queue": "detection_queue",
        "first_pos": 0,
        "now": pd.Timestamp("2026-03-15", tz="UTC"),
        "timezone": ZoneInfo("UTC"),
    }
    frame = to_messages(raws, **options)
    with pytest.MonkeyPatch.context() as patch, pd.option_context("mode.string_storage", "python"):
        patch.setattr(quick, "pa", None)
        without = to_messages(raws, **options)
    assert {str(each) for each in without.dtypes} == {str(each) for each in frame.dtypes}
    for name in frame:
        one, other = (np.array(each[name], dtype=object) for each in (frame, without))
        pd.testing.assert_series_equal(pd.Series(one), pd.Series(other))
