"""A label store keeps every verdict, whatever happens to the process, the disk or the deployment."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secnb import schema
from secnb.errors import BadInputError, ClosedError, LabelStoreError, UnknownColumnError
from secnb.frames.labels import LabelStore

LIMIT_S = 60
AT = datetime(2026, 3, 1, 8, 30, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "labels.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[LabelStore]:
    with LabelStore(path) as store:
        yield store


def truths(store: LabelStore) -> dict[int, object]:
    """Return the truth by event, None for unsure."""
    labels = store.labels()
    known = labels["truth"].astype(object).where(labels["truth"].notna(), None)
    return dict(zip(labels["event_id"], known, strict=True))


def start(code: str, *arguments: object, **options: object) -> subprocess.Popen[str]:
    """Start Python on code that finds LabelStore imported, and its arguments in argv."""
    preamble = "import os, sys\nfrom secnb import LabelStore\n"
    command = [sys.executable, "-c", preamble + code, *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, **pipes, **options)  # type: ignore[call-overload]


def test_a_verdict_stands_alone(store: LabelStore):
    """What a threshold needs is stored with it, since the deployment forgets the event."""
    assert store.add(
        event_id=12, truth=True, score=0.91, risk_score=70, camera_id="gate", object_type="person",
        started_at=AT, who="kim", verified_at="2026-03-02 09:00",
    ) == 1  # fmt: skip
    labels = store.labels()
    assert {name: str(dtype) for name, dtype in labels.dtypes.items()} == dict(schema.LABELS)
    row = labels.iloc[0]
    assert row[["event_id", "camera_id", "object_type", "score", "risk_score", "truth", "who"]].tolist() == [
        *(12, "gate", "person", 0.91, 70, True, "kim")
    ]
    assert row["started_at"] == AT
    assert row["verified_at"] == pd.Timestamp("2026-03-02 09:00", tz="UTC")
    assert not row["is_missed"]
    assert pd.isna(row["detection_id"])
    assert pd.isna(row["probability"])


def test_an_empty_store_has_all_columns(store: LabelStore):
    frames = {
        "labels": schema.LABELS,
        "draws": schema.DRAWS,
        "chances": schema.CHANCES,
        "history": {"verdict_id": "Int64", **schema.LABELS, "undone_at": schema.TIME},
    }
    for name, wanted in frames.items():
        frame = getattr(store, name)()
        assert len(frame) == 0
        assert {column: str(dtype) for column, dtype in frame.dtypes.items()} == dict(wanted)


def test_a_corrected_verdict_is_a_new_row_and_the_newest_counts(store: LabelStore):
    store.add(event_id=1, truth=True, score=0.5, camera_id="gate")
    store.add(event_id=1, truth=False)
    assert truths(store) == {1: False}
    assert store.labels()[["score", "camera_id"]].iloc[0].tolist() == [0.5, "gate"]
    assert store.history()["truth"].tolist() == [True, False]


def test_an_event_and_a_detection_of_one_number_are_two_units(store: LabelStore):
    store.add(event_id=7, truth=True)
    store.add(detection_id=7, truth=False)
    assert store.labels()["truth"].tolist() == [True, False]


def test_unsure_is_a_verdict_of_its_own(store: LabelStore):
    store.add(event_id=1, truth=True)
    store.add(event_id=1, truth=None)
    store.add({"event_id": 2, "truth": None})
    store.add(pd.Series({"event_id": 3, "truth": pd.NA}), truth=None)
    assert truths(store) == {1: None, 2: None, 3: None}


def test_an_object_that_nothing_recorded_needs_camera_and_time(store: LabelStore):
    store.add(is_missed=True, camera_id="gate", started_at=AT, object_type="person")
    store.add(is_missed=True, camera_id="gate", started_at=AT, object_type="person")
    labels = store.labels()
    assert labels[["truth", "is_missed"]].iloc[0].tolist() == [True, True]
    assert len(labels) == 1
    with pytest.raises(BadInputError, match="neither event_id nor detection_id"):
        store.add(is_missed=True, camera_id="gate")
    with pytest.raises(BadInputError, match="neither event_id nor detection_id"):
        store.add(truth=True, camera_id="gate", started_at=AT)


def test_rows_of_a_frame_without_truth_say_nothing(store: LabelStore):
    frame = pd.DataFrame(
        {"event_id": [1, 2, 3], "truth": [True, None, False], "other": 1, "started_at": [AT, pd.NaT, AT]}
    )
    assert store.add(frame, who="kim") == 2
    assert truths(store) == {1: True, 3: False}
    assert set(store.labels()["who"]) == {"kim"}


def test_a_row_of_a_frame_of_detections_fits(store: LabelStore):
    """Their columns are called confidence and detected_at."""
    frame = pd.DataFrame({"detection_id": [4], "confidence": [0.7], "detected_at": [AT], "camera_id": ["a"]})
    store.add(frame.iloc[0], truth=np.True_)
    row = store.labels().iloc[0]
    assert row[["detection_id", "score", "truth"]].tolist() == [4, 0.7, True]
    assert row["started_at"] == AT


@pytest.mark.parametrize(
    ("given", "fields", "message"),
    [
        (None, {"event_id": 1}, "has no truth"),
        (pd.Series({"event_id": 1, "truth": pd.NA, "is_missed": False}), {}, "has no truth"),
        ({"event_id": 1, "is_missed": False}, {}, "has no truth"),
        ({"truth": True}, {}, "neither event_id nor detection_id"),
        (None, {"event_id": "x", "truth": True}, "event_id is 'x'"),
        (None, {"event_id": 1.5, "truth": True}, "event_id is '1.5'"),
        (None, {"event_id": 1, "truth": "perhaps"}, "truth is 'perhaps'.*Allowed: True, False"),
        (None, {"event_id": 1, "truth": True, "score": "high"}, "score is 'high'"),
        (None, {"event_id": 1, "truth": True, "started_at": "soon"}, "started_at is 'soon'"),
        (None, {"event_id": 1, "truth": True, "probability": 0}, "probability is 0.*above 0 and up to 1"),
        (None, {"event_id": 1, "truth": True, "probability": 1.01}, "probability is 1.01"),
        (
            None,
            {"event_id": 1, "truth": False, "is_missed": True},
            "event 1 has is_missed=True and truth=False",
        ),
        ([1, 2], {"truth": True}, "cannot be read from list"),
    ],
)
def test_what_is_not_a_verdict_is_refused(store: LabelStore, given, fields, message: str):
    with pytest.raises(BadInputError, match=message):
        store.add(given, **fields)
    assert len(store.history()) == 0


def test_unknown_columns_are_refused(store: LabelStore):
    with pytest.raises(UnknownColumnError, match="camera_id"):
        store.add(event_id=1, truth=True, camera="gate")
    with pytest.raises(UnknownColumnError, match="'truth'"):
        store.add(pd.DataFrame({"event_id": [1]}))


def test_one_bad_row_stores_none(store: LabelStore):
    with pytest.raises(BadInputError, match="probability"):
        store.add(pd.DataFrame({"event_id": [1, 2], "truth": True, "probability": [0.5, 2.0]}))
    assert len(store.history()) == 0


def test_ids_of_another_deployment_are_refused(store: LabelStore):
    store.add(event_id=1, truth=True, camera_id="gate", started_at=AT)
    with pytest.raises(BadInputError, match="event 1 with camera_id gate, but here it has yard"):
        store.add(event_id=1, truth=True, camera_id="yard")
    with pytest.raises(BadInputError, match="started_at"):
        store.add(event_id=1, truth=True, started_at="2026-03-01")
    store.add(event_id=1, truth=False, started_at="2026-03-01T09:30:00+01:00")
    assert truths(store) == {1: False}


@pytest.mark.parametrize("text", ["'; DROP TABLE verdicts; --", "<b>gate</b>", "größe\x00", "a\ud800"])
def test_any_text_is_only_text(store: LabelStore, text: str):
    store.add(event_id=1, truth=True, camera_id=text)
    found = store.labels()["camera_id"].iloc[0]
    assert found == text.encode("utf-8", "backslashreplace").decode()


def test_undo_takes_back_what_the_last_call_stored(store: LabelStore):
    store.add(event_id=1, truth=True)
    store.add(event_id=1, truth=False)
    store.add(pd.DataFrame({"event_id": [2, 3], "truth": True}))
    assert store.undo()["event_id"].tolist() == [2, 3]
    assert truths(store) == {1: False}
    assert store.undo()["truth"].tolist() == [False]
    assert truths(store) == {1: True}
    store.undo()
    assert len(store.undo()) == 0
    assert truths(store) == {}
    assert store.history()["undone_at"].notna().tolist() == [True] * 4


def test_undo_leaves_what_another_kernel_stored(store: LabelStore, path: Path):
    store.add(event_id=1, truth=True)
    with LabelStore(path) as other:
        other.add(event_id=2, truth=True)
        store.undo()
        assert truths(other) == {2: True}
        assert len(store.undo()) == 0


units = st.integers(1, 4)
steps = st.lists(st.tuples(units, st.sampled_from([True, False, None])) | st.just("undo"), max_size=8)


@settings(max_examples=20)
@given(steps)
def test_the_labels_are_the_last_verdicts_that_stand(tmp_path_factory, taken):
    store = LabelStore(tmp_path_factory.mktemp("labels") / "labels.sqlite")
    standing: list[tuple[int, object]] = []
    for step in taken:
        if step == "undo":
            store.undo()
            del standing[-1:]
        else:
            store.add(event_id=step[0], truth=step[1])
            standing.append(step)
    assert truths(store) == dict(standing)
    assert len(store.history()) == len(taken) - taken.count("undo")


def test_a_closed_store_says_so(path: Path):
    with LabelStore(path) as store:
        store.add(event_id=1, truth=True)
    store.close()
    assert "closed" in repr(store)
    with pytest.raises(ClosedError, match="was closed"):
        store.labels()


def test_between_calls_the_store_is_a_single_file(store: LabelStore, path: Path):
    store.add(event_id=1, truth=True)
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    with LabelStore(shutil.copy(path, path.with_name("copy.sqlite"))) as copy:
        assert truths(copy) == {1: True}


def test_a_relative_path_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = LabelStore()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    store.add(event_id=1, truth=True)
    assert (tmp_path / "labels.sqlite").exists()
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_text_file_is_no_store_and_stays(path: Path):
    path.write_text("event_id,truth\n1,True\n" * 100)
    before = path.read_bytes()
    with pytest.raises(
        LabelStoreError, match=re.escape(f"{str(path)!r} is not a label store: it is no SQLite")
    ):
        LabelStore(path)
    assert path.read_bytes() == before


def test_another_sqlite_file_is_no_store_and_stays(path: Path):
    """The deployment's own database, say, in WAL with its service running."""
    service = sqlite3.connect(path)
    service.execute("PRAGMA journal_mode=WAL")
    service.execute("CREATE TABLE events (id)")
    service.commit()
    before = {each.name: each.read_bytes() for each in path.parent.iterdir()}
    with pytest.raises(LabelStoreError, match=r"SQLite file of something else\. It was not changed"):
        LabelStore(path)
    assert {each.name: each.read_bytes() for each in path.parent.iterdir()} == before
    service.close()


