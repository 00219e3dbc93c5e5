"""What ``choose`` returns: the thresholds, what they rest on, and what they change."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import pandas as pd

from secnb.analysis.deciding import Decision
from secnb.analysis.explaining import explain_choice, headline
from secnb.analysis.lasting import DRIFT, Periods
from secnb.analysis.rendering import render_choice
from secnb.analysis.rules import Rule

FORMAT: Final = 1
"""Version of ``to_dict``; it rises when a key changes its meaning or goes away."""

RATES: Final = tuple(f"{rate}{end}" for rate in ("precision", "recall") for end in ("", "_low", "_high"))
"""The rates at a threshold, with their 95 % intervals."""

PER_DAY: Final = ("fired_per_day", "true_per_day", "false_per_day")


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class ThresholdChoice:
    """A threshold, or one per group, with the evidence for it; made by ``ThresholdSweep.choose``.

    Row ``i`` of every frame here belongs to ``decisions[i]``; the whole comes first, then the groups.

    Attributes
    ----------
    score : str
        The column of scores.
    by : tuple of str
        The group columns.
    keys : pandas.DataFrame
        One row of by columns per group.
    unit : str
        What a unit is.
    weight, probability : str or None
        The columns of what a unit counts for, and of how probable its label was.
    rule : Rule
        What was asked for.
    decisions : tuple of Decision
        The whole, and then every group. With groups, the whole is the threshold for what is in none.
    periods : Periods
        What was chosen on and verified on.
    earlier, earlier_current : pandas.DataFrame
        Numbers of the part chosen on, at the threshold chosen and at the one in force; columns as in
        ``ThresholdSweep.frame``, then ``n_unlabelled_below`` (unverified and silent) and
        ``n_labelled_fired`` (labelled units that fire, not weighted), missing where there is no threshold.
        With groups, the first row is all groups together, each at its own threshold (at the one in force
        where it has none).
    later, later_current : pandas.DataFrame
        The same of the part verified on, with ``n_days`` and ``n_days_over`` where there is a budget; no
        column where there is no such part.
    drift : pandas.DataFrame
        How far the scores of both parts lie apart, what chance explains of that, and the change of precision.
    caption : tuple of str
        What a unit is, how many there are, over which days.
    notes : tuple of str
        What is not known at the threshold in force, and what the part chosen on does not hold.
    """

    score: str
    by: tuple[str, ...]
    keys: pd.DataFrame
    unit: str
    weight: str | None
    probability: str | None
    rule: Rule
    decisions: tuple[Decision, ...]
    periods: Periods
    earlier: pd.DataFrame
    earlier_current: pd.DataFrame
    later: pd.DataFrame
    later_current: pd.DataFrame
    drift: pd.DataFrame
    caption: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def whole(self) -> Decision:
        """The decision for all units together."""
        return self.decisions[0]

    @property
    def threshold(self) -> float | None:
        """The threshold for all units together; None where there is none, ``inf`` to never fire."""
        return self.whole.threshold

    @property
    def reason(self) -> str:
        """Why the threshold in force is kept, or why there is none; empty where it was chosen."""
        return self.whole.reason

    @property
    def is_kept(self) -> bool:
        """Whether no change is justified."""
        return self.whole.status == "kept"

    @property
    def is_guaranteed(self) -> bool:
        """Whether the precision is guaranteed for later units."""
        guarantee = self.whole.guarantee
        return self.threshold is not None and guarantee is not None and guarantee.is_given

    @property
    def n_labels_needed(self) -> int | None:
        """About how many labels to draw for a guarantee that was asked for; None where that says nothing."""
        return None if self.whole.guarantee is None else self.whole.guarantee.n_labels

    @property
    def plateau(self) -> tuple[float, float] | None:
        """Lowest and highest threshold as good as the best: within 0.01 for rates, 1 % for costs."""
        return self.whole.plateau

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where the best threshold lies in 95 % of resamples."""
        return self.whole.interval

    @property
    def thresholds(self) -> pd.DataFrame:
        """One row per group (one in all without groups).

        Columns: the by columns; ``threshold, current, status`` (chosen, kept, inherited, none),
        ``reason, best, plateau_low, plateau_high, best_low, best_high`` (95 % of resamples),
        ``is_guaranteed, n_labels_needed`` (Int64), ``n_units, n_labelled``; precision and recall with
        their intervals, and ``evidence``, on the part chosen on; the same as ``later_*`` on the part
        verified on; alerts, true and false alarms per whole local day at the threshold, and as
        ``*_now`` at the one in force; the columns of ``drift``.
        """
        rows = list(range(1, len(self.decisions)) if self.by else range(1))
        flat = pd.DataFrame([_flat(self.decisions[row]) for row in rows], columns=list(_flat(self.whole)))
        table = pd.concat([self.keys, flat], axis=1) if self.by else flat
        numbers = {
            **{name: self.earlier.get(name) for name in (*RATES, "evidence")},
            **{f"later_{name}": self.later.get(name) for name in RATES},
            **{name: self.earlier.get(name) for name in PER_DAY},
            **{f"{name}_now": self.earlier_current.get(name) for name in PER_DAY},
            **{name: self.drift[name] for name in DRIFT},
        }
        for name, column in numbers.items():
            table[name] = np.nan if column is None else column.iloc[rows].to_numpy()
        return table.astype({"n_labels_needed": "Int64"})

    @property
    def changes(self) -> pd.DataFrame:
        """What changes against the threshold in force: one row for alerts, true alarms and false alarms.

        Columns ``what, current, chosen, change``, per whole local day, or counts where there is none;
        ``attrs["per"]`` says which. Empty without ``current`` or without a threshold. True and false
        alarms are among labelled units only; with probabilities they are the shares of the alerts that
        precision says.
        """
        per_day = "fired_per_day" in self.earlier
        names = PER_DAY if per_day else ("n_fired", "tp", "fp")
        was, now = self.earlier_current.iloc[0], self.earlier.iloc[0]
        table = pd.DataFrame(
            {
                "what": ["alerts", "true alarms", "false alarms"],
                "current": was[list(names)].to_numpy(dtype=np.float64),
                "chosen": now[list(names)].to_numpy(dtype=np.float64),
            }
        )
        table["change"] = table["chosen"] - table["current"]
        table = table.dropna(ignore_index=True)
        table.attrs = {"per": "day" if per_day else "all"}
        return table

    def explain(self) -> str:
        """Return plain sentences, one per line, that say what was chosen, why, and how sure that is."""
        return "\n".join(explain_choice(self))

    def to_dict(self) -> dict[str, object]:
        """Return everything as plain data for JSON: text, numbers, lists and dicts, without NaN.

        What is unknown is None. A threshold of ``inf``, which never fires, is the text ``"inf"``.

        Returns
        -------
        dict
            ``format`` (1; it rises when a key changes its meaning), ``score``, ``by``, ``unit``,
            ``question`` (the rule in words), ``rule`` (its parts), ``threshold``, ``whole`` and
            ``groups`` (each with ``key, status, threshold, current, reason, best, plateau, interval,
            guarantee, n_units, n_labelled`` and the numbers ``earlier, earlier_current, later,
            later_current, drift``), ``periods``, ``caption`` and ``explanation`` (the sentences).
        """
        tables = ("earlier", "earlier_current", "later", "later_current", "drift")
        # Row by row, a frame takes long to read.
        records = {name: getattr(self, name).to_dict("records") for name in tables}
        decisions = [
            {**_fields(decision), **{name: rows[row] for name, rows in records.items()}}
            for row, decision in enumerate(self.decisions)
        ]
        whole: dict[str, object] = {
            "format": FORMAT,
            "score": self.score,
            "by": list(self.by),
            "unit": self.unit,
            "question": self.rule.sentence,
            "rule": asdict(self.rule),
            "threshold": self.threshold,
            "whole": decisions[0],
            "groups": decisions[1:],
            "periods": asdict(self.periods),
            "caption": list(self.caption),
            "explanation": explain_choice(self),
        }
        return {name: _plain(value) for name, value in whole.items()}

    def __repr__(self) -> str:
        return f"<ThresholdChoice of {self.score}: {headline(self)}>"

    def _repr_html_(self) -> str:
        """Show the numbers, the reasons and the groups; every text is escaped, and no colour is set."""
        return render_choice(self)


