"""One setting saved and taken back: what is written, what is refused, what is said, and what stays."""

from __future__ import annotations

import json
import os
import re
import threading

import numpy as np
import pandas as pd
import pytest

from secnb.analysis.counting import sweep
from secnb.errors import BadInputError, OverriddenWarning, SettingsError, SettingsFileError, UnknownNameError
from secnb.schema import TUNABLE
from secnb.settings_file import saving
from secnb.settings_file.saving import save_setting
from secnb.settings_file.sources import SettingSources
from secnb.settings_file.undoing import undo_setting

NAME = "detection_confidence_threshold"
KEY = NAME.upper()
SECRET = "hunter2"
CONTENT = f"""# the porch
DATABASE_URL=postgresql://security:{SECRET}@localhost/db
{KEY}=0.5  # since May, {SECRET}
REDIS_PASSWORD='{SECRET}'
"""


@pytest.fixture
def deployment(env_file):
    """Return the settings file of a deployment, with secrets in it."""
    env_file.write_text(CONTENT)
    return env_file


@pytest.fixture(scope="module")
def labelled() -> pd.DataFrame:
    """Return scores with truth on two cameras; synthetic."""
    random = np.random.default_rng(0)
    is_true = random.random(600) < 0.5
    score = np.clip(random.normal(np.where(is_true, 0.7, 0.4), 0.1), 0, 1)
    camera = np.where(np.arange(600) % 2, "porch", "<b>gate")
    return pd.DataFrame({"camera_id": camera, "score": score, "truth": is_true})


@pytest.fixture(scope="module")
def choice(labelled):
    """Return a threshold with its evidence."""
    return sweep(labelled, score="score", truth="truth").choose(precision_at_least=0.9, current=0.5)


@pytest.fixture(scope="module")
def choice_by_camera(labelled):
    """Return a threshold per camera."""
    found = sweep(labelled, score="score", truth="truth", by="camera_id")
    return found.choose(precision_at_least=0.9, current=0.5)


def entries(file):
    """Return the log beside a file."""
    return [json.loads(line) for line in file.with_name(".env.secnb-log.jsonl").read_text().splitlines()]


def beside(file):
    """Return the names of what else is in the folder."""
    return sorted(each.name for each in file.parent.iterdir() if each != file)


def test_only_that_value_changes(deployment):
    """The deployment reads it, and the file before is kept beside it."""
    change = save_setting(NAME, 0.62, deployment)
    assert deployment.read_text() == CONTENT.replace("=0.5 ", "=0.62 ")
    assert SettingSources(deployment).value(NAME) == 0.62
    assert change.backup.read_text() == CONTENT
    assert (change.is_saved, change.file, change.line) == (True, deployment, 3)
    assert beside(deployment) == [".env.secnb-backup", ".env.secnb-log.jsonl"]


def test_the_log_says_what_when_and_why(deployment, choice):
    """With the evidence in full, so that the choice can be defended later."""
    save_setting(NAME, choice.threshold, deployment, evidence=choice)
    (entry,) = entries(deployment)
    assert (entry["action"], entry["setting"]) == ("save", NAME)
    assert (entry["old"], entry["new"]) == ("0.5", repr(choice.threshold))
    assert pd.Timestamp(entry["at"]).utcoffset() == pd.Timedelta(0)
    assert entry["evidence"] == json.loads(json.dumps(choice.to_dict()))


def test_a_choice_stands_for_its_threshold(deployment, choice):
    """And is its own evidence."""
    save_setting(NAME, choice, deployment)
    assert SettingSources(deployment).value(NAME) == choice.threshold
    assert entries(deployment)[0]["evidence"]["explanation"] == choice.to_dict()["explanation"]


def test_evidence_for_another_value_is_said_to_be_so(deployment, choice):
    """Rounding is allowed, and told."""
    other = save_setting(NAME, 0.6, deployment, evidence=choice)
    assert other.notes[0] == f"The evidence is for {choice.threshold!r}."
    assert not any("evidence" in note for note in save_setting(NAME, choice, deployment).notes)


@pytest.mark.parametrize("evidence", ["a walk around the house", {"n": np.int64(3), "p": np.nan}, None])
def test_other_evidence_is_kept_as_it_is(deployment, evidence):
    """Text, numbers of numpy, or nothing; what is not known is null."""
    save_setting(NAME, 0.62, deployment, evidence=evidence)
    plain = {"n": 3, "p": None} if isinstance(evidence, dict) else evidence
    assert entries(deployment)[0]["evidence"] == plain


