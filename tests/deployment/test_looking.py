"""What there is to see of a unit: the picture of its best detection, or why there is none."""

from __future__ import annotations

import sqlite3

import pandas as pd
import pytest

import secnb
from secnb.deployment.looking import look_at, zone_of
from secnb.frames.unitrows import read_units
from secnb.view.cards import Look

# The smallest that a browser draws.
IMAGE = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010800000000"
    "3a7e9b550000000a49444154789c6360000000020001487fb3cb0000000049454e44ae426082"
)


@pytest.fixture
def site(tmp_path, monkeypatch, redis_url):
    """Return a deployment with events 1 to 4: two detections, a link out of the folder, gone, no event."""
    root = tmp_path / "foscam"
    (root / "porch").mkdir(parents=True)
    (root / "porch" / "1.png").write_bytes(IMAGE)
    (tmp_path / "secret.png").write_bytes(IMAGE)
    (root / "porch" / "link.png").symlink_to(tmp_path / "secret.png")
    monkeypatch.setenv("FOSCAM_BASE_PATH", str(root))
    database = tmp_path / "security.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE cameras (id TEXT PRIMARY KEY, folder_path TEXT)")
        connection.execute("INSERT INTO cameras VALUES ('porch', 'porch')")
        connection.execute(
            "CREATE TABLE detections (id INTEGER PRIMARY KEY, camera_id TEXT, file_path TEXT, detected_at,"
            " object_type TEXT, confidence REAL, bbox_x, bbox_y, bbox_width, bbox_height)"
        )
        connection.execute(
            "CREATE TABLE events (id INTEGER PRIMARY KEY, camera_id TEXT, started_at TEXT, ended_at TEXT,"
            " risk_score INTEGER, summary TEXT, reasoning TEXT, detection_ids TEXT)"
        )
        at = "2026-03-01 08:30:00.000000"
        for row in [(1, "../../secret.png", 0.5), (2, "1.png", 0.9), (3, "link.png", 0.4), (5, "1.png", "x")]:
            values = (row[0], "porch", row[1], at, "person", row[2], 1, 2, 3, 4)
            connection.execute(f"INSERT INTO detections VALUES ({', '.join('?' * 10)})", values)
        for row in [
            (1, "Somebody came.", "[1, 2]"),
            (2, None, "[3]"),
            (3, " ", "[77]"),
            (4, "Odd.", "[5, null]"),
        ]:
            values = (row[0], "porch", at, at, 60, row[1], "At the door.", row[2])
            connection.execute(f"INSERT INTO events VALUES ({', '.join('?' * 8)})", values)
    connection.close()
    with secnb.connect(database_url=f"sqlite:///{database}", redis_url=redis_url) as opened:
        yield opened


def look(site, **row) -> Look:
    """Look at a unit that a frame of one row names."""
    return look_at(site, read_units(pd.DataFrame([row])).iloc[0].to_dict())


def test_an_event_is_shown_by_its_most_confident_detection(site):
    picture = look(site, event_id=1).picture
    assert (picture.content, picture.box, picture.label) == (IMAGE, (1, 2, 3, 4), "person 0.90")


def test_a_confidence_that_is_no_number_is_the_least(site):
    assert look(site, event_id=4).picture.content == IMAGE


def test_what_the_reasoner_said_comes_with_the_picture(site):
    assert look(site, event_id=1).said == {"summary": "Somebody came.", "reasoning": "At the door."}
    assert look(site, event_id=3).said == {"reasoning": "At the door."}
    assert look(site, event_id=99).said == {}


def test_the_event_of_a_detection_is_found_by_camera_and_time(site):
    detection = {"detection_id": 2, "camera_id": "porch"}
    seen = look(site, **detection, detected_at="2026-03-01 08:30:40+00:00")
    assert seen.said["summary"] == "Somebody came."
    assert look(site, **detection, detected_at="2026-03-02 08:30+00:00").said == {}
    assert look(site, **detection).said == {}


def test_a_camera_that_nothing_knows_does_not_hide_the_picture(site):
    seen = look(site, detection_id=2, camera_id="gone", detected_at="2026-03-01 08:30+00:00")
    assert (seen.picture.content, seen.said) == (IMAGE, {})


@pytest.mark.parametrize(
    ("row", "note"),
    [
        ({"detection_id": 1}, "does not lie below"),
        ({"event_id": 2}, "does not lie below"),
        ({"event_id": 3}, "none of its detections is recorded any more"),
        ({"event_id": 99}, "none of its detections is recorded any more"),
        ({"detection_id": 99}, "There is no detection 99"),
        ({"detection_id": 2**63 - 1}, "There is no detection"),
    ],
)
def test_why_there_is_no_picture_is_said(site, row, note):
    picture = look(site, **row).picture
    assert picture.content == b""
    assert note in picture.note


def test_a_snapshot_says_that_the_detections_are_not_in_it(site, tmp_path):
    """They may still be recorded."""
    site.snapshot(tmp_path / "s", hours=None)
    with secnb.connect(tmp_path / "s") as kept:
        assert "none of its detections is in the snapshot" in look(kept, event_id=3).picture.note


def test_without_a_site_there_is_no_picture():
    assert "site=site" in look(None, event_id=1).picture.note


def test_a_closed_deployment_says_so(site):
    site.close()
    assert "was closed" in look(site, event_id=1).picture.note


def test_the_time_zone_is_that_of_the_site_else_of_the_frame(site):
    frame = pd.DataFrame({"event_id": [1]})
    frame.attrs["timezone"] = "Europe/Berlin"
    assert zone_of(site, frame).key == "UTC"
    assert zone_of(None, frame).key == "Europe/Berlin"
    assert zone_of(None, pd.DataFrame()).key == "UTC"