def _flat(decision: Decision) -> dict[str, object]:
    """One row of ``thresholds`` without the numbers."""
    plateau, interval = decision.plateau or (np.nan, np.nan), decision.interval or (np.nan, np.nan)
    guarantee = decision.guarantee
    return {
        "threshold": _number(decision.threshold),
        "current": _number(decision.current),
        "status": decision.status,
        "reason": decision.reason,
        "best": _number(decision.best),
        "plateau_low": plateau[0],
        "plateau_high": plateau[1],
        "best_low": interval[0],
        "best_high": interval[1],
        "is_guaranteed": guarantee is not None and guarantee.is_given,
        "n_labels_needed": None if guarantee is None else guarantee.n_labels,
        "n_units": decision.n_units,
        "n_labelled": decision.n_labelled,
    }


def _number(value: float | None) -> float:
    return np.nan if value is None else value


COLUMNS: Final = frozenset(
    {
        *_flat(Decision(status="none", threshold=None)),
        *(*RATES, "evidence", *(f"later_{name}" for name in RATES)),
        *(*PER_DAY, *(f"{name}_now" for name in PER_DAY), *DRIFT),
    }
)
"""The columns of ``thresholds`` besides those of the groups."""


def _fields(decision: Decision) -> Mapping[str, object]:
    """Return the parts of a decision; the thresholds that a guarantee was tested on stay out."""
    parts = {name: getattr(decision, name) for name in decision.__dataclass_fields__ if name != "guarantee"}
    guarantee = decision.guarantee
    parts["guarantee"] = (
        None
        if guarantee is None
        else {"is_given": guarantee.is_given, "sentence": guarantee.sentence, "n_labels": guarantee.n_labels}
    )
    return parts


def _plain(value: object) -> object:
    """Turn a value into what JSON has; missing becomes None, infinity text, times ISO 8601."""
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        number = float(value)
        return number if math.isfinite(number) else None if math.isnan(number) else str(number)
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    return str(value)
