"""The panel: plain JSON that compiles, and numbers on screen that equal Python's."""

from __future__ import annotations

import html
import json
import re
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pandas as pd
import pytest
import vl_convert

from secnb.analysis.counting import ThresholdSweep, sweep
from secnb.errors import BadInputError
from secnb.view.panels import MIME, Panel, panel
from secnb.view.sliders import stand_at

# JupyterLab 4.6 brings Vega-Lite 5.6; this is the nearest that vl-convert has.
VERSION = "5.8"
NAMES = "threshold|fires|true alarms|false alarms|unlabelled|missed|precision|recall|fires per day"
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


def drawn(of: Panel, *menus: int, threshold: float | None = None) -> str:
    """Draw the panel with the slider and the menus at given positions; -1 is all."""
    spec = of.spec
    if threshold is not None:
        stand_at(spec, threshold)
    for n, position in enumerate(menus):
        param(spec, f"shown_{n}")["value"] = position
    return html.unescape(vl_convert.vegalite_to_svg(spec, vl_version=VERSION))


def numbers(svg: str) -> dict[str, str]:
    """Return what a screen reader reads, by name, with the interval of each number."""
    return dict(re.findall(rf'aria-label="((?:{NAMES})(?: interval)?): ([^"]*)"', svg))


def expected(row: pd.Series, *, decimals: int = 2, has_rest: bool = True) -> dict[str, str]:
    """Write one row of ``.at`` as the panel writes it."""
    texts = {
        "threshold": f"{row['threshold']:.{decimals}f}",
        "fires": thin(row["n_fired"]),
        "true alarms": thin(row["tp"]),
        "false alarms": thin(row["fp"]),
        "unlabelled": thin(row["n_unlabelled"]),
        "missed": thin(row["fn"]),
        "fires per day": per_day(row["fired_per_day"]),
    }
    if not has_rest:
        del texts["unlabelled"]
    for rate in ("precision", "recall"):
        low, high = 100 * row[f"{rate}_low"], 100 * row[f"{rate}_high"]
        texts[rate] = "\u2013" if pd.isna(row[rate]) else f"{row[rate]:.1%}"
        is_said = row["evidence"] == "unknown" or not pd.isna(row[rate])
        texts[f"{rate} interval"] = f"{low:.1f}\u2013{high:.1f}%" if is_said else ""
    return texts


def per_day(rate: float) -> str:
    # A page rounds a half upwards.
    return str(Decimal(rate).quantize(Decimal("0.01" if rate < 10 else "0.1"), ROUND_HALF_UP))


def read(of: Panel, *menus: int, threshold: float) -> dict[str, str]:
    """Return the numbers on screen that stand in a row of ``.at``."""
    found = numbers(drawn(of, *menus, threshold=threshold))
    del found["fires per day interval"]
    return found


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
    assert {"threshold", "shown", "position"} <= {signal["name"] for signal in compiled["signals"]}
    assert drawn(panel(PANELS[kind]())).startswith("<svg")


@pytest.mark.parametrize("threshold", [0.0, 0.01, 0.29, 0.57, 0.58, 0.99, 1.0])
def test_numbers_at_the_slider_equal_those_of_python(threshold):
    result = swept(labelled())
    assert read(panel(result), threshold=threshold) == expected(result.at(threshold).iloc[0])


MENUS = {
    (-1, -1, -1): "",
    (0, -1, -1): "camera == 'a'",
    (2, -1, 0): "camera.isna()",
    (-1, 1, -1): "hour == 10",
    (1, 0, 0): "camera == 'b' and hour == 9",
}