def test_a_newer_format_is_refused(store: LabelStore, path: Path):
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=2")
    connection.close()
    with pytest.raises(LabelStoreError, match=r"has format 2. Known: up to 1.(?s:.*)update this one"):
        LabelStore(path)


def test_a_damaged_file_is_refused(store: LabelStore, path: Path):
    store.add(event_id=1, truth=True)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(LabelStoreError, match=r"cannot be (?s:.*)damaged"):
        LabelStore(path).labels()


def test_a_folder_is_refused(tmp_path: Path):
    with pytest.raises(LabelStoreError, match="is a folder"):
        LabelStore(tmp_path)


@pytest.mark.parametrize("path", ["", None, 5, b"labels.sqlite", "~nobody-of-this-name/labels.sqlite"])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(BadInputError, match="path is"):
        LabelStore(path)


def test_a_path_that_no_file_can_have_is_refused():
    with pytest.raises(LabelStoreError, match="cannot be read: embedded null"):
        LabelStore("labels\0.sqlite")


@pytest.mark.parametrize("lose", [os.unlink, lambda path: os.truncate(path, 0)])
def test_a_file_that_is_gone_is_not_begun_again(store: LabelStore, path: Path, lose):
    """An empty store in its place would let all be drawn and labelled a second time."""
    store.add(event_id=1, truth=True)
    lose(path)
    for call in (store.labels, lambda: store.add(event_id=2, truth=True)):
        with pytest.raises(LabelStoreError, match="is gone: its file was moved, deleted or emptied"):
            call()
    assert not path.exists() or path.stat().st_size == 0


