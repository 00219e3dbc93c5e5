"""Secrets inside of what is stored: passwords in URLs, in JSON of any depth, in text and log lines.

Where it is unclear how far a secret reaches, more is masked rather than less. What holds none comes back
as it is, to the byte.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import zstandard

from secnb.core.redis_recording import Record
from secnb.core.url import mask_url
from secnb.frames.typed import MASK
from secnb.schema import SECRET_COLUMNS

_COMPRESSED: Final = b"Z:"
_MAX_UNPACKED_BYTES: Final = 64 * 1024 * 1024
_NAME = re.compile(r"passw|passphrase|secret|token|api[_-]?key|credential|authorization", re.IGNORECASE)
# Nearly every value holds nothing of the kind, which is soon told. An escape may hide a letter.
_SUSPECT: Final = (
    *("passw", "passphrase", "secret", "token", "api_key", "api-key", "apikey", "credential"),
    *("authorization", "bearer", "key_hash", "rtsp_u", "\\u00"),
)
_SUSPECT_BYTES: Final = tuple(each.encode() for each in _SUSPECT)
# Words can be long, such as an image in base64; each is gone through once, from its beginning.
_URL = re.compile(r"(?<![\w+.-])((?:[+.-]|[^\WA-Za-z])*+)([A-Za-z][\w+.-]*+:(?:\\?/){2}[^\s<>\"]*+)")
_ASSIGNED = re.compile(
    r"((?<![\w-])(?>[\w-]*?(?:passw|passphrase|secret|token|api[_-]?key|credential|key_hash|rtsp_u))[\w-]*+"
    r"\\*+[\"']?\s*+[:=]\s*+)(?:(\\*+[\"'])(.*?)(?:\2|\Z)|([^\s,;&\"'\\}]+))",
    re.IGNORECASE | re.DOTALL,
)
_BEARER = re.compile(
    r"\b(authorization\\*[\"']?\s*[:=]\s*\\*[\"']?\w+|bearer)(\s+)[^\s\"'\\,]+", re.IGNORECASE
)


def is_secret(name: str) -> bool:
    """Return whether what goes by this name is a secret."""
    return name.lower() in SECRET_COLUMNS or _NAME.search(name) is not None


def is_suspect(text: str | bytes) -> bool:
    """Return whether a secret may be in it, at a glance: many values can be looked at as one text."""
    lower = text.lower()
    if isinstance(lower, bytes):
        has_url = b":/" in lower or b":\\/" in lower
        return (has_url and (b"@" in lower or b"=" in lower)) or any(each in lower for each in _SUSPECT_BYTES)
    has_url = ":/" in lower or ":\\/" in lower
    return (has_url and ("@" in lower or "=" in lower)) or _has_word(lower)


def _has_word(lower: str) -> bool:
    return any(each in lower for each in _SUSPECT)


def mask_text(text: str) -> str:
    """Return text without the secrets in it; JSON is looked into, also JSON within JSON.

    Examples
    --------
    >>> mask_text('{"id": 1, "rtsp_url": "rtsp://ann:hidden@cam/1"}')
    '{"id": 1, "rtsp_url": "***"}'
    >>> mask_text("no answer from rtsp://ann:hidden@cam/1")
    'no answer from rtsp://ann:***@cam/1'
    """
    if not is_suspect(text):
        return text
    try:
        value = json.loads(text)
        masked = mask_value(value)
        return text if masked == value else json.dumps(masked)
    except (ValueError, RecursionError):
        return _mask_words(text)


def mask_bytes(raw: bytes) -> bytes:
    """Return what a key holds without the secrets in it, in the form that it had, compressed or not."""
    if raw.startswith(_COMPRESSED):
        return _mask_packed(raw)
    if not is_suspect(raw):
        return raw
    return mask_text(raw.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def mask_value(value: Any) -> Any:
    """Return a JSON value without the secrets in it."""
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, list):
        return [mask_value(each) for each in value]
    if isinstance(value, dict):
        return {name: _mask_field(name, each) for name, each in value.items()}
    return value


def mask_record(record: Record) -> Record:
    """Return a key as it stood in Redis without the secrets in its content."""
    hide = hiding(record.key)
    if record.type == b"stream":
        parts = (record.head, record.waiting, record.tail)
        head, waiting, tail = ([[each[0], _mask_fields(each[1], hide)] for each in part] for part in parts)
        return replace(record, head=head, waiting=waiting, tail=tail)
    return replace(record, head=_mask_items(record.head, hide), tail=_mask_items(record.tail, hide))


def hiding(key: bytes) -> Callable[[bytes], bytes]:
    """Return what masks the content of a key: all of it where the name says that it is a secret."""
    return _hide_all if is_secret(key.decode("utf-8", "backslashreplace")) else mask_bytes


def _hide_all(raw: bytes) -> bytes:
    return raw if raw.isdigit() else MASK.encode()


def _mask_items(items: list[bytes], hide: Callable[[bytes], bytes]) -> list[bytes]:
    is_packed = any(each.startswith(_COMPRESSED) for each in items)
    if hide is mask_bytes and not is_packed and not is_suspect(b"\n".join(items)):
        return items
    return [hide(each) for each in items]


def _mask_fields(flat: Sequence[bytes], hide: Callable[[bytes], bytes]) -> list[bytes]:
    masked: list[bytes] = []
    for name, value in zip(flat[::2], flat[1::2], strict=True):
        is_hidden = is_secret(name.decode("utf-8", "backslashreplace")) and not value.isdigit()
        masked += [name, MASK.encode() if is_hidden else hide(value)]
    return masked


def _mask_field(name: str, value: Any) -> Any:
    # A number of tokens is no secret.
    is_count = isinstance(value, int | float) and "token" in name.lower()
    if value is None or isinstance(value, bool) or value == "" or is_count or not is_secret(name):
        return mask_value(value)
    return MASK


def _mask_words(text: str) -> str:
    text = _URL.sub(lambda found: found[1] + _masked_url(found[2]), text)
    if not _has_word(text.lower()):
        return text
    text = _BEARER.sub(rf"\1\2{MASK}", text)
    return _ASSIGNED.sub(_masked_word, text)


def _masked_url(url: str) -> str:
    if "@" not in url and "=" not in url:
        return url
    plain = url.replace(r"\/", "/")
    masked = mask_url(plain)
    return url if masked == plain else masked


def _masked_word(found: re.Match[str]) -> str:
    before, quote, quoted, bare = found.groups()
    if "token" in before.lower() and (bare or "").strip().isdigit():
        return found.group()
    return before + (f"{quote}{MASK}{quote}" if quoted else MASK if bare else f"{quote}{quote}")


def _mask_packed(raw: bytes) -> bytes:
    try:
        packed = base64.b64decode(raw[len(_COMPRESSED) :], validate=True)
        plain = zstandard.ZstdDecompressor().stream_reader(packed).read(_MAX_UNPACKED_BYTES)
    except (binascii.Error, zstandard.ZstdError):
        return raw
    masked = mask_bytes(plain)
    if masked == plain:
        return raw
    return _COMPRESSED + base64.b64encode(zstandard.ZstdCompressor().compress(masked))
