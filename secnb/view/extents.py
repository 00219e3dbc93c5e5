"""How far the axes of a panel reach, and what is known along them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from secnb.analysis.captions import duration
from secnb.analysis.sweeps import ThresholdSweep
from secnb.analysis.tallies import TOTALS
from secnb.view.groupings import Selection
from secnb.view.marks import Axes, Zone, printable
from secnb.view.sliders import Slider
from secnb.view.standings import Standings


def spanned(sweep: ThresholdSweep) -> NDArray[np.float64]:
    """Return the scores, each at least once, and where the zones of evidence begin."""
    units = sweep.units
    # Without given thresholds there is one for each distinct score, and inf, which no scale is made for.
    scores = sweep.threshold if units.grid is None else units.scores[units.is_swept]
    edges = [edge for edge in (units.recorded_from, units.shown_from) if edge is not None]
    return np.concatenate((scores, np.array(edges, dtype=np.float64)))


def axes_of(sweep: ThresholdSweep, slider: Slider, whole: Selection, *, standings: Standings) -> Axes:
    """Return what all parts of the panel share."""
    n_true, n_false, n_unlabelled = (int(sweep.totals[name].sum()) for name in TOTALS[:3])
    units, days = sweep.units, sweep.days
    # With probabilities, the labelled units stand for the others as well.
    has_rest = n_unlabelled and units.probability is None
    kinds = ["true alarms", "false alarms"] + (["unlabelled"] if has_rest else [])
    title = "fires"
    if days is not None:
        title = "fires per day" if days.n_days else f"fires in {duration(days.span_s)}, first to last"
    has_labels = bool(n_true + n_false)
    evidence = whole.table["evidence"].iloc[: len(slider.thresholds)]
    known = int((evidence == "unknown").sum())
    measured = int((evidence != "measured").sum())
    recorded, edge = _recorded(sweep, slider)
    return Axes(
        low=slider.value(0),
        high=slider.value(slider.n_steps),
        number_format=slider.number_format,
        recorded=recorded,
        known=max(known, recorded) if has_labels and known else 0,
        measured=measured,
        zones=_zones(sweep, slider, edge, has_labels=has_labels),
        n_units=sweep.n_units,
        n_days=days.n_days if days is not None else 0,
        scale=1 if units.is_whole and units.has_whole_weights else 1000,
        score=printable(sweep.score),
        fires_title=title,
        kinds=kinds if has_labels else ["fires"],
        has_reach=whole.reach_per_day is not None,
        has_current=bool(len(standings.currents)),
        has_marks=bool(len(standings.marked)),
    )


def _recorded(sweep: ThresholdSweep, slider: Slider) -> tuple[int, float]:
    """Return the position, and the threshold, from which on scores were recorded."""
    given = sweep.units.recorded_from
    if given is not None:
        first = int(np.searchsorted(slider.thresholds, given))
        return min(first, len(slider.thresholds) - 1), float(
            np.clip(given, slider.value(0), slider.value(slider.n_steps))
        )
    scores = spanned(sweep)
    is_recorded = ~np.isposinf(scores)
    position = slider.position_below(scores[is_recorded].min()) if is_recorded.any() else 0
    return position, float(slider.thresholds[position])


def _zones(sweep: ThresholdSweep, slider: Slider, edge: float, *, has_labels: bool) -> list[Zone]:
    """Return the ranges of evidence from the left to the right; those that are empty are left out."""
    low, high = slider.value(0), slider.value(slider.n_steps)
    units, below = sweep.units, "unknown" if sweep.units.probability is None else "corrected"
    shown = units.shown_from
    if shown is None:
        shown = low if units.probability is None else high
    start = max(edge, low if not has_labels else min(max(shown, low), high))
    found = [Zone("not recorded", low, edge), Zone(below, edge, start), Zone("measured", start, high)]
    return [zone for zone in found if zone.stop > zone.start] or [Zone("measured", low, high)]