def test_a_row_of_a_frame_is_evidence(deployment):
    """Its times and its missing values are kept as well."""
    at = pd.Timestamp("2026-03-01 12:00", tz="UTC")
    row = pd.DataFrame({"at": [at], "n": pd.array([None], dtype="Int64"), "later": pd.NaT}).iloc[0]
    save_setting(NAME, 0.62, deployment, evidence=row.to_dict())
    kept = {"at": "2026-03-01T12:00:00+00:00", "n": None, "later": None}
    assert entries(deployment)[0]["evidence"] == kept


def test_evidence_that_json_cannot_hold_is_refused(deployment):
    """Before anything is written."""
    with pytest.raises(BadInputError, match=r"of the type object, which JSON cannot hold[\s\S]*Hint"):
        save_setting(NAME, 0.62, deployment, evidence=object())
    assert beside(deployment) == []


def test_no_secret_is_shown_or_logged(deployment):
    """Neither other lines nor the comment behind the value."""
    change = save_setting(NAME, 0.62, deployment)
    undone = undo_setting(deployment)
    log = deployment.with_name(".env.secnb-log.jsonl").read_text()
    for text in (repr(change), change._repr_html_(), change.diff, repr(undone), undone._repr_html_(), log):
        assert SECRET not in text
    assert change.diff == f"-{KEY}=0.5  # …\n+{KEY}=0.62  # …"


@pytest.mark.parametrize("name", ["database_url", "REDIS_PASSWORD", "detection_confidence", "", None])
def test_what_is_not_tunable_is_refused(deployment, name):
    """What holds secrets above all; near names are shown."""
    with pytest.raises(UnknownNameError, match="no tunable setting"):
        save_setting(name, SECRET, deployment)
    assert deployment.read_text() == CONTENT


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        (NAME, 1.01, "outside 0 to 1. Allowed: a number, 0 to 1"),
        (NAME, "nan", "not a finite number"),
        (NAME, float("inf"), "not a finite number"),
        (NAME, True, "True is not a number"),
        (NAME, "0.5\nREDIS_PASSWORD=x", "a number"),
        (NAME, None, "None is not a number"),
        (NAME, [0.5], "is not a number"),
        ("batch_window_seconds", 0, "outside from 1"),
        ("batch_window_seconds", 90.5, "90.5 is not a whole number"),
        ("batch_max_detections", 10_001, "outside 1 to 10000"),
        ("use_redis_streams", 1, "not True or False"),
        ("fast_path_object_types", "person", "a JSON list"),
        ("fast_path_object_types", [1], "a list of texts"),
        ("queue_overflow_policy", "trim", "none of reject, dlq, drop_oldest"),
        ("camera_timezone", "Mars/Olympus", "no time zone"),
        ("redis_key_prefix", "${REDIS_PASSWORD}", "no plain text"),
        ("redis_key_prefix", "a\x00b", "no plain text"),
        ("redis_key_prefix", 7, "7 is not text"),
    ],
    ids=range(18),
)
def test_a_value_outside_the_range_is_refused(deployment, name, value, why):
    """It says which are allowed, and nothing is written."""
    with pytest.raises(SettingsError, match=rf"^{name} cannot be [\s\S]*{why}"):
        save_setting(name, value, deployment)
    assert (deployment.read_text(), beside(deployment)) == (CONTENT, [])


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        (NAME, 0, "=0"),
        (NAME, np.float32(0.25), "=0.25"),
        (NAME, " 0.60 ", "=0.60"),
        ("batch_window_seconds", 60.0, "=60"),
        ("batch_window_seconds", np.int64(60), "=60"),
        ("use_redis_streams", False, "=false"),
        ("fast_path_object_types", ["person", "Hündin"], '=["person", "Hündin"]'),
        ("fast_path_object_types", (), "=[]"),
        ("queue_overflow_policy", "dlq", "=dlq"),
        ("camera_timezone", "Europe/Berlin", "=Europe/Berlin"),
        (KEY, 1, "=1"),
    ],
    ids=range(11),
)
def test_values_are_written_as_the_service_reads_them(env_file, name, value, line):
    """Whole numbers without a point, lists as JSON."""
    save_setting(name, value, env_file)
    assert env_file.read_text() == f"{name.upper()}{line}\n"
    assert SettingSources(env_file).in_force()[list(TUNABLE).index(name.lower())].is_in_force


