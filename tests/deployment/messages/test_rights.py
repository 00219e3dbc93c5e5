"""No helper sends a command that could harm, and each does without what the server forbids."""

from __future__ import annotations

import json
import threading
import time

import pandas as pd
import pytest
import redis

import secnb
from secnb import schema
from secnb.bridge import two_faced
from secnb.core.redis_reader import RedisReader
from secnb.deployment.inspection import InspectionHelpers
from secnb.deployment.messages import MessageHelpers
from secnb.deployment.overview import OverviewHelpers
from secnb.deployment.snapshots import SnapshotHelpers
from secnb.errors import UnreachableError

CALLS = {
    "queues": lambda site: site.queues(watch_s=0.05),
    "peek": lambda site: [site.peek(name, n) for name in NAMES for n in (3, None)],
    "open_batches": lambda site: site.open_batches(),
    "dead_letters": lambda site: site.dead_letters(),
    "keys": lambda site: site.keys(),
    "cache": lambda site: site.cache("*"),
    "tail": lambda site: site.tail("events", 0.1),
}
# Looks at all parts, of which Redis is one; over a sandbox, which has pictures and records too.
OTHER_CALLS = {
    "health": lambda site: site.health(),
    "settings": lambda site: site.settings(),
    "pipeline": lambda site: site.pipeline(),
    "latencies": lambda site: site.latencies(),
    "snapshot": lambda site: site.snapshot("snapshot"),
    "show": lambda site: site.show(site.sql("SELECT min(id) AS n FROM detections")["n"][0]),
}
NAMES = ("detection_queue", "analysis_queue", "detections:stream", "analysis:stream")
# What a managed server or a careful operator may take away.
FORBIDDEN = "-info -memory -memory|usage -config -slowlog -xinfo -time -multi -exec -client -object"


def fill(raw: redis.Redis) -> None:
    """Write something of every kind."""
    raw.rpush("detection_queue", *(json.dumps({"camera_id": "c", "file_path": f"/{n}"}) for n in range(1200)))
    raw.rpush("hsi:queue:analysis_queue", "x")
    raw.rpush("dlq:detection_queue", "x")
    for n in range(5):
        raw.xadd("detections:stream", {"camera_id": "c", "file_path": f"/{n}"}, id=f"{n + 1}-0")
    raw.xgroup_create("detections:stream", "detection-workers", "0")
    raw.xreadgroup("detection-workers", "w", {"detections:stream": ">"}, count=2)
    raw.xdel("detections:stream", "4-0")
    raw.xadd("analysis:stream", {"batch_id": "b"})
    raw.xadd("detections:stream:dlq", {"dlq_reason": "x"})
    raw.mset({"batch:c:current": '"b"', "batch:b:started_at": str(time.time()), "cache:a": "1"})
    raw.rpush("batch:b:detections", "1")
    raw.hset("cache:h", "a", "b")


def test_every_helper_is_called_here():
    """A new one has to be added above."""
    assert faces(MessageHelpers) == CALLS.keys()
    others = (OverviewHelpers, InspectionHelpers, SnapshotHelpers)
    assert set().union(*map(faces, others)) == OTHER_CALLS.keys()


def faces(helpers: type) -> set[str]:
    """Return the names of the helpers of a class."""
    return {name for name, member in vars(helpers).items() if isinstance(member, two_faced)}


@pytest.mark.parametrize("name", CALLS)
async def test_helper_sends_nothing_that_could_harm(open_site, url, raw, name):
    """No command with the write flag, none of the dangerous category but INFO, as MONITOR sees them."""
    fill(raw)

    def work() -> None:
        site = open_site(url)
        CALLS[name](site)
        site.close()

    await assert_harmless(url, monitored(raw, work))


async def test_looks_at_all_parts_send_nothing_that_could_harm():
    """Whatever of Redis they look at."""
    with secnb.sandbox() as site, redis.Redis.from_url(site.redis_url) as raw:
        for name, call in OTHER_CALLS.items():
            seen = monitored(raw, lambda call=call: call(site))
            await assert_harmless(site.redis_url, seen)
            assert bool(seen) == (name not in ("settings", "show")), name


def monitored(raw: redis.Redis, work) -> list[str]:
    """Return the commands that the server gets while `work` runs."""
    seen: list[str] = []
    with raw.monitor() as monitor:
        work()
        raw.echo("done")
        while (command := monitor.next_command()["command"]) != "ECHO done":
            seen.append(command)
    return seen


async def assert_harmless(url: str, seen: list[str]) -> None:
    """Check flags and categories of commands, by the server's own account."""
    reader = RedisReader(url)
    for words in {tuple(command.lower().split()[:2]) for command in seen}:
        flags, categories = await about(reader, words)
        assert "write" not in flags, words
        assert "@dangerous" not in categories or words[0] == "info", words
    assert not any(command.split()[0].lower() == "keys" for command in seen)
    await reader.close()