@pytest.mark.parametrize("group", [-1, 0, 1, 2])
def test_the_menu_shows_one_group_or_the_sum_of_all(group):
    frame = labelled(key=["a", "b", None] * 200)
    parts, whole = swept(frame, by="key").at(0.29), swept(frame).at(0.29)
    row = whole.iloc[0] if group < 0 else parts.iloc[group]
    assert read(panel(swept(frame, by="key")), group, threshold=0.29) == expected(row)


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize(("menus", "query"), MENUS.items(), ids=str)
def test_every_menu_chooses_and_all_sums_up(menus, query, clustered):
    """Numbers and intervals are those of a sweep of just these rows."""
    frame = labelled(
        camera=["b", "a", None] * 200, hour=[9, 10] * 300, object_type="person", episode=list(range(60)) * 10
    )
    cluster = {"cluster": "episode"} if clustered else {}
    of = panel(swept(frame, by=["camera", "hour", "object_type"], **cluster))
    chosen = swept(frame.query(query) if query else frame, **cluster)
    found, row = read(of, *menus, threshold=0.57), chosen.at(0.57).iloc[0]
    # Whole days are those of all rows, of which the first or the last may have none of these.
    assert found | {"fires per day": ""} == expected(row) | {"fires per day": ""}


def test_menus_at_values_that_never_meet_show_nothing_and_say_so():
    frame = labelled(camera=["a", "b"] * 300, hour=[9, 10] * 300)
    svg = drawn(panel(swept(frame, by=["camera", "hour"])), 0, 1, threshold=0.5)
    assert numbers(svg)["fires"] == "0"
    assert "No unit has these values together." in svg


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
    row = result.at(threshold).iloc[0]
    assert read(panel(result), threshold=threshold) == expected(row, has_rest=kind != "probabilities")


def test_a_sweep_at_given_thresholds_is_counted_at_every_position():
    """What lies below the thresholds given was recorded all the same."""
    coarse, fine = swept(labelled(), at=[0.5, 0.7]), swept(labelled())
    assert panel(coarse).spec["datasets"] == panel(fine).spec["datasets"]
    assert read(panel(coarse), threshold=0.29) == expected(fine.at(0.29).iloc[0])


def test_fractions_are_shown_with_a_decimal():
    result = swept(labelled().assign(weight=0.3), weight="weight")
    shown, row = read(panel(result), threshold=0.57), result.at(0.57).iloc[0]
    for name, column in (("fires", "n_fired"), ("true alarms", "tp"), ("missed", "fn")):
        assert float(shown[name]) == pytest.approx(row[column], abs=0.051)


def test_with_probabilities_no_unlabelled_band_is_drawn():
    frame = labelled().assign(chance=0.3)
    spec = panel(swept(frame, probability="chance")).spec
    assert "unlabelled" not in json.dumps(spec["vconcat"])
    assert json.loads(json.dumps(spec, allow_nan=False)) == spec


def sent(group: dict, name: str) -> list[int]:
    """Add up what is sent from the right, as the page does."""
    return np.cumsum([int(part) for part in group[f"d_{name}"].split()][::-1])[::-1].tolist()


def test_every_count_of_every_position_is_sent():
    result = swept(labelled())
    group = panel(result).spec["datasets"]["groups"][0]
    table = result.at([float(f"{i}e-2") for i in range(101)])
    assert sent(group, "n") == table["n_fired"].tolist()
    assert sent(group, "tp") == table["tp"].tolist()
    assert sent(group, "fp") == table["fp"].tolist()
    rates = np.array(sent(group, "day_n")) / result.days.n_days
    assert rates.tolist() == table["fired_per_day"].tolist()
    ends = np.array(sent(group, "precision_low")) / 1000
    assert ends == pytest.approx(table["precision_low"], abs=0.000501)


def test_without_labels_only_what_fires_is_shown():
    svg = drawn(panel(PANELS["unlabelled"]()))
    assert set(numbers(svg)) == {"threshold", "fires", "fires per day", "fires per day interval"}
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
    of = panel(swept(frame))
    caption = of.spec["datasets"]["groups"][0]["caption"]
    text, n_labelled = caption.replace("\n", " "), frame["truth"].iloc[5:].notna().sum()
    assert caption.splitlines()[0] in drawn(of)
    assert f"A row is a unit. 595 units: {n_labelled} labelled" in text
    assert "5 rows without a score left out" in text
    assert "whole days in Europe/Berlin" in text
    assert "objects never detected are not counted" in text


def test_the_caption_is_that_of_the_shown_group():
    of = panel(swept(labelled(n=30, key=["a"] * 10 + ["b"] * 20), by="key"))
    assert "30 units" in drawn(of)
    assert "10 units" in drawn(of, 0)


