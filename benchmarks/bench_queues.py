"""Queues and keys against what analysts use today, and how long the server is busy with each look.

Run with ``python benchmarks/bench_queues.py [messages]``; figures depend on the machine, ratios less so. The
messages are synthetic.
"""

from __future__ import annotations

import json
import random
import sys
import warnings
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
import redis
from sidebyside import compare

import secnb
from secnb.errors import TruncatedWarning

N_MESSAGES = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
N_KEYS = 20_000
N_MANY_KEYS = 100_000
N_LARGE, LARGE_BYTES = 1_000, 200_000
QUEUE, LARGE_QUEUE, LARGE_STREAM = "detection_queue", "analysis_queue", "analysis:stream"
LOOKS = {
    "peek of 100": lambda site: site.peek(QUEUE),
    "peek of all": lambda site: site.peek(QUEUE, None),
    "peek of all, large items": lambda site: site.peek(LARGE_QUEUE, None),
    "peek of the tail, large items": lambda site: site.peek(LARGE_QUEUE, 500, side="tail"),
    "peek of all, large entries": lambda site: site.peek(LARGE_STREAM, None),
    "queues": lambda site: site.queues(),
    "queues, watched": lambda site: site.queues(watch_s=0.5),
    "dead_letters, large ones": lambda site: site.dead_letters(),
    "open_batches": lambda site: site.open_batches(),
    "keys": lambda site: site.keys(limit=None),
    "cache": lambda site: site.cache("key:*", limit=None),
    "cache, values of 4 MiB": lambda site: site.cache("huge:*"),
    "tail": lambda site: site.tail("events", 0.5),
    "health": lambda site: site.health(),
    "pipeline": lambda site: site.pipeline(),
}


def main() -> None:
    """Print one line per comparison, then one per look at a server with much in it."""
    with secnb.sandbox() as site, redis.Redis.from_url(site.redis_url) as client:
        for poison in (0.0, 0.01):
            messages(site, client, poison)
        keys(site, client)
        slowest(site, client)


def messages(site: secnb.Deployment, client: redis.Redis, poison: float) -> None:
    """Read a whole queue as a frame; the peer leaves times as text and drops what it cannot parse."""
    push(client, poison)
    compare(
        f"site.peek(n=None), {N_MESSAGES:,} messages, {poison:.0%} poison, against LRANGE + json.loads",
        ours=lambda: site.peek(QUEUE, n=None),
        peer=lambda: pd.DataFrame(parse(client.lrange(QUEUE, 0, -1))),
        rounds=3,
    )


def push(client: redis.Redis, poison: float) -> None:
    """Fill the queue; a share of its messages is cut off."""
    generator = random.Random(1)
    client.delete(QUEUE)
    for start in range(0, N_MESSAGES, 10_000):
        page = [message(n, is_cut=generator.random() < poison) for n in range(start, start + 10_000)]
        client.rpush(QUEUE, *page)


def message(n: int, *, is_cut: bool = False) -> str:
    """Return one job of the detection queue."""
    at = datetime(2026, 3, 14, 20) + timedelta(milliseconds=n)  # noqa: DTZ001
    fields = {
        "camera_id": f"camera_{n % 8}",
        "file_path": f"/export/foscam/{n}.jpg",
        "timestamp": at.isoformat(),
    }
    text = json.dumps(fields)
    return text[:-3] if is_cut else text


def parse(raws: list[bytes]) -> list[Any]:
    """Parse what can be parsed."""
    values = []
    for raw in raws:
        try:
            values.append(json.loads(raw))
        except ValueError:
            continue
    return values


def keys(site: secnb.Deployment, client: redis.Redis) -> None:
    """Look at many keys; the peer asks the same four things of each, pipelined, and makes no frame."""
    fill_keys(client, N_KEYS)
    ratio = compare(
        f"site.keys, {N_KEYS:,} keys, against SCAN and the bare commands, pipelined",
        ours=lambda: site.keys("key:*"),
        peer=lambda: look_at_keys(client),
    )
    print(f"  that is {1 / ratio:.2f} times as long as the bare commands")


def fill_keys(client: redis.Redis, n_keys: int) -> None:
    """Write plain keys, half of which vanish some day."""
    with client.pipeline(transaction=False) as pipeline:
        for n in range(n_keys):
            pipeline.set(f"key:{n}", "x" * (n % 100), ex=86_400 if n % 2 else None)
        pipeline.execute()


def look_at_keys(client: redis.Redis) -> list[Any]:
    """Return type, time to live, size and encoding of each key, in one list."""
    answers: list[Any] = []
    cursor = 0
    while True:
        cursor, names = client.scan(cursor, match="key:*", count=1000)
        with client.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.type(name).pttl(name).memory_usage(name).object("ENCODING", name)
            answers += pipeline.execute()
        if not cursor:
            return answers


def slowest(site: secnb.Deployment, client: redis.Redis) -> None:
    """Print how long the server was busy with the slowest command of each helper, by its own slow log."""
    print(f"\nSlowest command, ms ({client.llen(QUEUE):,} messages, {N_MANY_KEYS:,} keys, large items):\n")
    fill_keys(client, N_MANY_KEYS)
    fill_large(client)
    client.config_set("slowlog-log-slower-than", 100)
    client.config_set("slowlog-max-len", 10_000)
    for name, look in LOOKS.items():
        # A command that was put off by another process is slow once, and not in each of three rounds.
        ms, command = min(slowest_command(site, client, look) for _ in range(3))
        print(f"{name:<32} {ms:6.1f}  {command.decode(errors='replace')}")


def slowest_command(
    site: secnb.Deployment, client: redis.Redis, look: Callable[[secnb.Deployment], object]
) -> tuple[float, bytes]:
    """Return the milliseconds of the slowest command of one look, and the command."""
    client.slowlog_reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncatedWarning)
        look(site)
    found = [(entry["duration"] / 1000, entry["command"][:60]) for entry in client.slowlog_get(10_000)]
    return max(found, default=(0.1, b"none above 0.1 ms"))


def fill_large(client: redis.Redis) -> None:
    """Write items of 200 kB to a list, a stream and the dead letters of a queue, and two very long values."""
    item = json.dumps({"batch_id": "b", "camera_id": "c", "image": "x" * LARGE_BYTES})
    letter = json.dumps({"original_job": {"image": "x" * LARGE_BYTES}})
    for name in (LARGE_QUEUE, LARGE_STREAM, f"dlq:{LARGE_QUEUE}"):
        client.delete(name)
    with client.pipeline(transaction=False) as pipeline:
        for n in range(N_LARGE):
            pipeline.rpush(LARGE_QUEUE, item)
            pipeline.xadd(LARGE_STREAM, {"image": "x" * LARGE_BYTES}, id=f"{n + 1}-0")
            if n % 10 == 0:
                pipeline.rpush(f"dlq:{LARGE_QUEUE}", letter)
                pipeline.execute()
        pipeline.xgroup_create(LARGE_STREAM, "workers", "10-0")
        pipeline.xdel(LARGE_STREAM, "500-0")
        pipeline.mset({f"huge:{n}": "x" * (4 * 1024 * 1024) for n in range(2)})
        pipeline.execute()


if __name__ == "__main__":
    main()
