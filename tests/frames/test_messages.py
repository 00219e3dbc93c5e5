"""One row per message, whatever is in it; the raw bytes always stay."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from secnb import schema
from secnb.frames import quick
from secnb.frames.messages import GrowingMessages, decode_message
from secnb.frames.times import enqueued_at, read_time

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
NEEDED = ("camera_id", "file_path")
WHOLE = {"camera_id": "front", "file_path": "/x/1.jpg", "timestamp": "2026-03-15T11:59:30+00:00"}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
fields = st.sampled_from(["timestamp", "camera_id", "file_path", "batch_id", "original_job", "ended_at"])
messages = st.one_of(
    st.binary(max_size=60),
    json_values.map(lambda value: json.dumps(value).encode()),
    json_values.map(lambda value: json.dumps(json.dumps(value)).encode()),
    st.dictionaries(fields, json_values).map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=40).map(lambda data: b"Z:" + data),
    st.binary(max_size=40).map(lambda data: packed(data)),
)


def packed(data: bytes) -> bytes:
    """Return a message as a later generation stores long ones."""
    return b"Z:" + base64.b64encode(zstandard.ZstdCompressor().compress(data))


def frame_of(*raws: bytes, queue: str = "detection_queue", timezone=UTC, now: datetime = NOW) -> pd.DataFrame:
    """Return messages as a frame."""
    messages = GrowingMessages(queue=queue, timezone=timezone)
    for raw in raws:
        messages.add([raw])
    return messages.to_frame(first_pos=0, now=now)


def of(**changes) -> bytes:
    """Return a message that its consumer can work with, but for the changes."""
    return json.dumps({**WHOLE, **changes}).encode()


def row(raw: bytes, **options) -> dict:
    """Return the one row that a message becomes."""
    return frame_of(raw, **options).iloc[0].to_dict()


def assert_shown(frame: pd.DataFrame) -> None:
    """Show a frame in every way in which a notebook shows or saves one."""
    assert repr(frame)
    repr(frame.iloc[0]).encode() if len(frame) else None
    assert "<script" not in frame.to_html()
    frame.to_html().encode()
    frame.to_string().encode()
    json.loads(frame.select_dtypes("str").to_json())
    json.loads(json.dumps(frame.attrs))


@settings(deadline=None)
@given(st.lists(messages, max_size=5), st.sampled_from(["detection_queue", "x", "dlq:analysis_queue"]))
def test_every_message_is_one_row(raws, queue):
    """With its raw bytes, its size, and either no error or the reason why it is none of its queue's."""
    frame = frame_of(*raws, queue=queue, timezone=BERLIN)
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == dict(schema.MESSAGES)
    assert list(frame["raw"]) == raws
    assert list(frame["size_bytes"]) == [len(raw) for raw in raws]
    assert frame["ok"].notna().all()
    assert frame.loc[~frame["ok"], "error"].notna().all()
    assert (frame["age_s"].dropna() >= 0).all()
    assert_shown(frame)


@settings(deadline=None)
@given(st.lists(messages, max_size=7))
def test_pages_together_are_what_one_page_would_be(raws):
    """Positions, errors and missing texts stay with their messages, in whichever page these are."""
    whole = frame_of(*raws)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("secnb.frames.messages._PAGE", 2)
        pd.testing.assert_frame_equal(frame_of(*raws), whole)


@settings(deadline=None)
@given(st.lists(messages, max_size=5))
def test_the_frame_is_the_same_without_pyarrow(raws):
    """Which is an extra; pandas then holds text as objects."""
    frame = frame_of(*raws)
    with pytest.MonkeyPatch.context() as patch, pd.option_context("mode.string_storage", "python"):
        patch.setattr(quick, "pa", None)
        without = frame_of(*raws)
    assert {str(each) for each in without.dtypes} == {str(each) for each in frame.dtypes}
    for name in frame:
        one, other = (np.array(each[name], dtype=object) for each in (frame, without))
        pd.testing.assert_series_equal(pd.Series(one), pd.Series(other))


def test_one_odd_message_harms_no_other():
    """Neither those before it nor those behind, in its page or the next."""
    raws = [of(batch_id=n) for n in range(20)]
    for row, raw in ((3, b'{"camera_id": '), (7, packed(of(batch_id=7))), (12, b"{}"), (19, b"[1]")):
        raws[row] = raw
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("secnb.frames.messages._PAGE", 8)
        frame = frame_of(*raws)
    assert list(frame.index[~frame["ok"]]) == list(frame.index[frame["error"].notna()]) == [3, 12, 19]
    sound = frame[frame["ok"]]
    assert list(sound["batch_id"]) == list(map(str, sound.index))
    assert (frame["age_s"].notna() == frame["ok"]).all()


