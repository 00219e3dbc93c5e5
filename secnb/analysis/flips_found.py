"""What ``compare_thresholds`` returns: what flips, where and when, and what it changes per day."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from secnb.analysis.captions import count, thin
from secnb.analysis.flips_shown import render_comparison


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class ThresholdComparison:
    """What appears and disappears between two thresholds; made by ``compare_thresholds``.

    Attributes
    ----------
    unit : str
        What a row of the frame is: ``"event"``, ``"detection"`` or as ``frame.attrs["unit"]`` says.
    score, truth : str
        The names of the columns.
    current, proposed : str
        The thresholds in few words.
    appear, disappear : pandas.DataFrame
        The rows of the frame that fire at the one proposed alone, or at the one in force alone, in the
        order of the frame and with all its columns; then what the other frames know of them: event_id,
        risk_score and risk_level_now of a detection's event, file_path of an event's detection of the
        highest score; and the thresholds of the row, ``current`` and ``proposed``.
    events : pandas.DataFrame
        Columns of ``secnb.schema.EVENT_FLIPS``: the events that lose all their detections, or get their
        first, by start. Without memberships they are known only where the rows are events; the numbers of
        their detections are then missing.
    whole, by_camera, by_hour : pandas.DataFrame
        Columns of ``secnb.schema.FLIPS``, for all rows, per ``camera_id``, and per local ``hour``:
        units that fire at either threshold, and of those that appear or disappear how many are labelled
        true and false, how many nobody has verified, and the precision of the labelled ones with its 95 %
        interval (Wilson, or Korn-Graubard with clusters or probabilities).
    summary : pandas.DataFrame
        Columns what, current, proposed, change: what fires, alerts (events that survive), true and false
        alarms among labelled units, batches, and reasoner calls; per whole local day, or counts where
        there is none (``attrs["per"]``). What is not known has no row.
    caption : tuple of str
        What the numbers rest on, and what they leave out.
    is_weighted : bool
        Whether true and false are estimates, from labels that were drawn with probabilities.
    """

    unit: str
    score: str
    truth: str
    current: str
    proposed: str
    appear: pd.DataFrame
    disappear: pd.DataFrame
    events: pd.DataFrame
    whole: pd.DataFrame
    by_camera: pd.DataFrame
    by_hour: pd.DataFrame
    summary: pd.DataFrame
    caption: tuple[str, ...]
    is_weighted: bool

    @property
    def headline(self) -> str:
        """The comparison in one sentence."""
        n = int(self.whole["n_current"].iloc[0])
        fire = "fires" if n == 1 else "fire"
        proposed = self.proposed[:1].upper() + self.proposed[1:]
        return (
            f"{proposed} instead of {self.current}: of {count(n, self.unit)} that {fire} now, "
            f"{_none(len(self.disappear))} would disappear and {_none(len(self.appear))} appear."
        )

    def __repr__(self) -> str:
        return f"<ThresholdComparison of {self.score}: {self.headline}>"

    def _repr_html_(self) -> str:
        """Show the numbers, what flips, and the true ones that would be lost; every text is escaped."""
        return render_comparison(self)


def _none(number: int) -> str:
    return thin(number) if number else "none"
