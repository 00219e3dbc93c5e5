"""A recorded server gives the answers of the one that was recorded."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secnb.core import redis_recording
from secnb.core.redis_batches import fetch_batches
from secnb.core.redis_keys import fetch_keys, fetch_values
from secnb.core.redis_reader import RedisReader
from secnb.core.redis_recorded import RecordedRedis
from secnb.core.redis_recording import KeyRecorder, Record
from secnb.core.redis_streams import fetch_entries, fetch_stream_states
from secnb.errors import QueryError, SnapshotError, UnreachableError

TAKEN_AT = datetime(2026, 3, 15, 18, tzinfo=UTC)
NAMES = ["detection_queue", "analysis:stream", "lonely:stream", "text", "raw", "set", "nothing"]


@pytest.fixture
def raw(redis_url):
    """Return a client with keys of every kind."""
    with redis.Redis.from_url(redis_url) as client:
        client.rpush("detection_queue", *[json.dumps({"n": n}) for n in range(40)], b"\xff\x00 no text")
        for n in range(30):
            client.xadd("analysis:stream", {"batch_id": f"b{n}", "camera_id": b"\xfe"}, id=f"{1000 + n}-1")
        client.xadd("lonely:stream", {"a": "1"}, id="5-0")
        client.xgroup_create("analysis:stream", "workers", id="0")
        client.xgroup_create("analysis:stream", "late", id="1024-1")
        client.xreadgroup("workers", "one", {"analysis:stream": ">"}, count=4)
        client.xack("analysis:stream", "workers", "1000-1", "1001-1")
        client.set("text", '"x"', ex=500)
        client.set(b"raw\xff", b"\x00\xff")
        client.sadd("set", "a")
        client.set("batch:porch:current", "abc")
        client.set("batch:abc:started_at", "1000.5")
        client.rpush("batch:abc:detections", "1", "2")
        yield client


@pytest.fixture
async def live(redis_url, raw):
    """Return a reader of the server."""
    reader = RedisReader(redis_url)
    yield reader
    await reader.close()


async def recorded(live: RedisReader) -> RecordedRedis:
    """Return the record of a server, by way of its file's lines."""
    lines = [record.to_json() async for page in KeyRecorder(live).pages() for record in page]
    records = [Record.from_json(line) for line in lines]
    return RecordedRedis(records, taken_at=TAKEN_AT, shown_url="redis://there", version="7.0")


@pytest.fixture
async def record(live):
    """Return the record of the server."""
    return await recorded(live)


@pytest.fixture
def capped(monkeypatch):
    """Record at most ten messages of a queue."""
    monkeypatch.setattr(redis_recording, "N_ITEMS", 10)


def without_ttl(found) -> list:
    return [(key.name, key.type, key.size_bytes, key.encoding, key.value, key.n_bytes) for key in found.keys]


async def test_states_of_queues(live, record):
    """Type, length and the item that is next in turn."""
    assert await record.fetch_states(NAMES) == await live.fetch_states(NAMES)


@pytest.mark.parametrize("n", [None, 1, 7, 1000])
@pytest.mark.parametrize("side", ["head", "tail"])
async def test_items_of_a_list(live, record, n, side):
    """From either end."""
    for name in ("detection_queue", "nothing"):
        found = await live.fetch_items(name, n=n, side=side)
        assert await record.fetch_items(name, n=n, side=side) == found


@pytest.mark.parametrize("n", [None, 1, 7, 1000])
@pytest.mark.parametrize("side", ["head", "tail"])
async def test_entries_of_a_stream(live, record, n, side):
    """From either end."""
    for name in ("analysis:stream", "lonely:stream", "nothing"):
        found = await fetch_entries(live, name, n=n, side=side, on_page=len_of)
        assert await fetch_entries(record, name, n=n, side=side, on_page=len_of) == found


def len_of(_: int) -> None:
    """Do nothing with how far a read has come."""


async def test_streams_with_their_groups(live, record):
    """Backlog, consumers, and the oldest entry that waits."""
    names = ["analysis:stream", "lonely:stream", "text"]
    assert await fetch_stream_states(record, names) == await fetch_stream_states(live, names)


