"""Dead letters: both shapes and those of streams; one that cannot be read is a row all the same."""

from __future__ import annotations

import base64
import json
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secnb import schema
from secnb.errors import BadInputError, UnknownQueueError
from secnb.frames.secrets import mask_text

JOB = {"camera_id": "front", "file_path": "/x/1.jpg"}
LETTER = {
    "original_job": JOB,
    "error": "Connection refused",
    "error_type": "ConnectionError",
    "attempt_count": 3,
    "first_failed_at": "2026-01-01T00:00:00",
    "last_failed_at": "2026-01-01T00:00:07+00:00",
    "queue_name": "detection_queue",
}


def test_no_letter_is_an_empty_frame(site, check):
    check(site.dead_letters(), schema.DEAD_LETTERS)
    check(site.dead_letters("detection_queue"), schema.DEAD_LETTERS)
    check(site.dead_letters("analysis:stream:dlq"), schema.DEAD_LETTERS)


def test_letter_of_a_worker(open_site, url, raw, check):
    """Naive times are those of the deployment's zone."""
    raw.rpush("dlq:detection_queue", json.dumps(LETTER))
    frame = open_site(url, timezone="Europe/Berlin").dead_letters()
    check(frame, schema.DEAD_LETTERS)
    row = frame.iloc[0]
    assert row["ok"]
    assert (row["queue"], row["key"], row["n_attempts"]) == ("detection_queue", "dlq:detection_queue", 3)
    assert (row["error"], row["error_type"]) == ("Connection refused", "ConnectionError")
    assert row["first_failed_at"] == pd.Timestamp("2026-01-01", tz=ZoneInfo("Europe/Berlin"))
    assert row["last_failed_at"] == pd.Timestamp("2026-01-01T00:00:07", tz="UTC")
    assert row["original"] == JOB
    assert (row["camera_id"], row["file_path"]) == ("front", "/x/1.jpg")
    assert json.loads(row["raw"]) == LETTER


def test_an_error_shows_no_password(site, raw):
    raw.rpush("dlq:detection_queue", json.dumps(LETTER | {"error": "cannot open rtsp://ann:hidden@cam/1"}))
    assert site.dead_letters()["error"][0] == "cannot open rtsp://ann:***@cam/1"


def test_letter_whose_job_is_text(site, raw):
    """Encoded twice."""
    raw.rpush("dlq:detection_queue", json.dumps(LETTER | {"original_job": json.dumps(JOB)}))
    assert site.dead_letters()["original"][0] == JOB


@pytest.mark.parametrize("is_packed", [False, True])
def test_letter_of_an_overflow(site, raw, is_packed):
    """Of another shape; the item inside may be compressed."""
    data = json.dumps(JOB)
    if is_packed:
        data = "Z:" + base64.b64encode(zstandard.ZstdCompressor().compress(data.encode())).decode()
    letter = {"original_queue": "detection_queue", "data": data, "reason": "queue_overflow"}
    raw.rpush("dlq:overflow:detection_queue", json.dumps(letter | {"overflow_policy": "dlq"}))
    row = site.dead_letters().iloc[0]
    assert row["ok"]
    assert (row["queue"], row["error"], row["original"]) == ("detection_queue", "queue_overflow", JOB)
    assert row["camera_id"] == "front"
    assert pd.isna(row["n_attempts"])
    assert pd.isna(row["last_failed_at"])


def test_letter_of_an_overflow_with_poison_inside(site, raw):
    """Both reasons are told."""
    letter = {"original_queue": "detection_queue", "data": "{", "reason": "queue_overflow"}
    raw.rpush("dlq:overflow:detection_queue", json.dumps(letter))
    row = site.dead_letters().iloc[0]
    assert not row["ok"]
    assert row["error"].startswith("queue_overflow; its data: not JSON")


def test_letter_of_a_stream(site, raw):
    """The original's fields without those that the letter added."""
    added = {
        "original_message_id": "1-0",
        "dlq_reason": "max deliveries",
        "dlq_timestamp": "1767225600.5",
        "delivery_count": "3",
    }
    entry_id = raw.xadd("detections:stream:dlq", JOB | added)
    row = site.dead_letters("detections:stream").iloc[0]
    assert row["ok"]
    assert (row["queue"], row["error"], row["n_attempts"]) == ("detections:stream", "max deliveries", 3)
    assert row["last_failed_at"] == pd.Timestamp("2026-01-01T00:00:00.5", tz="UTC")
    assert row["original"] == JOB
    assert row["entry_id"] == entry_id.decode()


@pytest.mark.parametrize("raw_letter", [b"\xff", b"{", b"42", b"{}", b'{"original_queue": "q"}'])
def test_letter_that_cannot_be_read_is_a_row(site, raw, raw_letter):
    raw.rpush("dlq:analysis_queue", raw_letter)
    row = site.dead_letters("analysis_queue").iloc[0]
    assert not row["ok"]
    assert row["error"]
    assert (row["queue"], row["raw"]) == ("analysis_queue", raw_letter)


def test_letters_of_one_queue_are_in_all_its_keys(site, raw):
    """With and without prefix, and what a full queue has shed; a key of letters is that key alone."""
    keys = ["dlq:detection_queue", "dlq:overflow:detection_queue", "hsi:queue:dlq:detection_queue"]
    for key in (*keys, "dlq:analysis_queue", "detections:stream:dlq", "dlq:parked"):
        raw.rpush(key, "x")
    assert sorted(site.dead_letters("detection_queue")["key"]) == sorted(keys)
    assert site.dead_letters("dlq:parked")["key"].tolist() == ["dlq:parked"]
    assert len(site.dead_letters()) == 6


def test_cap_is_for_each_key_and_shows(site, raw):
    raw.rpush("dlq:detection_queue", *map(str, range(1500)))
    raw.rpush("dlq:analysis_queue", "x")
    frame = site.dead_letters(n=2)
    assert (len(frame), frame.attrs["total"], frame.attrs["truncated"]) == (3, 1501, True)
    assert len(site.dead_letters()) == 1501


def test_unknown_queue_has_near_matches(site):
    with pytest.raises(UnknownQueueError, match="did you mean 'detection_queue'"):
        site.dead_letters("detection_que")
    with pytest.raises(UnknownQueueError, match="no queue 'dlq:nothing'"):
        site.dead_letters("dlq:nothing")
    with pytest.raises(BadInputError, match="n is -1"):
        site.dead_letters(n=-1)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
fields = st.sampled_from([*LETTER, "original_queue", "data", "reason"])
letters = st.binary(max_size=40) | st.dictionaries(fields, json_values).map(lambda v: json.dumps(v).encode())


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raws=st.lists(letters, max_size=6))
def test_any_bytes_are_a_row(site, raw, check, raws):
    """As many rows as letters; the bytes come back."""
    raw.flushall()
    if raws:
        raw.rpush("dlq:detection_queue", *raws)
        raw.rpush("detection_queue", *raws)
    frame = site.dead_letters()
    check(frame, schema.DEAD_LETTERS)
    assert frame["raw"].tolist() == raws
    messages = site.peek("detection_queue")
    check(messages, schema.MESSAGES)
    assert messages["raw"].tolist() == raws
    assert site.queues().set_index("queue")["length"]["detection_queue"] == len(raws)
    # What is poison in one queue is poison in the other, for the same reason.
    poison = [row for row, payload in enumerate(messages["payload"]) if not isinstance(payload, dict)]
    assert frame["error"][poison].tolist() == [mask_text(each) for each in messages["error"][poison]]
    assert frame["original"][poison].tolist() == messages["payload"][poison].tolist()