async def about(reader: RedisReader, words: tuple[str, ...]) -> tuple[set[str], set[str]]:
    """Return flags and categories of a command; of the subcommand where it is a container."""
    found, inner = await reader.ask(
        [("COMMAND", "INFO", words[0]), ("COMMAND", "INFO", "|".join(words).replace("\xff", ""))]
    )
    entry = inner[0] if isinstance(inner, list) and inner and inner[0] else found[0]
    return {flag.decode() for flag in entry[2]}, {category.decode() for category in entry[6]}


@pytest.mark.parametrize("name", CALLS)
def test_helper_does_without_what_is_forbidden(open_site, redis_server, redis_url, name):
    """What the server does not say is NA, and no error."""
    with redis.Redis.from_url(redis_url) as owner:
        fill(owner)
        rights = f"on >hidden ~* &* +@read +@connection +subscribe +unsubscribe -@dangerous {FORBIDDEN}"
        owner.execute_command("ACL", "SETUSER", "guest", "reset", *rights.split())
        CALLS[name](open_site(redis_url.replace("redis://", "redis://guest:hidden@")))
        owner.acl_deluser("guest")


def test_what_is_forbidden_is_missing(open_site, redis_url, check):
    with redis.Redis.from_url(redis_url) as owner:
        fill(owner)
        rights = f"on >hidden ~* &* +@read +@connection -@dangerous {FORBIDDEN}"
        owner.execute_command("ACL", "SETUSER", "guest", "reset", *rights.split())
        site = open_site(redis_url.replace("redis://", "redis://guest:hidden@"))
        queues = site.queues()
        check(queues, schema.QUEUES)
        row = queues.set_index("queue").loc["detections:stream"]
        assert row["length"] == 4
        assert pd.isna(row["backlog"])
        assert pd.isna(row["n_consumers"])
        keys = site.keys()
        check(keys, schema.KEYS)
        assert keys["type"].notna().all()
        assert keys["size_bytes"].isna().all()
        assert keys["encoding"].isna().all()
        with pytest.raises(UnreachableError, match="does not let us in"):
            site.tail("events", 1)
        owner.acl_deluser("guest")


def test_keys_that_a_user_may_not_see_are_missing(open_site, redis_url):
    """Some are forbidden by name; that says nothing about the others."""
    with redis.Redis.from_url(redis_url) as owner:
        owner.mset({"cache:a": "1", "other:b": "2"})
        rights = "on >hidden ~cache:* &* +@read +@connection +memory +time"
        owner.execute_command("ACL", "SETUSER", "guest", "reset", *rights.split())
        site = open_site(redis_url.replace("redis://", "redis://guest:hidden@"))
        frame = site.keys().set_index("key")
        assert frame.loc["cache:a", "type"] == "string"
        assert frame.loc["cache:a", "size_bytes"] > 0
        assert pd.isna(frame.loc["other:b", "type"])
        cache = site.cache("*").set_index("key")
        assert cache.loc["cache:a", "value"] == 1
        assert cache.loc["other:b", "error"] == "the server does not give the value"
        owner.acl_deluser("guest")


def test_server_without_the_commands_is_served(open_site, start_redis_server):
    """Managed servers do not know them at all."""
    names = ("INFO", "MEMORY", "CONFIG", "SLOWLOG", "XINFO", "TIME", "MULTI", "EXEC", "OBJECT", "CLIENT")
    renamed = [word for name in names for word in ("--rename-command", name, "")]
    server = start_redis_server(*renamed)
    with redis.Redis.from_url(server.url) as owner:
        fill(owner)
        site = open_site(server.url)
        for call in CALLS.values():
            call(site)
        assert len(site.peek("detection_queue", None)) == 1200
        assert site.keys()["size_bytes"].isna().all()


def test_server_that_goes_away_is_unreachable(open_site, start_redis_server):
    """Each helper says so once, and without the password."""
    server = start_redis_server("--requirepass", "hidden-word")
    site = open_site(server.url.replace("redis://", "redis://:hidden-word@"))
    assert len(site.queues())
    server.process.kill()
    server.process.wait()
    for call in CALLS.values():
        with pytest.raises(UnreachableError) as caught:
            call(site)
        assert "hidden-word" not in str(caught.value)
        assert str(caught.value).count("does not answer") == 1


def test_threads_do_not_grow(open_site, url):
    """One loop serves all calls."""
    site = open_site(url)
    site.queues()
    n_threads = threading.active_count()
    for _ in range(20):
        site.queues(watch_s=0.01)
        site.tail("events", 0.01)
    assert threading.active_count() == n_threads
