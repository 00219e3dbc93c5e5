"""Where the slider can stand: round numbers over all scores, and over what is marked beside them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secnb.errors import BadInputError
from secnb.view.sliders import slider_over


@settings(max_examples=300)
@given(st.lists(st.floats(allow_nan=False), max_size=5))
def test_the_slider_covers_all_finite_scores_with_distinct_positions(scores):
    slider = slider_over(np.array(scores))
    values = slider.thresholds
    assert np.isfinite(values).all()
    assert (np.diff(values) > 0).all()
    assert 1 <= slider.n_steps <= 200
    finite = [s for s in scores if np.isfinite(s)]
    if finite and max(map(abs, finite)) < 1e300:
        assert values[0] <= min(finite)
        assert values[-1] >= max(finite)
    assert 0 <= slider.start <= slider.n_steps


@pytest.mark.parametrize(
    ("scores", "first", "last", "step"),
    [
        ([0.2, 0.9], 0, 1, 0.01),
        ([5.5], 3, 8, 0.05),
        ([1, 99], 0, 100, 1),
        ([7.93, 36.04], 7.8, 36.2, 0.2),
        ([0, 255], 0, 256, 2),
    ],
)
def test_positions_are_round_numbers(scores, first, last, step):
    slider = slider_over(np.array(scores, dtype=float))
    assert (slider.value(0), slider.step) == (first, step)
    assert slider.thresholds[-1] == pytest.approx(last, abs=step)


def test_a_position_is_the_number_that_one_would_type():
    values = slider_over(np.array([0.5])).thresholds
    assert values.tolist() == [float(f"0.{i:02d}") for i in range(100)] + [1.0]


def test_a_round_grid_reaches_a_threshold_that_is_marked_below_the_scores():
    slider = slider_over(np.array([12.0, 250.0, 40.5]), np.array([10.0]))
    assert slider.value(0) <= 10
    assert slider.value(slider.n_steps) >= 250


def test_without_a_score_the_scale_is_that_of_what_is_marked():
    slider = slider_over(np.array([np.inf]), np.array([60.0]))
    assert (slider.value(0), slider.value(slider.n_steps)) == (0, 100)


@pytest.mark.parametrize(
    ("scores", "marked", "allowed"),
    [
        ([0.2, 0.9], 50, "0 to 1"),
        ([0.2, 0.9], -0.1, "0 to 1"),
        ([20, 90], 101, "0 to 100"),
        ([12.0, 40.5, 250.0], 1000, "-238 to 500"),
    ],
)
def test_a_threshold_off_the_scale_is_refused(scores, marked, allowed):
    with pytest.raises(BadInputError, match=f"{marked:g} lies outside of the scores.*Allowed: {allowed}"):
        slider_over(np.array(scores, dtype=float), np.array([marked], dtype=float))


@given(st.lists(st.floats(0, 1), max_size=20))
def test_marked_thresholds_are_positions_between_round_numbers(marked):
    plain = slider_over(np.array([0.5]))
    slider = plain.stopping_at(np.array(marked))
    assert slider.thresholds.tolist() == sorted({*plain.thresholds.tolist(), *marked})
    assert slider.thresholds[slider.places].tolist() == plain.thresholds.tolist()
    below = plain.thresholds[slider.cells]
    assert (below <= slider.thresholds).all()
    assert (slider.thresholds[:-1] < below[:-1] + 0.01).all()
