"""Intervals against scipy's, at their edges, and their coverage when rows come in bursts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from secnb.analysis.intervals import clopper_pearson, korn_graubard, wilson
from secnb.errors import BadInputError

counts = st.integers(0, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
levels = st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99])


@given(counts, levels)
def test_independent_units_have_the_intervals_of_scipy(count, confidence):
    k, n = count
    if n:
        test = binomtest(k, n)
        for interval, method in ((wilson, "wilson"), (clopper_pearson, "exact")):
            expected = test.proportion_ci(confidence, method=method)
            np.testing.assert_allclose(interval(k, n, confidence), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("interval", [wilson, clopper_pearson])
def test_without_a_unit_nothing_is_known(interval):
    assert [float(end) for end in interval(0, 0)] == [0.0, 1.0]


@pytest.mark.parametrize("interval", [wilson, clopper_pearson])
@given(st.integers(1, 10_000))
def test_none_and_all_are_ends_without_a_rounding_error(interval, n):
    low, high = interval([0, n], n)
    assert low[0] == 0.0
    assert high[1] == 1.0
    assert 0 < high[0] < 1
    assert 0 < low[1] < 1


def test_arrays_of_any_shape_broadcast():
    low, high = clopper_pearson([[1], [2]], [10, 20, 30])
    assert low.shape == high.shape == (2, 3)
    assert (low < high).all()


@pytest.mark.parametrize("confidence", [0, 1, 95, -0.5, float("nan"), "x", None])
@pytest.mark.parametrize("interval", [wilson, clopper_pearson])
def test_a_confidence_lies_between_0_and_1(interval, confidence):
    with pytest.raises(BadInputError, match=r"Allowed: between 0 and 1, such as 0\.95"):
        interval(5, 10, confidence)


@given(st.floats(0, 1), st.floats(0.5, 500), st.integers(1, 300), levels)
def test_clusters_never_give_a_narrower_interval_than_that_many_independent_units(
    p, n_effective, n_clusters, level
):
    low, high = korn_graubard(p, n_effective, n_clusters, level)
    independent = clopper_pearson(p * n_clusters, n_clusters, level)
    assert low <= independent[0] + 1e-9
    assert high >= independent[1] - 1e-9
    assert low - 1e-9 <= p <= high + 1e-9


@pytest.mark.parametrize("n_effective", [np.nan, np.inf, 1e9])
def test_without_variance_the_number_of_clusters_bounds(n_effective):
    assert korn_graubard(1.0, n_effective, 30) == clopper_pearson(30, 30)


def test_without_an_estimate_or_a_cluster_nothing_is_known():
    low, high = korn_graubard([np.nan, 0.5], [10, np.nan], [10, 0])
    assert low.tolist() == [0, 0]
    assert high.tolist() == [1, 1]


def test_one_cluster_is_one_unit():
    assert korn_graubard(1.0, np.nan, 1) == clopper_pearson(1, 1)


def bursts(generator, *, precision, n_episodes, runs):
    """Rows and true rows per episode of about ten frames; 80 % of the variance lies between episodes."""
    sizes = 1 + generator.poisson(9, (runs, n_episodes))
    spread = (1 - 0.8) / 0.8
    chance = generator.beta(precision * spread, (1 - precision) * spread, sizes.shape)
    return sizes, generator.binomial(sizes, chance)


@pytest.mark.parametrize("n_episodes", [30, 100, 300])
@pytest.mark.parametrize("precision", [0.7, 0.85, 0.97])
def test_bursts_are_covered_where_frames_as_units_are_not(precision, n_episodes):
    generator = np.random.default_rng(20)
    sizes, true = bursts(generator, precision=precision, n_episodes=n_episodes, runs=1000)
    n, k = sizes.sum(axis=1), true.sum(axis=1)
    p = k / n
    residuals = true - p[:, None] * sizes
    variance = n_episodes / (n_episodes - 1) * (residuals**2).sum(axis=1) / n**2
    effective = np.divide(p * (1 - p), variance, out=np.full_like(p, np.nan), where=variance > 0)
    low, high = korn_graubard(p, effective, n_episodes)
    assert np.mean((low <= precision) & (precision <= high)) >= 0.94
    low, high = wilson(k, n)
    assert np.mean((low <= precision) & (precision <= high)) < 0.6
