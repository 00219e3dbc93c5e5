"""Choosing: published optima, laws, guarantees and their refusals, periods, groups, edges."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer

import secnb
from secnb.analysis.choices import ThresholdChoice
from secnb.bridge import waiting
from secnb.errors import BadInputError

pytestmark = pytest.mark.filterwarnings("ignore::secnb.errors.FewLabelsWarning")

RULES = [
    {"precision_at_least": 0.7},
    {"recall_at_least": 0.6},
    {"precision_at_least": 0.5, "recall_at_least": 0.5},
    {"cost_missed": 3.0, "cost_false_alarm": 1.0},
    {"cost_missed": 3.0, "cost_false_alarm": 1.0, "recall_at_least": 0.5},
    {"maximize": "f1"},
    {"maximize": "f1", "precision_at_least": 0.4},
    {"maximize": "precision", "recall_at_least": 0.3, "precision_at_least": 0.2},
]
RANDOM_AUDIT = {"precision_at_least": 0.9, "confidence": 0.9}

rows = st.lists(
    st.tuples(st.integers(0, 8).map(float), st.sampled_from([True, False, None]), st.sampled_from("ab")),
    max_size=25,
)


def framed(rows):
    frame = pd.DataFrame(rows, columns=["score", "truth", "key"])
    return frame.astype({"score": "float64", "truth": "boolean", "key": "str"})


def swept(frame, **kwargs):
    return secnb.sweep(frame, score="score", truth="truth", **kwargs)


def cancer():
    data = load_breast_cancer()
    return swept(pd.DataFrame({"score": data.data[:, 20], "truth": 1 - data.target}))


def detector(n, *, seed=0, days=30, **columns):
    """Synthetic: Beta(6, 2) where true, Beta(2, 4) where false, prevalence 0.4, spread evenly over days."""
    generator = np.random.default_rng(seed)
    truth = generator.random(n) < 0.4
    score = np.where(truth, generator.beta(6, 2, n), generator.beta(2, 4, n))
    times = pd.Timestamp("2026-03-01", tz="UTC") + pd.to_timedelta(np.arange(n) / n * days, unit="D")
    return pd.DataFrame({"score": score, "truth": truth, "started_at": times, **columns}).astype(
        {"truth": "boolean"}
    )


def at_choice(choice, row=0):
    return choice.earlier.iloc[row]


def test_highest_f1_as_published():
    choice = cancer().choose(maximize="f1")
    counts = at_choice(choice)[["tp", "fp", "fn", "tn"]].tolist()
    assert (choice.threshold, counts) == (16.82, [179, 11, 33, 346])
    assert round(at_choice(choice)["f1"], 10) == 0.8905472637


def test_highest_recall_with_a_floor_of_precision_as_published():
    choice = cancer().choose(precision_at_least=0.95)
    assert (choice.threshold, round(at_choice(choice)["recall"], 10)) == (17.04, 0.8207547170)


def test_highest_precision_with_a_floor_of_recall_as_published():
    choice = cancer().choose(recall_at_least=0.95)
    assert (choice.threshold, round(at_choice(choice)["precision"], 10)) == (15.29, 0.7651515152)


def test_least_cost_as_published():
    choice = cancer().choose(cost_missed=10, cost_false_alarm=1)
    assert choice.threshold == 14.91
    assert 10 * at_choice(choice)["fn"] + at_choice(choice)["fp"] == 133
    assert "cost 133;" in choice.explain()


def value_of(row, rule):
    """Say what a rule makes of one row of the table, by its definition; None where it cannot be chosen."""
    precision, recall = row["precision"], row["recall"]
    if not (precision >= rule.get("precision_at_least", -1) or "precision_at_least" not in rule):
        return None
    if not (recall >= rule.get("recall_at_least", -1) or "recall_at_least" not in rule):
        return None
    if "cost_missed" in rule:
        return -(rule["cost_missed"] * row["fn"] + rule["cost_false_alarm"] * row["fp"])
    name = rule.get("maximize") or ("recall" if "precision_at_least" in rule else "precision")
    return None if np.isnan(row[name]) else row[name]


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=25)
@given(rows=rows)
def test_no_threshold_does_better_and_equals_go_to_the_highest(rule, rows):
    sweep = swept(framed(rows))
    table = sweep.frame
    choice = sweep.choose(**rule)
    values = [value_of(row, rule) for _, row in table.iterrows()]
    possible = [value for value in values if value is not None]
    if not possible or not framed(rows)["truth"].notna().any():
        assert choice.threshold is None
        assert choice.reason
    else:
        best = max(possible)
        highest = max(t for t, v in zip(table["threshold"], values, strict=True) if v == best)
        assert choice.threshold == highest


@pytest.mark.parametrize("rule", RULES[::2])
@settings(max_examples=12)
@given(rows=rows)
def test_ranks_choose_the_same_units_and_doubled_rows_the_same_threshold(rule, rows):
    frame = framed(rows)
    choice = swept(frame).choose(**rule)
    assert swept(pd.concat([frame, frame])).choose(**rule).threshold == choice.threshold
    ranked = swept(frame.assign(score=frame["score"].rank(method="dense"))).choose(**rule)
    assert (
        ranked.earlier["n_fired"].tolist() == choice.earlier["n_fired"].tolist() or choice.threshold is None
    )


@settings(max_examples=12)
@given(rows=rows, random=st.randoms())
def test_row_order_does_not_matter(rows, random):
    shuffled = rows.copy()
    random.shuffle(shuffled)
    one, other = (swept(framed(each), by="key").choose(maximize="f1") for each in (rows, shuffled))
    columns = ["threshold", "best", "plateau_low", "plateau_high", "reason", "precision", "recall"]
    pd.testing.assert_frame_equal(one.thresholds[columns], other.thresholds[columns])


def test_equal_arguments_give_equal_choices():
    sweep = swept(detector(400, key=["a", "b"] * 200), by="key")
    one, other = (sweep.choose(maximize="f1", current=0.5).to_dict() for _ in range(2))
    assert one == other


def test_whole_weights_choose_like_repeated_rows():
    frame = detector(200).assign(times=[1, 2] * 100)
    weighted = swept(frame, weight="times").choose(cost_missed=2, cost_false_alarm=1, verify_on=None)
    repeated = swept(frame.loc[frame.index.repeat(frame["times"])]).choose(
        cost_missed=2, cost_false_alarm=1, verify_on=None
    )
    assert weighted.threshold == repeated.threshold
    assert weighted.plateau == repeated.plateau


def test_probabilities_choose_like_the_whole_that_they_stand_for():
    """Below 0.5 one label in four is kept; divided by its probability it stands for all four."""
    frame = detector(4000, seed=2)
    chance = np.where(frame["score"] < 0.5, 0.25, 1.0)
    kept = np.random.default_rng(0).random(len(frame)) < chance
    sampled = frame.assign(probability=chance, truth=frame["truth"].where(kept))
    rule = {"recall_at_least": 0.95, "verify_on": None}
    whole = swept(frame).choose(**rule).threshold
    weighted = swept(sampled, probability="probability").choose(**rule).threshold
    assert weighted == pytest.approx(whole, abs=0.02)
    assert swept(sampled).choose(**rule).threshold > whole + 0.04


TIED = framed([(1, True, "a"), (2, False, "a"), (3, True, "a"), (4, False, "a"), (5, True, "a")])


@pytest.mark.parametrize(("current", "expected"), [(None, 5), (0.5, 1), (2.9, 3), (4.8, 5)])
def test_among_equals_the_nearest_to_the_current_one_else_the_highest(current, expected):
    choice = swept(TIED).choose(cost_missed=1, cost_false_alarm=1, current=current)
    assert choice.whole.best == expected


def test_a_floor_that_cannot_be_reached_says_what_is_best():
    frame = framed([(5, False, "a"), (4, True, "a"), (3, True, "a"), (2, True, "a")])
    choice = swept(frame).choose(precision_at_least=0.9)
    assert choice.threshold is None
    assert choice.reason == "a precision of at least 0.9 is not reachable; the best is 0.75 at 2"


def test_floors_that_exclude_each_other_say_what_is_best():
    choice = cancer().choose(precision_at_least=1, recall_at_least=0.9)
    assert choice.threshold is None
    assert choice.reason.endswith("together; with that precision the best recall is 0.594 at 19.85")


def test_misses_put_a_floor_of_recall_out_of_reach():
    frame = detector(200)
    assert swept(frame).choose(recall_at_least=0.9).threshold is not None
    choice = swept(frame, n_missed=60).choose(recall_at_least=0.9)
    assert choice.threshold is None
    assert "a recall of at least 0.9 is not reachable" in choice.reason


def test_never_to_fire_can_be_chosen():
    choice = swept(framed([(1, False, "a"), (2, False, "a")])).choose(cost_missed=1, cost_false_alarm=1)
    assert choice.threshold == np.inf
    assert "inf (never fire)" in choice.explain()
    assert choice.to_dict()["threshold"] == "inf"


def test_the_current_threshold_is_kept_on_the_plateau():
    choice = cancer().choose(maximize="f1", current=16.9)
    assert (choice.threshold, choice.is_kept, choice.whole.best) == (16.9, True, 16.82)
    assert "no change is justified" in choice.explain().splitlines()[0]


def test_the_current_threshold_is_kept_in_the_interval():
    choice = cancer().choose(maximize="f1", current=16.5)
    assert choice.plateau[0] > 16.5 > choice.interval[0]
    assert (choice.threshold, choice.is_kept) == (16.5, True)


def test_the_current_threshold_is_not_kept_when_it_breaks_a_floor():
    choice = cancer().choose(precision_at_least=0.95, current=17.0)
    assert choice.interval[0] < 17.0 < choice.interval[1]
    assert (choice.threshold, choice.is_kept) == (17.04, False)


def test_the_current_threshold_is_not_kept_when_another_is_clearly_better():
    choice = cancer().choose(maximize="f1", current=10.0)
    assert (choice.threshold, choice.is_kept) == (16.82, False)
    assert choice.explain().startswith("Raise the threshold of score from 10 to 16.82.")


def test_the_plateau_is_all_that_is_nearly_as_good():
    sweep = cancer()
    choice = sweep.choose(maximize="f1")
    near = sweep.frame.query("f1 >= f1.max() - 0.01")["threshold"]
    assert choice.plateau == (near.min(), near.max())


def test_the_interval_of_the_best_threshold_holds_the_best_of_the_population():
    """In nine of ten samples of 300; where both cost the same, the best is where the densities cross."""
    crossing = 0.5892
    held = 0
    for seed in range(30):
        choice = swept(detector(300, seed=seed)).choose(cost_missed=1, cost_false_alarm=1, verify_on=None)
        held += choice.interval[0] <= crossing <= choice.interval[1]
    assert held >= 27


def test_clusters_widen_the_interval():
    frame = detector(60).drop(columns="started_at")
    frames = frame.loc[frame.index.repeat(10)].reset_index(names="episode")
    alone = swept(frames).choose(maximize="f1").interval
    clustered = swept(frames, cluster="episode").choose(maximize="f1").interval
    episodes = swept(frame).choose(maximize="f1").interval
    assert clustered == pytest.approx(episodes, abs=0.05)
    assert clustered[1] - clustered[0] > alone[1] - alone[0]


def audited(n_labels, *, seed=0, n=20_000):
    """So many labels drawn with equal probability."""
    frame = detector(n, seed=seed).drop(columns="started_at")
    drawn = np.random.default_rng(seed).permutation(n) < n_labels
    return frame.assign(truth=frame["truth"].where(drawn), probability=n_labels / n)


def test_a_guarantee_from_labels_of_every_unit():
    choice = swept(detector(3000).drop(columns="started_at")).choose(**RANDOM_AUDIT)
    assert choice.is_guaranteed
    assert choice.n_labels_needed is None
    assert at_choice(choice)["precision"] > 0.9
    assert "Guaranteed for later units like these" in choice.explain()


def test_a_guarantee_from_labels_drawn_with_equal_probability():
    choice = swept(audited(1000), probability="probability").choose(**RANDOM_AUDIT)
    assert choice.is_guaranteed
    # Grid thresholds are the numbers that people write.
    assert choice.threshold == round(choice.threshold, 2)


def test_no_guarantee_without_a_word_on_how_labels_came_about():
    frame = audited(900).drop(columns="probability")
    choice = swept(frame).choose(**RANDOM_AUDIT)
    assert not choice.is_guaranteed
    assert choice.threshold == swept(frame).choose(precision_at_least=0.9).threshold
    assert choice.whole.guarantee.sentence == (
        f"no guarantee: these labels are not a random sample; draw {choice.n_labels_needed} with "
        'label_next(design="audit") for about an even chance or better of one that keeps half of '
        "the true units, if they come out like those seen"
    )
    assert "No guarantee: these labels are not a random sample" in choice.explain()


@pytest.mark.parametrize("n_labels", [200, 900, 3000])
def test_without_a_guarantee_it_asks_for_as_many_random_labels_as_it_takes(n_labels):
    """However many verdicts of unknown origin there are."""
    choice = swept(audited(n_labels).drop(columns="probability")).choose(**RANDOM_AUDIT)
    assert 150 <= choice.n_labels_needed <= 350


def test_no_guarantee_is_promised_where_nothing_is_known_of_any_threshold():
    choice = swept(detector(300), recorded_from=2.0).choose(**RANDOM_AUDIT)
    assert choice.reason == "no guarantee: nothing is known of the thresholds that could be chosen"
    assert choice.n_labels_needed is None


def test_no_guarantee_from_a_sample_that_depends_on_the_score():
    frame = detector(20_000).drop(columns="started_at")
    chance = np.clip(frame["score"] / 10, 0.001, 1)
    drawn = np.random.default_rng(1).random(len(frame)) < chance
    frame = frame.assign(truth=frame["truth"].where(drawn), probability=chance)
    choice = swept(frame, probability="probability").choose(**RANDOM_AUDIT)
    assert not choice.is_guaranteed
    assert choice.threshold is not None
    sentence = choice.whole.guarantee.sentence
    assert sentence.startswith("no guarantee: these labels were drawn with unequal probabilities")


def test_no_guarantee_from_feedback_among_drawn_labels():
    frame = audited(1000)
    frame.loc[frame["score"].idxmax(), ["truth", "probability"]] = [True, np.nan]
    choice = swept(frame, probability="probability").choose(**RANDOM_AUDIT)
    assert not choice.is_guaranteed
    assert "not a random sample" in choice.explain()


def test_a_guarantee_where_the_probability_is_constant_above_some_score():
    """Below 0.6 fewer were drawn; above it the sample is as good as any."""
    frame = detector(20_000).drop(columns="started_at")
    chance = np.where(frame["score"] < 0.6, 0.01, 0.1)
    drawn = np.random.default_rng(1).random(len(frame)) < chance
    frame = frame.assign(truth=frame["truth"].where(drawn), probability=chance)
    choice = swept(frame, probability="probability").choose(**RANDOM_AUDIT)
    assert choice.is_guaranteed
    assert choice.threshold > 0.6


def test_no_guarantee_from_frames_of_one_episode():
    frame = detector(300).drop(columns="started_at")
    frames = frame.loc[frame.index.repeat(10)].reset_index(names="episode")
    choice = swept(frames, cluster="episode").choose(**RANDOM_AUDIT)
    assert not choice.is_guaranteed
    assert "units of one cluster are not independent" in choice.explain()


def test_too_few_labels_leave_no_threshold_and_say_about_how_many_more():
    choice = swept(audited(60), probability="probability").choose(**RANDOM_AUDIT)
    assert choice.threshold is None
    assert choice.n_labels_needed > 0
    assert (
        f"about {choice.n_labels_needed} more labels give about an even chance or better of one"
        in choice.reason
    )


def test_a_guarantee_is_seldom_violated():
    """Audits of 500 labels; the precision of the population is 0.9 at 0.6439."""
    lowest = [
        swept(detector(500, seed=seed).drop(columns="started_at")).choose(**RANDOM_AUDIT).threshold
        for seed in range(60)
    ]
    answered = [t for t in lowest if t is not None]
    assert len(answered) >= 42
    assert sum(t < 0.6438 for t in answered) <= 6


def test_the_current_threshold_is_tested_with_the_grid():
    choice = swept(audited(3000), probability="probability").choose(**RANDOM_AUDIT, current=0.6875)
    assert 0.6875 in choice.whole.guarantee.proven
    assert 0.5001 not in choice.whole.guarantee.proven


def alerts(per_day, *, seed=0):
    """Synthetic: so many scored, unlabelled units on each local day, from noon on."""
    generator = np.random.default_rng(seed)
    day = np.repeat(np.arange(len(per_day)), per_day)
    times = pd.Timestamp("2026-03-01T12:00", tz="UTC") + pd.to_timedelta(day, unit="D")
    frame = pd.DataFrame({"score": generator.random(len(day)), "started_at": times})
    return frame.assign(truth=pd.array([None] * len(day), dtype="boolean"))


def test_a_budget_is_kept_by_the_smallest_threshold_of_conformal_risk_control():
    # The first and the last day are partial, and do not count.
    frame = alerts([5, *np.random.default_rng(1).poisson(20, 29), 5])
    choice = swept(frame).choose(alerts_per_day_at_most=10, verify_on=None)
    days = frame["started_at"].dt.date
    inner = frame[(days > days.min()) & (days < days.max())]

    def n_over(t):
        return int((inner[inner["score"] >= t].groupby(inner["started_at"].dt.date).size() > 10).sum())

    assert (n_over(choice.threshold) + 1) / 30 <= 0.1
    lower = frame["score"][frame["score"] < choice.threshold].max()
    assert (n_over(lower) + 1) / 30 > 0.1
    assert choice.interval[0] <= choice.threshold <= choice.interval[1]


def test_silent_days_keep_the_budget():
    per_day = np.zeros(31, dtype=int)
    per_day[[0, 10, 30]] = [3, 40, 3]
    choice = swept(alerts(per_day)).choose(alerts_per_day_at_most=10, verify_on=None)
    # One day of 29 may exceed it, so that everything may fire.
    assert choice.earlier["n_fired"].iloc[0] == 46


def test_a_budget_takes_nine_whole_days():
    choice = swept(alerts([5] * 10)).choose(alerts_per_day_at_most=3, verify_on=None)
    assert choice.threshold is None
    assert choice.reason == "a budget on 90 % of days takes at least 9 whole days; there are 8"


def test_a_budget_of_nothing_never_fires():
    choice = swept(alerts([5] * 12)).choose(alerts_per_day_at_most=0, verify_on=None)
    assert choice.threshold == np.inf


def test_a_budget_that_infinite_scores_exceed_says_so():
    frame = detector(3000).assign(score=np.inf)
    reason = swept(frame).choose(alerts_per_day_at_most=1).reason
    assert reason == "even at inf more alerts fire than the budget allows, since scores are infinite"


def test_a_floor_out_of_reach_within_a_budget_names_the_budget():
    frame = detector(3000)
    rule = {"recall_at_least": 0.9, "alerts_per_day_at_most": 10}
    assert swept(frame).choose(recall_at_least=0.9).threshold is not None
    reason = swept(frame).choose(**rule).reason
    assert reason.startswith("a recall of at least 0.9 is not reachable; the best is 0.")
    assert reason.endswith(" (with at most 10 per day)")


def test_proven_thresholds_that_break_the_budget_are_not_called_unknown():
    """Nothing but 0 and 0.5 is tested; more than one a day is at or above either."""
    frame = detector(3000).assign(truth=True)
    rule = {"precision_at_least": 0.8, "confidence": 0.9, "alerts_per_day_at_most": 1}
    reason = swept(frame, at=[0.0, 0.5]).choose(**rule).reason
    assert reason == "no threshold with that precision keeps the budget (with at most 1 per day)"


def test_a_budget_limits_what_a_floor_may_choose():
    frame = detector(3000)
    free = swept(frame).choose(precision_at_least=0.8)
    limited = swept(frame).choose(precision_at_least=0.8, alerts_per_day_at_most=20, days_within=0.8)
    assert limited.threshold > free.threshold
    assert limited.later["n_days_over"].iloc[0] <= limited.later["n_days"].iloc[0]
    assert "exceeded the budget" in limited.explain()


def test_nothing_of_the_later_part_is_looked_at():
    frame = detector(1000)
    late = frame["started_at"] >= frame["started_at"].min() + pd.Timedelta(days=0.7 * 29.97)
    spoilt = frame.assign(truth=frame["truth"].where(~late, ~frame["truth"]))
    one, other = (swept(each).choose(maximize="f1", current=0.3) for each in (frame, spoilt))
    assert one.threshold == other.threshold
    assert one.interval == other.interval
    pd.testing.assert_frame_equal(one.earlier, other.earlier)
    assert one.later["precision"].iloc[0] > other.later["precision"].iloc[0]


def test_the_later_part_is_the_last_share_of_the_time():
    choice = swept(detector(1000, days=10)).choose(maximize="f1", verify_on="last 20 %")
    periods = choice.periods
    assert periods.chosen_until < pd.Timestamp("2026-03-09", tz="UTC") <= periods.verified_from
    assert "Chosen on 8.0 days (2026-03-01 to 2026-03-08) alone, verified on the later" in choice.explain()


def test_the_cut_lies_between_clusters():
    frame = detector(1000, episode=np.arange(1000) // 10)
    choice = swept(frame, cluster="episode").choose(maximize="f1")
    cut = frame["started_at"].searchsorted(choice.periods.verified_from)
    assert cut % 10 == 0
    assert choice.periods.chosen_until == frame["started_at"].iloc[cut - 1]


def test_a_floor_that_broke_since_is_said():
    frame = detector(2000)
    late = np.arange(2000) > 1400
    frame["truth"] = frame["truth"] & ~(late & (np.arange(2000) % 2 == 0))
    text = swept(frame).choose(precision_at_least=0.9).explain()
    assert "The floor of precision, 0.9, is broken there" in text
    assert "Precision drifts: it changed by -0." in text


def test_scores_that_drift_are_said():
    frame = detector(2000)
    frame.loc[1500:, "score"] /= 2
    assert "The scores drift" in swept(frame).choose(maximize="f1").explain()


def test_without_a_change_no_drift_is_said():
    assert "No drift of scores or precision" in swept(detector(2000, seed=1)).choose(maximize="f1").explain()


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (detector(100).drop(columns="started_at"), "there are no times with a zone"),
        (detector(100, days=0), "all units happened at once"),
    ],
)
def test_without_a_later_part_it_says_why(frame, why):
    assert f"Not verified on later units: {why}." in swept(frame).choose(maximize="f1").explain()


def test_without_a_threshold_it_does_not_say_that_one_was_verified():
    text = swept(detector(1000, seed=1)).choose(precision_at_least=1, recall_at_least=1).explain()
    assert "Looked at 21.0 days (2026-03-01 to 2026-03-21) alone; the later 9.0 days" in text
    assert "verified on" not in text
    assert "No drift of scores beyond chance." in text


def test_each_group_has_to_keep_the_floor_on_later_units():
    """The alarms of one of three cameras turn false in the later part; together they still keep the floor."""
    frame = detector(6000, key=np.arange(6000) % 3)
    frame.loc[(frame["key"] == 0) & (frame.index > 4200), "truth"] = False
    text = swept(frame, by="key").choose(precision_at_least=0.5, alerts_per_day_at_most=50).explain()
    assert (
        "The floor of precision, 0.5, there, of 3 groups: kept in 2; broken in 1, by more than chance "
        "explains: choose again." in text
    )
    assert " of 21 whole days of single groups exceeded the budget." in text


@pytest.mark.parametrize("seconds", ["1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_a_clock_that_was_wrong_leaves_no_rates_and_no_later_part(seconds):
    frame = detector(600)
    frame["started_at"] = frame["started_at"].dt.as_unit("us")
    frame.loc[7, "started_at"] = pd.Timestamp(seconds).as_unit("us")
    choice = swept(frame).choose(maximize="f1")
    assert choice.whole.n_units == 600
    assert "the times lie more than ten years apart, so that some must be wrong" in choice.explain()
    assert " years, so some are wrong: counts, not rates." in choice.explain()
    assert swept(frame).choose(alerts_per_day_at_most=5).threshold is None


def test_everything_may_be_chosen_on():
    choice = swept(detector(100)).choose(maximize="f1", verify_on=None)
    assert choice.whole.n_units == 100
    assert "no later part was asked for" in choice.explain()


def test_each_group_is_chosen_for_as_if_it_were_alone():
    frame = detector(600, key=["a", "b", "c"] * 200)
    table = swept(frame, by="key").choose(maximize="f1", verify_on=None).thresholds.set_index("key")
    for key, rows in frame.groupby("key"):
        alone = swept(rows.drop(columns="key")).choose(maximize="f1", verify_on=None)
        assert table.loc[key, "threshold"] == alone.threshold
        assert (table.loc[key, "best_low"], table.loc[key, "best_high"]) == alone.interval
        assert table.loc[key, "recall"] == alone.earlier["recall"].iloc[0]


def nested():
    """Camera 1 has 20 labels at site a, 100 at site b and 30 at site c; camera 2 has 100 at site a."""
    sites = ["a"] * 20 + ["a"] * 100 + ["b"] * 100 + ["c"] * 30
    cameras = ["1"] * 20 + ["2"] * 100 + ["1"] * 100 + ["1"] * 30
    return detector(250, site=sites, camera=cameras)


def test_thin_groups_take_the_threshold_of_the_nearest_parent():
    frame = nested()
    choice = swept(frame, by=["site", "camera"]).choose(maximize="f1", verify_on=None)
    table = choice.thresholds.set_index(["site", "camera"])
    site_a = swept(frame[frame["site"] == "a"]).choose(maximize="f1", verify_on=None).threshold
    assert table.loc[("a", "1"), ["threshold", "status"]].tolist() == [site_a, "inherited"]
    assert table.loc[("a", "1"), "reason"] == "20 labels, under 50: the threshold of site a"
    assert table.loc[("c", "1"), ["threshold", "status"]].tolist() == [choice.threshold, "inherited"]
    assert table.loc[("c", "1"), "reason"] == "30 labels, under 50: the threshold of the whole"
    assert table.loc[("a", "2"), "status"] == "chosen"


def test_the_whole_of_groups_counts_each_at_its_own_threshold():
    choice = swept(nested(), by=["site", "camera"]).choose(maximize="f1", verify_on=None)
    counts = ["n_fired", "tp", "fp", "fn", "tn"]
    assert choice.earlier[counts].iloc[0].tolist() == choice.earlier[counts].iloc[1:].sum().tolist()


def test_the_explanation_begins_with_the_whole_and_names_every_group():
    lines = swept(nested(), by=["site", "camera"]).choose(maximize="f1").explain().splitlines()
    assert lines[0].startswith("4 groups by site, camera: ")
    assert sum(line.startswith("site ") for line in lines) == 4


def test_each_group_may_have_its_own_current_threshold():
    frame = detector(300, key=["a", "b", "c"] * 100)
    current = pd.Series([0.2, 0.9], index=pd.Index(["a", "b"], name="key"))
    table = swept(frame, by="key").choose(maximize="f1", current=current).thresholds.set_index("key")
    assert table["current"].tolist() == pytest.approx([0.2, 0.9, np.nan], nan_ok=True)
    assert table.loc["a", "fired_per_day_now"] > table.loc["a", "fired_per_day"]
    assert table.loc["b", "fired_per_day_now"] < table.loc["b", "fired_per_day"]


def test_what_changes_per_day_is_the_difference_of_the_sweep():
    frame = detector(1000)
    sweep = swept(frame)
    choice = sweep.choose(maximize="f1", current=0.2, verify_on=None)
    change = choice.changes.set_index("what")["change"]
    expected = sweep.at(choice.threshold).iloc[0] - sweep.at(0.2).drop(columns="evidence").iloc[0]
    assert change["alerts"] == pytest.approx(expected["fired_per_day"])
    assert change["false alarms"] == pytest.approx(expected["false_per_day"])
    assert choice.changes.attrs["per"] == "day"


def test_thresholds_of_unknown_evidence_are_never_chosen():
    frame = detector(500).assign(truth=lambda f: f["truth"].where(f["score"] >= 0.6))
    assert swept(frame).choose(precision_at_least=0.5).threshold < 0.62
    choice = swept(frame, shown_from=0.65).choose(precision_at_least=0.5, current=0.4)
    assert 0.65 <= choice.threshold < 0.67
    assert not choice.is_kept


def test_of_a_grid_only_its_thresholds_are_chosen():
    grid = [0.1, 0.3, 0.55, 0.6, 0.8]
    sweep = swept(detector(2000), at=grid)
    assert sweep.choose(maximize="f1").threshold in (0.55, 0.6)
    assert sweep.choose(**RANDOM_AUDIT).threshold == 0.8
    assert (
        swept(detector(2000)).at(0.4)["tp"].item()
        == (sweep.choose(maximize="f1", current=0.4, verify_on=None).earlier_current["tp"].iloc[0])
    )


def test_what_nobody_verified_leaves_recall_between_bounds():
    """The diaphanography study: fired 67, silent 833, of which 37 and 51 were verified."""
    groups = [(2, True, 26), (2, False, 11), (2, None, 30), (1, True, 7), (1, False, 44), (1, None, 782)]
    frame = framed([(score, truth, "a") for score, truth, n in groups for _ in range(n)])
    text = swept(frame).choose(precision_at_least=0.7).explain()
    assert "Nobody verified 30 of those that fire and 782 of those below" in text
    # 26 of 67 that fire are true for certain, and 30 more may be.
    assert "precision lies between 0.388 and 0.836, recall lies between 0.0319 and 0.889" in text
    assert "and is 0.292 if those verified are like the rest of their side" in text


@pytest.mark.parametrize("rule", [*RULES[3:6], RANDOM_AUDIT, {"alerts_per_day_at_most": 3}])
@pytest.mark.parametrize(
    "rows",
    [
        [],
        [(0.5, True, "a")],
        [(0.5, None, "a")],
        [(0.5, True, "a")] * 60,
        [(0.5, False, "a")] * 60,
        [(float("nan"), True, "a")] * 3,
        [(float("inf"), True, "a"), (float("-inf"), False, "b")],
    ],
)
@pytest.mark.parametrize("by", [[], ["key"]])
def test_edges_give_an_answer_or_a_reason(rows, rule, by):
    choice = swept(framed(rows), by=by).choose(**rule, current=0.5)
    assert isinstance(choice, ThresholdChoice)
    assert (choice.threshold is None) == bool(choice.reason and not choice.is_kept)
    assert len(choice.thresholds) == (framed(rows)["key"].nunique() if by else 1)
    assert choice.explain()
    assert choice._repr_html_()
    json.dumps(choice.to_dict(), allow_nan=False)


def test_a_group_of_nothing_but_misses_has_no_threshold_of_its_own():
    missed = pd.Series([0, 0, 5], index=pd.Index(["a", "b", "ghost"], name="key"))
    choice = swept(detector(200, key=["a", "b"] * 100), by="key", n_missed=missed).choose(maximize="f1")
    ghost = choice.thresholds.set_index("key").loc["ghost"]
    assert (ghost["status"], ghost["n_units"]) == ("inherited", 0)


def test_nothing_labelled_is_said():
    choice = swept(alerts([5] * 12)).choose(maximize="f1")
    assert choice.reason == "nothing is labelled"


def test_without_labels_it_says_how_many_a_guarantee_takes():
    choice = swept(alerts([5] * 12)).choose(**RANDOM_AUDIT, verify_on=None)
    assert choice.threshold is None
    assert choice.n_labels_needed == 46
    sweep = swept(alerts([5] * 40))
    assert sweep.choose(**RANDOM_AUDIT).n_labels_needed == pytest.approx(46 / 0.7, abs=2)


def test_weighted_counts_are_never_called_units_or_labels():
    """Half a unit does not fire, and labels that stand for others are not more than were given."""
    frame = detector(3000)
    frame["truth"] = frame["truth"].where(np.arange(3000) % 3 == 0)
    n_labels = int(frame["truth"].notna().sum())
    text = swept(frame.assign(p=1 / 3), probability="p").choose(maximize="f1", verify_on=None).explain()
    fired = int(re.search(r"units fire; from (\d+) labels among them, weighted: precision", text)[1])
    assert 0 < fired < n_labels
    assert (
        "(true and false estimated from labels)"
        in swept(frame.assign(p=1 / 3), probability="p").choose(maximize="f1", current=0.9).explain()
    )
    weighted = swept(frame.assign(w=0.3), weight="w").choose(maximize="f1", verify_on=None)
    weight = round(0.3 * (frame["score"] >= weighted.threshold).sum())
    assert f"what fires weighs {weight}, by w; from {fired} labels among them" in weighted.explain()
    assert weighted.earlier["n_labelled_fired"].tolist() == [fired]


def test_estimated_true_and_false_alarms_are_never_more_than_the_alerts():
    """Twice as many of the true ones are labelled as was said."""
    frame = detector(3000)
    frame["truth"] = frame["truth"].where(np.arange(3000) % np.where(frame["truth"], 2, 4) == 0)
    choice = swept(frame.assign(p=0.25), probability="p").choose(maximize="f1", current=0.9)
    for table in (
        choice.changes,
        swept(frame.assign(p=0.25), probability="p", by="p").choose(maximize="f1", current=0.9).changes,
    ):
        for column in ("current", "chosen"):
            alerts, true, false = table[column]
            assert true + false == pytest.approx(alerts)


def test_later_labels_are_counted_as_labels():
    frame = detector(3000).assign(w=0.37)
    choice = swept(frame, weight="w").choose(maximize="f1")
    later = frame.iloc[2100:]
    fired = int((later["score"] >= choice.threshold).sum())
    assert f"There {fired} labelled units fire: precision" in choice.explain()


def test_frames_of_one_episode_count_once_in_what_chance_explains_of_drift():
    frame = detector(500)
    frames = frame.loc[frame.index.repeat(10)].reset_index(names="episode")
    once = swept(frame).choose(maximize="f1").drift["score_distance_limit"].iloc[0]
    assert swept(frames, cluster="episode").choose(maximize="f1").drift["score_distance_limit"].iloc[
        0
    ] == pytest.approx(once)


def test_weights_widen_what_chance_explains_of_drift():
    frame = detector(2000).assign(w=np.where(np.arange(2000) % 100 == 0, 50.0, 0.1))
    limits = [
        swept(frame, weight=weight).choose(maximize="f1").drift["score_distance_limit"].iloc[0]
        for weight in (None, "w")
    ]
    assert limits[1] > 3 * limits[0]


@pytest.mark.parametrize(("current", "threshold"), [(np.inf, 3.0), (-np.inf, 1.0)])
def test_the_current_threshold_may_be_infinite(current, threshold):
    """The nearest of equals is the last one on that side."""
    frame = pd.DataFrame({"score": [1.0, 2.0, 3.0], "truth": [True, True, True]})
    choice = swept(frame).choose(maximize="precision", recall_at_least=0.1, current=current)
    assert choice.threshold == threshold


def test_columns_may_have_any_name():
    frame = nested().rename(columns={"score": 0, "truth": 1, "site": 2})
    sweep = secnb.sweep(frame, score=0, truth=1, by=2)
    assert repr(sweep).startswith("<ThresholdSweep of 0 by 2")
    choice = sweep.choose(maximize="f1")
    assert choice.explain().startswith("3 groups by 2")
    assert choice.thresholds[2].tolist() == nested()["site"].drop_duplicates().tolist()


def test_few_labels_are_said():
    assert "Only 30 units are labelled" in swept(detector(30)).choose(maximize="f1", verify_on=None).explain()


def test_thresholds_keep_the_kind_of_their_keys():
    frame = detector(300, hour=pd.array([7, None, 9] * 100, dtype="Int64"), key=pd.Categorical(["a"] * 300))
    table = swept(frame, by=["hour", "key"]).choose(maximize="f1").thresholds
    assert table["hour"].dtype == "Int64"
    assert table["key"].dtype == "category"
    assert table.columns[:5].tolist() == ["hour", "key", "threshold", "current", "status"]


def test_the_dict_is_plain_json_with_documented_keys():
    frame = detector(300, key=pd.Categorical([None, "<b>", "c"] * 100))
    choice = swept(frame, by="key").choose(**RANDOM_AUDIT, current=0.5)
    found = json.loads(json.dumps(choice.to_dict(), allow_nan=False))
    assert found["format"] == 1
    assert list(found) == [
        *("format", "score", "by", "unit", "question", "rule", "threshold", "whole", "groups"),
        *("periods", "caption", "explanation"),
    ]
    assert [group["key"]["key"] for group in found["groups"]] == ["<b>", "c", None]
    assert found["periods"]["chosen_from"] == "2026-03-01T00:00:00+00:00"
    assert found["explanation"] == choice.explain().splitlines()


def test_everything_shown_is_escaped():
    frame = detector(300, key=["<script>alert(1)</script>", "b", "c"] * 100)
    frame.attrs = {"unit": "<i>unit</i>"}
    html = swept(frame, by="key").choose(maximize="f1")._repr_html_()
    assert "&lt;script&gt;" in html
    assert "<script" not in html
    assert "<i>" not in html


def test_the_input_is_not_changed():
    frame = detector(300, key=["a", "b", "c"] * 100)
    before = frame.copy(deep=True)
    swept(frame, by="key").choose(precision_at_least=0.8, alerts_per_day_at_most=5)
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "needs to know what to choose by"),
        ({"precision_at_least": 95}, r"precision_at_least is 95\. Allowed: a number above 0, up to 1"),
        ({"recall_at_least": 0}, "recall_at_least is 0"),
        ({"precision_at_least": True}, "precision_at_least is True"),
        ({"precision_at_least": float("nan")}, "precision_at_least is nan"),
        ({"confidence": 0.9}, "confidence= was given without precision_at_least="),
        ({"recall_at_least": 0.9, "confidence": 0.9}, "confidence= was given without precision_at_least="),
        (
            {"precision_at_least": 0.9, "confidence": 95},
            "confidence is 95. Allowed: a number between 0 and 1",
        ),
        ({"precision_at_least": 1, "confidence": 0.9}, "no number of labels proves that none is ever false"),
        ({"days_within": 0.9}, "days_within= was given without alerts_per_day_at_most="),
        ({"alerts_per_day_at_most": -1}, "alerts_per_day_at_most is -1. Allowed: a number from 0 on"),
        ({"cost_missed": 10}, "cost_missed= was given without cost_false_alarm="),
        ({"cost_false_alarm": 10}, "cost_false_alarm= was given without cost_missed="),
        ({"cost_missed": 0, "cost_false_alarm": 1}, "cost_missed is 0. Allowed: a number above 0"),
        ({"maximize": "accuracy"}, "maximize is 'accuracy'. Allowed: 'precision', 'recall', 'f1'"),
        ({"maximize": "f1", "cost_missed": 1, "cost_false_alarm": 1}, "two objectives"),
        ({"maximize": "recall"}, "fires on everything"),
        ({"maximize": "precision"}, "fires on almost nothing"),
        ({"maximize": "f1", "current": "0.5"}, "current is '0.5'. Allowed: a number"),
        ({"maximize": "f1", "current": pd.Series([0.5])}, "current is a Series indexed by"),
        (
            {"maximize": "f1", "verify_on": "first 30%"},
            "verify_on is 'first 30%'. Allowed: such as 'last 30%'",
        ),
        ({"maximize": "f1", "verify_on": "last 100%"}, "verify_on is 'last 100%'"),
        ({"maximize": "f1", "seed": -1}, "seed is -1. Allowed: a whole number, 0 or more"),
        ({"maximize": "f1", "seed": "a"}, "seed is 'a'"),
    ],
)
def test_contradictory_questions_are_errors(arguments, message):
    with pytest.raises(BadInputError, match=message):
        swept(TIED).choose(**arguments)


@pytest.mark.parametrize(
    ("current", "message"),
    [
        (pd.Series({"gate": 0.4}), r"indexed by \[None\]. Allowed: a Series indexed by 'key'"),
        (pd.Series({"gate": "x"}).rename_axis("key"), "'current' cannot be a score"),
        (pd.Series({"a": True}).rename_axis("key"), "'current' cannot be a score"),
        (pd.Series({1: 0.4}).rename_axis("key"), r"current has none of the groups: its keys are \[1\]"),
        (pd.Series([1.0, 2.0], index=["a", "a"]).rename_axis("key"), "current has a key twice"),
    ],
)
def test_current_thresholds_that_fit_no_group_are_errors(current, message):
    sweep = swept(framed([(1.0, True, "a"), (2.0, False, "b")]), by="key")
    with pytest.raises(BadInputError, match=message):
        sweep.choose(maximize="f1", current=current)


def test_groups_called_like_a_column_of_the_result_are_refused():
    sweep = swept(framed([(1.0, True, "a")]).rename(columns={"key": "status"}), by="status")
    with pytest.raises(BadInputError, match="by= names 'status', which is also a column of the result"):
        sweep.choose(maximize="f1")


def test_day_and_night_have_thresholds_of_their_own_and_hours_too():
    frame = detector(3000)
    current = pd.Series([0.4, 0.6], pd.Index(["day", "night"], name="day_or_night"))
    choice = swept(frame, by="day_or_night").choose(maximize="f1", current=current)
    assert choice.thresholds["current"].tolist() == [0.4, 0.6]
    hours = pd.Index(range(24), name="local_hour")
    missed = pd.Series(1, hours)
    choice = swept(frame, by="local_hour", n_missed=missed).choose(
        maximize="f1", current=pd.Series(0.5, hours)
    )
    assert choice.thresholds["local_hour"].tolist() == list(range(24))
    assert choice.thresholds["current"].eq(0.5).all()


def test_shares_of_missed_objects_do_not_spoil_the_resamples():
    """The fraction that falls to a part rounds to just below 0 when taken off again."""
    for n_missed in range(1, 30):
        choice = swept(detector(200, seed=n_missed), n_missed=n_missed).choose(maximize="f1")
        assert choice.interval is not None


def test_verdicts_of_unknown_origin_are_said_and_not_refused():
    sentence = "Precision rests on verdicts whose selection is unknown"
    frame = detector(1000)
    picked = frame.assign(truth=frame["truth"].where(np.arange(1000) % 3 > 0), chance=2 / 3)
    choice = swept(picked).choose(precision_at_least=0.8)
    assert choice.threshold is not None
    assert choice.explain().count(sentence) == 1
    assert sentence not in swept(frame).choose(precision_at_least=0.8).explain()
    assert sentence not in swept(picked, probability="chance").choose(precision_at_least=0.8).explain()
    assert sentence not in swept(picked).choose(**RANDOM_AUDIT).explain()


def test_a_long_choice_shows_how_far_it_is(monkeypatch, capsys):
    monkeypatch.setattr(waiting, "_SILENT_S", 0.0)
    swept(detector(200, key=["a", "b"] * 100), by="key").choose(maximize="f1")
    shown = capsys.readouterr().err
    assert "choose: 0 s, the whole" in shown
    assert "choose: 0 s, 2 of 2 groups" in shown


def test_a_period_is_the_same_whether_its_rows_follow_each_other_or_not():
    """Those that do are not copied."""
    frame = detector(1000)
    in_order, shuffled = swept(frame), swept(frame.sample(frac=1, random_state=0))
    rule = {"precision_at_least": 0.8, "current": 0.5}
    assert in_order.choose(**rule).to_dict() == shuffled.choose(**rule).to_dict()


# --- Small versions of the tables in benchmarks/bench_lasting.py.


def test_thin_cells_lose_less_with_the_threshold_of_their_parent():
    """40 labels in each of 12 cells that are alike: own thresholds cost more on 20,000 later units."""
    later = detector(20_000, seed=99)
    costs = {"own": 0.0, "inherited": 0.0}
    for run in range(10):
        frame = detector(480, seed=run, camera=np.arange(480) % 12)
        rule = {"cost_missed": 3, "cost_false_alarm": 1, "verify_on": None}
        choice = swept(frame, by="camera").choose(**rule)
        assert choice.thresholds["status"].eq("inherited").all()
        own = [swept(part).choose(**rule).threshold for _, part in frame.groupby("camera")]
        for name, thresholds in (("own", own), ("inherited", choice.thresholds["threshold"])):
            table = swept(later).at(list(thresholds))
            costs[name] += float((3 * table["fn"] + table["fp"]).mean())
    assert costs["inherited"] < 0.97 * costs["own"]


def test_drift_is_said_where_it_is_and_seldom_where_it_is_not():
    said = {}
    for shift in (0.0, 0.15):
        said[shift] = 0
        for run in range(40):
            frame = detector(1000, seed=run)
            frame["score"] = frame["score"].where(np.arange(1000) < 700, frame["score"] - shift)
            said[shift] += "The scores drift" in swept(frame).choose(precision_at_least=0.8).explain()
    assert said[0.0] <= 6
    assert said[0.15] == 40
