"""The sweep against brute force, against scikit-learn, and at its edges."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import confusion_matrix_at_thresholds

from secnb import schema
from secnb.analysis import sweeps
from secnb.analysis.counting import ThresholdSweep, sweep
from secnb.errors import BadInputError, FewLabelsWarning, UnknownColumnError

COUNTS = ["n_fired", "n_unlabelled", "tp", "fp", "fn", "tn"]

scores = st.one_of(st.floats(allow_nan=True, width=32), st.integers(-3, 3).map(float))
truths = st.sampled_from([True, False, None])
keys = st.sampled_from(["a", "b", "c", None])
rows = st.lists(st.tuples(scores, truths, keys), max_size=30)


def framed(rows: list[tuple[float, bool | None, str | None]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["score", "truth", "key"])
    return frame.astype({"score": "float64", "truth": "boolean", "key": "str"})


def swept(frame: pd.DataFrame, **kwargs: object) -> ThresholdSweep:
    return sweep(frame, score="score", truth="truth", **kwargs)  # type: ignore[arg-type]


def counted(frame: pd.DataFrame, threshold: float) -> list[int]:
    """Count at one threshold, row by row."""
    truths = [None if pd.isna(t) else bool(t) for t in frame["truth"]]
    pairs = [(s, t) for s, t in zip(frame["score"], truths, strict=True) if s == s]
    fired = [t for s, t in pairs if s >= threshold]
    tp, fp = sum(t is True for t in fired), sum(t is False for t in fired)
    n_true, n_false = (sum(t is kind for _, t in pairs) for kind in (True, False))
    return [len(fired), len(fired) - tp - fp, tp, fp, n_true - tp, n_false - fp]


@given(rows)
def test_the_sweep_equals_brute_force_at_every_distinct_score(rows):
    frame = framed(rows)
    table = swept(frame).frame
    distinct = sorted({s for s in frame["score"] if s == s})
    assert table["threshold"].tolist() == [*distinct, np.inf]
    for i, threshold in enumerate(distinct):
        assert table.loc[i, COUNTS].tolist() == counted(frame, threshold)
    assert table.iloc[-1][["n_fired", "tp", "fp"]].tolist() == [0, 0, 0]


@given(rows, st.floats(allow_nan=False))
def test_at_equals_brute_force_at_any_threshold(rows, threshold):
    frame = framed(rows)
    found = swept(frame).at(threshold)
    assert found[COUNTS].iloc[0].tolist() == counted(frame, threshold)
    assert found["threshold"].tolist() == [threshold]


@settings(max_examples=50)
@given(rows, st.lists(st.floats(-3, 3), min_size=1, max_size=4))
def test_groups_add_up_to_the_whole(rows, thresholds):
    frame = framed(rows)
    by_group = swept(frame, by="key").at(thresholds)
    whole = swept(frame).at(thresholds)
    for i in range(len(thresholds)):
        assert by_group[COUNTS].iloc[i :: len(thresholds)].sum().tolist() == whole[COUNTS].iloc[i].tolist()


@settings(max_examples=40)
@given(rows)
def test_each_group_is_swept_as_if_it_were_alone(rows):
    frame = framed(rows)
    table = swept(frame, by="key").frame
    for key in frame["key"].unique():
        is_key = (lambda column, key=key: column.isna()) if pd.isna(key) else (lambda c, key=key: c == key)
        alone = swept(frame[is_key(frame["key"])]).frame
        of_key = table[is_key(table["key"])].drop(columns="key").reset_index(drop=True)
        pd.testing.assert_frame_equal(of_key, alone)


@given(rows)
def test_counts_never_rise_with_the_threshold(rows):
    table = swept(framed(rows)).frame
    for column in ("n_fired", "n_unlabelled", "tp", "fp"):
        assert table[column].is_monotonic_decreasing


@settings(max_examples=50)
@given(rows, st.randoms())
def test_row_order_does_not_matter(rows, random):
    shuffled = rows.copy()
    random.shuffle(shuffled)
    one, other = swept(framed(rows), by="key").frame, swept(framed(shuffled), by="key").frame
    pd.testing.assert_frame_equal(one, other)


@given(rows)
def test_doubling_every_row_doubles_the_counts(rows):
    one, two = swept(framed(rows)), swept(framed(rows + rows))
    assert one.threshold.tolist() == two.threshold.tolist()
    pd.testing.assert_frame_equal(one.frame[COUNTS] * 2, two.frame[COUNTS])


@given(rows)
def test_a_strictly_increasing_transform_leaves_the_counts(rows):
    frame = framed(rows)
    ranks = frame.assign(score=frame["score"].rank(method="dense"))
    pd.testing.assert_frame_equal(swept(frame).frame[COUNTS], swept(ranks).frame[COUNTS])


@given(rows)
def test_the_input_is_not_changed(rows):
    frame = framed(rows)
    frame.attrs = {"source": ["a"]}
    before, attrs = frame.copy(deep=True), copy.deepcopy(frame.attrs)
    result = swept(frame, by="key")
    table = result.at([0.0])
    table["key"], table.attrs["source"] = "changed", "changed"
    pd.testing.assert_frame_equal(frame, before)
    assert frame.attrs == attrs


def test_later_changes_of_the_frame_do_not_reach_the_sweep():
    frame = framed([(0.2, True, "a"), (0.6, False, "a"), (0.8, True, "b")])
    result, untouched = swept(frame, at=[0.5], cluster="key"), swept(frame.copy(), at=[0.5], cluster="key")
    frame.loc[:, "score"] = 0.0
    frame.loc[0, "truth"] = pd.NA
    frame["key"] = "c"
    pd.testing.assert_frame_equal(result.at([0.1, 0.5, 0.7]), untouched.at([0.1, 0.5, 0.7]))


@given(st.lists(st.tuples(st.floats(allow_nan=False), st.booleans()), min_size=1, max_size=40))
def test_the_counts_are_those_of_scikit_learn(pairs):
    score, truth = (np.array(column) for column in zip(*pairs, strict=True))
    if not np.isfinite(score).all() or truth.all() or not truth.any():
        return  # scikit-learn refuses infinite scores, and warns about a single class.
    same_as_scikit_learn(score, truth)


def same_as_scikit_learn(score: np.ndarray, truth: np.ndarray) -> None:
    tn, fp, fn, tp, threshold = confusion_matrix_at_thresholds(truth, score)
    table = swept(pd.DataFrame({"score": score, "truth": truth})).frame.iloc[-2::-1]
    for column, expected in {"tn": tn, "fp": fp, "fn": fn, "tp": tp, "threshold": threshold}.items():
        assert table[column].tolist() == expected.tolist()


KINDS = {
    "uniform": lambda rng: rng.random(70_000),
    "four decimals": lambda rng: rng.random(70_000).round(4),
    "four decimals and zeros": lambda rng: np.append(rng.random(70_000).round(4), [0.0, -0.0]),
    "logits": lambda rng: rng.normal(0, 4, 70_000),
    "whole numbers": lambda rng: rng.integers(-100, 100, 70_000),
    "single precision": lambda rng: rng.random(70_000, dtype="float32"),
    "all alike": lambda rng: np.full(100, 0.5),
    "subnormal and huge": lambda rng: rng.choice([5e-324, -5e-324, 1e300, -1e300, 0.0, -0.0, 1.0], 1000),
}


@pytest.mark.parametrize("kind", KINDS)
def test_many_rows_of_any_kind_count_like_scikit_learn(kind):
    rng = np.random.default_rng(5)
    score = KINDS[kind](rng)
    same_as_scikit_learn(score, rng.random(len(score)) < 0.3)


@given(rows)
def test_scores_too_different_to_be_packed_count_alike(rows):
    """Subnormal, huge and negative ones leave no bit free for labels and groups."""
    wide = [(score, truth, key) for score in (5e-324, 1.7e308, -1.7e308) for truth, key in [(None, "a")]]
    frame = framed(rows + wide)
    table = swept(frame, by="key").at([-2.0, 0.0, 1.0])
    for i, (_, found) in enumerate(table.iterrows()):
        own = frame[frame["key"].isna()] if pd.isna(found["key"]) else frame[frame["key"] == found["key"]]
        assert found[COUNTS].tolist() == counted(own, [-2.0, 0.0, 1.0][i % 3])


# --- Published numbers: scikit-learn's breast cancer data, column 20, label 1 - y.


@pytest.fixture(scope="module")
def cancer() -> pd.DataFrame:
    data = load_breast_cancer()
    frame = pd.DataFrame({"score": data.data[:, 20], "truth": 1 - data.target})
    return swept(frame).frame


def test_cancer_has_457_distinct_thresholds(cancer):
    assert len(cancer) == 457 + 1
    assert cancer["tp"].iloc[0] == 212
    assert cancer["n_fired"].iloc[0] == 569


def test_cancer_best_f1(cancer):
    best = cancer.loc[cancer["f1"].idxmax()]
    assert (f"{best['f1']:.10f}", best["threshold"]) == ("0.8905472637", 16.82)
    assert best[["tp", "fp", "fn", "tn"]].tolist() == [179, 11, 33, 346]


def test_cancer_areas_under_the_curves(cancer):
    falling = cancer.iloc[::-1]
    precision, recall = falling["precision"].fillna(1.0), falling["recall"]
    assert f"{(precision * recall.diff().fillna(0)).sum():.10f}" == "0.9609840253"
    area = np.trapezoid(falling["tp"] / 212, falling["fp"] / 357)
    assert f"{area:.10f}" == "0.9704428941"


def test_cancer_with_weights_sums_to_the_published_integers():
    data = load_breast_cancer()
    weight = np.resize([2, 1, 1], len(data.target))
    frame = pd.DataFrame({"score": data.data[:, 20], "truth": 1 - data.target, "weight": weight})
    lowest = swept(frame, weight="weight").frame.iloc[0]
    assert (lowest["tp"], lowest["fp"]) == (288, 471)
    assert swept(frame.assign(weight=weight / 1.0), weight="weight").frame["tp"].dtype == "int64"


def test_cancer_floors_and_costs(cancer):
    high = cancer[cancer["precision"] >= 0.95]
    best = high.loc[high["recall"].idxmax()]
    assert (f"{best['recall']:.10f}", best["threshold"]) == ("0.8207547170", 17.04)
    high = cancer[cancer["recall"] >= 0.95]
    best = high.loc[high["precision"].idxmax()]
    assert (f"{best['precision']:.10f}", best["threshold"]) == ("0.7651515152", 15.29)
    cost = 10 * cancer["fn"] + cancer["fp"]
    assert (cost.min(), cancer.loc[cost.idxmin(), "threshold"]) == (133, 14.91)


# --- Edges.


def test_at_takes_the_smallest_distinct_score_at_or_above():
    result = swept(pd.DataFrame({"score": [0.2, 0.5, 0.5], "truth": [False, True, None]}))
    assert result.at([0.2, 0.20001, 0.5, 0.50001])["n_fired"].tolist() == [3, 2, 2, 0]


def test_at_above_the_maximum_counts_nothing_and_has_no_precision():
    found = swept(pd.DataFrame({"score": [0.2, 0.5], "truth": [False, True]})).at(0.9).iloc[0]
    assert found[["n_fired", "tp", "fp", "fn", "tn"]].tolist() == [0, 0, 0, 1, 1]
    assert np.isnan(found["precision"])
    assert np.isnan(found["f1"])
    assert found["recall"] == 0


def test_infinite_scores_are_ordinary_and_the_last_row_still_fires_nothing():
    result = swept(pd.DataFrame({"score": [-np.inf, 0.0, np.inf], "truth": [True, False, True]}))
    assert result.frame["threshold"].tolist() == [-np.inf, 0.0, np.inf, np.inf]
    assert result.frame["n_fired"].tolist() == [3, 2, 1, 0]
    assert result.at([-np.inf, np.inf])["n_fired"].tolist() == [3, 1]


def test_nan_scores_are_left_out_and_counted_by_truth():
    score = [np.nan, np.nan, np.nan, np.nan, 0.5]
    result = swept(pd.DataFrame({"score": score, "truth": [True, True, False, None, True]}))
    assert result.n_unscored == {"true": 2, "false": 1, "unlabelled": 1}
    assert result.n_units == 1
    assert result.at(0.0)[["tp", "fn"]].iloc[0].tolist() == [1, 0]


def test_unlabelled_rows_fire_but_are_neither_true_nor_false():
    found = swept(pd.DataFrame({"score": [0.5, 0.6], "truth": [None, pd.NA]})).at(0.0).iloc[0]
    assert found[COUNTS].tolist() == [2, 2, 0, 0, 0, 0]
    assert found[["precision", "recall", "f1"]].isna().all()


@pytest.mark.parametrize(("truth", "recall"), [(True, 1.0), (False, np.nan)])
def test_one_row_and_a_single_class(truth, recall):
    table = swept(pd.DataFrame({"score": [0.5], "truth": [truth]})).frame
    assert table["n_fired"].tolist() == [1, 0]
    np.testing.assert_equal(table["recall"].iloc[0], recall)
    np.testing.assert_equal(table["precision"].iloc[0], float(truth))


def test_negative_zero_and_zero_are_one_threshold():
    assert swept(pd.DataFrame({"score": [0.0, -0.0], "truth": [True, False]})).threshold.tolist() == [
        0,
        np.inf,
    ]


@pytest.mark.parametrize("by", [(), "key"])
def test_an_empty_frame_keeps_columns_and_dtypes(by):
    result = swept(framed([]), by=by)
    expected = {"key": "str"} if by else {}
    for table in (result.frame, result.at([0.1, 0.2])):
        assert table.dtypes.astype(str).to_dict() == expected | dict(schema.SWEEP)
    assert len(result.frame) == (0 if by else 1)
    assert len(result.at([0.1, 0.2])) == (0 if by else 2)


def test_a_frame_without_dtypes_and_rows_is_swept():
    assert swept(pd.DataFrame(columns=["score", "truth"])).n_units == 0


def test_dtypes_of_the_table_are_those_of_the_schema():
    table = swept(framed([(0.5, True, "a"), (0.6, None, None)]), by="key").frame
    assert table.dtypes.astype(str).to_dict() == {"key": "str"} | dict(schema.SWEEP)


def test_missing_keys_are_a_group_and_categories_without_rows_are_none():
    frame = pd.DataFrame({"score": [1.0, 2.0, 3.0], "truth": True})
    frame["key"] = pd.Categorical(["b", None, "b"], categories=["a", "b"])
    frame["hour"] = pd.array([1, 1, None], dtype="Int64")
    result = swept(frame, by=["key", "hour"])
    assert result.n_groups == 3
    assert result.totals["n_true"].sum() == 3
    assert result.frame["key"].dtype == frame["key"].dtype
    assert result.frame["hour"].dtype == "Int64"


def test_a_group_without_scores_stays_and_fires_nothing():
    result = swept(framed([(np.nan, True, "a"), (0.5, True, "b")]), by="key")
    assert result.frame[["key", "threshold", "n_fired"]].to_numpy().tolist() == [
        ["a", np.inf, 0],
        ["b", 0.5, 1],
        ["b", np.inf, 0],
    ]


@pytest.mark.parametrize(
    "truth",
    [
        [True, False, True],
        pd.array([True, False, True], dtype="boolean"),
        np.array([True, False, True], dtype=object),
        [1, 0, 1],
        [1.0, 0.0, 1.0],
        pd.array([1, 0, 1], dtype="Int8"),
        pd.array([1, 0, 1], dtype="Float64"),
        pd.Categorical([True, False, True]),
        pd.array([True, False, True], dtype="bool[pyarrow]"),
    ],
)
def test_truth_may_be_written_in_many_ways(truth):
    assert swept(pd.DataFrame({"score": [1, 2, 3], "truth": truth})).at(0)[["tp", "fp"]].iloc[0].tolist() == [
        2,
        1,
    ]


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
@pytest.mark.parametrize("dtype", ["object", "boolean", "Int64", "Float64", "float64", "category"])
def test_missing_truth_is_unlabelled_in_every_dtype(missing, dtype):
    if dtype == "float64" and missing is pd.NA:
        missing = np.nan
    truth = pd.Series([1, 0, missing], dtype="object")
    frame = pd.DataFrame({"score": [1, 2, 3], "truth": truth.astype(dtype)})
    assert swept(frame).at(0)[["n_unlabelled", "tp", "fp"]].iloc[0].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("truth", "seen"),
    [
        (["accurate", "false_positive", None], "'accurate', 'false_positive'"),
        ([0, 1, 2], "0, 1, 2"),
        ([0.0, 0.5, np.nan], "0.0, 0.5"),
        ([[1], {}, None], r"\[1\], {}"),
        (pd.Categorical(["yes", "no", "yes"]), "'yes', 'no'"),
    ],
)
def test_other_truth_is_refused_with_the_values_seen(truth, seen):
    with pytest.raises(BadInputError, match=rf"'truth' does not hold truth. Values seen: {seen}"):
        swept(pd.DataFrame({"score": [1, 2, 3], "truth": truth}))


@pytest.mark.parametrize("score", [["0.5"], [True], [pd.Timestamp(0)], [1j], [None, "x"], [[1]]])
def test_a_score_that_is_no_number_is_refused(score):
    with pytest.raises(BadInputError, match="cannot be a score: its dtype is"):
        swept(pd.DataFrame({"score": score, "truth": True}))


@pytest.mark.parametrize("dtype", ["Float64", "Int64", "float32", "uint8", "int64"])
def test_a_score_may_have_any_numeric_dtype(dtype):
    frame = pd.DataFrame({"score": pd.array([1, 2, 2], dtype=dtype), "truth": [True, False, True]})
    assert swept(frame).at([1, 2, 3])["n_fired"].tolist() == [3, 2, 0]


@pytest.mark.parametrize("dtype", ["int64", "uint64", "Int64"])
def test_integers_that_floats_cannot_tell_apart_are_refused(dtype):
    frame = pd.DataFrame({"score": pd.array([2**53, 2**53 + 1], dtype=dtype), "truth": True})
    with pytest.raises(BadInputError, match=r"to 9007199254740993\. Allowed: -2"):
        swept(frame)
    assert swept(frame.iloc[:1]).threshold.tolist() == [2.0**53, np.inf]


def test_missing_nullable_scores_are_unscored():
    frame = pd.DataFrame({"score": pd.array([1, None], dtype="Int64"), "truth": [True, True]})
    assert swept(frame).n_unscored["true"] == 1


@pytest.mark.parametrize("argument", [{"score": "skore"}, {"truth": "skore"}, {"by": "skore"}])
def test_an_unknown_column_is_named_with_its_near_matches(argument):
    frame = pd.DataFrame({"score": [1.0], "truth": [True]})
    with pytest.raises(UnknownColumnError, match=r"no column 'skore'.*\n\nHint: did you mean 'score'"):
        sweep(frame, **({"score": "score", "truth": "truth"} | argument))


def test_a_column_that_stands_twice_is_refused():
    frame = pd.DataFrame([[1.0, 2.0, True]], columns=["score", "score", "truth"])
    with pytest.raises(BadInputError, match="2 columns called 'score'"):
        swept(frame)


@pytest.mark.parametrize(
    ("by", "text"),
    [(["key", "key"], "names a column twice"), ("precision", "also a column of the result")],
)
def test_group_columns_must_differ_from_each_other_and_from_the_result(by, text):
    with pytest.raises(BadInputError, match=text):
        swept(framed([(1.0, True, "a")]).assign(precision=1), by=by)


def test_keys_that_cannot_be_grouped_are_refused():
    with pytest.raises(BadInputError, match="'key' cannot be grouped: unhashable"):
        swept(pd.DataFrame({"score": [1.0], "truth": [True], "key": [[1]]}), by="key")


def test_something_else_than_a_frame_is_refused():
    with pytest.raises(BadInputError, match="A pandas DataFrame is needed, not list"):
        swept([1, 2])


@pytest.mark.parametrize("name", [["score"], {"score": 1}, pd.Series([0.5])])
def test_a_column_is_named_and_not_given(name):
    with pytest.raises(BadInputError, match="A column is named by its name, not by a"):
        sweep(framed([]), score=name, truth="truth")
    with pytest.raises(BadInputError, match="A column is named by its name, not by a"):
        swept(framed([]), by=[name])


@pytest.mark.parametrize("threshold", ["0.5", None, [[0.5]], [0.5, "x"], True])
def test_a_threshold_must_be_a_number(threshold):
    with pytest.raises(BadInputError, match="must be a number or a list of numbers"):
        swept(framed([])).at(threshold)


def test_nan_is_no_threshold():
    with pytest.raises(BadInputError, match="NaN"):
        swept(framed([])).at([0.5, np.nan])


def test_at_of_no_threshold_has_no_rows():
    assert len(swept(framed([(0.5, True, "a")])).at([])) == 0


def test_the_held_counts_cannot_be_changed():
    result = swept(framed([(0.5, True, "a")]))
    for array in (result.threshold, result.n_fired, result.tp, result.fp, result.offsets):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 7


def test_html_is_escaped():
    frame = framed([(0.5, True, "<script>x</script>")]).rename(columns={"score": "<b>"})
    text = sweep(frame, score="<b>", truth="truth", by="key")._repr_html_()
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert "of &lt;b&gt; by key" in text


def test_repr_is_short():
    frame = framed([(0.5, True, "a"), (0.7, None, "b")])
    assert repr(swept(frame)) == "<ThresholdSweep of score: 2 units, 1 labelled, 2 thresholds>"
    assert "by key (2 groups)" in repr(swept(frame, by="key"))


def test_the_table_carries_the_number_of_units():
    table = swept(framed([(0.5, True, "a"), (np.nan, None, "b")])).frame
    assert table.attrs == {"unit": "row", "n_units": 1, "n_labelled": 1, "n_unscored": 1}


# --- Whole local days.


def at_times(times: list[str | None], timezone: str | None = None, **columns: object) -> pd.DataFrame:
    detected_at = pd.to_datetime(pd.Series(times, dtype="str"), utc=True)
    frame = pd.DataFrame({"score": 0.5, "truth": True, "detected_at": detected_at} | columns)
    if timezone is not None:
        frame.attrs["timezone"] = timezone
    return frame


def test_first_and_last_day_are_dropped_and_silent_days_count():
    times = ["2026-03-01T09:00", "2026-03-02T00:00", "2026-03-02T23:59", "2026-03-05T00:00"]
    result = swept(at_times(times))
    assert (result.days.n_days, str(result.days.first_on), str(result.days.last_on)) == (
        3,
        "2026-03-02",
        "2026-03-04",
    )
    assert result.at(0.5)[["fired_per_day", "true_per_day", "false_per_day"]].iloc[0].tolist() == [
        2 / 3,
        2 / 3,
        0,
    ]
    assert result.in_days.tolist() == [[2, 0], [2, 0], [0, 0]]


def test_the_last_row_fires_on_no_day_even_where_scores_are_infinite():
    times = pd.date_range("2026-03-01T12:00Z", periods=3, freq="D")
    frame = pd.DataFrame({"score": [np.inf, np.inf, 1.0], "truth": True, "started_at": times})
    result = swept(frame)
    assert result.frame[["threshold", "fired_per_day"]].to_numpy().tolist() == [
        [1, 1],
        [np.inf, 1],
        [np.inf, 0],
    ]
    assert result.at(np.inf)["fired_per_day"].tolist() == [1]


@pytest.mark.parametrize("by", [(), "key"])
def test_rates_of_a_large_sweep_are_those_of_a_small_one(by, monkeypatch):
    """What is too large to keep is counted when asked for."""
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"score": generator.random(500), "truth": generator.random(500) < 0.4})
    frame["key"] = generator.integers(0, 3, 500)
    frame["started_at"] = pd.date_range("2026-03-01T12:00Z", periods=500, freq="h")
    small = swept(frame, by=by)
    kept = [small.frame, small.at([0.2, np.inf, 0.5])]
    monkeypatch.setattr(sweeps, "_MOST_KEPT", 0)
    large = swept(frame, by=by)
    for before, after in zip(kept, (large.frame, large.at([0.2, np.inf, 0.5])), strict=True):
        pd.testing.assert_frame_equal(before, after)
    assert "in_days" not in vars(large)


def test_days_are_those_of_the_zone():
    times = ["2026-03-01T22:30", "2026-03-01T23:30", "2026-03-02T22:30", "2026-03-02T23:30"]
    assert swept(at_times(times)).days.n_days == 0
    berlin = swept(at_times(times, "Europe/Berlin"))
    assert (berlin.days.timezone, berlin.days.n_days, berlin.in_days[0, 0]) == ("Europe/Berlin", 1, 2)


def test_a_day_of_23_hours_is_a_whole_day():
    times = ["2026-03-28T12:00", "2026-03-28T23:00", "2026-03-29T21:59", "2026-03-29T22:00"]
    result = swept(at_times(times, "Europe/Berlin"))
    assert (result.days.n_days, result.in_days[0, 0]) == (1, 2)


@pytest.mark.parametrize("zone", ["America/Sao_Paulo", "America/Havana", "Africa/Cairo"])
def test_clocks_that_jump_at_midnight_do_no_harm(zone):
    times = pd.date_range("2018-10-01", "2018-11-30", freq="h", tz=zone)
    frame = at_times([str(t) for t in times], zone)
    local = frame["detected_at"].dt.tz_convert(zone).dt.date
    expected = (~local.isin([local.min(), local.max()])).sum()
    assert swept(frame).in_days[0, 0] == expected


def test_without_a_whole_day_there_is_a_span_and_no_rate():
    result = swept(at_times(["2026-03-01T09:00", "2026-03-01T09:10"]))
    assert (result.days.n_days, result.days.span_s, result.in_days) == (0, 600.0, None)
    assert "fired_per_day" not in result.frame


def test_rows_without_a_time_fire_but_belong_to_no_day():
    result = swept(at_times(["2026-03-01T09:00", None, "2026-03-02T09:00", "2026-03-03T09:00"]))
    assert result.days.n_untimed == 1
    assert result.at(0.5)[["n_fired", "fired_per_day"]].iloc[0].tolist() == [4, 1.0]
    assert "1 row without a time belong to no day" in result.caption[1]


@pytest.mark.parametrize("times", [["2026-03-01T09:00"], [None]])
def test_times_that_cannot_be_placed_give_no_days(times):
    frame = at_times(times)
    frame["detected_at"] = frame["detected_at"].dt.tz_localize(None)
    assert swept(frame).days is None


def test_times_of_arrow_are_times():
    frame = pd.DataFrame({"score": [0.5] * 4, "truth": True})
    times = pd.Series(pd.date_range("2026-03-01T12:00Z", periods=4, freq="D")).dt.tz_convert("Europe/Berlin")
    plain, arrow = (
        swept(frame.assign(started_at=column)).days
        for column in (times, times.astype("timestamp[us, tz=Europe/Berlin][pyarrow]"))
    )
    assert arrow == plain
    assert arrow.n_days == 2


@pytest.mark.parametrize("by", [None, (), [], "score", ["score"], pd.Index(["score"]), np.array(["score"])])
def test_group_columns_may_be_none_one_or_several(by):
    result = swept(pd.DataFrame({"score": [1.0, 2.0], "truth": True}).assign(key=0), by=by)
    assert result.n_groups == (1 if by is None or len(by) == 0 else 2)


def test_started_at_goes_before_detected_at():
    frame = at_times(["2026-03-01T09:00"])
    assert swept(frame.assign(started_at=frame["detected_at"])).days.column == "started_at"


def test_all_groups_share_the_same_days_so_that_rates_add_up():
    times = [f"2026-03-0{day}T09:00" for day in (1, 2, 3, 4)]
    frame = at_times(times, key=["a", "a", "b", "b"])
    by_key, whole = swept(frame, by="key").at(0.5), swept(frame).at(0.5)
    assert by_key["fired_per_day"].tolist() == [0.5, 0.5]
    assert whole["fired_per_day"].tolist() == [1.0]


@pytest.mark.parametrize("zone", ["Mars/Olympus", "America", "../etc"])
def test_an_unknown_time_zone_is_refused(zone):
    with pytest.raises(BadInputError, match="is no time zone"):
        swept(at_times(["2026-03-01T09:00"], zone))


@given(rows, st.data())
def test_rates_equal_brute_force(rows, data):
    hours = data.draw(st.lists(st.integers(0, 120), min_size=len(rows), max_size=len(rows)))
    start = pd.Timestamp("2026-03-27", tz="UTC")
    frame = framed(rows).assign(started_at=start + pd.to_timedelta(pd.Series(hours, dtype="int64"), unit="h"))
    frame.attrs["timezone"] = "Europe/Berlin"
    result = swept(frame)
    on = frame["started_at"].dt.tz_convert("Europe/Berlin").dt.date
    whole = frame[(on > on.min()) & (on < on.max())] if len(frame) else frame
    n_days = max((on.max() - on.min()).days - 1, 0) if len(frame) else 0
    assert (result.days.n_days if result.days else 0) == n_days
    for threshold, (_, row) in itertools.product([0.0] if n_days else [], result.at(0.0).iterrows()):
        n_fired, _, tp, fp, _, _ = counted(whole, threshold)
        assert row[["fired_per_day", "true_per_day", "false_per_day"]].tolist() == [
            n / n_days for n in (n_fired, tp, fp)
        ]


# --- Few labels.


def test_fewer_than_fifty_labels_are_warned_of_once():
    with pytest.warns(FewLabelsWarning, match="Only 49 units are labelled: with fewer than 50") as caught:
        result = swept(pd.DataFrame({"score": 0.5, "truth": [True] * 49 + [None] * 20}), at=[0.1])
    # Neither a part of it nor a count anew is a call of the analyst's.
    assert len(result.part(np.ones(69, dtype=bool)).at(0.3)) == 1
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_fifty_labels_are_enough(recwarn):
    swept(pd.DataFrame({"score": 0.5, "truth": [True] * 50}))
    assert not recwarn.list


def test_labels_are_counted_in_clusters():
    frame = pd.DataFrame({"score": 0.5, "truth": True, "episode": np.arange(200) // 5})
    with pytest.warns(FewLabelsWarning, match=r"Only 40 units \(episode\) are labelled"):
        result = swept(frame, cluster="episode")
    assert (result.frame.attrs["n_labelled"], result.frame.attrs["cluster"]) == (40, "episode")
    assert "Intervals rest on 40 labelled clusters by episode." in result.caption[0]


def test_the_caption_says_what_a_unit_counts_for_and_which_misses_are_known():
    frame = framed([(0.5, True, "a")]).assign(w=2, p=0.5)
    caption = swept(frame, weight="w", probability="p", n_missed=3).caption
    assert caption[1:] == [
        "A unit counts w times. True and false alarms are estimated: a label counts one over p.",
        "No times with a zone in the frame, so nothing is known per day.",
        "Recall counts 3 missed objects; objects that nobody reported are not counted.",
    ]
    assert "objects never detected are not counted" in swept(frame).caption[-1]


def test_the_caption_says_what_a_row_is():
    frame = framed([(0.5, True, "a")])
    frame.attrs["unit"] = "episode"
    assert swept(frame).caption[0].startswith("A row is one episode. 1 unit: 1 labelled")


# --- Groups by the clock.

NIGHT_OF_SUMMER_TIME = ["2026-03-29T00:59", "2026-03-29T01:00"]
NIGHT_OF_WINTER_TIME = ["2026-10-25T00:30", "2026-10-25T01:30", "2026-10-25T02:00"]


@pytest.mark.parametrize(
    ("times", "hours"), [(NIGHT_OF_SUMMER_TIME, {1: 1, 3: 1}), (NIGHT_OF_WINTER_TIME, {2: 2, 3: 1})]
)
def test_hours_are_those_of_the_wall_clock(times, hours):
    """Where it jumps over the hour from two to three, and where it has that hour twice."""
    totals = swept(at_times(times, "Europe/Berlin"), by="local_hour").totals
    assert dict(zip(totals["local_hour"], totals["n_true"], strict=True)) == hours


def test_day_is_from_six_to_eighteen_by_the_wall_clock():
    times = ["2026-07-01T03:59", "2026-07-01T04:00", "2026-07-01T15:59", "2026-07-01T16:00", None]
    totals = swept(at_times(times, "Europe/Berlin"), by="day_or_night").totals
    assert totals["day_or_night"].tolist()[:2] == ["day", "night"]
    assert totals["day_or_night"].isna().tolist() == [False, False, True]
    assert totals["n_true"].tolist() == [2, 2, 1]


def test_hours_are_made_of_aware_times_only():
    with pytest.raises(BadInputError, match="no times with a zone, so no local_hour"):
        swept(framed([]), by="local_hour")


def test_a_column_of_the_frame_goes_before_what_is_made_of_its_times():
    frame = at_times(["2026-03-01T09:00", "2026-03-01T21:00"], day_or_night="dusk")
    assert swept(frame, by="day_or_night").totals["day_or_night"].tolist() == ["dusk"]


def test_making_hours_leaves_the_frame_as_it_was():
    frame = at_times(["2026-03-01T09:00"])
    swept(frame, by=["local_day", "local_hour"])
    assert list(frame.columns) == ["score", "truth", "detected_at"]