async def test_keys_and_values(live, record):
    """Of every type, whatever their name."""
    for fetch in (fetch_keys, fetch_values):
        mine = await fetch(record, "*", limit=None, on_page=len_of)
        theirs = await fetch(live, "*", limit=None, on_page=len_of)
        assert without_ttl(mine) == without_ttl(theirs)
        assert [key.ttl_s for key in mine.keys] == pytest.approx([key.ttl_s for key in theirs.keys], abs=60)


async def test_batches(live, record):
    """With a current key, a text and a list."""
    assert await fetch_batches(record) == await fetch_batches(live)


async def test_names(live, record):
    """All, of one type, and of a pattern."""
    for pattern, kind in [("*", None), ("*", "list"), ("*", "stream"), ("batch:*", None), ("x", None)]:
        assert await record.fetch_names(pattern, key_type=kind) == await live.fetch_names(
            pattern, key_type=kind
        )


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pattern=st.text("ab-^]", max_size=2) | st.text("ab-*?[]^\\", min_size=1, max_size=7))
def test_globs_are_those_of_redis(redis_server, pattern):
    """Sets, ranges in either direction, escapes, what is not closed."""
    names = [b"a", b"b", b"ab", b"ba", b"-", b"^", b"]", b"[", b"a-b", b"*", b"?", b"\\", b"aab", b"[a"]
    record = RecordedRedis(
        [Record(name, b"string") for name in names], taken_at=TAKEN_AT, shown_url="redis://there"
    )
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
        client.mset(dict.fromkeys(names, b""))
        expected = {name for _, found in [client.scan(0, match=pattern, count=1000)] for name in found}
    assert set(record._matching(pattern, None)) == expected


async def test_a_long_list_keeps_both_ends_and_its_length(live, capped):
    """What lies between is not made up."""
    record = await recorded(live)
    whole = await live.fetch_items("detection_queue", n=None, side="head")
    for n, side, expected in [
        (3, "head", slice(0, 3)),
        (None, "head", slice(0, 5)),
        (9, "tail", slice(-5, None)),
    ]:
        found = await record.fetch_items("detection_queue", n=n, side=side)
        assert (found.items, found.length) == (whole.items[expected], 41)
        assert found.first_pos == range(41)[expected][0]


async def test_a_long_stream_keeps_both_ends_and_what_is_known_of_its_groups(live, capped):
    """The entry that waits longest may lie between; the backlog is as it was."""
    record = await recorded(live)
    names = ["analysis:stream"]
    assert await fetch_stream_states(record, names) == await fetch_stream_states(live, names)
    whole = await fetch_entries(live, *names, n=None, side="head", on_page=len_of)
    for n, side, expected in [
        (3, "head", slice(0, 3)),
        (None, "head", slice(0, 5)),
        (9, "tail", slice(-5, None)),
    ]:
        found = await fetch_entries(record, *names, n=n, side=side, on_page=len_of)
        assert (found.items, found.length) == (whole.items[expected], 30)


async def test_a_backlog_that_nobody_knew_stays_unknown(live, raw, capped, monkeypatch):
    """What is left of a stream is not counted in the place of all of it."""
    raw.xdel("analysis:stream", "1026-1")  # from now on the server does not know the lag
    monkeypatch.setattr("secnb.core.redis_streams._COUNT_PAGES", 0)
    record = await recorded(live)
    monkeypatch.undo()
    (state,) = await fetch_stream_states(record, ["analysis:stream"])
    assert state.backlog is None


