"""A camera is silent if it was not on the days before, and if others are heard."""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest

from secnb.core.reader import DatabaseReader
from secnb.frames.silence import read_heard
from secnb.frames.stages import Camera, Heard, Recorded, camera_stage

NOW = datetime(2026, 3, 15, 18, tzinfo=UTC)


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("quiet_h", "before", "status"),
    [
        (0, (), "ok"),
        (0.9, (50,) * 7, "ok"),
        (13, (50,) * 7, "silent"),
        (13, (3,) * 3, "silent"),
        # Quiet as on one of the days before, and hardly ever more than that.
        (13, (50, 50, 50, 0, 50, 50, 50), "ok"),
        (13, (2,) * 7, "ok"),
        # Two days say little.
        (13, (50,) * 2, "unknown"),
        (13, (), "unknown"),
    ],
)
def test_a_camera_is_judged_by_the_days_before(quiet_h, before, status):
    heard = Heard((Camera("porch", NOW), Camera("gate", ago(60 * quiet_h), 3600 * quiet_h, before)))
    row = camera_stage(heard, Recorded("detections", NOW, 9))
    assert (row["status"], row["last_at"], row["out_per_hour"]) == (status, NOW, 9)
    assert ("gate" in row["why"]) is (status != "ok")
    assert (row.get("depth"), row.get("oldest_at")) == ((1, ago(780)) if status == "silent" else (None, None))


def test_a_camera_without_a_record_is_not_known_where_the_history_is_short():
    """As in a snapshot of the last day; elsewhere it may be one that was never set up."""
    cameras = (Camera("porch", NOW), Camera("gate"))
    short = camera_stage(Heard(cameras, ago(1440)), Recorded("detections"))
    assert (short["status"], short["why"].partition(";")[0]) == ("unknown", "no detection from gate at all")
    long = camera_stage(Heard(cameras, ago(20 * 1440)), Recorded("detections"))
    assert (long["status"], long["why"].partition(" ")[0]) == ("ok", "1")


def test_many_silent_cameras_are_counted():
    """The longest first; a picture has no place for a hundred names."""
    silent = [Camera(f"camera {n}", ago(60 * n), 3600.0 * n, (9,) * 7) for n in range(1, 101)]
    why = camera_stage(Heard(tuple(silent)), Recorded("detections"))["why"]
    assert why.startswith("no detection from camera 100 for 4.2 days, camera 99 for ")
    assert "95 more; of camera 100, each of the 7 days before had at least 9" in why


def test_no_camera_and_no_record_are_nothing_to_complain_about():
    assert camera_stage(Heard(), Recorded("detections"))["why"] == "0 of 0 cameras recorded something"
    never = Heard((Camera("porch"), Camera("gate")))
    assert camera_stage(never, Recorded("detections"))["why"] == "0 of 2 cameras recorded something"


@pytest.fixture
async def look(tmp_path):
    """Return a function that looks at days of a record every ten minutes, per camera until its end."""
    readers = []

    async def look_at(ends, *, days=10, removed="", form="%Y-%m-%d %H:%M:%S.%f"):
        path = tmp_path / "cameras.db"
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE cameras (id TEXT, deleted_at TEXT)")
            connection.execute("CREATE TABLE detections (id INTEGER PRIMARY KEY, camera_id, detected_at)")
            for name, end in ends.items():
                connection.execute(
                    "INSERT INTO cameras VALUES (?, ?)", (name, "now" if name == removed else None)
                )
                n_gone = (NOW - end) // timedelta(minutes=10)
                stamps = [end - timedelta(minutes=10 * n) for n in range(144 * days - n_gone)]
                rows = [(name, each.strftime(form)) for each in stamps]
                connection.executemany("INSERT INTO detections (camera_id, detected_at) VALUES (?, ?)", rows)
            connection.execute("INSERT INTO detections (camera_id, detected_at) VALUES ('porch', 'tomorrow')")
            connection.commit()
        readers.append(DatabaseReader(f"sqlite:///{path}"))
        return await read_heard(readers[-1], NOW)

    yield look_at
    for reader in readers:
        await reader.close()


async def test_it_is_compared_with_the_same_times_of_the_days_before(look):
    (gate, porch) = (await look({"gate": ago(181), "shed": ago(1)})).cameras
    assert (gate.last_at, gate.quiet_s, gate.n_before) == (ago(181), 180 * 60.0, (18,) * 7)
    assert (porch.quiet_s, porch.n_before) == (0, ())


@pytest.mark.parametrize("form", ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S%z", "%Y-%m-%d %H:%M"])
async def test_the_days_before_are_counted_whatever_the_form(look, form):
    """As text, T sorts after a space: all of a day would count for any hour of it."""
    (gate, _) = (await look({"gate": ago(181), "shed": ago(1)}, form=form)).cameras
    assert gate.n_before == (18,) * 7


async def test_a_day_of_long_silence_is_compared(look):
    """Four days of silence, and each day before them had 144."""
    (gate, _) = (await look({"gate": ago(4 * 1440 + 1), "shed": ago(1)}, days=20)).cameras
    assert gate.n_before == (144,) * 7


async def test_days_before_the_history_are_not_known(look):
    (gate, _) = (await look({"gate": ago(181), "shed": ago(1)}, days=4)).cameras
    assert gate.n_before == (18,) * 3


async def test_where_nothing_is_recorded_it_is_not_the_cameras(look):
    """Silence ends with the newest record of any; a camera that was removed is none."""
    heard = await look({"gate": ago(601), "old": ago(9000), "shed": ago(600)}, removed="old")
    assert [(each.name, each.quiet_s) for each in heard.cameras] == [("gate", 60), ("shed", 0)]


async def test_what_lies_ahead_makes_nobody_silent(look):
    """A camera whose clock is wrong counts as heard now."""
    heard = await look({"gate": ago(1), "shed": NOW + timedelta(days=900)})
    assert [each.quiet_s for each in heard.cameras] == [60, 0]


async def test_what_is_no_time_is_no_record(look):
    heard = await look({"porch": ago(1), "shed": ago(1)})
    assert [(each.name, each.last_at) for each in heard.cameras] == [("porch", None), ("shed", ago(1))]
