"""Passwords of cameras stand in no frame that a notebook shows by habit, and in no file of a snapshot."""

from __future__ import annotations

import json
import sqlite3

import pandas as pd
import pytest
import redis

import secnb

HIDDEN = "hunter2"
STREAM = f"rtsp://adm:{HIDDEN}@10.0.0.1/x?token={HIDDEN}"
SHOWN = "rtsp://adm:***@10.0.0.1/x?token=***"
# As the cameras of this project are asked for a picture.
SNAPSHOT_URL = f"http://cam:88/cgi-bin/CGIProxy.fcgi?cmd=snapPicture2&usr=admin&pwd={HIDDEN}"
SHOWN_URL = SNAPSHOT_URL.replace(HIDDEN, "***")
JWT = f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{HIDDEN}"


@pytest.fixture
def leaky(tmp_path, redis_url, monkeypatch):
    """Return a deployment with passwords in all places but the ones that are named for them."""
    path = tmp_path / "leaky.db"
    with sqlite3.connect(path) as database:
        database.execute(
            "CREATE TABLE cameras (id TEXT PRIMARY KEY, name TEXT, stream_uri TEXT, config TEXT, notes TEXT, "
            "camera_pass TEXT, rtsp_url TEXT, port INTEGER)"
        )
        config = json.dumps({"rtsp": {"password": HIDDEN, "port": 554}})
        row = ("porch", "Mountain Pass", STREAM, config, f"pwd: {HIDDEN}, by the door", HIDDEN, STREAM, 88)
        database.execute("INSERT INTO cameras VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        database.execute("INSERT INTO cameras (id, name) VALUES ('yard', 'Yard')")
        database.execute("CREATE TABLE settings (key TEXT, value TEXT)")
        database.executemany(
            "INSERT INTO settings VALUES (?, ?)", [("api_key", HIDDEN), ("author", "ann"), ("pin", HIDDEN)]
        )
    database.close()
    with redis.Redis.from_url(redis_url) as client:
        job = {"camera_id": "porch", "file_path": SNAPSHOT_URL, "timestamp": "2026-03-14T20:00:00Z"}
        plain = {**job, "file_path": "/export/foscam/1.jpg"}
        client.rpush("detection_queue", json.dumps(plain), json.dumps(job))
        client.xadd("detections:stream", {"camera_id": "porch", "file_path": SNAPSHOT_URL})
        letter = {"original_job": job, "error": f"401 from {SNAPSHOT_URL}: Cookie: {HIDDEN}"}
        client.rpush("dlq:detection_queue", json.dumps(letter))
        client.set("batch:b1:camera_id", STREAM)
        client.set("cache:setting", json.dumps({"name": "api_key", "value": HIDDEN}))
        client.set("cache:session", JWT)
        client.set("camera:porch:pwd", HIDDEN)
    monkeypatch.setenv("NEMOTRON_URL", f"http://adm:{HIDDEN}@127.0.0.1:1/v1?api_key={HIDDEN}")
    with secnb.connect(database_url=f"sqlite:///{path}", redis_url=redis_url) as site:
        yield site


def test_cameras_show_no_password(leaky):
    """In URLs, JSON and text, and in columns that are passwords by their name."""
    first, second = leaky.cameras().to_dict("records")
    assert first["stream_uri"] == SHOWN
    assert json.loads(first["config"]) == {"rtsp": {"password": "***", "port": 554}}
    assert first["notes"] == "pwd: ***, by the door"
    assert (first["camera_pass"], first["rtsp_url"]) == ("***", "***")
    assert (first["camera_id"], first["name"], first["port"]) == ("porch", "Mountain Pass", 88)
    assert pd.isna(second["camera_pass"])
    assert pd.isna(second["stream_uri"])


def test_a_camera_column_that_is_a_secret_is_shown_when_asked_for_by_name(leaky):
    """Others are masked although they are asked for: whoever picks columns need not know what is in them."""
    first = leaky.cameras(columns=["camera_pass", "rtsp_url", "stream_uri"]).iloc[0].tolist()
    assert first == [HIDDEN, STREAM, SHOWN]


@pytest.mark.parametrize("queue", ["detection_queue", "detections:stream"])
def test_the_place_of_a_message_shows_no_password(leaky, queue):
    """The message itself stays what it is."""
    frame = leaky.peek(queue)
    assert frame["file_path"].iloc[-1] == SHOWN_URL
    assert HIDDEN.encode() in frame["raw"].iloc[-1]
    assert frame["payload"].iloc[-1]["file_path"] == SNAPSHOT_URL
    assert queue == "detections:stream" or frame["file_path"][0] == "/export/foscam/1.jpg"


def test_other_frames_show_no_password(leaky):
    """Of dead letters, but for the work itself; open batches; caches; health."""
    letters = leaky.dead_letters()
    assert letters["error"].tolist() == [f"401 from {SHOWN_URL}: Cookie: ***"]
    frames = [
        letters.drop(columns=["original", "raw"]),
        leaky.open_batches(),
        leaky.cache("c*"),
        leaky.health(),
    ]
    shown = "".join(str(frame.to_dict("list")) for frame in frames)
    assert HIDDEN not in shown
    for text in (SHOWN_URL, SHOWN, "http://adm:***@127.0.0.1:1/v1?api_key=***: "):
        assert text in shown


def test_a_snapshot_holds_no_password(leaky, tmp_path):
    """In tables of names and values either; what is said of a URL stays as it was said."""
    leaky.snapshot(tmp_path / "s")
    with secnb.connect(tmp_path / "s") as kept:
        values = kept.sql("SELECT key, value FROM settings ORDER BY key").set_index("key")["value"]
        details = kept.health()["detail"].tolist()
        queues = kept.peek("detection_queue")["file_path"].tolist()
    assert values.to_dict() == {"api_key": "***", "author": "ann", "pin": "***"}
    assert details == leaky.health()["detail"].tolist()
    assert queues == ["/export/foscam/1.jpg", SHOWN_URL]
    for path in (tmp_path / "s").iterdir():
        content = path.read_bytes()
        if path.suffix == ".parquet":
            content += str(pd.read_parquet(path).to_dict("list")).encode()
        assert HIDDEN.encode() not in content, path
