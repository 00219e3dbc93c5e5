"""Confidence intervals of proportions, on whole arrays: independent units, and units that come in bursts."""

from __future__ import annotations

from numbers import Real

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, ndtri, stdtrit

from secnb.errors import BadInputError

Bounds = tuple[NDArray[np.float64], NDArray[np.float64]]


def wilson(k: ArrayLike, n: ArrayLike, confidence: float = 0.95) -> Bounds:
    """Return the score interval of ``k`` of ``n`` independent units.

    Parameters
    ----------
    k, n : array-like of float
        Successes and units; they broadcast. Fractions are allowed (effective sizes). Without a unit
        nothing is known: 0 to 1.
    confidence : float
        Two-sided, between 0 and 1.

    Returns
    -------
    low, high : ndarray of float64
        Between 0 and 1; exactly 0 where ``k`` is 0, and exactly 1 where ``k`` is ``n``.

    Raises
    ------
    BadInputError
        The confidence does not lie between 0 and 1.

    References
    ----------
    Wilson, E. B. (1927). Probable inference, the law of succession, and statistical inference. Journal
    of the American Statistical Association 22, 209-212.

    Examples
    --------
    >>> low, high = wilson([0, 9, 10], 10)
    >>> low.round(3).tolist(), high.round(3).tolist()
    ([0.0, 0.596, 0.722], [0.278, 0.982, 1.0])
    """
    z2 = float(ndtri(1 - _tail(confidence))) ** 2
    k, n = _counts(k, n)
    whole = np.where(n > 0, n, 1.0)
    p = k / whole
    centre = p + z2 / (2 * whole)
    reach = np.sqrt(z2 * (p * (1 - p) / whole + z2 / (4 * whole**2)))
    scale = 1 + z2 / whole
    return _at_the_ends((centre - reach) / scale, (centre + reach) / scale, k, n)


def clopper_pearson(k: ArrayLike, n: ArrayLike, confidence: float = 0.95) -> Bounds:
    """Return the exact interval of ``k`` of ``n`` independent units, which never covers too seldom.

    Parameters
    ----------
    k, n : array-like of float
        Successes and units; they broadcast. Fractions are allowed (effective sizes). Without a unit
        nothing is known: 0 to 1.
    confidence : float
        Two-sided, between 0 and 1.

    Returns
    -------
    low, high : ndarray of float64
        Between 0 and 1; exactly 0 where ``k`` is 0, and exactly 1 where ``k`` is ``n``.

    Raises
    ------
    BadInputError
        The confidence does not lie between 0 and 1.

    References
    ----------
    Clopper, C. J. and Pearson, E. S. (1934). The use of confidence or fiducial limits illustrated in the
    case of the binomial. Biometrika 26, 404-413.

    Examples
    --------
    >>> low, high = clopper_pearson([0, 9, 10], 10)
    >>> low.round(4).tolist(), high.round(4).tolist()
    ([0.0, 0.555, 0.6915], [0.3085, 0.9975, 1.0])
    """
    tail = _tail(confidence)
    k, n = _counts(k, n)
    # The ends are set below; there the beta distribution has no second parameter.
    low = betaincinv(np.where(k > 0, k, 1.0), n - k + 1, tail)
    high = betaincinv(k + 1, np.where(n > k, n - k, 1.0), 1 - tail)
    return _at_the_ends(low, high, k, n)


def korn_graubard(
    p: ArrayLike, n_effective: ArrayLike, n_clusters: ArrayLike, confidence: float = 0.95
) -> Bounds:
    """Return the interval of a proportion among units that come in clusters, or that are weighted.

    That is ``clopper_pearson`` on the effective sample size: adjusted for the degrees of freedom of its
    variance, and never more than the number of clusters. It knows rates and clusters, not rows: with
    every row doubled it is the same.

    Parameters
    ----------
    p : array-like of float
        The estimate; NaN where there is none, and then the interval is 0 to 1.
    n_effective : array-like of float
        ``p * (1 - p) / variance``, with the linearised variance between clusters; NaN or infinite where
        that variance is 0, since then nothing but the number of clusters bounds it.
    n_clusters : array-like of float
        Clusters that the estimate rests on. Without one nothing is known: 0 to 1.
    confidence : float
        Two-sided, between 0 and 1.

    Returns
    -------
    low, high : ndarray of float64
        Between 0 and 1; exactly 0 where ``p`` is 0, and exactly 1 where ``p`` is 1.

    Raises
    ------
    BadInputError
        The confidence does not lie between 0 and 1.

    References
    ----------
    Korn, E. L. and Graubard, B. I. (1998). Confidence intervals for proportions with small expected
    number of positive counts estimated from survey data. Survey Methodology 24, 193-201.

    Examples
    --------
    >>> low, high = korn_graubard([0.9, 1.0], [25, np.nan], 30)
    >>> low.round(3).tolist(), high.round(3).tolist()
    ([0.702, 0.884], [0.985, 1.0])
    """
    p, n_effective, n_clusters = np.broadcast_arrays(
        *(np.asarray(values, dtype=np.float64) for values in (p, n_effective, n_clusters))
    )
    tail = _tail(confidence)
    freedom = np.maximum(n_clusters - 1, 1)
    fewer = (ndtri(tail) / stdtrit(freedom, tail)) ** 2
    adjusted = np.where(np.isfinite(n_effective), n_effective * fewer, n_clusters)
    n = np.where(np.isnan(p), 0.0, np.minimum(adjusted, n_clusters))
    return clopper_pearson(np.nan_to_num(p) * n, n, confidence)


def _tail(confidence: float) -> float:
    """Return the probability beyond each end."""
    if not (isinstance(confidence, Real) and 0 < confidence < 1):
        raise BadInputError(f"confidence is {confidence!r}. Allowed: between 0 and 1, such as 0.95.")
    return (1 - confidence) / 2


def _counts(k: ArrayLike, n: ArrayLike) -> Bounds:
    k, n = np.broadcast_arrays(np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64))
    return k, n


def _at_the_ends(
    low: NDArray[np.float64], high: NDArray[np.float64], k: NDArray[np.float64], n: NDArray[np.float64]
) -> Bounds:
    """Set the ends that are known exactly, which arithmetic would miss by a rounding error."""
    return np.where(k <= 0, 0.0, low), np.where(k >= n, 1.0, high)
