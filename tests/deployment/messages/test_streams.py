"""Streams: what waits is not what is there, and NA is what nobody knows."""

from __future__ import annotations

import time

import pandas as pd
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secnb import schema
from secnb.core import redis_streams
from secnb.errors import BadInputError, UnknownQueueError

STREAM = "detections:stream"
GROUP = "detection-workers"
ENTRY = {"camera_id": "front", "file_path": "/x/1.jpg", "timestamp": "2026-01-01T00:00:00"}


def queue(site, name: str = STREAM) -> pd.Series:
    """Return the row of a queue."""
    return site.queues().set_index("queue").loc[name]


def add(raw: redis.Redis, n: int, *, name: str = STREAM, ago_s: int = 60) -> list[str]:
    """Add entries a second apart, the first so long ago; return their ids."""
    start = int((time.time() - ago_s) * 1000)
    return [raw.xadd(name, ENTRY, id=f"{start + 1000 * i}-0").decode() for i in range(n)]


def test_known_streams_always_have_a_row(site, check):
    """An absent stream has nothing waiting."""
    frame = site.queues()
    check(frame, schema.QUEUES)
    assert set(schema.QUEUE_FIELDS) == set(frame["queue"])
    assert (frame["length"] == 0).all()
    assert (frame["backlog"] == 0).all()


def test_backlog_is_pending_and_undelivered(site, raw):
    """What was acknowledged stays in the stream, and does not wait."""
    add(raw, 10)
    raw.xgroup_create(STREAM, GROUP, "0")
    given = raw.xreadgroup(GROUP, "w1", {STREAM: ">"}, count=4)[0][1]
    raw.xreadgroup(GROUP, "w2", {STREAM: ">"}, count=1)
    raw.xack(STREAM, GROUP, given[0][0], given[1][0])
    row = queue(site)
    assert (row["length"], row["backlog"], row["n_consumers"]) == (10, 8, 2)
    assert row["oldest_age_s"] == pytest.approx(58, abs=5)


@pytest.mark.parametrize("n_read", [0, 3, 6])
def test_backlog_is_counted_where_the_server_does_not_know_the_lag(site, raw, n_read):
    """After a deletion, and before Redis 7 always; never 0 for want of knowledge."""
    ids = add(raw, 6)
    raw.xgroup_create(STREAM, GROUP, "0")
    if n_read:
        raw.xreadgroup(GROUP, "w1", {STREAM: ">"}, count=n_read, noack=True)
    raw.xdel(STREAM, ids[4])
    assert queue(site)["backlog"] == len([i for i in range(6) if i >= n_read and i != 4])


def test_backlog_beyond_the_count_is_missing(site, raw, monkeypatch):
    """A count that would take long is not made."""
    monkeypatch.setattr(redis_streams, "_PAGE", 2)
    monkeypatch.setattr(redis_streams, "_COUNT_PAGES", 2)
    ids = add(raw, 9)
    raw.xgroup_create(STREAM, GROUP, "0")
    raw.xreadgroup(GROUP, "w1", {STREAM: ">"}, count=2)
    raw.xdel(STREAM, ids[5])
    row = queue(site)
    assert pd.isna(row["backlog"])
    assert row["length"] == 8


def test_stream_without_a_group_has_no_known_backlog(site, raw):
    """Nobody says what was done."""
    add(raw, 3)
    row = queue(site)
    assert pd.isna(row["backlog"])
    assert (row["length"], row["n_consumers"]) == (3, 0)
    assert pd.isna(row["oldest_at"])


def test_the_group_that_is_farthest_behind_counts(site, raw):
    """Two groups do different work on the same entries."""
    add(raw, 5)
    raw.xgroup_create(STREAM, GROUP, "0")
    raw.xgroup_create(STREAM, "other", "$")
    assert queue(site)["backlog"] == 5


def test_pending_entry_that_was_trimmed_still_waits(site, raw):
    """Its id says since when, though its fields are gone."""
    add(raw, 3, ago_s=30)
    raw.xgroup_create(STREAM, GROUP, "0")
    raw.xreadgroup(GROUP, "w1", {STREAM: ">"})
    raw.xtrim(STREAM, maxlen=0, approximate=False)
    row = queue(site)
    assert (row["length"], row["backlog"]) == (0, 3)
    assert row["oldest_age_s"] == pytest.approx(30, abs=5)


def test_dead_letters_count_for_the_queue_of_their_form(site, raw):
    """In lists, overflow lists and streams, with and without prefix, and each once."""
    raw.rpush("detection_queue", "x")
    raw.rpush("hsi:queue:detection_queue", "x")
    raw.rpush("dlq:detection_queue", "1", "2")
    raw.rpush("dlq:overflow:detection_queue", "3")
    raw.rpush("hsi:queue:dlq:detection_queue", "4")
    raw.rpush("hsi:queue:dlq:analysis_queue", "5", "6", "7", "8", "9")
    raw.xadd("detections:stream:dlq", {"dlq_reason": "x"})
    found = site.queues().set_index("queue")["n_dead_letters"]
    assert found["detection_queue"] == 3
    assert found["hsi:queue:detection_queue"] == 1
    assert found["analysis_queue"] == 5
    assert found["detections:stream"] == 1
    assert pd.isna(found["dlq:detection_queue"])


