"""How long a stage takes, from verifications and from telemetry of unknown form."""

from __future__ import annotations

import sqlite3

import redis

import secnb
from secnb import schema


def test_every_source_that_is_there(site, database, redis_url):
    """Numbers as text, JSON lists, lists of objects; what is no measurement is left out."""
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE event_verifications (id INTEGER PRIMARY KEY, latency_ms INTEGER)")
        rows = [(n,) for n in (1000, 2000, 3000, None)]
        connection.executemany("INSERT INTO event_verifications (latency_ms) VALUES (?)", rows)
    connection.close()
    with redis.Redis.from_url(redis_url) as client:
        client.set("telemetry:latency:detect", "[10, 20, 30, 40]")
        client.set("telemetry:latency:empty", "no number")
        client.rpush("telemetry:latency:analyze", '{"latency_ms": 500}', "700", "-1", b"\xff")
        client.hset("model_zoo:latency:other", "a", "1")
    frame = site.latencies().set_index("source")
    assert frame["n"].to_dict() == {
        "telemetry:latency:detect": 4,
        "event_verifications.latency_ms": 3,
        "telemetry:latency:analyze": 2,
    }
    assert frame["median_s"].tolist() == [0.025, 2.0, 0.6]


def test_nothing_is_recorded(site):
    frame = site.latencies()
    assert frame.dtypes.astype(str).to_dict() == dict(schema.LATENCIES)
    assert frame.empty
    assert frame.attrs["problems"] == []


def test_a_part_that_is_down_is_said(database, recwarn):
    with secnb.connect(database_url=f"sqlite:///{database}", redis_url="unix:///nowhere") as half:
        frame = half.latencies()
    assert frame.empty
    assert "nowhere" in frame.attrs["problems"][0]
