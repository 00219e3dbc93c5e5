"""The picture of batch settings: efficient ones, the current one, and what a reasoner cannot keep up with."""

from __future__ import annotations

import html
import json

import numpy as np
import pandas as pd
import pytest
import vl_convert

from secnb.analysis.batching import compare_batching
from secnb.errors import BadInputError, UnknownColumnError
from secnb.view.batchings import plot_batching

VERSION = "5.8"


def comparison(n: int = 2000, **settings) -> pd.DataFrame:
    seconds = np.sort(np.random.default_rng(0).integers(0, 3 * 86_400, n))
    at = pd.to_datetime(1_770_000_000 + seconds, unit="s", utc=True)
    frame = pd.DataFrame({"camera_id": "porch", "detected_at": at})
    return compare_batching(frame, **{"window_s": [60, 90], "idle_s": [20, 30], "service_s": 5, **settings})


def drawn(panel) -> str:
    return html.unescape(vl_convert.vegalite_to_svg(panel.spec, vl_version=VERSION))


def test_every_setting_is_drawn_and_the_current_one_is_named():
    svg = drawn(plot_batching(comparison(), current=(90, 30)))
    assert all(f"window {w} s, idle {i} s:" in svg for w in (60, 90) for i in (20, 30))
    assert ">now: 90 / 30 s<" in svg
    assert "calls of the reasoner, per day" in svg
    assert ">now" not in drawn(plot_batching(comparison()))


def test_without_a_whole_day_there_are_counts():
    assert "calls of the reasoner, in all" in drawn(plot_batching(comparison(n=1)))


def test_a_reasoner_that_cannot_keep_up_is_said():
    svg = drawn(plot_batching(comparison(service_s=600)))
    assert "it cannot keep up" in svg
    assert "Hollow: the reasoner cannot keep up." in svg


def test_no_name_covers_another():
    """Equal settings get one name."""
    panel = plot_batching(comparison(window_s=[90, 90.5, 91, 5000], idle_s=[30]))
    rows = panel.spec["data"]["values"]
    assert sum(row["is_labelled"] for row in rows) < sum(row["is_efficient"] for row in rows)


@pytest.mark.parametrize("frame", [comparison(), comparison(n=0), comparison().iloc[:0]])
def test_the_specification_is_plain_json(frame):
    spec = plot_batching(frame).spec
    assert json.loads(json.dumps(spec, allow_nan=False)) == spec
    assert drawn(plot_batching(frame)).startswith("<svg")


def test_bad_input():
    with pytest.raises(BadInputError, match="needs a DataFrame"):
        plot_batching([1])
    with pytest.raises(UnknownColumnError, match="wait_p95_s"):
        plot_batching(comparison().drop(columns="wait_p95_s"))
    with pytest.raises(BadInputError, match="not among the 4 settings"):
        plot_batching(comparison(), current=(1, 2))
    with pytest.raises(BadInputError, match="current is 5"):
        plot_batching(comparison(), current=5)


def test_names_stand_below_and_left_but_not_over_the_left_edge():
    """Below and left of an efficient setting there is no other."""
    rows = plot_batching(comparison(window_s=[30, 60, 90, 180])).spec["data"]["values"]
    named = [row for row in rows if row["is_labelled"]]
    assert {row["is_right"] for row in named} == {True, False}
    assert all(row["is_right"] == (row["calls_share"] < 0.3) for row in named)


def test_what_a_setting_means_is_said_in_words():
    (row,) = plot_batching(comparison(window_s=[90], idle_s=[30])).spec["data"]["values"]
    assert "95 % of the batches closed within 55 s and answered within 60 s" in row["spoken"]
    assert "with a backlog of up to 1" in row["spoken"]


def test_fast_calls_alone_have_no_wait():
    at = pd.to_datetime([1_770_000_000], unit="s", utc=True)
    frame = pd.DataFrame({"camera_id": "porch", "detected_at": at, "confidence": 0.95, "object_type": "car"})
    found = compare_batching(frame, window_s=90, idle_s=30, service_s=5, fast_path=(0.9, ["car"]))
    words = plot_batching(found, current=(90, 30)).spec["description"]
    assert "1 more took the fast path" in words
    assert "nan" not in words
