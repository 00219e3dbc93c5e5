"""Which thresholds are on the scale of the scores, and what is said of the others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secnb.analysis.scales import check_scale
from secnb.errors import BadInputError


def checked(scores: list[float], *thresholds: float, **how: bool) -> None:
    check_scale(np.array(scores, dtype=np.float64), np.array(thresholds, dtype=np.float64), **how)


@given(st.lists(st.floats(allow_nan=False), min_size=1))
def test_every_score_is_a_threshold_on_its_scale(scores):
    """One that was chosen, that is: who types a fraction among percentages meant another scale."""
    checked(scores, *scores, is_chosen=True)


@pytest.mark.parametrize(
    ("scores", "thresholds"),
    [
        ([0.2, 0.97], [0, 0.99, 1]),
        ([20, 90], [0, 1, 57.5, 100]),
        ([0, 3], [0.5]),
        ([20.5, 90], [20.5, 150]),
        ([12.5], [20]),
        ([0.2, np.nan, np.inf], [-np.inf, np.inf, np.nan]),
        ([], [0.5, 60, -1000]),
        ([np.inf], [0.5, 60]),
    ],
    ids=str,
)
def test_a_threshold_may_lie_beyond_the_scores(scores, thresholds):
    """On their scale; infinite ones are of every scale."""
    checked(scores, *thresholds)


@pytest.mark.parametrize(
    ("scores", "threshold", "said"),
    [
        ([0.2, 0.9], 50, "50 lies outside of the scores, which go from 0.2 to 0.9. Allowed: 0 to 1."),
        ([0.2, 0.9], 50, "Hint: a threshold is on the scale of the scores: 0.5 instead of 50?"),
        ([0.2, 0.9], -0.1, "Hint: a threshold is on the scale of the scores$"),
        ([20, 90], 101, "Allowed: 0 to 100."),
        ([20, 90], 0.5, "Allowed: 0, and 1 to 100..*: 50 instead of 0.5?"),
        ([0.2, 90.5], 0.5, "Allowed: 0, and 1 to 100..*: 50 instead of 0.5?"),
        ([0, 255], 600, "Allowed: -255 to 510."),
    ],
)
def test_a_threshold_of_another_scale_is_refused(scores, threshold, said):
    """With where the scores lie, and what may have been meant."""
    with pytest.raises(BadInputError, match=f"(?s){said}"):
        checked(scores, threshold)
