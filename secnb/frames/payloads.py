"""What raw bytes say: JSON, plain, encoded twice or compressed."""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import re
from typing import Any

import msgspec
import zstandard

_COMPRESSED = b"Z:"
_MAX_UNPACKED_BYTES = 64 * 1024 * 1024
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
# What msgspec reads, long numbers included, is what the standard library reads, four times as fast.
_load_strictly = msgspec.json.Decoder().decode

load_object = msgspec.json.Decoder(dict[str, Any]).decode
"""Return the JSON object in plain bytes; raises ValueError or RecursionError for whatever else they hold."""


def load_value(raw: bytes) -> Any:
    """Return the JSON value in `raw`: also in a JSON string (encoded twice), or ``Z:`` with base64 of zstd.

    Raises
    ------
    ValueError, RecursionError
        If there is none; the text says why.
    """
    value = _load(_unpacked(raw))
    return _loaded_again(value) if isinstance(value, str) else value


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


def _load(raw: bytes) -> Any:
    # The standard library is laxer (NaN, lone surrogates), and says what is wrong and where.
    with contextlib.suppress(ValueError):
        return _load_strictly(raw)
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


def _loaded_again(value: str) -> Any:
    """Return the JSON inside a JSON string, or the string itself if there is none."""
    try:
        inner = _load(value.encode("utf-8", "surrogatepass"))
    except ValueError:
        return value
    return inner if isinstance(inner, dict | list) else value
