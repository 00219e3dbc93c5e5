"""The question that a sweep answers: which threshold. What answers it is in ``choosing``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from secnb.analysis.rules import read_rule

if TYPE_CHECKING:
    from secnb.analysis.choices import ThresholdChoice
    from secnb.analysis.sweeps import ThresholdSweep


class Choosable:
    """What has counts at thresholds, so that one can be chosen; a ``ThresholdSweep``."""

    def choose(  # type: ignore[misc]
        self: ThresholdSweep,
        *,
        precision_at_least: float | None = None,
        recall_at_least: float | None = None,
        alerts_per_day_at_most: float | None = None,
        days_within: float | None = None,
        cost_missed: float | None = None,
        cost_false_alarm: float | None = None,
        maximize: str | None = None,
        confidence: float | None = None,
        current: float | pd.Series | None = None,
        verify_on: str | None = "last 30%",
        seed: int = 0,
    ) -> ThresholdChoice:
        """Return the threshold that keeps what is asked for and is best, or why there is none.

        There is one objective, and any number of limits. What is best, if neither costs nor ``maximize``
        say it: with ``precision_at_least`` the highest recall, else with ``recall_at_least`` the highest
        precision, else as many alerts as the budget allows. Among equals the nearest to ``current`` is
        taken, else the highest. ``current`` is kept where it does all that is asked for and is on the
        plateau or in the interval. Weights, probabilities, clusters and misses count as they do in the
        sweep, and thresholds of unknown evidence are never chosen; of a sweep with ``at``, only those given.

        With groups each is chosen for by itself; one with fewer than 50 labels takes the threshold of its
        parent: the group of all keys but the last, in the order of ``by``, and so on up to the whole.

        Parameters
        ----------
        precision_at_least, recall_at_least : float, optional
            Floors, above 0 and up to 1. One that cannot be reached leaves no threshold, and a reason.
        alerts_per_day_at_most : float, optional
            Budget of one whole local day, of each group by itself.
        days_within : float, optional
            Share of later days on which the budget is kept, by conformal risk control; 0.9 by default.
        cost_missed, cost_false_alarm : float, optional
            Cost of one miss and of one false alarm, in the same unit; the least cost is best.
        maximize : {"precision", "recall", "f1"}, optional
            What is best. Precision and recall need a limit from the other side.
        confidence : float, optional
            Makes ``precision_at_least`` a guarantee for later units like those seen, by Learn then Test on a
            fixed grid of a hundred steps. It takes labels of every unit, or labels drawn with equal
            probability; with others the answer is the estimate, and no guarantee. It holds for each group
            by itself, not for all groups at once.
        current : float or pandas.Series, optional
            The threshold in force; with groups, a Series indexed by the by columns is allowed.
        verify_on : str or None, default "last 30%"
            The last share of the time span, cut between clusters, at which neither the choice nor its
            intervals look. None, or a frame without times: everything is chosen on.
        seed : int, default 0
            Of the resamples from which the interval of the best threshold comes.

        Returns
        -------
        ThresholdChoice
            ``.threshold`` (of six digits, where that fires on the same units), ``.reason``,
            ``.thresholds`` (one row per group), ``.explain()``.

        Raises
        ------
        BadInputError
            There is nothing to choose by, or two objectives, or one that nothing limits; half of a pair
            is missing; a value is out of its range; ``current`` has none of the groups, or is of another
            scale than the scores, such as 50 where these lie between 0 and 1; a group column is called
            like a column of ``.thresholds``.

        References
        ----------
        Angelopoulos, A. N. et al. (2021). Learn then Test. arXiv:2110.01052. Angelopoulos, A. N. et al.
        (2022). Conformal risk control. arXiv:2208.02814.

        Examples
        --------
        >>> import secnb
        >>> frame = pd.DataFrame({"score": range(100), "is_true": [i % 10 > 3 or i > 60 for i in range(100)]})
        >>> choice = secnb.sweep(frame, score="score", truth="is_true").choose(precision_at_least=0.95)
        >>> choice.threshold, choice.interval
        (54.0, (44.0, 62.0))
        """
        # It counts parts of a sweep, so that it can only be loaded after sweeps.
        from secnb.analysis.choosing import choose

        rule = read_rule(
            precision_at_least=precision_at_least,
            recall_at_least=recall_at_least,
            alerts_per_day_at_most=alerts_per_day_at_most,
            days_within=days_within,
            cost_missed=cost_missed,
            cost_false_alarm=cost_false_alarm,
            maximize=maximize,
            confidence=confidence,
        )
        return choose(self, rule, current=current, verify_on=verify_on, seed=seed)
