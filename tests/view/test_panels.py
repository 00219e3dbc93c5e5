"""The panel: plain JSON that compiles, and numbers on screen that equal Python's."""

from __future__ import annotations

import html
import json
import re

import numpy as np
import pandas as pd
import pytest
import vl_convert
from hypothesis import given, settings
from hypothesis import strategies as st

from secnb.analysis.counting import ThresholdSweep, sweep
from secnb.errors import BadInputError
from secnb.view.panels import MIME, Panel, panel
from secnb.view.sliders import slider_over

# JupyterLab 4.6 brings Vega-Lite 5.6; this is the nearest that vl-convert has.
VERSION = "5.8"
NASTY = "\"];alert('x')//</script>${datum.n}\\u0022"


def labelled(n: int = 600, *, lowest: float = 0.0, **columns: object) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    is_true = rng.random(n) < 0.4
    score = np.where(is_true, rng.beta(6, 2, n), rng.beta(2, 4, n))
    truth = pd.array(is_true, dtype="boolean")
    truth[rng.random(n) < 0.3] = pd.NA
    started_at = pd.Timestamp("2026-03-01T05:00Z") + pd.to_timedelta(rng.random(n) * 9 * 86_400, unit="s")
    frame = pd.DataFrame({"score": score, "truth": truth, "started_at": started_at} | columns)
    return frame[frame["score"] >= lowest]


def swept(frame: pd.DataFrame, **kwargs: object) -> ThresholdSweep:
    return sweep(frame, score="score", truth="truth", **kwargs)  # type: ignore[arg-type]


def param(spec: dict, name: str) -> dict:
    return next(p for p in spec["params"] if p["name"] == name)


def drawn(of: Panel, *, threshold: float | None = None, group: int = 0) -> str:
    """Draw the panel with the slider and the menu at given positions."""
    spec = of.spec
    if threshold is not None:
        # A slider in a page gives text.
        param(spec, "threshold")["value"] = str(threshold)
    param(spec, "shown_group")["value"] = group
    return html.unescape(vl_convert.vegalite_to_svg(spec, vl_version=VERSION))


def numbers(svg: str) -> dict[str, str]:
    names = "threshold|fires|true alarms|false alarms|precision|recall|fires per day"
    return dict(re.findall(rf'aria-label="({names}): ([^"]*)"', svg))


def expected(row: pd.Series, *, decimals: int = 2) -> dict[str, str]:
    """Write one row of ``.at`` as the panel writes it."""
    texts = {
        "threshold": f"{row['threshold']:.{decimals}f}",
        "fires": thin(row["n_fired"]),
        "true alarms": thin(row["tp"]),
        "false alarms": thin(row["fp"]),
        "precision": f"{row['precision']:.1%}".replace("nan%", "\u2013"),
        "recall": f"{row['recall']:.1%}".replace("nan%", "\u2013"),
    }
    rate = row["fired_per_day"]
    return texts | {"fires per day": f"{rate:.2f}" if rate < 10 else f"{rate:,.1f}"}


def thin(number: float) -> str:
    return f"{int(number):,}".replace(",", "\u2009")


PANELS = {
    "labelled": lambda: swept(labelled()),
    "unlabelled": lambda: swept(labelled().assign(truth=None)),
    "grouped": lambda: swept(labelled(key=["a", "b", None] * 200), by="key"),
    "not recorded": lambda: swept(labelled(lowest=0.4)),
    "no times": lambda: swept(labelled().drop(columns="started_at")),
    "all true": lambda: swept(labelled().assign(truth=True)),
    "all false": lambda: swept(labelled().assign(truth=False)),
    "no whole day": lambda: swept(labelled().assign(started_at=pd.Timestamp("2026-03-01T09:00Z"))),
    "one row": lambda: swept(labelled().iloc[:1]),
    "empty": lambda: swept(labelled().iloc[:0]),
    "empty and grouped": lambda: swept(labelled(key="a").iloc[:0], by="key"),
    "infinite": lambda: swept(pd.DataFrame({"score": [-np.inf, 3.0, np.inf], "truth": [True, False, None]})),
    "only infinite": lambda: swept(pd.DataFrame({"score": [-np.inf, np.inf], "truth": True})),
    "huge": lambda: swept(pd.DataFrame({"score": [-1.7e308, 1.7e308], "truth": True})),
    "tiny": lambda: swept(pd.DataFrame({"score": [5e-324, -5e-324], "truth": True})),
    "the same but for the last digit": lambda: swept(
        pd.DataFrame({"score": [1e15, np.nextafter(1e15, 2e15)], "truth": True})
    ),
}


