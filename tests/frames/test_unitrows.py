"""Rows of a frame as units to judge: named once, typed, and without what an earlier verdict said."""

from __future__ import annotations

import pandas as pd
import pytest

from secnb import schema
from secnb.errors import BadInputError, UnknownColumnError
from secnb.frames.unitrows import read_units

AT = pd.Timestamp("2026-03-01 08:30", tz="UTC")


def test_events_and_detections_are_units_in_the_order_of_the_frame():
    units = read_units(
        pd.DataFrame({"event_id": [9, None, 2], "detection_id": [1, 9, None]}, index=[5, 5, 1])
    )
    assert units.index.tolist() == ["event 9", "detection 9", "event 2"]


def test_an_empty_frame_has_no_units_and_all_columns():
    units = read_units(pd.DataFrame({"event_id": []}))
    assert len(units) == 0
    assert set(units.columns) == set(schema.LABELS) - {"truth", "who", "verified_at"}


def test_what_an_earlier_verdict_said_is_left_out():
    units = read_units(pd.DataFrame({"event_id": [1], "truth": [True], "who": ["kim"], "verified_at": [AT]}))
    assert not {"truth", "who", "verified_at"} & set(units.columns)


def test_columns_of_detections_fit():
    units = read_units(pd.DataFrame({"detection_id": [1], "confidence": [0.7], "detected_at": [AT]}))
    assert units[["score", "started_at"]].iloc[0].tolist() == [0.7, AT]


@pytest.mark.parametrize(("name", "value"), [("score", "high"), ("started_at", "soon"), ("risk_score", "x")])
def test_a_value_that_its_column_cannot_hold_is_missing(name: str, value: str):
    assert read_units(pd.DataFrame({"event_id": [1], name: [value]}))[name].isna().all()


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ([1], "frame is list. Allowed: a DataFrame"),
        (pd.DataFrame({"event_id": [1, 2, 1]}), "has event 1 twice"),
        (pd.DataFrame({"event_id": [1, None]}), "1 rows have neither event_id nor detection_id"),
        (
            pd.DataFrame({"event_id": [1.5]}),
            "'event_id' holds other values than ids: 1.5. Allowed: whole numbers",
        ),
        (pd.DataFrame({"event_id": ["x"]}), "holds other values than ids: 'x'. Allowed: whole numbers"),
        (pd.DataFrame({"event_id": [2**70]}), "holds other values than ids: 1180591620717411303424"),
        (pd.DataFrame([[1, 2]], columns=["event_id", "event_id"]), "2 columns called 'event_id'"),
    ],
)
def test_a_frame_whose_rows_cannot_be_named_is_refused(frame: object, message: str):
    with pytest.raises(BadInputError, match=message):
        read_units(frame)


def test_a_frame_without_ids_is_refused():
    with pytest.raises(UnknownColumnError, match="There is no column 'event_id'"):
        read_units(pd.DataFrame({"score": [0.5]}))