@settings(deadline=None)
@given(st.dictionaries(st.text(), json_values))
def test_a_json_object_comes_back_as_it_was_put_in(value):
    """Plain, encoded twice and compressed alike."""
    plain = json.dumps(value).encode()
    for raw in (plain, json.dumps(plain.decode()).encode(), packed(plain)):
        assert decode_message(raw).error is None
        assert decode_message(raw).payload == value


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"", "empty"),
        (b'{"camera_id": "front", "file_path": "/x/cut-o', "not JSON: Unterminated string"),
        (b"\x89PNG\r\n\x1a\n\x00\xff", r"not UTF-8 text \(byte 0x89 at 0\)"),
        (b"42", "a JSON object was expected, got a number"),
        (b'"front"', "expected, got a string"),
        (b"[1, 2]", "expected, got a list"),
        (b"null", "expected, got null"),
        (b"true", "expected, got a boolean"),
        (b'{"camera_id": "front"}', "no file_path"),
        (b'{"camera_id": "", "file_path": null}', "no camera_id and no file_path"),
        (b"[" * 100_000, "recursion"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "recursion"),
        (json.dumps("[" * 100_000).encode(), "recursion"),
        (b"9" * 5000, "limit .* for integer string conversion"),
        (b"Z:", "empty"),
        (b"Z:!!!", r"marked as compressed \(Z:\), but Only base64"),
        (b"Z:" + base64.b64encode(b"hello"), r"marked as compressed \(Z:\), but zstd"),
        (packed(json.dumps(WHOLE).encode())[:-8], "not JSON|marked as compressed"),
        (packed(b"0" * (65 * 1024 * 1024)), "unpacks to more than 67,108,864 bytes"),
        (packed(b"\xff"), "not UTF-8"),
        (b"\xef\xbb\xbf{}", "not JSON: Unexpected UTF-8 BOM"),
    ],
    ids=range(21),
)
def test_a_poison_message_is_a_row_with_its_error(raw, error):
    """The next message is read all the same."""
    frame = frame_of(raw, of())
    assert list(frame["ok"]) == [False, True]
    assert pd.Series(frame["error"][0]).str.contains(error).all(), frame["error"][0]
    assert frame["raw"][0] == raw
    assert_shown(frame)


@pytest.mark.parametrize("number", [2**63, 2**64 - 1, 2**64 + 1, -(2**64) - 1, 10**30])
def test_long_integers_stay_exact(number):
    """A fast JSON reader would turn those beyond 64 bits into floats, without an error."""
    for raw in (of(frame=number), json.dumps(of(frame=number).decode()).encode(), packed(of(frame=number))):
        assert decode_message(raw).payload["frame"] == number


@pytest.mark.parametrize(
    "raw", [of(file_path="/x/\ud83d.jpg"), json.dumps(of(file_path="/x/\ud83d.jpg").decode()).encode()]
)
def test_a_lone_surrogate_becomes_its_escape(raw):
    """Neither a terminal nor a file can take the surrogate itself."""
    found = row(raw)
    assert (found["ok"], found["file_path"]) == (True, "/x/\\ud83d.jpg")
    assert found["payload"]["file_path"] == "/x/\\ud83d.jpg"


def test_markup_is_escaped_in_html():
    """A file name is no place to run a script from."""
    frame = frame_of(of(file_path="<script>alert(1)</script>"), b"<script>", b'{"<script>": 1}')
    assert "&lt;script&gt;" in frame.to_html()
    assert_shown(frame)


def test_a_dead_letter_shows_the_work_inside():
    """Its own time is that of the last failure."""
    job = {"original_job": {**WHOLE, "batch_id": 7}, "last_failed_at": "2026-03-15T11:59:00"}
    found = row(json.dumps(job).encode(), queue="dlq:detection_queue")
    assert (found["ok"], found["camera_id"], found["batch_id"]) == (True, "front", "7")
    assert found["age_s"] == 60


@pytest.mark.parametrize("original", [None, "Z:x", [1], 5])
def test_a_dead_letter_of_another_shape_is_a_row(original):
    """Later generations keep the original as text."""
    frame = frame_of(json.dumps({"original_job": original}).encode(), queue="dlq:detection_queue")
    assert frame["camera_id"].isna().all()
    assert_shown(frame)


def test_the_prefix_of_some_generations_is_no_part_of_a_queues_name():
    """The fields that a message needs are those of the bare name."""
    assert row(b"{}", queue="hsi:queue:detection_queue")["error"] == "no camera_id and no file_path"
    assert row(b"{}", queue="elsewhere")["ok"]


