"""Each incident differs from an ordinary day in what it says, and in nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

import secnb
from secnb.errors import BadInputError
from secnb.sample.incidents import INCIDENTS
from secnb.sample.records import Records, synthetic

ENDS_AT = datetime(2026, 3, 15, 18, tzinfo=UTC)


def records(name: str | None = None) -> Records:
    more = {"incident": INCIDENTS[name]} if name else {}
    return synthetic(seed=0, ends_at=ENDS_AT, **more)


def staged(name: str) -> secnb.Sandbox:
    return secnb.sandbox(ends_at=ENDS_AT, incident=name)


@pytest.mark.parametrize("name", INCIDENTS)
def test_equal_arguments_give_equal_incidents(name):
    first, again = records(name), records(name)
    assert first.tables == again.tables
    assert [a.batch_id for a in first.waiting] == [a.batch_id for a in again.waiting]


@pytest.mark.parametrize("name", INCIDENTS)
def test_it_says_that_it_is_staged(name):
    with staged(name) as site:
        assert "Synthetic" in site.note
        assert f"A staged incident: {INCIDENTS[name].what}." in site.note


def test_a_stuck_reasoner_writes_no_event_and_its_queue_grows():
    """Whatever would have been analysed in the last two hours waits, the first closed first."""
    ordinary, stuck = records(), records("stuck_reasoner")
    assert ordinary.tables["detections"] == stuck.tables["detections"]
    assert len(ordinary.tables["events"][1]) > len(stuck.tables["events"][1])
    closed = [a.batch.closed_us for a in stuck.waiting]
    assert len(closed) > 20
    assert closed == sorted(closed)
    assert not any(a.is_fast_path for a in stuck.waiting)


def test_a_slow_detector_replies_to_images_of_half_an_hour_ago():
    """The image done last was taken when the oldest that waits was taken."""
    with staged("slow_detector") as site:
        last = site.detections(limit=None)["file_path"].iloc[-1]
        oldest = site.peek("detection_queue", n=1)["file_path"][0]
    taken = [pd.to_datetime(path[-26:-11], format="%Y%m%d-%H%M%S", utc=True) for path in (last, oldest)]
    assert all(timedelta(minutes=29) < ENDS_AT - at < timedelta(minutes=31) for at in taken)


def test_poison_is_a_quarter_of_the_messages_and_leaves_dead_letters():
    with staged("poison") as site:
        assert 0.2 < (~site.peek("detection_queue", n=None)["ok"]).mean() < 0.3
        assert len(site.dead_letters("detection_queue")) > 20


def test_a_silent_camera_sends_nothing():
    """Neither detections nor images nor an open batch, while the others go on."""
    with staged("silent_camera") as site:
        last = site.detections().groupby("camera_id")["detected_at"].max()
        assert ENDS_AT - last["back_yard"] > timedelta(hours=12)
        assert (ENDS_AT - last.drop("back_yard") < timedelta(hours=2)).all()
        assert "back_yard" not in set(site.peek("detection_queue", n=None)["camera_id"])
        assert "back_yard" not in set(site.open_batches()["camera_id"])


@pytest.mark.parametrize("name", ["fire", "", 3])
def test_another_incident_is_refused_with_those_there_are(name):
    with pytest.raises(BadInputError, match="Allowed: 'stuck_reasoner', 'slow_detector', 'poison'"):
        secnb.sandbox(incident=name)


def test_real_detections_have_no_staged_incident():
    with pytest.raises(BadInputError, match="incident is 'poison', and there are detections"):
        secnb.sandbox(detections=pd.DataFrame(), incident="poison")
