"""Open batches: their age and when they close, in either form, and what is wrong with their keys."""

from __future__ import annotations

import json
import time

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secnb import schema


def write(raw, camera: str, batch_id: str, *, age_s: float, idle_s: float, quoted: bool = True) -> None:
    """Write the keys of a batch as the first generation does (quoted), or the later ones."""
    now = time.time()
    values = {
        f"batch:{camera}:current": batch_id,
        f"batch:{batch_id}:camera_id": camera,
        f"batch:{batch_id}:started_at": str(now - age_s),
        f"batch:{batch_id}:last_activity": str(now - idle_s),
    }
    for key, value in values.items():
        raw.set(key, json.dumps(value) if quoted else value, ex=3600)


def only(frame: pd.DataFrame) -> pd.Series:
    """Return the only row."""
    assert len(frame) == 1, frame
    return frame.iloc[0]


def test_no_batch_is_an_empty_frame(site, check):
    check(site.open_batches(), schema.OPEN_BATCHES)


@pytest.mark.parametrize("generation", [1, 2])
def test_open_batch_of_either_generation(site, raw, check, generation):
    """Ids as JSON within JSON, or as a list."""
    write(raw, "front", "b1", age_s=40, idle_s=10, quoted=generation == 1)
    if generation == 1:
        raw.set("batch:b1:detections", json.dumps(json.dumps([1, 2, 3])), ex=3600)
    else:
        raw.rpush("batch:b1:detections", "1", "2", "3")
        raw.set("batch:b1:pipeline_start_time", "2026-01-01T00:00:00")
    frame = site.open_batches()
    check(frame, schema.OPEN_BATCHES)
    row = only(frame)
    assert (row["camera_id"], row["batch_id"], row["n_detections"]) == ("front", "b1", 3)
    assert row["age_s"] == pytest.approx(40, abs=5)
    assert row["idle_s"] == pytest.approx(10, abs=5)
    assert row["closes_in_s"] == pytest.approx(20, abs=5)  # idle, before its window
    assert not row["is_closing"]
    assert pd.isna(row["error"])


def test_limits_are_the_settings_in_force(open_site, url, raw, monkeypatch):
    """The window closes it where that comes before the idle timeout; overdue is negative."""
    monkeypatch.setenv("BATCH_WINDOW_SECONDS", "50")
    monkeypatch.setenv("BATCH_IDLE_TIMEOUT_SECONDS", "45")
    write(raw, "front", "b1", age_s=60, idle_s=1)
    frame = open_site(url).open_batches()
    assert only(frame)["closes_in_s"] == pytest.approx(-10, abs=5)
    assert (frame.attrs["window_s"], frame.attrs["idle_timeout_s"]) == (50, 45)


def test_batch_that_is_being_closed_says_so(site, raw):
    write(raw, "front", "b1", age_s=100, idle_s=40)
    raw.set("batch:b1:closing", "1", ex=300)
    row = only(site.open_batches())
    assert row["is_closing"]
    assert pd.isna(row["error"])


def test_batch_without_its_last_activity_counts_from_its_start(site, raw):
    write(raw, "front", "b1", age_s=20, idle_s=0)
    raw.delete("batch:b1:last_activity")
    row = only(site.open_batches())
    assert row["idle_s"] == row["age_s"]
    assert row["closes_in_s"] == pytest.approx(10, abs=5)
    assert row["error"] == "no last_activity"


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda raw: raw.delete("batch:front:current"), "orphaned: no camera has it as its current batch"),
        (lambda raw: raw.delete("batch:b1:started_at"), "no started_at; without its start nothing closes it"),
        (lambda raw: raw.set("batch:b1:started_at", b"\xff"), "started_at is no time"),
        (lambda raw: retype(raw, "batch:b1:started_at"), "started_at is a list, not a string"),
    ],
)
def test_batch_that_nothing_closes_is_a_row_with_its_error(site, raw, spoil, error):
    write(raw, "front", "b1", age_s=20, idle_s=1)
    spoil(raw)
    row = only(site.open_batches())
    assert error in row["error"]
    assert pd.isna(row["closes_in_s"])
    assert (row["camera_id"], row["batch_id"]) == ("front", "b1")


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda raw: raw.sadd("batch:b1:detections", "1"), "detections is a set, neither list nor string"),
        (lambda raw: raw.set("batch:b1:detections", "{"), "detections is no JSON list"),
        (lambda raw: raw.set("batch:b1:camera_id", '"back"'), "its camera_id is back"),
        (lambda raw: retype(raw, "batch:b1:camera_id"), "camera_id is a list, not a string"),
    ],
)
def test_key_that_does_not_fit_is_an_error(site, raw, spoil, error):
    write(raw, "front", "b1", age_s=20, idle_s=1)
    spoil(raw)
    row = only(site.open_batches())
    assert error in row["error"]
    assert row["closes_in_s"] > 0


def test_current_key_of_another_type_is_a_row(site, raw):
    raw.rpush("batch:front:current", "b1")
    row = only(site.open_batches())
    assert row["camera_id"] == "front"
    assert row["error"] == "the current batch is a list, not a string"
    assert pd.isna(row["batch_id"])


def test_current_batch_without_any_key_is_a_row(site, raw):
    raw.set("batch:front:current", '"b1"')
    row = only(site.open_batches())
    assert row["batch_id"] == "b1"
    assert "without its start" in row["error"]
    assert pd.isna(row["n_detections"])


def test_batches_are_sorted_by_their_start(site, raw):
    for n in range(120):
        write(raw, f"c{n}", f"b{n}", age_s=n, idle_s=0)
    frame = site.open_batches()
    assert frame["camera_id"].tolist() == [f"c{n}" for n in reversed(range(120))]


def retype(raw, key: str) -> None:
    """Put a list where a string was."""
    raw.delete(key)
    raw.rpush(key, "x")


owners = st.sampled_from([b"front", b"b1", b"", b"\xff", b"a:b"]) | st.binary(max_size=6)
parts = st.sampled_from(
    [b"current", b"camera_id", b"started_at", b"last_activity", b"detections", b"closing", b"other"]
)
values = st.sampled_from([b"b1", b'"b1"', b'"\\ud83d"', b"\xff", b"1e999", b"1" * 5000]) | st.binary(
    max_size=20
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keys=st.lists(st.tuples(owners, parts, values, st.booleans()), max_size=8))
def test_any_bytes_in_the_keys_of_batches_are_rows(site, raw, check, keys):
    """Each batch that a key names has a row, and none is made up."""
    raw.flushall()
    for owner, part, value, is_list in keys:
        key = b"batch:" + owner + b":" + part
        if not raw.exists(key):
            raw.rpush(key, value) if is_list else raw.set(key, value)
    frame = site.open_batches()
    check(frame, schema.OPEN_BATCHES)
    named = {owner for owner, part, *_ in keys if part not in (b"current", b"other")}
    currents = {owner for owner, part, *_ in keys if part == b"current"}
    assert max(len(named), len(currents)) <= len(frame) <= len(named) + len(currents)