def test_risk_cuts_must_rise(env_file):
    """A service with others does not start; there is an order in which all can be moved."""
    with pytest.raises(SettingsError, match=r"severity_low_max 70, severity_medium_max 59[\s\S]*highest"):
        save_setting("severity_low_max", 70, env_file)
    for name, value in (("high", 90), ("medium", 80), ("low", 70)):
        save_setting(f"severity_{name}_max", value, env_file)
    assert SettingSources(env_file).value("severity_low_max") == 70


def test_without_a_threshold_nothing_is_saved(labelled, deployment):
    """The choice says why there is none."""
    none = sweep(labelled, score="score", truth="truth").choose(
        precision_at_least=0.999, recall_at_least=0.99
    )
    with pytest.raises(SettingsError, match=r"no threshold for detection_confidence_threshold: .*reachable"):
        save_setting(NAME, none, deployment)


def test_a_dry_run_writes_nothing(deployment):
    """It shows the same difference."""
    before = deployment.stat()
    planned = save_setting(NAME, 0.62, deployment, dry_run=True)
    assert (deployment.stat(), beside(deployment)) == (before, [])
    assert not planned.is_saved
    assert planned.diff == save_setting(NAME, 0.62, deployment).diff
    with pytest.raises(BadInputError, match=r"dry_run is 'no'\. Allowed: True and False"):
        save_setting(NAME, 0.7, deployment, dry_run="no")


def test_it_says_in_words_what_was_done_and_what_was_not(deployment):
    """A plan is none that was carried out, and taking back is not saving."""
    planned = save_setting(NAME, 0.62, deployment, dry_run=True)
    assert re.search(rf"not saved: .*; is: {KEY}=0.5 .*; would be: {KEY}=0.62 ", repr(planned))
    saved = save_setting(NAME, 0.62, deployment)
    assert re.search(rf" saved: .*; was: {KEY}=0.5 .*; is: {KEY}=0.62 ", repr(saved))
    again = save_setting(NAME, 0.62, deployment)
    assert re.search(rf"not saved: [^;]*; is: {KEY}=0.62 [^;]*>", repr(again))
    undone = undo_setting(deployment)
    assert re.search(rf" taken back: .*; was: {KEY}=0.62 .*; is: {KEY}=0.5 ", repr(undone))
    assert "<b>detection_confidence_threshold taken back: " in undone._repr_html_()


def test_the_same_value_is_not_written_again(deployment):
    """However it is written."""
    change = save_setting(NAME, "0.50", deployment)
    assert (change.is_saved, change.diff, beside(deployment)) == (False, "", [])
    assert "has this value already" in change.notes[0]


def test_thresholds_per_camera_go_beside_the_file(deployment, choice_by_camera):
    """The deployment has one number: that of the whole; and it says so. Undo takes both back."""
    change = save_setting(NAME, choice_by_camera, deployment)
    assert SettingSources(deployment).value(NAME) == choice_by_camera.threshold
    kept = json.loads(change.thresholds.read_text())
    assert change.thresholds.name == f".env.{NAME}.json"
    assert [each["camera_id"] for each in kept["groups"]] == ["<b>gate", "porch"]
    assert [each["threshold"] for each in kept["groups"]] == list(choice_by_camera.thresholds["threshold"])
    assert "the deployment does not read it" in change.notes[-1]
    undone = undo_setting(deployment)
    assert not change.thresholds.exists()
    assert deployment.read_text() == CONTENT
    assert "gone again" in undone.notes[0]


def test_thresholds_per_camera_that_others_changed_are_left(deployment, choice_by_camera, choice):
    """An older file of thresholds comes back, one of somebody else stays."""
    kept = save_setting(NAME, choice_by_camera, deployment).thresholds
    first = kept.read_text()
    save_setting(NAME, 0.1, deployment, evidence=choice_by_camera)
    assert "what it was again" in undo_setting(deployment).notes[0]
    assert kept.read_text() == first
    kept.write_text("{}")
    assert "left as it is" in undo_setting(deployment).notes[0]
    assert (kept.read_text(), deployment.read_text()) == ("{}", CONTENT)


