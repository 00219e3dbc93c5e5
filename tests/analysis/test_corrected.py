"""Corrected rates against published studies, and at their edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secnb.analysis.corrected import corrected_rates
from secnb.errors import BadInputError

STUDIES = {
    "SPECT thallium (Cecil 1996)": (
        {"n_fired": 1423, "n_silent": 1265, "tp": 195, "fp": 232, "fn": 5, "tn": 39},
        (0.818863, 0.591875, 0.975000, 0.143911),
    ),
    "diaphanography (Marshall 1984)": (
        {"n_fired": 67, "n_silent": 833, "tp": 26, "fp": 11, "fn": 7, "tn": 44},
        (0.291678, 0.973031, 0.787879, 0.800000),
    ),
}


@pytest.mark.parametrize("study", STUDIES)
def test_published_studies_are_reproduced(study):
    counts, expected = STUDIES[study]
    assert tuple(round(float(rate), 6) for rate in corrected_rates(**counts)) == expected


@given(st.tuples(*[st.integers(1, 50)] * 4))
def test_with_everything_verified_nothing_is_corrected(counts):
    tp, fp, fn, tn = counts
    rates = corrected_rates(n_fired=tp + fp, n_silent=fn + tn, tp=tp, fp=fp, fn=fn, tn=tn)
    np.testing.assert_allclose(rates.recall, rates.recall_verified)
    np.testing.assert_allclose(rates.specificity, rates.specificity_verified)


def test_a_side_that_nobody_looked_at_leaves_no_rate():
    rates = corrected_rates(n_fired=100, n_silent=900, tp=40, fp=10, fn=0, tn=0)
    assert np.isnan(rates.recall)
    assert np.isnan(rates.specificity)


@pytest.mark.parametrize("wrong", [{"tp": -1}, {"tp": 61}, {"tn": 1000}])
def test_more_verified_than_there_are_is_an_error(wrong):
    counts = {"n_fired": 100, "n_silent": 900, "tp": 40, "fp": 40, "fn": 5, "tn": 50, **wrong}
    with pytest.raises(BadInputError, match="negative or more than its units"):
        corrected_rates(**counts)
