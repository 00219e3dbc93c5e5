from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import redis as redis_py
from redis import exceptions as redis_errors

from secnb.core import RedisClient, close_redis, get_redis, get_settings, init_redis
from secnb.core import redis as redis_module
from secnb.core.redis_wire import PoolBusyError
from secnb.errors import BadInputError, NotInitializedError, SettingsError, UnreachableError

Connect = Callable[..., Any]


@pytest.fixture
async def connect(redis_url: str) -> AsyncIterator[Connect]:
    """Return a function that makes connected clients; all are disconnected in the end."""
    clients: list[RedisClient] = []

    async def make(url: str = redis_url, **options: Any) -> RedisClient:
        client = RedisClient(url, **options)
        clients.append(client)
        await client.connect()
        return client

    yield make
    for client in clients:
        await client.disconnect()


@pytest.fixture
async def client(connect: Connect) -> RedisClient:
    """Return a connected client of an empty server."""
    made: RedisClient = await connect()
    return made


@pytest.fixture
def raw(redis_url: str) -> Any:
    """Return redis-py's own blocking client, which sees bytes."""
    with redis_py.Redis.from_url(redis_url) as raw:
        yield raw


@pytest.fixture
def closed_url() -> str:
    """Return a URL where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"redis://:secret@127.0.0.1:{probe.getsockname()[1]}/0"


@pytest.fixture
async def singleton(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Let init_redis use the private server, and close it in the end."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    get_settings.cache_clear()
    yield
    await close_redis()


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def consumers(raw: Any, name: str = "blpop") -> int:
    return sum(c["cmd"] == name for c in raw.client_list())


# -- connection ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_connections", 10),
        ("timeout", 20.0),
    ],
)
def test_the_pool_is_bounded(name: str, value: object) -> None:
    assert RedisClient("redis://h/0")._options[0][name] == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("decode_responses", True),
        ("encoding", "utf-8"),
        ("socket_connect_timeout", 5),
        ("socket_keepalive", True),
        ("health_check_interval", 30),
    ],
)
def test_a_connection_is_that_of_the_guide(name: str, value: object) -> None:
    assert RedisClient("redis://h/0")._options[0][name] == value


def test_without_a_url_the_one_of_the_settings_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere:1/0")
    assert "elsewhere:1" in repr(RedisClient())


async def test_connect_twice_keeps_the_connection(client: RedisClient, raw: Any) -> None:
    before = len(raw.client_list())
    await client.connect()
    assert len(raw.client_list()) == before


async def test_connecting_at_the_same_time_makes_one_pool(redis_url: str) -> None:
    client = RedisClient(redis_url)
    await asyncio.gather(*(client.connect() for _ in range(5)))
    is_working = await client.set("k", 1)
    await client.disconnect()
    assert is_working


async def test_disconnect_closes_every_connection(client: RedisClient, raw: Any) -> None:
    await client.subscribe("c")
    await asyncio.gather(*(client.get("k") for _ in range(20)))
    await client.disconnect()
    await until(lambda: len(raw.client_list()) == 1)


async def test_disconnect_twice_is_harmless(client: RedisClient) -> None:
    await client.disconnect()
    await client.disconnect()
    assert not client.is_connected


async def test_a_disconnected_client_can_connect_again(client: RedisClient) -> None:
    await client.disconnect()
    await client.connect()
    assert await client.set("k", 1)


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.add_to_queue("q", 1),
        lambda c: c.get_from_queue("q", timeout=1),
        lambda c: c.get_queue_length("q"),
        lambda c: c.peek_queue("q"),
        lambda c: c.clear_queue("q"),
        lambda c: c.publish("c", 1),
        lambda c: c.subscribe("c"),
        lambda c: c.unsubscribe("c"),
        lambda c: c.get("k"),
        lambda c: c.set("k", 1),
        lambda c: c.delete("k"),
        lambda c: c.exists("k"),
    ],
)
async def test_an_operation_before_connect_is_refused(call: Any) -> None:
    with pytest.raises(RuntimeError, match="Redis client not connected"):
        await call(RedisClient("redis://h/0"))


async def test_connect_tries_three_times_and_then_raises(
    closed_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(redis_errors.ConnectionError, match="connecting"):
        await RedisClient(closed_url, backoff_s=0.01).connect()
    warnings = [r.message for r in caplog.records if r.levelno == logging.WARNING]
    assert [text.split(" failed")[0] for text in warnings] == [
        f"Redis connection attempt {i} of 3" for i in (1, 2, 3)
    ]


async def test_the_backoff_grows_by_one_second_each(closed_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(redis_module.asyncio, "sleep", sleep)
    with pytest.raises(redis_errors.ConnectionError, match="connecting"):
        await RedisClient(closed_url).connect()
    assert slept == [1.0, 2.0]


async def test_no_log_line_shows_the_password(closed_url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client = RedisClient(closed_url, backoff_s=0.01)
    with pytest.raises(redis_errors.ConnectionError, match="connecting"):
        await client.connect()
    assert "secret" not in caplog.text + repr(client)


async def test_a_wrong_password_is_not_shown(start_redis_server: Connect) -> None:
    server = start_redis_server("--requirepass", "right")
    client = RedisClient(server.url.replace("//", "//:wrongsecret@"), connect_attempts=1)
    with pytest.raises(redis_errors.AuthenticationError) as caught:
        await client.connect()
    assert "wrongsecret" not in str(caught.value)


async def test_a_client_with_the_right_password_connects(
    start_redis_server: Connect, connect: Connect
) -> None:
    server = start_redis_server("--requirepass", "right")
    client = await connect(server.url.replace("//", "//:right@"))
    assert (await client.health_check())["status"] == "healthy"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://:secret@h", "cannot be read"),
        ("redis://u:secret/x@h:6379", r"cannot be read(.|\n)*write @ as %40"),
        ("redis://u:12/secret@h:6379", r"cannot be read(.|\n)*/ as %2F"),
        ("redis://u:12?secret@h", "cannot be read"),
        ("redis://u:#secret@h/0", "cannot be read"),
        ("redis://:1@secret/x@h", "cannot be read"),
        ("unix://:secret/x@/run/redis.sock", "cannot be read"),
        ("", "cannot be read"),
        ("redis://:secret@h/0?colour=red", "unexpected keyword argument 'colour'"),
        ("redis://:secret@h/0?socket_timeout=soon", "cannot be read"),
    ],
)
def test_a_broken_url_is_said_without_its_password(url: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        RedisClient(url)
    assert "secret" not in str(caught.value)


async def test_a_unix_socket_works(start_redis_server: Connect, connect: Connect, tmp_path: Any) -> None:
    path = tmp_path / "r.sock"
    start_redis_server("--unixsocket", str(path))
    client = await connect(f"unix://{path}?db=1")
    assert await client.set("k", [1])


async def test_a_connection_that_the_server_closed_is_replaced(client: RedisClient, raw: Any) -> None:
    raw.client_kill_filter(_type="normal", skipme=True)
    # The end of the connection reaches the event loop only when it runs.
    await asyncio.sleep(0.1)
    assert await client.get("k") is None


# -- queues -------------------------------------------------------------------------------------------


async def test_a_queue_is_first_in_first_out(client: RedisClient) -> None:
    lengths = [await client.add_to_queue("q", {"i": i}) for i in range(3)]
    assert lengths == [1, 2, 3]
    assert [await client.get_from_queue("q", timeout=1) for _ in range(3)] == [{"i": i} for i in range(3)]


async def test_an_empty_queue_gives_none_after_its_timeout(client: RedisClient) -> None:
    assert await client.get_from_queue("q", timeout=0.05) is None


async def test_waiting_longer_than_any_socket_timeout_works(connect: Connect) -> None:
    """Seven seconds pass redis-py's own 5 s; the others wait as long against a timeout of 1 s."""
    ordinary, short = await connect(), await connect(command_timeout_s=1)
    pubsub = await short.subscribe("c")
    listening = asyncio.ensure_future(anext(short.listen(pubsub)))
    forever = asyncio.create_task(short.get_from_queue("for_ever", timeout=0))
    assert await asyncio.gather(
        ordinary.get_from_queue("q", timeout=7), short.get_from_queue("q", timeout=7)
    ) == [None, None]
    await ordinary.add_to_queue("for_ever", {"late": True})
    await ordinary.publish("c", "late")
    async with asyncio.timeout(5):
        assert await forever == {"late": True}
        assert (await listening)["data"] == "late"