def test_no_folder_is_created(tmp_path: Path):
    with pytest.raises(LabelStoreError, match="There is no folder"):
        LabelStore(tmp_path / "notes" / "labels.sqlite")
    assert not (tmp_path / "notes").exists()


def test_a_read_only_folder_is_refused():
    # Below pytest's folder nobody else gets in, and root may write everywhere.
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o555)
    was_root = os.geteuid() == 0
    if was_root:
        os.seteuid(65534)
    try:
        with pytest.raises(LabelStoreError, match="folder must exist and be writable"):
            LabelStore(folder / "labels.sqlite")
    finally:
        if was_root:
            os.seteuid(0)
        folder.rmdir()


def test_a_full_disk_loses_nothing(store: LabelStore, path: Path):
    """A limit on the size of files stands in for a disk without room."""
    store.add(pd.DataFrame({"event_id": range(100), "truth": True}))
    code = """
import resource
store = LabelStore(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(sys.argv[1]), resource.RLIM_INFINITY))
try:
    for i in range(100, 10_000):
        store.add(event_id=i, truth=True, camera_id="x" * 1000)
except Exception as error:
    print(i, type(error).__name__, error)
"""
    out, err = start(code, path).communicate(timeout=LIMIT_S)
    assert "LabelStoreError" in out, err
    assert "nothing of this call was stored" in out
    n_stored = int(out.split()[0])
    assert len(store.labels()) == n_stored
    store.add(event_id=10_000, truth=True)
    assert len(store.labels()) == n_stored + 1


