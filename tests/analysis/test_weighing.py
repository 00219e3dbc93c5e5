"""Sums over rows that do not count alike: added up block by block, the same as all at once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from secnb.analysis.counting import ThresholdSweep, sweep
from secnb.analysis.packing import BLOCK

N_ROWS = 3 * BLOCK + 1


def many_rows(*, decimals: int) -> pd.DataFrame:
    """Rows of some blocks, with two groups of unequal size; synthetic."""
    generator = np.random.default_rng(4)
    return pd.DataFrame(
        {
            "score": generator.random(N_ROWS).round(decimals),
            "truth": pd.Series(generator.choice([True, False, None], N_ROWS), dtype="boolean"),
            "key": np.where(generator.random(N_ROWS) < 0.9, "a", "b"),
            "weight": generator.random(N_ROWS),
            "episode": generator.integers(0, N_ROWS // 8, N_ROWS),
        }
    )


def swept(frame: pd.DataFrame, **kwargs: object) -> ThresholdSweep:
    return sweep(frame, score="score", truth="truth", **kwargs)  # type: ignore[arg-type]


@pytest.mark.parametrize("decimals", [16, 3, 0], ids=["all distinct", "ties", "two scores"])
@pytest.mark.parametrize("by", [(), "key"])
def test_sums_of_many_rows_are_those_of_the_rows_that_fire(decimals, by):
    frame = many_rows(decimals=decimals)
    result = swept(frame, weight="weight", by=by)
    found = result.at([0.0, 0.3, 0.5, 0.999, np.inf])
    for _, row in found.iterrows():
        fires = frame[frame["score"] >= row["threshold"]]
        if by:
            fires = fires[fires["key"] == row["key"]]
        weight, truth = fires["weight"], fires["truth"]
        expected = [each.sum() for each in (weight, weight[truth.eq(True)], weight[truth.eq(False)])]
        assert row[["n_fired", "tp", "fp"]].tolist() == pytest.approx(expected, rel=1e-12)


def test_sums_are_read_in_any_order_and_as_a_slice():
    sums = swept(many_rows(decimals=16), weight="weight", by="key").tally.tp
    rows = np.random.default_rng(0).integers(0, N_ROWS, 500)
    assert sums[rows].tolist() == sums[:][rows].tolist()
    assert sums[BLOCK - 2 : BLOCK + 2].tolist() == sums[:][BLOCK - 2 : BLOCK + 2].tolist()
    assert sums[rows[:0]].tolist() == []


@pytest.mark.parametrize("at", [None, [0.0, 0.5]])
def test_where_everything_is_labelled_fractions_leave_no_residue(at):
    frame = many_rows(decimals=16).assign(truth=lambda frame: frame["score"] > 0.7)
    found = swept(frame, weight="weight", by="key", at=at).at([0.0, 0.5])
    assert found["n_unlabelled"].tolist() == [0.0] * 4


def test_nothing_is_said_of_missing_verdicts_where_there_are_none():
    frame = many_rows(decimals=16).assign(truth=lambda frame: frame["score"] > 0.7)
    choice = swept(frame, weight="weight", by="key").choose(precision_at_least=0.8)
    assert choice.earlier["n_unlabelled_below"].tolist() == [0.0] * 3
    assert "verdicts" not in choice.explain()


def test_intervals_of_clusters_that_lie_far_apart_are_those_of_sorted_ones():
    frame = many_rows(decimals=3)
    together = frame.sort_values("episode", ignore_index=True)
    ends = ["precision_low", "precision_high", "recall_low", "recall_high"]
    one, other = (
        swept(each, cluster="episode", weight="weight", by="key").at([0.1, 0.5, 0.9])[ends]
        for each in (frame, together)
    )
    pd.testing.assert_frame_equal(one, other, rtol=1e-9)
