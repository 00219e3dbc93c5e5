"""What fires, found from either side."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secnb.analysis.captions import exact
from secnb.analysis.firing import Grid, lowest_firing, written

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


@given(st.lists(numbers, min_size=1, max_size=30), st.integers(0, 29), st.booleans())
def test_a_written_threshold_fires_on_the_same_scores_and_is_read_as_it_is_shown(scores, row, is_single):
    with np.errstate(over="ignore"):
        values = np.array(scores).astype(np.float32 if is_single else np.float64)
    ascending = np.unique(values).astype(np.float64)
    threshold = float(ascending[row % len(ascending)])
    found = written(threshold, ascending)
    assert lowest_firing(ascending, np.array([found])) == lowest_firing(ascending, np.array([threshold]))
    if np.isfinite(found):
        assert float(exact(found)) == found


@pytest.mark.parametrize(
    ("threshold", "shown"), [(16.82, "16.82"), (0.12345651, "0.123456"), (1234567.0, "1234567")]
)
def test_a_threshold_has_six_digits_where_these_fire_on_the_same(threshold, shown):
    assert exact(written(threshold, np.array([0.1, threshold]))) == shown


def test_digits_are_added_where_scores_lie_between():
    ascending = np.array([0.12345649, 0.12345651, 0.12345652])
    assert [written(each, ascending) for each in ascending[1:]] == [0.1234565, 0.12345652]


@pytest.mark.parametrize("threshold", [0.53, float(np.float32(0.53))])
def test_scores_in_single_precision_get_a_threshold_for_either_precision(threshold):
    """What fires at 0.53 depends on the precision in which it is compared."""
    scores = np.arange(100, dtype=np.float32) / np.float32(100)
    found = written(threshold, scores.astype(np.float64))
    counts = [int((scores.astype(kind) >= kind(found)).sum()) for kind in (np.float32, np.float64)]
    assert counts[0] == counts[1]
    assert found == float(f"{found:.6g}")