def test_a_killed_process_has_stored_what_it_added(store: LabelStore, path: Path):
    code = """
store = LabelStore(sys.argv[1])
for i in range(1000):
    store.add(event_id=i, truth=True)
    print(i, flush=True)
"""
    child = start(code, path)
    assert child.stdout is not None
    added = [int(child.stdout.readline()) for _ in range(20)]
    child.send_signal(signal.SIGKILL)
    added += [int(line) for line in child.communicate(timeout=LIMIT_S)[0].split()]
    assert set(added) <= set(truths(store))


def test_two_processes_at_once_lose_nothing(path: Path):
    """The file itself is created by whoever comes first."""
    code = """
store = LabelStore(sys.argv[1])
for i in range(200):
    store.add(event_id=int(sys.argv[2]) + i, truth=True)
"""
    children = [start(code, path, first) for first in (0, 1000)]
    assert [child.communicate(timeout=LIMIT_S)[1] for child in children] == ["", ""]
    assert len(LabelStore(path).history()) == 400


def test_threads_share_a_store(store: LabelStore):
    def add(first: int) -> None:
        for i in range(10):
            store.add(event_id=first + i, truth=True)

    threads = [threading.Thread(target=add, args=(100 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
    assert len(truths(store)) == 40


def test_a_forked_child_shares_a_store(path: Path):
    code = """
store = LabelStore(sys.argv[1])
store.add(event_id=1, truth=True)
if os.fork() == 0:
    store.add(event_id=2, truth=True)
    os._exit(0)
os.wait()
store.add(event_id=3, truth=True)
"""
    child = start(code, path)
    # Newer Pythons warn of any fork beside the threads of a library.
    _, err = child.communicate(timeout=LIMIT_S)
    assert child.returncode == 0, err
    assert truths(LabelStore(path)) == dict.fromkeys((1, 2, 3), True)


FEEDBACK = pd.DataFrame(
    {
        "event_id": pd.array([1, 2, 3, 4], "Int64"),
        "truth": pd.array([True, False, True, None], "boolean"),
        "is_missed": pd.array([False, False, True, False], "boolean"),
        "feedback_type": ["accurate", "false_positive", "missed_threat", "new_word"],
        "created_at": pd.to_datetime([AT] * 4, utc=True),
    }
)
EVENTS = pd.DataFrame(
    {
        "event_id": pd.array([1, 2, 3], "Int64"),
        "camera_id": "gate",
        "score": [0.9, 0.6, 0.5],
        "risk_score": pd.array([80, 50, 10], "Int64"),
        "started_at": pd.to_datetime([AT] * 3, utc=True),
        "truth": pd.array([True, False, True], "boolean"),
    }
)


def test_feedback_outlives_the_deployment(store: LabelStore):
    assert store.add_feedback(FEEDBACK, EVENTS) == 3
    labels = store.labels()
    assert labels["score"].tolist() == [0.9, 0.6, 0.5]
    assert labels["is_missed"].tolist() == [False, False, True]
    assert set(labels["design"]) == {"feedback"}
    assert labels["verified_at"].tolist() == [AT] * 3


def test_feedback_is_stored_once(store: LabelStore):
    store.add_feedback(FEEDBACK, EVENTS)
    assert store.add_feedback(FEEDBACK, EVENTS) == 0
    changed = FEEDBACK.assign(truth=pd.array([False, False, True, None], "boolean"))
    assert store.add_feedback(changed, EVENTS) == 1
    assert truths(store)[1] is False


def test_the_analyst_stands_above_feedback(store: LabelStore):
    store.add(event_id=1, truth=False)
    assert store.add_feedback(FEEDBACK, EVENTS) == 2
    assert truths(store)[1] is False


def test_feedback_without_ids_is_refused(store: LabelStore):
    with pytest.raises(UnknownColumnError, match="event_id"):
        store.add_feedback(FEEDBACK, EVENTS.drop(columns="event_id"))


def wave(ids: list[int], chances: list[float], drawn: list[bool]) -> pd.DataFrame:
    return pd.DataFrame({"event_id": ids, "probability": chances, "is_drawn": drawn})


def test_a_drawn_unit_has_the_probability_of_being_labelled_by_now(store: LabelStore):
    store.log_wave(wave([1, 2, 3], [0.25, 0.25, 1.0], [True, False, False]), after=0, design="audit", seed=7)
    store.add(pd.DataFrame({"event_id": [1, 2, 3, 4], "truth": True}))
    store.log_wave(wave([1, 2], [0.5, 0.5], [False, False]), after=1, design="near", seed=7)
    labels = store.labels()
    assert labels["probability"].fillna(0).tolist() == [0.5, 0.0, 1.0, 0.0]
    assert labels["design"].fillna("").tolist() == ["audit", "", "", ""]
    draws = store.draws()
    assert draws[["wave", "event_id", "design", "probability", "seed"]].iloc[0].tolist() == [
        *(1, 1, "audit", 0.5, "7")
    ]
    chances = store.chances()
    assert chances.attrs["n_waves"] == 2
    assert len(chances) == 3


def test_a_probability_of_ones_own_is_kept(store: LabelStore):
    store.add(event_id=1, truth=True, design="mine", probability=0.125)
    assert store.labels()[["design", "probability"]].iloc[0].tolist() == ["mine", 0.125]


def test_two_draws_at_once_are_not_mixed(store: LabelStore):
    store.log_wave(wave([1], [0.5], [True]), after=0, design="audit", seed=1)
    with pytest.raises(LabelStoreError, match="at the same moment"):
        store.log_wave(wave([2], [0.5], [True]), after=0, design="audit", seed=1)
    assert store.draws()["event_id"].tolist() == [1]
