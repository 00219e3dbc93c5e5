"""Rates at one cut when only a part was verified, corrected for which part; bounds are in ``evidence``."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from secnb.errors import BadInputError


class CorrectedRates(NamedTuple):
    """Recall and specificity at one cut, as verified and as corrected; made by ``corrected_rates``.

    Attributes
    ----------
    recall, specificity : ndarray of float64
        Among all units; NaN where one side of the cut has no verified unit.
    recall_verified, specificity_verified : ndarray of float64
        Among verified units alone, which is biased when the sides are verified unevenly.
    """

    recall: NDArray[np.float64]
    specificity: NDArray[np.float64]
    recall_verified: NDArray[np.float64]
    specificity_verified: NDArray[np.float64]


def corrected_rates(
    *, n_fired: ArrayLike, n_silent: ArrayLike, tp: ArrayLike, fp: ArrayLike, fn: ArrayLike, tn: ArrayLike
) -> CorrectedRates:
    """Recall and specificity at one cut when fired units are verified more often than silent ones.

    It holds when the chance of being verified depends on nothing but the side of the cut: then the
    share of true units among the verified of a side is that of the whole side.

    Parameters
    ----------
    n_fired, n_silent : array-like of int
        All units at or above the cut, and below it, verified or not.
    tp, fp : array-like of int
        Verified units that fired, true and false.
    fn, tn : array-like of int
        Verified units that did not fire, true and false.

    Returns
    -------
    CorrectedRates
        All arrays broadcast.

    Raises
    ------
    BadInputError
        A count is negative, or a side has more verified units than units.

    References
    ----------
    Begg, C. B. and Greenes, R. A. (1983). Assessment of diagnostic tests when disease verification is
    subject to selection bias. Biometrics 39, 207-215.

    Examples
    --------
    >>> rates = corrected_rates(n_fired=1423, n_silent=1265, tp=195, fp=232, fn=5, tn=39)
    >>> f"{rates.recall:.6f} instead of {rates.recall_verified:.6f}"
    '0.818863 instead of 0.975000'
    """
    counts = (np.asarray(values, dtype=np.float64) for values in (n_fired, n_silent, tp, fp, fn, tn))
    fired, silent, tp, fp, fn, tn = np.broadcast_arrays(*counts)
    smallest = min(float(values.min(initial=0)) for values in (tp, fp, fn, tn))
    if smallest < 0 or bool(((tp + fp > fired) | (fn + tn > silent)).any()):
        raise BadInputError(
            "The verified units of a side are negative or more than its units: "
            f"fired {_show(fired)} with tp {_show(tp)} and fp {_show(fp)}; "
            f"silent {_show(silent)} with fn {_show(fn)} and tn {_show(tn)}."
        )
    with np.errstate(invalid="ignore", divide="ignore"):
        true_fired, true_silent = fired * (tp / (tp + fp)), silent * (fn / (fn + tn))
        false_fired, false_silent = fired - true_fired, silent - true_silent
        return CorrectedRates(
            recall=true_fired / (true_fired + true_silent),
            specificity=false_silent / (false_fired + false_silent),
            recall_verified=tp / (tp + fn),
            specificity_verified=tn / (fp + tn),
        )


def _show(values: NDArray[np.float64]) -> str:
    """Write the counts as they were given."""
    return np.array2string(values, threshold=5, separator=", ", formatter={"float_kind": "{:g}".format})
