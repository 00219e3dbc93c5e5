"""The interval of what fires per day equals that of a plain count of every day."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from secnb.analysis.counting import sweep
from secnb.view.dayspread import reach_of_mean

THRESHOLDS = np.array([-np.inf, 0.2, 0.5, 0.9, 2.0])


def sample(n: int = 400, *, days: float = 9) -> pd.DataFrame:
    generator = np.random.default_rng(5)
    started_at = pd.Timestamp("2026-03-27T05:00Z") + pd.to_timedelta(generator.random(n) * days, unit="D")
    frame = pd.DataFrame(
        {
            "score": generator.random(n).round(1),
            "truth": None,
            "started_at": started_at,
            "camera": generator.choice(["a", "b"], n),
            "weight": generator.integers(1, 4, n),
        }
    )
    frame.loc[::50, "score"] = np.nan
    # The clock changes in these days.
    frame.attrs["timezone"] = "Europe/Berlin"
    return frame


@pytest.mark.parametrize("weight", [None, "weight"])
def test_it_is_students_interval_over_the_whole_days(weight):
    frame = sample()
    # A silent day is a day with 0.
    frame = frame[frame["started_at"].dt.tz_convert("Europe/Berlin").dt.day != 30]
    result = sweep(frame, score="score", truth="truth", by="camera", weight=weight)
    found = reach_of_mean(result.units, THRESHOLDS)
    on = frame["started_at"].dt.tz_convert("Europe/Berlin").dt.date
    days = pd.date_range(result.days.first_on, result.days.last_on).date
    for g, camera in enumerate(["a", "b"]):
        for i, threshold in enumerate(THRESHOLDS):
            fires = frame[(frame["camera"] == camera) & (frame["score"] >= threshold)]
            each = fires.groupby(on)["weight"].sum() if weight else fires.groupby(on).size()
            each = each.reindex(days, fill_value=0)
            expected = stats.t.ppf(0.975, len(days) - 1) * each.std() / np.sqrt(len(days))
            assert found[g, i] == pytest.approx(expected)


@pytest.mark.parametrize(
    "frame", [sample(days=5.5), sample().drop(columns="started_at")], ids=["days", "none"]
)
def test_few_days_tell_nothing(frame):
    assert reach_of_mean(sweep(frame, score="score", truth="truth").units, THRESHOLDS) is None
