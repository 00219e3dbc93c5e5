"""What flips between two thresholds is what the sweep counts, row by row, with what is known of it."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secnb import schema
from secnb.analysis.counting import sweep
from secnb.analysis.flips import compare_thresholds
from secnb.analysis.intervals import wilson
from secnb.analysis.replaying import replay_batches
from secnb.errors import BadInputError, UnknownColumnError, UnknownNameError
from secnb.frames.mot import read_mot

SCORES = st.one_of(st.sampled_from([0.2, 0.5, 0.6, 0.8, math.nan, math.inf, -math.inf]), st.floats(0, 1))
ROWS = st.lists(st.tuples(SCORES, st.sampled_from([True, False, None]), st.sampled_from("ab")), max_size=25)
THRESHOLDS = st.sampled_from([-math.inf, 0.0, 0.2, 0.5, 0.55, 0.6, 0.8, 1.0, math.inf])
START = pd.Timestamp("2026-03-14 22:30", tz="UTC")


def framed(rows) -> pd.DataFrame:
    """Return units with scores, truth and camera."""
    score, truth, camera = zip(*rows, strict=True) if rows else ((), (), ())
    return pd.DataFrame(
        {
            "score": np.array(score, dtype="float64"),
            "truth": pd.array(truth, dtype="boolean"),
            "camera_id": pd.array(camera, dtype="str"),
        }
    )


def detections(n=60, **columns) -> pd.DataFrame:
    """Return synthetic detections, one a minute over more than two days; every third is labelled."""
    at = START + pd.to_timedelta(np.arange(n) * 3600, unit="s")
    frame = pd.DataFrame(
        {
            "detection_id": pd.array(np.arange(1, n + 1), dtype="Int64"),
            "camera_id": np.where(np.arange(n) % 2, "porch", "gate"),
            "confidence": 0.5 + np.arange(n) % 10 / 20,
            "detected_at": pd.DatetimeIndex(at).as_unit("us"),
            "file_path": [f"/export/{each}.jpg" for each in range(n)],
            "truth": pd.array([(True, False, None)[each % 3] for each in range(n)], dtype="boolean"),
        }
    )
    return frame.assign(**columns)


@settings(max_examples=25)
@given(ROWS, THRESHOLDS, THRESHOLDS)
def test_the_counts_are_those_of_the_sweep(rows, current, proposed):
    """At either threshold, and what flips is the difference, by truth."""
    frame = framed(rows)
    whole = compare_thresholds(frame, current=current, proposed=proposed).whole.iloc[0]
    swept = sweep(frame, score="score", truth="truth", at=[current, proposed])
    now, then = (swept.at(each).iloc[0] for each in (current, proposed))
    assert (whole["n_current"], whole["n_proposed"]) == (now["n_fired"], then["n_fired"])
    more, less = ("appear", "disappear") if proposed <= current else ("disappear", "appear")
    sign = 1 if proposed <= current else -1
    for ours, theirs in (("true", "tp"), ("false", "fp"), ("unlabelled", "n_unlabelled")):
        assert whole[f"{more}_{ours}"] == sign * (then[theirs] - now[theirs])
        assert whole[f"{less}_{ours}"] == 0


@settings(max_examples=25)
@given(ROWS, THRESHOLDS, THRESHOLDS)
def test_the_rows_are_those_of_brute_force(rows, current, proposed):
    """A row fires at equality; without a score it never does."""
    frame = framed(rows)
    comparison = compare_thresholds(frame, current=current, proposed=proposed)
    gone = [i for i, row in enumerate(rows) if row[0] >= current and not row[0] >= proposed]
    come = [i for i, row in enumerate(rows) if row[0] >= proposed and not row[0] >= current]
    assert comparison.disappear.index.tolist() == gone
    assert comparison.appear.index.tolist() == come
    pd.testing.assert_frame_equal(comparison.disappear[list(frame.columns)], frame.loc[gone])


@settings(max_examples=25)
@given(ROWS, THRESHOLDS, THRESHOLDS)
def test_cameras_add_up_and_the_reverse_exchanges(rows, current, proposed):
    """What disappears one way appears the other way."""
    frame = framed(rows)
    one = compare_thresholds(frame, current=current, proposed=proposed)
    other = compare_thresholds(frame, current=proposed, proposed=current)
    counts = [name for name in schema.FLIPS if "precision" not in name]
    assert one.by_camera[counts].sum().tolist() == one.whole[counts].iloc[0].tolist()
    pd.testing.assert_frame_equal(
        one.disappear.drop(columns=["current", "proposed"]),
        other.appear.drop(columns=["current", "proposed"]),
    )
    assert one.whole["disappear_precision"].equals(other.whole["appear_precision"])


def test_an_empty_frame_keeps_its_columns():
    """And says that nothing is known."""
    empty = compare_thresholds(framed([]), current=0.5, proposed=0.6)
    assert empty.by_camera.dtypes.astype(str).to_dict() == {"camera_id": "str", **schema.FLIPS}
    assert empty.by_hour["hour"].tolist() == list(range(24))
    assert empty.events.dtypes.astype(str).to_dict() == dict(schema.EVENT_FLIPS)
    assert empty.whole["n_current"].tolist() == [0]
    assert "0 units" in empty._repr_html_()


def test_what_nobody_has_verified_is_unlabelled():
    """Never false: no precision is known, and its interval is everything."""
    frame = detections().drop(columns="truth")
    row = compare_thresholds(frame, current=0.5, proposed=0.7).whole.iloc[0]
    assert (row["disappear_true"], row["disappear_false"], row["disappear_unlabelled"]) == (0, 0, 24)
    assert math.isnan(row["disappear_precision"])
    assert (row["disappear_precision_low"], row["disappear_precision_high"]) == (0, 1)


def test_the_interval_of_independent_units_is_that_of_wilson():
    """Of the labelled ones among those that flip."""
    frame = framed([(0.55, True, "a")] * 3 + [(0.55, False, "a")] * 7 + [(0.55, None, "a")] * 5)
    row = compare_thresholds(frame, current=0.5, proposed=0.6).whole.iloc[0]
    low, high = wilson(3, 10)
    assert row["disappear_precision"] == 0.3
    assert (row["disappear_precision_low"], row["disappear_precision_high"]) == (low, high)


def test_the_interval_of_detections_rests_on_their_episodes():
    """Every detection ten times, within seconds, says no more than once."""
    once = detections()
    ten = once.loc[once.index.repeat(10)].reset_index(drop=True)
    ten["detected_at"] += pd.to_timedelta(np.tile(np.arange(10), len(once)), unit="s")
    ten["detection_id"] = pd.array(np.arange(len(ten)), dtype="Int64")
    few, many = (compare_thresholds(each, current=0.5, proposed=0.7) for each in (once, ten))
    rates = ["disappear_precision", "disappear_precision_low", "disappear_precision_high"]
    assert many.whole["n_disappear"].item() == 10 * few.whole["n_disappear"].item()
    np.testing.assert_allclose(many.whole[rates], few.whole[rates], rtol=1e-12)
    assert "Intervals rest on 40 labelled clusters by episode_id" in many.caption[0]


def test_probabilities_weigh_the_labels():
    """As in a sweep: a label that was drawn with chance one half stands for two."""
    frame = framed([(0.55, True, "a"), (0.55, False, "a"), (0.55, None, "a")]).assign(chance=[0.5, 1, None])
    row = compare_thresholds(frame, current=0.5, proposed=0.6, probability="chance").whole.iloc[0]
    assert (row["n_disappear"], row["disappear_true"], row["disappear_false"]) == (3, 2, 1)
    assert row["disappear_precision"] == pytest.approx(2 / 3)


def test_rates_of_weighted_labels_are_those_of_the_sweep():
    """True and false alarms per day are estimates then."""
    frame = detections(96)
    frame["chance"] = np.where(frame["truth"].notna(), 0.25, np.nan)
    comparison = compare_thresholds(frame, current=0.5, proposed=0.7, probability="chance")
    swept = sweep(frame, score="confidence", truth="truth", probability="chance").at([0.5, 0.7])
    summary = comparison.summary.set_index("what")[["current", "proposed"]]
    assert summary.loc["true alarms"].tolist() == swept["true_per_day"].tolist()
    assert summary.loc["false alarms"].tolist() == swept["false_per_day"].tolist()
    assert "alarms are estimated, from 27 labels." in comparison._repr_html_()


def test_estimates_are_called_so_beside_counts():
    """From few labels, more than disappear may be true or false; nobody is to add them up."""
    frame = detections(96, chance=0.25)
    comparison = compare_thresholds(frame, current=0.5, proposed=0.7, probability="chance")
    per_day, by_camera = read_tables(comparison)[:2]
    assert per_day["per day"].tolist()[1:3] == ["true alarms, estimated", "false alarms, estimated"]
    assert by_camera.columns.tolist() == [
        *("camera", "current", "proposed", "disappear", "true, estimated", "false, estimated")
    ]
    assert "They do not add up to what fires, which is counted." in comparison._repr_html_()
    plain = compare_thresholds(frame, current=0.5, proposed=0.7)._repr_html_()
    assert "estimated" not in plain
    assert "add up" not in plain


def test_rates_are_per_whole_local_day():
    """The first and the last day are dropped, in the zone of the frame."""
    frame = detections(96)
    frame.attrs["timezone"] = "Europe/Berlin"
    comparison = compare_thresholds(frame, current=0.5, proposed=0.7)
    found = sweep(frame, score="confidence", truth="truth").at([0.5, 0.7])
    summary = comparison.summary.set_index("what")
    assert summary.loc["detections", ["current", "proposed"]].tolist() == found["fired_per_day"].tolist()
    assert summary.loc["true alarms", ["current", "proposed"]].tolist() == found["true_per_day"].tolist()
    assert summary["change"].tolist() == (summary["proposed"] - summary["current"]).tolist()
    assert comparison.summary.attrs["per"] == "day"
    assert any("in Europe/Berlin" in line for line in comparison.caption)


def test_without_a_whole_day_there_are_counts():
    """Six hours hold none."""
    summary = compare_thresholds(detections(6), current=0.5, proposed=0.7).summary
    assert summary.attrs["per"] == "all"
    assert summary.set_index("what").loc["detections"].tolist() == [6, 2, -4]


def test_hours_are_local():
    """Half past ten in the evening in UTC is the next day in Tokyo; rows without a time are in none."""
    frame = detections(3)
    frame.loc[2, "detected_at"] = pd.NaT
    frame.attrs["timezone"] = "Asia/Tokyo"
    by_hour = compare_thresholds(frame, current=0.5, proposed=0.9).by_hour
    assert by_hour.loc[by_hour["n_disappear"] > 0, "hour"].tolist() == [7, 8]
    assert len(by_hour) == 24


def test_batches_are_replayed_from_what_fires():
    """With the settings given, over the days of all detections."""
    frame = detections(96, confidence=np.tile([0.55, 0.9], 48), object_type="person")
    how = {"window_s": 7200, "idle_s": 4000, "max_detections": 3, "fast_path": (0.95, ["person"])}
    summary = compare_thresholds(frame, current=0.5, proposed=0.7, **how).summary.set_index("what")
    now = replay_batches(frame, **how).summary
    assert summary.loc["batches", "current"] == now["calls_per_day"].item()
    assert 0 < summary.loc["batches", "proposed"] < summary.loc["batches", "current"]
    fast = compare_thresholds(frame, current=0.5, proposed=0.7, fast_path=(0.9, ["person"])).summary
    fast = fast.set_index("what")["current"]
    assert fast["reasoner calls"] > fast["batches"]


def linked():
    """Return detections, the events they are in, and the pairs; the last event names one that is gone."""
    frame = detections(9, confidence=[0.55, 0.6, 0.9, 0.55, 0.58, 0.9, 0.55, 0.9, 0.55])
    pairs = pd.DataFrame({"event_id": [1, 1, 1, 2, 2, 3, 4, 4], "detection_id": [1, 2, 3, 4, 5, 6, 7, 99]})
    events = pd.DataFrame(
        {
            "event_id": [1, 2, 3, 4],
            "camera_id": ["gate", "porch", "porch", "gate"],
            "score": [0.9, 0.58, 0.9, 0.55],
            "risk_score": pd.array([10, 80, 30, None], dtype="Int64"),
            "started_at": frame["detected_at"].iloc[[0, 3, 5, 6]].array,
            "truth": pd.array([None, True, False, None], dtype="boolean"),
        }
    )
    return frame, events, pairs.astype("Int64")


def test_detections_are_shown_with_their_event():
    """Its id and its risk; of a detection in no event they are missing."""
    frame, events, pairs = linked()
    gone = compare_thresholds(frame, current=0.5, proposed=0.7, events=events, memberships=pairs).disappear
    assert gone["detection_id"].tolist() == [1, 2, 4, 5, 7, 9]
    assert gone["event_id"].tolist() == [1, 1, 2, 2, 4, pd.NA]
    assert gone["risk_score"].tolist() == [10, 10, 80, 80, pd.NA, pd.NA]
    assert (gone["current"].unique().item(), gone["proposed"].unique().item()) == (0.5, 0.7)


@pytest.mark.parametrize("are_events", [False, True])
def test_events_that_lose_all_their_detections(are_events):
    """With picture, risk and verdict, whichever frame is compared; what is not in the frame is counted."""
    frame, events, pairs = linked()
    given = {"frame": events, "detections": frame} if are_events else {"frame": frame, "events": events}
    comparison = compare_thresholds(current=0.5, proposed=0.7, memberships=pairs, **given)
    lost = comparison.events
    assert lost["event_id"].tolist() == [2, 4]
    assert lost["change"].tolist() == ["disappears"] * 2
    assert lost["file_path"].tolist() == ["/export/4.jpg", "/export/6.jpg"]
    assert lost["risk_score"].tolist() == [80, pd.NA]
    assert lost["truth"].tolist() == [True, pd.NA]
    assert lost["started_at"].tolist() == events["started_at"].iloc[[1, 3]].tolist()
    assert lost[["n_current", "n_proposed", "n_missing"]].to_numpy().tolist() == [[2, 0, 0], [1, 0, 1]]
    assert lost.dtypes.astype(str).to_dict() == dict(schema.EVENT_FLIPS)
    assert any(line.startswith("1 event that flips had detections") for line in comparison.caption)
    alerts = comparison.summary.set_index("what").loc["alerts"]
    assert alerts.tolist() == [4, 2, -2]


def test_events_appear_with_their_first_detection():
    """When the threshold falls."""
    frame, events, pairs = linked()
    found = compare_thresholds(frame, current=0.7, proposed=0.5, events=events, memberships=pairs).events
    assert found[["event_id", "change"]].to_numpy().tolist() == [[2, "appears"], [4, "appears"]]


def test_events_alone_flip_as_their_score_does():
    """Without detections nothing is known of those, and an event is one call."""
    _, events, _ = linked()
    comparison = compare_thresholds(events, current=0.5, proposed=0.7)
    assert comparison.events["event_id"].tolist() == [2, 4]
    assert comparison.events["n_current"].isna().all()
    summary = comparison.summary.set_index("what")
    assert summary.loc["reasoner calls"].tolist() == summary.loc["alerts"].tolist() == [4, 2, -2]
    assert "batches" not in summary.index
    assert any("one call" in line for line in comparison.caption)


def test_events_get_the_picture_of_their_most_confident_detection():
    """Where detections are given."""
    frame, events, pairs = linked()
    gone = compare_thresholds(
        events, current=0.5, proposed=0.95, detections=frame, memberships=pairs
    ).disappear
    assert gone["file_path"].tolist() == ["/export/2.jpg", "/export/4.jpg", "/export/5.jpg", "/export/6.jpg"]


def test_without_events_their_truth_is_that_of_the_detections():
    """True if any is, else false if any is."""
    frame, _, pairs = linked()
    lost = compare_thresholds(frame, current=0.5, proposed=0.95, memberships=pairs).events
    assert lost["truth"].tolist() == [True, True, pd.NA, True]


def test_below_what_was_recorded_more_would_appear():
    """What the detector dropped cannot be shown, and it says so."""
    frame = detections()
    lower = compare_thresholds(frame, current=0.6, proposed=0.4).caption
    assert "Nothing below 0.5 is recorded here: at 0.4 more would fire than is shown." in lower
    assert not any(
        "Nothing below" in line for line in compare_thresholds(frame, current=0.5, proposed=0.6).caption
    )


def test_thresholds_per_group():
    """A Series by its keys."""
    frame = detections(20)
    proposed = pd.Series({"gate": 0.5, "porch": 0.8}).rename_axis("camera_id")
    comparison = compare_thresholds(frame, current=0.5, proposed=proposed)
    by_camera = comparison.by_camera.set_index("camera_id")["n_disappear"]
    assert by_camera.to_dict() == {"gate": 0, "porch": 6}
    assert comparison.disappear["proposed"].unique().tolist() == [0.8]
    assert "One per camera_id instead of" in comparison.headline


def per_camera(**thresholds) -> pd.Series:
    """Return thresholds by camera."""
    return pd.Series(thresholds).rename_axis("camera_id")


@pytest.mark.parametrize("name", ["current", "proposed"])
def test_a_group_that_does_not_exist_is_refused_with_what_was_meant(name):
    """It would change nothing, and nobody would notice."""
    given = {"current": 0.5, "proposed": 0.5} | {name: per_camera(gate=0.5, Porch=0.9)}
    match = "There is no camera_id 'Porch'. Known: gate, porch.\n\nHint: did you mean 'porch'"
    with pytest.raises(UnknownNameError, match=match):
        compare_thresholds(detections(4), **given)
    assert compare_thresholds(detections(0), **given).whole["n_proposed"].item() == 0


@pytest.mark.parametrize("name", ["current", "proposed"])
@pytest.mark.parametrize("thresholds", [{"porch": 0.9}, {"gate": None, "porch": 0.9}], ids=["none", "NaN"])
def test_a_group_without_a_number_is_refused(name, thresholds):
    """Whichever of the two it is."""
    given = {"current": 0.5, "proposed": 0.5} | {name: per_camera(**thresholds).astype("float64")}
    with pytest.raises(BadInputError, match=f"{name} has no threshold for camera_id gate.\n\nHint: a Series"):
        compare_thresholds(detections(4), **given)


def test_a_group_without_a_key_is_called_missing():
    """As everywhere in tables."""
    frame = detections(4)
    frame["camera_id"] = pd.Series([None, "porch"] * 2, dtype="str")
    with pytest.raises(BadInputError, match="no threshold for camera_id missing"):
        compare_thresholds(frame, current=per_camera(porch=0.5), proposed=0.6)
    shown = read_tables(compare_thresholds(frame, current=0.5, proposed=0.9))[1]
    assert sorted(shown["camera"]) == ["missing", "porch"]


@pytest.mark.parametrize(
    ("scores", "given", "why"),
    [
        (
            [0.2, 0.9],
            {"current": 50, "proposed": 60},
            "50 lies .*, which go from 0.2 to 0.9. .*0 to 1",
        ),
        ([0.2, 0.9], {"proposed": 60}, "Hint: a threshold is on the scale of the scores: 0.6 instead of 60?"),
        ([20, 90], {}, "0.5 lies .*, which go from 20 to 90. Allowed: 0, and 1 to 100..*50 instead of 0.5?"),
        ([-3, 90.5], {"proposed": -200}, "-200 lies .*Allowed: -96.5 to 184"),
    ],
)
def test_a_threshold_of_another_scale_is_refused(scores, given, why):
    """Else nothing or everything would fire, and it would look like an answer."""
    with pytest.raises(BadInputError, match=f"(?s){why}"):
        compare_thresholds(pd.DataFrame({"score": scores}), **{"current": 0.5, "proposed": 0.6} | given)


@pytest.mark.parametrize(
    ("scores", "threshold"),
    [([0.2, 0.9], 0), ([0.2, 0.9], 1), ([0.2, 0.9], math.inf), ([0, 3], 0.5), ([20, 90], 57.5), ([12.5], 20)],
)
def test_a_threshold_beyond_the_scores_is_allowed(scores, threshold):
    """On their scale, everything or nothing may fire."""
    row = compare_thresholds(pd.DataFrame({"score": scores}), current=threshold, proposed=threshold).whole
    assert row["n_current"].item() == sum(score >= threshold for score in scores)


def test_a_choice_per_group():
    """Each camera at its own threshold; where the choice has none, at the one in force."""
    frame = detections(600)
    choice = sweep(frame, score="confidence", truth="truth", by="camera_id").choose(recall_at_least=0.9)
    comparison = compare_thresholds(frame, current=0.5, proposed=choice)
    of_camera = choice.thresholds.set_index("camera_id")["threshold"].fillna(choice.threshold or 0.5)
    expected = (frame["confidence"] >= frame["camera_id"].map(of_camera)).sum()
    assert comparison.whole["n_proposed"].item() == expected


def test_a_choice_for_all_is_its_threshold():
    """As the number would be."""
    frame = detections(600)
    choice = sweep(frame, score="confidence", truth="truth").choose(recall_at_least=0.9)
    one, other = (
        compare_thresholds(frame, current=0.5, proposed=each) for each in (choice, choice.threshold)
    )
    pd.testing.assert_frame_equal(one.whole, other.whole)
    assert one.headline == other.headline


def test_a_choice_may_be_a_fraction_among_percentages():
    """Unlike a number that is typed, it cannot be one of another scale."""
    frame = pd.DataFrame({"score": [0.4, 0.7, 90.5] * 30, "truth": [True] * 90})
    choice = sweep(frame, score="score", truth="truth").choose(recall_at_least=1, verify_on=None)
    assert compare_thresholds(frame, current=50, proposed=choice).whole["n_proposed"].item() == 90
    with pytest.raises(BadInputError, match=r"40 instead of 0\.4"):
        compare_thresholds(frame, current=50, proposed=0.4)


def risky(scores: list[object]) -> pd.DataFrame:
    """Return events that disappear, with these risk scores."""
    return pd.DataFrame({"event_id": range(len(scores)), "score": 0.5, "truth": True, "risk_score": scores})


@pytest.mark.parametrize("started_at", ["naive", "missing"])
@pytest.mark.parametrize("path", [None, 3, b"x.jpg"])
def test_what_is_only_shown_may_be_anything(started_at, path):
    """A time without a zone is UTC; a path that is none is shown as it is."""
    at = pd.Timestamp("2026-03-01 12:00") if started_at == "naive" else pd.NaT
    frame = risky([1, 2]).assign(started_at=at, file_path=pd.Series([path] * 2, dtype=object))
    comparison = compare_thresholds(frame, current=0.5, proposed=0.6)
    expected = pd.Timestamp("2026-03-01 12:00", tz="UTC") if started_at == "naive" else pd.NaT
    assert comparison.events["started_at"].tolist() == [expected] * 2
    assert "2 of 2 verified true ones" in comparison._repr_html_()


@pytest.mark.parametrize(
    ("given", "error", "why"),
    [
        ({"current": "0.5"}, BadInputError, "current is '0.5'. Allowed: a number"),
        ({"proposed": math.nan}, BadInputError, "proposed is nan"),
        ({"proposed": True}, BadInputError, "proposed is True"),
        ({"proposed": {"porch": 0.5}}, BadInputError, r"Hint: pd.Series\("),
        ({"proposed": pd.Series([0.5])}, BadInputError, "index named after the columns"),
        ({"current": pd.Series({"porch": 0.5}).rename_axis("camera_id")}, BadInputError, "no threshold for"),
        ({"proposed": pd.Series({1: 0.5}).rename_axis("zone")}, UnknownColumnError, "'zone'"),
        ({"frame": [1]}, BadInputError, "frame is a list"),
        ({"events": [1]}, BadInputError, "events is a list"),
        ({"detections": detections(1)}, BadInputError, "are detections already"),
        ({"score": "scores"}, UnknownColumnError, "'scores'"),
        ({"window_s": 0}, BadInputError, "window_s is 0"),
        ({"memberships": pd.DataFrame({"event_id": [1]})}, UnknownColumnError, "'detection_id'"),
        (
            {"memberships": pd.DataFrame({"event_id": ["x"], "detection_id": [1]})},
            BadInputError,
            "values: 'x'",
        ),
        (
            {"frame": risky(["high", 3])},
            BadInputError,
            "'risk_score' holds other values: 'high', 3. Allowed: whole",
        ),
        ({"frame": pd.concat([detections(4)] * 2, axis=1)}, BadInputError, "2 columns called"),
        ({"probability": "chance"}, UnknownColumnError, "'chance'"),
        ({"cluster": "visit"}, UnknownColumnError, "'visit'"),
    ],
    ids=range(18),
)
def test_what_cannot_be_compared_is_refused(given, error, why):
    """It says what is allowed."""
    arguments = {"frame": detections(4), "current": 0.5, "proposed": 0.6} | given
    with pytest.raises(error, match=why):
        compare_thresholds(**arguments)


def test_the_input_is_not_changed():
    """Neither the frame nor those beside it."""
    frame, events, pairs = linked()
    before = [each.copy(deep=True) for each in (frame, events, pairs)]
    comparison = compare_thresholds(frame, current=0.5, proposed=0.7, events=events, memberships=pairs)
    comparison.disappear["camera_id"] = "changed"
    for each, was in zip((frame, events, pairs), before, strict=True):
        pd.testing.assert_frame_equal(each, was)


@pytest.mark.parametrize("name", ["event_id", "started_at", "score", "risk_score", "change", None])
def test_every_index_is_fine(name):
    """Though it has the name of a column, or a value twice; it stays with the rows."""
    _, events, _ = linked()
    events["started_at"] = pd.NaT
    index = pd.Index([7, 7, 8, 8], name=name)
    plain = compare_thresholds(events, current=0.5, proposed=0.7)
    found = compare_thresholds(events.set_index(index), current=0.5, proposed=0.7)
    pd.testing.assert_frame_equal(found.events, plain.events)
    assert found.disappear.index.equals(index[[1, 3]])
    assert found.disappear.index.name == name
    assert found._repr_html_() == plain._repr_html_()


def test_every_index_is_fine_in_every_frame():
    """With pairs and detections beside the events."""
    frame, events, pairs = linked()
    plain = compare_thresholds(events, current=0.5, proposed=0.7, detections=frame, memberships=pairs)
    frames = [each.set_index(each.columns[0], drop=False) for each in (events, frame, pairs)]
    given = dict(zip(("frame", "detections", "memberships"), frames, strict=True))
    found = compare_thresholds(current=0.5, proposed=0.7, **given)
    pd.testing.assert_frame_equal(found.events, plain.events)
    assert found._repr_html_() == plain._repr_html_()


def test_everything_shown_is_escaped():
    """Names of cameras and paths come from outside; the true ones that go stand first by their risk."""
    frame, events, pairs = linked()
    frame["camera_id"], frame["file_path"] = "<script>1</script>", "<img src=x>"
    comparison = compare_thresholds(frame, current=0.5, proposed=0.95, events=events, memberships=pairs)
    shown = comparison._repr_html_()
    assert "<script" not in shown
    assert "<img" not in shown
    assert "true ones that would disappear" in shown
    assert "First order: scores, verdicts and risk scores are taken as recorded." in shown
    assert repr(comparison).startswith("<ThresholdComparison of confidence: 0.95 instead of 0.5: of 9 detect")


def test_the_days_shown_do_not_wrap():
    frame, events, pairs = linked()
    shown = compare_thresholds(frame, current=0.5, proposed=0.95, events=events, memberships=pairs)
    times = re.findall(r"<td>(.*\d\d:\d\d:\d\d)</td>", shown._repr_html_())
    assert times
    for time in times:
        assert re.fullmatch(r'<span style="white-space:nowrap">[\d-]{10}</span> [\d:]{8}', time)


def test_the_numbers_shown_are_signed_and_say_what_was_verified():
    """Nobody reads 4 verified false alarms for all that there are, nor none where nobody has looked."""
    frame = detections().assign(confidence=np.linspace(0.5, 0.9, 60))
    shown = read_tables(compare_thresholds(frame, current=0.5, proposed=0.6))
    assert shown[0].set_index("per day").loc["true alarms, of those verified"].tolist() == [
        "8.00",
        "6.00",
        "\u22122.00",
    ]
    assert shown[1].columns.tolist() == [
        *("camera", "current", "proposed", "disappear", "true", "false", "unverified")
    ]
    assert shown[1].iloc[0].tolist() == ["gate", "30", "22", "8", "3", "2", "3"]
    unseen = read_tables(compare_thresholds(frame.drop(columns="truth"), current=0.5, proposed=0.6))
    assert unseen[0]["per day"].tolist() == ["detections", "batches", "reasoner calls"]
    assert unseen[1].columns.tolist() == ["camera", "current", "proposed", "disappear"]


def read_tables(comparison) -> list[pd.DataFrame]:
    """Return the tables of a comparison as texts."""
    found = re.findall(r"<table.*?</table>", comparison._repr_html_(), re.DOTALL)
    tables = []
    for each in found:
        rows = [re.findall(r"<t[hd]>(.*?)</t[hd]>", row) for row in each.split("</tr>")]
        head, *body = filter(None, rows)
        tables.append(pd.DataFrame(body, columns=head, dtype="str"))
    return tables


def test_real_detections_without_truth(mot_detections):
    """Nobody knows their truth; what fires is counted, and replayed."""
    comparison = compare_thresholds(mot_detections, current=0.5, proposed=0.9)
    n_gone = ((mot_detections["confidence"] >= 0.5) & (mot_detections["confidence"] < 0.9)).sum()
    assert len(comparison.disappear) == n_gone > 0
    assert set(comparison.summary["what"]) == {"detections", "batches", "reasoner calls"}
    assert "Nothing of what would disappear was verified." in comparison._repr_html_()


@pytest.fixture
def mot_detections():
    """Return real detector output, where it is there."""
    path = Path(__file__).parents[3] / "shared" / "data" / "mot15_frcnn" / "PETS09-S2L1.txt"
    if not path.exists():
        pytest.skip("the real detections are not beside the project")
    return read_mot(path, fps=7, start_at="2026-03-01T08:00:00Z")
