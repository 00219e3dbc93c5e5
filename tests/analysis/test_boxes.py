"""Boxes are matched by COCO's rules, to the last digit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secnb.analysis import overlaps
from secnb.analysis.boxes import match_boxes
from secnb.analysis.counting import sweep
from secnb.errors import BadInputError, SecnbWarning, UnknownColumnError
from secnb.frames.coco import read_coco

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "coco100"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the real detections are not here")
BOX = ["bbox_x", "bbox_y", "bbox_width", "bbox_height"]


def framed(rows: list[tuple[object, ...]], *more: str) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["image_id", "object_type", *BOX, *more])


def overlap(box: list[float], other: list[float], *, is_crowd: bool) -> float:
    across = min(box[0] + box[2], other[0] + other[2]) - max(box[0], other[0])
    down = min(box[1] + box[3], other[1] + other[3]) - max(box[1], other[1])
    both = across * down if across > 0 and down > 0 else 0.0
    either = box[2] * box[3] if is_crowd else box[2] * box[3] + other[2] * other[3] - both
    return both / either if either else 0.0


def matched_one_by_one(seen: pd.DataFrame, there: pd.DataFrame, iou: float, limit: int) -> list[object]:
    """Return the truth of every detection, with the loops of pycocotools (COCOeval.evaluateImg)."""
    truth: dict[int, object] = {}
    for key, group in seen.groupby(["image_id", "object_type"]):
        same = there[(there["image_id"] == key[0]) & (there["object_type"] == key[1])]
        things = same.sort_values("is_crowd", kind="stable")
        boxes, crowd = things[BOX].to_numpy().tolist(), things["is_crowd"].tolist()
        taken = [False] * len(boxes)
        for at, row in group.sort_values("confidence", ascending=False, kind="stable")[:limit].iterrows():
            best, match = min(iou, 1 - 1e-10), -1
            for i, thing in enumerate(boxes):
                if taken[i] and not crowd[i]:
                    continue
                if match > -1 and not crowd[match] and crowd[i]:
                    break
                found = overlap(row[BOX].tolist(), thing, is_crowd=crowd[i])
                if found < best:
                    continue
                best, match = found, i
            if match > -1:
                taken[match] = True
            truth[at] = False if match == -1 else None if crowd[match] else True
    return [truth.get(at) for at in seen.index]


corners, sizes = st.integers(0, 4).map(float), st.integers(0, 4).map(float)
keys = st.tuples(st.integers(1, 2), st.sampled_from("ab"))
boxes = st.tuples(corners, corners, sizes, sizes)
found = st.tuples(keys, boxes, st.integers(0, 3).map(float)).map(lambda row: (*row[0], *row[1], row[2]))
things = st.tuples(keys, boxes, st.booleans()).map(lambda row: (*row[0], *row[1], row[2]))


@pytest.mark.filterwarnings("ignore:Detections and annotations")
@settings(max_examples=60)
@given(
    st.lists(found, max_size=12),
    st.lists(things, max_size=10),
    st.sampled_from([0.1, 0.5, 1.0]),
    st.integers(1, 4),
)
def test_the_matching_is_that_of_pycocotools(rows, objects, iou: float, limit: int):
    seen, there = framed(rows, "confidence"), framed(objects, "is_crowd")
    matched = match_boxes(seen, there, iou=iou, limit=limit)
    own = matched[~matched["is_missed"]]
    truth = own["is_true"].astype(object).where(own["is_true"].notna(), None).tolist()
    assert truth == matched_one_by_one(seen, there, iou, limit)
    n_objects = len(there) - sum(there["is_crowd"])
    assert int(own["is_true"].sum()) + int(matched["is_missed"].sum()) == n_objects


@pytest.mark.filterwarnings("ignore:Detections and annotations")
@settings(max_examples=20)
@given(st.lists(found, max_size=8), st.lists(things, max_size=8))
def test_how_much_is_held_at_once_does_not_matter(rows, objects):
    seen, there = framed(rows, "confidence"), framed(objects, "is_crowd")
    whole = match_boxes(seen, there)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlaps, "_MOST_PAIRS", 3)
        pd.testing.assert_frame_equal(match_boxes(seen, there), whole)


def coco() -> pd.DataFrame:
    results, truth = "instances_val2014_fakebbox100_results.json", "instances_val2014_100.json"
    return match_boxes(*read_coco(DATA / results, DATA / truth))


@needs_data
def test_the_published_counts():
    swept = sweep(coco(), score="confidence", truth="is_true", missed="is_missed")
    table = swept.at([0.0, 0.3, 0.5, 0.7, 0.9])
    assert table["tp"].tolist() == [649, 459, 329, 197, 65]
    assert table["fp"].tolist() == [85, 58, 39, 23, 3]
    assert (table["tp"] + table["fn"]).tolist() == [830] * 5
    assert round(table["recall"].iloc[0], 3) == 0.782


@needs_data
def test_the_published_average_precision():
    """AP50 is the mean over labels of the precision at 101 recalls, never falling to the left."""
    found = []
    for _, group in coco().groupby("object_type"):
        own = group[~group["is_missed"] & group["is_true"].notna()]
        is_true = own.sort_values("confidence", ascending=False, kind="stable")["is_true"].to_numpy(bool)
        n_objects = int(is_true.sum() + group["is_missed"].sum())
        if n_objects:
            precision = np.cumsum(is_true) / np.arange(1, len(is_true) + 1)
            precision = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
            recall = np.cumsum(is_true) / n_objects
            found.append(precision[np.searchsorted(recall, np.linspace(0, 1, 101))].mean())
    assert round(float(np.mean(found)), 3) == 0.697


def test_an_image_is_told_by_its_file_where_it_has_no_id():
    """So are the images of a deployment."""
    seen = framed([(1, "a", 0, 0, 9, 9, 0.9)], "confidence").rename(columns={"image_id": "file_path"})
    there = framed([(1, "a", 0, 0, 9, 9)]).rename(columns={"image_id": "file_path"})
    assert match_boxes(seen, there)["is_true"].tolist() == [True]


def test_by_says_what_a_detection_and_its_object_have_in_common():
    seen = framed([(1, "Car", 0, 0, 9, 9, 0.9)], "confidence")
    there = framed([(1, "car", 0, 0, 9, 9)])
    with pytest.warns(SecnbWarning, match="no object_type in common, such as 'Car' and 'car'"):
        assert match_boxes(seen, there)["is_true"].tolist() == [False, True]
    assert match_boxes(seen, there, by="image_id")["is_true"].tolist() == [True]


def test_missed_objects_come_last_and_keep_dtypes():
    seen = framed([(1, "a", 0, 0, 9, 9, 0.9)], "confidence").assign(detection_id=4, flag=True)
    there = framed([(1, "a", 50, 0, 9, 9)]).assign(object_id=77)
    matched = match_boxes(seen, there)
    assert str(matched["detection_id"].dtype) == "Int64"
    assert str(matched["flag"].dtype) == "boolean"
    missed = matched.iloc[1]
    assert missed[["image_id", "object_type", "bbox_x", "is_true", "is_missed", "object_id"]].tolist() == [
        *(1, "a", 50, True, True, 77)
    ]
    assert pd.isna(missed["confidence"])
    assert pd.isna(missed["detection_id"])


@pytest.mark.parametrize(
    ("ids", "expected"), [(["cat", "dog"], ["cat", "dog"]), ([0.5, 2], [0.5, 2]), ([2**70, 1], [2**70, 1])]
)
def test_object_ids_may_be_anything(ids: list[object], expected: list[object]):
    """Some tools name objects with words."""
    seen = framed([(1, "a", 0, 0, 9, 9, 0.9), (1, "a", 90, 0, 9, 9, 0.8)], "confidence")
    there = framed([(1, "a", 0, 0, 9, 9), (1, "a", 50, 0, 9, 9)]).assign(object_id=ids)
    matched = match_boxes(seen, there)["object_id"]
    assert matched[[0, 2]].tolist() == expected
    assert pd.isna(matched[1])


@pytest.mark.parametrize(
    "change", [{"confidence": np.nan}, {"bbox_x": np.nan}, {"bbox_width": -1.0}, {"object_type": None}]
)
def test_what_cannot_be_judged_has_no_truth_and_takes_no_object(change: dict[str, object]):
    seen = framed([(1, "a", 0, 0, 9, 9, 0.9)], "confidence").assign(**change)
    matched = match_boxes(seen, framed([(1, "a", 0, 0, 9, 9)]))
    assert matched["is_true"].isna().tolist() == [True, False]
    assert matched["is_missed"].tolist() == [False, True]


def test_no_rows_are_fine():
    seen, there = framed([], "confidence"), framed([])
    one_seen, one_there = framed([(1, "a", 0, 0, 9, 9, 0.9)], "confidence"), framed([(1, "a", 0, 0, 9, 9)])
    assert len(match_boxes(seen, there)) == 0
    assert match_boxes(one_seen, there)["is_true"].tolist() == [False]
    assert match_boxes(seen, one_there)["is_missed"].tolist() == [True]


def test_the_input_is_not_changed():
    seen, there = framed([(1, "a", -1.0, 0, -9, 9, 0.9)], "confidence"), framed([(1, "a", 0, 0, 9, 9)])
    seen.attrs = {"timezone": "Europe/Berlin"}
    before = seen.copy(deep=True), there.copy(deep=True)
    assert match_boxes(seen, there).attrs == seen.attrs
    pd.testing.assert_frame_equal(seen, before[0])
    pd.testing.assert_frame_equal(there, before[1])


@pytest.mark.parametrize(
    "options",
    [
        *({"iou": iou} for iou in (0, 1.5, np.nan, "half", None, pd.NA)),
        *({"limit": limit} for limit in (0, 1.5, True, "all")),
        {"by": "iou"},
    ],
)
def test_impossible_options_are_refused(options: dict[str, object]):
    with pytest.raises(BadInputError, match=next(iter(options))):
        match_boxes(framed([], "confidence"), framed([]), **options)


def test_an_object_without_box_or_label_is_refused():
    seen = framed([], "confidence")
    with pytest.raises(BadInputError, match="1 annotations have no box, the first at position 1"):
        match_boxes(seen, framed([(1, "a", 0, 0, 9, 9), (1, "a", 0, 0, np.nan, 9)]))
    with pytest.raises(BadInputError, match="no image_id or object_type, the first at position 0"):
        match_boxes(seen, framed([(1, None, 0, 0, 9, 9)]))


def test_frames_without_a_common_image_are_refused():
    with pytest.raises(UnknownColumnError, match="image_id or file_path, or name others with by="):
        match_boxes(framed([], "confidence").drop(columns="image_id"), framed([]))


@pytest.mark.parametrize("frames", [(None, pd.DataFrame()), (pd.DataFrame(), [1])])
def test_something_else_than_frames_is_refused(frames):
    with pytest.raises(BadInputError, match="A pandas DataFrame is needed, not"):
        match_boxes(*frames)
