"""Secrets inside of what is stored: passwords in URLs, in JSON of any depth, in text and log lines.

Where it is unclear how far a secret reaches, more is masked rather than less. What holds none comes back
as it is, to the byte.
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import zstandard

from secnb.core.redis_recording import Record
from secnb.core.secret_names import is_secret_key, is_secret_name
from secnb.core.url import mask_url
from secnb.frames.typed import MASK

_COMPRESSED: Final = b"Z:"
_MAX_UNPACKED_BYTES: Final = 64 * 1024 * 1024
# Nearly every value holds nothing of the kind, which is soon told: each of these letters is looked for, then
# what goes with it and is a secret for sure. An escape may hide a letter.
_SURE: Final = {
    **{each: (each,) for each in ("secret", "token", "credential", "bearer", "cookie", "webhook", ".eyj")},
    **{each: (each,) for each in ("rtsp_u", "slack.com", "telegram.org", "\\u00")},
    "pass": ("passw", "passphrase", "passcode"),
    "pw": ("pwd",),
    "key": (
        *("key_hash", "private key"),
        *(f"{kind}{sign}key" for kind in ("api", "access", "private") for sign in ("", "_", "-")),
    ),
    "auth": ("authorization",),
}


def _as_word(word: str) -> list[re.Pattern[bytes]]:
    """Return what finds a word; a pattern that begins with letters is searched for as fast as these are."""
    upper = word.upper()
    forms = (
        rf"{word}(?<![a-z]{word})(?![a-z])",
        rf"{upper}(?<![A-Z]{upper})(?![A-Z])",
        rf"{word.title()}(?![a-z])",
    )
    return [re.compile(each.encode()) for each in forms]


# These are parts of ordinary words too, such as passed, author and mapping.
_DOUBTFUL: Final = {
    "pin": _as_word("pin") + _as_word("pincode"),
    **{each: _as_word(each) for each in ("pass", "pw", "auth", "psk", "jwt")},
}
_SUSPECT: Final = [
    (letters.encode(), [each.encode() for each in _SURE.get(letters, ())], _DOUBTFUL.get(letters, []))
    for letters in {**_SURE, **_DOUBTFUL}
]
# Words can be long, such as an image in base64; each is gone through once, from its beginning.
_URL = re.compile(r"(?<![\w+.-])((?:[+.-]|[^\WA-Za-z])*+)([A-Za-z][\w+.-]*+:(?:\\?/){2}[^\s<>\"]*+)")
# Whoever knows the address may post.
_POSTING = re.compile(r"(//hooks\.slack\.com/[^/]*/|/(?:api/)?webhook\w*/|/bot(?=\d+:))[^?#]+", re.IGNORECASE)
_PRIVATE_KEY = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ ){0,4}?PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]*-----|\Z)", re.DOTALL
)
_JWT = re.compile(r"(?<![\w-])eyJ[\w-]++\.eyJ[\w-]++(?:\.[\w-]*+)?")
_SCHEME: Final = r"(?:basic|bearer|digest|token|apikey|[\w-]*hmac[\w-]*)"
_BEARER = re.compile(
    rf"\b(auth(?:orization)?\\*[\"']?\s*[:=]\s*\\*[\"']?{_SCHEME}|bearer)(\s+)"
    r"(?:\w++=(?:\"[^\"]*+\"|[^\s,\"]++)(?:,\s*+\w++=(?:\"[^\"]*+\"|[^\s,\"]++))*+|[^\s\"'\\,]+)",
    re.IGNORECASE,
)
_NAMED = re.compile(r"(?<![\w-])([\w-]++)\\*+[\"']?\s*+(?::|=>?)\s*+")
_VALUE = re.compile(r"(\\*+[\"'])(.*?)(?:\1|\Z)|([^\s,;&\"'\\}]+)", re.DOTALL)
_LINE = re.compile(r"(\\*+[\"'])(.*?)(?:\1|\Z)|([^\r\n\"'\\]+)", re.DOTALL)
_DONE = re.compile(rf"{_SCHEME}\s+{re.escape(MASK)}", re.IGNORECASE)
_CLAUSE_ENDS: Final = ":;,."
_JSON_BEGINS: Final = ("{", "[", '"')
# What the name and the value of a setting are called where each is a row or an object of its own.
_PAIR_NAMES: Final = frozenset(
    {"key", "name", "setting", "option", "variable", "parameter", "param", "field"}
)
_PAIR_VALUES: Final = frozenset({"value", "val"})


def is_suspect(text: str | bytes) -> bool:
    """Return whether a secret may be in it, at a glance: many values can be looked at as one text."""
    raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    has_url = b":/" in raw or rb":\/" in raw
    return (has_url and (b"@" in raw or b"=" in raw)) or _has_word(raw)


def _has_word(raw: bytes) -> bool:
    lower = raw.lower()
    for letters, sure, doubtful in _SUSPECT:
        if letters in lower and (
            any(each in lower for each in sure) or any(each.search(raw) for each in doubtful)
        ):
            return True
    return False


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
    if text.lstrip()[:1] in _JSON_BEGINS:
        try:
            value = json.loads(text)
            masked = mask_value(value)
            return text if masked == value else json.dumps(masked)
        except (ValueError, RecursionError):
            pass
    return _mask_words(text)


def mask_places(values: Sequence[Any]) -> Sequence[Any]:
    """Return paths without the passwords in them, where a path is a URL; told by their signs, for many."""
    try:
        joined = "\n".join(values)
    except TypeError:
        joined = "\n".join(each for each in values if isinstance(each, str))
    if "@" not in joined and "=" not in joined:
        return values
    return [
        mask_text(each) if isinstance(each, str) and ("@" in each or "=" in each) else each for each in values
    ]


def mask_bytes(raw: bytes) -> bytes:
    """Return what a key holds without the secrets in it, in the form that it had, compressed or not."""
    if raw.startswith(_COMPRESSED):
        return _mask_packed(raw)
    if not is_suspect(raw):
        return raw
    return mask_text(raw.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def mask_value(value: Any) -> Any:
    """Return a value of JSON or of a column without the secrets in it."""
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, bytes):
        return mask_bytes(value)
    if isinstance(value, list):
        return [mask_value(each) for each in value]
    if isinstance(value, dict):
        hidden = _pair_value(value)
        return {name: mask_field(hidden.get(name, name), each) for name, each in value.items()}
    return value


def mask_field(name: str | None, value: Any) -> Any:
    """Return what goes by a name without the secrets in it; nothing of it where the name is a secret's."""
    if name is None or value is None or isinstance(value, bool) or value == "" or not is_secret_name(name):
        return mask_value(value)
    return value if isinstance(value, int | float) and _is_count(name, value) else MASK


