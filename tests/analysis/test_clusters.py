"""Effective sizes against their definition, and the coverage of the intervals that rest on them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from secnb.analysis import columns
from secnb.analysis.counting import ThresholdSweep, sweep

ENDS = ["precision_low", "precision_high", "recall_low", "recall_high"]
rows = st.lists(
    st.tuples(
        st.sampled_from([0.1, 0.5, 0.7, np.nan]),
        st.sampled_from([True, False, None]),
        st.sampled_from([1, 2, 3, 4, None]),
        st.sampled_from([0.5, 1.0, 2.0]),
        st.booleans(),
    ),
    max_size=25,
)


def framed(rows: list[tuple[object, ...]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["score", "truth", "episode", "weight", "is_missed"])
    return frame.astype(
        {"score": "float64", "truth": "boolean", "episode": "Int64", "weight": "float64", "is_missed": "bool"}
    )


def swept(frame: pd.DataFrame, **kwargs: object) -> ThresholdSweep:
    return sweep(frame, score="score", truth="truth", **kwargs)  # type: ignore[arg-type]


def defined(parts: np.ndarray, wholes: np.ndarray) -> tuple[float, int]:
    """Return the effective size of a ratio of sums over clusters, and how many there are."""
    n = len(wholes)
    if n < 2:
        return np.nan, n
    rate = parts.sum() / wholes.sum()
    variance = n / (n - 1) * ((parts - rate * wholes) ** 2).sum() / wholes.sum() ** 2
    return (rate * (1 - rate) / variance if variance > 1e-15 else np.nan), n


def summed(values: np.ndarray, clusters: np.ndarray, among: np.ndarray) -> np.ndarray:
    return np.array([values[among & (clusters == c)].sum() for c in np.unique(clusters[among])])


values = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.floats(), st.sampled_from(["1", "ä", ""]), st.dates()
)


@given(st.lists(values, max_size=25))
@example([1, 2, 1, True, None, 1.0, "1", 2])
def test_clusters_are_numbered_block_by_block_as_all_at_once(values):
    for column in (pd.Series(values, dtype=object), pd.Series(list(map(str, values)), dtype="str")):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(columns, "_FACTORIZED", 4)
            found, n_found = columns.factorize(column)
        codes, known = pd.factorize(column)
        assert (found.tolist(), n_found) == (codes.tolist(), len(known))


@pytest.mark.parametrize("dtype", ["int64[pyarrow]", "Int64", "datetime64[ns, UTC]", "float64"])
def test_clusters_of_any_type_are_numbered_block_by_block(dtype, monkeypatch):
    monkeypatch.setattr(columns, "_FACTORIZED", 4)
    column = pd.Series([5, 3, None, 3, 9, 5, 5, None, 1], dtype="Int64").astype(dtype)
    found, n_found = columns.factorize(column)
    assert (found.tolist(), n_found) == ([0, 1, -1, 1, 2, 0, 0, -1, 3], 4)


@pytest.mark.parametrize("weight", [None, "weight"])
@pytest.mark.parametrize("n_missed", [0, 2])
@settings(max_examples=60)
@given(rows=rows)
def test_effective_sizes_are_those_of_the_linearised_variance(weight, n_missed, rows):
    frame = framed(rows)
    result = swept(frame, cluster="episode", weight=weight, missed="is_missed", n_missed=n_missed)
    clusters = frame["episode"].astype("float64").to_numpy(copy=True)
    clusters[np.isnan(clusters)] = 100 + np.flatnonzero(np.isnan(clusters))
    stands_for = frame["weight"].to_numpy() if weight else np.ones(len(frame))
    is_missed = frame["is_missed"].to_numpy()
    is_true = frame["truth"].fillna(False).to_numpy(dtype=bool) | is_missed
    is_known = (frame["truth"].notna() & frame["score"].notna()).to_numpy(dtype=bool)
    for i, threshold in enumerate(result.threshold):
        fires = is_known & ~is_missed & (frame["score"] >= threshold).to_numpy(dtype=bool)
        whole = summed(stands_for, clusters, fires)
        size, n_clusters = defined(summed(stands_for * is_true, clusters, fires), whole)
        assert result.sizes.n_fired[i] == n_clusters
        np.testing.assert_allclose(result.sizes.precision[i], size, rtol=1e-7)
        among = is_true & (is_known | is_missed)
        whole = np.append(summed(stands_for, clusters, among), np.ones(n_missed))
        caught = np.append(summed(stands_for * fires, clusters, among), np.zeros(n_missed))
        size, n_clusters = defined(caught, whole)
        assert result.sizes.n_true[i] == n_clusters
        np.testing.assert_allclose(result.sizes.recall[i], size, rtol=1e-7)


@given(rows)
def test_doubling_every_row_leaves_the_episode_interval(rows):
    frame = framed(rows).dropna(subset="episode")
    one = swept(frame, cluster="episode").frame
    two = swept(pd.concat([frame, frame]), cluster="episode").frame
    assert (two[["tp", "fp", "fn"]] == 2 * one[["tp", "fp", "fn"]]).all(axis=None)
    np.testing.assert_allclose(two[ENDS], one[ENDS], rtol=1e-7)


@given(rows)
def test_groups_have_the_intervals_of_their_own_rows(rows):
    frame = framed(rows).assign(key=np.resize(["a", "b"], len(rows)))
    table = swept(frame, cluster="episode", by="key").frame
    for key, alone in frame.groupby("key"):
        expected = swept(alone, cluster="episode").frame
        np.testing.assert_allclose(table.loc[table["key"] == key, ENDS], expected[ENDS], rtol=1e-7)


def test_given_thresholds_have_the_intervals_of_all_thresholds():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"score": rng.random(300), "truth": rng.random(300) < 0.7})
    frame["episode"] = rng.integers(0, 40, 300)
    grid = [0.2, 0.5, 0.9]
    one, every = swept(frame, cluster="episode", at=grid), swept(frame, cluster="episode")
    np.testing.assert_allclose(one.at(grid)[ENDS], every.at(grid)[ENDS])


def test_without_clusters_and_weights_rows_are_independent():
    assert swept(framed([(0.5, True, 1, 1.0, False)])).sizes is None


@pytest.mark.parametrize("precision", [0.7, 0.9, 0.97])
@pytest.mark.parametrize("n_episodes", [30, 300])
def test_episode_intervals_cover_and_frame_wise_ones_do_not(precision, n_episodes):
    """Frames of an episode are nearly alike: intra-class correlation 0.8, ten of them on average."""
    rng = np.random.default_rng(17)
    covered = np.zeros(2)
    for _ in range(n_runs := 150):
        n_frames = 1 + rng.poisson(9, n_episodes)
        rate = np.repeat(rng.beta(precision / 4, (1 - precision) / 4, n_episodes), n_frames)
        frame = pd.DataFrame({"score": 1.0, "truth": rng.random(len(rate)) < rate})
        frame["episode"] = np.repeat(np.arange(n_episodes), n_frames)
        for i, cluster in enumerate([None, "episode"]):
            found = swept(frame, cluster=cluster, at=0.5).at(0.5).iloc[0]
            covered[i] += found["precision_low"] <= precision <= found["precision_high"]
    assert covered[1] / n_runs >= 0.94
    assert covered[0] / n_runs < 0.65
