"""Channels: what is published while one listens, and nobody listens any more afterwards."""

from __future__ import annotations

import asyncio
import json
import signal
import time

import pandas as pd
import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from secnb import schema
from secnb.core.redis_tail import Published
from secnb.errors import BadInputError, TruncatedWarning, UnreachableError
from secnb.frames import published

FLAT = {
    "type": "event_created",
    "event_id": 5,
    "batch_id": "b1",
    "camera_id": "front",
    "risk_score": 80,
    "risk_level": "high",
    "summary": "…",
}
ENVELOPE = {
    "type": "event",
    "data": {"id": 6, "batch_id": "b2", "camera_id": "back", "risk_score": 10, "risk_level": "low"},
    "sequence": 3,
    "requires_ack": True,
}


@pytest.fixture
def publish(raw, heard, later):
    """Return a function that publishes as soon as somebody listens."""

    def start(channel: str, *messages: bytes | str) -> None:
        def work() -> None:
            heard(channel)
            for message in messages:
                raw.publish(channel, message)

        later(work)

    return start


def assert_nobody_listens(raw: redis.Redis, channel: str) -> None:
    """Wait a moment: the server notices later that a connection was closed."""
    for _ in range(500):
        if not raw.pubsub_numsub(channel)[0][1] and not raw.client_list(_type="pubsub"):
            return
        time.sleep(0.01)
    pytest.fail("the connection was left open")


def test_silence_is_an_empty_frame(site, raw, check):
    check(site.tail("events", 0.1), schema.PUBLISHED)
    assert_nobody_listens(raw, "events")


@pytest.mark.parametrize("channel", ["events", "security_events", "system_status"])
def test_envelopes_and_flat_messages_have_the_same_columns(site, publish, check, channel):
    """On any channel, since which generation uses which differs."""
    publish(channel, json.dumps(FLAT), json.dumps(ENVELOPE), b"\xff", "42", json.dumps({"type": "x"}))
    frame = site.tail(channel, 1)
    check(frame, schema.PUBLISHED)
    assert frame["type"].tolist()[:2] == ["event_created", "event"]
    assert frame["event_id"].tolist()[:2] == [5, 6]
    assert frame["camera_id"].tolist()[:2] == ["front", "back"]
    assert frame["risk_score"].tolist()[:2] == [80, 10]
    assert frame["risk_level"].tolist()[:2] == ["high", "low"]
    assert frame["ok"].tolist() == [True, True, False, False, True]
    assert frame["raw"].tolist()[2:4] == [b"\xff", b"42"]
    assert frame["payload"][1] == ENVELOPE
    assert (frame["channel"] == channel).all()
    assert frame["received_at"].is_monotonic_increasing


def test_received_at_is_the_servers_time(site, raw, publish):
    publish("events", "{}")
    before = pd.Timestamp(float(".".join(map(str, raw.time()))) - 1, unit="s", tz="UTC")
    stamp = site.tail("events", 0.5)["received_at"][0]
    assert before < stamp < before + pd.Timedelta(seconds=20)


def test_an_id_is_an_events_only_where_it_is_one(site, publish):
    """Other envelopes have ids of other things."""
    publish("events", json.dumps({"type": "detection.new", "data": {"id": 9, "camera_id": "front"}}))
    frame = site.tail("events", 0.5)
    assert pd.isna(frame["event_id"][0])
    assert frame["camera_id"][0] == "front"


def test_cap_ends_it(site, raw, publish):
    publish("events", *map(str, range(10)))
    with pytest.warns(TruncatedWarning, match="showing the first 3 messages on events; there are more"):
        frame = site.tail("events", 30, limit=3)
    assert frame["raw"].tolist() == [b"0", b"1", b"2"]
    assert_nobody_listens(raw, "events")


def test_other_commands_do_not_wait_for_it(site, heard, later, raw):
    """Also when there are more of them than the ten connections of the pool."""
    for _ in range(12):
        later(lambda: site.tail("events", 2))
    heard("events")
    for _ in range(12):
        assert len(site.queues())
    assert raw.pubsub_numsub("events")[0][1] > 0


