"""Secrets are masked wherever they stand; what holds none comes back to the byte."""

from __future__ import annotations

import base64
import json

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from secnb.core.redis_recording import Record
from secnb.frames.secrets import is_secret, mask_bytes, mask_record, mask_text

HIDDEN = "hunter2+Zq"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
TEXTS = [
    f"no answer from rtsp://ann:{HIDDEN}@cam/1, trying again",
    f"rtsp://ann:{HIDDEN}@cam/1",
    f"postgresql://db/x?password={HIDDEN}",
    rf'{{"url": "rtsp:\/\/ann:{HIDDEN}@cam"}}',
    f'{{"url": "rtsp://ann:{HIDDEN}@cam", broken',
    f'{{"camera": {{"rtsp_password": "{HIDDEN}"}}}}',
    f'{{"a": [{{"api_key": "{HIDDEN}"}}]}}',
    f'{{"passw\\u006frd": "{HIDDEN}"}}',
    f'{{"rtsp_password": "{HIDDEN}", broken',
    f'{{"rtsp_username": "{HIDDEN}"}}',
    json.dumps(json.dumps({"password": HIDDEN})),
    json.dumps({"job": json.dumps({"url": f"http://u:{HIDDEN}@x/"})}),
    f"PASSWORD={HIDDEN}",
    f"export API_KEY='{HIDDEN} and more'",
    f"{{'token': '{HIDDEN}'}}",
    f"Authorization: Bearer {HIDDEN}",
    f"Authorization: Basic {HIDDEN}",
]
PLAIN = [
    "",
    "a person at the door",
    "http://localhost:8001/health",
    '{"prompt_tokens": 512, "max_token": 5}',
    '{"password": null, "n": 1e999}',
    '{"n": 18446744073709551617, "x": "http://a/b"}',
    '{"a":1,  "token_count":3}',
    '{"url": "http://a/b", "camera_id": "porch"}',
    "used 512 tokens: 12",
]


@pytest.mark.parametrize("text", TEXTS)
def test_secrets_are_masked(text):
    """In URLs, JSON of any depth, text; the rest of a whole JSON text stays JSON."""
    masked = mask_text(text)
    assert HIDDEN not in masked
    assert "***" in masked
    assert HIDDEN not in mask_bytes(text.encode()).decode()


@pytest.mark.parametrize("text", PLAIN)
def test_what_holds_no_secret_is_as_it_was(text):
    """To the byte, spaces and long numbers included."""
    assert mask_text(text) == text
    assert mask_bytes(text.encode()) == text.encode()


@given(JSON)
def test_json_without_secrets_is_as_it_was(value):
    text = json.dumps(value)
    assert mask_text(text) == text


@given(st.binary(max_size=40))
def test_bytes_without_secrets_are_as_they_were(raw):
    assert mask_bytes(raw) == raw


@given(st.text(max_size=20), st.text(max_size=20))
def test_nothing_around_a_secret_matters(before, after):
    """Whatever else is in the text."""
    assert HIDDEN not in mask_text(f"{before} rtsp://ann:{HIDDEN}@cam/1 {after}")


@pytest.mark.parametrize("long", ["a" * 200_000, "token" * 40_000, "Ab1/" * 50_000, "a://" * 50_000])
def test_a_long_word_is_gone_through_once(long):
    """Such as an image in base64; from each of its letters anew it would take hours, which nothing stops."""
    text = f"token {long} rtsp://ann:{HIDDEN}@cam password={HIDDEN}, {long}"
    assert mask_text(text) == f"token {long} rtsp://ann:***@cam password=***, {long}"


def test_bytes_that_are_no_text_keep_what_is_no_secret():
    assert mask_bytes(b"\xff rtsp://ann:hidden@cam \xfe") == b"\xff rtsp://ann:***@cam \xfe"


def packed(text: str) -> bytes:
    return b"Z:" + base64.b64encode(zstandard.ZstdCompressor().compress(text.encode()))


def test_compressed_messages_are_looked_into():
    """And compressed again only where something was masked."""
    masked = mask_bytes(packed(TEXTS[5]))
    assert zstandard.ZstdDecompressor().decompress(base64.b64decode(masked[2:])) == (
        b'{"camera": {"rtsp_password": "***"}}'
    )
    for raw in (packed(PLAIN[1]), b"Z:broken", b"Z:" + base64.b64encode(b"no zstd")):
        assert mask_bytes(raw) == raw


@pytest.mark.parametrize("name", ["rtsp_password", "RTSP_URL", "api-key", "refresh_token", "client_secret"])
def test_names_of_secrets(name):
    assert is_secret(name)


@pytest.mark.parametrize("name", ["camera_id", "key", "pass", "summary", "rtsp_enabled"])
def test_names_of_ordinary_things(name):
    assert not is_secret(name)


def test_fields_of_entries_are_masked_by_their_name():
    """And by what is in them."""
    flat = [b"camera_id", b"porch", b"password", b"hidden", b"url", b"rtsp://a:hidden@b", b"tokens", b"12"]
    record = mask_record(Record(b"s", b"stream", head=[[b"1-0", flat]], waiting=[[b"2-0", flat]]))
    expected = [b"camera_id", b"porch", b"password", b"***", b"url", b"rtsp://a:***@b", b"tokens", b"12"]
    assert (record.head, record.waiting) == ([[b"1-0", expected]], [[b"2-0", expected]])


def test_a_key_that_is_a_secret_by_its_name_has_no_content():
    """A number of tokens is none."""
    assert mask_record(Record(b"session:token:7", b"string", head=[b"hidden"])).head == [b"***"]
    assert mask_record(Record(b"llm:tokens", b"string", head=[b"12"])).head == [b"12"]
