"""Detections and annotated objects from COCO's JSON files, in the one vocabulary."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson
import pandas as pd

from secnb import schema
from secnb.core.collector import collector_paused
from secnb.errors import BadInputError
from secnb.frames.notes import note
from secnb.frames.typed import to_frame

_DETECTIONS: Final = {**schema.DETECTIONS, "image_id": "Int64"}
_BOX: Final = ("bbox_x", "bbox_y", "bbox_width", "bbox_height")
_TOO_LARGE: Final = 1e300


class Coco(NamedTuple):
    """What a detector found, and what is there.

    Attributes
    ----------
    detections : pandas.DataFrame
        Columns of ``schema.DETECTIONS``, and ``image_id``.
    annotations : pandas.DataFrame
        Columns of ``schema.ANNOTATIONS``.
    """

    detections: pd.DataFrame
    annotations: pd.DataFrame


def read_coco(results: str | os.PathLike[str], annotations: str | os.PathLike[str]) -> Coco:
    """Return detections and annotated objects of two COCO files, one row per entry, in file order.

    Boxes stay fractional: pixels from the top-left corner, and size. Without entries, the frames are
    empty with all columns and dtypes.

    Parameters
    ----------
    results : str or path-like
        A detector's results: a list of ``image_id``, ``category_id``, ``bbox`` and ``score``.
    annotations : str or path-like
        Images, categories and annotations (``instances_*.json``); those with ``iscrowd`` are groups.

    Returns
    -------
    Coco
        ``detections`` (``detection_id`` counts from 1, ``file_path`` is the image's name; nothing is
        known of camera and time) and ``annotations`` (``object_id``, ``is_crowd``, ``area`` …).

    Raises
    ------
    FileNotFoundError
        If a file is not there.
    BadInputError
        If a file is not JSON of this kind, or an entry is not: the message names file and entry.

    References
    ----------
    Lin et al. (2014). Microsoft COCO, arXiv 1405.0312; https://cocodataset.org/#format-results.

    Examples
    --------
    >>> detections, annotations = read_coco("results.json", "instances.json")  # doctest: +SKIP
    >>> detections[["image_id", "object_type", "confidence"]]  # doctest: +SKIP
    """
    with collector_paused():
        truth = _Source(Path(annotations))
        content = truth.read(dict, "an object with images, categories and annotations")
        images = {one.fresh_id(): one.text("file_name") for one in truth.entries(content, "images")}
        types = {one.fresh_id(): one.text("name") for one in truth.entries(content, "categories")}
        objects = [_object(one, images, types) for one in truth.entries(content, "annotations")]
        found = _Source(Path(results))
        entries = found.entries({"": found.read(list, "a list of results")}, "")
        detections = [_detection(one, images, types) for one in entries]
    for number, row in enumerate(detections, start=1):
        row["detection_id"] = number
    return Coco(
        note(_framed(detections, _DETECTIONS), source=str(found.path), rows=len(detections)),
        note(_framed(objects, schema.ANNOTATIONS), source=str(truth.path), rows=len(objects)),
    )


def _framed(rows: list[dict[str, Any]], wanted: Mapping[str, str]) -> pd.DataFrame:
    names = rows[0] if rows else ()
    return to_frame({name: [row[name] for row in rows] for name in names}, wanted)


def _object(entry: _Entry, images: dict[int, str], types: dict[int, str]) -> dict[str, Any]:
    crowd = entry.fields.get("iscrowd", 0)
    if crowd not in (0, 1):
        raise entry.bad("iscrowd", "0 and 1")
    box, image_id = entry.box(), entry.one_of("image_id", images)
    return {
        "object_id": entry.fresh_id(),
        "image_id": image_id,
        "object_type": types[entry.one_of("category_id", types)],
        **dict(zip(_BOX, box, strict=True)),
        "area": entry.number("area") if "area" in entry.fields else box[2] * box[3],
        "is_crowd": bool(crowd),
        "file_path": images[image_id],
    }


def _detection(entry: _Entry, images: dict[int, str], types: dict[int, str]) -> dict[str, Any]:
    image_id = entry.one_of("image_id", images)
    return {
        "image_id": image_id,
        "object_type": types[entry.one_of("category_id", types)],
        "confidence": entry.number("score"),
        **dict(zip(_BOX, entry.box(), strict=True)),
        "file_path": images[image_id],
        "file_type": Path(images[image_id]).suffix or None,
    }


class _Source:
    """A JSON file, whose name stands in every complaint about it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, kind: type, wanted: str) -> Any:
        """Return its content, of that kind."""
        try:
            content = _parsed(self.path.read_bytes())
        except FileNotFoundError as exc:
            raise FileNotFoundError(errno.ENOENT, "There is no such file", str(self.path.absolute())) from exc
        except IsADirectoryError as exc:
            raise BadInputError(f"{str(self.path)!r} is a folder. Allowed: one JSON file.") from exc
        except (ValueError, RecursionError) as exc:
            raise BadInputError(f"{str(self.path)!r} is not JSON: {exc}.", hint="it may be cut off") from exc
        if not isinstance(content, kind):
            is_swapped = "the two files may be swapped" if isinstance(content, dict | list) else None
            raise BadInputError(
                f"{str(self.path)!r} holds {_kind(content)}. Allowed: {wanted}.", hint=is_swapped
            )
        return content

    def entries(self, content: dict[str, Any], name: str) -> Iterator[_Entry]:
        """Yield the entries of one of its lists."""
        if not isinstance(content.get(name), list):
            known = ", ".join(map(repr, content)) or "nothing"
            raise BadInputError(f"{str(self.path)!r} has no list {name!r}. Known: {known}.")
        ids: set[int] = set()
        for position, fields in enumerate(content[name]):
            where = f"{self.path}, {name or 'entry'}[{position}]"
            if not isinstance(fields, dict):
                raise BadInputError(f"{where} is {_kind(fields)}. Allowed: an object.")
            yield _Entry(where, fields, ids)


