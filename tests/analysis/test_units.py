"""Weights, probabilities, misses, clusters, grids and groups together, against counting row by row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secnb.analysis.counting import ThresholdSweep, sweep
from secnb.errors import BadInputError

COUNTS = ["n_fired", "n_unlabelled", "tp", "fp", "fn", "tn", "n_missed"]

options = st.lists(
    st.fixed_dictionaries(
        {
            "score": st.sampled_from([-np.inf, -0.5, -0.0, 0.0, 5e-324, 0.1, 0.5, 1.0, np.inf, np.nan]),
            "truth": st.sampled_from([True, False, None]),
            "key": st.sampled_from(["a", "b"]),
            "weight": st.sampled_from([0.0, 1.0, 2.0, 0.5]),
            "chance": st.sampled_from([0.2, 0.5, 1.0, None]),
            "is_missed": st.sampled_from([True, False, False, None]),
            "episode": st.sampled_from([1, 2, 3, None]),
        }
    ),
    max_size=12,
)
arguments = st.fixed_dictionaries(
    {},
    optional={
        "weight": st.just("weight"),
        "probability": st.just("chance"),
        "missed": st.just("is_missed"),
        "by": st.just("key"),
        "at": st.just([0.5, -np.inf, 0.1, 0.3]),
        "cluster": st.just("episode"),
    },
)


def swept(frame: pd.DataFrame, **kwargs: object) -> ThresholdSweep:
    return sweep(frame, score="score", truth="truth", **kwargs)  # type: ignore[arg-type]


def framed(rows: list[tuple[float, bool | None, str | None]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["score", "truth", "key"])
    return frame.astype({"score": "float64", "truth": "boolean", "key": "str"})


def optional(rows: list[dict[str, object]]) -> pd.DataFrame:
    names = ["score", "truth", "key", "weight", "chance", "is_missed", "episode"]
    frame = pd.DataFrame(rows, columns=names)
    kinds = {"truth": "boolean", "is_missed": "boolean", "key": "str", "episode": "Int64"}
    return frame.astype(dict.fromkeys(["score", "weight", "chance"], "float64") | kinds)


def counted_with(rows: list[dict[str, object]], threshold: float, arguments: dict[str, str]) -> list[float]:
    """Count n_fired, n_unlabelled, tp, fp, fn, tn and n_missed at one threshold, row by row."""
    n = dict.fromkeys(["n_fired", "n_unlabelled", "tp", "fp", "fn", "tn", "n_missed"], 0.0)
    for row in rows:
        weight = row["weight"] if "weight" in arguments else 1
        stands_for = weight / (row["chance"] or 1) if "probability" in arguments else weight
        fires = row["score"] >= threshold
        if "missed" in arguments and row["is_missed"]:
            n["fn"] += stands_for
            n["n_missed"] += stands_for
        elif row["score"] == row["score"]:
            n["n_fired"] += weight * fires
            n["n_unlabelled"] += weight * (fires and row["truth"] is None)
            if row["truth"] is not None:
                n[{True: ("fn", "tp"), False: ("tn", "fp")}[row["truth"]][fires]] += stands_for
    return list(n.values())


@given(options, arguments, st.sampled_from([-np.inf, -0.0, 0.1, 0.3, 0.5, 0.7, np.inf]))
def test_every_combination_of_options_counts_like_brute_force(rows, arguments, threshold):
    table = swept(optional(rows), **arguments).at(threshold)
    for _, found in table.iterrows():
        own = [row for row in rows if "by" not in arguments or row["key"] == found["key"]]
        expected = counted_with(own, threshold, arguments)
        np.testing.assert_allclose(found[COUNTS].astype(float), expected, atol=1e-9)


@settings(max_examples=50)
@given(options, arguments)
def test_counts_are_integers_unless_weights_or_probabilities_are_fractions(rows, arguments):
    frame = optional(rows)
    table = swept(frame, **arguments).frame
    has_whole_weights = "weight" not in arguments or (frame["weight"] % 1 == 0).all()
    is_whole = has_whole_weights and "probability" not in arguments
    assert set(table[["tp", "fp", "fn", "tn"]].dtypes.astype(str)) == {"int64" if is_whole else "float64"}
    assert table["n_fired"].dtype == ("int64" if has_whole_weights else "float64")


@settings(max_examples=60)
@given(options, arguments)
def test_given_thresholds_count_as_all_thresholds_do(rows, arguments):
    frame = optional(rows)
    thresholds = [-1.0, 0.0, 0.1, 0.3, 0.5, 2.0]
    one = swept(frame, **arguments | {"at": thresholds})
    every = swept(frame, **{name: value for name, value in arguments.items() if name != "at"})
    pd.testing.assert_frame_equal(one.at(thresholds), every.at(thresholds))
    assert one.threshold.tolist() == [*thresholds, np.inf] * one.n_groups


@given(options, arguments, st.lists(st.booleans(), min_size=12, max_size=12))
def test_a_part_is_the_sweep_of_those_rows(rows, arguments, mask):
    arguments = {name: value for name, value in arguments.items() if name != "by"}
    mask = np.array(mask[: len(rows)], dtype=bool)
    part = swept(optional(rows), **arguments).part(mask)
    alone = swept(optional([row for row, kept in zip(rows, mask, strict=True) if kept]), **arguments)
    pd.testing.assert_frame_equal(part.frame, alone.frame)


def test_a_part_keeps_the_groups_and_shares_out_misses_without_rows():
    frame = framed([(0.5, True, "a"), (0.6, True, "a"), (0.7, True, "b")])
    n_missed = pd.Series({"a": 4, "b": 1})
    part = swept(frame, by="key", n_missed=n_missed).part(np.array([True, False, False]))
    assert part.at(0.0)["key"].tolist() == ["a", "b"]
    assert part.at(0.0)["n_missed"].tolist() == [2.0, 0.0]


@given(options, arguments, st.data())
def test_a_part_of_a_part_is_the_sweep_of_what_both_keep(rows, arguments, data):
    masks = st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))
    first, second = (np.array(data.draw(masks), dtype=bool) for _ in range(2))
    whole = swept(optional(rows), **arguments)
    pd.testing.assert_frame_equal(whole.part(first).part(second).frame, whole.part(first & second).frame)


@given(options, arguments, st.data())
def test_a_part_has_the_days_of_its_own_times(rows, arguments, data):
    arguments = {name: value for name, value in arguments.items() if name != "by"}
    hours = st.lists(st.one_of(st.integers(0, 120), st.none()), min_size=len(rows), max_size=len(rows))
    since = pd.to_timedelta(pd.Series(data.draw(hours), dtype="Int64"), unit="h")
    frame = optional(rows).assign(started_at=pd.Timestamp("2026-03-27", tz="UTC") + since)
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))), dtype=bool)
    part, alone = swept(frame, **arguments).part(mask), swept(frame[mask], **arguments)
    assert part.days == alone.days
    pd.testing.assert_frame_equal(part.at(0.1), alone.at(0.1))


def test_a_part_copies_no_column_and_keeps_its_rows():
    whole = swept(framed([(0.5, True, "a"), (0.6, True, "a"), (0.7, False, "b")]))
    mask = np.array([True, False, True])
    part = whole.part(mask)
    mask[:] = False
    assert np.shares_memory(part.units.scores, whole.units.scores)
    assert part.units.labels is whole.units.labels
    assert part.at(0.0)["n_fired"].tolist() == [2]


def test_any_grid_is_counted_exactly():
    rng = np.random.default_rng(8)
    frame = pd.DataFrame({"score": rng.random(40_000).round(3), "truth": rng.random(40_000) < 0.4})
    every = swept(frame)
    crowded = np.append(0.5 + np.arange(50) * 1e-16, [-1.0, 5.0])
    for grid in (np.linspace(0, 1, 101), np.arange(1, 100) / 100, [0.1], [], [1e-300, 1e300], crowded):
        pd.testing.assert_frame_equal(swept(frame, at=grid).at(grid), every.at(grid))


def test_other_thresholds_than_those_given_are_counted_anew():
    result = swept(framed([(0.2, True, "a"), (0.4, False, "a")]), at=[0.1, 0.3])
    assert result.at([0.25, 0.1, 0.35])["n_fired"].tolist() == [1, 2, 1]


@settings(max_examples=40)
@given(options, st.sampled_from([0.1, 0.5]))
def test_bounds_hold_however_the_unlabelled_units_turn_out(rows, threshold):
    rows = [row for row in rows if row["score"] == row["score"]]
    found = swept(optional(rows), shown_from=np.inf).at(threshold).iloc[0]
    for kind in (True, False):
        for side in (True, False):
            filled = [
                row | {"truth": kind if (row["score"] >= threshold) == side else not kind}
                if row["truth"] is None
                else row
                for row in rows
            ]
            actual = swept(optional(filled)).at(threshold).iloc[0]
            for rate in ("precision", "recall"):
                if not np.isnan(actual[rate]):
                    assert found[f"{rate}_low"] <= actual[rate] <= found[f"{rate}_high"]


@pytest.mark.parametrize("weight", [[1.0, np.nan], [1, -1], [1, np.inf]])
def test_weights_that_are_none_are_refused(weight):
    frame = pd.DataFrame({"score": [0.1, 0.2], "truth": True, "w": weight})
    with pytest.raises(BadInputError, match=r"1 of 2 values.*Allowed: 0 to 2"):
        swept(frame, weight="w")


@pytest.mark.parametrize("weight", [2.0**53, 2.0**40 + 1])
def test_sums_of_large_weights_never_wrap_around(weight):
    frame = pd.DataFrame({"score": np.arange(6000.0), "truth": True, "w": weight})
    table = sweep(frame, score="score", truth="truth", weight="w").at([0.0, 3000.0])
    assert table["tp"].tolist() == [6000 * weight, 3000 * weight]


@pytest.mark.parametrize("chance", [0.0, -0.1, 1.01, 50.0])
def test_probabilities_that_are_none_are_refused_where_labels_need_them(chance):
    frame = pd.DataFrame({"score": [0.1, 0.2], "truth": [True, None], "p": [chance, 0.5]})
    with pytest.raises(BadInputError, match="'p' cannot be a probability: 1 of 1 labelled rows"):
        swept(frame, probability="p")
    assert swept(frame.assign(truth=None), probability="p").n_units == 2


def test_probabilities_correct_what_the_labels_alone_get_wrong():
    """Two-phase design: labels are drawn more often where scores are high."""
    rng = np.random.default_rng(11)
    n = 40_000
    is_true = rng.random(n) < 0.4
    score = np.where(is_true, rng.beta(6, 2, n), rng.beta(2, 4, n))
    chance = np.clip(score**3, 0.02, 1)
    truth = pd.array(is_true, dtype="boolean")
    truth[rng.random(n) >= chance] = pd.NA
    frame = pd.DataFrame({"score": score, "truth": truth, "p": chance})
    known = pd.DataFrame({"score": score, "truth": is_true})
    actual = swept(known).at(0.6).iloc[0]
    naive, corrected = swept(frame).at(0.6).iloc[0], swept(frame, probability="p").at(0.6).iloc[0]
    assert naive["recall"] - actual["recall"] > 0.05
    for rate in ("precision", "recall"):
        assert abs(corrected[rate] - actual[rate]) < 0.02
        assert corrected[f"{rate}_low"] < actual[rate] < corrected[f"{rate}_high"]
    assert corrected["n_fired"] == actual["n_fired"]