@pytest.mark.parametrize("wait_s", [-1, math.nan, math.inf])
async def test_a_wait_without_sense_is_refused(client: RedisClient, wait_s: float) -> None:
    with pytest.raises(BadInputError, match="timeout cannot be"):
        await client.get_from_queue("q", timeout=wait_s)


async def test_the_length_of_a_queue_is_counted(client: RedisClient) -> None:
    await client.add_to_queue("q", 1)
    assert (await client.get_queue_length("q"), await client.get_queue_length("none")) == (1, 0)


@pytest.mark.parametrize(
    ("arguments", "items"), [((), [0, 1, 2, 3]), ((1, 2), [1, 2]), ((-2,), [2, 3]), ((9,), [])]
)
async def test_peeking_removes_nothing(
    client: RedisClient, arguments: tuple[int, ...], items: list[int]
) -> None:
    for i in range(4):
        await client.add_to_queue("q", i)
    assert await client.peek_queue("q", *arguments) == items
    assert await client.get_queue_length("q") == 4


async def test_clearing_a_queue_says_whether_there_was_one(client: RedisClient) -> None:
    await client.add_to_queue("q", 1)
    assert [await client.clear_queue("q"), await client.clear_queue("q")] == [True, False]


async def test_two_hundred_commands_at_once_work(client: RedisClient, raw: Any) -> None:
    lengths = await asyncio.gather(*(client.add_to_queue("q", i) for i in range(200)))
    assert sorted(lengths) == list(range(1, 201))
    assert len(raw.client_list()) <= 11


