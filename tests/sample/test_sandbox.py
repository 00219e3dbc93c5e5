"""A sandbox is a deployment like any other, with known truth or with the caller's own detections."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import redis

import secnb
from secnb.errors import BadInputError, ClosedError, UnknownColumnError
from secnb.sample import Sandbox, sandbox
from secnb.sample.given import given
from secnb.sample.scenes import CAMERAS

ENDS_AT = "2026-03-15T13:24:05"


@pytest.fixture(scope="module")
def site() -> Iterator[Sandbox]:
    with sandbox(ends_at=ENDS_AT) as site:
        yield site


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "camera_id": ["gate", "yard", "gate"],
            "confidence": [0.75, 1.5, np.nan],
            "detected_at": pd.to_datetime(
                ["2026-03-01 12:00:02", "2026-03-01 12:00:01.5", "2026-03-01 12:00"], format="ISO8601"
            ),
            "bbox_x": [1.25, 2.0, np.nan],
        },
        index=[7, 7, 9],
    )


@pytest.fixture
def client(site: Sandbox) -> Iterator[redis.Redis]:
    with contextlib.closing(redis.Redis.from_url(site.redis_url)) as client:
        yield client


def test_its_detections_have_the_vocabulary(site: Sandbox):
    found = site.detections()
    assert {name: str(dtype) for name, dtype in found.dtypes.items()} == dict(secnb.schema.DETECTIONS)
    assert sorted(found["camera_id"].unique()) == sorted(CAMERAS)
    assert found["detected_at"].max() <= pd.Timestamp(ENDS_AT, tz=UTC)


def test_its_truth_covers_the_detections(site: Sandbox):
    truth = site.truth
    assert sorted(truth["detection_id"].dropna()) == sorted(site.detections()["detection_id"])
    assert truth["detection_id"].isna().any()
    assert truth["is_true"].notna().all()


def test_a_plain_connection_finds_the_same(site: Sandbox):
    with secnb.connect(database_url=site.database_url, redis_url=site.redis_url) as other:
        assert len(other.truth) == len(site.truth)
        assert len(other.detections()) == len(site.detections())


def test_it_says_that_it_is_synthetic(site: Sandbox):
    assert site.note.startswith("Synthetic")
    assert site.sql("SELECT note FROM secnb_sandbox").loc[0, "note"] == site.note


def test_it_has_the_tables_of_the_core_and_two_of_its_own(site: Sandbox):
    names = set(site.sql("SELECT name FROM sqlite_schema WHERE type = 'table'")["name"])
    own = {"secnb_truth", "secnb_sandbox"}
    assert names == {"cameras", "detections", "events", "event_feedback", "gpu_stats"} | own


def test_its_database_is_in_wal_mode_and_whole(site: Sandbox):
    with contextlib.closing(sqlite3.connect(site.folder / "security.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_its_queues_are_full(client: redis.Redis):
    assert client.llen("detection_queue") == 48
    # Batches closed within the last minutes, and one message that is no batch.
    assert 2 <= client.llen("analysis_queue") <= 4
    assert client.llen("dlq:detection_queue") == 3
    assert client.llen("dlq:analysis_queue") == 1


def test_its_open_batches_are_encoded_as_in_the_first_generation(client: redis.Redis):
    for camera_id in ("front_door", "driveway", "back_yard"):
        batch_id = json.loads(client.get(f"batch:{camera_id}:current"))
        assert json.loads(client.get(f"batch:{batch_id}:camera_id")) == camera_id
        ids = json.loads(json.loads(client.get(f"batch:{batch_id}:detections")))
        assert ids
        assert all(isinstance(each, int) for each in ids)
        started, last = (
            json.loads(client.get(f"batch:{batch_id}:{name}")) for name in ("started_at", "last_activity")
        )
        assert isinstance(started, str)
        assert float(started) <= float(last) <= datetime.fromisoformat(ENDS_AT + "+00:00").timestamp()
        assert 3400 < client.ttl(f"batch:{batch_id}:started_at") <= 3600


def test_caches_and_marks_expire(client: redis.Redis):
    keys = [*client.scan_iter("cache:*"), *client.scan_iter("dedupe:*")]
    assert len(keys) > 5
    assert all(0 < client.ttl(key) <= 300 for key in keys)


def test_open_batches_are_in_the_database_but_in_no_event(client: redis.Redis, site: Sandbox):
    in_events = {int(one) for ids in site.events()["detection_ids"] for one in re.findall(r"\d+", ids)}
    known = set(site.detections()["detection_id"])
    for key in client.scan_iter("batch:*:detections"):
        ids = set(json.loads(json.loads(client.get(key))))
        assert ids <= known
        assert not ids & in_events


def test_close_removes_everything():
    site = sandbox(ends_at=ENDS_AT)
    site.close()
    site.close()
    assert not site.folder.exists()
    with pytest.raises(ClosedError):
        site.detections()


async def test_an_async_block_closes_it():
    async with sandbox(ends_at=ENDS_AT) as site:
        assert len(await site.cameras.aio()) == 6
    assert not site.folder.exists()


def test_settings_of_another_deployment_nearby_are_not_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "runtime.env").write_text("BATCH_WINDOW_SECONDS=7\n")
    monkeypatch.chdir(tmp_path)
    with sandbox(ends_at=ENDS_AT) as site:
        assert site.settings().set_index("setting").loc["batch_window_seconds", "value"] == 90


def test_a_bad_argument_leaves_nothing_running():
    with pytest.raises(BadInputError, match="ends_at"):
        sandbox(ends_at="soon")
    with pytest.raises(BadInputError, match="seed"):
        sandbox(seed=-1)


def test_given_detections_are_served_as_they_are(frame: pd.DataFrame):
    before = frame.copy()
    with sandbox(detections=frame) as site:
        found = site.detections()
        assert found["camera_id"].tolist() == ["gate", "yard", "gate"]
        assert found["detection_id"].tolist() == [1, 2, 3]
        assert found["confidence"].fillna(-1).tolist() == [-1, 1.5, 0.75]
        assert found["bbox_x"].fillna(-1).tolist() == [-1, 2.0, 1.25]
        assert str(found["detected_at"].iloc[0]) == "2026-03-01 12:00:00+00:00"
        assert site.cameras()["camera_id"].tolist() == ["gate", "yard"]
        assert len(site.events()) == 0
        assert site.truth["is_true"].isna().tolist() == [True] * 3
        assert (site.queues()["length"] == 0).all()
        assert "not synthetic" in site.note
    pd.testing.assert_frame_equal(frame, before)


def test_boxes_keep_their_fractions_in_a_column_of_integers(frame: pd.DataFrame):
    with (
        sandbox(detections=frame) as site,
        contextlib.closing(sqlite3.connect(site.folder / "security.db")) as connection,
    ):
        kinds = connection.execute("SELECT bbox_x, typeof(bbox_x) FROM detections ORDER BY id").fetchall()
    assert kinds == [(None, "null"), (2, "integer"), (1.25, "real")]


def test_unique_ids_are_kept(frame: pd.DataFrame):
    columns, rows = given(frame.assign(detection_id=[30, 20, 10])).tables["detections"]
    assert columns[0] == "id"
    assert [row[0] for row in rows] == [10, 20, 30]


@pytest.mark.parametrize("ids", [[1, 1, 2], [1, None, 2], [1.5, 2, 3], ["a", "b", "c"]])
def test_ids_that_cannot_be_kept_are_numbered_in_the_order_of_time(frame: pd.DataFrame, ids: list[object]):
    _, rows = given(frame.assign(detection_id=ids)).tables["detections"]
    assert [row[0] for row in rows] == [1, 2, 3]


def test_an_empty_frame_is_an_empty_deployment(frame: pd.DataFrame):
    with sandbox(detections=frame.iloc[:0]) as site:
        assert len(site.detections()) == 0
        assert len(site.cameras()) == 0


@pytest.mark.parametrize("name", ["camera_id", "confidence", "detected_at"])
def test_a_needed_column_that_is_missing_is_named(frame: pd.DataFrame, name: str):
    with pytest.raises(UnknownColumnError, match=f"no column '{name}'"):
        given(frame.drop(columns=name))


def test_missing_times_are_refused_with_their_number(frame: pd.DataFrame):
    frame["detected_at"] = [pd.NaT, pd.Timestamp("2026-03-01"), pd.NaT]
    with pytest.raises(BadInputError, match=r"detected_at is missing \(NaT\) in 2 of 3 detections"):
        given(frame)


def test_missing_cameras_are_refused_with_their_number(frame: pd.DataFrame):
    frame["camera_id"] = ["gate", None, "gate"]
    with pytest.raises(BadInputError, match="camera_id is missing in 1 of 3 detections"):
        given(frame)


@pytest.mark.parametrize(
    ("name", "values"), [("detected_at", [1, 2, 3]), ("confidence", ["high", "low", ""])]
)
def test_values_of_another_kind_are_refused(frame: pd.DataFrame, name: str, values: list[object]):
    frame[name] = values
    with pytest.raises(BadInputError, match=name):
        given(frame)


def test_times_of_another_zone_become_utc(frame: pd.DataFrame):
    frame["detected_at"] = frame["detected_at"].dt.tz_localize("Europe/Berlin")
    columns, rows = given(frame).tables["detections"]
    assert rows[0][columns.index("detected_at")] == "2026-03-01 11:00:00.000000"


def test_times_may_be_text_or_datetimes(frame: pd.DataFrame):
    texts = ["2026-03-01T12:00:02Z", "2026-03-01 13:00:01.5+01:00", "2026-03-01 12:00"]
    datetimes = frame["detected_at"].dt.tz_localize(UTC).astype(object)
    for values in (texts, datetimes.tolist(), [each.to_pydatetime() for each in datetimes]):
        assert given(frame.assign(detected_at=values)).tables == given(frame).tables


def test_what_is_no_frame_is_refused():
    with pytest.raises(BadInputError, match="a list"):
        given([1, 2])
