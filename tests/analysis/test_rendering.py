"""A choice as HTML, on a page that may be narrow."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

import secnb


def grouped(key: object) -> secnb.ThresholdChoice:
    """Return a choice for two groups, and for a third with few labels and that key."""
    rng = np.random.default_rng(0)
    truth = rng.random(630) < 0.4
    frame = pd.DataFrame(
        {
            "score": np.where(truth, rng.beta(6, 2, 630), rng.beta(2, 4, 630)),
            "truth": pd.array(truth, dtype="boolean"),
            "key": pd.Series(["a"] * 300 + ["b"] * 300 + [key] * 30, dtype=object),
        }
    )
    return secnb.sweep(frame, score="score", truth="truth", by="key").choose(maximize="f1")


def test_why_a_group_has_no_threshold_of_its_own_stands_below_the_table():
    """In a column it would squeeze the numbers, or be squeezed; it is a sentence per group, escaped."""
    shown = grouped("<i>")._repr_html_()
    table = re.findall(r"<table.*?</table>", shown, re.DOTALL)[-1]
    assert "<th>status</th>" in table
    assert "reason" not in table
    assert "<li><bdi>key &lt;i&gt;</bdi>: 30 labels, under 50: the threshold of the whole.</li>" in shown
    assert shown.count("<li><bdi>key ") == 1


def test_a_name_that_turns_letters_round_turns_only_its_own():
    shown = grouped("\u202eabc")._repr_html_()
    assert "<li><bdi>key \u202eabc</bdi>: 30 labels" in shown


@pytest.mark.parametrize("key", [None, np.nan, pd.NA, pd.NaT])
def test_a_missing_key_is_called_missing(key):
    table = re.findall(r"<table.*?</table>", grouped(key)._repr_html_(), re.DOTALL)[-1]
    assert table.count("<td>missing</td>") == 1
