"""Missed objects: rows that never fire, and numbers beside the frame."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from secnb.analysis.counting import ThresholdSweep, sweep
from secnb.errors import BadInputError


def swept(frame: pd.DataFrame, **kwargs: object) -> ThresholdSweep:
    return sweep(frame, score="score", truth="truth", **kwargs)  # type: ignore[arg-type]


def framed(rows: list[tuple[float, bool | None, str | None]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["score", "truth", "key"])
    return frame.astype({"score": "float64", "truth": "boolean", "key": "str"})


def test_missed_rows_are_misses_of_their_group_whatever_else_they_say():
    frame = framed([(0.9, True, "a"), (0.8, False, "a"), (np.nan, None, "b")])
    frame["is_missed"] = [False, True, True]
    found = swept(frame, by="key", missed="is_missed").at([0.0, 1.0])
    assert found["n_fired"].tolist() == [1, 0, 0, 0]
    assert found["fn"].tolist() == [0 + 1, 1 + 1, 1, 1]
    assert found["n_missed"].tolist() == [1, 1, 1, 1]
    assert swept(frame, missed="is_missed").n_unscored == {"true": 0, "false": 0, "unlabelled": 0}


def test_misses_without_rows_are_added_to_fn():
    frame = framed([(0.9, True, "a"), (0.8, True, "b")])
    assert swept(frame, n_missed=3).at(0.85)[["fn", "n_missed", "recall"]].iloc[0].tolist() == [4, 3, 0.2]
    assert swept(frame, n_missed=1.5).at(0)["recall"].iloc[0] == 2 / 3.5


@pytest.mark.parametrize("categorical", [False, True])
def test_misses_by_group_are_matched_by_key_and_groups_without_rows_are_added(categorical):
    frame = framed([(0.9, True, "a"), (0.8, True, "b"), (0.7, True, None)])
    if categorical:
        frame["key"] = frame["key"].astype("category")
    n_missed = pd.Series([5, 1, 2], index=["c", "b", None])
    result = swept(frame, by="key", n_missed=n_missed)
    table = result.at(0.0)
    assert dict(zip(table["key"].astype("str").fillna("missing"), table["fn"], strict=True)) == {
        "a": 0,
        "b": 1,
        "missing": 2,
        "c": 5,
    }
    assert table["key"].dtype == ("category" if categorical else "str")
    assert table["fn"].sum() == swept(frame, n_missed=8).at(0.0)["fn"].sum()


def test_misses_by_two_keys_follow_the_names_of_the_index():
    frame = framed([(0.9, True, "a"), (0.8, True, "b")]).assign(hour=[1, 2])
    n_missed = pd.Series([7], index=pd.MultiIndex.from_tuples([(2, "b")], names=["hour", "key"]))
    assert swept(frame, by=["key", "hour"], n_missed=n_missed).at(0)["fn"].tolist() == [0, 7]


@pytest.mark.parametrize(
    ("by", "n_missed", "text"),
    [
        ((), pd.Series({"a": 1}), "n_missed is Series. Allowed: a number"),
        ("key", 3, "n_missed is int. Allowed: a Series indexed by 'key'"),
        ("key", {"a": 1}, "n_missed is dict. Allowed: a Series"),
        ("key", pd.Series([1], index=pd.MultiIndex.from_tuples([("a", 1)])), "indexed by 2 keys, and by="),
        ("key", pd.Series({"a": -1}), r"n_missed holds \[-1.0\]. Allowed: numbers from 0 to 2"),
        ("key", pd.Series({"a": "x"}), "Allowed: numbers, 0 or more"),
        ((), np.nan, "Allowed: numbers from 0 to 2"),
        ((), 1e300, "Allowed: numbers from 0 to 2"),
        ((), [1], "one without by= and else one per group"),
        ((), True, "n_missed holds bool values"),
    ],
)
def test_other_misses_are_refused(by, n_missed, text):
    with pytest.raises(BadInputError, match=text):
        swept(framed([(0.5, True, "a")]), by=by, n_missed=n_missed)


def test_misses_whose_keys_have_another_dtype_are_refused():
    frame = framed([(0.5, True, "a")]).assign(hour=1)
    with pytest.raises(BadInputError, match="keys of n_missed do not fit the columns 'hour'"):
        swept(frame, by="hour", n_missed=pd.Series({"noon": 1}))