def test_thousands_are_parted_by_thin_spaces():
    frame = pd.DataFrame({"score": 0.7, "truth": [True] * 1_234_567})
    assert numbers(drawn(panel(swept(frame))))["fires"] == "1\u2009234\u2009567"


def test_the_slider_is_bound_to_a_range_that_keeps_the_arrow_keys():
    bind = param(panel(swept(labelled())).spec, "threshold")["bind"]
    assert (bind["input"].lower(), bind["min"], bind["max"], bind["step"]) == ("range", 0, 1, 0.01)
    assert bind["data-lm-suppress-shortcuts"] == "true"


@pytest.mark.parametrize(("current", "rest"), [(0.003, 0.01), (0.29, 0.29), (0.392, 0.39), (0.997, 0.99)])
def test_an_input_rests_at_the_round_number_below_from_where_it_can_go_both_ways(current, rest):
    """So that beside the first one it rests at the second."""
    of = panel(swept(labelled()), current=current)
    assert param(of.spec, "threshold")["value"] == rest
    assert numbers(drawn(of))["threshold"] == f"{current}"


def test_a_screen_reader_says_what_it_is_and_which_keys_it_takes():
    assert panel(swept(labelled())).spec["description"] == (
        "Threshold panel: truth against score, 600 units. Tab reaches the slider, which arrow keys move."
    )
    grouped = panel(swept(labelled(key=["a", "b"] * 300), by="key")).spec["description"]
    assert grouped.endswith("which arrow keys move, and the menus, which Space opens.")


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
    assert param(spec, "shown_0")["bind"]["labels"] == ["all", NASTY, "b"]
    assert not [text for text in expressions(spec) if "alert" in text]
    assert "fires" in numbers(html.unescape(vl_convert.vegalite_to_svg(spec, vl_version=VERSION)))


def test_keys_that_are_not_unicode_are_shown_as_escapes():
    keys = pd.Series(["g\udcff", "b"] * 3, dtype=object)
    of = panel(swept(labelled(n=6, key=keys), by="key"))
    assert json.dumps(of._repr_mimebundle_(), ensure_ascii=False).encode()
    assert param(of.spec, "shown_0")["bind"]["labels"] == ["all", "b", "g\\udcff"]


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


def test_each_group_column_has_a_menu_that_says_what_is_missing_or_blank():
    frame = labelled(n=4, key=["a", None, " ", "a"], hour=pd.array([1, 2, 10, None], dtype="Int64"))
    spec = panel(swept(frame, by=["key", "hour"])).spec
    assert param(spec, "shown_0")["bind"]["labels"] == ["all", "blank (1)", "a", "missing"]
    assert param(spec, "shown_1")["bind"]["labels"] == ["all", "1", "2", "10", "missing"]


def test_48_groups_stay_small():
    frame = labelled(n=48 * 300, key=list(range(48)) * 300)
    assert len(json.dumps(panel(swept(frame, by="key")).spec)) < 300_000


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


def test_zones_of_evidence_are_shaded_apart_and_named_at_the_slider():
    of = panel(swept(labelled(), recorded_from=0.25, shown_from=0.5))
    svg = drawn(of, threshold=0.3)
    assert {"not recorded", "unknown", "measured"} <= set(re.findall(r">([a-z ]+)</text>", svg))
    said = [evidence(drawn(of, threshold=t)) for t in (0.24, 0.25, 0.49, 0.5)]
    assert said == ["not recorded", "unknown", "unknown", "measured"]
    weighted = panel(swept(labelled().assign(chance=0.5), probability="chance", shown_from=0.5))
    assert [evidence(drawn(weighted, threshold=t)) for t in (0.49, 0.5)] == ["corrected", "measured"]


def evidence(svg: str) -> str:
    return re.findall(r'aria-label="threshold evidence: ([^"]*)"', svg)[0]


