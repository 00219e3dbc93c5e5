"""Reading Redis: every item comes out, nothing is taken, and what the server forbids is done without."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
import redis

from secnb.core import redis_reader
from secnb.core.redis_reader import RedisReader
from secnb.errors import QueryError, SettingsError, UnreachableError

LIMIT_S = 10
# What the documentation advises, and what a stricter operator may leave of it.
READER = "on >hidden ~* +@read +@connection +info -@dangerous +info"
STRICT = "on >hidden ~* -@all +@read +@connection -info -multi -exec -time -client"


@pytest.fixture
def raw(redis_url: str) -> Iterator[redis.Redis]:
    """Return a client that may do everything, as a service has one."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
async def reader(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RedisReader]:
    """Return a reader with pages that short lists fill."""
    monkeypatch.setattr(redis_reader, "_ITEMS", 1000)
    reader = RedisReader(redis_url)
    yield reader
    await reader.close()


@pytest.fixture(params=[READER, STRICT], ids=["advised", "strict"])
async def guest(request, raw: redis.Redis, redis_url: str) -> AsyncIterator[RedisReader]:
    """Return a reader of a user with few rights."""
    raw.execute_command("ACL", "SETUSER", "guest", "reset", *request.param.split())
    reader = RedisReader(redis_url.replace("redis://", "redis://guest:hidden@"))
    yield reader
    await reader.close()
    raw.execute_command("ACL", "DELUSER", "guest")


def fill(raw: redis.Redis, n_items: int, name: str = "q") -> list[bytes]:
    """Write a list of items that all differ, binary ones among them."""
    items = [b"\xff%d" % i for i in range(n_items)]
    for start in range(0, n_items, 500):
        raw.rpush(name, *items[start : start + 500])
    return items


@pytest.mark.parametrize("n_items", [0, 1, 999, 1000, 1001, 2500])
@pytest.mark.parametrize("n", [None, 0, 1, 999, 1000, 1001, 2000, 2499, 9999])
@pytest.mark.parametrize("side", ["head", "tail"])
async def test_items_equal_lrange(reader, raw, n_items, n, side):
    """However many pages they take, with their position and the length of the list."""
    items = fill(raw, n_items)
    read = await reader.fetch_items("q", n=n, side=side)
    n = n_items if n is None else min(n, n_items)
    first = 0 if side == "head" else n_items - n
    assert read.items == items[first : first + n] == (raw.lrange("q", first, first + n - 1) if n else [])
    assert (read.first_pos, read.length, read.has_moved) == (first, n_items, False)
    assert raw.llen("q") == n_items


@pytest.mark.parametrize("side", ["head", "tail"])
@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw.rpush("q", "new"),
        lambda raw: raw.lpush("q", "new"),
        lambda raw: raw.lpop("q"),
        lambda raw: raw.rpop("q"),
        lambda raw: raw.rpoplpush("q", "q"),
        lambda raw: (raw.lpop("q"), raw.rpush("q", "new")),
        lambda raw: raw.delete("q"),
        lambda raw: raw.ltrim("q", 0, 10),
    ],
    ids=["rpush", "lpush", "lpop", "rpop", "rotate", "pop and push", "delete", "trim"],
)
async def test_a_queue_that_changes_between_pages_has_moved(reader, raw, side, change):
    """Whoever reads it is told, and gets no more than was asked for."""
    fill(raw, 3500)
    pages = []

    def on_page(n_rows: int) -> None:
        if not pages:
            change(raw)
        pages.append(n_rows)

    read = await reader.fetch_items("q", n=None, side=side, on_page=on_page)
    assert read.has_moved
    assert len(read.items) <= read.length == 3500


async def test_progress_counts_the_items_read(reader, raw):
    """Up to the last one."""
    fill(raw, 3200)
    pages: list[int] = []
    await reader.fetch_items("q", n=3100, side="head", on_page=pages.append)
    assert pages == sorted(pages)
    assert pages[-1] == 3100


async def test_states_of_many_kinds(reader, raw):
    """Lists have a length and a next item; what is not there has neither."""
    fill(raw, 2, "list")
    raw.xadd("stream", {"a": "b"})
    raw.set("text", "x")
    states = await reader.fetch_states(["list", "stream", "text", "nowhere"])
    found = [(state.name, state.type, state.length, state.oldest) for state in states]
    assert found == [
        ("list", "list", 2, b"\xff0"),
        ("stream", "stream", 1, None),
        ("text", "string", None, None),
        ("nowhere", "none", None, None),
    ]


async def test_names_are_found_by_pattern_and_type(reader, raw):
    """In whatever pages SCAN hands them over; nothing of another type or name."""
    with raw.pipeline() as pipeline:
        for i in range(2500):
            pipeline.rpush(f"list:{i:04}", "x").set(f"text:{i}", "x")
        pipeline.execute()
    assert await reader.fetch_names("list:*", key_type="list") == [f"list:{i:04}" for i in range(2500)]
    assert await reader.fetch_names("list:*", key_type="stream") == []


