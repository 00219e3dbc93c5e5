"""What a threshold is asked to do: floors it must keep, and what is best among the thresholds that do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from secnb.analysis.captions import percent
from secnb.errors import BadInputError

Objective = Literal["precision", "recall", "f1", "cost", "n_fired"]

MAXIMIZE: Final = ("precision", "recall", "f1")

_BEST: Final[Mapping[Objective, str]] = {
    "precision": "the highest precision",
    "recall": "the highest recall",
    "f1": "the highest F1",
    "cost": "the least cost",
    "n_fired": "as many alerts as the budget allows",
}

_SLACK: Final = 1e-9
"""So that 9 of 10 keeps a floor of 0.9, whatever the last bit says."""


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What happens at some thresholds; arrays of one shape, whole numbers or weighted sums.

    Attributes
    ----------
    n_fired, tp, fp, fn : ndarray of float64
        Units that fire; those of them that are true, and false; true ones that do not (with misses).
    """

    n_fired: NDArray[np.float64]
    tp: NDArray[np.float64]
    fp: NDArray[np.float64]
    fn: NDArray[np.float64]

    def take(self, rows: NDArray[np.int64]) -> Outcomes:
        """Return what happens at some of the thresholds."""
        return Outcomes(n_fired=self.n_fired[rows], tp=self.tp[rows], fp=self.fp[rows], fn=self.fn[rows])

    @property
    def precision(self) -> NDArray[np.float64]:
        """True among labelled that fire; NaN where nothing labelled fires."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> NDArray[np.float64]:
        """Fired among true; NaN where nothing is true."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> NDArray[np.float64]:
        """Harmonic mean of precision and recall; NaN where either is."""
        f1 = _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)
        return np.where(np.isnan(self.precision) | np.isnan(self.recall), np.nan, f1)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What a threshold is asked to do; made by ``read_rule``.

    Attributes
    ----------
    objective : {"precision", "recall", "f1", "cost", "n_fired"}
        What is best: the highest rate, the least cost, or as many alerts as the budget allows.
    precision_at_least, recall_at_least : float or None
        Floors between 0 and 1.
    alerts_per_day_at_most : float or None
        Budget of a whole local day.
    days_within : float
        Share of later days that keep the budget.
    cost_missed, cost_false_alarm : float or None
        What one missed true unit and one false alarm cost, in the same unit.
    confidence : float or None
        With it, the floor of precision is a guarantee for later units, not an estimate.
    """

    objective: Objective
    precision_at_least: float | None
    recall_at_least: float | None
    alerts_per_day_at_most: float | None
    days_within: float
    cost_missed: float | None
    cost_false_alarm: float | None
    confidence: float | None

    @property
    def needs_labels(self) -> bool:
        """Whether anything but alerts is counted."""
        return self.objective != "n_fired"

    def costs(self, outcomes: Outcomes) -> NDArray[np.float64]:
        """Return what the misses and false alarms cost together."""
        return (self.cost_missed or 0.0) * outcomes.fn + (self.cost_false_alarm or 0.0) * outcomes.fp

    def value(self, outcomes: Outcomes) -> NDArray[np.float64]:
        """Return how good each threshold is, higher is better; NaN where it cannot be said."""
        if self.objective == "cost":
            return -self.costs(outcomes)
        return np.asarray(getattr(outcomes, self.objective), dtype=np.float64)

    def keeps_floors(self, outcomes: Outcomes) -> NDArray[np.bool_]:
        """Return where the floors are kept, by estimate; false where a rate is unknown."""
        kept = np.ones(outcomes.tp.shape, dtype=np.bool_)
        if self.precision_at_least is not None:
            labelled = outcomes.tp + outcomes.fp
            kept &= (labelled > 0) & (outcomes.tp >= self.precision_at_least * labelled * (1 - _SLACK))
        if self.recall_at_least is not None:
            true = outcomes.tp + outcomes.fn
            kept &= (true > 0) & (outcomes.tp >= self.recall_at_least * true * (1 - _SLACK))
        return kept

    def allowed_value(self, outcomes: Outcomes) -> NDArray[np.float64]:
        """Return how good each threshold is that keeps the floors; NaN where one does not."""
        return np.where(self.keeps_floors(outcomes), self.value(outcomes), np.nan)

    def nearly(self, best: float) -> float:
        """Return the lowest value on the plateau: within 0.01 for rates, 1 % for costs and alerts."""
        return best - (0.01 + _SLACK if self.objective in MAXIMIZE else 0.01 * abs(best))

    @property
    def sentence(self) -> str:
        """The rule in words."""
        best = _BEST[self.objective]
        if self.objective == "cost":
            best += f" ({self.cost_missed:g} per miss, {self.cost_false_alarm:g} per false alarm)"
        limits = []
        if self.precision_at_least is not None:
            sure = (
                "" if self.confidence is None else f" (guaranteed with {percent(self.confidence)} confidence)"
            )
            limits.append(f"a precision of at least {self.precision_at_least:g}{sure}")
        if self.recall_at_least is not None:
            limits.append(f"a recall of at least {self.recall_at_least:g}")
        if self.alerts_per_day_at_most is not None:
            days = f"{percent(self.days_within)} of days"
            alerts = "alert" if self.alerts_per_day_at_most == 1 else "alerts"
            limits.append(f"at most {self.alerts_per_day_at_most:g} {alerts} per day on {days}")
        return f"{best} with {' and '.join(limits)}" if limits else best


def read_rule(
    *,
    precision_at_least: float | None,
    recall_at_least: float | None,
    alerts_per_day_at_most: float | None,
    days_within: float | None,
    cost_missed: float | None,
    cost_false_alarm: float | None,
    maximize: str | None,
    confidence: float | None,
) -> Rule:
    """Check the arguments of ``choose`` and say what is best; anything contradictory is an error."""
    for name, share in (("precision_at_least", precision_at_least), ("recall_at_least", recall_at_least)):
        _check(name, share, lambda x: 0 < x <= 1, "above 0, up to 1", hint="percentages are divided by 100")
    for name, share in (("days_within", days_within), ("confidence", confidence)):
        _check(name, share, lambda x: 0 < x < 1, "between 0 and 1", hint="0.9 means nine of ten")
    _check("alerts_per_day_at_most", alerts_per_day_at_most, lambda x: x >= 0, "from 0 on")
    for name, cost in (("cost_missed", cost_missed), ("cost_false_alarm", cost_false_alarm)):
        _check(name, cost, lambda x: x > 0, "above 0", hint="only the ratio of the two costs matters")
    _refuse_half(days_within, alerts_per_day_at_most, "days_within=", "alerts_per_day_at_most=")
    _refuse_half(confidence, precision_at_least, "confidence=", "precision_at_least=")
    _refuse_half(cost_missed, cost_false_alarm, "cost_missed=", "cost_false_alarm=")
    _refuse_half(cost_false_alarm, cost_missed, "cost_false_alarm=", "cost_missed=")
    if confidence is not None and precision_at_least == 1:
        raise BadInputError(
            "precision_at_least is 1 with confidence=; no number of labels proves that none is ever false.",
            hint="ask for 0.99, or leave confidence= out",
        )
    return Rule(
        objective=_objective(
            maximize,
            has_costs=cost_missed is not None,
            has_precision=precision_at_least is not None,
            has_recall=recall_at_least is not None,
            has_budget=alerts_per_day_at_most is not None,
        ),
        precision_at_least=precision_at_least,
        recall_at_least=recall_at_least,
        alerts_per_day_at_most=alerts_per_day_at_most,
        days_within=0.9 if days_within is None else days_within,
        cost_missed=cost_missed,
        cost_false_alarm=cost_false_alarm,
        confidence=confidence,
    )


def _objective(
    maximize: str | None, *, has_costs: bool, has_precision: bool, has_recall: bool, has_budget: bool
) -> Objective:
    """Say what is best: what was asked for, else the other side of the floor, else many alerts."""
    if maximize is not None and maximize not in MAXIMIZE:
        raise BadInputError(
            f"maximize is {maximize!r}. Allowed: {', '.join(map(repr, MAXIMIZE))}.",
            hint="for costs give cost_missed= and cost_false_alarm=",
        )
    if has_costs and maximize is not None:
        raise BadInputError(
            f"maximize={maximize!r} and costs are two objectives; there can be one.",
            hint="floors and a budget may stand beside either",
        )
    if maximize == "recall" and not (has_precision or has_budget):
        raise BadInputError(
            "maximize='recall' alone fires on everything.",
            hint="say what limits it: precision_at_least= or alerts_per_day_at_most=",
        )
    if maximize == "precision" and not has_recall:
        raise BadInputError(
            "maximize='precision' without a floor of recall fires on almost nothing.",
            hint="say what limits it: recall_at_least=",
        )
    if has_costs:
        return "cost"
    if maximize is not None:
        return maximize  # type: ignore[return-value]
    if has_precision:
        return "recall"
    if has_recall:
        return "precision"
    if has_budget:
        return "n_fired"
    raise BadInputError(
        "choose needs to know what to choose by; nothing was given.",
        hint="precision_at_least=, recall_at_least=, alerts_per_day_at_most=, "
        "cost_missed= with cost_false_alarm=, or maximize='f1'",
    )


def _check(
    name: str,
    value: float | None,
    is_allowed: Callable[[float], bool],
    allowed: str,
    *,
    hint: str | None = None,
) -> None:
    """Refuse what is no number or outside of its range."""
    if value is None:
        return
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not is_number or not np.isfinite(value) or not is_allowed(value):
        raise BadInputError(f"{name} is {value!r}. Allowed: a number {allowed}.", hint=hint)


def _refuse_half(given: float | None, needed: float | None, name: str, other: str) -> None:
    """Refuse an argument without the one that it belongs to."""
    if given is not None and needed is None:
        raise BadInputError(f"{name} was given without {other}, to which it belongs.")


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Part of the whole, NaN where there is no whole."""
    found = np.full(np.shape(whole), np.nan)
    np.divide(part, whole, out=found, where=whole > 0)
    return found
