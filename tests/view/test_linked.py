"""The linked panel, as Python sees it; tests/browser/test_panel.py moves it in a page."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from secnb.analysis.counting import sweep
from secnb.errors import BadInputError
from secnb.view.panels import panel

PREPARE = """
import sys
import pandas as pd, secnb, warnings
warnings.simplefilter("ignore", secnb.SecnbWarning)
sweep = secnb.sweep(pd.DataFrame({"score": [0.2], "truth": [True]}), score="score", truth="truth")
"""


@pytest.fixture
def linked():
    frame = pd.DataFrame({"score": [0.2, 0.7, 0.9], "truth": [True, False, None]})
    made = panel(sweep(frame, score="score", truth="truth"), current=0.4, link=True)
    yield made
    made.close()


def test_it_begins_where_the_panel_does(linked):
    assert linked.threshold == 0.4
    assert repr(linked) == "<LinkedPanel: truth against score, 3 units, at 0.4>"


def test_a_threshold_that_is_set_is_the_position_next_to_it(linked):
    linked.threshold = 0.2899
    assert linked.threshold == 0.29
    assert linked._params == {"released": 0.29}


def test_the_threshold_chosen_can_be_set():
    """It is a stop of the slider, and not the round number next to it."""
    frame = pd.DataFrame({"score": [0.392, 0.7, 0.9] * 30, "truth": [True, False, True] * 30})
    result = sweep(frame, score="score", truth="truth")
    choice = result.choose(recall_at_least=1, verify_on=None)
    made = panel(result, choice=choice, current=0.5, link=True)
    assert made.threshold == choice.threshold == 0.392
    made.threshold = 0.5
    made.threshold = choice.threshold
    assert made._params == {"released": 0.392}
    made.close()


def test_what_the_page_releases_is_told_to_whoever_observes(linked):
    told = []
    linked.observe(lambda change: told.append(change["new"]), "threshold")
    linked.set_state({"_params": {"released": 0.61}})
    assert (linked.threshold, told) == (0.61, [0.61])


@pytest.mark.parametrize("threshold", [-0.01, 1.01, float("nan"), float("inf")])
def test_a_threshold_outside_of_the_slider_is_refused(linked, threshold):
    with pytest.raises(BadInputError, match=r"Allowed: 0 to 1\."):
        linked.threshold = threshold
    assert linked.threshold == 0.4


@pytest.mark.parametrize("number", [np.float32(0.25), np.int64(1), 1])
def test_a_threshold_may_be_any_number(linked, number):
    linked.threshold = number
    assert (type(linked.threshold), linked.threshold) == (float, float(number))


@pytest.mark.parametrize("other", ["0.5", None, True])
def test_a_threshold_that_is_no_number_is_refused(linked, other):
    with pytest.raises(BadInputError, match=f"threshold is {other!r}. Allowed: a number"):
        linked.threshold = other


def test_its_script_loads_nothing(linked):
    assert "https://esm.sh" not in linked._esm
    assert "lmSuppressShortcuts" in linked._esm


def run(code: str) -> str:
    """Run code after what prepares a sweep, in a new interpreter, and return what it prints."""
    return subprocess.run(
        [sys.executable, "-c", PREPARE + code], capture_output=True, text=True, timeout=60, check=True
    ).stdout


def test_without_a_link_neither_altair_nor_widgets_are_loaded():
    assert (
        run('secnb.panel(sweep)\nprint({"altair", "ipywidgets", "vl_convert"} & set(sys.modules))')
        == "set()\n"
    )


def test_without_altair_the_error_names_the_extra():
    code = """
sys.modules["altair"] = None
try:
    secnb.panel(sweep, link=True)
except secnb.errors.MissingDependencyError as error:
    print(error)
"""
    assert "panel(link=True) needs altair, which is not installed." in run(code)
    assert "pip install 'secnb[lab]'" in run(code)
