"""Which detections an event was made of, whichever way a generation keeps that.

The later generations have a table of pairs, the first a text beside each event: JSON ids, as strings or as
integers, or ids with commas between. A table of pairs does not come with pairs for the events that were
there before it, so an event without any is looked up in its text.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson
import pandas as pd
from numpy.typing import NDArray

from secnb import schema
from secnb.core.collector import collector_paused
from secnb.core.reader import DatabaseReader
from secnb.frames.notes import note
from secnb.frames.paging import Selection, read_pages
from secnb.frames.records import EVENTS, read_table
from secnb.frames.typed import to_frame
from secnb.frames.wanted import Wanted

Ints = NDArray[np.int64]
_PAIRS: Final = "event_detections"
_PAGE: Final = 1000
_NUMBER: Final = re.compile(r"[0-9]+")
_MOST_DIGITS: Final = 19
_NONE: Final[Ints] = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class Members:
    """Pairs of event and detection, each once, sorted by event, then detection.

    Attributes
    ----------
    event_id, detection_id : ndarray of int64
        Of one length.
    n_unreadable : int
        Events whose text holds something that is no id.
    """

    event_id: Ints
    detection_id: Ints
    n_unreadable: int = 0


async def read_memberships(
    reader: DatabaseReader, wanted: Wanted, *, on_page: Callable[[int], None] = lambda _: None
) -> pd.DataFrame:
    """Return one row per event and detection that it was made of, sorted by event, then detection."""
    columns = ["event_id", *await text_columns(reader)]
    wanted = Wanted(wanted.camera_id, None, wanted.since, wanted.until, None, columns)
    events = await read_table(reader, EVENTS, wanted)
    members = await read_members(reader, events, on_page=on_page)
    frame = to_frame({}, schema.MEMBERSHIPS)
    for name in frame.columns:
        frame[name] = pd.array(getattr(members, name), dtype="Int64")
    frame.attrs = {**events.attrs, "rows": len(frame), "total": len(frame)}
    unreadable = {"detection_ids": members.n_unreadable} if members.n_unreadable else {}
    return note(frame, table=await _source(reader), **({"unreadable": unreadable} if unreadable else {}))


async def text_columns(reader: DatabaseReader) -> list[str]:
    """Return the column of events that names detections in text, where there is one."""
    return [name for name in await reader.fetch_columns("events") if name == "detection_ids"]


async def read_members(
    reader: DatabaseReader, events: pd.DataFrame, *, on_page: Callable[[int], None] = lambda _: None
) -> Members:
    """Return the members of events; `events` has event_id, and detection_ids where that is stored."""
    pairs = await _read_pairs(reader, events["event_id"], on_page)
    texts = parse_members(events[~events["event_id"].isin(np.unique(pairs.event_id))])
    return _merged(
        np.concatenate([pairs.event_id, texts.event_id]),
        np.concatenate([pairs.detection_id, texts.detection_id]),
        texts.n_unreadable,
    )


def parse_members(events: pd.DataFrame) -> Members:
    """Return the members of events as their texts name them."""
    if "detection_ids" not in events:
        return Members(_NONE, _NONE)
    positions, ids, n_unreadable = parse_ids(events["detection_ids"].tolist())
    return _merged(_ids(events["event_id"])[positions], ids, n_unreadable)


async def count_members(reader: DatabaseReader, events: pd.DataFrame) -> pd.Series[Any]:
    """Return how many detections each event was made of; NA where nothing says so."""
    event_id = events["event_id"]
    named = np.unique(parse_members(events).event_id, return_counts=True)
    counts: dict[int, int] = dict(zip(*(each.tolist() for each in named), strict=True))
    is_known = events["detection_ids"].notna() if "detection_ids" in events else event_id.isna()
    if len(events) and await has_pairs(reader):
        rows = await reader.fetch(
            f"SELECT event_id, count(DISTINCT detection_id) FROM {_PAIRS} "  # noqa: S608 - a name of our own
            "WHERE event_id BETWEEN :first AND :last GROUP BY event_id",
            id_range(event_id),
            timeout_s=None,
        )
        counts |= {row[0]: row[1] for row in rows.rows}
        is_known = event_id.notna()
    found = np.array([counts.get(each, 0) for each in event_id.tolist()], dtype=np.int64)
    return pd.Series(found, index=events.index, dtype="Int64").where(is_known)


def id_range(ids: pd.Series[Any] | Ints) -> dict[str, int]:
    """Return the first and the last of some ids, as parameters."""
    return {"first": int(ids.min()), "last": int(ids.max())}


def within(column: str) -> list[str]:
    """Return the conditions that a column lies in `id_range`, for a table that is read page by page."""
    # The plus keeps SQLite from beginning each page at this bound, and skipping all pages before it.
    return [f"{column} >= :first", f"+{column} <= :last"]


async def _source(reader: DatabaseReader) -> str:
    return _PAIRS if await has_pairs(reader) else "events"


async def has_pairs(reader: DatabaseReader) -> bool:
    """Return whether the deployment has a table of pairs."""
    return {"event_id", "detection_id"} <= set(await reader.fetch_columns(_PAIRS))


async def _read_pairs(
    reader: DatabaseReader, event_ids: pd.Series[Any], on_page: Callable[[int], None]
) -> Members:
    if not len(event_ids) or not await has_pairs(reader):
        return Members(_NONE, _NONE)
    selection = Selection(
        table=_PAIRS,
        columns={name: name for name in schema.MEMBERSHIPS},
        where=within("event_id"),
        params=id_range(event_ids),
        key=tuple(schema.MEMBERSHIPS),
    )
    frame = await read_pages(reader, selection, schema.MEMBERSHIPS, on_page=on_page)
    frame = frame[frame["event_id"].isin(event_ids)]
    return Members(_ids(frame["event_id"]), _ids(frame["detection_id"]))


def _ids(column: pd.Series[Any]) -> Ints:
    return column.to_numpy(dtype=np.int64)


def _merged(event_id: Ints, detection_id: Ints, n_unreadable: int) -> Members:
    order = np.lexsort((detection_id, event_id))
    event_id, detection_id = event_id[order], detection_id[order]
    is_new = np.ones(len(order), dtype=np.bool_)
    is_new[1:] = (event_id[1:] != event_id[:-1]) | (detection_id[1:] != detection_id[:-1])
    return Members(event_id[is_new], detection_id[is_new], n_unreadable)


def parse_ids(values: Sequence[Any]) -> tuple[Ints, Ints, int]:
    """Return the ids that texts name: the position of the text, the id, and how many texts hold more.

    Parameters
    ----------
    values : sequence
        JSON lists of integers or of strings, numbers with commas between, or missing.

    Returns
    -------
    positions, ids : ndarray of int64
        In the order of the texts.
    n_unreadable : int
        Texts that hold something besides ids, such as a word or a fraction.

    Examples
    --------
    >>> positions, ids, n_unreadable = parse_ids(["[1, 2]", '["3"]', None, "4,5", "[6, null]"])
    >>> positions.tolist(), ids.tolist(), n_unreadable
    ([0, 0, 1, 3, 3, 4], [1, 2, 3, 4, 5, 6], 1)
    """
    positions, ids, n_unreadable = [_NONE], [_NONE], 0
    there = [i for i, value in enumerate(values) if not _is_missing(value)]
    for start in range(0, len(there), _PAGE):
        page = there[start : start + _PAGE]
        texts = [values[i] for i in page]
        with collector_paused():
            together = _parse_together(texts)
        if together is None:
            looked = list(map(_parse, texts))
            n_unreadable += sum(not is_whole for _, is_whole in looked)
            lists = [found for found, _ in looked]
            together = _flat(lists), [len(each) for each in lists]
        positions.append(np.repeat(np.array(page, dtype=np.int64), together[1]))
        ids.append(together[0])
    return np.concatenate(positions), np.concatenate(ids), n_unreadable


def _parse_together(texts: Sequence[Any]) -> tuple[Ints, list[int]] | None:
    """Return the ids of texts that are all flat JSON lists of ids, and how many each has; else None."""
    try:
        joined = ",\n".join(texts)
        # A list that is left open and one that closes twice could pass for two. Where each line has one
        # bracket of either kind, at its ends, every line is a list.
        n_between = len(texts) - 1
        is_flat = joined.count("[") == joined.count("]") == len(texts) and joined[0] + joined[-1] == "[]"
        if not is_flat or not joined.count("\n") == joined.count("],\n[") == n_between:
            return None
        lists: list[list[Any]] = orjson.loads(f"[{joined}]")
        lengths = list(map(len, lists))
        kinds = set(map(type, itertools.chain.from_iterable(lists)))
        if kinds == {str} and all(map(_is_number, itertools.chain.from_iterable(lists))):
            return _flat([map(int, each) for each in lists]), lengths
        return (_flat(lists), lengths) if kinds <= {int} else None
    except (TypeError, ValueError, OverflowError):
        return None


def _flat(lists: Iterable[Iterable[int]]) -> Ints:
    return np.array(list(itertools.chain.from_iterable(lists)), dtype=np.int64)


def _parse(value: Any) -> tuple[list[int], bool]:
    """Return the ids that one value names, and whether it holds nothing else."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    if not isinstance(text, str):
        return ([text], True) if _is_id(text) else ([], False)
    try:
        found = orjson.loads(text)
    except ValueError:
        # A list without its brackets, as some versions wrote it; or what is left of something broken.
        ids = [int(each) for each in _NUMBER.findall(text) if _is_number(each)]
        is_whole = not text.strip() or all(_is_number(each.strip()) for each in text.split(","))
        return list(filter(_is_id, ids)), is_whole
    if isinstance(found, str):
        return _parse(found)
    if not isinstance(found, list):
        return ([found], True) if _is_id(found) else ([], found is None)
    ids = [int(each) if isinstance(each, str) and _is_number(each) else each for each in found]
    kept = list(filter(_is_id, ids))
    return kept, len(kept) == len(found)


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and value != value)


def _is_number(text: str) -> bool:
    # Python reads digits of any script, and refuses very long ones; no id is longer than this.
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
