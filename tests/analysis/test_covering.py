"""Coverage counts every unit once, in the part to which it belongs."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secnb import schema
from secnb.analysis.covering import coverage
from secnb.errors import BadInputError, UnknownColumnError

COUNTS = ["n_units", "n_labelled", "n_true", "n_false", "n_missed"]
rows = st.lists(
    st.tuples(
        st.sampled_from(["gate", "yard", None]),
        st.sampled_from(["person", "car", None]),
        st.floats(0, 1) | st.just(np.nan),
        st.sampled_from([True, False, None]),
        st.booleans(),
    ),
    max_size=25,
)


def framed(rows: list[tuple[object, ...]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["camera_id", "object_type", "score", "truth", "is_missed"])
    return frame.astype({"truth": "boolean", "score": "float64", "camera_id": "str", "object_type": "str"})


@settings(max_examples=30)
@given(rows)
def test_the_parts_add_up_to_the_whole(rows):
    frame = framed(rows)
    parts, whole = coverage(frame), coverage(frame, by=())
    assert parts[COUNTS].sum().tolist() == whole[COUNTS].iloc[0].tolist()
    assert (parts["n_labelled"] == parts[["n_true", "n_false", "n_missed"]].sum(axis=1)).all()
    assert whole["n_units"].tolist() == [len(rows)]
    assert not parts[["camera_id", "object_type", "score_band"]].duplicated().any()


@settings(max_examples=30)
@given(rows)
def test_each_part_is_counted_as_if_it_were_alone(rows):
    frame = framed(rows)
    table = coverage(frame, by="camera_id").set_index("camera_id")
    for camera in ("gate", "yard"):
        alone = frame[frame["camera_id"] == camera]
        if len(alone):
            assert table.loc[camera, COUNTS].tolist() == coverage(alone, by=())[COUNTS].iloc[0].tolist()


def test_columns_and_dtypes():
    frame = framed([("gate", "person", 0.55, True, False), ("gate", "person", 0.5, None, False)])
    table = coverage(frame)
    assert table["score_band"].tolist() == ["0.5 to 0.6"]
    found = {name: str(dtype) for name, dtype in table.iloc[:, 3:].dtypes.items()}
    assert found == dict(schema.COVERAGE)
    assert table[[*COUNTS, "labelled_ratio"]].iloc[0].tolist() == [2, 1, 1, 0, 0, 0.5]


def test_an_empty_frame_keeps_columns_and_dtypes():
    table = coverage(framed([]))
    assert len(table) == 0
    assert {name: str(dtype) for name, dtype in table.iloc[:, 3:].dtypes.items()} == dict(schema.COVERAGE)


def test_a_missed_object_is_labelled_and_no_true_alarm():
    table = coverage(
        framed([("gate", "person", 0.5, True, True), ("gate", "person", 0.5, None, True)]), by=()
    )
    assert table[COUNTS].iloc[0].tolist() == [2, 2, 0, 0, 2]


def test_fifty_labels_are_not_thin():
    frame = framed([("gate", "car", 0.5, True, False)] * 50 + [("yard", "car", 0.5, True, False)] * 49)
    assert coverage(frame, by="camera_id")["is_thin"].tolist() == [False, True]


@pytest.mark.parametrize(
    ("scores", "band", "bands"),
    [
        # A band holds its lower end; the last one holds both.
        ([0.0, 0.3, 0.29999, 1.0], None, ["0 to 0.1", "0.2 to 0.3", "0.3 to 0.4", "0.9 to 1"]),
        ([5, 9.99, 10, 100], None, ["0 to 10", "10 to 20", "90 to 100"]),
        ([0.1, 0.26], 0.25, ["0 to 0.25", "0.25 to 0.5"]),
        ([-0.05, 0.05], None, ["-0.1 to 0", "0 to 0.1"]),
        ([0.0], None, ["0 to 0.1"]),
        ([0.05, np.inf], None, ["0 to 0.1"]),
        ([-np.inf, np.inf], None, ["0 to 0.1"]),
    ],
)  # fmt: skip
def test_bands(scores: list[float], band: float | None, bands: list[str]):
    frame = pd.DataFrame({"score": scores, "truth": True})
    table = coverage(frame, by="score_band", band=band)
    assert table["score_band"].tolist() == bands
    assert table["n_units"].sum() == len(scores)


def test_bands_are_in_the_order_of_the_scores():
    frame = pd.DataFrame({"risk_score": pd.array([95, 5, None, 15], "Int64"), "truth": True})
    table = coverage(frame, by="score_band", score="risk_score")
    assert table["score_band"].astype(object).tolist()[:3] == ["0 to 10", "10 to 20", "90 to 100"]
    assert table["score_band"].isna().tolist() == [False, False, False, True]


@pytest.mark.parametrize("band", [0, -1, np.nan, 1e-9])
def test_impossible_bands_are_refused(band: float):
    with pytest.raises(BadInputError, match=r"band is .* for scores from 0\.1 to 0\.9"):
        coverage(pd.DataFrame({"score": [0.1, 0.9], "truth": True}), by="score_band", band=band)


def test_a_band_that_is_no_number_is_refused():
    with pytest.raises(BadInputError, match=r"band is 'wide'\. Allowed: numbers above 0"):
        coverage(pd.DataFrame({"score": [0.1, 0.9], "truth": True}), by="score_band", band="wide")


def test_days_are_local():
    """Where the clock goes forward in the night, too."""
    at = pd.to_datetime(["2026-03-28T22:59Z", "2026-03-28T23:00Z", "2026-03-29T21:59Z", None], utc=True)
    frame = pd.DataFrame({"started_at": at, "truth": True})
    frame.attrs["timezone"] = "Europe/Berlin"
    table = coverage(frame, by="local_day")
    assert [day.date() for day in table["local_day"][:2]] == [dt.date(2026, 3, 28), dt.date(2026, 3, 29)]
    assert table["n_units"].tolist() == [1, 2, 1]
    assert coverage(frame.assign(local_day="own"), by="local_day")["n_units"].tolist() == [4]


def test_no_times_are_no_days():
    with pytest.raises(BadInputError, match="no local_day"):
        coverage(pd.DataFrame({"truth": [True]}), by="local_day")


def test_detections_with_their_truth_are_units_too():
    frame = pd.DataFrame({"confidence": [0.5], "is_true": [True], "camera_id": "a", "object_type": "car"})
    assert coverage(frame)["n_true"].tolist() == [1]


@pytest.mark.parametrize(
    ("frame", "by", "name"),
    [
        (pd.DataFrame({"score": [1.0]}), (), "truth"),
        (pd.DataFrame({"truth": [True]}), "score_band", "score"),
        (pd.DataFrame({"truth": [True]}), "camera_id", "camera_id"),
    ],
)
def test_unknown_columns_are_named(frame: pd.DataFrame, by: str, name: str):
    with pytest.raises(UnknownColumnError, match=f"no column '{name}'"):
        coverage(frame, by=by)


def test_the_input_is_not_changed():
    frame = framed([("gate", "person", 0.55, True, False)])
    before = frame.copy(deep=True)
    coverage(frame)
    pd.testing.assert_frame_equal(frame, before)


def test_something_else_than_a_frame_is_refused():
    with pytest.raises(BadInputError, match="A pandas DataFrame is needed, not NoneType"):
        coverage(None)


def test_no_columns_are_one_part():
    frame = pd.DataFrame({"truth": [True, None]})
    assert coverage(frame, by=None)["n_units"].tolist() == coverage(frame, by=())["n_units"].tolist() == [2]


def test_hours_and_day_and_night_are_made_as_well():
    frame = pd.DataFrame({"started_at": pd.to_datetime(["2026-03-28T22:59Z", None], utc=True), "truth": True})
    frame.attrs["timezone"] = "Europe/Berlin"
    table = coverage(frame, by=["day_or_night", "local_hour"])
    assert table["day_or_night"].astype(object).tolist()[0] == "night"
    assert table["local_hour"].tolist()[0] == 23
