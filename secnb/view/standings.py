"""Where a panel marks the threshold in force, the one chosen, and those as good: for each group by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secnb.analysis.captions import exact
from secnb.analysis.choices import ThresholdChoice
from secnb.analysis.deciding import Decision
from secnb.analysis.explaining import sentence_of
from secnb.analysis.sweeps import ThresholdSweep
from secnb.errors import BadInputError
from secnb.view.groupings import Selection

MOST_STOPS: Final = 48
"""Where more thresholds are marked, or in more groups, the slider stands at those of the whole alone.

Every one is counted in all groups, and is one more press of an arrow key.
"""


@dataclass(frozen=True)
class Standing:
    """What is marked for one group, or for several together.

    Attributes
    ----------
    current, chosen : float or None
        The threshold in force, and the one chosen; None where there is none, or it has no place.
    plateau : tuple of float, or None
        Lowest and highest threshold as good as the best.
    sentence : str
        The choice in words; empty without one.
    """

    current: float | None = None
    chosen: float | None = None
    plateau: tuple[float, float] | None = None
    sentence: str = ""


class Standings:
    """The threshold in force and the choice of every group, checked against the sweep.

    Raises
    ------
    BadInputError
        The threshold in force is no number, nor a Series indexed by the keys; the choice is no choice,
        or one of another score or of other groups.
    """

    def __init__(
        self, sweep: ThresholdSweep, *, current: float | pd.Series | None, choice: ThresholdChoice | None
    ) -> None:
        if choice is not None:
            _check_choice(sweep, choice)
        self._choice = choice
        # A choice for other columns than the panel's, which is none at all, is a choice for everything.
        self._is_by_group = choice is not None and bool(sweep.by) and choice.by == sweep.by
        self._currents = self._read_currents(sweep, current)

    @property
    def currents(self) -> NDArray[np.float64]:
        """The distinct thresholds in force, ascending."""
        return np.unique(self._currents[np.isfinite(self._currents)])

    @property
    def marked(self) -> NDArray[np.float64]:
        """All thresholds that are marked for some group, and have a place on an axis."""
        decisions = self._choice.decisions if self._choice is not None else ()
        chosen = np.array([math.nan if d.threshold is None else d.threshold for d in decisions])
        return np.concatenate((self.currents, chosen[np.isfinite(chosen)]))

    @property
    def stops(self) -> NDArray[np.float64]:
        """Those of them that the slider can stand at: all, or where they are many, those of the whole."""
        found = np.unique(self.marked)
        if max(len(found), len(self._currents)) <= MOST_STOPS:
            return found
        currents, chosen = self.currents, None if self._choice is None else self._choice.whole.threshold
        of_whole = [*(currents if len(currents) == 1 else ()), *([] if chosen is None else [chosen])]
        return np.array([each for each in of_whole if math.isfinite(each)])

    def of(self, selection: Selection) -> Standing:
        """Return what is marked for one selection."""
        among = self._currents[selection.groups]
        same = len(among) > 0 and bool((among == among[0]).all())
        current = float(among[0]) if same and math.isfinite(among[0]) else None
        decision = self._decision(selection)
        if decision is None:
            return Standing(current=current)
        chosen, plateau = decision.threshold, decision.plateau
        return Standing(
            current=current,
            chosen=chosen if chosen is not None and math.isfinite(chosen) else None,
            plateau=plateau if chosen is not None and plateau and all(map(math.isfinite, plateau)) else None,
            sentence=_sentence(decision),
        )

    def _decision(self, selection: Selection) -> Decision | None:
        if self._choice is None:
            return None
        if not self._is_by_group:
            return self._choice.whole
        if selection.is_group:
            return self._choice.decisions[1 + int(selection.groups[0])]
        # What was decided for some of the keys is not known, but for none of them it is.
        return self._choice.whole if set(selection.key.split(",")) == {"-1"} else None

    def _read_currents(self, sweep: ThresholdSweep, current: object) -> NDArray[np.float64]:
        """Return the threshold in force of every group, NaN where it is not known."""
        n_groups = max(sweep.n_groups, 1)
        if current is None:
            return self._currents_of_choice(n_groups)
        if isinstance(current, pd.Series):
            return _read_series(sweep, current)
        is_number = isinstance(current, int | float | np.number) and not isinstance(current, bool)
        if not is_number or not math.isfinite(current):  # type: ignore[arg-type]
            raise BadInputError(
                f"current is {current!r}. Allowed: a finite number, or with by= a Series of numbers indexed "
                "by the keys; None where it is not known."
            )
        return np.full(n_groups, float(current))  # type: ignore[arg-type]

    def _currents_of_choice(self, n_groups: int) -> NDArray[np.float64]:
        if self._choice is None:
            return np.full(n_groups, np.nan)
        decisions = self._choice.decisions[1:] if self._is_by_group else [self._choice.whole] * n_groups
        return np.array([np.nan if d.current is None else d.current for d in decisions] or [np.nan])


def _check_choice(sweep: ThresholdSweep, choice: object) -> None:
    if not isinstance(choice, ThresholdChoice):
        raise BadInputError(
            f"choice is {type(choice).__name__}. Allowed: a ThresholdChoice, or None.",
            hint="choice=sweep.choose(precision_at_least=0.9)",
        )
    if choice.score != sweep.score:
        raise BadInputError(
            f"The choice is one of {choice.score!r}, and the sweep counts {sweep.score!r}.",
            hint="take the choice from this sweep: sweep.choose(...)",
        )
    if not choice.by or not sweep.by:
        return
    is_alike = choice.by == sweep.by and choice.keys.equals(sweep.units.keys.reset_index(drop=True))
    if not is_alike:
        raise BadInputError(
            f"The choice is for {len(choice.keys)} groups by {', '.join(choice.by)}, and the sweep has "
            f"{sweep.n_groups} by {', '.join(sweep.by)}. Allowed: the same groups, or a choice without any.",
            hint="take the choice from this sweep: sweep.choose(...)",
        )


def _read_series(sweep: ThresholdSweep, current: pd.Series) -> NDArray[np.float64]:
    if not sweep.by or list(current.index.names) != list(sweep.by) or not current.index.is_unique:
        raise BadInputError(
            f"current is a Series indexed by {list(current.index.names)}. Allowed: a number, or with by= a "
            f"Series with one number for each key, indexed by {list(sweep.by)}.",
            hint="frame.set_index(by)['threshold']",
        )
    keys = sweep.units.keys
    index = pd.MultiIndex.from_frame(keys) if len(sweep.by) > 1 else pd.Index(keys[sweep.by[0]])
    try:
        return np.asarray(pd.to_numeric(current).reindex(index), dtype=np.float64)
    except (TypeError, ValueError) as exc:
        raise BadInputError(f"current holds what is no number: {exc}.") from exc


def _sentence(decision: Decision) -> str:
    """Say what was decided, and how firm that is."""
    threshold, plateau, interval = decision.threshold, decision.plateau, decision.interval
    if threshold is None:
        return sentence_of(f"no threshold: {decision.reason}")
    where = "never to fire" if math.isinf(threshold) else exact(threshold)
    text = f"{decision.status}: {where}"
    if decision.reason:
        text += f" ({decision.reason})"
    if plateau is not None and plateau[0] < plateau[1]:
        text += f"; as good from {exact(plateau[0])} to {exact(plateau[1])}"
    if interval is not None:
        text += f"; in 95 % of resamples the best lies from {exact(interval[0])} to {exact(interval[1])}"
    if decision.guarantee is not None and decision.guarantee.sentence != decision.reason:
        text += f"; {decision.guarantee.sentence}"
    return sentence_of(text)
