"""Boxes of a detector against annotated objects: which detections are true, and which objects were missed."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secnb.analysis.columns import factorize, read_by, read_column, read_flags, read_frame, read_scores
from secnb.analysis.overlaps import choose_greedily, find_pairs
from secnb.errors import BadInputError, SecnbWarning, UnknownColumnError

_BOX: Final = ("bbox_x", "bbox_y", "bbox_width", "bbox_height")
_IMAGES: Final = ("image_id", "file_path")
_ADDED: Final = ("is_true", "is_missed", "object_id", "iou")


def match_boxes(
    detections: pd.DataFrame,
    annotations: pd.DataFrame,
    *,
    iou: float = 0.5,
    by: str | Sequence[str] | None = None,
    score: str = "confidence",
    limit: int | None = 100,
) -> pd.DataFrame:
    """Return the detections with their truth, followed by one row per missed object.

    The rules are COCO's: within an image and label, detections in descending order of score each take the
    free object with which they overlap most, from `iou` on. One that takes none is false. One that only
    overlaps a crowd is neither, since nobody counted whom it holds; its truth is missing. So is that of
    detections beyond `limit`, and of those without score, box or label, which take no object either.
    The result is made for ``sweep(matched, score="confidence", truth="is_true", missed="is_missed")``.

    Parameters
    ----------
    detections : pandas.DataFrame
        With ``bbox_x, bbox_y, bbox_width, bbox_height``, the score and the `by` columns.
    annotations : pandas.DataFrame
        The objects that are there, all of them, with the same boxes and `by` columns; ``object_id`` and
        ``is_crowd`` where known. Only images that were annotated belong in `detections`: elsewhere
        every detection is false.
    iou : float, default 0.5
        Least intersection over union, above 0 and up to 1. For a crowd, over the detection alone.
    by : str or sequence of str, optional
        Columns that a detection and its object have in common. By default the image (``image_id``, else
        ``file_path``, as deployments record it) and ``object_type``; without a label in it, any label
        matches any.
    score : str, default "confidence"
        The column that orders detections; among equals the earlier row comes first.
    limit : int or None, default 100
        Detections judged per group of `by`, the highest scores first. None: all.

    Returns
    -------
    pandas.DataFrame
        The detections with their columns, then the missed objects with those of them that annotations
        have, and no score. Added are ``is_true`` (boolean; True for a missed object), ``is_missed``
        (boolean), ``object_id`` (of the object that was taken or missed, Int64 where ids are whole
        numbers; by default its position in `annotations`) and ``iou`` (float64, with that object).

    Raises
    ------
    UnknownColumnError
        If a column is not there.
    BadInputError
        If `iou` or `limit` is not allowed, or an annotation has no box, a negative size, or no value in a
        `by` column.

    Warns
    -----
    SecnbWarning
        If no detection shares a value of some `by` column with any object.

    References
    ----------
    Lin et al. (2014). Microsoft COCO, arXiv 1405.0312; the matching of pycocotools ``COCOeval``.

    Examples
    --------
    >>> box = {"file_path": "1.jpg", "object_type": "person", "bbox_y": 0, "bbox_width": 9, "bbox_height": 9}
    >>> seen = pd.DataFrame([box | {"bbox_x": 1, "confidence": 0.9}, box | {"bbox_x": 50, "confidence": 0.4}])
    >>> there = pd.DataFrame([box | {"bbox_x": 0}, box | {"bbox_x": 90}])
    >>> match_boxes(seen, there)[["confidence", "is_true", "is_missed", "object_id"]]
       confidence  is_true  is_missed  object_id
    0         0.9     True      False          0
    1         0.4    False      False       <NA>
    2         NaN     True       True          1
    """
    if not isinstance(iou, Real) or not 0 < iou <= 1:
        raise BadInputError(f"iou is {iou!r}. Allowed: above 0 and up to 1.")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, Integral) or limit < 1):
        raise BadInputError(f"limit is {limit!r}. Allowed: whole numbers from 1, or None.")
    names = _read_keys(read_frame(detections), read_frame(annotations), by)
    groups, object_groups = _read_groups(detections, annotations, names)
    boxes, objects = _read_boxes(detections), _read_boxes(annotations)
    _check_objects(objects, object_groups, names)
    is_crowd = _read_crowds(annotations)
    scores = read_scores(read_column(detections, score))
    judged, rank = _judged(groups, scores, boxes, limit)
    pairs = find_pairs(boxes[judged], groups[judged], objects, object_groups, is_crowd, least=iou)
    taken, overlap = choose_greedily(pairs, rank, is_crowd)
    return _joined(detections, annotations, score, judged, taken, overlap, is_crowd)


def _read_keys(
    detections: pd.DataFrame, annotations: pd.DataFrame, by: str | Sequence[str] | None
) -> tuple[str, ...]:
    """Return the columns that a detection and its object have in common."""
    if by is not None:
        return read_by(by, taken=frozenset(_ADDED))
    shared = [name for name in _IMAGES if name in detections.columns and name in annotations.columns]
    if not shared:
        raise UnknownColumnError(
            "column in both frames that names the image, such as",
            _IMAGES[0],
            set(detections.columns) & set(annotations.columns),
            hint="image_id or file_path, or name others with by=",
        )
    return shared[0], "object_type"


def _read_groups(
    detections: pd.DataFrame, annotations: pd.DataFrame, names: tuple[str, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the group of each detection and of each object; -1 where a key is missing."""
    n = len(detections)
    codes = np.zeros(n + len(annotations), dtype=np.int64)
    is_known = np.ones(len(codes), dtype=np.bool_)
    for name in names:
        parts = [read_column(frame, name).astype(object) for frame in (detections, annotations)]
        code, n_values = factorize(pd.concat(parts, ignore_index=True).rename(name))
        _warn_of_nothing_in_common(name, parts, code[:n], code[n:])
        is_known &= code >= 0
        # Numbered anew after each column, so that many columns cannot overflow.
        codes = np.unique(codes * (n_values + 1) + code + 1, return_inverse=True)[1].astype(np.int64)
    codes = np.where(is_known, codes, -1)
    return codes[:n], codes[n:]


