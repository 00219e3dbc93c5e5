"""Every well-formed line of a MOT file becomes a row; every other one is reported."""

from __future__ import annotations

import json
import math
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secnb import schema
from secnb.errors import BadInputError, MalformedLineWarning
from secnb.frames.mot import _LAST_FRAME, _read_lines, _read_plain, read_mot

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "mot15_frcnn"
START = "2026-03-01T08:00:00"
GOOD = "1,-1,1691.97,381.048,152.23,352.617,0.995616,-1,-1,-1"


@pytest.fixture
def write(tmp_path: Path):
    def write(content: str | bytes, name: str = "Venice-2.txt") -> Path:
        file = tmp_path / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    return write


def read(file: Path, **options: object) -> pd.DataFrame:
    return read_mot(file, **{"fps": 30, "start_at": START} | options)


def test_a_line_becomes_a_row_of_the_vocabulary(write):
    found = read(write(f"{GOOD}\n31{GOOD[1:]}\n"))
    assert {name: str(dtype) for name, dtype in found.dtypes.items()} == dict(schema.DETECTIONS)
    assert found.drop(columns=["detected_at", "thumbnail_path"]).loc[1].tolist() == [
        *(2, "venice_2", "person", 0.995616, 1691.97, 381.048, 152.23, 352.617),
        *("Venice-2/000031.jpg", ".jpg"),
    ]
    assert found["detected_at"].map(str).tolist() == [
        "2026-03-01 08:00:00+00:00",
        "2026-03-01 08:00:01+00:00",
    ]
    assert found["thumbnail_path"].isna().all()
    assert found.attrs["malformed_lines"] == []


def test_times_are_rounded_to_microseconds_from_the_first_frame_on(write):
    found = read(write(f"2{GOOD[1:]}\n3{GOOD[1:]}"), start_at="2026-03-01T09:00:00+01:00")
    assert found["detected_at"].dt.microsecond.tolist() == [33333, 66667]
    assert found["detected_at"].dt.hour.tolist() == [8, 8]


def test_scores_beyond_one_are_kept(write):
    assert read(write(GOOD.replace("0.995616", "-3.5e1")))["confidence"].tolist() == [-35]


def test_a_file_without_world_coordinates_is_read(write):
    assert read(write("1,-1,1,2,3,4,1\n2,-1,1,2,3,4,1\n"))["confidence"].tolist() == [1, 1]


def test_a_line_that_was_cut_off_after_the_score_is_reported(write):
    file = write(f"1,-1,1,2,3,4,0.9\n{GOOD}\n{GOOD}\n")
    with pytest.warns(MalformedLineWarning, match="line 1: 7 fields instead of 10"):
        assert len(read(file)) == 2


@pytest.mark.parametrize("content", ["", "\n\n", "  \n", "\ufeff", "# nothing\n"])
def test_an_empty_file_keeps_columns_and_dtypes(write, content: str):
    found = read(write(content))
    assert len(found) == 0
    assert {name: str(dtype) for name, dtype in found.dtypes.items()} == dict(schema.DETECTIONS)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("garbage", "1 field instead of 10"),
        ("1,-1,2,3", "4 fields instead of 10"),
        (GOOD + ",1", "11 fields instead of 10"),
        (GOOD.replace("152.23", "wide"), "width is 'wide', which is no number"),
        (GOOD.replace("152.23", ""), "width is '', which is no number"),
        (GOOD.replace("152.23", "0"), "the box is empty"),
        (GOOD.replace("352.617", "-1"), "the box is empty"),
        (GOOD.replace("0.995616", "nan"), "score is 'nan', which is no number"),
        (GOOD.replace("0.995616", "1_0"), "score is '1_0', which is no number"),
        (GOOD.replace("0.995616", "1e999"), "score is too large"),
        ("0" + GOOD[1:], "frames are whole numbers from 1"),
        ("1.5" + GOOD[1:], "frames are whole numbers from 1"),
        ("-4" + GOOD[1:], "frames are whole numbers from 1"),
        ("1e15" + GOOD[1:], "which is too large"),
        ("<script>" + GOOD[1:], "frame is '<script>'"),
        (GOOD.replace(",", ";"), "1 field instead"),
    ],
)
def test_a_malformed_line_is_left_out_and_reported(write, line: str, error: str):
    file = write(f"{GOOD}\n\n{line}\n{GOOD}\n")
    with pytest.warns(MalformedLineWarning, match=re.escape(f"{file}, line 3: ")) as caught:
        found = read(file)
    assert error in str(caught[0].message)
    assert len(found) == 2
    (reported,) = found.attrs["malformed_lines"]
    assert reported["line"] == 3
    assert reported["text"] == line
    assert error in reported["error"]


def test_bytes_that_are_not_utf_8_are_reported(write):
    file = write(GOOD.encode() + b"\n\xff\xfe" + GOOD.encode() + b"\n")
    with pytest.warns(MalformedLineWarning, match="line 2: not UTF-8"):
        found = read(file)
    assert len(found) == 1
    assert json.loads(json.dumps(found.attrs)) == found.attrs


