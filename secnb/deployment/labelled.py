"""What is known of the truth: operators' feedback, and events with it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime

import pandas as pd

from secnb.bridge import two_faced
from secnb.deployment.held import Held, report_rows
from secnb.errors import BadInputError
from secnb.frames.feedback import read_feedback
from secnb.frames.labelled import read_labelled_events
from secnb.frames.labels import LabelStore
from secnb.frames.notes import note
from secnb.frames.wanted import Wanted


class LabelHelpers(Held):
    """The helpers that read verdicts."""

    @two_faced
    async def feedback(
        self,
        *,
        camera_id: str | Iterable[str] | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        limit: int | None = None,
        columns: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Return one row per verdict that an operator gave on an event, sorted by its time, then id.

        The first generation has no table of them: the frame is then empty, and
        ``attrs["missing_tables"]`` says so. Operators judge what they are shown, so these are no random
        sample. Feedback dies with its event; a `LabelStore` does not.

        Parameters
        ----------
        camera_id : str or iterable of str, optional
            Only on events of these.
        since, until : datetime or str, optional
            ``since <= created_at < until``; aware, or taken as UTC.
        limit : int, optional
            At most so many, the newest; with a `TruncatedWarning`. None for all.
        columns : sequence of str, optional
            Only these, in this order.

        Returns
        -------
        DataFrame
            Columns of `secnb.schema.FEEDBACK`, then whatever else the deployment has. ``feedback_type`` is
            as stored. ``truth`` is True for accurate, correct, missed_threat, missed_detection,
            severity_wrong and wrong_severity, False for false_positive, and NA for what is none of these
            (``attrs["unknown_types"]`` counts them). ``is_missed`` marks missed_threat and
            missed_detection. Feedback on events that are marked as deleted is left out.

        Raises
        ------
        UnknownCameraError, UnknownColumnError
            With the near matches.
        """
        wanted = Wanted(camera_id, None, since, until, limit, columns)
        frame = await read_feedback(self._db(), wanted, on_page=report_rows)
        return note(frame, timezone=self.timezone)

    @two_faced
    async def labelled_events(
        self,
        *,
        labels: LabelStore | None = None,
        camera_id: str | Iterable[str] | None = None,
        object_type: str | Iterable[str] | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        limit: int | None = None,
        columns: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Return one row per scored event, verified or not, sorted by start, then id; ready for `sweep`.

        An event is scored by the highest confidence of its detections, so it survives a threshold exactly
        if one of them does; ``risk_score`` is the reasoner's. The truth comes from the store's newest
        verdict, else from the operators' newest feedback, else it is NA. The store's "unsure" counts as a
        verdict: it leaves the truth NA whatever the feedback says.

        Parameters
        ----------
        labels : LabelStore, optional
            The analyst's own verdicts, of this deployment. Those on events that the retention has deleted,
            and on objects that nothing recorded, are rows too, as the store has them. Verdicts on single
            detections say nothing about an event; ``attrs["n_detection_labels"]`` counts them.
        camera_id, object_type : str or iterable of str, optional
            Only these; the label is that of the detection with the highest confidence.
        since, until : datetime or str, optional
            ``since <= started_at < until``; aware, or taken as UTC.
        limit : int, optional
            At most so many, the newest; with a `TruncatedWarning`. None for all.
        columns : sequence of str, optional
            Only these, in this order.

        Returns
        -------
        DataFrame
            Columns of `secnb.schema.LABELLED_EVENTS`. Of equally confident detections the first counts. The
            score is NA where no detection of the event is there any more, or none has a confidence.
            ``is_missed`` marks what was reported as missed: a true event for ``risk_score``, a miss for the
            detector (``sweep(..., missed="is_missed")``). ``verified_probability`` is the chance with which
            the store's design drew the event; NA for feedback, which nobody drew.
            Left out are events that are marked as deleted, analyses that failed (``attrs["n_failed"]``;
            None where that is not known of all) and events with neither score nor verdict
            (``attrs["n_unscored"]``). ``attrs["n_gone"]`` counts the rows that only the store has.

        Raises
        ------
        UnknownCameraError, UnknownColumnError
            With the near matches.
        BadInputError
            If `labels` is no store, or that of another deployment: it knows an event with another camera
            or time.
        """
        wanted = Wanted(camera_id, object_type, since, until, limit, columns)
        if not isinstance(labels, LabelStore | None):
            hint = "secnb.LabelStore(path)"
            raise BadInputError(f"labels is {labels!r}. Allowed: a LabelStore.", hint=hint)
        verdicts = None if labels is None else await asyncio.to_thread(labels.labels)
        frame = await read_labelled_events(self._db(), wanted, labels=verdicts, on_page=report_rows)
        return note(frame, timezone=self.timezone)
