"""A replay against what happened: agreement, and the reasons where there is none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from secnb import schema
from secnb.analysis.checking import check_replay
from secnb.analysis.replaying import replay_batches
from secnb.bridge import waiting
from secnb.errors import BadInputError, UnknownColumnError

START = pd.Timestamp("2026-03-14 08:00", tz="UTC")
SETTINGS = {"window_s": 90, "idle_s": 30, "tick_s": 10}


def detections(times, cameras=None) -> pd.DataFrame:
    at = pd.DatetimeIndex([START + pd.Timedelta(seconds=float(t)) for t in times], dtype=schema.TIME)
    frame = pd.DataFrame({"detection_id": np.arange(1, len(at) + 1), "detected_at": at})
    frame["camera_id"] = cameras if cameras is not None else ["porch"] * len(at)
    return frame.assign(object_type="person", confidence=0.5).astype({"camera_id": "str"})


def made(frame, groups, *, alone=()) -> dict[str, pd.DataFrame]:
    """Return events of these groups of detection ids, as `check_replay` takes them."""
    at = frame.set_index("detection_id")["detected_at"]
    events = pd.DataFrame({"event_id": pd.array(range(1, len(groups) + 1), dtype="Int64")})
    events["started_at"] = pd.DatetimeIndex([at[at.index.isin(g)].min() for g in groups], dtype=schema.TIME)
    events["is_fast_path"] = pd.array(
        [tuple(g) in {tuple(a) for a in alone} for g in groups], dtype="boolean"
    )
    pairs = [(n, each) for n, group in enumerate(groups, start=1) for each in group]
    return {
        "events": events,
        "memberships": pd.DataFrame(pairs, columns=["event_id", "detection_id"], dtype="Int64"),
    }


def real_batches(frame, **settings) -> list[list[int]]:
    members = replay_batches(frame, **settings).members
    return [group.tolist() for _, group in members.groupby("batch")["detection_id"]]


@pytest.fixture(scope="module")
def busy() -> pd.DataFrame:
    """Return detections of two cameras in bursts, for three hours."""
    generator = np.random.default_rng(5)
    starts = np.sort(generator.uniform(0, 10_800, 60))
    times = np.sort((starts[:, None] + generator.uniform(0, 200, (60, 10))).ravel())
    return detections(times, generator.choice(["a", "b"], len(times)))


def test_agrees_with_itself_and_finds_the_phase(busy):
    """Whatever the phase of the real ticks, the best one is found."""
    check = check_replay(
        detections=busy, **made(busy, real_batches(busy, **SETTINGS, phase_s=3.5)), **SETTINGS
    )
    assert check["agrees"].all()
    assert check.attrs["agree_ratio"] == 1
    assert check.attrs["phase_s"] == 3.5
    assert check.attrs["agree_ratio_low"] < 1
    assert check["n_detections"].sum() == len(busy)
    assert check.dtypes.astype(str).to_dict() == dict(schema.REPLAY_CHECK)


def test_another_phase_disagrees_by_a_tick(busy):
    groups = real_batches(busy, **SETTINGS, phase_s=3.5)
    check = check_replay(detections=busy, **made(busy, groups), **SETTINGS, phase_s=8.5)
    assert 0.3 < check.attrs["agree_ratio"] < 1
    assert set(check["why"]) == {"agrees", "tick"}


def test_lost_batches_and_those_to_come(busy):
    """A batch without an event is lost, unless it is later than the last event."""
    groups = real_batches(busy, **SETTINGS)
    by_start = sorted(groups, key=lambda group: busy.set_index("detection_id")["detected_at"][group[0]])
    kept = [group for group in by_start[:-2] if group != by_start[5]]
    check = check_replay(detections=busy, **made(busy, kept), **SETTINGS)
    lost = check[~check["agrees"]]
    assert sorted(lost["why"]) == ["lost batch", "not analysed yet", "not analysed yet"]
    assert lost["event_id"].isna().all()
    assert check.attrs["agree_ratio"] == len(kept) / (len(kept) + 1)


def test_fast_path_that_the_replay_does_not_know():
    """Neither the detection that was analysed alone nor the batch that it left agrees."""
    frame = detections([0, 5, 10])
    history = made(frame, [[1, 3], [2]], alone=[[2]])
    check = check_replay(detections=frame, **history, **SETTINGS)
    assert check["why"].tolist() == ["fast path", "fast path"]
    frame["confidence"] = [0.5, 0.95, 0.5]
    known = check_replay(detections=frame, **history, **SETTINGS, fast_path=(0.9, ["person"]))
    assert known["agrees"].all()
    batched = check_replay(
        detections=frame, **made(frame, [[1, 2, 3]]), **SETTINGS, fast_path=(0.9, ["person"])
    )
    assert batched["why"].tolist() == ["fast path"]


def test_a_restart_joins_what_limits_split():
    """Nothing checked for ten minutes, and the batch went on."""
    frame = detections([0, 10, 600, 605, 2000])
    check = check_replay(detections=frame, **made(frame, [[1, 2, 3, 4], [5]]), **SETTINGS)
    assert check["why"].tolist() == ["restart", "agrees"]


def test_a_size_limit_that_the_replay_does_not_know():
    frame = detections([*range(0, 40, 2), *range(1000, 1040, 2)])
    groups = [list(range(1, 11)), list(range(11, 21)), list(range(21, 31)), list(range(31, 41))]
    check = check_replay(detections=frame, **made(frame, groups), **SETTINGS)
    assert set(check["why"]) == {"size limit"}
    assert check_replay(detections=frame, **made(frame, groups), **SETTINGS, max_detections=10)[
        "agrees"
    ].all()


def test_shorter_limits_than_those_given():
    frame = detections([0, 5, 30, 35, 1000, 1001, 1002])
    check = check_replay(detections=frame, **made(frame, [[1, 2], [3, 4], [5, 6, 7]]), **SETTINGS)
    assert check["why"].tolist() == ["other settings", "other settings", "agrees"]


def test_detections_that_are_gone_and_events_that_are_doubled():
    frame = detections([0, 5, 1000])
    history = made(frame, [[1, 2], [1, 2], [3]])
    check = check_replay(detections=frame, **history, **SETTINGS)
    assert check["agrees"].all()
    assert (len(check), check.attrs["n_duplicates"]) == (2, 1)
    gone = check_replay(detections=frame[frame["detection_id"] != 2], **history, **SETTINGS)
    assert gone["why"].tolist() == ["missing detections", "agrees"]


def test_nothing_at_all():
    frame = detections([])
    check = check_replay(detections=frame, **made(frame, []), **SETTINGS)
    assert check.dtypes.astype(str).to_dict() == dict(schema.REPLAY_CHECK)
    assert check.attrs["agree_ratio"] is None
    only = detections([0, 5])
    assert check_replay(detections=only, **made(only, []), **SETTINGS)["why"].tolist() == ["lost batch"]


def test_bad_input():
    frame = detections([0])
    history = made(frame, [[1]])
    with pytest.raises(BadInputError, match="memberships is a list"):
        check_replay(history["events"], frame, memberships=[])
    with pytest.raises(UnknownColumnError, match="started_at"):
        check_replay(history["events"].drop(columns="started_at"), frame, memberships=history["memberships"])
    with pytest.raises(BadInputError, match="each detection once"):
        check_replay(detections=pd.concat([frame, frame]), **history)
    with pytest.raises(BadInputError, match="phase_s is 'worst'"):
        check_replay(detections=frame, **history, phase_s="worst")


def test_a_call_of_the_fast_path_without_an_event_is_lost():
    """Nothing came of it, as of a batch without one; those after the last event are to come."""
    frame = detections([0, 5, 10, 1000, 2000]).assign(confidence=[0.5, 0.95, 0.5, 0.5, 0.95])
    frame["camera_id"] = pd.array(["porch", "yard", "porch", "porch", "yard"], dtype="str")
    check = check_replay(
        detections=frame, **made(frame, [[1, 3], [4]]), **SETTINGS, fast_path=(0.9, ["person"])
    )
    assert check["camera_id"].tolist() == ["porch", "porch", "yard", "yard"]
    assert check["why"].tolist() == ["agrees", "agrees", "lost batch", "not analysed yet"]
    assert check["n_detections"].tolist() == [2, 1, 1, 1]
    assert check["n_replayed"].isna().tolist() == [False, False, True, True]


def test_events_without_any_detection_left():
    """Retention took the detections first."""
    frame = detections([0, 5, 1000])
    check = check_replay(detections=frame.iloc[:0], **made(frame, [[1, 2], [3]]), **SETTINGS)
    assert check["why"].tolist() == ["missing detections"] * 2
    assert check["camera_id"].isna().all()


def test_rows_that_stand_twice_or_lack_an_id_change_nothing():
    """Ids as text are read too, as the first version stored them; flags as the 0 and 1 of SQLite."""
    frame = detections([0, 5, 1000])
    history = made(frame, [[1, 2], [3]])
    pairs, events = history["memberships"], history["events"]
    lacking = pd.DataFrame({"event_id": [1, None], "detection_id": [None, 2]}, dtype="Int64")
    twice = pd.concat([pairs, pairs, lacking]).astype({"detection_id": "str"})
    flags = pd.concat([events, events]).assign(is_fast_path=[0.0, np.nan, 0.0, 0.0])
    twice["detection_id"] = twice["detection_id"].where(twice["detection_id"] != "<NA>")
    check = check_replay(flags, frame, memberships=twice, **SETTINGS)
    assert check["why"].tolist() == ["agrees", "agrees"]


@pytest.mark.parametrize(
    ("name", "column", "values", "match"),
    [
        ("memberships", "detection_id", ["a"], "Column 'detection_id' does not hold ids"),
        ("events", "event_id", ["a"], "Column 'event_id' does not hold ids"),
        ("events", "started_at", ["2026-03-14 08:00"], "Column 'started_at' does not hold times"),
        ("events", "is_fast_path", ["no"], "Column 'is_fast_path' does not hold truth"),
    ],
)
def test_bad_columns(name, column, values, match):
    frame = detections([0])
    history = made(frame, [[1]])
    history[name] = history[name].assign(**{column: values})
    with pytest.raises(BadInputError, match=match):
        check_replay(detections=frame, **history)


@pytest.mark.parametrize(("name", "column"), [("events", "event_id"), ("memberships", "detection_id")])
def test_missing_columns(name, column):
    frame = detections([0])
    history = made(frame, [[1]])
    history[name] = history[name].drop(columns=column)
    with pytest.raises(UnknownColumnError, match=column):
        check_replay(detections=frame, **history)


def test_twenty_phases_show_how_far_they_are(monkeypatch, capsys):
    monkeypatch.setattr(waiting, "_SILENT_S", 0.0)
    frame = detections([0, 5])
    check_replay(detections=frame, **made(frame, [[1, 2]]), **SETTINGS)
    replay_batches(frame, **SETTINGS, phase_s="bounds")
    shown = capsys.readouterr().err
    assert "check_replay: 0 s, 20 of 20 phases" in shown
    assert "replay_batches: 0 s, 20 of 20 phases" in shown
