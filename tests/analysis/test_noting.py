"""What a choice says beside its numbers: labels held out, what is not known, shares, rows that repeat."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

import secnb
from secnb.analysis.captions import amount, number
from secnb.errors import BadInputError

pytestmark = pytest.mark.filterwarnings("ignore::secnb.errors.FewLabelsWarning")

N = 2000
KINDS = (np.float32, np.float64)


def synthetic(**columns):
    """Synthetic events of three weeks: Beta(5, 2) where true, Beta(2, 3) where false."""
    generator = np.random.default_rng(0)
    truth = generator.random(N) < 0.55
    times = pd.Timestamp("2026-03-20", tz="UTC") + pd.to_timedelta(np.arange(N) / N * 21, unit="D")
    return pd.DataFrame(
        {
            "event_id": np.arange(1, N + 1),
            "started_at": times,
            "score": np.where(truth, generator.beta(5, 2, N), generator.beta(2, 3, N)).round(3),
            "truth": pd.array(truth, dtype="boolean"),
            **columns,
        }
    )


def swept(frame, **kwargs):
    return secnb.sweep(frame, score="score", truth="truth", **kwargs)


def labelled_from(day, *, also=0):
    frame = synthetic()
    is_labelled = frame["started_at"] >= pd.Timestamp(day, tz="UTC")
    is_labelled.iloc[:also] = True
    return frame.assign(truth=frame["truth"].where(is_labelled))


def test_labels_that_all_lie_in_the_period_that_verifies_are_said():
    sweep = swept(labelled_from("2026-04-05"))
    choice = sweep.choose(precision_at_least=0.8)
    assert choice.reason == (
        "nothing is labelled in the part chosen on: all 476 labels lie in the period that verifies; "
        "verify_on=None chooses on everything"
    )
    assert (choice.periods.n_labelled, choice.periods.n_labelled_later) == (0, 476)
    assert sweep.choose(precision_at_least=0.8, verify_on=None).threshold is not None


def test_more_labels_held_out_than_chosen_on_are_said():
    text = swept(labelled_from("2026-04-05", also=11)).choose(precision_at_least=0.6).explain()
    assert "Of 487 labels, 476 lie in the period that verifies: the choice rests on the other 11" in text
    assert "Only 11 units are labelled in the part chosen on" in text
    assert "lie in the period that verifies" not in swept(synthetic()).choose(maximize="f1").explain()


def test_what_fires_below_what_was_recorded_is_not_known():
    frame = synthetic()[lambda each: each["score"] > 0.5]
    choice = swept(frame, recorded_from=0.5).choose(recall_at_least=0.9, current=0.4)
    assert "What fires now, at 0.4, is not known: nothing below 0.5 was recorded." in choice.explain()
    assert "Per day: " not in choice.explain()
    assert choice.changes.empty
    assert choice.thresholds["fired_per_day_now"].isna().all()


def test_what_may_not_have_been_recorded_is_said():
    sweep = swept(synthetic()[lambda each: each["score"] > 0.5])
    assert "No score lies below 0.501: if the recorder" in sweep.choose(maximize="f1", current=0.4).explain()
    assert "No score lies below" not in sweep.choose(maximize="f1", current=0.5).explain()


def test_nothing_is_said_of_scores_where_there_are_none():
    choice = swept(synthetic().iloc[:0]).choose(maximize="f1", current=0.5)
    assert choice.notes == ()


def test_the_groups_whose_current_threshold_is_not_known_are_counted():
    frame = synthetic(site=np.arange(N) % 3)[lambda each: each["score"] > 0.5]
    current = pd.Series([0.4, 0.45, 0.6], index=pd.Index([0, 1, 2], name="site"))
    choice = swept(frame, by="site", recorded_from=0.5).choose(recall_at_least=0.9, current=current)
    assert "What fires now, in 2 groups, is not known" in choice.explain()
    assert choice.thresholds["fired_per_day_now"].notna().tolist() == [False, False, True]


def test_the_hint_for_text_and_answers_helps():
    texts = synthetic()["score"].mul(100).astype(str)
    with pytest.raises(BadInputError, match=r"str.rstrip\('% '\).astype\(float\) / 100"):
        swept(synthetic(score=texts + "%"))
    with pytest.raises(BadInputError, match="a score is the number that they were made from"):
        swept(synthetic(score=True))


@pytest.mark.parametrize(
    ("factor", "current"), [(1, 50), (1, -3), (100, 0.5)], ids=["percent", "negative", "fraction"]
)
def test_a_current_threshold_of_another_scale_is_refused(factor, current):
    sweep = swept(synthetic().assign(score=lambda each: each["score"] * factor))
    with pytest.raises(BadInputError, match=rf"The threshold {current} lies outside of the scores"):
        sweep.choose(maximize="f1", current=current)


@pytest.mark.parametrize("current", [0, 0.999, 1, np.inf])
def test_a_current_threshold_beyond_the_scores_is_of_their_scale(current):
    frame = synthetic().assign(score=lambda each: each["score"] * 0.9)
    assert swept(frame).choose(maximize="f1", current=current).whole.current == current


def test_the_share_of_missed_objects_is_called_a_share():
    text = swept(synthetic(), n_missed=500).choose(recall_at_least=0.4).explain()
    assert "Of the 500 missed objects without rows, 340 are counted in the part chosen on" in text


def test_rows_of_one_event_prove_nothing_and_are_said():
    frame = pd.concat([synthetic().head(60)] * 4)
    choice = swept(frame).choose(precision_at_least=0.5, confidence=0.9, verify_on=None)
    assert not choice.is_guaranteed
    assert "rows of one event_id are not independent units; keep one row of each" in choice.explain()
    assert "Some rows have the same event_id" in choice.explain()
    once = swept(synthetic().head(240)).choose(precision_at_least=0.5, confidence=0.9, verify_on=None)
    assert once.is_guaranteed
    assert "Some rows have the same" not in once.explain()


@pytest.mark.parametrize(
    ("ids", "name"),
    [
        (pd.array([3, 1, None, None], dtype="Int64"), None),
        (pd.array([3, 1, None, 3], dtype="Int64"), "event_id"),
        (["b", "a", None, "b"], "event_id"),
        ([[1], [1], None, {}], None),
    ],
)
def test_ids_that_are_missing_or_none_are_not_the_same(ids, name):
    assert swept(synthetic().head(4).assign(event_id=ids)).units.repeated == name


def test_an_event_may_stand_once_in_each_group():
    frame = pd.concat([synthetic(label="person"), synthetic(label="car")])
    assert swept(frame, by="label").units.repeated is None
    assert swept(frame).units.repeated == "event_id"


def test_dates_are_those_of_the_zone_of_the_days():
    """The column is in UTC, where the last event comes a day earlier."""
    frame = synthetic()
    frame["started_at"] += pd.Timedelta(hours=22, minutes=40)
    frame.attrs["timezone"] = "Europe/Berlin"
    choice = swept(frame).choose(maximize="f1")
    assert "to 2026-04-11)." in choice.explain()
    assert choice.periods.chosen_from == frame["started_at"].iloc[0]


def test_a_missing_key_is_called_missing():
    frame = synthetic(site=np.where(np.arange(N) % 2, "a", None))
    assert "Site missing: " in swept(frame, by="site").choose(maximize="f1").explain().replace("site", "Site")


def test_counts_are_written_in_full_and_one_is_one():
    frame = synthetic(started_at=pd.NaT)
    choice = swept(frame).choose(precision_at_least=0.8, current=0.5)
    fired = [amount(int((frame["score"] >= at).sum())) for at in (choice.threshold, 0.5)]
    assert f"In all: {fired[0]} alerts instead of {fired[1]}," in choice.explain()
    assert "\u2009" in fired[0]
    one = pd.DataFrame({"score": [0.1, 0.9], "truth": [False, True]})
    assert "At 0.9: 1 unit fires, 1 of them true" in swept(one).choose(maximize="f1").explain()
    assert "Only 1 unit is labelled: " in swept(one.head(1)).choose(maximize="f1").explain()
    assert [number(each) for each in (0.1234, 3421.4, 48_600.0)] == ["0.123", "3\u2009421", "48\u2009600"]


def test_what_fires_is_a_weight_where_units_have_one():
    choice = swept(synthetic(w=3), weight="w").choose(precision_at_least=0.8, verify_on=None)
    n = int((synthetic()["score"] >= choice.threshold).sum())
    said = f"what fires weighs {amount(3 * n)}, by w; from {amount(n)} labels among them, weighted"
    assert said in choice.explain()
    unverified = synthetic(w=3, truth=synthetic()["truth"].where(np.arange(N) % 2 == 0))
    text = swept(unverified, weight="w").choose(precision_at_least=0.8).explain()
    assert "Not all was verified, of what fires or of what lies below: whatever" in text


def test_what_is_chosen_of_single_precision_is_one_number_everywhere():
    """0.53 as a float of 32 bits lies below 0.53: who typed that would fire on fewer."""
    frame = synthetic().assign(score=lambda each: each["score"].round(2).astype("float32"))
    for rule in ({"precision_at_least": 0.8}, {"precision_at_least": 0.8, "confidence": 0.9}):
        choice = swept(frame).choose(**rule, verify_on=None)
        said = choice.to_dict()["threshold"]
        assert f"to {said}." in choice.explain()
        fired = {int((frame["score"].to_numpy().astype(kind) >= kind(said)).sum()) for kind in KINDS}
        decimal = frame["score"].astype(str).astype(float)
        assert fired == {int((decimal >= said).sum())} == {int(choice.earlier["n_fired"].iloc[0])}


def test_tables_show_thresholds_in_full():
    frame = synthetic(site="a").assign(score=lambda each: (each["score"] + 0.0005).round(4))
    choice = swept(frame, by="site").choose(maximize="f1", current=0.5005)
    assert len(f"{choice.threshold:.6g}") == 6
    for threshold in (choice.threshold, 0.5005):
        assert f"<td>{threshold}</td>" in choice._repr_html_()


def test_alerts_per_day_are_written_in_full():
    frame = pd.concat([synthetic().drop(columns="event_id")] * 20)
    assert re.search(r"<td>1\u2009\d{3}</td>", swept(frame).choose(maximize="f1")._repr_html_())