async def test_cancelling_leaves_no_connection(site, raw, heard):
    listening = asyncio.create_task(site.tail.aio("events", 30))
    await asyncio.to_thread(heard, "events")
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    assert_nobody_listens(raw, "events")
    assert len(site.queues())


def test_stop_leaves_no_connection(site, raw, heard, later):
    def stop() -> None:
        heard("events")
        signal.raise_signal(signal.SIGINT)

    later(stop)
    with pytest.raises(KeyboardInterrupt):
        site.tail("events", 30)
    assert_nobody_listens(raw, "events")


def test_line_shows_the_newest_message(site, publish, monkeypatch):
    """In one line, of characters that steer no terminal."""
    lines: list[str] = []
    monkeypatch.setattr("secnb.deployment.messages.report", lines.append)
    publish("events", json.dumps(FLAT), json.dumps({"type": "a\x1b[2J\nb" + "x" * 500}))
    site.tail("events", 0.5)
    assert lines[0] == "listening to events"
    assert lines[1] == (
        "1 messages, the newest: type=event_created event_id=5 camera_id=front risk_level=high risk_score=80"
    )
    assert all(len(line) < 160 and line.isprintable() for line in lines)


def test_server_that_ends_is_unreachable(open_site, start_redis_server, later):
    """Quiet and gone are different things."""
    server = start_redis_server()
    site = open_site(server.url)

    def end() -> None:
        with redis.Redis.from_url(server.url) as client:
            while not client.pubsub_numsub("events")[0][1]:
                time.sleep(0.01)
        server.process.kill()

    later(end)
    with pytest.raises(UnreachableError, match="does not answer"):
        site.tail("events", 30)


def test_server_that_hangs_is_unreachable(open_site, start_redis_server, later):
    """It is asked after two seconds of silence."""
    server = start_redis_server()
    site = open_site(server.url)

    def hang() -> None:
        with redis.Redis.from_url(server.url) as client:
            while not client.pubsub_numsub("events")[0][1]:
                time.sleep(0.01)
        server.process.send_signal(signal.SIGSTOP)

    later(hang)
    with pytest.raises(UnreachableError, match="no answer within 3 s"):
        site.tail("events", 60)


def test_quiet_server_is_asked_and_goes_on(site, raw, publish, heard, later):
    """A message after more than two seconds of silence still comes."""

    def work() -> None:
        heard("events")
        time.sleep(2.5)
        raw.publish("events", "{}")

    later(work)
    assert len(site.tail("events", 3)) == 1


def test_unfit_arguments_are_refused(site):
    for seconds in (0, -1, float("nan"), float("inf"), "10", True, None):
        with pytest.raises(BadInputError, match="seconds is"):
            site.tail("events", seconds)
    with pytest.raises(BadInputError, match="channel is"):
        site.tail("")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(["type", "data", "id", "event_id", "risk_score", "camera_id"]) | st.text()
envelopes = st.dictionaries(names, json_values | st.dictionaries(names, json_values))


@settings(max_examples=150, deadline=None)
@given(
    messages=st.lists(st.binary(max_size=40) | envelopes.map(lambda v: json.dumps(v).encode()), max_size=5)
)
def test_any_bytes_are_a_row(check, messages):
    """Rows of a frame, without a server: a real one is asked above."""
    now = pd.Timestamp("2026-01-01", tz="UTC").to_pydatetime()
    rows = [published._row("events", Published(now, message)) for message in messages]
    for number in range(len(rows)):
        published._summary(rows[: number + 1]).encode("utf-8")
    frame = published.to_frame(published.to_columns(list(schema.PUBLISHED), rows), schema.PUBLISHED)
    frame.attrs["rows"] = len(rows)
    check(frame, schema.PUBLISHED)
    assert frame["raw"].tolist() == messages