def test_peeking_at_a_stream_shows_its_entries(site, raw, check):
    """Flat fields of text are the payload; the ids of detections stay the text that they are."""
    entry = {"batch_id": "b1", "camera_id": "front", "detection_ids": "[1, 2]"}
    raw.xadd("analysis:stream", entry, id="1767225600000-0")
    frame = site.peek("analysis:stream")
    check(frame, schema.MESSAGES)
    row = frame.iloc[0]
    assert row["payload"] == entry
    assert row["ok"]
    assert (row["entry_id"], row["batch_id"], row["camera_id"]) == ("1767225600000-0", "b1", "front")
    assert row["enqueued_at"] == pd.Timestamp("2026-01-01", tz="UTC")


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"camera_id": "front"}, "no file_path"),
        ({**ENTRY, "camera_id": b"\xff"}, "camera_id is not UTF-8"),
        ({**ENTRY, "detection_ids": "[1,"}, "detection_ids is no JSON list"),
    ],
)
def test_poison_entry_is_a_row_with_its_error(site, raw, fields, error):
    raw.xadd(STREAM, fields)
    row = site.peek(STREAM).iloc[0]
    assert not row["ok"]
    assert error in row["error"]


@pytest.mark.parametrize("n_there", [0, 1, 499, 500, 501, 1300])
@pytest.mark.parametrize("n", [None, 0, 1, 500, 501, 5000])
def test_pages_of_a_stream_are_the_stream(site, raw, n_there, n):
    """From either end, in its order."""
    with raw.pipeline(transaction=False) as pipe:
        for i in range(n_there):
            pipe.xadd(STREAM, {"i": i}, id=f"{i + 1}-0")
        pipe.execute()
    wanted = list(range(n_there)) if n is None else list(range(n_there))[:n]
    head = site.peek(STREAM, n)
    assert [int(each["i"]) for each in head["payload"]] == wanted == head["pos"].tolist()
    newest = list(range(n_there))[-n:] if n else (wanted if n is None else [])
    tail = site.peek(STREAM, n, side="tail")
    assert [int(each["i"]) for each in tail["payload"]] == newest == tail["pos"].tolist()
    assert head.attrs["total"] == n_there
    assert head.attrs["truncated"] == (len(head) < n_there)


def test_either_form_of_a_key_is_found(site, raw):
    """Where the one is absent the other is read, and the frame says which."""
    raw.rpush("hsi:queue:detection_queue", '{"camera_id": "a", "file_path": "/a"}')
    raw.rpush("analysis_queue", "x")
    frame = site.peek("detection_queue")
    assert frame["ok"].all()
    assert (len(frame), frame.attrs["key"]) == (1, "hsi:queue:detection_queue")
    assert site.peek("hsi:queue:analysis_queue").attrs["key"] == "analysis_queue"
    raw.rpush("detection_queue", "1", "2")
    assert len(site.peek("detection_queue")) == 2


def test_prefix_is_that_of_the_setting(open_site, url, raw, monkeypatch):
    """A deployment may have named another."""
    monkeypatch.setenv("REDIS_KEY_PREFIX", "home")
    raw.rpush("home:queue:detection_queue", "x")
    raw.rpush("hsi:queue:detection_queue", "x", "y")
    assert len(open_site(url).peek("detection_queue")) == 1


def test_unknown_and_unfit_names_are_refused(site, raw):
    with pytest.raises(UnknownQueueError, match="did you mean 'detections:stream'"):
        site.peek("detection:stream")
    raw.set("detection_queue", "x")
    with pytest.raises(BadInputError, match="'detection_queue' is a string, and a queue is a list or a str"):
        site.peek("detection_queue")
    for name in ("", "\ud83d", None, b"detection_queue"):
        with pytest.raises(BadInputError, match=r"name is .*Allowed: text"):
            site.peek(name)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    entries=st.lists(
        st.lists(
            st.tuples(
                st.sampled_from([b"camera_id", b"detection_ids", b"timestamp", b"dlq_reason"]) | st.binary(),
                st.binary(max_size=30),
            ),
            min_size=1,
            max_size=4,
        ),
        max_size=4,
    )
)
def test_any_bytes_in_an_entry_are_a_row(site, raw, check, entries):
    """The raw fields can be had back to the byte, whatever they are."""
    raw.flushall()
    for name in (STREAM, f"{STREAM}:dlq"):
        for fields in entries:
            raw.execute_command("XADD", name, "*", *[part for field in fields for part in field])
    frame = site.peek(STREAM)
    check(frame, schema.MESSAGES)
    assert [fields_of(each) for each in frame["raw"]] == entries
    letters = site.dead_letters(STREAM)
    check(letters, schema.DEAD_LETTERS)
    assert [fields_of(each) for each in letters["raw"]] == entries
    assert queue(site)["n_dead_letters"] == len(entries)


def fields_of(raw: bytes) -> list[tuple[bytes, bytes]]:
    """Read the array that an entry's fields are on the wire."""
    rest, parts = raw.partition(b"\r\n")[2], []
    while rest:
        size, _, rest = rest.removeprefix(b"$").partition(b"\r\n")
        parts.append(rest[: int(size)])
        rest = rest[int(size) + 2 :]
    return list(zip(parts[::2], parts[1::2], strict=True))
