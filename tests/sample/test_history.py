"""The synthetic history keeps the rules of the deployment that it stands for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from secnb import schema
from secnb.errors import BadInputError
from secnb.sample.aggregate import IDLE_US, SECOND, TICK_PHASE_US, TICK_US, WINDOW_US, close_batches
from secnb.sample.history import RECORDED_FROM
from secnb.sample.queues import first_items
from secnb.sample.records import FAST_PATH_FROM, Records, synthetic
from secnb.sample.scenes import CAMERAS, LAST_SCENE, NEVER_SEEN, OFFLINE
from secnb.sample.work import images

ENDS_AT = datetime(2026, 3, 15, 13, 24, 5, tzinfo=UTC)
MIDNIGHT = datetime(2026, 3, 15, tzinfo=UTC)


@pytest.fixture(scope="module")
def records() -> Records:
    return synthetic(seed=0, ends_at=ENDS_AT)


def to_table(records: Records, name: str) -> pd.DataFrame:
    columns, rows = records.tables[name]
    frame = pd.DataFrame(rows, columns=list(columns))
    for column in columns:
        if column.endswith("_at"):
            frame[column] = pd.to_datetime(frame[column], format="%Y-%m-%d %H:%M:%S.%f").dt.tz_localize("UTC")
    return frame


@pytest.fixture(scope="module")
def detections(records: Records) -> pd.DataFrame:
    return to_table(records, "detections")


@pytest.fixture(scope="module")
def events(records: Records) -> pd.DataFrame:
    frame = to_table(records, "events")
    frame["ids"] = [list(ids) for ids in frame["detection_ids"]]
    return frame


@pytest.fixture(scope="module")
def feedback(records: Records) -> pd.DataFrame:
    return to_table(records, "event_feedback")


@pytest.fixture(scope="module")
def truth(records: Records) -> pd.DataFrame:
    return to_table(records, "secnb_truth").astype({"detection_id": "Int64", "object_id": "Int64"})


def test_equal_arguments_give_equal_records(records: Records):
    assert synthetic(seed=0, ends_at=ENDS_AT).tables == records.tables


def test_another_seed_gives_another_history(records: Records):
    assert synthetic(seed=1, ends_at=ENDS_AT).tables["detections"] != records.tables["detections"]


@pytest.mark.parametrize("clock", [(0, 0, 0), (0, 0, 7), (7, 30, 0), (23, 59, 59)])
def test_the_whole_days_do_not_depend_on_the_time_of_day(records: Records, clock: tuple[int, int, int]):
    hour, minute, second = clock
    other = synthetic(seed=0, ends_at=MIDNIGHT.replace(hour=hour, minute=minute, second=second))
    for name, time in (
        ("detections", "detected_at"),
        ("events", "ended_at"),
        ("event_feedback", "created_at"),
    ):
        at = records.tables[name][0].index(time)
        before = [[r for r in one.tables[name][1] if r[at] < str(MIDNIGHT)[:19]] for one in (records, other)]
        assert before[0] == before[1]
        assert before[0]


@pytest.mark.parametrize("clock", ["00:00:00", "00:00:03", "00:01:10", "12:00:00", "23:59:59.999999"])
def test_three_batches_are_open_at_any_time_of_day(clock: str):
    records = synthetic(seed=2, ends_at=datetime.fromisoformat(f"2026-03-15T{clock}+00:00"))
    cameras = {CAMERAS[analysis.batch.camera] for analysis in records.open_batches}
    assert cameras >= {name for name, _ in LAST_SCENE}


def test_it_covers_14_whole_days_and_the_running_one(detections: pd.DataFrame):
    days = detections["detected_at"].dt.date.unique()
    assert sorted(days) == [(MIDNIGHT - timedelta(days=n)).date() for n in range(14, -1, -1)]
    assert detections["detected_at"].max() <= ENDS_AT


def test_its_size_is_that_of_a_real_deployment(detections: pd.DataFrame):
    assert 15_000 <= len(detections) <= 30_000
    assert sorted(detections["camera_id"].unique()) == sorted(CAMERAS)


def test_nothing_below_the_live_threshold_was_recorded(detections: pd.DataFrame):
    assert detections["confidence"].min() >= RECORDED_FROM
    assert detections["confidence"].max() <= 1


def test_detections_are_numbered_in_the_order_of_time(detections: pd.DataFrame):
    assert detections["id"].tolist() == list(range(1, len(detections) + 1))
    assert detections["detected_at"].is_monotonic_increasing


def test_objects_of_one_image_share_time_and_path(detections: pd.DataFrame):
    by_path = detections.groupby("file_path")
    assert by_path["detected_at"].agg(set).str.len().eq(1).all()
    assert by_path["camera_id"].agg(set).str.len().eq(1).all()
    assert (by_path.size() > 1).sum() > 300


def test_paths_are_those_of_the_upload_folder(detections: pd.DataFrame):
    pattern = r"/export/foscam/(?P<camera>\w+)/(\d{4}/\d\d/\d\d)/MDAlarm_\d{8}-\d{6}-\d{6}\.jpg"
    assert detections["file_path"].str.fullmatch(pattern).all()
    assert (detections["file_path"].str.extract(pattern)["camera"] == detections["camera_id"]).all()
    assert set(detections["file_type"]) == {".jpg"}


def test_some_values_are_missing_as_in_a_real_database(detections: pd.DataFrame):
    assert 1 <= detections["confidence"].isna().sum() <= 30
    assert 1 <= detections["object_type"].isna().sum() <= 30
    assert 0.01 < detections["thumbnail_path"].isna().mean() < 0.1


def test_boxes_are_whole_pixels_within_the_image(detections: pd.DataFrame):
    box = detections[["bbox_x", "bbox_y", "bbox_width", "bbox_height"]]
    assert all(pd.api.types.is_integer_dtype(dtype) for dtype in box.dtypes)
    assert (box >= 0).all(axis=None)
    assert (detections["bbox_x"] + detections["bbox_width"] <= 1920).all()
    assert (detections["bbox_y"] + detections["bbox_height"] <= 1080).all()


def test_one_camera_was_offline_for_a_day(detections: pd.DataFrame):
    ((camera_id, offset),) = OFFLINE
    here = detections.loc[detections["camera_id"] == camera_id, "detected_at"]
    days_ago = (MIDNIGHT.date() - here.dt.date).map(lambda delta: delta.days)
    assert sorted(days_ago.unique()) == [n for n in range(15) if n != offset]


def test_one_camera_was_never_marked_as_seen(records: Records):
    cameras = to_table(records, "cameras").set_index("id")
    assert cameras.index[cameras["last_seen_at"].isna()].tolist() == [NEVER_SEEN]


def test_the_truth_covers_every_detection_exactly_once(detections: pd.DataFrame, truth: pd.DataFrame):
    assert sorted(truth["detection_id"].dropna()) == detections["id"].tolist()


def test_real_objects_have_a_number_and_false_alarms_have_none(truth: pd.DataFrame):
    assert (truth["object_id"].notna() == (truth["is_true"] == 1)).all()
    assert set(truth["is_true"]) == {0, 1}


def test_an_object_is_seen_in_about_ten_images(truth: pd.DataFrame):
    """So frames are no independent units."""
    assert 7 < truth.dropna(subset=["detection_id", "object_id"]).groupby("object_id").size().mean() < 12


def test_some_objects_were_never_recorded(truth: pd.DataFrame):
    missed = truth[truth["detection_id"].isna()]
    assert (missed["is_true"] == 1).all()
    assert missed["object_id"].is_unique
    assert not set(missed["object_id"]) & set(truth.loc[truth["detection_id"].notna(), "object_id"].dropna())
    assert 0.03 < len(missed) / truth["object_id"].nunique() < 0.12


def test_a_threshold_matters(detections: pd.DataFrame, truth: pd.DataFrame):
    scored = detections.merge(truth, left_on="id", right_on="detection_id").dropna(subset="confidence")
    n_objects = truth["object_id"].nunique()

    def precision_and_recall(threshold: float) -> tuple[float, float]:
        fired = scored[scored["confidence"] >= threshold]
        return fired["is_true"].mean(), fired["object_id"].nunique() / n_objects

    low, high = precision_and_recall(0.5), precision_and_recall(0.8)
    assert 0.60 < low[0] < 0.75
    assert 0.93 < high[0] < 0.98
    assert low[1] > 0.9
    assert 0.5 < high[1] < 0.75


def test_scores_are_worse_at_night(detections: pd.DataFrame, truth: pd.DataFrame):
    scored = detections.merge(truth[truth["is_true"] == 1], left_on="id", right_on="detection_id")
    hour = scored["detected_at"].dt.hour
    by_day = scored.loc[hour.between(9, 16), "confidence"].mean()
    assert by_day > scored.loc[(hour < 5) | (hour > 20), "confidence"].mean() + 0.03


def brute_force(times: list[int], ends_us: int) -> Iterator[tuple[list[int], int | None]]:
    """Yield the batches of one camera by asking at every tick, as the aggregator does."""
    rows: list[int] = []
    started = last = tick = 0
    for row, at in enumerate([*times, None]):
        while rows and tick <= (ends_us if at is None else at):
            if tick - started >= WINDOW_US or tick - last >= IDLE_US:
                yield rows, tick
                rows = []
            tick += TICK_US
        if at is None:
            break
        if not rows:
            started = at
            tick = at + (TICK_PHASE_US - at) % TICK_US
        rows = [*rows, row]
        last = at
    if rows:
        yield rows, None


@pytest.mark.parametrize("seed", range(20))
def test_batches_are_those_of_an_aggregator_that_looks_at_every_tick(seed: int):
    rng = np.random.default_rng(seed)
    gaps = rng.choice([0, 1, 5, 9, 10, 20, 26, 29, 30, 31, 36, 40, 60, 200], size=200)
    times = (np.cumsum(gaps) * SECOND + rng.choice([0, 1, 400_000], size=200).cumsum()).tolist()
    ends_us = times[-1] + int(rng.integers(0, 60)) * SECOND
    batches = close_batches(enumerate(times), camera=0, ends_us=ends_us)
    assert [(b.rows, b.closed_us) for b in batches] == list(brute_force(times, ends_us))


def test_events_are_the_batches_of_their_camera(detections: pd.DataFrame, events: pd.DataFrame):
    at = detections.set_index("id")["detected_at"]
    camera = detections.set_index("id")["camera_id"]
    for row in events.itertuples():
        assert row.started_at == at[row.ids].min()
        assert row.ended_at == at[row.ids].max()
        assert set(camera[row.ids]) == {row.camera_id}


def test_batches_of_a_camera_obey_window_and_idle_time(detections: pd.DataFrame, events: pd.DataFrame):
    at = detections.set_index("id")["detected_at"]
    slack = timedelta(seconds=10)
    for _, batches in events[events["is_fast_path"] == 0].sort_values("started_at").groupby("camera_id"):
        assert (batches["ended_at"] - batches["started_at"] < timedelta(seconds=90) + slack).all()
        gaps = [at[ids].diff().max() for ids in batches["ids"] if len(ids) > 1]
        assert max(gaps) < timedelta(seconds=30) + slack
        ended = batches["ended_at"].shift()
        due = np.minimum(batches["started_at"].shift() + timedelta(seconds=90), ended + timedelta(seconds=30))
        assert (batches["started_at"] >= due)[1:].all()


def test_a_detection_belongs_to_one_event_at_most(events: pd.DataFrame):
    assert not events["ids"].explode().duplicated().any()


def test_the_fast_path_takes_persons_from_090_and_nobody_else(detections: pd.DataFrame, events: pd.DataFrame):
    fast = events[events["is_fast_path"] == 1]
    alone = detections.set_index("id").loc[fast["ids"].explode().astype(int)]
    assert (fast["ids"].str.len() == 1).all()
    assert (alone["object_type"] == "person").all()
    assert (alone["confidence"] >= FAST_PATH_FROM).all()
    assert fast["batch_id"].tolist() == [f"fast_path_{ids[0]}" for ids in fast["ids"]]
    batched = detections.set_index("id").loc[
        events.loc[events["is_fast_path"] == 0, "ids"].explode().astype(int)
    ]
    assert not ((batched["object_type"] == "person") & (batched["confidence"] >= FAST_PATH_FROM)).any()


def test_batch_ids_are_32_hexadecimal_digits_and_unique(events: pd.DataFrame):
    assert events.loc[events["is_fast_path"] == 0, "batch_id"].str.fullmatch(r"[0-9a-f]{32}").all()
    assert events["batch_id"].is_unique


def test_some_batches_were_lost(detections: pd.DataFrame, events: pd.DataFrame):
    days = detections["detected_at"] < MIDNIGHT
    in_event = detections["id"].isin(events["ids"].explode())
    assert 0.002 < 1 - in_event[days].mean() < 0.03


def test_failed_analyses_look_as_the_service_writes_them(events: pd.DataFrame):
    failed = events[events["summary"] == schema.FAILED_SUMMARY]
    assert 0.01 < len(failed) / len(events) < 0.03
    assert set(failed["risk_score"]) == {50}
    assert set(failed["risk_level"]) == {"medium"}
    assert failed["reasoning"].str.startswith(schema.FAILED_REASONING).all()


def test_levels_mostly_follow_the_score(events: pd.DataFrame):
    assert events["risk_score"].between(0, 100).all()
    expected = np.array(schema.RISK_LEVELS)[np.searchsorted([25, 50, 75], events["risk_score"], side="left")]
    assert 0.9 < (events["risk_level"] == expected).mean() < 0.98


def test_few_events_have_a_verdict_and_none_has_two(events: pd.DataFrame, feedback: pd.DataFrame):
    assert 0.06 < len(feedback) / len(events) < 0.10
    assert feedback["event_id"].is_unique
    assert feedback["id"].tolist() == list(range(1, len(feedback) + 1))


def test_verdicts_favour_true_alarms_and_high_scores(
    events: pd.DataFrame, feedback: pd.DataFrame, truth: pd.DataFrame
):
    judged = events.set_index("id").loc[feedback["event_id"]]
    really_there = set(truth.loc[truth["is_true"] == 1, "detection_id"].dropna())
    is_true = pd.Series([not really_there.isdisjoint(ids) for ids in events["ids"]], index=events["id"])
    assert is_true[feedback["event_id"]].mean() > is_true.mean() + 0.1
    assert judged["risk_score"].mean() > events["risk_score"].mean() + 5
    says_true = (feedback["feedback_type"] != "false_positive").to_numpy()
    assert (is_true[feedback["event_id"]].to_numpy() == says_true).all()


def test_verdicts_are_about_what_was_reviewed_and_did_not_fail(events: pd.DataFrame, feedback: pd.DataFrame):
    judged = events.set_index("id").loc[feedback["event_id"]]
    assert (judged["reviewed"] == 1).all()
    assert (judged["summary"] != schema.FAILED_SUMMARY).all()
    assert (feedback["created_at"].to_numpy() > judged["ended_at"].to_numpy()).all()
    assert feedback["created_at"].max() <= ENDS_AT


def test_a_wrong_severity_names_another_level_and_a_missed_threat_a_higher_one(
    events: pd.DataFrame, feedback: pd.DataFrame
):
    score = events.set_index("id")["risk_score"].loc[feedback["event_id"]].to_numpy()
    level = np.searchsorted(schema.RISK_CUTS, score, side="left")
    for verdict, compare in (("severity_wrong", np.not_equal), ("missed_threat", np.greater)):
        rows = (feedback["feedback_type"] == verdict).to_numpy()
        expected = feedback.loc[rows, "expected_severity"].map(schema.RISK_LEVELS.index).to_numpy()
        assert compare(expected, level[rows]).all()
        assert 5 <= rows.sum() <= 60
    assert feedback["expected_severity"].notna().sum() < len(feedback) / 4


def test_gpu_samples_cover_the_last_day(records: Records):
    recorded = to_table(records, "gpu_stats")["recorded_at"]
    assert len(recorded) == 288
    assert recorded.min() > ENDS_AT - timedelta(days=1)
    assert recorded.max() <= ENDS_AT


def test_the_queue_holds_every_kind_of_poison(records: Records):
    items = first_items(images(records, seed=0))
    read = [parsed(item) for item in items]
    assert sum(isinstance(each, dict) and {"camera_id", "file_path"} <= set(each) for each in read) >= 40
    assert ValueError in read
    assert UnicodeDecodeError in read
    assert 42 in read
    assert any(isinstance(each, str) and isinstance(json.loads(each), dict) for each in read)
    assert any(isinstance(each, dict) and "file_path" not in each for each in read)
    assert any(re.search(rb"\\ud[89ab][0-9a-f]{2}(?!\\u)", item) for item in items)
    assert any(str(2**64 + 1).encode() in item for item in items)
    assert any(b"<script>alert(1)</script>" in item for item in items)


def parsed(item: bytes) -> object:
    try:
        return json.loads(item.decode())
    except UnicodeDecodeError:
        return UnicodeDecodeError
    except ValueError:
        return ValueError


def test_the_oldest_message_is_next_in_turn(records: Records):
    times = re.findall(rb'"timestamp": "([^"]+)"', b"\n".join(first_items(images(records, seed=0))))
    assert times == sorted(times)
    assert b"+" not in b"".join(times)


@pytest.mark.parametrize("seed", [-1, 1.5, "0", True])
def test_a_seed_that_is_none_is_refused(seed: int):
    with pytest.raises(BadInputError, match="seed="):
        synthetic(seed=seed, ends_at=ENDS_AT)


@pytest.mark.parametrize("year", [1, 1970, 9999])
def test_a_time_that_leaves_no_room_is_refused(year: int):
    with pytest.raises(BadInputError, match="ends_at="):
        synthetic(seed=0, ends_at=ENDS_AT.replace(year=year))
