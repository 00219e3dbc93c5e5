"""Risk levels, and what other cuts would change."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secnb import schema
from secnb.analysis.risk import compare_risk_levels, risk_level
from secnb.errors import BadInputError, UnknownColumnError

START = pd.Timestamp("2026-03-14 08:00", tz="UTC")


def events(scores, **columns) -> pd.DataFrame:
    return pd.DataFrame({"risk_score": pd.array(scores, dtype="Int64"), **columns})


@given(st.lists(st.integers(0, 100), max_size=20), st.sets(st.integers(0, 100), min_size=3, max_size=3))
def test_levels_are_inclusive_maxima(scores, cuts):
    """The first level whose maximum the score does not pass."""
    low, medium, high = sorted(cuts)
    found = risk_level(scores, low_max=low, medium_max=medium, high_max=high).tolist()
    expected = [
        "low" if s <= low else "medium" if s <= medium else "high" if s <= high else "critical"
        for s in scores
    ]
    assert found == expected


def test_index_and_missing_scores_are_kept():
    series = pd.Series([10, None], index=["a", "b"], dtype="Int64")
    found = risk_level(series)
    assert found.index.tolist() == ["a", "b"]
    assert found.isna().tolist() == [False, True]
    assert found.dtype == "str"


def test_counts_exclude_failed_and_unscored_events():
    frame = events([10, 50, 90, None, 70], is_failed=[False, True, False, False, None])
    row = compare_risk_levels(frame).iloc[0]
    assert row[["n_events", "n_failed", "n_unscored"]].tolist() == [3, 1, 1]
    assert row[["n_low", "n_medium", "n_high", "n_critical"]].tolist() == [1, 0, 1, 1]
    assert row["high_or_critical_ratio"] == pytest.approx(2 / 3)


def test_agreement_with_operators_and_with_what_is_stored():
    frame = events(
        [10, 40, 70, 90],
        expected_severity=["low", "HIGH", None, "critical"],
        suggested_score=pd.array([20, 65, None, None], dtype="Int64"),
        risk_level=["low", "medium", "high", "nonsense"],
    )
    rows = compare_risk_levels(frame, cuts=[(29, 59, 84), (20, 30, 60)])
    assert rows["n_expected"].tolist() == [3, 3]
    assert rows["agree_ratio"].tolist() == pytest.approx([2 / 3, 1])
    assert (rows["agree_ratio_low"] < rows["agree_ratio"]).all()
    assert rows["n_suggested"].tolist() == [2, 2]
    assert rows["suggested_agree_ratio"].tolist() == pytest.approx([0.5, 0.5])
    assert rows["stored_agree_ratio"].tolist() == pytest.approx([1, 1 / 3])


def test_what_operators_accepted_should_keep_its_level():
    """The other side of the agreement with those who objected."""
    frame = events(
        [10, 40, 70, 90],
        risk_level=["low", "medium", "high", "critical"],
        feedback_type=["accurate", "correct", "severity_wrong", None],
        expected_severity=[None, None, "medium", None],
    )
    rows = compare_risk_levels(frame, cuts=[(29, 59, 84), (19, 39, 79)])
    assert rows["n_accepted"].tolist() == [2, 2]
    assert rows["accepted_agree_ratio"].tolist() == [1, 0.5]
    assert compare_risk_levels(frame.drop(columns="feedback_type"))["n_accepted"].tolist() == [0]


def test_rates_are_per_whole_local_day():
    at = pd.DatetimeIndex([START + pd.Timedelta(hours=6 * n) for n in range(20)])
    row = compare_risk_levels(events([90] * 20, started_at=at)).iloc[0]
    assert row["critical_per_day"] == 4
    assert math.isnan(compare_risk_levels(events([90])).loc[0, "critical_per_day"])


def test_an_empty_frame_keeps_its_columns():
    rows = compare_risk_levels(events([]), cuts=(29, 59, 84))
    assert rows.dtypes.astype(str).to_dict() == dict(schema.RISK_COMPARISON)
    assert rows["n_events"].tolist() == [0]
    assert compare_risk_levels(events([]), cuts=[]).empty


def test_a_fixed_step_nudge_settles_far_from_the_optimum():
    """One up for each false alarm, one down for each reported miss: thresholds.md, section 2.

    Scores Beta(6, 2) for true, Beta(2, 4) for false, prevalence 0.4, one miss in twenty reported.
    """
    generator = np.random.default_rng(0)
    n = 40_000
    is_true = generator.random(n) < 0.4
    scores = 100 * np.where(is_true, generator.beta(6, 2, n), generator.beta(2, 4, n))
    is_reported = generator.random(n) < 0.05
    threshold, seen = 50.0, []
    for score, true, reported in zip(scores, is_true, is_reported, strict=True):
        fires = score >= threshold
        threshold += int(fires and not true) - int(not fires and true and reported)
        threshold = min(max(threshold, 0), 100)
        seen.append(threshold)
    settled = float(np.mean(seen[n // 2 :]))
    recall = float((scores[is_true] >= settled).mean())
    assert recall < 0.6
    best = min(
        range(101), key=lambda t: 10 * (is_true & (scores < t)).sum() + (~is_true & (scores >= t)).sum()
    )
    assert float((scores[is_true] >= best).mean()) > 0.9


@pytest.mark.parametrize(
    ("cuts", "match"),
    [
        ([(59, 29, 84)], "The cuts are 59, 29, 84"),
        ([(29, 59)], r"The cuts are \(29, 59\)"),
        ([(29, 59, 101)], "from 0 to 100"),
        ([(29.5, 59, 84)], "29.5"),
        ("29,59,84", "Allowed: triples"),
        (5, "cuts is 5"),
    ],
)
def test_bad_cuts(cuts, match):
    with pytest.raises(BadInputError, match=match):
        compare_risk_levels(events([1]), cuts=cuts)


def test_bad_events():
    with pytest.raises(UnknownColumnError, match="risk_score"):
        compare_risk_levels(pd.DataFrame({"score": [1]}))
    with pytest.raises(BadInputError, match="Allowed: a DataFrame"):
        compare_risk_levels([1])
    with pytest.raises(BadInputError, match="no score"):
        risk_level(["high"])


@pytest.mark.parametrize(
    ("scores", "match"),
    [
        ([True], "its dtype is bool"),
        (pd.DatetimeIndex(["2026-03-14"]), "no score"),
        (np.array([[1, 2]]), "scores is a ndarray"),
        (pd.DataFrame({"risk_score": [1]}), "scores is a DataFrame"),
    ],
)
def test_what_is_no_score_has_no_level(scores, match):
    with pytest.raises(BadInputError, match=match):
        risk_level(scores)


def test_flags_of_sqlite_are_read_and_words_are_refused():
    """0 and 1 beside a missing one; "no" is not taken for true."""
    row = compare_risk_levels(events([10, 50, 90], is_failed=[0.0, 1.0, np.nan])).iloc[0]
    assert row[["n_events", "n_failed"]].tolist() == [2, 1]
    with pytest.raises(BadInputError, match="is_failed"):
        compare_risk_levels(events([10], is_failed=["no"]))
