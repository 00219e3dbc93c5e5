"""COCO's files become frames, and what is wrong with one of them is said with file and entry."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secnb import schema
from secnb.errors import BadInputError
from secnb.frames.coco import Coco, read_coco

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "coco100"
FOUND = {"image_id": 9, "category_id": 1, "bbox": [1.5, 2, 30.25, 40], "score": 0.9}
OBJECT = {"id": 5, "image_id": 9, "category_id": 1, "bbox": [1, 2, 30, 40], "area": 700.5, "iscrowd": 1}
TRUTH = {
    "images": [{"id": 9, "file_name": "9.jpg"}],
    "categories": [{"id": 1, "name": "person"}],
    "annotations": [OBJECT],
}


@pytest.fixture
def read(tmp_path: Path):
    def read(results: Any, annotations: Any = TRUTH) -> Coco:
        files = tmp_path / "results.json", tmp_path / "instances.json"
        for file, content in zip(files, (results, annotations), strict=True):
            file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return read_coco(*files)

    return read


def test_entries_become_rows_of_the_vocabulary(read):
    detections, annotations = read([FOUND])
    wanted = {**schema.DETECTIONS, "image_id": "Int64"}
    assert {name: str(dtype) for name, dtype in detections.dtypes.items()} == wanted
    assert {name: str(dtype) for name, dtype in annotations.dtypes.items()} == dict(schema.ANNOTATIONS)
    row = detections.dropna(axis="columns").iloc[0]
    assert row.to_dict() == {
        "detection_id": 1, "object_type": "person", "confidence": 0.9, "bbox_x": 1.5, "bbox_y": 2.0,
        "bbox_width": 30.25, "bbox_height": 40.0, "file_path": "9.jpg", "file_type": ".jpg", "image_id": 9,
    }  # fmt: skip
    assert annotations.iloc[0].to_dict() == {
        "object_id": 5, "image_id": 9, "object_type": "person", "bbox_x": 1.0, "bbox_y": 2.0,
        "bbox_width": 30.0, "bbox_height": 40.0, "area": 700.5, "is_crowd": True, "file_path": "9.jpg",
    }  # fmt: skip


def test_files_without_entries_keep_columns_and_dtypes(read):
    detections, annotations = read([], TRUTH | {"annotations": []})
    assert (len(detections), len(annotations)) == (0, 0)
    assert {name: str(dtype) for name, dtype in annotations.dtypes.items()} == dict(schema.ANNOTATIONS)
    assert str(detections["image_id"].dtype) == "Int64"


def test_an_annotation_without_area_and_crowd_is_one_object(read):
    bare = {name: value for name, value in OBJECT.items() if name not in ("area", "iscrowd")}
    annotations = read([], TRUTH | {"annotations": [bare]}).annotations
    assert annotations[["area", "is_crowd"]].iloc[0].tolist() == [1200.0, False]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": float("nan")}, "score is nan. Allowed: numbers"),
        ({"score": float("inf")}, "score is inf"),
        ({"score": "0.9"}, "score is '0.9'"),
        ({"score": True}, "score is True"),
        ({"score": 10**400}, "score is 1000"),
        ({"bbox": [1, 2, 3]}, "bbox is [1, 2, 3]. Allowed: four numbers"),
        ({"bbox": [1, 2, 3, 4, 5]}, "bbox is"),
        ({"bbox": [1, 2, None, 4]}, "bbox is"),
        ({"bbox": [1, 2, -3, 4]}, "bbox is [1, 2, -3, 4]. Allowed: width and height from 0"),
        ({"bbox": "1 2 3 4"}, "bbox is '1 2 3 4'"),
        ({"image_id": 10}, "image_id is 10. Allowed: one of the 1 ids in the annotations file"),
        ({"category_id": 2}, "category_id is 2"),
        ({"category_id": "1"}, "category_id is '1'. Allowed: whole numbers"),
        ({"image_id": 9.5}, "image_id is 9.5"),
        ({"image_id": 2**70}, "image_id is"),
    ],
)
def test_a_bad_result_is_named(read, tmp_path: Path, change: dict[str, Any], message: str):
    where = f"{tmp_path / 'results.json'}, entry[1]: "
    with pytest.raises(BadInputError, match=re.escape(where + message)):
        read([FOUND, FOUND | change])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"annotations": [OBJECT | {"iscrowd": 2}]}, "annotations[0]: iscrowd is 2"),
        ({"annotations": [OBJECT, OBJECT]}, "annotations[1]: id is 5. Allowed: each id once"),
        ({"annotations": [OBJECT | {"category_id": 7}]}, "annotations[0]: category_id is 7"),
        ({"annotations": [OBJECT | {"bbox": []}]}, "annotations[0]: bbox is []"),
        ({"annotations": [{}]}, "is missing"),
        ({"images": [{"id": 9}]}, "images[0]: file_name is missing. Allowed: text"),
        ({"categories": ["person"]}, "categories[0] is text. Allowed: an object"),
        ({"categories": {}}, "has no list 'categories'"),
    ],
)
def test_a_bad_annotation_is_named(read, change: dict[str, Any], message: str):
    with pytest.raises(BadInputError, match=re.escape(message)):
        read([], TRUTH | change)


@pytest.mark.parametrize(
    ("results", "message"),
    [
        (b"", "is not JSON"),
        (b'[{"image_id": 9', "is not JSON.*\n\nHint: it may be cut off"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (TRUTH, "holds an object. Allowed: a list of results.\n\nHint: the two files may be swapped"),
        (b"null", "holds null"),
        ([FOUND, 3], r"entry\[1\] is a number"),
    ],
)
def test_another_kind_of_file_is_refused(read, results: Any, message: str):
    with pytest.raises(BadInputError, match=message):
        read(results)


def test_swapped_files_are_refused(read):
    with pytest.raises(BadInputError, match=r"instances.json' holds a list(?s:.*)swapped"):
        read(TRUTH, [FOUND])


def test_a_byte_order_mark_is_fine(read):
    assert len(read(b"\xef\xbb\xbf" + json.dumps([FOUND]).encode()).detections) == 1


def test_a_file_that_is_not_there_is_named_in_full(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / "instances.json"))):
        read_coco(tmp_path / "results.json", tmp_path / "instances.json")
    with pytest.raises(BadInputError, match="is a folder"):
        read_coco(tmp_path, tmp_path)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
entries = st.fixed_dictionaries({name: st.just(value) | anything for name, value in FOUND.items()})


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(anything | st.lists(entries, max_size=3))
def test_any_results_are_read_or_refused_in_our_words(read, results: Any):
    try:
        found = read(results).detections
    except BadInputError:
        return
    assert len(found) == len(results)


@pytest.mark.skipif(not DATA.is_dir(), reason="the real detections are not here")
def test_the_real_files_are_read_whole():
    results, truth = "instances_val2014_fakebbox100_results.json", "instances_val2014_100.json"
    detections, annotations = read_coco(DATA / results, DATA / truth)
    assert (len(detections), len(annotations)) == (734, 839)
    assert annotations["is_crowd"].sum() == 9
    assert detections["bbox_x"].mod(1).gt(0).any()
    assert not detections[["object_type", "file_path", "confidence"]].isna().any(axis=None)