@pytest.mark.parametrize("kind", PANELS)
def test_the_specification_is_plain_json_and_compiles(kind):
    spec = panel(PANELS[kind]()).spec
    assert json.loads(json.dumps(spec, allow_nan=False)) == spec
    compiled = vl_convert.vegalite_to_vega(spec, vl_version=VERSION)
    assert {"threshold", "shown_group", "position"} <= {signal["name"] for signal in compiled["signals"]}
    assert drawn(panel(PANELS[kind]())).startswith("<svg")


@pytest.mark.parametrize("threshold", [0.0, 0.01, 0.29, 0.57, 0.58, 0.99, 1.0])
def test_numbers_at_the_slider_equal_those_of_python(threshold):
    result = swept(labelled())
    assert numbers(drawn(panel(result), threshold=threshold)) == expected(result.at(threshold).iloc[0])


@pytest.mark.parametrize("group", [0, 1, 2, 3])
def test_the_menu_shows_one_group_or_the_sum_of_all(group):
    frame = labelled(key=["a", "b", None] * 200)
    parts, whole = swept(frame, by="key").at(0.29), swept(frame).at(0.29)
    row = whole.iloc[0] if group == 0 else parts.iloc[group - 1]
    assert numbers(drawn(panel(swept(frame, by="key")), threshold=0.29, group=group)) == expected(row)


OPTIONS = {
    "weights": {"weight": "weight"},
    "probabilities": {"probability": "chance"},
    "misses": {"missed": "is_missed", "n_missed": 3},
    "evidence": {"recorded_from": 0.2, "shown_from": 0.5},
}


@pytest.mark.parametrize("kind", OPTIONS)
@pytest.mark.parametrize("threshold", [0.29, 0.57])
def test_numbers_at_the_slider_equal_those_of_python_with_every_option(kind, threshold):
    frame = labelled()
    frame["weight"] = np.resize([1, 2, 5], len(frame))
    frame["chance"] = 0.5
    frame["is_missed"] = np.arange(len(frame)) % 10 == 0
    result = swept(frame, **OPTIONS[kind])
    assert numbers(drawn(panel(result), threshold=threshold)) == expected(result.at(threshold).iloc[0])


def test_with_probabilities_no_unlabelled_band_is_drawn():
    frame = labelled().assign(chance=0.3)
    spec = panel(swept(frame, probability="chance")).spec
    assert "unlabelled" not in json.dumps(spec["vconcat"])
    assert json.loads(json.dumps(spec, allow_nan=False)) == spec


def test_every_count_of_every_position_is_sent():
    result = swept(labelled())
    group = panel(result).spec["datasets"]["groups"][0]
    table = result.at([float(f"{i}e-2") for i in range(101)])
    assert group["n"] == table["n_fired"].tolist()
    assert group["tp"] == table["tp"].tolist()
    assert group["fp"] == table["fp"].tolist()
    rates = np.array(group["day_n"]) / result.days.n_days
    assert rates.tolist() == table["fired_per_day"].tolist()


def test_without_labels_only_what_fires_is_shown():
    svg = drawn(panel(PANELS["unlabelled"]()))
    assert set(numbers(svg)) == {"threshold", "fires", "fires per day"}
    assert "precision" not in svg
    assert "0 labelled" in svg


def test_without_a_whole_day_counts_are_shown_with_the_span():
    frame = labelled()
    start = pd.Timestamp("2026-03-01T09:00Z")
    frame["started_at"] = [start] * (len(frame) - 1) + [start + pd.Timedelta("10min")]
    svg = drawn(panel(swept(frame)))
    assert "fires per day" not in svg
    assert "fires in 10 min, first to last" in svg


def test_nothing_is_drawn_below_the_smallest_recorded_score():
    of = panel(PANELS["not recorded"]())
    assert "not recorded" in drawn(of)
    assert "more would fire than was recorded" not in drawn(of, threshold=0.4)
    assert "more would fire than was recorded" in drawn(of, threshold=0.39)


def test_the_caption_says_what_the_numbers_rest_on():
    frame = labelled()
    frame.attrs["timezone"] = "Europe/Berlin"
    frame.loc[frame.index[:5], "score"] = np.nan
    svg = drawn(panel(swept(frame)))
    n_labelled = frame["truth"].iloc[5:].notna().sum()
    assert f"A row is a unit. 595 units: {n_labelled} labelled" in svg
    assert "5 rows without a score left out" in svg
    assert "whole days in Europe/Berlin" in svg
    assert "objects never detected are not counted" in svg


def test_the_caption_is_that_of_the_shown_group():
    of = panel(swept(labelled(n=30, key=["a"] * 10 + ["b"] * 20), by="key"))
    assert "30 units" in drawn(of)
    assert "10 units" in drawn(of, group=1)


def test_thousands_are_parted_by_thin_spaces():
    frame = pd.DataFrame({"score": 0.7, "truth": [True] * 1_234_567})
    assert numbers(drawn(panel(swept(frame))))["fires"] == "1\u2009234\u2009567"


