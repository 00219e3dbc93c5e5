"""What the menus can show, and how much of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from secnb.analysis.counting import sweep
from secnb.errors import BadInputError
from secnb.view.groupings import MOST_SELECTIONS, menus, selections, shortened

AT = np.array([0.0, 0.5])


def counted(frame: pd.DataFrame, by: list[str], **kwargs: object) -> dict[str, object]:
    result = sweep(frame.assign(truth=True), score="score", truth="truth", by=by, **kwargs)
    return {found.key: found for found in selections(result, menus(result), AT)}


def test_every_group_and_every_sum_is_there_and_what_never_occurs_is_not():
    frame = pd.DataFrame({"score": 0.7, "camera": ["a", "a", "b"], "hour": [1, 2, 1]})
    found = counted(frame, ["camera", "hour"])
    assert list(found) == ["-1,-1", "-1,0", "-1,1", "0,-1", "1,-1", "0,0", "0,1", "1,0"]
    assert [each.table["n_fired"].iloc[0] for each in found.values()] == [3, 2, 1, 2, 1, 1, 1, 1]


def test_misses_without_rows_are_summed_up():
    frame = pd.DataFrame({"score": 0.7, "camera": ["a", "b"]})
    n_missed = pd.Series([2, 5], index=pd.Index(["a", "z"], name="camera"))
    found = counted(frame, ["camera"], n_missed=n_missed)
    assert {key: each.n_missed for key, each in found.items()} == {"-1": 7, "0": 2, "1": 0, "2": 5}


@pytest.mark.parametrize(
    "keys",
    [
        pd.Categorical(["b", "a", None], categories=["c", "b", "a"]),
        pd.array([2, 1, None], dtype="Int64"),
        pd.to_datetime(["2026-03-02", "2026-03-01", None]),
        [2.5, "a", None],
        [(1, 2), (3, 4), None],
    ],
    ids=["categorical", "integer", "time", "mixed", "tuple"],
)
def test_any_kind_of_key_makes_a_menu(keys):
    frame = pd.DataFrame({"score": [0.1, 0.6, 0.9], "key": keys})
    found = counted(frame, ["key"])
    assert [each.table["n_fired"].iloc[0] for each in found.values()] == [3, 1, 1, 1]


def test_too_many_groups_are_refused_with_a_way_out():
    n = MOST_SELECTIONS
    frame = pd.DataFrame({"score": 0.7, "track": range(n)})
    with pytest.raises(BadInputError, match=f"{n} groups by 'track', .* more than {n} .*\n\nHint: sweep by"):
        counted(frame, ["track"])
    assert len(counted(frame.iloc[1:], ["track"])) == n


def test_192_groups_by_four_columns_are_not_too_many():
    n = np.arange(192)
    frame = pd.DataFrame({"score": 0.7, "a": n % 2, "b": n // 2 % 2, "c": n // 4 % 2, "d": n // 8})
    assert len(counted(frame, ["a", "b", "c", "d"])) == 3 * 3 * 3 * 25


def test_long_names_lose_their_middle():
    assert shortened("a" * 60) == "a" * 60
    assert shortened("begin" + "x" * 90 + "end").startswith("begin")
    assert shortened("begin" + "x" * 90 + "end").endswith("end")
    assert len(shortened("x" * 90)) == 60
