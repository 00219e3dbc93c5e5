"""Replayed batches are those of the aggregator's own loop, and the published ones."""

from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secnb import schema
from secnb.analysis.replaying import replay_batches
from secnb.errors import BadInputError, UnknownColumnError

START = pd.Timestamp("2026-03-14 08:00", tz="UTC")


def detections(times, cameras=None, **columns) -> pd.DataFrame:
    """Return detections at these seconds after the start."""
    at = pd.DatetimeIndex([START + pd.Timedelta(seconds=t) for t in times], dtype=schema.TIME)
    frame = pd.DataFrame({"detection_id": np.arange(1, len(at) + 1), "detected_at": at})
    frame["camera_id"] = cameras if cameras is not None else ["porch"] * len(at)
    return frame.assign(**columns).astype({"camera_id": "str"})


def loop(frame, *, window_s, idle_s, tick_s=None, phase_s=0.0, max_detections=None, until=None):
    """Return batches as the aggregator makes them: each detection in turn, ticks in between, one by one.

    Written as plainly as the service is; it shares nothing with the package. Seconds are whole numbers.
    """
    batches = []
    for camera, own in frame.groupby("camera_id", sort=True):
        seconds = [
            (int((row.detected_at - START).total_seconds()), row.detection_id) for row in own.itertuples()
        ]
        arrivals = [each for each in sorted(seconds) if until is None or each[0] < until]
        current = None

        def check(now, batch):
            if batch is None:
                return None
            if now - batch["opened"] >= window_s:
                batch |= {"closed": now, "reason": "window"}
            elif now - batch["last"] >= idle_s:
                batch |= {"closed": now, "reason": "idle"}
            else:
                return batch
            batches.append(batch)
            return None

        clock = arrivals[0][0] if arrivals else 0
        end = until if until is not None else (arrivals[-1][0] + window_s + idle_s + 100 if arrivals else 0)
        for now in range(clock, end + 1):
            base = int(START.timestamp())
            if tick_s is None or (base + now - phase_s) % tick_s == 0:
                current = check(now, current)
            while arrivals and arrivals[0][0] == now:
                _, identity = arrivals.pop(0)
                if tick_s is None:
                    current = check(now, current)
                if current is not None and max_detections and len(current["ids"]) >= max_detections:
                    batches.append(current | {"closed": now, "reason": "size"})
                    current = None
                if current is None:
                    current = {"camera": camera, "opened": now, "ids": []}
                current["ids"].append(identity)
                current["last"] = now
        if current is not None:
            batches.append(current | {"closed": None, "reason": "open"})
    return batches


def found(replay) -> list[tuple]:
    """Return what can be compared of each batch."""
    members = replay.members.groupby("batch")["detection_id"].agg(list)
    return [
        (
            row.camera_id,
            members[n],
            (row.started_at - START).total_seconds(),
            None if pd.isna(row.closed_at) else (row.closed_at - START).total_seconds(),
            row.reason,
        )
        for n, row in enumerate(replay.batches.itertuples())
    ]


def expected(batches) -> list[tuple]:
    return [(b["camera"], b["ids"], b["opened"], b["closed"], b["reason"]) for b in batches]


TIMES = (0, 10, 25, 54, 60, 89, 95, 200)


@pytest.mark.parametrize(
    ("window_s", "idle_s", "sizes", "waits"),
    [(90, 30, [6, 1, 1], [90, 30, 30]), (60, 30, [4, 3, 1], [60, 60, 30])],
)
def test_published_batches(window_s, idle_s, sizes, waits):
    """thresholds.md, section 3.4."""
    batches = replay_batches(detections(TIMES), window_s=window_s, idle_s=idle_s).batches
    assert batches["n_detections"].tolist() == sizes
    assert batches["wait_s"].tolist() == waits


@given(
    rows=st.lists(st.tuples(st.integers(0, 300), st.sampled_from("ab")), max_size=40),
    window_s=st.integers(1, 120),
    idle_s=st.integers(1, 60),
    tick_s=st.none() | st.integers(1, 25),
    phase_s=st.integers(0, 24),
    max_detections=st.none() | st.integers(1, 6),
    until=st.none() | st.integers(0, 350),
)
def test_equals_the_plain_loop(rows, window_s, idle_s, tick_s, phase_s, max_detections, until):
    """Batch by batch and detection by detection, whatever the settings."""
    frame = detections([t for t, _ in rows], [name for _, name in rows])
    settings = {"window_s": window_s, "idle_s": idle_s, "tick_s": tick_s, "max_detections": max_detections}
    slow = loop(frame, **settings, phase_s=phase_s, until=until)
    moment = None if until is None else START + pd.Timedelta(seconds=until)
    shuffled = frame.sample(frac=1, random_state=0)
    fast = replay_batches(shuffled, **settings, phase_s=phase_s, until=moment)
    assert found(fast) == expected(slow)