async def test_a_name_that_is_not_utf8_leads_back_to_its_key(reader, raw):
    """Its escape alone would name no key, and the queue would look empty."""
    raw.rpush(b"bad\xff", "x")
    (name,) = await reader.fetch_names("bad*")
    assert [state.length for state in await reader.fetch_states([name])] == [1]
    assert (await reader.fetch_items(name, n=None, side="head")).items == [b"x"]


async def test_the_time_is_that_of_the_server(reader, raw):
    """Aware, in UTC."""
    seconds, _ = raw.time()
    assert abs(await reader.fetch_time() - datetime.fromtimestamp(seconds, UTC)) < timedelta(seconds=LIMIT_S)


async def test_another_type_of_key_is_an_error_of_ours(reader, raw):
    """Redis says what it is."""
    raw.set("text", "x")
    with pytest.raises(QueryError, match=r"refuses: .*WRONGTYPE"):
        await reader.fetch_items("text", n=5, side="head")


async def test_a_user_with_few_rights_still_reads(guest, raw):
    """Without MULTI, TIME and INFO: each page, the length, this machine's time, no version."""
    items = fill(raw, 2500)
    assert (await guest.fetch_items("q", n=None, side="tail")).items == items
    assert (await guest.fetch_items("q", n=2, side="head")).length == 2500
    assert [state.length for state in await guest.fetch_states(["q"])] == [2500]
    assert await guest.fetch_names("*") == ["q"]
    assert abs(await guest.fetch_time() - datetime.now(UTC)) < timedelta(seconds=LIMIT_S)
    assert await guest.ping() in (None, raw.info("server")["redis_version"])


async def test_a_user_without_info_sees_no_version(raw, redis_url):
    """Which is no failure of the server."""
    raw.execute_command("ACL", "SETUSER", "guest", "reset", *STRICT.split())
    reader = RedisReader(redis_url.replace("redis://", "redis://guest:hidden@"))
    assert await reader.ping() is None
    await reader.close()
    raw.execute_command("ACL", "DELUSER", "guest")


async def test_a_user_without_rights_is_told_so(raw, redis_url):
    """The URL in the message shows no password."""
    raw.execute_command("ACL", "SETUSER", "nobody", "reset", "on", ">hidden", "+@connection")
    reader = RedisReader(redis_url.replace("redis://", "redis://nobody:hidden@"))
    said = r"nobody:\*\*\*@.* does not let us in: [^.]*\.\n\nHint: who only reads needs ACL SETUSER <name> "
    with pytest.raises(UnreachableError, match=said) as caught:
        await reader.fetch_items("q", n=1, side="head")
    assert "hidden" not in str(caught.value)
    await reader.close()
    raw.execute_command("ACL", "DELUSER", "nobody")


async def test_a_wrong_password_is_told_so(start_redis_server):
    """Neither the wrong one nor the right one shows."""
    server = start_redis_server("--requirepass", "rightone")
    for url in (server.url, server.url.replace("redis://", "redis://:wrongone@")):
        reader = RedisReader(url)
        said = r"does not let us in.*[^.]\.\n\nHint: check the user and the password; .* and % as %25"
        with pytest.raises(UnreachableError, match=said) as caught:
            await reader.ping()
        assert "one@" not in str(caught.value)
        assert "rightone" not in str(caught.value)
        await reader.close()


@pytest.mark.parametrize("rest", ["h:6379/abc", "h/0x", "h:6379/1.5?socket_timeout=5", "ann:hidden@h/events"])
async def test_a_database_with_a_name_is_refused(rest):
    """redis-py drops the name without a word, and reads database 0."""
    with pytest.raises(
        SettingsError, match=r"database of a Redis URL is a number\. Seen: redis://"
    ) as caught:
        RedisReader(f"redis://{rest}")
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("rest", ["h", "h/", "h:6379/0", "h/12/", "h?db=3", "h/%31"])
async def test_a_database_with_a_number_is_taken(rest):
    await RedisReader(f"redis://{rest}").close()


async def test_a_server_that_is_not_there_is_unreachable():
    """With a hint, and without the password."""
    reader = RedisReader("redis://ann:hidden@127.0.0.1:1/0")
    with pytest.raises(
        UnreachableError, match=r"ann:\*\*\*@127.*does not answer[\s\S]*Hint: check REDIS_URL"
    ) as caught:
        await reader.ping()
    assert "hidden" not in str(caught.value)
    await reader.close()


