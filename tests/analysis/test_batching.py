"""Comparing batch settings: replays, episodes that are cut, and the reasoner's queue."""

from __future__ import annotations

import heapq

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secnb import schema
from secnb.analysis.batching import compare_batching
from secnb.analysis.replaying import replay_batches
from secnb.bridge import waiting
from secnb.errors import BadInputError

START = pd.Timestamp("2026-03-14 08:00", tz="UTC")


def detections(times, cameras=None) -> pd.DataFrame:
    at = pd.DatetimeIndex([START + pd.Timedelta(seconds=int(t)) for t in times], dtype=schema.TIME)
    frame = pd.DataFrame({"detection_id": np.arange(1, len(at) + 1), "detected_at": at})
    frame["camera_id"] = cameras if cameras is not None else ["porch"] * len(at)
    return frame.astype({"camera_id": "str"})


def queue(arrivals: list[float], service_s: float) -> tuple[int, float]:
    """Return the most calls at once and the longest wait of a server, one call after the other."""
    free_at, running, most, longest = 0.0, [], 0, 0.0
    for at in sorted(arrivals):
        while running and running[0] <= at:
            heapq.heappop(running)
        begins = max(at, free_at)
        free_at = begins + service_s
        heapq.heappush(running, free_at)
        most, longest = max(most, len(running)), max(longest, begins - at)
    return most, longest


lists = st.lists(st.tuples(st.integers(0, 600), st.sampled_from("ab")), min_size=1, max_size=40)


@given(
    rows=lists, window_s=st.integers(5, 90), idle_s=st.sampled_from([10, 30]), service_s=st.integers(1, 60)
)
def test_equals_replay_and_a_plain_queue(rows, window_s, idle_s, service_s):
    """Each row is the replay of its setting; the queue is that of one server, first in, first out."""
    frame = detections([t for t, _ in rows], [name for _, name in rows])
    compared = compare_batching(frame, window_s=window_s, idle_s=idle_s, service_s=service_s)
    for row in compared.itertuples():
        replay = replay_batches(frame, window_s=row.window_s, idle_s=row.idle_s)
        assert (row.n_batches, row.wait_p95_s) == (
            len(replay.batches),
            pytest.approx(replay.summary.loc[0, "wait_p95_s"]),
        )
        arrivals = [(at - START).total_seconds() for at in replay.batches["closed_at"]]
        assert (row.backlog_max, row.oldest_max_s) == queue(arrivals, service_s)
        merged = replay.members.merge(frame).sort_values(["camera_id", "detected_at", "detection_id"])
        gap = merged.groupby("camera_id")["detected_at"].diff().dt.total_seconds()
        merged["episode"] = (~(gap <= 30)).cumsum()
        pairs = merged[["episode", "batch"]].drop_duplicates()
        n_cut = (pairs["episode"].value_counts() > 1).sum()
        assert (row.n_episodes, row.n_cut) == (merged["episode"].max(), n_cut)


def test_efficient_settings_are_those_that_nothing_beats():
    times = np.sort(np.random.default_rng(2).integers(0, 36_000, 3000))
    compared = compare_batching(detections(times), service_s=1)
    for row in compared.itertuples():
        beaten = (
            (compared["calls"] <= row.calls)
            & (compared["wait_p95_s"] <= row.wait_p95_s)
            & ((compared["calls"] < row.calls) | (compared["wait_p95_s"] < row.wait_p95_s))
        ).any()
        assert row.is_efficient == (not beaten)
    assert 0 < compared["is_efficient"].sum() < len(compared)


def test_a_reasoner_that_is_too_slow_never_keeps_up():
    """Its busy share is above 1, and the backlog grows to the end."""
    frame = detections(range(0, 6000, 60))
    row = compare_batching(frame, window_s=90, idle_s=30, service_s=120).iloc[0]
    assert row["busy_ratio"] > 1.9
    assert row["backlog_max"] > 45


def test_empty_keeps_its_columns():
    compared = compare_batching(detections([]), window_s=[30, 90], idle_s=30, service_s=1)
    assert compared.dtypes.astype(str).to_dict() == dict(schema.BATCHING)
    assert compared["calls"].tolist() == [0, 0]
    assert not compared["is_efficient"].any()


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"window_s": []}, "window_s is empty"),
        ({"window_s": object()}, "Allowed: seconds, or several"),
        ({"idle_s": [30, "x"]}, "idle_s is 'x'"),
        ({"service_s": 0}, "service_s is 0"),
        ({"service_s": None}, "service_s is None"),
        ({"service_s": float("nan")}, "service_s is nan"),
        ({"phase_s": "bounds", "tick_s": 5}, "one phase"),
    ],
)
def test_bad_settings(settings, match):
    with pytest.raises(BadInputError, match=match):
        compare_batching(detections([0]), **{"service_s": 1, **settings})


def test_a_camera_with_nothing_but_the_fast_path():
    """The last of the cameras, and the only one."""
    frame = detections([0, 100, 200]).assign(confidence=[0.5, 0.5, 0.95], object_type="person")
    frame["camera_id"] = ["a", "a", "b"]
    fast = {"fast_path": (0.9, ["person"]), "service_s": 5, "window_s": 90, "idle_s": 30}
    both = compare_batching(frame, **fast).iloc[0]
    assert both[["n_batches", "calls", "n_episodes"]].tolist() == [2, 3, 2]
    alone = compare_batching(frame[frame["camera_id"] == "b"], **fast).iloc[0]
    assert alone[["n_batches", "calls", "n_episodes"]].tolist() == [0, 1, 0]


@given(rows=lists, service_s=st.integers(1, 60), n_fast=st.integers(0, 40))
def test_an_answer_comes_after_the_wait_whatever_takes_the_fast_path(rows, service_s, n_fast):
    """Both are of batches; a call of the fast path only makes them wait longer for the reasoner."""
    frame = detections([t for t, _ in rows], [name for _, name in rows])
    frame = frame.assign(confidence=0.5, object_type="person")
    frame.loc[frame.index[:n_fast], "confidence"] = 0.95
    row = compare_batching(
        frame, window_s=90, idle_s=30, service_s=service_s, fast_path=(0.9, ["person"])
    ).iloc[0]
    assert np.isnan(row["answer_p95_s"]) == np.isnan(row["wait_p95_s"]) == (row["n_batches"] == 0)
    assert not row["answer_p95_s"] < row["wait_p95_s"] + service_s - 1e-9


def test_a_long_comparison_shows_how_far_it_is(monkeypatch, capsys):
    monkeypatch.setattr(waiting, "_SILENT_S", 0.0)
    compare_batching(detections([0, 100]), window_s=[60, 90], idle_s=[20, 30], service_s=5)
    assert "compare_batching: 0 s, 4 of 4 settings" in capsys.readouterr().err