def test_one_segment_of_many_windows_equals_the_plain_loop():
    """Hundreds of cameras and long segments take both ways through the splitting."""
    generator = np.random.default_rng(0)
    for n_cameras in (2, 100):
        times = np.sort(generator.integers(0, 900, 1500))
        names = [f"c{n:03}" for n in generator.integers(0, n_cameras, len(times))]
        frame = detections(times.tolist(), names)
        for tick_s in (None, 7):
            fast = replay_batches(frame, window_s=20, idle_s=15, tick_s=tick_s, max_detections=9)
            slow = loop(frame, window_s=20, idle_s=15, tick_s=tick_s, max_detections=9)
            assert found(fast) == expected(slow)


def test_a_tick_closes_late_and_lets_detections_in():
    """Window batches span up to a tick more, and a gap of more than the idle limit can still join."""
    frame = detections([0, 35, 100])
    batches = replay_batches(frame, tick_s=10, phase_s=1).batches
    assert batches["n_detections"].tolist() == [1, 1, 1]
    assert batches["wait_s"].tolist() == [31.0, 36.0, 31.0]
    joined = replay_batches(frame, tick_s=10, phase_s=8).batches
    assert joined["n_detections"].tolist() == [2, 1]
    assert joined["wait_s"].tolist() == [68.0, 38.0]


def test_bounds_hold_every_phase():
    """Twenty phases are tried, and the batches are those of phase 0."""
    frame = detections(np.sort(np.random.default_rng(1).integers(0, 3600, 200)).tolist())
    bounds = replay_batches(frame, tick_s=10, phase_s="bounds")
    at_zero = replay_batches(frame, tick_s=10, phase_s=0)
    pd.testing.assert_frame_equal(bounds.batches, at_zero.batches)
    counts = [replay_batches(frame, tick_s=10, phase_s=n / 2).summary["n_batches"][0] for n in range(20)]
    summary = bounds.summary.iloc[0]
    assert (summary["n_batches_low"], summary["n_batches_high"]) == (min(counts), max(counts))
    assert min(counts) < max(counts)


def test_fast_path_takes_out_and_counts():
    """At the threshold, whatever the case of the type; it neither joins nor opens a batch."""
    frame = detections([0, 5, 20, 31, 40], confidence=[0.5, 0.9, 0.89, 0.95, np.nan])
    frame["object_type"] = ["person", "Person", "person", "car", "person"]
    replay = replay_batches(frame, fast_path=(0.9, ["PERSON"]))
    assert replay.members["detection_id"].tolist() == [1, 3, 4, 5]
    assert replay.summary.loc[0, ["n_fast_path", "n_batches", "calls"]].tolist() == [1, 1, 2]


def test_open_only_with_until():
    """A batch that closes at that instant is closed; one that closes later is open."""
    frame = detections([0, 100, 130])
    open_at = replay_batches(frame, until=START + pd.Timedelta(seconds=125)).batches
    assert open_at["reason"].tolist() == ["idle", "open"]
    assert math.isnan(open_at["wait_s"][1])
    assert pd.isna(open_at["closed_at"][1])
    closed = replay_batches(frame, until="2026-03-14 08:02:10").batches
    assert closed["reason"].tolist() == ["idle", "idle"]


def test_empty_and_incomplete_rows():
    """An empty frame keeps its columns; rows without camera or time are counted."""
    empty = replay_batches(detections([]))
    assert empty.batches.dtypes.astype(str).to_dict() == dict(schema.BATCHES)
    assert empty.summary.loc[0, "n_batches"] == 0
    frame = detections([0, 1, 2])
    frame.loc[0, "camera_id"] = None
    frame.loc[1, "detected_at"] = pd.NaT
    assert replay_batches(frame).summary.loc[0, ["n_left_out", "n_detections"]].tolist() == [2, 1]


