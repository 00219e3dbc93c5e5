"""Whether the precision of later units is guaranteed, or why it cannot be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secnb.analysis.captions import count, exact, percent, thin
from secnb.analysis.cells import Cell
from secnb.analysis.counting import FEW_LABELS
from secnb.analysis.guarantees import fixed_grid, labels_like, labels_needed, prove_precision
from secnb.analysis.packing import blocks
from secnb.analysis.rules import Rule

_EVEN: Final = "about an even chance or better"
"""So likely the number of labels that is named proves a threshold: it does if they come out as expected."""

_HALF: Final = f"for {_EVEN} of one that keeps half of the true units, if they come out like those seen"

_NOT_RANDOM: Final = "these labels are not a random sample"
_UNEQUAL: Final = (
    "these labels were drawn with unequal probabilities, which is good for estimates and proves nothing"
)
_WEIGHTED: Final = "weights differ, and what is tested is how many units are true"
_SINCE: Final = {
    _NOT_RANDOM: "they are no random sample",
    _UNEQUAL: "they were drawn with unequal probabilities",
    _WEIGHTED: "their weights differ",
}
_PROVE_MORE: Final = (
    '; label_next(design="audit"), with a label store of its own, draws labels that prove more'
)
_NOT_INDEPENDENT: Final = "units of one cluster are not independent"
_REPEATED: Final = "rows of one {name} are not independent units"


@dataclass(frozen=True, kw_only=True)
class Guarantee:
    """Whether the precision is guaranteed for later units.

    Attributes
    ----------
    is_given : bool
        Whether it holds at the threshold of the decision.
    sentence : str
        What it rests on, or why there is none.
    n_labels : int or None
        About how many labels to draw where none is given; None where it is given, or where labels like
        those seen would hardly help.
    grid, proven : ndarray of float64, or None
        The thresholds tested, and those at which it holds, ascending; None where none may be tested.
    """

    is_given: bool
    sentence: str
    n_labels: int | None = None
    grid: NDArray[np.float64] | None = None
    proven: NDArray[np.float64] | None = None


def guarantee_of(cell: Cell, rule: Rule, *, current: float | None) -> Guarantee | None:
    """Return what can be guaranteed; None where no guarantee was asked for.

    The threshold in force is tested with the grid: it was there before the labels, as the grid was.
    """
    if rule.confidence is None or rule.precision_at_least is None:
        return None
    target, risk = rule.precision_at_least, 1 - rule.confidence
    grid = fixed_grid(cell.thresholds) if cell.units.grid is None else cell.units.grid
    if current is not None and np.isfinite(current):
        grid = np.union1d(grid, [current])
    known = grid[grid >= cell.known_from]
    if not len(known):
        sentence = "no guarantee: nothing is known of the thresholds that could be chosen"
        return Guarantee(is_given=False, sentence=sentence, grid=known, proven=known)
    random_from, why = _random_from(cell)
    grid = known[known >= random_from]
    if not len(grid):
        return _refused(cell, known, why, target=target, risk=risk)
    n, k = cell.counted(grid)
    tests = prove_precision(grid, n, k, target=target, risk=risk)
    proven = grid[tests.is_proven]
    asked = f"a precision of at least {target:g} with {percent(rule.confidence)} confidence"
    if len(proven):
        sentence = (
            f"guaranteed for later units like these: {asked}, from {_labels(cell, grid, int(n[0]), why)}"
        )
        return Guarantee(is_given=True, sentence=sentence, grid=grid, proven=proven)
    if why:
        # What is random there is too little, and more of the same kind would not make the rest random.
        return _refused(cell, known, why, target=target, risk=risk)
    n_more = tests.n_more
    if n_more is not None:
        n_more = _drawn(cell, n_more)
        beyond = " (more than there are units)" if n_more + n[0] > cell.n_units / cell.share else ""
        more = (
            f"about {thin(n_more)} more labels{beyond} give {_EVEN} of one, if they come out like those seen"
        )
    elif n[0] < FEW_LABELS:
        n_more = _drawn(cell, FEW_LABELS - int(n[0]))
        more = f"{count(int(n[0]), 'label')} cannot say how many it takes; {thin(n_more)} more would begin to"
    else:
        more = "more labels would hardly change that, since too many of those seen are false"
    sentence = f"no threshold is proven to have {asked}; {more}"
    return Guarantee(is_given=False, sentence=sentence, n_labels=n_more, grid=grid, proven=proven)


def _labels(cell: Cell, grid: NDArray[np.float64], n_labels: int, why: str) -> str:
    """Say which labels prove something, and which do not."""
    if cell.n_labelled == cell.n_units:
        text = f"the labels of all {count(n_labels, 'unit')}"
    else:
        text = f"{count(n_labels, 'label')} drawn with equal probability"
    n_other = cell.n_labelled - n_labels
    if not why or not n_other:
        return text
    text = text.replace("of all", "of") + f" at or above {exact(float(grid[0]))}; the other {thin(n_other)} "
    text += f"prove nothing, since {_SINCE[why]}, so that nothing lower could be chosen"
    return text + ("" if why == _WEIGHTED else _PROVE_MORE)


def _refused(cell: Cell, grid: NDArray[np.float64], why: str, *, target: float, risk: float) -> Guarantee:
    """Say why labels prove nothing, and what would."""
    n: NDArray[np.number]
    k: NDArray[np.number]
    n, k = cell.counted(grid)
    if why == _UNEQUAL:
        # What all units are like, not those that were favoured.
        outcomes = cell.at(grid)
        n, k = outcomes.tp + outcomes.fp, outcomes.tp
    # The first that could be proven fires so seldom that nobody wants it.
    like = labels_like(n, k, target=target, risk=risk, recall=0.5) if len(n) and n[0] else None
    n_labels = _drawn(cell, like or labels_needed(1, target=target, risk=risk / 2))
    chance = _HALF if like else "at least"
    how = f'draw {thin(n_labels)} with label_next(design="audit") {chance}'
    if why == _UNEQUAL:
        how = f"with a label store of their own, {how}"
    elif why == _WEIGHTED:
        how = "sweep without weight= for one"
    elif why == _NOT_INDEPENDENT:
        how = "sweep one row per cluster, such as secnb.episodes(frame), with "
        how += f"{thin(n_labels)} of them labelled {chance}"
    elif why != _NOT_RANDOM:
        how = f"keep one row of each, with {thin(n_labels)} labelled {chance}"
    return Guarantee(is_given=False, sentence=f"no guarantee: {why}; {how}", n_labels=n_labels)


def _drawn(cell: Cell, n_labels: int) -> int:
    """Return how many labels to draw for so many in the part chosen on."""
    return math.ceil(n_labels / cell.share - 1e-9)


def guarantee_of_nothing(cell: Cell, rule: Rule) -> Guarantee | None:
    """Say how many labels a guarantee takes at least, where there is none yet."""
    if rule.confidence is None or rule.precision_at_least is None:
        return None
    n_labels = labels_needed(1, target=rule.precision_at_least, risk=(1 - rule.confidence) / 2)
    n_labels = _drawn(cell, n_labels)
    sentence = f"no guarantee without labels; it takes about {thin(n_labels)} at least"
    return Guarantee(is_given=False, sentence=sentence, n_labels=n_labels)


def _random_from(cell: Cell) -> tuple[float, str]:
    """Return from which threshold on labels were drawn with equal probability, and why not below it.

    That is so everywhere when every unit is labelled, or when the probability is known and constant.
    Otherwise nothing says how the labels came about. It is ``inf`` where nothing can be tested.
    """
    units = cell.units
    is_census = cell.n_labelled == cell.n_units
    if not is_census and units.probability is None:
        return np.inf, _NOT_RANDOM
    if units.cluster is None and units.repeated is not None:
        return np.inf, _REPEATED.format(name=units.repeated)
    if units.cluster is None and units.weight is None and is_census:
        return -np.inf, ""
    labelled = cell.labelled
    rows = labelled.rows if units.is_missed is None else labelled.rows[~labelled.is_missed]
    if units.clusters is not None:
        clusters = units.clusters[rows]
        if len(np.unique(clusters)) < len(clusters):
            return np.inf, _NOT_INDEPENDENT
    if not len(rows):
        return -np.inf, ""
    parts = [rows[part] for part in blocks(len(rows))]
    highest = max((part[np.argmax(units.scores[part])] for part in parts), key=units.scores.__getitem__)
    differing, why = -np.inf, ""
    factors = {_WEIGHTED: units.weights, _UNEQUAL: None if is_census else units.probabilities}
    for name, values in factors.items():
        if values is None:
            continue
        for part in parts:
            # A probability that is missing equals nothing, itself included.
            others = part[values[part] != values[highest]]
            if not len(others):
                continue
            why = _NOT_RANDOM if np.isnan(values[others]).any() else why or name
            differing = max(differing, float(units.scores[others].max()))
    if not why:
        return -np.inf, ""
    # Ties with the first unit that differs are left out too.
    above = float(np.nextafter(differing, np.inf))
    return np.inf if above > units.scores[highest] else above, why
