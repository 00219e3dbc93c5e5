"""Two looks at the queues: rates where two looks can tell, else NA."""

from __future__ import annotations

import asyncio
import threading

import pandas as pd
import pytest

from secnb import schema
from secnb.errors import BadInputError
from secnb.frames import queues

STREAM = "detections:stream"


@pytest.fixture
def between(monkeypatch):
    """Return a function that sets what happens between the two looks."""

    def set_work(work) -> None:
        async def wait(seconds, on_wait) -> None:
            await asyncio.to_thread(work)

        monkeypatch.setattr(queues, "_wait", wait)

    return set_work


def moved(site, name: str) -> tuple[float, float]:
    """Return how many items went in and out."""
    frame = site.queues(watch_s=1)
    rates = frame.set_index("queue").loc[name, ["in_per_s", "out_per_s"]] * frame.attrs["watched_s"]
    return tuple(None if pd.isna(each) else round(each) for each in rates)


def test_columns_of_rates_come_with_the_second_look(site, raw, check):
    raw.rpush("detection_queue", "a")
    frame = site.queues(watch_s=0.05)
    check(frame, dict(schema.QUEUES) | dict(schema.QUEUE_RATES))
    assert frame.set_index("queue").loc["detection_queue", "in_per_s"] == 0


@pytest.mark.parametrize(("n_in", "n_out"), [(0, 0), (3, 0), (0, 3), (3, 4), (7, 1)])
def test_list_is_told_from_the_item_that_was_last(site, raw, between, n_in, n_out):
    raw.rpush("detection_queue", *"abcde")

    def work() -> None:
        for item in "fghijkl"[:n_in]:
            raw.rpush("detection_queue", item)
        for _ in range(n_out):
            raw.lpop("detection_queue")

    between(work)
    assert moved(site, "detection_queue") == (n_in, n_out)


@pytest.mark.parametrize(
    ("before", "work"),
    [
        ("", lambda raw: None),  # items may have passed through
        ("", lambda raw: raw.rpush("detection_queue", "a")),
        ("ab", lambda raw: raw.delete("detection_queue")),
        ("ab", lambda raw: (raw.delete("detection_queue"), raw.rpush("detection_queue", "c"))),
        ("ab", lambda raw: raw.rpush("detection_queue", "b")),  # which of the two was last?
        ("ab", lambda raw: raw.lpush("detection_queue", "c", "d")),  # given back at the head
        ("ab", lambda raw: (raw.delete("detection_queue"), raw.set("detection_queue", "b"))),
    ],
)
def test_what_two_looks_cannot_tell_is_missing(site, raw, between, before, work):
    """Never 0."""
    if before:
        raw.rpush("detection_queue", *before)
    between(lambda: work(raw))
    assert moved(site, "detection_queue") == (None, None)


def test_stream_is_told_from_its_counts(site, raw, between):
    """Added by number, done by what the backlog did not grow."""
    for _ in range(5):
        raw.xadd(STREAM, {"a": "b"})
    raw.xgroup_create(STREAM, "workers", "0")

    def work() -> None:
        for _ in range(3):
            raw.xadd(STREAM, {"a": "b"})
        for entry_id, _ in raw.xreadgroup("workers", "w", {STREAM: ">"}, count=2)[0][1]:
            raw.xack(STREAM, "workers", entry_id)

    between(work)
    assert moved(site, STREAM) == (3, 2)


def test_stream_without_a_group_tells_only_what_was_added(site, raw, between):
    raw.xadd(STREAM, {"a": "b"})
    between(lambda: raw.xadd(STREAM, {"a": "b"}))
    assert moved(site, STREAM) == (1, None)


def test_waiting_shows_how_long_it_still_takes(site, monkeypatch):
    lines: list[str] = []
    monkeypatch.setattr("secnb.deployment.messages.report", lines.append)
    site.queues(watch_s=0.05)
    assert lines[0] == "second look in 0 s"


async def test_cancelling_ends_the_wait(site):
    watching = asyncio.create_task(site.queues.aio(watch_s=3600))
    await asyncio.sleep(0.3)
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    assert threading.active_count() < 50


def test_unfit_times_are_refused(site):
    for watch_s in (0, -1, float("nan"), float("inf"), "5", True):
        with pytest.raises(BadInputError, match="watch_s is"):
            site.queues(watch_s=watch_s)