def test_many_malformed_lines_make_one_warning(write):
    file = write("bad\n" * 50 + GOOD)
    with pytest.warns(MalformedLineWarning, match="50 lines were malformed .* and 47 more") as caught:
        found = read(file)
    assert len(caught) == 1
    assert [one["line"] for one in found.attrs["malformed_lines"]] == list(range(1, 51))


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_any_line_ending_is_fine(write, ending: str):
    assert len(read(write(ending.join(["# comment", GOOD, "", f"  {GOOD}  ", GOOD])))) == 3


@pytest.mark.parametrize(
    ("name", "camera_id"),
    [("Front Door.txt", "front_door"), ("--A  b-.txt", "a_b"), ("größe(1).txt", "größe1"), ("x.y.txt", "xy")],
)
def test_the_camera_is_the_file_name_as_a_deployment_normalises_it(write, name: str, camera_id: str):
    assert read(write(GOOD, name))["camera_id"].tolist() == [camera_id]
    assert read(write(GOOD, name), camera_id="A b")["camera_id"].tolist() == ["A b"]


def test_a_name_without_letters_needs_a_camera(write):
    with pytest.raises(BadInputError, match="camera_id="):
        read(write(GOOD, "---.txt"))


@pytest.mark.parametrize("fps", [0, -1, math.nan, math.inf, "fast", None])
def test_impossible_speeds_are_refused(write, fps: float):
    with pytest.raises(BadInputError, match="fps="):
        read(write(GOOD), fps=fps)


@pytest.mark.parametrize("start_at", ["soon", None])
def test_impossible_starts_are_refused(write, start_at: str):
    with pytest.raises(BadInputError, match="start_at"):
        read(write(GOOD), start_at=start_at)


def test_a_file_that_is_not_there_is_named_in_full(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / "nothing.txt"))):
        read(tmp_path / "nothing.txt")


def test_a_folder_is_refused(tmp_path: Path):
    with pytest.raises(BadInputError, match="is a folder"):
        read(tmp_path)


numbers = st.floats(-1e6, 1e6).map(repr) | st.integers(-999, 999).map(str)
sizes = st.floats(0.001, 1e4).map(repr)
fields = st.tuples(st.integers(1, 100_000).map(str), numbers, numbers, numbers, sizes, sizes, *[numbers] * 4)
good_lines = fields.map(",".join)
odd_text = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=30)
almost_numbers = st.text("0123456789eE+-., \t", max_size=40)


@given(st.lists(good_lines, min_size=1), st.booleans())
def test_both_readers_give_the_same_numbers(lines: list[str], is_short: bool):
    kept = [line.rsplit(",", 3)[0] if is_short else line for line in lines]
    data = "\n".join(kept).encode()
    plain = _read_plain(data, _LAST_FRAME)
    tolerant, bad = _read_lines(data, _LAST_FRAME)
    assert plain is not None
    assert bad == []
    np.testing.assert_array_equal(plain[:, :7], tolerant)
    assert tolerant[:, 6].tolist() == [float(line.split(",")[6]) for line in kept]


@given(st.lists(almost_numbers | good_lines), st.sampled_from(["\n", "\r\n", "\r"]))
def test_what_the_fast_reader_takes_the_tolerant_one_takes_too(lines: list[str], ending: str):
    data = ending.join(lines).encode()
    plain = _read_plain(data, _LAST_FRAME)
    if plain is not None:
        tolerant, bad = _read_lines(data, _LAST_FRAME)
        assert bad == []
        np.testing.assert_array_equal(plain[:, :7], tolerant)


@given(st.lists(st.tuples(st.booleans(), good_lines, odd_text)))
def test_no_text_raises_and_no_good_line_is_lost(tmp_path_factory, drawn: list[tuple[bool, str, str]]):
    file = tmp_path_factory.mktemp("mot") / "any.txt"
    lines = [good if is_good else odd for is_good, good, odd in drawn]
    file.write_bytes("\n".join(lines).encode())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MalformedLineWarning)
        found = read(file)
    expected = [float(good.split(",")[6]) for is_good, good, _ in drawn if is_good]
    assert found["confidence"].tolist() == expected
    assert found["detection_id"].tolist() == list(range(1, len(expected) + 1))
    reported = [one["line"] for one in found.attrs["malformed_lines"]]
    assert reported == [
        number
        for number, (is_good, _, odd) in enumerate(drawn, start=1)
        if not is_good and odd.strip(" \t")[:1] not in ("", "#")
    ]
    json.dumps(found.attrs)


@given(st.binary())
def test_no_bytes_raise(tmp_path_factory, data: bytes):
    file = tmp_path_factory.mktemp("mot") / "any.txt"
    file.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MalformedLineWarning)
        json.dumps(read(file).attrs)


@pytest.mark.skipif(not DATA.is_dir(), reason="the real detections are not here")
def test_the_real_files_are_read_whole():
    found = [read(file) for file in sorted(DATA.glob("*.txt"))]
    assert len(found) == 9
    assert sum(map(len, found)) == 33_875
    assert all(frame.attrs["malformed_lines"] == [] for frame in found)
    assert pd.concat(found)["confidence"].min() >= 0.5
