"""What is measured, corrected and unknown."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from secnb.analysis.counting import ThresholdSweep, sweep
from secnb.errors import BadInputError


def swept(frame: pd.DataFrame, **kwargs: object) -> ThresholdSweep:
    return sweep(frame, score="score", truth="truth", **kwargs)  # type: ignore[arg-type]


def zones(probability: str | None = None, **kwargs: float | None) -> pd.DataFrame:
    frame = pd.DataFrame({"score": [0.2, 0.4, 0.6, 0.8], "truth": [None, None, True, True], "p": 0.5})
    return swept(frame, probability=probability, **kwargs).at([0.1, 0.3, 0.5, 0.7])


@pytest.mark.parametrize(
    ("arguments", "levels"),
    [
        ({}, ["measured"] * 4),
        ({"probability": "p"}, ["corrected"] * 4),
        ({"recorded_from": 0.3}, ["unknown"] + ["measured"] * 3),
        ({"recorded_from": 0.3, "shown_from": 0.5}, ["unknown"] * 2 + ["measured"] * 2),
        (
            {"recorded_from": 0.3, "shown_from": 0.5, "probability": "p"},
            ["unknown", "corrected", "measured", "measured"],
        ),
    ],
)
def test_evidence_follows_the_zones(arguments, levels):
    assert zones(**arguments)["evidence"].tolist() == levels


def test_levels_of_evidence_can_be_compared():
    table = zones(recorded_from=0.3)
    assert table["evidence"].ge("corrected").tolist() == [False, True, True, True]


def test_unknown_evidence_gives_bounds_and_no_point():
    table = zones(shown_from=0.5)
    assert table.loc[:1, ["precision", "recall", "f1"]].isna().all(axis=None)
    # Two of the four that fire are labelled true; the others may be either.
    assert table.loc[0, ["precision_low", "precision_high"]].tolist() == [0.5, 1.0]
    assert table.loc[0, ["recall_low", "recall_high"]].tolist() == [1.0, 1.0]
    # At 0.3 one unlabelled unit fires and one does not.
    assert table.loc[1, ["precision_low", "precision_high"]].tolist() == [2 / 3, 1.0]
    assert table.loc[1, ["recall_low", "recall_high"]].tolist() == [2 / 3, 1.0]
    assert table.loc[2:, ["precision", "recall"]].notna().all(axis=None)


def test_below_what_was_recorded_any_precision_is_possible():
    table = zones(recorded_from=0.3)
    assert table.loc[0, ["precision_low", "precision_high", "recall_high"]].tolist() == [0.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"recorded_from": "0.5"}, "recorded_from is '0.5'. Allowed: a number, or None"),
        ({"shown_from": np.nan}, "shown_from is nan"),
        ({"recorded_from": 0.5, "shown_from": 0.4}, "shown_from is 0.4, below recorded_from, 0.5"),
    ],
)
def test_zones_that_make_no_sense_are_refused(arguments, text):
    with pytest.raises(BadInputError, match=text):
        zones(**arguments)
