"""Keys and caches: every key once, in pages, whatever its name and its value."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secnb import schema
from secnb.core import redis_keys
from secnb.errors import BadInputError, TruncatedWarning


def test_nothing_there_is_an_empty_frame(site, check):
    check(site.keys(), schema.KEYS)
    check(site.cache(), schema.CACHE)


def test_keys_with_type_ttl_size_and_encoding(site, raw, check):
    raw.set("batch:a:current", "x" * 100, ex=300)
    raw.rpush("batch:a:detections", "1")
    raw.set("dedupe:1", "x")
    frame = site.keys("batch:*")
    check(frame, schema.KEYS)
    assert frame["key"].tolist() == ["batch:a:current", "batch:a:detections"]
    assert frame["type"].tolist() == ["string", "list"]
    assert 0 < frame["ttl_s"][0] <= 300
    assert pd.isna(frame["ttl_s"][1])
    assert (frame["size_bytes"] > 0).all()
    assert frame["encoding"][0] == "raw"


def test_many_keys_come_in_pages_each_once(site, raw):
    with raw.pipeline(transaction=False) as pipe:
        for n in range(5000):
            pipe.set(f"k:{n:04}", n)
        pipe.execute()
    frame = site.keys("k:*")
    assert frame["key"].tolist() == [f"k:{n:04}" for n in range(5000)]
    assert not frame.attrs["truncated"]


def test_cap_shows(site, raw):
    raw.mset({f"cache:{n}": n for n in range(3000)})
    for helper in (site.keys, site.cache):
        with pytest.warns(TruncatedWarning, match="showing the first 7 keys; there are more"):
            frame = helper("cache:*", limit=7)
        assert len(frame) == 7
        assert frame.attrs["truncated"]
        assert not helper("cache:*", limit=3000).attrs["truncated"]


def test_values_of_a_cache_are_decoded(site, raw, check):
    """JSON once or twice, text as it is, and what cannot be text is a row with its error."""
    values = {
        "cache:a": b'{"n": 1}',
        "cache:b": b'"{\\"n\\": 1}"',
        "cache:c": b'"text"',
        "cache:d": b"plain",
        "cache:e": b"\xff\x00",
        "hsi:cache:f": b"[1, 2]",
    }
    raw.mset(values)
    raw.expire("cache:a", 60)
    frame = site.cache()
    check(frame, schema.CACHE)
    assert frame["key"].tolist() == sorted(values)
    assert frame["value"].tolist() == [{"n": 1}, {"n": 1}, "text", "plain", None, [1, 2]]
    assert frame["raw"].tolist() == [values[key] for key in sorted(values)]
    assert frame["ok"].tolist() == [True, True, True, True, False, True]
    assert "not UTF-8" in frame["error"][4]
    assert 0 < frame["ttl_s"][0] <= 60
    assert frame["size_bytes"].tolist() == [len(values[key]) for key in sorted(values)]


def test_secrets_in_a_cache_are_masked(site, raw):
    """A page that is saved shows neither the value nor its bytes."""
    raw.set("cache:cameras", json.dumps([{"id": "gate", "rtsp_url": "rtsp://ann:hidden@cam/1"}]))
    raw.set("cache:note", "opened rtsp://ann:hidden@cam/1")
    raw.set("cache:api_key", "hidden")
    frame = site.cache()
    assert frame["value"].tolist() == [
        "***",
        [{"id": "gate", "rtsp_url": "***"}],
        "opened rtsp://ann:***@cam/1",
    ]
    assert "hidden" not in frame.to_html() + str(frame["raw"].tolist())
    assert frame["size_bytes"][0] == len("hidden")


def test_other_types_have_no_value(site, raw):
    raw.rpush("cache:1", "x")
    raw.xadd("cache:2", {"a": "b"})
    raw.hset("cache:3", "a", "b")
    frame = site.cache()
    assert frame["error"].tolist() == [
        "type is list, use peek",
        "type is stream, use peek",
        "type is hash, and a cached value is a string",
    ]
    assert not frame["ok"].any()
    assert frame["value"].isna().all()


def test_value_that_is_too_long_is_not_read(site, raw, monkeypatch):
    """Bounded memory: its length is told instead."""
    monkeypatch.setattr(redis_keys, "_GROUP_BYTES", 100)
    monkeypatch.setattr("secnb.frames.keyspace.MAX_VALUE_BYTES", 1000)
    monkeypatch.setattr(redis_keys, "MAX_VALUE_BYTES", 1000)
    sizes = [1001, 1000, 99, 2, 1, 60, 60]
    raw.mset({f"cache:{n}": "x" * size for n, size in enumerate(sizes)})
    frame = site.cache()
    assert frame["error"][0] == "1,001 bytes; values up to 1,000 bytes are read"
    assert frame["raw"][0] is None
    assert [len(each) for each in frame["raw"][1:]] == sizes[1:]


def test_unfit_arguments_are_refused(site):
    for pattern in ("", "\ud83d", None, 7):
        with pytest.raises(BadInputError, match=r"pattern is .*Allowed: text"):
            site.keys(pattern)
    with pytest.raises(BadInputError, match=r"limit is 1\.5"):
        site.cache(limit=1.5)


values = st.binary(max_size=40) | st.text().map(lambda text: json.dumps(json.dumps(text)).encode())


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keys=st.dictionaries(st.binary(max_size=12), values, max_size=8))
def test_any_bytes_in_names_and_values_are_rows(site, raw, check, keys):
    """As many rows as keys; the bytes of the values come back."""
    raw.flushall()
    if keys:
        raw.mset({b"cache:" + name: value for name, value in keys.items()})
    frame = site.keys()
    check(frame, schema.KEYS)
    assert len(frame) == len(keys)
    cache = site.cache()
    check(cache, schema.CACHE)
    assert cache["raw"].tolist() == [keys[name] for name in sorted(keys)]