def mask_pairs(columns: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """Return columns without the values that stand beside the name of a secret, as in a table of settings."""
    named = [columns[name] for name in columns if _last_word(name) in _PAIR_NAMES]
    values = [name for name in columns if _last_word(name) in _PAIR_VALUES]
    if not named or not values:
        return dict(columns)
    secrets: list[str | None] = [_first_secret(names) for names in zip(*named, strict=True)]
    return dict(columns) | {
        name: [mask_field(*pair) for pair in zip(secrets, columns[name], strict=True)] for name in values
    }


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
    name = key.decode("utf-8", "backslashreplace")
    if not is_secret_key(name):
        return mask_bytes
    return lambda raw: raw if _is_count(name, raw) else MASK.encode()


def _is_count(name: str, value: Any) -> bool:
    """Return whether this is a number of tokens, which is no secret."""
    is_number = value.isdigit() if isinstance(value, str | bytes) else isinstance(value, int | float)
    return is_number and "token" in name.lower()


def _mask_items(items: list[bytes], hide: Callable[[bytes], bytes]) -> list[bytes]:
    is_packed = any(each.startswith(_COMPRESSED) for each in items)
    if hide is mask_bytes and not is_packed and not is_suspect(b"\n".join(items)):
        return items
    return [hide(each) for each in items]


def _mask_fields(flat: Sequence[bytes], hide: Callable[[bytes], bytes]) -> list[bytes]:
    masked: list[bytes] = []
    for name, value in zip(flat[::2], flat[1::2], strict=True):
        shown = name.decode("utf-8", "backslashreplace")
        is_hidden = is_secret_name(shown) and not _is_count(shown, value)
        masked += [name, MASK.encode() if is_hidden else hide(value)]
    return masked


def _pair_value(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return, where one field holds the name of a setting and another its value, that name for the latter."""
    values = [name for name in fields if _last_word(name) in _PAIR_VALUES]
    if not values:
        return {}
    secret = _first_secret(each for name, each in fields.items() if _last_word(name) in _PAIR_NAMES)
    return {} if secret is None else dict.fromkeys(values, secret)


def _first_secret(names: Iterable[Any]) -> str | None:
    return next((each for each in names if isinstance(each, str) and is_secret_name(each)), None)


@functools.lru_cache(maxsize=1024)
def _last_word(name: str) -> str:
    found = re.search(r"([A-Z]?[a-z]+|[A-Z]+)\d*\Z", name[-40:])
    return found[1].lower() if found else ""


def _mask_words(text: str) -> str:
    text = _URL.sub(lambda found: found[1] + _masked_url(found[2]), text)
    if not _has_word(text.encode("utf-8", "surrogatepass")):
        return text
    for pattern in (_PRIVATE_KEY, _JWT):
        text = pattern.sub(MASK, text)
    return "".join(_masked_parts(_BEARER.sub(rf"\1\2{MASK}", text)))


def _masked_url(url: str) -> str:
    plain = url.replace(r"\/", "/")
    # A sign that ends a clause is none of the URL's.
    bare = plain.rstrip(_CLAUSE_ENDS)
    masked = _POSTING.sub(rf"\1{MASK}", mask_url(bare) if "@" in bare or "=" in bare else bare)
    return url if masked == bare else masked + plain[len(bare) :]


def _masked_parts(text: str) -> Iterator[str]:
    """Yield text piece by piece, without the values that stand behind the name of a secret."""
    done = 0
    for found in _NAMED.finditer(text):
        name, start = found[1], found.end()
        if found.start() < done or not is_secret_name(name):
            continue
        is_header = name.lower().endswith(("cookie", "authorization"))
        value = (_LINE if is_header else _VALUE).match(text, start)
        if value is None or _DONE.match(text, start) or _is_shown(name, value[3] or ""):
            continue
        yield text[done:start]
        quote = value[1] or ""
        yield f"{quote}{MASK}{quote}" if value[2] or value[3] else quote * 2
        done = value.end()
    yield text[done:]


def _is_shown(name: str, bare: str) -> bool:
    """Return whether a value without quotes is no secret, or was masked before."""
    return _is_count(name, bare.strip()) or bare.rstrip(_CLAUSE_ENDS) == MASK


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
