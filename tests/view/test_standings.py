"""What is marked in a panel: the threshold in force, the one chosen, and those as good."""

from __future__ import annotations

import html
import math

import numpy as np
import pandas as pd
import pytest
import vl_convert

from secnb.analysis.counting import ThresholdSweep, sweep
from secnb.errors import BadInputError
from secnb.view.panels import panel
from secnb.view.sliders import stand_at
from secnb.view.standings import MOST_STOPS


def labelled(n: int = 900) -> pd.DataFrame:
    generator = np.random.default_rng(3)
    is_true = generator.random(n) < 0.4
    score = np.where(is_true, generator.beta(6, 2, n), generator.beta(2, 4, n))
    cameras = np.resize(["gate", "yard", "shed"], n)
    return pd.DataFrame({"score": score, "truth": is_true, "camera": cameras, "hour": np.resize([1, 2], n)})


def swept(**kwargs: object) -> ThresholdSweep:
    return sweep(labelled(), score="score", truth="truth", **kwargs)  # type: ignore[arg-type]


def rows(*args: object, **kwargs: object) -> list[dict]:
    return panel(*args, **kwargs).spec["datasets"]["groups"]  # type: ignore[arg-type]


def drawn(*args: object, threshold: float | None = None, **kwargs: object) -> str:
    spec = panel(*args, **kwargs).spec  # type: ignore[arg-type]
    if threshold is not None:
        stand_at(spec, threshold)
    return html.unescape(vl_convert.vegalite_to_svg(spec, vl_version="5.8"))


def test_the_threshold_in_force_is_marked_and_compared_with_the_one_at_the_slider():
    result = swept()
    now, then = (result.at(t).iloc[0] for t in (0.4567, 0.7))
    (row,) = rows(result, current=0.4567)
    assert (row["current"], row["now_n"], row["now_tp"]) == (0.4567, now["n_fired"], now["tp"])
    svg = drawn(result, current=0.4567, threshold=0.7)
    assert "now 0.4567" in svg
    fires, true, false = (now[name] - then[name] for name in ("n_fired", "tp", "fp"))
    words = (
        f"Against 0.4567 in force: fires \u2212{fires}, true alarms \u2212{true}, false alarms \u2212{false}"
    )
    assert words in svg


def test_at_the_threshold_in_force_nothing_is_compared():
    svg = drawn(swept(), current=0.5, threshold=0.5)
    assert "This is the threshold in force." in svg
    assert "Against" not in svg


def test_the_choice_is_marked_with_those_as_good_and_its_threshold_in_force():
    result = swept()
    choice = result.choose(precision_at_least=0.85, current=0.3)
    (row,) = rows(result, choice=choice)
    assert (row["chosen"], row["current"]) == (choice.threshold, 0.3)
    assert (row["plateau_low"], row["plateau_high"]) == choice.plateau
    assert row["caption"].startswith(f"Chosen: {choice.threshold:g}")
    assert f"chosen {choice.threshold:g}" in drawn(result, choice=choice)


def stops(*args: object, **kwargs: object) -> list[float]:
    params = panel(*args, **kwargs).spec["params"]  # type: ignore[arg-type]
    return next(param["value"] for param in params if param["name"] == "stops")


def test_the_slider_begins_at_the_choice_and_its_numbers_keep_the_floor():
    """At the round number beside it, the precision is below the floor."""
    result = sweep(labelled().round({"score": 4}), score="score", truth="truth")
    choice = result.choose(precision_at_least=0.85, current=0.3)
    row, svg = result.at(choice.threshold).iloc[0], drawn(result, choice=choice)
    below = math.floor(100 * choice.threshold) / 100
    assert row["precision"] >= 0.85 > result.at(below)["precision"].iloc[0]
    assert f'"threshold: {choice.threshold:g}"' in svg
    assert f'"fires: {row["n_fired"]}"' in svg
    assert f'"precision: {row["precision"]:.1%}"' in svg


def test_without_a_choice_the_slider_begins_at_the_threshold_in_force():
    svg = drawn(swept(), current=0.4567)
    assert '"threshold: 0.4567"' in svg
    assert "This is the threshold in force." in svg


def test_the_slider_stops_at_every_threshold_chosen_and_in_force():
    result = swept(by="camera")
    choice = result.choose(precision_at_least=0.85, current=0.4567)
    marked = {choice.threshold, *choice.thresholds["threshold"], 0.4567}
    assert len(marked) == 5
    found = stops(result, choice=choice)
    assert marked <= set(found) == marked | {float(f"{i}e-2") for i in range(101)}
    assert found == sorted(found)


