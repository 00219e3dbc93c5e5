"""A choice as HTML, on a page that may be narrow."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

import secnb


def test_why_a_group_has_no_threshold_of_its_own_stands_below_the_table():
    """In a column it would squeeze the numbers, or be squeezed; it is a sentence per group, escaped."""
    rng = np.random.default_rng(0)
    truth = rng.random(630) < 0.4
    frame = pd.DataFrame(
        {
            "score": np.where(truth, rng.beta(6, 2, 630), rng.beta(2, 4, 630)),
            "truth": pd.array(truth, dtype="boolean"),
            "key": ["a"] * 300 + ["b"] * 300 + ["<i>"] * 30,
        }
    )
    choice = secnb.sweep(frame, score="score", truth="truth", by="key").choose(maximize="f1")
    shown = choice._repr_html_()
    table = re.findall(r"<table.*?</table>", shown, re.DOTALL)[-1]
    assert "<th>status</th>" in table
    assert "reason" not in table
    assert "<li>key &lt;i&gt;: 30 labels, under 50: the threshold of the whole.</li>" in shown
    assert shown.count("<li>key ") == 1
