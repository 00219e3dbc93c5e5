"""Thresholds chosen with evidence: ``choose``, over periods and groups.

What is best in one group is decided in ``deciding``; what comes back is in ``choices``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secnb.analysis.cells import Cell, busiest_days, cells_of
from secnb.analysis.choices import COLUMNS, ThresholdChoice
from secnb.analysis.columns import read_by, read_groups, read_scores
from secnb.analysis.counting import FEW_LABELS
from secnb.analysis.deciding import Decision, decide, inherit
from secnb.analysis.firing import fires
from secnb.analysis.lasting import drifts, read_periods, readings, score_distances, total_readings
from secnb.analysis.noting import is_recorded, notes_of, where_labels_lie, with_labels
from secnb.analysis.rules import Rule
from secnb.analysis.scales import check_scale
from secnb.analysis.sweeps import ThresholdSweep, count
from secnb.analysis.units import Units
from secnb.bridge import Progress
from secnb.errors import BadInputError

Current = float | pd.Series | None


def choose(
    sweep: ThresholdSweep, rule: Rule, *, current: Current, verify_on: str | None, seed: int
) -> ThresholdChoice:
    """Return the threshold that a rule asks for; see ``ThresholdSweep.choose``."""
    share = _read_share(verify_on)
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise BadInputError(f"seed is {seed!r}. Allowed: a whole number, 0 or more.")
    read_by(sweep.by, taken=COLUMNS)
    currents = _read_current(current, sweep.units.keys, sweep.by)
    if not np.isnan(currents).all():
        check_scale(sweep.threshold if sweep.units.grid is None else sweep.units.scores, currents)
    if sweep.units.grid is not None:
        known = currents[~np.isnan(currents)]
        sweep = count(sweep.units.but(grid=np.union1d(sweep.units.grid, known)))
    note = [""]
    with Progress("choose", note) as progress:

        def show(what: str) -> None:
            note[0] = what
            progress.tick()

        return _choose(sweep, rule, currents, share, seed=seed, show=show)


def _choose(
    sweep: ThresholdSweep,
    rule: Rule,
    currents: NDArray[np.float64],
    share: float | None,
    *,
    seed: int,
    show: Callable[[str], None],
) -> ThresholdChoice:
    """Decide for the whole and for every group, and read the numbers of both parts; show how far it is."""
    periods, is_early = read_periods(sweep.units, share)
    # Looked for once, before the units are cut in two.
    _ = sweep.units.repeated
    first, second = sweep.units, None
    if is_early is not None:
        first, second = sweep.units.part(is_early), sweep.units.part(~is_early)
        del is_early
    now = _common(currents)
    early = _counted(_regroup(first, 0)[0] if sweep.by else first, sweep)
    show("the whole")
    periods = with_labels(periods, sweep, early)
    part = early.n_units / sweep.n_units if early.n_units else 1.0
    whole = decide(next(cells_of(early, rule, share=part)), rule, current=now, seed=seed)
    decisions = [where_labels_lie(whole, periods)]
    distances = []
    if sweep.by:
        late = None if second is None else count(_regroup(second, 0)[0])
        distances = score_distances(early, late)
        # The whole is done with, and never held beside the groups.
        del early, late
        early = _counted(first, sweep)
        for decision in _decide_groups(early, rule, decisions[0], currents, now, seed=seed, share=part):
            decisions.append(decision)
            show(f"{len(decisions) - 1} of {early.n_groups} groups")
    chosen = _numbers([decision.threshold for decision in decisions])
    in_force = _numbers([decision.current for decision in decisions])
    # What was not recorded is not known to fire.
    in_force = np.where(is_recorded(sweep, in_force), in_force, np.nan)

    def read(part: ThresholdSweep | None, at: NDArray[np.float64]) -> pd.DataFrame:
        if part is None:
            return pd.DataFrame(index=range(len(decisions)))
        if not sweep.by:
            return readings(part, at)
        # Where a group has no threshold of its own, the one in force stays; if none has, nothing is chosen.
        has_none = np.isnan(at[1:])
        stays = at[1:] if has_none.all() else np.where(has_none, in_force[1:], at[1:])
        return pd.concat([total_readings(part, stays), readings(part, at[1:])], ignore_index=True)

    show("what happens there")
    is_known = not np.isnan(in_force).all()
    earlier = read(early, chosen)
    earlier_current = read(early, in_force) if is_known else earlier.iloc[:0].reindex(earlier.index)
    # Counted only now, so that it is not held while the earlier part is looked at.
    late = None if second is None else count(second)
    distances += score_distances(early, late)
    caption, notes = tuple(early.caption), tuple(notes_of(sweep, early, periods, currents))
    del early
    later = read(late, chosen)
    return ThresholdChoice(
        score=sweep.score,
        by=sweep.by,
        keys=sweep.units.keys.reset_index(drop=True),
        unit=sweep.units.unit,
        weight=sweep.units.weight,
        probability=sweep.units.probability,
        rule=rule,
        decisions=tuple(decisions),
        periods=periods,
        earlier=earlier,
        earlier_current=earlier_current,
        later=later if late is None else later.join(_days_over(late, rule, chosen)),
        later_current=read(late, in_force) if is_known else later.iloc[:0].reindex(later.index),
        drift=drifts(distances, earlier, later),
        caption=caption,
        notes=notes,
    )


def _counted(units: Units, sweep: ThresholdSweep) -> ThresholdSweep:
    """Return the sweep of some units, which is the given one where nothing was left out."""
    return sweep if units is sweep.units else count(units)


def _decide_groups(
    early: ThresholdSweep,
    rule: Rule,
    whole: Decision,
    currents: NDArray[np.float64],
    now: float | None,
    *,
    seed: int,
    share: float,
) -> Iterator[Decision]:
    """Decide every group; what is thin takes the threshold of the nearest parent that is not."""
    parents: dict[tuple[int, int], Decision] = {}
    levels: dict[int, tuple[NDArray[np.int64], list[Cell], list[dict[str, object]]]] = {}
    keys = _records(early.units.keys)
    for group, cell in enumerate(cells_of(early, rule, share=share)):
        current = None if np.isnan(currents[group]) else float(currents[group])
        key = keys[group]
        if not rule.needs_labels or cell.n_labelled >= FEW_LABELS:
            yield replace(decide(cell, rule, current=current, seed=seed), key=key)
            continue
        parent = whole
        for level in range(len(early.by) - 1, 0, -1):
            if level not in levels:
                units, codes = _regroup(early.units, level)
                levels[level] = (codes, list(cells_of(count(units), rule, share=share)), _records(units.keys))
            codes, cells, parent_keys = levels[level]
            above = int(codes[group])
            if cells[above].n_labelled >= FEW_LABELS:
                if (level, above) not in parents:
                    found = decide(cells[above], rule, current=now, seed=seed)
                    parents[level, above] = replace(found, key=parent_keys[above])
                parent = parents[level, above]
                break
        yield replace(
            inherit(parent, n_labelled=cell.n_labelled, fewest=FEW_LABELS),
            key=key,
            current=current,
            n_units=cell.n_units,
            n_labelled=cell.n_labelled,
        )


def _records(keys: pd.DataFrame) -> list[dict[str, object]]:
    """Return the values of the by columns of every group."""
    return [
        dict(zip(map(str, keys.columns), row, strict=True)) for row in keys.itertuples(index=False, name=None)
    ]


def _regroup(units: Units, n_keys: int) -> tuple[Units, NDArray[np.int64]]:
    """Return the same units by the first of their keys only, and the new group of each old one."""
    found, keys = read_groups(units.keys, units.by[:n_keys])
    codes = found.astype(np.int64)
    n_missed = np.bincount(codes, weights=units.n_missed, minlength=len(keys))
    groups = np.broadcast_to(np.zeros(1, dtype=np.int32), len(units.groups))
    if n_keys:
        groups = codes.astype(units.groups.dtype)[units.groups]
    n_missed = n_missed.astype(units.n_missed.dtype)
    return units.but(by=units.by[:n_keys], keys=keys, groups=groups, n_missed=n_missed), codes


def _days_over(late: ThresholdSweep, rule: Rule, chosen: NDArray[np.float64]) -> pd.DataFrame:
    """Return how many whole days of the later part exceed the budget, of how many; groups by themselves."""
    busiest = busiest_days(late.units, rule)
    if busiest is None:
        return pd.DataFrame(index=range(len(chosen)))
    own = chosen[1:] if late.by else chosen
    over = [
        np.nan if np.isnan(t) else float(fires(days, t).sum()) for days, t in zip(busiest, own, strict=True)
    ]
    n_days = [float(len(days)) for days in busiest]
    together = [np.nan] if late.by else []
    return pd.DataFrame({"n_days": [*together, *n_days], "n_days_over": [*together, *over]})


def _read_share(verify_on: str | None) -> float | None:
    """Return the share of the time span to verify on."""
    if verify_on is None:
        return None
    found = re.fullmatch(r"last (\d+(?:\.\d+)?) ?%", verify_on) if isinstance(verify_on, str) else None
    if found is None or not 0 < float(found[1]) < 100:
        raise BadInputError(
            f"verify_on is {verify_on!r}. Allowed: such as 'last 30%', or None to choose on everything."
        )
    return float(found[1]) / 100


def _read_current(current: Current, keys: pd.DataFrame, by: tuple[str, ...]) -> NDArray[np.float64]:
    """Return the threshold in force of every group, NaN where unknown."""
    if current is None:
        return np.full(len(keys), np.nan)
    if isinstance(current, pd.Series):
        return _read_currents(current, keys, by)
    is_number = isinstance(current, int | float | np.number) and not isinstance(current, bool)
    if not is_number or np.isnan(current):
        raise BadInputError(f"current is {current!r}. Allowed: a number, or with by= a Series of numbers.")
    return np.full(len(keys), float(current))


def _read_currents(current: pd.Series, keys: pd.DataFrame, by: tuple[str, ...]) -> NDArray[np.float64]:
    """Return the thresholds of a Series, in the order of the groups; NaN for those that it does not have."""
    if not by or list(current.index.names) != list(by):
        allowed = f"a Series indexed by {', '.join(map(repr, by))}" if by else "a number, since by= is empty"
        raise BadInputError(
            f"current is a Series indexed by {list(current.index.names)}. Allowed: {allowed}.",
            hint="frame.set_index(by)['threshold']" if by else None,
        )
    if not current.index.is_unique:
        raise BadInputError("current has a key twice; one threshold is in force in each group.")
    thresholds = read_scores(current.rename("current"))
    index = pd.MultiIndex.from_frame(keys) if len(by) > 1 else pd.Index(keys[by[0]])
    rows = current.index.get_indexer(index)
    if len(current) and len(keys) and (rows < 0).all():
        raise BadInputError(
            f"current has none of the groups: its keys are {current.index[:3].tolist()}, "
            f"those of the groups {index[:3].tolist()}.",
            hint="give the keys the dtype that the columns have",
        )
    return np.where(rows < 0, np.nan, thresholds[rows]) if len(thresholds) else np.full(len(keys), np.nan)


def _common(currents: NDArray[np.float64]) -> float | None:
    """Return the threshold in force where all groups have the same one."""
    same = len(currents) and bool((currents == currents[0]).all())
    return float(currents[0]) if same else None


def _numbers(values: list[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