def _warn_of_nothing_in_common(
    name: str, parts: Sequence[pd.Series], seen: NDArray[np.integer], there: NDArray[np.integer]
) -> None:
    """Warn where two spellings of one vocabulary would make every detection false."""
    seen, there = seen[seen >= 0], there[there >= 0]
    if len(seen) and len(there) and not np.isin(seen, there).any():
        examples = " and ".join(repr(part.dropna().iloc[0]) for part in parts)
        message = f"Detections and annotations have no {name} in common, such as {examples}: nothing matches."
        hint = "spell it the same way in both, or leave it out of by="
        warnings.warn(f"{message}\n\nHint: {hint}", SecnbWarning, stacklevel=4)


def _read_boxes(frame: pd.DataFrame) -> NDArray[np.float64]:
    columns = [read_scores(read_column(frame, name)) for name in _BOX]
    boxes = np.stack(columns, axis=1) if len(frame) else np.empty((0, len(_BOX)))
    # A size below 0 is no box.
    boxes[(boxes[:, 2:] < 0).any(axis=1)] = np.nan
    boxes[~np.isfinite(boxes)] = np.nan
    return boxes


def _check_objects(objects: NDArray[np.float64], groups: NDArray[np.int64], names: tuple[str, ...]) -> None:
    """Raise where an object cannot be found by any detection, and would count as missed without a reason."""
    boxless = np.isnan(objects).any(axis=1)
    if boxless.any():
        raise BadInputError(
            f"{int(boxless.sum())} annotations have no box, the first at position {int(boxless.argmax())}. "
            "Allowed: four finite numbers, width and height from 0."
        )
    if (groups < 0).any():
        raise BadInputError(
            f"{int((groups < 0).sum())} annotations have no {' or '.join(names)}, "
            f"the first at position {int((groups < 0).argmax())}."
        )


def _read_crowds(annotations: pd.DataFrame) -> NDArray[np.bool_]:
    if "is_crowd" not in annotations.columns:
        return np.zeros(len(annotations), dtype=np.bool_)
    return read_flags(read_column(annotations, "is_crowd"))


def _judged(
    groups: NDArray[np.int64], scores: NDArray[np.float64], boxes: NDArray[np.float64], limit: int | None
) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Return the detections that choose, by group and descending score, and when in their group."""
    usable = np.flatnonzero((groups >= 0) & ~np.isnan(scores) & ~np.isnan(boxes).any(axis=1))
    order = usable[np.lexsort((-scores[usable], groups[usable]))]
    of_group = groups[order]
    rank = np.arange(len(order)) - np.searchsorted(of_group, of_group)
    within = slice(None) if limit is None else rank < limit
    return order[within], rank[within]


def _joined(
    detections: pd.DataFrame,
    annotations: pd.DataFrame,
    score: str,
    judged: NDArray[np.intp],
    taken: NDArray[np.int64],
    overlap: NDArray[np.float64],
    is_crowd: NDArray[np.bool_],
) -> pd.DataFrame:
    """Return the detections with their truth, and the missed objects below them."""
    is_free = ~is_crowd
    is_free[taken[taken >= 0]] = False
    missed = np.flatnonzero(is_free)
    n, n_rows = len(detections), len(detections) + len(missed)
    # A plain integer has no missing value, and would become a float.
    dtypes = {"i": "Int64", "u": "Int64", "b": "boolean"}
    kinds = {name: dtypes.get(getattr(dtype, "kind", "O")) for name, dtype in detections.dtypes.items()}
    frame = detections.reset_index(drop=True).astype({name: kind for name, kind in kinds.items() if kind})
    frame = frame.reindex(pd.RangeIndex(n_rows))
    for name in annotations.columns.intersection(detections.columns).difference([score, *_ADDED]):
        parts = [frame[name].iloc[:n], annotations[name].iloc[missed]]
        frame[name] = pd.concat(parts, ignore_index=True)
    has_taken = taken >= 0
    judgement = has_taken.astype(np.float64)
    judgement[has_taken] = np.where(is_crowd[taken[has_taken]], np.nan, 1.0)
    truth = np.full(n_rows, np.nan)
    truth[judged], truth[n:] = judgement, 1.0
    overlaps = np.full(n_rows, np.nan)
    overlaps[judged] = overlap
    which = np.full(n_rows, -1, dtype=np.int64)
    which[judged] = taken
    which[n:] = missed
    frame.attrs = dict(detections.attrs)
    return frame.assign(
        is_true=pd.array(truth, dtype="boolean"),
        is_missed=pd.array(np.arange(n_rows) >= n, dtype="boolean"),
        object_id=_object_ids(annotations, which),
        iou=overlaps,
    )


def _object_ids(annotations: pd.DataFrame, which: NDArray[np.int64]) -> pd.Series:
    ids = pd.Series(np.arange(len(annotations)), dtype="Int64")
    if "object_id" in annotations.columns:
        ids = read_column(annotations, "object_id").reset_index(drop=True)
        # Some tools name objects with words.
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            ids = ids.astype("Int64")
    # Of what took no object, -1 makes the id missing.
    return ids.reindex(which).reset_index(drop=True)
