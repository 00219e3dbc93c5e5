"""Guarantees: closed forms, how often they are violated and given, and what they never look at."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, binom

from secnb.analysis.guarantees import (
    allowed_days,
    busiest_scores,
    days_needed,
    fixed_grid,
    labels_like,
    labels_needed,
    lowest_within_budget,
    p_values,
    prove_precision,
)

GRID = fixed_grid(np.array([0.0, 1.0]))


@pytest.mark.parametrize(
    ("target", "fewest"), [(0.90, [22, 38, 52, 65, 78, 91]), (0.95, [45, 77, 105, 132, 158, 184])]
)
def test_fewest_labels_are_the_closed_form(target, fewest):
    assert [labels_needed(n_false, target=target, risk=0.1) for n_false in range(6)] == fewest


@pytest.mark.parametrize(("n_days", "allowed"), [(8, -1), (9, 0), (19, 1), (29, 2), (49, 4), (99, 9)])
def test_days_over_budget_are_the_closed_form(n_days, allowed):
    assert allowed_days(n_days, within=0.9) == allowed


@given(st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99]))
def test_the_fewest_days_are_the_first_that_allow_anything(within):
    fewest = days_needed(within=within)
    assert allowed_days(fewest, within=within) == 0
    assert allowed_days(fewest - 1, within=within) == -1


@given(st.integers(0, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.01, 0.99))
def test_p_values_are_binomial_tails(count, target):
    k, n = count
    assert float(p_values(n, k, target=target)) == pytest.approx(binom.sf(k - 1, n, target), abs=1e-10)


@pytest.mark.parametrize(
    ("scores", "ends", "n"),
    [
        ([0.2, 0.9], (0, 1), 101),
        ([3, 88], (0, 100), 101),
        ([0.1, 1.5], (0, 10), 101),
        ([-0.5, 1], (-1, 1), 201),
        ([1e-6, 7e-4], (0, 1e-3), 101),
        ([0.0, 0.0], (0, 1), 101),
    ],
)
def test_the_grid_has_a_hundred_steps_on_the_scale_of_the_scores(scores, ends, n):
    grid = fixed_grid(np.array([*scores, np.nan, np.inf]))
    assert (grid[0], grid[-1], len(grid)) == (*ends, n)


@pytest.mark.parametrize("largest", [5e-324, 1.7e308])
def test_the_grid_of_scores_at_the_end_of_what_floats_hold_is_finite(largest):
    grid = fixed_grid(np.array([0.0, largest]))
    assert np.isfinite(grid).all()
    assert (np.diff(grid) > 0).all()


def test_the_grid_holds_the_numbers_that_people_write():
    assert {0.07, 0.29, 0.57, 0.58, 0.9} <= set(GRID.tolist())


def counted(scores, truth):
    """Units and true units at or above each threshold of the grid."""
    order = np.argsort(scores)
    first = np.searchsorted(scores[order], GRID)
    true = np.concatenate(([0], np.cumsum(truth[order])))
    return len(scores) - first, true[-1] - true[first]


def beta_scores(a, b, c, d, prevalence):
    """Scores Beta(a, b) where true, Beta(c, d) where false, and the precision at any threshold."""

    def draw(generator, n):
        truth = generator.random(n) < prevalence
        return np.where(truth, generator.beta(a, b, n), generator.beta(c, d, n)), truth

    def precision(t):
        true, false = prevalence * beta.sf(t, a, b), (1 - prevalence) * beta.sf(t, c, d)
        return true / (true + false)

    return draw, precision


def uniform_scores(top, knee, slope):
    """Uniform scores whose chance to be true is level above a knee and falls below it."""

    def chance(s):
        return np.clip(np.where(s >= knee, top, top - slope * (knee - s)), 0, 1)

    def draw(generator, n):
        scores = generator.random(n)
        return scores, generator.random(n) < chance(scores)

    def precision(t):
        return chance(np.linspace(t, 1, 2001)).mean()

    return draw, precision


POPULATIONS = {
    "good": (beta_scores(6, 2, 2, 4, 0.40), {200: 0.26, 500: 0.86, 1000: 0.94, 3000: 0.99}),
    "fair": (beta_scores(5, 2, 2, 3.5, 0.45), {200: 0.07, 500: 0.53, 1000: 0.79, 3000: 0.97}),
    "level 0.96": (uniform_scores(0.96, 0.5, 1.6), {200: 0.54, 500: 0.93, 1000: 0.98, 3000: 1.00}),
    "level 0.93": (uniform_scores(0.93, 0.6, 1.2), {200: 0.20, 500: 0.37, 1000: 0.62, 3000: 0.97}),
}


@pytest.mark.parametrize("population", POPULATIONS)
def test_guarantees_are_seldom_violated_and_given_more_often_than_published(population):
    (draw, precision), published = POPULATIONS[population]
    runs, answered = 200, {}
    for n in published:
        lowest = []
        for run in range(runs):
            scores, truth = draw(np.random.default_rng([run, n]), n)
            tests = prove_precision(GRID, *counted(scores, truth), target=0.9, risk=0.1)
            lowest += GRID[tests.is_proven][:1].tolist()
        answered[n] = len(lowest) / runs
        assert sum(precision(t) < 0.9 for t in lowest) <= 0.06 * runs
    assert sorted(answered.values()) == list(answered.values())
    # Both are shares of 200 runs, so that they differ by chance.
    assert all(answered[n] >= published[n] - 0.05 for n in published)
    assert np.mean(list(answered.values())) > np.mean(list(published.values()))


@pytest.mark.parametrize("share", [0.95, 0.97, 1.0])
def test_what_is_proven_ends_at_a_start_that_follows_from_the_counts_alone(share):
    generator = np.random.default_rng(3)
    n, k = counted(generator.random(600), generator.random(600) < share)
    proven = prove_precision(GRID, n, k, target=0.9, risk=0.1)
    starts = {GRID[n >= 46].max(), GRID[n >= 0.4 * 600].max()}
    assert GRID[proven.is_proven].max() in starts


@pytest.mark.parametrize("n", [0, 10, 60, 150])
def test_without_a_proof_it_says_about_how_many_more_labels(n):
    generator = np.random.default_rng(0)
    draw, _ = POPULATIONS["good"][0]
    scores, truth = draw(generator, n)
    tests = prove_precision(GRID, *counted(scores, truth), target=0.9, risk=0.1)
    assert not tests.is_proven.any()
    assert 1 <= tests.n_more <= 2000


def test_with_a_proof_no_more_labels_are_needed():
    n = np.arange(len(GRID), 0, -1) * 10
    assert prove_precision(GRID, n, n, target=0.9, risk=0.1).n_more == 0


def test_labels_that_are_half_false_prove_nothing_however_many():
    n = np.arange(len(GRID), 0, -1) * 10
    assert labels_like(n, n // 2, target=0.9, risk=0.1) is None


def test_the_number_of_labels_is_about_what_it_takes():
    """Half of the runs with that many labels have an answer, give or take."""
    draw, _ = POPULATIONS["good"][0]
    generator = np.random.default_rng(1)
    needed = []
    for _ in range(100):
        tests = prove_precision(GRID, *counted(*draw(generator, 100)), target=0.9, risk=0.1)
        needed.append(100 + (tests.n_more or 0))
    assert 150 <= np.median(needed) <= 500


days = st.lists(st.tuples(st.integers(-1, 5), st.sampled_from([0.1, 0.5, 0.5001, 0.9, np.inf, np.nan])))


@given(days, st.sampled_from([0, 0.5, 1, 2.5, 3]))
def test_a_day_exceeds_its_budget_up_to_its_busiest_score(units, per_day):
    day = np.array([d for d, _ in units], dtype=np.int64)
    scores = np.array([s for _, s in units], dtype=np.float64)
    busiest = busiest_scores(day, scores, None, n_days=5, per_day=per_day)
    for t in (0.0, 0.1, 0.3, 0.5, 0.5001, 0.7, 0.9, 1.0, np.inf):
        fired = np.bincount(day[(day >= 0) & (day < 5) & (scores >= t)], minlength=5)
        assert ((fired > per_day) == (t <= busiest)).all()


@given(st.lists(st.sampled_from([-np.inf, 0.2, 0.4, 0.4, 0.8]), max_size=40), st.sampled_from([0.8, 0.9]))
def test_the_lowest_threshold_within_budget_is_that_of_the_definition(busiest, within):
    busiest = np.array(busiest, dtype=np.float64)
    bound = lowest_within_budget(busiest, within=within)
    for t in (-1.0, 0.2, 0.3, 0.4, 0.5, 0.8, 0.9):
        bad = int((busiest >= t).sum())
        holds = (bad + 1) <= (1 - within) * (len(busiest) + 1) + 1e-9
        assert holds == (t > bound)


def alerts_of_days(generator, n_days):
    """Day and score of alerts whose number varies from day to day far more than a Poisson number."""
    per_day = generator.poisson(generator.gamma(4, 10, n_days))
    return np.repeat(np.arange(n_days), per_day), generator.random(int(per_day.sum()))


def test_later_days_keep_the_budget_where_the_mean_does_not():
    """A budget of 10 per day; days are gamma(4, 10) Poisson. One later day per run."""
    over = {"conformal": 0, "mean": 0}
    runs = 600
    for run in range(runs):
        generator = np.random.default_rng(run)
        day, scores = alerts_of_days(generator, 20)
        later = alerts_of_days(generator, 1)[1]
        bound = lowest_within_budget(busiest_scores(day, scores, None, n_days=20, per_day=10), within=0.9)
        over["conformal"] += (later > bound).sum() > 10
        over["mean"] += (later >= np.sort(scores)[::-1][: 20 * 10][-1]).sum() > 10
    assert over["conformal"] <= 0.1 * runs + 2 * np.sqrt(runs * 0.09)
    assert over["mean"] >= 0.3 * runs
