"""The picture of the pipeline: plain JSON that draws each stage, marks the stuck one, and trusts no text."""

from __future__ import annotations

import html
import json

import pandas as pd
import pytest
import vl_convert

from secnb.errors import BadInputError, UnknownColumnError
from secnb.schema import PIPELINE, STAGES
from secnb.view.pipelines import plot_pipeline

VERSION = "5.8"
NASTY = "\"];alert('x')//</script>${datum.n}<img src=x>"


def pipeline(status: str = "ok", why: str = "nothing waits", **more: object) -> pd.DataFrame:
    row = {"status": status, "depth": 1234, "oldest_age_s": 3700.0, "out_per_hour": None} | more
    row |= {"freshness_s": 3.0, "why": why}
    frame = pd.DataFrame([{"stage": name, **row} for name in STAGES])
    return frame.astype({"depth": "Int64", "out_per_hour": "float64", "oldest_age_s": "float64"})


def drawn(frame: pd.DataFrame) -> str:
    return html.unescape(vl_convert.vegalite_to_svg(plot_pipeline(frame).spec, vl_version=VERSION))


@pytest.mark.parametrize("status", ["ok", "slow", "poisoned", "silent", "stuck", "unknown"])
def test_every_stage_is_drawn_with_its_status(status):
    svg = drawn(pipeline(status))
    for name in STAGES:
        assert f">{name.replace('_', ' ')}<" in svg
    assert svg.count(f">{status.upper() if status == 'stuck' else status}<") == len(STAGES)
    assert svg.count(">1\N{THIN SPACE}234<") == len(STAGES)
    assert svg.count(">oldest 62 min<") == len(STAGES)


def test_what_cannot_be_known_is_a_dash():
    svg = drawn(pipeline("unknown", depth=None, oldest_age_s=None))
    assert svg.count(">\N{EN DASH}<") == len(STAGES)
    assert svg.count(">newest 3 s old<") == len(STAGES)


def test_what_is_wrong_is_said_in_words_the_worst_first():
    frame = pipeline()
    frame.loc[[2, 5], ["status", "why"]] = [["slow", "images wait"], ["stuck", "it does not answer"]]
    shown = plot_pipeline(frame)
    assert repr(shown) == "<Panel: pipeline, detector slow, reasoner stuck>"
    words = shown.spec["description"]
    assert words.index("reasoner (stuck): it does not answer.") < words.index("detector (slow): images wait.")
    assert "nothing waits" not in words


def test_what_is_not_known_is_not_called_all_right():
    """Neither in the name of the picture nor under it."""
    frame = pipeline()
    frame.loc[0, ["status", "why"]] = ["unknown", "Redis does not answer"]
    assert repr(plot_pipeline(frame)) == "<Panel: pipeline, cameras unknown>"


@pytest.mark.parametrize("frame", [pipeline(), pipeline("stuck", NASTY), pipeline().iloc[:0], pipeline()[:1]])
def test_the_specification_is_plain_json_and_no_text_is_run(frame):
    spec = plot_pipeline(frame).spec
    assert json.loads(json.dumps(spec, allow_nan=False)) == spec
    assert "expr" not in json.dumps(spec)
    assert drawn(frame).startswith("<svg")


def test_an_empty_frame_of_the_vocabulary_is_an_empty_picture():
    frame = pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in PIPELINE.items()})
    assert plot_pipeline(frame).title == "pipeline, nothing stuck"


def test_another_argument_is_refused():
    with pytest.raises(BadInputError, match="needs a DataFrame, not list"):
        plot_pipeline([])
    with pytest.raises(UnknownColumnError, match="no column 'why'"):
        plot_pipeline(pipeline().drop(columns="why"))
