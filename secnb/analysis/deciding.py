"""One threshold for one group of units: what the rule says, how firm that is, and why there may be none."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secnb.analysis.captions import count, exact, percent, thin
from secnb.analysis.cells import Cell
from secnb.analysis.firing import written
from secnb.analysis.firmness import (
    best_position,
    middle_95,
    resampled_days,
    resampled_thresholds,
    thin_out,
)
from secnb.analysis.guarantees import allowed_days, days_needed, lowest_within_budget
from secnb.analysis.packing import positions
from secnb.analysis.proving import Guarantee, guarantee_of, guarantee_of_nothing
from secnb.analysis.rules import Outcomes, Rule

NOTHING_LABELLED: Final = "nothing is labelled"
"""Why there is no threshold without labels."""

Status = Literal["chosen", "kept", "inherited", "none"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Decision:
    """The threshold of one group, or the reason why there is none.

    Attributes
    ----------
    key : mapping
        The values of the by columns; empty for the whole.
    status : {"chosen", "kept", "inherited", "none"}
        Whether the threshold is the best, the one in force, that of the parent, or missing.
    threshold : float or None
        ``inf`` means never fire.
    reason : str
        Why it is kept, inherited or missing; empty where it was chosen.
    best : float or None
        The best threshold, also where the one in force is kept.
    plateau : tuple of float, or None
        Lowest and highest threshold as good as the best: within 0.01 for rates, 1 % for costs.
    interval : tuple of float, or None
        Where the best lies in 95 % of resamples; None where it cannot be said.
    guarantee : Guarantee or None
        None where none was asked for.
    current : float or None
        The threshold in force.
    n_units, n_labelled : int
        Units with a score, and those of them that are labelled.
    """

    status: Status
    threshold: float | None
    reason: str = ""
    best: float | None = None
    plateau: tuple[float, float] | None = None
    interval: tuple[float, float] | None = None
    guarantee: Guarantee | None = None
    current: float | None = None
    n_units: int = 0
    n_labelled: int = 0
    key: Mapping[str, object] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The group in words."""
        texts = {column: "missing" if pd.isna(value) else value for column, value in self.key.items()}  # type: ignore[call-overload]
        return ", ".join(f"{column} {text}" for column, text in texts.items()) or "the whole"


def decide(cell: Cell, rule: Rule, *, current: float | None, seed: int) -> Decision:
    """Choose for one group by itself."""
    decision = _as_written(_decide(cell, rule, current=current, seed=seed), cell)
    return replace(decision, current=current, n_units=cell.n_units, n_labelled=cell.n_labelled)


def _as_written(decision: Decision, cell: Cell) -> Decision:
    """Give the thresholds as people write them; those of a grid are the analyst's own, as is the one kept."""
    if cell.units.grid is not None or decision.best is None:
        return decision

    def ends(pair: tuple[float, float] | None) -> tuple[float, float] | None:
        return pair and (written(pair[0], cell.thresholds), written(pair[1], cell.thresholds))

    best = written(decision.best, cell.thresholds)
    return replace(
        decision,
        threshold=decision.threshold if decision.status == "kept" else best,
        best=best,
        plateau=ends(decision.plateau),
        interval=ends(decision.interval),
    )


def inherit(parent: Decision, *, n_labelled: int, fewest: int) -> Decision:
    """Give a thin group the threshold of its parent, which says nothing of the group itself."""
    few = f"{count(n_labelled, 'label')}, under {fewest}"
    if parent.threshold is None:
        return Decision(
            status="none", threshold=None, reason=f"{few}; and for {parent.name}: {parent.reason}"
        )
    guarantee = parent.guarantee and Guarantee(
        is_given=False,
        sentence=f"no guarantee for this group by itself: its threshold is that of {parent.name}",
    )
    return Decision(
        status="inherited",
        threshold=parent.threshold,
        reason=f"{few}: the threshold of {parent.name}",
        guarantee=guarantee,
    )


def _decide(cell: Cell, rule: Rule, *, current: float | None, seed: int) -> Decision:
    bound = -np.inf
    if cell.busiest is not None:
        if allowed_days(len(cell.busiest), within=rule.days_within) < 0:
            return Decision(status="none", threshold=None, reason=_too_few_days(len(cell.busiest), rule))
        bound = lowest_within_budget(cell.busiest, within=rule.days_within)
        if bound == np.inf:
            reason = "even at inf more alerts fire than the budget allows, since scores are infinite"
            return Decision(status="none", threshold=None, reason=reason)
    if rule.needs_labels and not cell.n_labelled + cell.n_missed_rows:
        guarantee = guarantee_of_nothing(cell, rule)
        return Decision(status="none", threshold=None, reason=NOTHING_LABELLED, guarantee=guarantee)
    guarantee = guarantee_of(cell, rule, current=current)
    proven = None if guarantee is None else guarantee.proven
    if guarantee is not None and proven is not None and not guarantee.is_given:
        return Decision(status="none", threshold=None, reason=guarantee.sentence, guarantee=guarantee)
    thresholds = cell.thresholds if proven is None else proven
    first = _first_allowed(thresholds, cell, bound)
    value = cell.evaluate(rule.allowed_value) if proven is None else rule.allowed_value(cell.at(proven))
    value[:first] = np.nan
    if np.isnan(value).all():
        del value
        reason = _unreachable(cell, thresholds, first, rule)
        if bound > -np.inf:
            reason += f" (with at most {rule.alerts_per_day_at_most:g} per day)"
        return Decision(status="none", threshold=None, reason=reason, guarantee=guarantee)
    nearly = rule.nearly(float(np.nanmax(value)))
    good = positions(value >= nearly)
    # One number for every threshold is not held for longer than it is needed.
    value = value[good]
    best = float(thresholds[good][best_position(value, thresholds[good], current=current)])
    chosen = Decision(
        status="chosen",
        threshold=best,
        best=best,
        plateau=(float(thresholds[good[0]]), float(thresholds[good[-1]])),
        interval=_interval(cell, rule, guarantee, bound=bound, best=best, current=current, seed=seed),
        guarantee=guarantee,
    )
    return chosen if current is None else _keep(chosen, cell, rule, current, bound=bound, nearly=nearly)


