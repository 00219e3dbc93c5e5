"""What raw bytes say, whichever of two parsers reads them."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from secnb.frames.payloads import load_object, load_value

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=4)
WRITTEN = st.tuples(OBJECTS, st.booleans()).map(
    lambda each: json.dumps(each[0], ensure_ascii=each[1]).encode("utf-8", "surrogatepass")
)
# What two readers of JSON may well disagree about.
PIECES = st.sampled_from(
    [
        *(
            b"{",
            b"}",
            b"[",
            b"]",
            b",",
            b":",
            b'"',
            b"\\",
            b"\\u",
            b"\\ud83d",
            b"\\ude00",
            b"e",
            b".",
            b"-",
            b"+",
        ),
        *(b"0", b"9" * 19, b"9" * 400, b"1e999", b"\xff", b"\xed\xa0\x80", b"\x00", b"\x0b", b" ", b"NaN"),
    ]
)
BROKEN = st.tuples(WRITTEN, st.integers(0, 60), st.integers(0, 2), PIECES).map(
    lambda each: each[0][: each[1]] + each[3] + each[0][each[1] + each[2] :]
)


def told_apart(value: Any) -> Any:
    """Return a value whose floats and kinds of numbers equal others only if they are the same."""
    if isinstance(value, float):
        return struct.pack("d", value)
    if isinstance(value, dict):
        return [(name, told_apart(each)) for name, each in value.items()]
    return [told_apart(each) for each in value] if isinstance(value, list) else (type(value), value)


@given(WRITTEN | BROKEN | st.binary(max_size=20))
@example(b'{"a": 18446744073709551617, "b": -9223372036854775809, "c": 0.1234567890123456789}')
@example(b'{"a": 1, "a": 2, "b": -0, "c": -0.0, "d": "\\ud83d\\ude00\\u0000"}')
def test_an_object_that_is_read_quickly_is_that_of_the_standard_library(raw):
    """Long numbers, signs of zero and names that occur twice included."""
    try:
        found = load_object(raw)
    except (ValueError, RecursionError):
        return
    assert told_apart(found) == told_apart(json.loads(raw.decode("utf-8")))
    assert told_apart(load_value(raw)) == told_apart(found)


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"[1]", b"1", b"null", b'"x"', b"Z:abc", b'"{}"', b'{"a": 1', b'{"a": NaN}', b'{"a": 1e999}'),
        *(b'{"a": "\\ud83d"}', b'{"a": "\xff"}', b'{"\xff": 1}', b"{} {}", b"{}\x00", b"\xef\xbb\xbf{}"),
        *(b'{"a": 01}', b'{"a": 1,}', b'{"a": "\n"}', b'{"a": ' + b"9" * 5000 + b"}"),
    ],
    ids=range(20),
)
def test_what_is_no_plain_object_is_left_to_the_tolerant_way(raw):
    """Which reads some of it, and says of the rest what is wrong."""
    with pytest.raises(ValueError, match=r"JSON|Number|Integer|Expected|truncated|utf-8"):
        load_object(raw)