@pytest.mark.parametrize("where", ["environment", "runtime.env"])
def test_a_stronger_source_is_warned_of(deployment, tmp_path, monkeypatch, where):
    """The file is changed all the same, but it has no effect."""
    runtime = tmp_path / "data" / "runtime.env"
    if where == "environment":
        monkeypatch.setenv(KEY, "0.4")
    else:
        runtime.parent.mkdir()
        runtime.write_text(f"{KEY}=0.4\n")
    with pytest.warns(OverriddenWarning, match=rf"{where}.* holds {KEY} and is stronger") as caught:
        change = save_setting(NAME, 0.62, deployment)
    assert caught[0].filename == __file__
    assert change.is_saved
    assert "is stronger" in change.notes[0]
    assert SettingSources(deployment).value(NAME) == 0.4


def test_the_runtime_file_is_not_stronger_than_itself(deployment, tmp_path, monkeypatch):
    """It is a settings file like the other."""
    monkeypatch.setenv("HSI_RUNTIME_ENV_PATH", str(deployment))
    assert save_setting(NAME, 0.62, deployment).is_saved
    assert "restart the backend" in save_setting(NAME, 0.7, deployment).notes[-1]


def test_a_file_that_no_service_can_read_is_said_to_be_one(env_file):
    """Its other bytes stay as they are."""
    env_file.write_bytes(b"A=\xff\n")
    change = save_setting(NAME, 0.62, env_file)
    assert env_file.read_bytes() == b"A=\xff\nDETECTION_CONFIDENCE_THRESHOLD=0.62\n"
    assert "not UTF-8" in change.notes[-1]


@pytest.mark.parametrize("kind", ["missing", "a folder", "no ordinary file"])
def test_what_is_no_file_is_refused(tmp_path, kind):
    """None is made: it may be a slip."""
    path = tmp_path / "other"
    if kind == "a folder":
        path.mkdir()
    elif kind == "no ordinary file":
        os.mkfifo(path)
    with pytest.raises(SettingsFileError, match=rf"other is {kind}[\s\S]*Hint: name the"):
        save_setting(NAME, 0.62, path)
    with pytest.raises(SettingsFileError, match=kind):
        undo_setting(path)