def test_among_too_many_groups_the_slider_stops_at_the_thresholds_of_the_whole_alone():
    frame = labelled().assign(camera=np.resize(range(MOST_STOPS), 900))
    current = pd.Series(np.arange(MOST_STOPS) / 1000, index=pd.Index(range(MOST_STOPS), name="camera"))
    result = sweep(frame, score="score", truth="truth", by="camera")
    choice = swept().choose(precision_at_least=0.85)
    # With the threshold chosen for the whole there is one more than allowed.
    assert len(stops(result, current=current)) == 101 + MOST_STOPS - 5
    assert set(stops(result, current=current, choice=choice)) - set(stops(result)) == {choice.threshold}


def test_a_choice_that_keeps_the_threshold_in_force_has_one_name():
    result = swept()
    choice = result.choose(maximize="f1", current=result.choose(maximize="f1").threshold)
    assert choice.is_kept
    svg = drawn(result, choice=choice)
    assert ", and chosen" in svg
    assert ">chosen" not in svg
    assert "Kept: " in svg


def test_a_refused_choice_marks_nothing_and_says_why():
    result = swept()
    choice = result.choose(precision_at_least=0.999, recall_at_least=0.99)
    (row,) = rows(result, choice=choice)
    assert "chosen" not in row
    assert row["caption"].startswith("No threshold: a precision of at least 0.999")


def test_a_choice_never_to_fire_has_no_place():
    result = sweep(pd.DataFrame({"score": [0.5] * 60, "truth": [False] * 60}), score="score", truth="truth")
    choice = result.choose(cost_missed=1, cost_false_alarm=1)
    assert choice.threshold == math.inf
    (row,) = rows(result, choice=choice)
    assert "chosen" not in row
    assert row["caption"].startswith("Chosen: never to fire")


def test_each_group_has_its_own_choice_and_all_together_has_the_whole():
    result = swept(by="camera")
    choice = result.choose(precision_at_least=0.85, current=0.3)
    whole, *groups = rows(result, choice=choice)
    assert whole["chosen"] == choice.threshold
    assert [row["chosen"] for row in groups] == choice.thresholds["threshold"].tolist()


def test_between_a_group_and_the_whole_nothing_was_chosen():
    result = swept(by=["camera", "hour"])
    found = {row["key"]: row for row in rows(result, choice=result.choose(precision_at_least=0.85))}
    assert "chosen" in found["-1,-1"]
    assert "chosen" not in found["0,-1"]
    assert "chosen" in found["0,1"]


def test_a_choice_without_groups_holds_in_every_group():
    choice = swept().choose(precision_at_least=0.85)
    assert {row["chosen"] for row in rows(swept(by="camera"), choice=choice)} == {choice.threshold}


def test_the_threshold_in_force_may_differ_from_group_to_group():
    index = pd.Index(["gate", "shed", "yard"], name="camera")
    whole, *groups = rows(swept(by="camera"), current=pd.Series([0.3, 0.4, 0.3], index=index))
    assert "current" not in whole
    assert [row["current"] for row in groups] == [0.3, 0.4, 0.3]


def other_score() -> object:
    frame = labelled().assign(risk=50)
    return sweep(frame, score="risk", truth="truth").choose(maximize="f1")


REFUSED = {
    "text": ({"current": "0.5"}, "current is '0.5'. Allowed: a finite number"),
    "true": ({"current": True}, "current is True"),
    "infinite": ({"current": math.inf}, "current is inf"),
    "percent": ({"current": 50}, r"50 lies outside of the scores, which .* Allowed: 0 to 1\."),
    "series without groups": ({"current": pd.Series([0.5])}, "indexed by .None.. Allowed: a number"),
    "no choice": ({"choice": 0.5}, "choice is float. Allowed: a ThresholdChoice, or None"),
    "choice of another score": ({"choice": other_score()}, "one of 'risk', and the sweep counts 'score'"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_marked_is_refused(kind):
    given, words = REFUSED[kind]
    with pytest.raises(BadInputError, match=words):
        panel(swept(), **given)


def test_a_fraction_among_percentages_may_be_chosen_but_not_typed():
    """It fires on nearly everything; who types one means another scale."""
    frame = pd.DataFrame({"score": [0.4, 0.7, 90.5] * 30, "truth": [True] * 90})
    result = sweep(frame, score="score", truth="truth")
    choice = result.choose(recall_at_least=1, verify_on=None)
    (row,) = rows(result, choice=choice)
    assert row["chosen"] == 0.4
    with pytest.raises(BadInputError, match=r"50 instead of 0\.5"):
        panel(result, current=0.5)


def test_a_choice_for_other_groups_is_refused():
    choice = swept(by="hour").choose(precision_at_least=0.85)
    with pytest.raises(BadInputError, match="2 groups by hour, and the sweep has 3 by camera"):
        panel(swept(by="camera"), choice=choice)


def test_a_series_for_other_keys_is_refused():
    index = pd.Index([1, 2], name="hour")
    with pytest.raises(BadInputError, match=r"indexed by \['hour'\]. Allowed: .* by \['camera'\]"):
        panel(swept(by="camera"), current=pd.Series([0.3, 0.4], index=index))