def test_where_evidence_is_unknown_bounds_stand_below_a_dash():
    result = swept(labelled(), recorded_from=0.2, shown_from=0.5)
    found, row = read(panel(result), threshold=0.3), result.at(0.3).iloc[0]
    assert found["precision"] == "\u2013"
    assert found["precision interval"] == (
        f"{100 * row['precision_low']:.1f}\u2013{100 * row['precision_high']:.1f}%"
    )


def test_the_interval_per_day_is_around_the_mean():
    low, high = numbers(drawn(panel(swept(labelled())), threshold=0.5))["fires per day interval"].split(
        "\u2013"
    )
    assert float(low) < swept(labelled()).at(0.5)["fired_per_day"].iloc[0] < float(high)


def test_few_days_have_no_interval_and_show_none():
    frame = labelled()
    frame["started_at"] = pd.Timestamp("2026-03-01T05:00Z") + pd.to_timedelta(np.arange(600) / 200, unit="D")
    svg = drawn(panel(swept(frame)))
    assert numbers(svg)["fires per day interval"] == ""
    assert "undefined" not in svg


def test_units_are_not_counted_in_halves():
    svg = drawn(panel(swept(pd.DataFrame({"score": [20], "truth": [True]}))))
    assert ">1</text>" in svg
    assert "0.5" not in re.findall(r">([^<]*)</text>", svg)


def test_scores_are_counted_by_verdict():
    """What is sent are the heights of the histogram: units from a position to the next."""
    frame = pd.DataFrame({"score": [0.5, 0.509, 0.51, 1.0], "truth": [True, False, None, True]})
    row = panel(swept(frame)).spec["datasets"]["groups"][0]
    counts = {name: row[f"d_{name}"].split() for name in ("n", "tp", "fp")}
    assert [counts[name][50] for name in ("n", "tp", "fp")] == ["2", "1", "1"]
    assert [counts[name][51] for name in ("n", "tp", "fp")] == ["1", "0", "0"]
    assert [counts[name][100] for name in ("n", "tp", "fp")] == ["1", "1", "0"]


def test_the_last_bar_of_the_histogram_holds_the_end_of_the_axis():
    """It is drawn within the axis, and scores at the end alone are those that still fire there."""
    frame = pd.DataFrame({"score": [0.5, 0.995, 1.0, 1.0, np.inf], "truth": [True, True, True, False, None]})
    svg = drawn(panel(swept(frame)), threshold=1.0)
    bars = re.findall(r'd="M([\d.]+),[\d.]+h([\d.]+)v[\d.]+h-[\d.]+Z" fill="#\w+" opacity="(0.5|1)"', svg)
    ends = [(round(float(x) + float(width), 6), opacity) for x, width, opacity in bars]
    assert ends == [(209.1, "0.5"), (410, "0.5"), *[(410, "1")] * 3]


def test_192_groups_by_three_columns_take_at_most_a_megabyte_and_a_half():
    """With a threshold chosen for each, too."""
    n = 192 * 300
    frame = labelled(n=n, label=np.arange(n) % 2, key=np.arange(n) // 2 % 4, hour=np.arange(n) // 8 % 24)
    result = swept(frame, by=["label", "key", "hour"])
    spec = panel(result, choice=result.choose(maximize="f1", current=0.4567)).spec
    # As JupyterLab writes a notebook's file.
    assert len(json.dumps(spec, indent=1)) < 1_500_000


def test_thresholds_between_round_numbers_leave_the_heights_of_the_histogram():
    """A bar is of two parts there, of which the upper one fires."""
    frame = pd.DataFrame({"score": [0.391, 0.391, 0.395, 0.7], "truth": [True] * 4})
    svg = drawn(panel(swept(frame), current=0.394))
    bars = re.findall(r'd="M([\d.]+),[\d.]+h[\d.]+v([\d.]+)h-[\d.]+Z" fill="#\w+" opacity="(0.5|1)"', svg)
    assert [(float(x), round(float(height)), opacity) for x, height, opacity in bars] == [
        (159.9, 40, "0.5"),
        (159.9, 20, "1"),
        (287, 20, "1"),
    ]


def test_what_is_not_true_or_false_is_no_link():
    with pytest.raises(BadInputError, match=r"link is 1\. Allowed: True and False"):
        panel(swept(labelled()), link=1)
