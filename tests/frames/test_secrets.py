"""Secrets are masked wherever they stand; what holds none comes back to the byte."""

from __future__ import annotations

import base64
import json

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from secnb.core.redis_recording import Record
from secnb.frames.secrets import mask_bytes, mask_pairs, mask_places, mask_record, mask_text, mask_value

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
    f'Authorization: Digest username="ann", response="{HIDDEN}", opaque={HIDDEN}',
    f"Authorization: Unknown {HIDDEN}",
    f"x-auth: Basic {HIDDEN}",
    f"http://cam:88/cgi-bin/CGIProxy.fcgi?cmd=snapPicture2&usr=admin&pwd={HIDDEN}",
    f"GET /cgi-bin/CGIProxy.fcgi?cmd=snapPicture2&usr=admin&pwd={HIDDEN} 401",
    f"http://h/?key={HIDDEN}",
    f'{{"camera_pass": "{HIDDEN}", "pass": "{HIDDEN}", "passcode": "{HIDDEN}"}}',
    f'{{"privateKey": "{HIDDEN}", "access_key": "{HIDDEN}", "auth": ["ann", "{HIDDEN}"]}}',
    f"pin={HIDDEN} userPwd={HIDDEN}, psk: {HIDDEN}",
    f"{{'pass' => '{HIDDEN}'}}",
    f"Cookie: a={HIDDEN}; b={HIDDEN}\r\nHost: h",
    f'{{"headers": {{"Set-Cookie": "a={HIDDEN}; Path=/"}}}}',
    "got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.hunter2-Zq back",
    f"-----BEGIN RSA PRIVATE KEY-----\n{HIDDEN}\n-----END RSA PRIVATE KEY-----\n",
    json.dumps({"x": f"-----BEGIN PRIVATE KEY-----\n{HIDDEN}\n-----END PRIVATE KEY-----\n"}),
    f"-----BEGIN OPENSSH PRIVATE KEY-----\n{HIDDEN}, cut of",
    f"no post to https://hooks.slack.com/services/T0/B0/{HIDDEN}.",
    f"https://discord.com/api/webhooks/1/{HIDDEN}?wait=true",
    f"http://home:8123/api/webhook/{HIDDEN}",
    f"https://api.telegram.org/bot12:{HIDDEN}/sendMessage",
    json.dumps({"name": "api_key", "value": HIDDEN}),
    json.dumps([{"id": 1, "settingKey": "camera.pin", "settingValue": HIDDEN}]),
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
    "author: ann, passed: 3, bypass=1, compass: N, pinned=yes, authorised: no, key: batch:1",
    '{"author": "ann", "passed": 3, "bypass": "x", "compass": "N", "pinned": "y", "authorised": "z"}',
    '{"key": "batch:1", "value": "porch", "auth_type": "digest", "pass_count": 7}',
    '{"name": "author", "value": "ann"}',
    "http://h/x?author=ann&keys=1&passed=2",
    "/export/foscam/mountain_pass/1.jpg",
    "BEGIN eyJ.eyJ webhook bearer",
]


@pytest.mark.parametrize("text", TEXTS)
def test_secrets_are_masked(text):
    """In URLs, JSON of any depth, text; the rest of a whole JSON text stays JSON."""
    masked = mask_text(text)
    assert "hunter2" not in masked
    assert "***" in masked
    assert "hunter2" not in mask_bytes(text.encode()).decode()
    assert mask_text(masked) == masked


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


LONG = [
    "a",
    "token",
    "Ab1/",
    "a://",
    "pass",
    "pwd=",
    ":",
    "eyJa.",
    "bearer a=b,",
    "http://h/webhook/x;",
    "a=b&",
]


@pytest.mark.parametrize(
    "long", [each * (200_000 // len(each)) for each in (*LONG, "-----BEGIN A", "auth:x ")]
)
def test_a_long_word_is_gone_through_once(long):
    """Such as an image in base64; from each of its letters anew it would take hours, which nothing stops."""
    masked = mask_text(f"token {long} rtsp://ann:{HIDDEN}@cam password={HIDDEN}, {long}")
    assert masked.count("rtsp://ann:***@cam password=***, ") == 1


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


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("http://h?token=x: [Errno -2] Name", "http://h?token=***: [Errno -2] Name"),
        (
            f"no post to https://hooks.slack.com/services/T0/{HIDDEN}, 404",
            "no post to https://hooks.slack.com/services/***, 404",
        ),
        (f"401: Authorization: Bearer {HIDDEN} failed", "401: Authorization: Bearer *** failed"),
        (f"Cookie: a={HIDDEN}; b=c\r\nHost: h", "Cookie: ***\r\nHost: h"),
        (
            f'{{"name": "gate", "value": 3, "auth": "{HIDDEN}"}}',
            '{"name": "gate", "value": 3, "auth": "***"}',
        ),
    ],
)
def test_what_is_no_secret_stays_readable(text, masked):
    assert mask_text(text) == masked


def test_what_stands_beside_the_name_of_a_secret_is_one():
    """In a table of settings; a number of tokens is none."""
    columns = {
        "id": [1, 2, 3, 4, 5],
        "setting_key": ["api_key", "camera", "llm_tokens", "pin", None],
        "value": ["hidden", "porch", 12, 1234, "x"],
    }
    assert mask_pairs(columns)["value"] == ["***", "porch", 12, "***", "x"]
    assert mask_pairs({"key": ["api_key"], "note": ["x"]}) == {"key": ["api_key"], "note": ["x"]}


def test_a_pin_of_digits_is_a_secret():
    """Unlike a number of tokens."""
    assert mask_value({"pin": 1234, "pass": "888888", "tokens": 12}) == {
        "pin": "***",
        "pass": "***",
        "tokens": 12,
    }
    assert mask_text("pin: 1234, tokens: 12") == "pin: ***, tokens: 12"


def test_places_are_masked_where_they_are_urls():
    """Whatever else stands among them."""
    plain = ["/export/1.jpg", None, 7, {"a": 1}]
    assert mask_places(plain) is plain
    assert mask_places([*plain, "rtsp://ann:hidden@cam/1"]) == [*plain, "rtsp://ann:***@cam/1"]


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
    assert mask_record(Record(b"camera:porch:pin", b"string", head=[b"1234"])).head == [b"***"]
    assert mask_record(Record(b"batch:mountain_pass:current", b"string", head=[b"b7"])).head == [b"b7"]