def _parsed(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        # Python writes NaN into JSON and reads it; the entry that holds it can then be named.
        return json.loads(data.decode("utf-8-sig"))


class _Entry(NamedTuple):
    """One entry of a list, and where it stands."""

    where: str
    fields: dict[str, Any]
    # Those of the entries before it.
    ids: set[int]

    def bad(self, name: str, allowed: str) -> BadInputError:
        """Return the complaint about one of its values."""
        value = repr(self.fields[name])[:60] if name in self.fields else "missing"
        return BadInputError(f"{self.where}: {name} is {value}. Allowed: {allowed}.")

    def whole(self, name: str) -> int:
        value = self.fields.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
            raise self.bad(name, "whole numbers")
        return value

    def fresh_id(self) -> int:
        number = self.whole("id")
        if number in self.ids:
            raise self.bad("id", "each id once")
        self.ids.add(number)
        return number

    def number(self, name: str) -> float:
        value = self.fields.get(name)
        if not _is_number(value):
            raise self.bad(name, "numbers")
        return float(value)  # type: ignore[arg-type]

    def text(self, name: str) -> str:
        value = self.fields.get(name)
        if not isinstance(value, str):
            raise self.bad(name, "text")
        return value

    def one_of(self, name: str, known: dict[int, str]) -> int:
        value = self.whole(name)
        if value not in known:
            raise self.bad(name, f"one of the {len(known)} ids in the annotations file")
        return value

    def box(self) -> list[float]:
        box = self.fields.get("bbox")
        if not (isinstance(box, list) and len(box) == len(_BOX) and all(map(_is_number, box))):
            raise self.bad("bbox", "four numbers: x, y, width, height")
        if box[2] < 0 or box[3] < 0:
            raise self.bad("bbox", "width and height from 0")
        return [float(value) for value in box]


def _is_number(value: object) -> bool:
    # Not so NaN, and whole numbers that no float can hold.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _TOO_LARGE


def _kind(value: object) -> str:
    kinds = {dict: "an object", list: "a list", str: "text", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")
