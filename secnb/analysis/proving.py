"""Whether the precision of later units is guaranteed, or why it cannot be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secnb.analysis.captions import count, percent, thin
from secnb.analysis.cells import Cell
from secnb.analysis.guarantees import fixed_grid, labels_like, labels_needed, prove_precision
from secnb.analysis.packing import blocks
from secnb.analysis.rules import Rule

_NOT_RANDOM: Final = (
    'no guarantee: these labels are not a random sample; draw {n} with label_next(design="audit")'
)
_NOT_INDEPENDENT: Final = (
    "no guarantee: units of one cluster are not independent; sweep one row per cluster, such as "
    "secnb.episodes(frame), with {n} of them labelled"
)


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
    random_from, refusal = _random_from(cell)
    grid = grid[grid >= max(random_from, cell.known_from)]
    if not len(grid):
        sentence = "no guarantee: nothing is known of the thresholds that could be chosen"
        return Guarantee(is_given=False, sentence=sentence, grid=grid, proven=grid)
    n, k = cell.counted(grid)
    tests = None if refusal else prove_precision(grid, n, k, target=target, risk=risk)
    if tests is not None and not tests.is_proven.any() and random_from > -np.inf:
        # What is random there is too little, and more of the same kind would not make the rest random.
        refusal = _NOT_RANDOM
    if tests is None or refusal:
        # The first that could be proven fires so seldom that nobody wants it.
        n_labels = labels_like(n, k, target=target, risk=risk, recall=0.5)
        n_labels = n_labels or labels_needed(1, target=target, risk=risk / 2)
        return Guarantee(is_given=False, sentence=refusal.format(n=thin(n_labels)), n_labels=n_labels)
    proven = grid[tests.is_proven]
    asked = f"a precision of at least {target:g} with {percent(rule.confidence)} confidence"
    if len(proven):
        n_labels = int(n[0])
        labels = f"the labels of all {count(n_labels, 'unit')}"
        if cell.n_labelled < cell.n_units:
            labels = f"{count(n_labels, 'label')} drawn with equal probability"
        sentence = f"guaranteed for later units like these: {asked}, from {labels}"
        return Guarantee(is_given=True, sentence=sentence, grid=grid, proven=proven)
    if tests.n_more is None:
        more = "more labels would hardly change that, since too many of those seen are false"
    else:
        more = f"about {thin(tests.n_more)} more labels would do it, if they come out like those seen"
    sentence = f"no threshold is proven to have {asked}; {more}"
    return Guarantee(is_given=False, sentence=sentence, n_labels=tests.n_more, grid=grid, proven=proven)


def guarantee_of_nothing(rule: Rule) -> Guarantee | None:
    """Say how many labels a guarantee takes at least, where there is none yet."""
    if rule.confidence is None or rule.precision_at_least is None:
        return None
    n_labels = labels_needed(1, target=rule.precision_at_least, risk=(1 - rule.confidence) / 2)
    sentence = f"no guarantee without labels; it takes about {thin(n_labels)} at least"
    return Guarantee(is_given=False, sentence=sentence, n_labels=n_labels)


def _random_from(cell: Cell) -> tuple[float, str]:
    """Return from which threshold on labels were drawn with equal probability, and a refusal if nowhere.

    That is so when every unit is labelled, or when the probability is known and constant. Otherwise
    nothing says how the labels came about.
    """
    units = cell.units
    is_census = cell.n_labelled == cell.n_units
    if not is_census and units.probability is None:
        return -np.inf, _NOT_RANDOM
    if units.cluster is None and units.weight is None and is_census:
        return -np.inf, ""
    labelled = cell.labelled
    rows = labelled.rows if units.is_missed is None else labelled.rows[~labelled.is_missed]
    if units.clusters is not None:
        clusters = units.clusters[rows]
        if len(np.unique(clusters)) < len(clusters):
            return -np.inf, _NOT_INDEPENDENT
    if not len(rows):
        return -np.inf, ""
    parts = [rows[part] for part in blocks(len(rows))]
    highest = max((part[np.argmax(units.scores[part])] for part in parts), key=units.scores.__getitem__)
    differing = -np.inf
    any_differs = False
    for values in (units.weights, None if is_census else units.probabilities):
        if values is None:
            continue
        for part in parts:
            # A probability that is missing equals nothing, itself included.
            others = part[values[part] != values[highest]]
            any_differs |= len(others) > 0
            differing = max(differing, float(units.scores[others].max(initial=-np.inf)))
    if not any_differs:
        return -np.inf, ""
    # Ties with the first unit that differs are left out too.
    above = float(np.nextafter(differing, np.inf))
    return above, _NOT_RANDOM if above > units.scores[highest] else ""