@pytest.mark.parametrize("value", [5, 0.5, True, 2**70])
def test_fields_that_drift_become_text(value):
    """A camera id was a number once."""
    assert row(of(camera_id=value))["camera_id"] == str(value)


@pytest.mark.parametrize("value", [[1], {"a": 1}])
def test_fields_that_hold_more_than_one_value_are_missing(value):
    """The payload has them."""
    frame = frame_of(of(camera_id=value))
    assert frame["camera_id"].isna().all()
    assert frame["payload"][0]["camera_id"] == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-01-15T08:00:00", "2026-01-15T07:00:00"),
        ("2026-07-15 08:00:00.25", "2026-07-15T06:00:00.25"),
        ("2026-01-15T08:00:00Z", "2026-01-15T08:00:00"),
        ("2026-01-15T08:00:00-05:00", "2026-01-15T13:00:00"),
        # The hour that occurs twice is the first of the two.
        ("2026-10-25T02:30:00", "2026-10-25T00:30:00"),
        # The hour that does not occur is counted on from the one before.
        ("2026-03-29T02:30:00", "2026-03-29T01:30:00"),
        (1767225600, "2026-01-01T00:00:00"),
        (1767225600.25, "2026-01-01T00:00:00.25"),
        ("1767225600", "2026-01-01T00:00:00"),
        (" 1767225600.5 ", "2026-01-01T00:00:00.5"),
        ("1701123112", "2023-11-27T22:11:52"),
        ("1.7672256e9", "2026-01-01T00:00:00"),
    ],
)
def test_times_of_a_queue_are_read_in_the_zone_of_the_site(value, expected):
    """Naive text is local; numbers count seconds since 1970, as text too."""
    assert read_time(value, BERLIN) == pd.Timestamp(expected, tz=UTC)
    assert row(of(timestamp=value), timezone=BERLIN)["enqueued_at"] == pd.Timestamp(expected, tz=UTC)


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, "", "soon", "now", [], {}, 5, -1, 1e300, 2**70, 0, "NaN", "inf", "\x00", "٢٠٢٦-01-01"),
        # A date of the year 1701 to Python, and milliseconds to whoever wrote it.
        *("1701123112123", "20260115", "1_767_225_600", 1767225600123),
        *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"),
    ],
)
def test_what_is_no_time_is_none(value):
    """A wrong age would be worse than none."""
    assert read_time(value, BERLIN) is None
    assert pd.isna(row(of(timestamp=value))["age_s"])


def test_the_first_field_that_holds_a_time_counts():
    """A broken one does not hide the next."""
    assert enqueued_at({"timestamp": "soon", "ended_at": 1767225600}, UTC) == datetime(2026, 1, 1, tzinfo=UTC)
    assert enqueued_at([1767225600], UTC) is None


def test_a_time_ahead_of_the_server_has_no_age():
    """It says why; the message itself is sound."""
    found = row(of(timestamp=(NOW + timedelta(hours=1)).isoformat()))
    assert (found["ok"], pd.isna(found["age_s"])) == (True, True)
    assert (
        found["error"] == "its time is 3,600 s ahead of the server: is the time zone of the deployment known?"
    )


def test_a_poison_message_ahead_of_the_server_says_both():
    """One finding does not hide the other."""
    ahead = {"timestamp": (NOW + timedelta(hours=1)).isoformat()}
    error = row(json.dumps(ahead).encode())["error"]
    assert error.startswith("no camera_id and no file_path; its time is 3,600 s ahead")


@pytest.mark.parametrize("year", [1, 2261, 2263, 9999])
def test_ages_of_far_years_are_right(year):
    """Beyond what nanoseconds can count."""
    then = datetime(year, 1, 2, tzinfo=UTC)
    found = row(of(timestamp=then.isoformat()), now=then + timedelta(days=1))
    assert (found["enqueued_at"], found["age_s"]) == (pd.Timestamp(then), 86_400)
    assert_shown(frame_of(of(timestamp=then.isoformat()), of()))


def test_no_messages_keep_columns_and_dtypes():
    """An empty queue is a frame like any other."""
    frame = frame_of()
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == dict(schema.MESSAGES)
    assert_shown(frame)


def test_positions_go_on_from_the_first():
    """Which comes from the server."""
    messages = GrowingMessages(queue="x", timezone=UTC)
    messages.add([b"{}", b"x"])
    frame = messages.to_frame(first_pos=7, now=NOW)
    assert (list(frame["pos"]), list(frame["ok"])) == ([7, 8], [True, False])


def test_needed_fields_are_those_that_are_asked_for():
    """Zero and False are values."""
    assert decode_message(b'{"camera_id": 0, "file_path": false}', needed=NEEDED).error is None
