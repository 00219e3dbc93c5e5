"""Messages decoded together are what they are one by one."""

from __future__ import annotations

import json
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secnb.frames.messages import _all_enqueued_at, decode_message, enqueued_at
from secnb.frames.together import decode_pages
from secnb.frames.typed import to_times

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=4).map(lambda each: json.dumps(each).encode())
PIECES = st.sampled_from(
    [b'{"a":[{"q":1}', b'{"z":1}]}', b'{"x":1},0,{"y":2}', b"[1", b"2]", b"", b"{}", b"1"]
)


@given(st.lists(OBJECTS | PIECES | st.binary(max_size=20), max_size=12))
def test_a_page_decoded_together_equals_its_messages(raws):
    """Poison that would make up for other poison included."""
    for page, payloads in decode_pages(raws):
        if payloads is not None:
            assert payloads == [decode_message(raw).payload for raw in page]


def test_ordinary_pages_are_decoded_together():
    """The quick way is taken where it can be."""
    raws = [json.dumps({"n": n}).encode() for n in range(1201)]
    pages = list(decode_pages(raws))
    assert [payload for _, payloads in pages for payload in payloads] == [{"n": n} for n in range(1201)]


@pytest.mark.parametrize("raw", [b'{"n": 18446744073709551617}', b'{"n": "\\ud800"}', b"Z:abc", b"[1]", b"1"])
def test_one_odd_message_sends_its_page_the_tolerant_way(raw):
    """Long numbers too, which the parser would round without a word."""
    assert [payloads for _, payloads in decode_pages([b"{}", raw])] == [None]


def mutated(parts: tuple[int, str]) -> str:
    place, character = parts
    text = "2026-03-14T20:15:16.123456+01:00"
    return text[:place] + character + text[place + 1 :]


TIMES = st.tuples(st.integers(0, 31), st.characters(codec="ascii")).map(mutated)
CUT = st.tuples(TIMES, st.sampled_from([10, 16, 19, 25, 26, 32])).map(lambda each: each[0][: each[1]])


@settings(max_examples=300)
@given(st.lists(CUT, min_size=1, max_size=4))
def test_times_read_together_equal_times_read_one_by_one(texts):
    """Also where one of them is no time, or one that only one of the two parsers takes."""
    payloads = [{"timestamp": text} for text in texts]
    together = _all_enqueued_at(payloads, ZoneInfo("UTC"))
    alone = to_times([enqueued_at(payload, ZoneInfo("UTC")) for payload in payloads])
    pd.testing.assert_series_equal(together, alone)