@pytest.mark.parametrize("is_connected", [True, False])
async def test_a_server_that_hangs_is_given_up(start_redis_server, is_connected):
    """Within its limit, whether the connection is there or not; when it goes on, so do we."""
    server = start_redis_server()
    reader = RedisReader(server.url)
    if is_connected:
        await reader.ping()
    server.process.send_signal(signal.SIGSTOP)
    try:
        async with asyncio.timeout(LIMIT_S):
            with pytest.raises(UnreachableError, match="does not answer"):
                await reader.fetch_items("q", n=5, side="head")
    finally:
        server.process.send_signal(signal.SIGCONT)
    assert (await reader.fetch_items("q", n=5, side="head")).items == []
    await reader.close()


@contextlib.contextmanager
def restarted(server) -> Iterator[None]:
    """Start a killed server anew, at the same address."""
    port = str(urlsplit(server.url).port)
    command = [server.binary, "--port", port, "--bind", "127.0.0.1", "--save", "", "--daemonize", "no"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            with redis.Redis.from_url(server.url) as client:
                for _ in range(100 * LIMIT_S):
                    with contextlib.suppress(redis.ConnectionError):
                        client.ping()
                        break
                    time.sleep(0.01)
            yield
        finally:
            process.kill()


async def test_a_server_that_was_restarted_is_read_again(start_redis_server):
    """The broken connections are replaced at the first call."""
    server = start_redis_server()
    reader = RedisReader(server.url)
    await reader.ping()
    server.process.kill()
    server.process.wait()
    with pytest.raises(UnreachableError, match="does not answer"):
        await reader.ping()
    with restarted(server):
        assert (await reader.fetch_items("q", n=5, side="head")).items == []
        await reader.close()


async def test_a_restart_between_two_calls_goes_unnoticed(start_redis_server):
    """A connection that broke while nobody looked is no failure."""
    server = start_redis_server()
    reader = RedisReader(server.url)
    await reader.ping()
    server.process.kill()
    server.process.wait()
    with restarted(server):
        # The loop hears of it, as the bridge's does between two cells.
        await asyncio.sleep(0.05)
        assert (await reader.fetch_items("q", n=5, side="head")).items == []
        await reader.close()


async def test_only_commands_that_change_nothing_are_sent(redis_url, raw):
    """Neither one with the write flag nor a dangerous one but INFO, by the server's own account."""
    fill(raw, 2500)
    raw.xadd("stream", {"a": "b"})
    sent = await asyncio.to_thread(monitored, raw, lambda: asyncio.run(look(redis_url)))
    assert {"LRANGE", "LLEN", "LINDEX", "TYPE", "SCAN", "TIME", "INFO", "MULTI", "XLEN"} <= sent
    for command in sent - {"INFO"}:
        flags, categories = described(raw, command)
        assert "write" not in flags, command
        assert "@dangerous" not in categories, command
        assert "@write" not in categories, command


async def look(url: str) -> None:
    """Do everything that a reader can."""
    reader = RedisReader(url)
    await reader.ping()
    await reader.fetch_time()
    await reader.fetch_names("*", key_type="list")
    await reader.fetch_states(["q", "stream", "nowhere"])
    await reader.fetch_type("q")
    for side in ("head", "tail"):
        await reader.fetch_items("q", n=None, side=side)
    await reader.close()


def monitored(raw: redis.Redis, work) -> set[str]:
    """Return the commands that the server gets while `work` runs."""
    sent: list[str] = []
    with raw.monitor() as monitor:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(LIMIT_S)
        raw.echo("the end")
        for entry in monitor.listen():
            if entry["command"] == "ECHO the end":
                break
            words = entry["command"].upper().split()
            sent.append(" ".join(words[:2]) if words[0] == "CLIENT" else words[0])
    return set(sent)


def described(raw: redis.Redis, command: str) -> tuple[set[str], set[str]]:
    """Return the flags and the categories of a command, or of a subcommand."""
    with redis.Redis(connection_pool=raw.connection_pool, decode_responses=True) as client:
        client.set_response_callback("COMMAND INFO", lambda answer, **_: answer)
        name, _, sub = command.partition(" ")
        (info,) = client.execute_command("COMMAND INFO", name)
    if sub:
        (info,) = [each for each in info[9] if text(each[0]).upper().endswith(f"|{sub}")]
    return {text(flag) for flag in info[2]}, {text(category) for category in info[6]}


def text(raw: bytes | str) -> str:
    """Return text of either kind."""
    return raw.decode() if isinstance(raw, bytes) else raw


@pytest.mark.parametrize(
    "url", ["http://localhost", "redis://ann:hidden@host:port/0", "hidden", "redis://h/0?nonsense=hidden"]
)
def test_a_url_that_cannot_be_read_is_a_setting_that_is_wrong(url):
    """And shows no password, not in its causes either."""
    with pytest.raises(SettingsError, match="Redis URL") as caught:
        RedisReader(url)
    assert "ann:hidden" not in repr(caught.value) + repr(caught.value.__cause__)


async def test_close_is_idempotent(reader):
    """As often as one likes."""
    await reader.ping()
    await reader.close()
    await reader.close()
