"""The names of queues and their keys: with and without a prefix, and where their dead letters lie."""

from __future__ import annotations

from numbers import Integral

from secnb.errors import BadInputError
from secnb.schema import QUEUE_FIELDS

_INFIX = ":queue:"
_DEAD = "dlq:"
_OVERFLOW = "overflow:"
_DEAD_STREAM = ":dlq"


def check_text(name: str, value: object, *, example: str) -> str:
    """Return `value` if it is text that a server can be asked with."""
    try:
        if isinstance(value, str) and value:
            value.encode("utf-8", "surrogateescape")
            return value
    except UnicodeEncodeError:
        pass
    raise BadInputError(f"{name} is {value!r}. Allowed: text, such as {example!r}.")


def read_limit(name: str, value: object) -> int | None:
    """Return a number of rows, a numpy integer out of a frame too; refuse what is none."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 0:
        raise BadInputError(f"{name} is {value!r}. Allowed: a whole number from 0, or None for all.")
    return int(value)


def bare(key: str) -> str:
    """Return the name without the prefix that some generations put before it."""
    return key.partition(_INFIX)[2] or key


def both_forms(name: str, prefix: str) -> tuple[str, str]:
    """Return the key that is called `name`, and the other form of the same queue's key."""
    before = f"{prefix}{_INFIX}"
    return name, name.removeprefix(before) if name.startswith(before) else before + name


def is_dead_letters(key: str) -> bool:
    """Whether dead letters lie there."""
    return bare(key).startswith(_DEAD) or key.endswith(_DEAD_STREAM)


def source_of(key: str) -> str:
    """Return the bare name of the queue whose dead letters lie under `key`."""
    name = bare(key)
    if name.startswith(_DEAD):
        return name.removeprefix(_DEAD).removeprefix(_OVERFLOW)
    return name.removesuffix(_DEAD_STREAM)


def owners(keys: list[str]) -> dict[str, list[str]]:
    """Return, by queue, the keys of its dead letters.

    They belong to the queue whose key has the same form, prefixed or bare; to the bare one where there
    is no such key, so that each letter counts once.
    """
    queues = {key for key in keys if not is_dead_letters(key)}
    found: dict[str, list[str]] = {key: [] for key in queues if bare(key) in QUEUE_FIELDS}
    for key in keys:
        if not is_dead_letters(key):
            continue
        before = key.removesuffix(bare(key))
        owner = next((each for each in (before + source_of(key), source_of(key)) if each in queues), None)
        if owner is not None:
            found.setdefault(owner, []).append(key)
    return found