async def test_large_values_are_said_not_to_be_here(live, raw, monkeypatch):
    """The length stays, the value is an error."""
    monkeypatch.setattr(redis_recording, "MAX_VALUE_BYTES", 200)
    monkeypatch.setattr(redis_recording, "MAX_KEY_BYTES", 200)
    monkeypatch.setattr(redis_recording, "_PAGE_BYTES", 100)
    raw.set("large", b"x" * 201)
    raw.rpush("wide", *[b"y" * 60] * 9)
    record = await recorded(live)
    (key,) = (await fetch_values(record, "large", limit=None, on_page=len_of)).keys
    assert (key.value, key.n_bytes) == (None, 201)
    items = await record.fetch_items("wide", n=None, side="head")
    assert (set(items.items), items.length) == ({b"y" * 60}, 9)
    assert len(items.items) < 9


async def test_no_more_keys_than_the_limit(live, monkeypatch):
    monkeypatch.setattr(redis_recording, "MAX_KEYS", 3)
    assert len(await (await recorded(live)).fetch_names("*")) == 3


async def keys_of(recorder: KeyRecorder) -> list[bytes]:
    return [record.key async for page in recorder.pages() for record in page]


async def test_what_is_looked_for_comes_first(live, raw, monkeypatch):
    """Names, then lists and streams, then globs; each key once, and what is not there is known not to be."""
    raw.mset({f"other:{n}": "x" for n in range(3000)})
    recorder = KeyRecorder(live, ["text", "nothing", "set", "batch:*"])
    found = await keys_of(recorder)
    assert found[:2] == [b"text", b"set"]
    queues = [b"batch:abc:detections", b"detection_queue", b"analysis:stream", b"lonely:stream"]
    assert found[2:6] == queues
    assert sorted(found[6:8]) == [b"batch:abc:started_at", b"batch:porch:current"]
    assert (len(found), len(set(found))) == (3009, 3009)
    assert recorder.looked_at == ["text", "nothing", "set", "batch:*", "*"]
    monkeypatch.setattr(redis_recording, "MAX_KEYS", 8)
    capped = KeyRecorder(live, ["text", "nothing", "set", "batch:*"])
    assert len(await keys_of(capped)) == 8
    assert capped.looked_at == ["text", "nothing", "set", "batch:*"]


async def test_a_server_that_does_not_look_for_types_is_recorded_too(live, monkeypatch):
    """Those before Redis 6."""

    async def refuse(pattern, *, key_type=None):
        raise QueryError("Redis refuses: syntax error.")

    monkeypatch.setattr(live, "fetch_names", refuse)
    recorder = KeyRecorder(live)
    assert b"detection_queue" in await keys_of(recorder)
    assert recorder.looked_at == ["*"]


async def test_of_a_key_that_nobody_looked_at_nothing_is_known():
    """Neither that it is there, nor that it is not; of one that was looked for, that it is not."""
    record = RecordedRedis([], taken_at=TAKEN_AT, shown_url="redis://there", looked_at=["a*"])
    assert await record.ask([("TYPE", "ab"), ("LLEN", "ab"), ("TYPE", "b")]) == [b"none", 0, b"unknown"]
    assert await record.fetch_type("ab") == "none"
    with pytest.raises(QueryError, match="does not say whether there is such a key"):
        await record.demand([("LLEN", "b")])
    with pytest.raises(SnapshotError, match=r"does not say whether there was a key 'b'[\s\S]*Hint"):
        await record.fetch_type("b")
    (known, unknown) = await record.fetch_states(["ab", "b"])
    assert (known.type, unknown.type, unknown.length) == ("none", "unknown", None)


async def test_nothing_is_published(record):
    with pytest.raises(SnapshotError, match=r"Nothing is published in a snapshot[\s\S]*Hint"):
        async with record.own_connection():
            pass


async def test_other_commands_are_refused(record):
    """An answer that was not recorded is not made up."""
    with pytest.raises(QueryError, match="a snapshot does not answer HGETALL"):
        await record.demand([("HGETALL", "set")])


async def test_a_server_that_did_not_answer_does_not_answer_now():
    """With what it said then."""
    record = RecordedRedis([], taken_at=TAKEN_AT, shown_url="redis://there", failure="no answer.")
    for ask in (record.ping, record.fetch_time, lambda: record.ask([("TYPE", "x")])):
        with pytest.raises(UnreachableError, match="When the snapshot was taken: no answer"):
            await ask()
