"""What is long or large is read in pages: bounded by number and by bytes, with progress."""

from __future__ import annotations

import json

import pytest
import redis

from secnb.core.redis_pages import PAGE_BYTES, item_bytes, page_size
from secnb.errors import TruncatedWarning

QUEUE, STREAM = "detection_queue", "detections:stream"
LARGE = b'{"image": "' + b"x" * 20_000 + b'"}'


def push(raw: redis.Redis, n_items: int, large: range = range(0)) -> list[bytes]:
    """Write a queue of small and large items, and return them."""
    items = [LARGE if n in large else json.dumps({"file_path": f"/{n}"}).encode() for n in range(n_items)]
    for start in range(0, n_items, 500):
        raw.rpush(QUEUE, *items[start : start + 500])
    return items


@pytest.fixture
def heard_by(raw):
    """Return a function that calls another and returns what that gave, and what the server was sent."""

    def listen(work):
        sent: list[list[str]] = []
        with raw.monitor() as monitor:
            given = work()
            raw.echo("done")
            while (command := monitor.next_command()["command"]) != "ECHO done":
                sent.append(command.split())
        return given, sent

    return listen


def ranges(sent: list[list[str]]) -> list[range]:
    """Return the positions that each LRANGE asked for."""
    return [range(int(words[2]), int(words[3]) + 1) for words in sent if words[0] == "LRANGE"]


def test_a_long_queue_is_read_in_pages(site, raw, heard_by):
    """Of 4,000 items at most, each once."""
    items = push(raw, 20_500)
    frame, sent = heard_by(lambda: site.peek(QUEUE, None))
    assert frame["raw"].tolist() == items
    assert max(map(len, ranges(sent))) == 4000
    assert [at for page in ranges(sent) for at in page] == list(range(20_500))


@pytest.mark.parametrize(
    ("n_items", "large"),
    [
        (1000, range(1000)),
        (6000, range(4500, 6000)),
        (6000, range(600)),
        (6000, range(0, 6000, 60)),
        (6000, range(1)),
        (6000, range(5999, 6000)),
    ],
    ids=["all", "newer ones", "older ones", "some", "the head", "the tail"],
)
@pytest.mark.parametrize("side", ["head", "tail"])
def test_a_page_of_large_items_is_small(site, raw, heard_by, n_items, large, side):
    """No command asks for much more than 2 MiB, wherever the large items are."""
    items = push(raw, n_items, large)
    frame, sent = heard_by(lambda: site.peek(QUEUE, n_items, side=side))
    assert frame["raw"].tolist() == items
    sizes = [sum(len(items[at]) for at in page) for page in ranges(sent)]
    assert max(sizes) <= PAGE_BYTES + len(LARGE)


def test_a_page_of_large_entries_is_small(site, raw, heard_by):
    """Those of a stream alike, also where they are only counted."""
    for n in range(300):
        raw.xadd(STREAM, {"image": LARGE}, id=f"{n + 1}-0")
    raw.xgroup_create(STREAM, "workers", "5-0")
    raw.xdel(STREAM, "200-0")
    frame, sent = heard_by(lambda: site.peek(STREAM, None))
    queues, counted = heard_by(site.queues)
    assert len(frame) == 299
    assert queues.set_index("queue").loc[STREAM, "backlog"] == 294
    for words in [*sent, *counted]:
        if words[0] == "XRANGE" and "COUNT" in words:
            assert int(words[-1]) * len(LARGE) <= PAGE_BYTES


def test_a_large_item_is_searched_for_among_fewer(site, raw, heard_by):
    """Equal items are compared to their ends."""
    push(raw, 300, range(300))
    _, sent = heard_by(lambda: site.queues(watch_s=0.01))
    assert [int(words[-1]) for words in sent if words[0] == "LPOS"] == [PAGE_BYTES // len(LARGE)]


def test_what_the_server_does_not_say_makes_an_ordinary_page():
    """Without the right to ask for the memory, the ends of the list tell."""
    denied = PermissionError("NOPERM")
    assert item_bytes([denied, 100, None, None]) == 0
    assert item_bytes([denied, 100, b"x" * 50, b"x"]) == 50
    assert item_bytes([1000, 0, None, None]) == 0
    assert [page_size(size, most=4000) for size in (0, 50, 10**5, 10**9)] == [4000, 4000, 20, 1]


def test_progress_is_reported(site, raw, monkeypatch):
    """Page by page, by each helper that may take long."""
    reported: list[int] = []
    monkeypatch.setattr("secnb.deployment.messages.report_rows", reported.append)
    push(raw, 9000)
    raw.mset({f"cache:{n}": n for n in range(2500)})
    raw.rpush("dlq:detection_queue", *["{}"] * 9000)
    for helper, n_rows in (
        (lambda: site.peek(QUEUE, None), 9000),
        (lambda: site.keys("cache:*"), 2500),
        (lambda: site.cache("cache:*"), 2500),
        (site.dead_letters, 9000),
    ):
        reported.clear()
        helper()
        assert len(reported) >= 2
        assert reported == sorted(reported)
        assert reported[-1] == n_rows


def test_the_cap_of_the_default_shows(site, raw, heard_by):
    """And is the only thing that is read."""
    push(raw, 5000)
    with pytest.warns(TruncatedWarning, match="showing 100 of 5 000 messages"):
        frame, sent = heard_by(lambda: site.peek(QUEUE))
    assert ranges(sent) == [range(100)]
    assert (len(frame), frame.attrs["truncated"], frame.attrs["total"]) == (100, True, 5000)


def test_a_number_that_was_asked_for_is_no_cap(site, raw):
    """It is noted, and no warning is given."""
    push(raw, 5000)
    assert site.peek(QUEUE, 5).attrs["truncated"]
    assert not site.peek(QUEUE, 5000).attrs["truncated"]