def test_the_slider_is_bound_to_a_range_that_keeps_the_arrow_keys():
    bind = param(panel(swept(labelled())).spec, "threshold")["bind"]
    assert (bind["input"].lower(), bind["min"], bind["max"], bind["step"]) == ("range", 0, 1, 0.01)
    assert bind["data-lm-suppress-shortcuts"] == "true"


def test_whole_numbers_to_100_have_positions_one_apart():
    result = swept(pd.DataFrame({"score": [20, 55, 90], "truth": [False, True, True]}))
    threshold = param(panel(result).spec, "threshold")
    assert (threshold["value"], threshold["bind"]["max"], threshold["bind"]["step"]) == (50, 100, 1)
    assert numbers(drawn(panel(result), threshold=55))["fires"] == "2"


def test_texts_of_the_data_stay_texts():
    """Names of cameras and columns stand in menus and titles and in no expression."""
    frame = labelled(**{NASTY: [NASTY, "b"] * 300}).rename(
        columns={"score": NASTY + "s", "truth": NASTY + "t"}
    )
    spec = panel(sweep(frame, score=NASTY + "s", truth=NASTY + "t", by=NASTY)).spec
    assert param(spec, "shown_group")["bind"]["labels"] == ["all", NASTY, "b"]
    assert not [text for text in expressions(spec) if "alert" in text]
    assert "fires" in numbers(html.unescape(vl_convert.vegalite_to_svg(spec, vl_version=VERSION)))


def expressions(node: object) -> list[str]:
    """Find all Vega expressions of a specification."""
    if isinstance(node, list):
        return [text for item in node for text in expressions(item)]
    if not isinstance(node, dict):
        return []
    own = [
        v for k, v in node.items() if k in {"expr", "calculate", "filter", "labelExpr"} and isinstance(v, str)
    ]
    return own + [text for item in node.values() for text in expressions(item)]


def test_group_names_say_what_is_missing_and_join_several_keys():
    frame = labelled(n=4, key=["a", None, "a", "a"], hour=pd.array([1, 2, 1, None], dtype="Int64"))
    labels = param(panel(swept(frame, by=["key", "hour"])).spec, "shown_group")["bind"]["labels"]
    assert labels == ["all", "a · 1", "a · missing", "missing · 2"]


def test_48_groups_stay_small():
    frame = labelled(n=48 * 300, key=list(range(48)) * 300)
    assert len(json.dumps(panel(swept(frame, by="key")).spec)) < 400_000


def test_the_bundle_holds_vega_lite_5_and_text_but_no_html():
    of = panel(swept(labelled()))
    bundle = of._repr_mimebundle_()
    assert set(bundle) == {MIME, "text/plain"}
    assert MIME == "application/vnd.vegalite.v5+json"
    assert repr(of) == bundle["text/plain"] == "<Panel: truth against score, 600 units>"


def test_each_specification_is_a_copy():
    of = panel(swept(labelled()))
    of.spec["datasets"]["groups"].clear()
    assert of.spec["datasets"]["groups"]


def test_nothing_is_loaded_from_the_network():
    spec = panel(swept(labelled())).spec
    assert spec["$schema"].startswith("https://vega.github.io/schema/vega-lite/v5")
    del spec["$schema"]
    assert "http" not in json.dumps(spec)


def test_something_else_than_a_sweep_is_refused():
    with pytest.raises(BadInputError, match="needs a ThresholdSweep, not DataFrame"):
        panel(labelled())


@settings(max_examples=300)
@given(st.lists(st.floats(allow_nan=False), max_size=5))
def test_the_slider_covers_all_finite_scores_with_distinct_positions(scores):
    slider = slider_over(np.array(scores))
    values = slider.thresholds
    assert np.isfinite(values).all()
    assert (np.diff(values) > 0).all()
    assert 1 <= slider.n_steps <= 200
    finite = [s for s in scores if np.isfinite(s)]
    if finite and max(map(abs, finite)) < 1e300:
        assert values[0] <= min(finite)
        assert values[-1] >= max(finite)
    assert 0 <= slider.start <= slider.n_steps


@pytest.mark.parametrize(
    ("scores", "first", "last", "step"),
    [
        ([0.2, 0.9], 0, 1, 0.01),
        ([5.5], 3, 8, 0.05),
        ([1, 99], 0, 100, 1),
        ([7.93, 36.04], 7.8, 36.2, 0.2),
        ([0, 255], 0, 256, 2),
    ],
)
def test_positions_are_round_numbers(scores, first, last, step):
    slider = slider_over(np.array(scores, dtype=float))
    assert (slider.value(0), slider.step) == (first, step)
    assert slider.thresholds[-1] == pytest.approx(last, abs=step)


def test_a_position_is_the_number_that_one_would_type():
    values = slider_over(np.array([0.5])).thresholds
    assert values.tolist() == [float(f"0.{i:02d}") for i in range(100)] + [1.0]
