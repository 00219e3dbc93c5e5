"""What fires, found from either side."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from secnb.analysis.firing import Grid, lowest_firing

numbers = st.one_of(st.floats(allow_nan=False), st.integers(-5, 5).map(lambda n: n / 10))


@given(st.lists(numbers, max_size=30), st.lists(numbers, max_size=30))
def test_a_score_reaches_the_thresholds_that_it_is_not_below(thresholds, scores):
    grid = np.unique(np.array(thresholds, dtype=np.float64))
    reached = Grid(grid).n_reached(np.array(scores, dtype=np.float64))
    assert reached.tolist() == [int((score >= grid).sum()) for score in scores]


@given(st.lists(numbers, max_size=30), st.lists(numbers, max_size=5))
def test_all_scores_from_the_lowest_firing_on_fire(scores, thresholds):
    ascending = np.sort(np.array(scores, dtype=np.float64))
    found = lowest_firing(ascending, np.array(thresholds, dtype=np.float64))
    assert (len(scores) - found).tolist() == [sum(score >= t for score in scores) for t in thresholds]
