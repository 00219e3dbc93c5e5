"""Which names are those of secrets: of settings, columns, fields, keys and options of URLs."""

from __future__ import annotations

import functools
import re
from typing import Final

from secnb.schema import SECRET_COLUMNS

# Unmistakable wherever they stand, as in sslpassword and newpwd; words are joined by an underscore.
_PART: Final = re.compile(
    r"passw|passphrase|passcode|pwd|secret|token(?!i[sz])|credential|authorization|cookie"
    r"|(?:api|access|private|signing|encryption|shared|account|auth)_?key|key_hash|rtsp_u(?:rl|ser)|webhook_url"
)
# Secrets only as whole words: there are passed, bypass, pinned, spin, author and authorised as well.
_WHOLE: Final = frozenset({"pass", "pw", "psk", "auth", "pin", "pincode", "jwt"})
# What is said about a secret is none, such as auth_type, pass_count and password_length.
_ABOUT: Final = frozenset(
    {"count", "counts", "rate", "ratio", "type", "method", "mode", "scheme", "status", "enabled", "required"}
    | {"failures", "length", "policy", "at", "ms"}
)
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+")
_LONGEST: Final = 200


def is_secret_name(name: str) -> bool:
    """Return whether what goes by this name is a secret, by the words in it.

    Words end at ``_``, ``-``, ``.``, at any other sign and at a capital; digits do not count.

    Examples
    --------
    >>> [is_secret_name(name) for name in ("rtsp_password", "userPwd", "camera-pin", "x.auth")]
    [True, True, True, True]
    >>> [is_secret_name(name) for name in ("camera_id", "passed", "author", "key", "auth_type")]
    [False, False, False, False, False]
    """
    # What a name is of stands at its end, and nobody writes longer ones.
    return _is_secret(name[-_LONGEST:])


def is_secret_key(key: str) -> bool:
    """Return whether what stands under this key of Redis is a secret.

    A key may be made with the name of a camera, and one may be called mountain_pass: a word that is a
    secret as a whole only counts where it stands alone between colons.

    Examples
    --------
    >>> [is_secret_key(key) for key in ("session:token:7", "porch:pass", "batch:mountain_pass:current")]
    [True, True, False]
    """
    parts = [part[-_LONGEST:] for part in key.split(":")]
    return any(_is_secret(part) and (_is_unmistakable(part) or part.lower() in _WHOLE) for part in parts)


@functools.lru_cache(maxsize=4096)
def _is_secret(name: str) -> bool:
    words = _words(name)
    if words and words[-1] in _ABOUT:
        return False
    return _is_unmistakable(name) or not _WHOLE.isdisjoint(words)


def _is_unmistakable(name: str) -> bool:
    return name.lower() in SECRET_COLUMNS or _PART.search("_".join(_words(name))) is not None


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]