def _first_allowed(thresholds: NDArray[np.float64], cell: Cell, bound: float) -> int:
    """Position of the first threshold of which something is known, and that keeps the budget."""
    known = np.searchsorted(thresholds, cell.known_from, side="left")
    return int(max(known, np.searchsorted(thresholds, bound, side="right")))


def _keep(
    chosen: Decision, cell: Cell, rule: Rule, current: float, *, bound: float, nearly: float
) -> Decision:
    """Keep the threshold in force where it does all that was asked for and nothing is clearly better."""
    proven = None if chosen.guarantee is None else chosen.guarantee.proven
    outcome = cell.at(np.array([current]))
    is_allowed = current >= cell.known_from and current > bound and (proven is None or current in proven)
    if not is_allowed or not rule.keeps_floors(outcome)[0]:
        return chosen
    if rule.value(outcome)[0] >= nearly:
        why = "it is as good as the best, within what matters"
    elif chosen.interval is not None and chosen.interval[0] <= current <= chosen.interval[1]:
        why = "had other units happened, the best might as well lie there"
    else:
        return chosen
    return replace(chosen, status="kept", threshold=current, reason=f"no change is justified: {why}")


def _interval(
    cell: Cell,
    rule: Rule,
    guarantee: Guarantee | None,
    *,
    bound: float,
    best: float,
    current: float | None,
    seed: int,
) -> tuple[float, float] | None:
    """Resample days for a rule of alerts alone, else labelled units among the thresholds allowed."""
    if cell.busiest is not None and not rule.needs_labels:
        known = cell.thresholds[_first_allowed(cell.thresholds, cell, -np.inf) :]
        bounds = resampled_days(cell.busiest, within=rule.days_within, seed=seed)
        rows = np.searchsorted(known, bounds, side="right")
        return middle_95(known[np.minimum(rows, len(known) - 1)])
    if guarantee is not None and guarantee.grid is not None:
        candidates = guarantee.grid[guarantee.grid > bound]
    else:
        candidates = thin_out(cell.thresholds[_first_allowed(cell.thresholds, cell, bound) :], keep=best)
    is_proven = guarantee is not None and guarantee.is_given
    return middle_95(
        resampled_thresholds(candidates, cell, rule, is_proven=is_proven, current=current, seed=seed)
    )


def _too_few_days(n_days: int, rule: Rule) -> str:
    needed = days_needed(within=rule.days_within)
    return (
        f"a budget on {percent(rule.days_within)} of days takes at least {count(needed, 'whole day')}; "
        f"there {'is' if n_days == 1 else 'are'} {thin(n_days)}"
    )


def _unreachable(cell: Cell, thresholds: NDArray[np.float64], first: int, rule: Rule) -> str:
    """Say which floor cannot be kept, and what comes nearest."""
    if first == len(thresholds):
        is_known = first > np.searchsorted(thresholds, cell.known_from, side="left")
        what = "no threshold with that precision keeps the budget"
        return what if is_known else "nothing is known of the thresholds that could be chosen"

    def evaluate(function: Callable[[Outcomes], NDArray[np.float64]]) -> NDArray[np.float64]:
        is_all = thresholds is cell.thresholds
        rates = cell.evaluate(function) if is_all else function(cell.at(thresholds))
        rates[:first] = np.nan
        return rates

    precision, recall = rule.precision_at_least, rule.recall_at_least
    for name, floor in (("precision", precision), ("recall", recall)):
        if floor is None:
            continue
        rates = evaluate(operator.attrgetter(name))
        if np.isnan(rates).all():
            return f"no {name} is known: nothing labelled {'fires' if name == 'precision' else 'is true'}"
        if np.nanmax(rates) < floor * (1 - 1e-9):
            where = thresholds[int(best_position(rates, thresholds, current=None))]
            best = f"{np.nanmax(rates):.3g} at {exact(written(float(where), cell.thresholds))}"
            return f"a {name} of at least {floor:g} is not reachable; the best is {best}"
        # The next ones are not made beside them.
        del rates
    if precision is not None and recall is not None:
        least = precision * (1 - 1e-9)
        rates = evaluate(lambda outcomes: np.where(outcomes.precision >= least, outcomes.recall, np.nan))
        where = thresholds[int(best_position(rates, thresholds, current=None))]
        return (
            f"a precision of at least {precision:g} and a recall of at least {recall:g} are not reachable "
            f"together; with that precision the best recall is {np.nanmax(rates):.3g} at "
            f"{exact(written(float(where), cell.thresholds))}"
        )
    return f"no {rule.objective} is known for these units"