@pytest.mark.parametrize("path", [None, 3, "a\0b"])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(SettingsFileError, match=r"path is .*\. Allowed: a str or a Path"):
        save_setting(NAME, 0.62, path)
    with pytest.raises(SettingsFileError, match=r"path is .*\. Allowed: a str or a Path"):
        undo_setting(path)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("compose.yaml", b"services:\n  api:\n    environment:\n      A=1\n", "is a .yaml file"),
        ("settings.toml", b"a = 1\n", "is a .toml file"),
        ("notes", b"services:\n  - A: 1\n", "it is no settings file"),
        ("wide.env", f"{KEY}=0.5\n".encode("utf-16"), "it is no settings file"),
        ("security.db", bytes(range(256)), "it is no settings file"),
    ],
    ids=["yaml", "toml", "text", "utf-16", "binary"],
)
def test_a_file_of_another_form_is_left_as_it_is(tmp_path, name, content, why):
    """A line more would break it, or have no effect."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SettingsFileError, match=rf"{why}[\s\S]*Hint: name the deployment's .env"):
        save_setting(NAME, 0.62, path)
    assert (path.read_bytes(), beside(path)) == (content, [])


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"# nothing yet\n", b"\xef\xbb\xbf# x", b"export A=1\nJUNK\n", KEY.encode()]
)
def test_a_file_that_is_empty_or_not_tidy_is_a_settings_file(env_file, content):
    env_file.write_bytes(content)
    assert save_setting(NAME, 0.62, env_file).is_saved


def test_everything_shown_is_escaped(tmp_path):
    """A folder can have any name, and a value too."""
    file = tmp_path / "<img src=x>\udcff.env"
    file.write_text("REDIS_KEY_PREFIX=<script>\n")
    shown = save_setting("redis_key_prefix", "<b>", file)._repr_html_()
    assert "<script" not in shown
    assert "<img" not in shown
    assert "&lt;b&gt;" in shown
    shown.encode()


def test_undo_restores_every_byte_and_is_logged(deployment):
    """As often as there are changes; then there is nothing to undo."""
    save_setting(NAME, 0.62, deployment)
    save_setting("batch_window_seconds", 60, deployment)
    save_setting(NAME, 0.7, deployment)
    assert undo_setting(deployment).diff == f"-{KEY}=0.7  # …\n+{KEY}=0.62  # …"
    assert undo_setting(deployment).diff == "-BATCH_WINDOW_SECONDS=60"
    assert undo_setting(deployment).is_saved
    assert deployment.read_text() == CONTENT
    assert [each["action"] for each in entries(deployment)] == ["save"] * 3 + ["undo"] * 3
    with pytest.raises(SettingsFileError, match=r"no change of .* to undo[\s\S]*Hint: only what"):
        undo_setting(deployment)


def test_undo_goes_on_after_a_new_change(deployment):
    """What was undone is not undone twice."""
    save_setting(NAME, 0.6, deployment)
    save_setting(NAME, 0.7, deployment)
    undo_setting(deployment)
    save_setting(NAME, 0.8, deployment)
    assert undo_setting(deployment).after == f"{KEY}=0.6  # …"
    assert undo_setting(deployment).after == f"{KEY}=0.5  # …"


def test_undo_keeps_what_others_have_changed_elsewhere(deployment):
    """Only the line of the setting goes back."""
    save_setting(NAME, 0.62, deployment)
    deployment.write_text("NEW=1\n" + deployment.read_text() + "LAST=2")
    undo_setting(deployment)
    assert deployment.read_text() == f"NEW=1\n{CONTENT}LAST=2"


@pytest.mark.parametrize("line", ["=0.9", "= 0.62", None])
def test_undo_refuses_where_others_have_changed_the_setting(deployment, line):
    """It shows both values, and nothing is lost."""
    save_setting(NAME, 0.62, deployment)
    content = deployment.read_text().replace("=0.62", line) if line else "A=1\n"
    deployment.write_text(content)
    with pytest.raises(SettingsFileError, match=r"by somebody else: it is .* set it to 0.62, .* it was 0.5"):
        undo_setting(deployment)
    assert deployment.read_text() == content


def test_undo_of_what_others_have_taken_back(deployment):
    """Changes nothing, says so, and does not reach the change before."""
    save_setting(NAME, 0.6, deployment)
    content = deployment.read_text()
    save_setting(NAME, 0.7, deployment)
    deployment.write_text(content)
    undone = undo_setting(deployment)
    assert (undone.is_saved, deployment.read_text()) == (False, content)
    assert "taken it back already" in undone.notes[-1]
    assert undo_setting(deployment).after == f"{KEY}=0.5  # …"


def test_a_log_that_was_cut_is_read_and_continued(deployment):
    """A crash may have left half a line."""
    save_setting(NAME, 0.6, deployment)
    log = deployment.with_name(".env.secnb-log.jsonl")
    log.write_bytes(log.read_bytes() + b'{"format": 1, "act')
    save_setting(NAME, 0.7, deployment)
    undo_setting(deployment)
    assert undo_setting(deployment).after == f"{KEY}=0.5  # …"


def test_two_writers_at_once_lose_nothing(env_file):
    """Each change is made, and logged."""

    def save(name):
        for value in range(1, 16):
            save_setting(name, value, env_file)

    threads = [
        threading.Thread(target=save, args=[name]) for name in ("retention_days", "log_retention_days")
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(env_file.read_text().splitlines()) == ["LOG_RETENTION_DAYS=15", "RETENTION_DAYS=15"]
    assert len(entries(env_file)) == 30


def test_a_change_of_others_while_it_is_written_is_not_lost(deployment, monkeypatch):
    """It is seen, and the change is made again on top of it."""
    write_file = saving.write_file

    def write_then_be_interrupted(path, content, **how):
        monkeypatch.setattr(saving, "write_file", write_file)
        write_file(path, content, **how)
        deployment.write_text("NEW=1\n" + CONTENT)

    monkeypatch.setattr(saving, "write_file", write_then_be_interrupted)
    save_setting(NAME, 0.62, deployment)
    assert deployment.read_text() == "NEW=1\n" + CONTENT.replace("=0.5 ", "=0.62 ")
    assert len(entries(deployment)) == 1


def test_an_option_of_a_command_does_not_wrap_in_a_page(deployment):
    shown = save_setting(NAME, 0.7, deployment)
    assert '<span style="white-space:nowrap">--force-recreate</span>' in shown._repr_html_()
    assert "--force-recreate" in " ".join(shown.notes)
