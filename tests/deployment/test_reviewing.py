"""A review without a page: verdicts go where the keys send them, and it goes on where it stopped."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secnb import LabelStore, label_next, review
from secnb.errors import BadInputError, LabelStoreError

AT = pd.Timestamp("2026-03-01 08:30", tz="UTC")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "labels.sqlite"


@pytest.fixture
def store(path: Path) -> LabelStore:
    return LabelStore(path)


def events(n: int, **columns: object) -> pd.DataFrame:
    """Return synthetic events with ids from 1."""
    scores = [(i + 1) / (n + 1) for i in range(n)]
    return pd.DataFrame({"event_id": range(1, n + 1), "score": scores, "camera_id": "gate", **columns})


def test_each_verdict_is_stored_with_its_probability_and_design(store: LabelStore):
    drawn = label_next(events(20, started_at=AT), 4, store=store, seed=1)
    started = review(drawn, store=store)
    for verdict in ("true", "false", "unsure", "true"):
        started.record(verdict)
    labels = store.labels()
    assert labels["event_id"].tolist() == drawn["event_id"].tolist()
    assert labels["truth"].tolist() == [True, False, pd.NA, True]
    assert labels["probability"].tolist() == pytest.approx([0.2] * 4)
    assert store.history()["probability"].tolist() == pytest.approx([0.2] * 4)
    assert set(labels["design"]) == {"audit"}
    assert labels["score"].tolist() == drawn["score"].tolist()
    assert set(labels["camera_id"]) == {"gate"}
    assert labels["started_at"].tolist() == [AT] * 4


def test_unsure_is_kept_as_such_and_is_no_truth(store: LabelStore):
    started = review(events(1, is_missed=True), store=store)
    started.record("unsure")
    assert store.labels()["truth"].isna().all()
    assert (started.tally.n_unsure, started.tally.n_done) == (1, 1)


@pytest.mark.parametrize(("verdict", "is_missed"), [("true", True), ("false", False)])
def test_a_reported_miss_is_one_only_if_the_object_was_there(store: LabelStore, verdict, is_missed):
    review(events(1, is_missed=True), store=store).record(verdict)
    assert store.labels()[["truth", "is_missed"]].iloc[0].tolist() == [is_missed, is_missed]


def test_rows_that_nobody_drew_have_no_probability(store: LabelStore):
    review(events(2), store=store).record("true")
    assert store.labels()[["probability", "design"]].isna().all(axis=None)


def test_detections_are_units_too(store: LabelStore):
    frame = pd.DataFrame({"detection_id": [4], "confidence": [0.7], "detected_at": [AT]})
    review(frame, store=store).record("false")
    assert store.labels()[["detection_id", "score", "started_at"]].iloc[0].tolist() == [4, 0.7, AT]


def test_it_goes_on_where_it_stopped(path: Path):
    frame = events(4)
    started = review(frame, store=LabelStore(path))
    started.record("true")
    started.record("false")
    again = review(frame, store=LabelStore(path))
    assert again.unit == "event 3"
    assert (again.tally.n, again.tally.n_true, again.tally.n_false) == (4, 1, 1)


def test_back_shows_the_unit_before_and_a_new_verdict_counts(store: LabelStore):
    started = review(events(3), store=store)
    started.record("true")
    started.record("true")
    started.back()
    assert started.unit == "event 2"
    started.record("false")
    assert started.unit == "event 3"
    assert store.labels()["truth"].tolist() == [True, False]
    assert store.history()["truth"].tolist() == [True, True, False]


def test_back_at_the_first_unit_stays_there(store: LabelStore):
    started = review(events(2), store=store)
    started.back()
    assert started.unit == "event 1"


def test_when_all_are_judged_it_says_so_and_goes_back(store: LabelStore):
    started = review(events(2), store=store)
    started.record("true")
    started.record("unsure")
    assert started.unit is None
    assert repr(started) == "<Review: 2 of 2 judged: 1 true, 0 false, 1 unsure; all are judged>"
    with pytest.raises(
        BadInputError, match=r"no unit to judge: all are judged(.|\n)*back\(\) shows the last"
    ):
        started.record("true")
    started.back()
    assert started.unit == "event 2"


def test_a_frame_without_rows_says_so(store: LabelStore):
    started = review(events(0), store=store)
    started.back()
    assert "the frame has no rows, so there is nothing to review" in repr(started)
    with pytest.raises(BadInputError, match="the frame has no rows"):
        started.record("true")


def test_what_was_judged_elsewhere_is_not_shown(store: LabelStore):
    store.add(event_id=1, truth=False)
    assert review(events(2), store=store).unit == "event 2"


def test_the_frame_is_not_changed(store: LabelStore):
    frame = events(2)
    before = frame.copy()
    review(frame, store=store).record("true")
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize("verdict", ["", "True", True, None, "missed"])
def test_another_word_is_refused(store: LabelStore, verdict):
    with pytest.raises(BadInputError, match="Allowed: 'true', 'false', 'unsure'"):
        review(events(1), store=store).record(verdict)
    assert len(store.history()) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"store": "labels.sqlite"}, "store is str"),
        ({"site": "here"}, "site is str"),
        ({"frame": 1}, "is int"),
    ],
)
def test_arguments_of_another_type_are_refused(store: LabelStore, arguments, message):
    given = {"frame": events(1), "store": store, "site": None} | arguments
    with pytest.raises(BadInputError, match=message):
        review(given["frame"], store=given["store"], site=given["site"])


def test_what_cannot_be_stored_stays_in_view(store: LabelStore, path: Path):
    started = review(events(2), store=store)
    path.unlink()
    path.mkdir()
    with pytest.raises(LabelStoreError, match="is a folder"):
        started.record("true")
    assert (started.unit, started.tally.n_done) == ("event 1", 0)


def test_ids_of_another_deployment_are_refused(store: LabelStore):
    store.add(event_id=2, truth=None, camera_id="yard")
    started = review(events(2), store=store)
    started.record("true")
    started.back()
    with pytest.raises(BadInputError, match="event 2 with camera_id yard, but here it has gate"):
        started.record("true")


def test_two_reviews_of_one_store_lose_nothing(path: Path):
    frame = events(12)
    reviews = [review(frame, store=LabelStore(path)) for _ in range(2)]

    def judge(started):
        while started.unit is not None:
            started.record("true")

    threads = [threading.Thread(target=judge, args=[each]) for each in reviews]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    history = LabelStore(path).history()
    assert len(LabelStore(path).labels()) == 12
    assert history["event_id"].value_counts().tolist() == [2] * 12


steps = st.lists(st.sampled_from(["true", "false", "unsure", "back"]), max_size=12)


@settings(max_examples=15)
@given(steps)
def test_the_tally_is_what_the_store_holds(tmp_path_factory, taken):
    store = LabelStore(tmp_path_factory.mktemp("labels") / "labels.sqlite")
    started = review(events(3), store=store)
    for step in taken:
        if step == "back":
            started.back()
        elif started.unit is not None:
            started.record(step)
    again = review(events(3), store=store)
    assert again.tally == started.tally
    assert again.tally.n_done == len(store.labels())


def test_without_anywidget_the_error_names_the_extra():
    code = (
        "import sys; sys.modules['anywidget'] = None\n"
        "import secnb, pandas as pd\n"
        "secnb.review(pd.DataFrame({'event_id': [1]}), store=secnb.LabelStore('labels.sqlite'))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "MissingDependencyError" in ended.stderr
    assert "secnb[lab]" in ended.stderr


def test_a_page_that_lags_behind_gives_no_verdict(store: LabelStore):
    """A key for a unit that is not in view any more was meant for another picture."""
    started = review(events(3), store=store)
    for unit, verdict in (("event 2", "true"), ("event 1", "maybe"), (None, "true"), ("event 1", ["true"])):
        started._heard({"kind": "record", "unit": unit, "verdict": verdict})
    assert (started.unit, len(store.history())) == ("event 1", 0)
    started._heard({"kind": "record", "unit": "event 1", "verdict": "true"})
    assert (started.unit, store.labels()["truth"].tolist()) == ("event 2", [True])


def test_a_verdict_of_another_kernel_is_counted_and_not_shown_again(store: LabelStore, path: Path):
    """The unit in view stays, since a key for it may be on its way."""
    started = review(events(4), store=store)
    LabelStore(path).add(pd.DataFrame({"event_id": [1, 2], "truth": [True, False]}))
    started._catch_up()
    assert (started.unit, started.tally.n_done) == ("event 1", 2)
    started.record("false")
    assert (started.unit, started.tally.n_done) == ("event 3", 2)


def test_a_verdict_that_was_taken_back_is_open_again(store: LabelStore):
    started = review(events(1), store=store)
    started.record("true")
    store.undo()
    started._catch_up()
    assert (started.unit, started.tally.n_done) == ("event 1", 0)


def test_what_a_cell_saves_is_how_far_it_is_and_what_to_do_later(store: LabelStore, monkeypatch):
    """And no more: neither pictures nor facts."""
    shown: list[dict[str, str]] = []
    monkeypatch.setattr("secnb.view.remains.display", lambda bundle, **_: shown.append(bundle))
    review(events(2), store=store)._ipython_display_()
    live, remains = shown
    assert set(live) == {"text/plain", "application/vnd.jupyter.widget-view+json"}
    assert live["text/plain"].startswith("<Review: 0 of 2 judged")
    assert set(remains) == {"text/html", "text/plain"}
    assert "run the notebook again up to this cell" in remains["text/plain"]