def test_per_day_counts_whole_local_days():
    """The first and the last day are dropped."""
    hours = np.arange(0, 24 * 5, 6)
    frame = detections((hours * 3600).tolist())
    frame.attrs["timezone"] = "Europe/Berlin"
    assert replay_batches(frame).summary.loc[0, "calls_per_day"] == 4
    assert math.isnan(replay_batches(detections([0, 5])).summary.loc[0, "calls_per_day"])


def test_input_is_not_changed():
    frame = detections([5, 0, 3])
    before = frame.copy(deep=True)
    replay_batches(frame)
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"window_s": 0}, "window_s is 0. Allowed: seconds"),
        ({"idle_s": -1}, "idle_s is -1"),
        ({"idle_s": None}, "idle_s is None"),
        ({"window_s": float("nan")}, "window_s is nan"),
        ({"tick_s": 0}, "tick_s is 0"),
        ({"phase_s": "bounds"}, "Without a tick there is no phase"),
        ({"phase_s": "some", "tick_s": 5}, "phase_s is 'some'"),
        ({"max_detections": 0}, "max_detections is 0"),
        ({"max_detections": True}, "max_detections is True"),
        ({"fast_path": 0.9}, "fast_path is 0.9"),
        ({"fast_path": (0.9, "person")}, "fast_path is"),
        ({"until": "yesterday-ish"}, "until is 'yesterday-ish'"),
        ({"until": 5}, "until is 5"),
    ],
)
def test_bad_settings(settings, match):
    with pytest.raises(BadInputError, match=match):
        replay_batches(detections([0]), **settings)


def test_bad_frames():
    with pytest.raises(UnknownColumnError, match="camera_id"):
        replay_batches(detections([0]).drop(columns="camera_id"))
    with pytest.raises(BadInputError, match="does not hold times"):
        replay_batches(detections([0]).assign(detected_at="2026-03-14"))
    with pytest.raises(BadInputError, match="Allowed: a DataFrame"):
        replay_batches([1])


def test_a_clock_that_was_wrong_spoils_nothing_else():
    """Times as far apart as there can be."""
    frame = detections([0, 1, 2])
    frame.loc[1, "detected_at"] = pd.Timestamp(year=9999, month=1, day=1, tz="UTC").as_unit("us")
    assert replay_batches(frame, tick_s=10).batches["n_detections"].tolist() == [2, 1]


def test_days_after_the_look_are_no_days_without_calls():
    """Ten days of an alarm an hour, looked at in the middle."""
    frame = detections(range(0, 10 * 86_400, 3600))
    half = replay_batches(frame, until=START + pd.Timedelta(days=5)).summary
    assert half["calls_per_day"][0] == replay_batches(frame).summary["calls_per_day"][0] == 24


def test_the_table_in_a_notebook_has_bounds_beside_each_value():
    frame = detections([0, 100])
    html = replay_batches(frame, tick_s=10, phase_s="bounds")._repr_html_()
    titles = re.findall("<th>(.+?)</th>", html)
    assert {"low", "high", "wait_p95_s"} <= set(titles)
    assert not any(title.endswith(("_low", "_high")) for title in titles)
    (cells,) = re.findall("<th>n_batches</th>(.+?)</tr>", html, re.DOTALL)
    assert re.findall("<td>(.+?)</td>", cells) == ["2", "2", "2"]


def test_ids_that_are_no_numbers_stay():
    frame = detections([0, 100]).assign(detection_id=["a", "b"])
    assert replay_batches(frame).members["detection_id"].tolist() == ["a", "b"]


@pytest.mark.parametrize(("until", "n"), [("0001-01-01", 0), ("9999-12-31", 2)])
def test_the_look_may_be_as_of_any_year(until, n):
    assert len(replay_batches(detections([0, 100]), until=until).batches) == n


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ({"camera_id": [["a"]]}, "Column 'camera_id' does not hold names"),
        ({"object_type": [["person"]]}, "Column 'object_type' does not hold names"),
        ({"confidence": ["high"]}, "Column 'confidence' cannot be a score"),
    ],
)
def test_bad_columns(columns, match):
    frame = detections([0]).assign(**{"object_type": "person", "confidence": 0.9, **columns})
    with pytest.raises(BadInputError, match=match):
        replay_batches(frame, fast_path=(0.9, ["person"]))


def test_bad_moments_and_thresholds():
    with pytest.raises(BadInputError, match=r"until is np.int64\(5\)"):
        replay_batches(detections([0]), until=np.int64(5))
    with pytest.raises(BadInputError, match="fast_path is"):
        replay_batches(detections([0], confidence=1.0, object_type="car"), fast_path=(np.nan, ["car"]))