async def test_a_call_without_a_free_connection_raises_with_a_hint(connect: Connect, raw: Any) -> None:
    client = await connect(pool_wait_s=0.2)
    waiting = [asyncio.create_task(client.get_from_queue("q")) for _ in range(10)]
    await until(lambda: consumers(raw) == 10)
    with pytest.raises(PoolBusyError, match=r"(?s)no free connection.*Hint: ten consumers") as caught:
        await client.get("k")
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(caught.value, redis_errors.ConnectionError)
    assert isinstance(caught.value, UnreachableError)


async def test_a_cancelled_wait_gives_its_connection_back(client: RedisClient, raw: Any) -> None:
    for _ in range(15):
        task = asyncio.create_task(client.get_from_queue("q"))
        await until(lambda: consumers(raw) == 1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await until(lambda: consumers(raw) == 0)
    assert await client.get_queue_length("q") == 0


async def test_a_connection_that_dies_while_waiting_for_ever_is_an_error(
    client: RedisClient, raw: Any
) -> None:
    """Keep-alive reports a dead peer as ETIMEDOUT, which redis-py takes for the end of a wait."""
    task = asyncio.create_task(client.get_from_queue("q", timeout=0))
    await until(lambda: consumers(raw) == 1)
    assert client._commands is not None
    (connection,) = client._commands.connection_pool._in_use_connections
    connection._reader.set_exception(TimeoutError(110, "Connection timed out"))
    with pytest.raises(redis_errors.ConnectionError, match="connection lost"):
        await task
    assert await client.get("k") is None


async def test_a_wrong_type_is_an_error_and_leaves_the_connection_usable(client: RedisClient) -> None:
    await client.set("k", 1)
    with pytest.raises(redis_errors.ResponseError, match="WRONGTYPE"):
        await client.get_from_queue("k", timeout=1)
    assert await client.get("k") == 1


# -- a server that hangs ------------------------------------------------------------------------------


async def test_a_server_that_hangs_ends_every_call_and_repeats_none(
    start_redis_server: Connect, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    server = start_redis_server()
    client = await connect(server.url, command_timeout_s=0.3)
    server.process.send_signal(signal.SIGSTOP)
    try:
        async with asyncio.timeout(10):
            with pytest.raises(redis_errors.TimeoutError, match="reading"):
                await client.add_to_queue("q", 1)
            with pytest.raises(redis_errors.TimeoutError):
                await client.get_from_queue("other", timeout=0.1)
            assert (await client.health_check())["status"] == "unhealthy"
    finally:
        server.process.send_signal(signal.SIGCONT)
    assert await client.get_queue_length("q") == 1
    assert "Redis RPUSH failed: Timeout" in caplog.text


async def test_a_server_that_is_gone_is_logged_and_raised(
    start_redis_server: Connect, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    server = start_redis_server()
    client = await connect(server.url)
    server.process.kill()
    server.process.wait()
    with pytest.raises(redis_errors.ConnectionError):
        await client.get("k")
    assert "Redis GET failed" in caplog.text


# -- what goes in and what comes out ------------------------------------------------------------------

VALUES = [{"a": [1, None]}, [], 0, 1.5, True, None, 2**64 + 1, "plain text", "", "naïve ☂", {"☂": "\ud800"}]


@pytest.mark.parametrize("value", VALUES)
async def test_a_value_comes_back_as_it_went_in(client: RedisClient, value: Any) -> None:
    await client.add_to_queue("q", value)
    await client.set("k", value)
    assert [await client.get_from_queue("q", timeout=1), await client.get("k")] == [value, value]


async def test_a_string_is_written_unchanged(client: RedisClient, raw: Any) -> None:
    await client.set("k", '{"already": "json"}')
    await client.add_to_queue("q", "12")
    assert (raw.get("k"), raw.lindex("q", 0)) == (b'{"already": "json"}', b"12")
    assert await client.get("k") == {"already": "json"}


@pytest.mark.parametrize("text", ["{broken", "[1, 2", "nul", "1" * 5000, "[" * 100_000])
async def test_what_is_not_json_comes_back_as_the_raw_string(client: RedisClient, text: str) -> None:
    await client.set("k", text)
    assert await client.get("k") == text


async def test_nan_is_read_as_python_writes_it(client: RedisClient) -> None:
    await client.set("k", [math.nan, math.inf])
    nan, inf = await client.get("k")
    assert math.isnan(nan)
    assert inf == math.inf


async def test_a_binary_item_is_not_lost(client: RedisClient, raw: Any) -> None:
    data = bytes(range(256))
    raw.rpush("q", data)
    item = await client.get_from_queue("q", timeout=1)
    assert item.encode("utf-8", "surrogateescape") == data


async def test_binary_data_can_be_sent_as_the_hint_says(client: RedisClient, raw: Any) -> None:
    await client.add_to_queue("q", b"\xff\x00".decode("utf-8", "surrogateescape"))
    assert raw.lindex("q", 0) == b"\xff\x00"


@pytest.mark.parametrize("value", [b"bytes", datetime.now(UTC), {1, 2}, {(1,): 2}, {"x": object()}])
async def test_what_json_cannot_hold_is_refused(client: RedisClient, value: Any) -> None:
    with pytest.raises(BadInputError, match=r"(?s)cannot be written as JSON.*Hint: "):
        await client.add_to_queue("q", value)
    with pytest.raises(BadInputError, match="cannot be written as JSON"):
        await client.publish("c", value)
    assert await client.get_queue_length("q") == 0


async def test_a_list_that_holds_itself_is_refused(client: RedisClient) -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(BadInputError, match="Circular"):
        await client.set("k", endless)


async def test_a_string_that_utf8_cannot_hold_is_refused(client: RedisClient) -> None:
    with pytest.raises(BadInputError, match="UTF-8 cannot hold"):
        await client.set("k", "\ud800")
    assert await client.get("k") is None


# -- pub/sub ------------------------------------------------------------------------------------------


async def test_a_message_published_right_after_subscribing_arrives(client: RedisClient) -> None:
    for i in range(50):
        pubsub = await client.subscribe("events", "alerts")
        assert await client.publish("alerts", {"i": i}) == 1
        message = await anext(client.listen(pubsub))
        assert (message["type"], message["channel"], message["data"]) == ("message", "alerts", {"i": i})
        await client.unsubscribe()


async def test_publishing_to_nobody_counts_zero(client: RedisClient) -> None:
    assert await client.publish("events", "x") == 0


async def test_listening_yields_data_decoded_or_raw(client: RedisClient) -> None:
    pubsub = await client.subscribe("c")
    for sent in ({"a": 1}, "text", "{broken"):
        await client.publish("c", sent)
    messages = client.listen(pubsub)
    assert [(await anext(messages))["data"] for _ in range(3)] == [{"a": 1}, "text", "{broken"]
    await messages.aclose()


async def test_subscribing_to_nothing_is_refused(client: RedisClient) -> None:
    with pytest.raises(BadInputError, match="at least one channel"):
        await client.subscribe()


async def test_each_subscription_has_a_connection_of_its_own(client: RedisClient, raw: Any) -> None:
    for _ in range(15):
        await client.subscribe("c")
    assert await client.publish("c", 1) == 15
    assert len(raw.client_list(_type="pubsub")) == 15


async def test_subscriptions_leave_the_ten_connections_to_commands(
    client: RedisClient,
) -> None:
    for _ in range(15):
        await client.subscribe("c")
    async with asyncio.timeout(10):
        assert await asyncio.gather(*(client.get("k") for _ in range(50))) == [None] * 50


async def test_a_listener_does_not_block_other_commands(client: RedisClient) -> None:
    pubsub = await client.subscribe("c")
    listening = asyncio.ensure_future(anext(client.listen(pubsub)))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        assert await client.set("k", 1)
        await client.publish("c", "x")
        assert (await listening)["data"] == "x"


async def test_unsubscribe_acts_on_every_subscription(client: RedisClient) -> None:
    await client.subscribe("a", "b")
    await client.subscribe("a")
    await client.unsubscribe("a")
    await asyncio.sleep(0)
    assert [await client.publish("a", 1), await client.publish("b", 1)] == [0, 1]


async def test_unsubscribe_without_names_leaves_all_channels(client: RedisClient, raw: Any) -> None:
    await client.subscribe("a", "b")
    await client.subscribe("c")
    await client.unsubscribe()
    await until(lambda: raw.client_list(_type="pubsub") == [])


async def test_unsubscribing_from_a_channel_that_nobody_has_is_harmless(client: RedisClient) -> None:
    await client.subscribe("a")
    await client.unsubscribe("b")
    assert await client.publish("a", 1) == 1


@pytest.mark.parametrize("end", ["unsubscribe", "disconnect"])
async def test_a_listen_loop_ends(client: RedisClient, end: str, raw: Any) -> None:
    pubsub = await client.subscribe("c")

    async def listen() -> list[Any]:
        return [message["data"] async for message in client.listen(pubsub)]

    task = asyncio.create_task(listen())
    await client.publish("c", 1)
    await until(lambda: pubsub in client._listening)
    await asyncio.sleep(0.05)
    await getattr(client, end)()
    async with asyncio.timeout(5):
        assert await task == [1]
    await until(lambda: raw.client_list(_type="pubsub") == [])


async def test_a_broken_subscription_is_logged_and_raised_and_can_go_on(
    client: RedisClient, raw: Any, caplog: pytest.LogCaptureFixture
) -> None:
    pubsub = await client.subscribe("c")
    raw.client_kill_filter(_type="pubsub")
    with pytest.raises(redis_errors.ConnectionError):
        await anext(client.listen(pubsub))
    assert "Redis listen failed" in caplog.text
    again = asyncio.ensure_future(anext(client.listen(pubsub)))
    await until(lambda: raw.pubsub_numsub("c") == [(b"c", 1)])
    await client.publish("c", "back")
    async with asyncio.timeout(5):
        assert (await again)["data"] == "back"


# -- cache --------------------------------------------------------------------------------------------


async def test_a_missing_key_gives_none(client: RedisClient) -> None:
    assert await client.get("k") is None


async def test_a_value_can_expire(client: RedisClient, raw: Any) -> None:
    assert await client.set("k", 1, expire=300) is True
    assert await client.set("l", 1) is True
    assert (0 < raw.ttl("k") <= 300, raw.ttl("l")) == (True, -1)


@pytest.mark.parametrize("expire", [0, -1, 1.5])
async def test_an_expiry_below_one_second_is_refused(client: RedisClient, expire: Any) -> None:
    with pytest.raises(BadInputError, match=f"expire cannot be {expire}"):
        await client.set("k", 1, expire=expire)


async def test_deleting_and_existing_count_keys(client: RedisClient) -> None:
    await client.set("a", 1)
    await client.set("b", 1)
    assert await client.exists("a", "b", "c", "a") == 3
    assert await client.delete("a", "b", "c") == 2
    assert [await client.exists("a"), await client.delete("a")] == [0, 0]


async def test_no_keys_at_all_count_zero(client: RedisClient) -> None:
    assert [await client.exists(), await client.delete()] == [0, 0]


# -- health -------------------------------------------------------------------------------------------


async def test_a_healthy_server_says_its_version(client: RedisClient, raw: Any) -> None:
    assert await client.health_check() == {
        "status": "healthy",
        "connected": True,
        "redis_version": raw.info()["redis_version"],
    }


async def test_a_client_that_is_not_connected_is_unhealthy() -> None:
    health = await RedisClient("redis://:secret@h/0").health_check()
    assert (health["status"], health["connected"]) == ("unhealthy", False)
    assert "secret" not in health["error"]


async def test_a_server_that_forbids_info_is_healthy(client: RedisClient, connect: Connect, raw: Any) -> None:
    raw.acl_setuser(
        "plain", enabled=True, passwords=["+pw"], commands=["+@all", "-info"], keys=["*"], channels=["*"]
    )
    host = client._url.removeprefix("redis://")
    health = await (await connect(f"redis://plain:pw@{host}")).health_check()
    raw.acl_deluser("plain")
    assert (health["status"], health["redis_version"]) == ("healthy", None)


# -- the process's client -----------------------------------------------------------------------------


async def test_init_redis_makes_one_client(singleton: None) -> None:
    assert await init_redis() is await init_redis()


async def test_calls_at_the_same_time_make_one_client(singleton: None) -> None:
    async def depend() -> RedisClient:
        return await anext(get_redis())

    clients = await asyncio.gather(*([init_redis() for _ in range(5)] + [depend() for _ in range(5)]))
    assert len(set(clients)) == 1


async def test_get_redis_connects_at_first_use(singleton: None) -> None:
    async for client in get_redis():
        assert await client.set("k", 1)


async def test_get_redis_leaves_the_client_connected(singleton: None) -> None:
    async for _ in get_redis():
        pass
    assert (await init_redis()).is_connected


async def test_close_redis_forgets_the_client(singleton: None) -> None:
    client = await init_redis()
    await close_redis()
    await close_redis()
    assert redis_module._redis_client is None
    assert not client.is_connected


async def test_a_client_that_could_not_connect_is_not_kept(
    closed_url: str, monkeypatch: pytest.MonkeyPatch, redis_url: str, singleton: None
) -> None:
    monkeypatch.setattr(redis_module.RedisClient.__init__, "__kwdefaults__", _fast())
    monkeypatch.setenv("REDIS_URL", closed_url)
    get_settings.cache_clear()
    with pytest.raises(redis_errors.ConnectionError):
        await init_redis()
    assert redis_module._redis_client is None
    monkeypatch.setenv("REDIS_URL", redis_url)
    get_settings.cache_clear()
    assert (await init_redis()).is_connected


def _fast() -> dict[str, Any]:
    return {**RedisClient.__init__.__kwdefaults__, "backoff_s": 0.01}


def test_a_new_event_loop_gets_a_client_of_its_own(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)
    get_settings.cache_clear()

    async def once() -> bool:
        client = await init_redis()
        try:
            return await client.set("k", 1)
        finally:
            await close_redis()

    assert [asyncio.run(once()), asyncio.run(once())] == [True, True]


def test_a_client_left_open_on_a_closed_loop_is_replaced(redis_url: str) -> None:
    # In a process of its own: what is left open there cannot be closed any more, and warns about it.
    code = """
import asyncio
from secnb.core import close_redis, init_redis
left = asyncio.run(init_redis())

async def again():
    client = await init_redis()
    await close_redis()
    return client is not left and not left.is_connected

print(asyncio.run(again()))
"""
    environment = {**os.environ, "REDIS_URL": redis_url}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, timeout=60)
    assert done.stdout.strip() == b"True", done.stderr


async def test_a_client_of_another_loop_that_still_runs_is_refused(client: RedisClient) -> None:
    def elsewhere() -> None:
        with pytest.raises(NotInitializedError, match="not connected on this event loop"):
            asyncio.run(client.get("k"))

    await asyncio.to_thread(elsewhere)
