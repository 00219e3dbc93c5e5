"""Episodes: what belongs together, and what is known of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secnb import schema
from secnb.analysis.bursts import episode_ids, episodes
from secnb.analysis.counting import sweep
from secnb.errors import BadInputError, UnknownColumnError

rows = st.lists(
    st.tuples(
        st.sampled_from(["gate", "yard", None]),
        st.one_of(st.none(), st.integers(0, 200)),
        st.one_of(st.floats(0, 1), st.just(np.nan)),
        st.sampled_from([True, False, None]),
    ),
    max_size=25,
)


def framed(rows: list[tuple[object, ...]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["camera_id", "second", "confidence", "truth"])
    start = pd.Timestamp("2026-03-01T09:00Z")
    seconds = pd.to_timedelta(frame.pop("second").astype("Float64"), unit="s")
    frame["detected_at"] = (start + seconds).astype(schema.TIME)
    return frame.astype({"camera_id": "str", "confidence": "float64", "truth": "boolean"})


def at_seconds(seconds: list[float], **columns: object) -> pd.DataFrame:
    rows = [("gate", None, 0.5, None)] * len(seconds)
    times = pd.Timestamp("2026-03-01T09:00Z") + pd.to_timedelta(seconds, unit="s")
    return framed(rows).assign(detected_at=times, **columns)


@given(rows)
def test_neighbours_in_an_episode_are_within_the_gap_and_episodes_are_not(rows):
    frame = framed(rows).assign(episode=episode_ids(framed(rows)))
    for _, of_camera in frame.dropna(subset="detected_at").groupby("camera_id", dropna=False):
        ordered = of_camera.sort_values("detected_at", kind="stable")
        is_new = ordered["detected_at"].diff() > pd.Timedelta("30s")
        assert (ordered["episode"].diff().fillna(0) != 0).tolist() == is_new.tolist()


@given(rows)
def test_an_episode_says_what_its_detections_say(rows):
    frame = framed(rows)
    frame["episode"] = episode_ids(frame)
    table = episodes(frame)
    assert table["episode_id"].tolist() == list(range(len(table)))
    assert table["n_detections"].sum() == len(frame)
    for _, found in table.iterrows():
        own = frame[frame["episode"] == found["episode_id"]]
        assert found["n_detections"] == len(own)
        np.testing.assert_equal(found["score"], own["confidence"].max())
        known = own["truth"].dropna()
        assert found["truth"] is pd.NA if known.empty else found["truth"] == known.any()
        for name, expected in (
            ("started_at", own["detected_at"].min()),
            ("ended_at", own["detected_at"].max()),
        ):
            assert found[name] == expected or (found[name] is pd.NaT and expected is pd.NaT)


@given(rows, st.randoms())
def test_row_order_does_not_matter(rows, random):
    shuffled = rows.copy()
    random.shuffle(shuffled)
    columns = ["started_at", "ended_at", "n_detections", "score", "truth"]
    keys = [*columns[:3], "score"]
    one, other = (episodes(framed(r)).sort_values(keys, ignore_index=True) for r in (rows, shuffled))
    pd.testing.assert_frame_equal(one[keys], other[keys])


@given(rows)
def test_columns_and_dtypes_are_those_of_the_schema(rows):
    expected = {"episode_id": "int64", "camera_id": "str"} | dict(schema.EPISODES)
    assert episodes(framed(rows)).dtypes.astype(str).to_dict() == expected


def test_the_gap_itself_does_not_part():
    assert episode_ids(at_seconds([0, 30, 60.001])).tolist() == [0, 0, 1]
    assert episode_ids(at_seconds([0, 30, 60]), gap_s=29.9).tolist() == [0, 1, 2]
    assert episode_ids(at_seconds([0, 0, 1]), gap_s=0).tolist() == [0, 0, 1]


def test_a_long_burst_is_one_episode():
    assert len(episodes(at_seconds(list(range(0, 3000, 20))))) == 1


def test_cameras_and_labels_part_where_they_are_asked_to():
    frame = at_seconds([0, 1, 2, 3], camera_id=["a", "b", "a", "b"], object_type=["cat", "cat", "dog", "cat"])
    assert len(episodes(frame)) == 2
    assert episodes(frame, by=["camera_id", "object_type"])["n_detections"].tolist() == [1, 2, 1]
    assert len(episodes(frame, by=())) == 1


def test_missing_times_stand_alone():
    frame = framed([("gate", None, 0.5, None), ("gate", 0, 0.5, None), ("gate", None, 0.5, None)])
    assert episode_ids(frame).tolist() == [1, 0, 2]
    assert episodes(frame)["started_at"].isna().tolist() == [False, True, True]


def test_the_truth_column_is_found_or_named():
    frame = at_seconds([0, 1], is_true=[True, None], verdict=[False, None]).drop(columns="truth")
    assert episodes(frame)["truth"].tolist() == [True]
    assert episodes(frame, truth="verdict")["truth"].tolist() == [False]
    assert episodes(frame.drop(columns="is_true"))["truth"].isna().all()


def test_naive_times_are_taken_as_utc():
    frame = at_seconds([0])
    naive = frame.assign(detected_at=frame["detected_at"].dt.tz_localize(None))
    pd.testing.assert_frame_equal(episodes(naive), episodes(frame))


def test_the_numbers_follow_the_index_of_the_frame():
    frame = at_seconds([100, 0]).set_index(pd.Index([7, 3]))
    assert episode_ids(frame).to_dict() == {7: 1, 3: 0}


def test_a_sweep_of_episodes_knows_its_unit():
    frame = at_seconds([0, 1, 100])
    frame.attrs["timezone"] = "Europe/Berlin"
    table = episodes(frame)
    assert table.attrs == {"unit": "episode", "gap_s": 30.0, "timezone": "Europe/Berlin"}
    assert "A row is one episode. 2 units" in sweep(table, score="score", truth="truth").caption[0]


@pytest.mark.parametrize("gap_s", [-1, np.inf, np.nan, "30", None, True, 2e9])
def test_other_gaps_are_refused(gap_s):
    with pytest.raises(BadInputError, match=r"gap_s is .*\. Allowed: seconds from 0 to 1e9"):
        episodes(at_seconds([0]), gap_s=gap_s)


def test_something_else_than_a_frame_is_refused():
    with pytest.raises(BadInputError, match="A pandas DataFrame is needed, not Series"):
        episodes(pd.Series([1.0]))


def test_columns_that_cannot_be_used_are_refused():
    frame = at_seconds([0])
    with pytest.raises(UnknownColumnError, match="no column 'score'"):
        episodes(frame, score="score")
    with pytest.raises(BadInputError, match="'confidence' has no times: its dtype is float64"):
        episodes(frame, time="confidence")
    with pytest.raises(BadInputError, match="'score', which is also a column of the result"):
        episodes(frame.assign(score=1), by="score")


def test_the_input_is_not_changed():
    frame = at_seconds([0, 5, 100])
    before = frame.copy(deep=True)
    episodes(frame)
    pd.testing.assert_frame_equal(frame, before)
