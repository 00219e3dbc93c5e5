"""What lies in the database: queries, cameras, detections, events, and the truth of a sandbox."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd
from sqlalchemy import Executable

from secnb import schema
from secnb.bridge import two_faced
from secnb.deployment.held import Held, report_rows
from secnb.errors import SettingsError
from secnb.frames.notes import mask_params, note, note_rows, warn_truncated
from secnb.frames.records import Wanted, read_cameras, read_detections, read_events, read_truth
from secnb.frames.typed import guess_frame, mask_secrets, to_columns


class RecordHelpers(Held):
    """The helpers that read the database."""

    @property
    def truth(self) -> pd.DataFrame:
        """What a sandbox knows of each detection; empty for a real deployment, whose truth nobody knows.

        Columns detection_id, is_true and object_id; an object that was never recorded has detection_id NA.
        """
        return self.bridge.run(read_truth(self._db()), owner=self)

    @two_faced
    async def sql(
        self,
        query: str | Executable,
        params: Mapping[str, Any] | None = None,
        *,
        limit: int | None = 10_000,
        timeout_s: float | None = 30.0,
    ) -> pd.DataFrame:
        """Return one row per row of a query; whatever would write is refused.

        Parameters
        ----------
        query : str or SQLAlchemy statement
            Exactly one statement. In text, ``:name`` is a parameter for the names in `params`.
        params : mapping, optional
            Values by name; a list expands, for ``IN :names``.
        limit : int, optional
            Row cap; a `TruncatedWarning` says how many rows there are. None for no cap.
        timeout_s : float, optional
            Seconds until the query is stopped.

        Returns
        -------
        DataFrame
            Whole numbers as Int64, times (columns that end in ``_at``) as UTC, the rest as it is. Columns
            that hold secrets are masked.

        Raises
        ------
        ReadOnlyError
            If the statement would change anything.
        QueryError
            If the database rejects it.
        QueryTimeoutError
            If it takes longer than `timeout_s`.
        """
        reader = self._db()
        rows = await reader.fetch(query, params, limit=limit, timeout_s=timeout_s)
        frame = guess_frame(mask_secrets(to_columns(rows.columns, rows.rows)))
        if rows.is_truncated:
            warn_truncated(len(frame), rows.total, what="rows", hint="limit=None shows all.")
        return note_rows(frame, rows, query=str(query), params=mask_params(params))

    @two_faced
    async def cameras(self, *, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return one row per camera, sorted by id; columns of `secnb.schema.CAMERAS`, then others."""
        return await read_cameras(self._db(), columns=columns)

    @two_faced
    async def detections(
        self,
        *,
        camera_id: str | Iterable[str] | None = None,
        object_type: str | Iterable[str] | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        limit: int | None = None,
        columns: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Return one row per recorded detection, sorted by time, then id.

        What the detector scored below the threshold then in force was never recorded.

        Parameters
        ----------
        camera_id, object_type : str or iterable of str, optional
            Only these.
        since, until : datetime or str, optional
            ``since <= detected_at < until``; aware, or taken as UTC.
        limit : int, optional
            At most so many, the newest; with a `TruncatedWarning`. None for all.
        columns : sequence of str, optional
            Only these, in this order.

        Returns
        -------
        DataFrame
            Columns of `secnb.schema.DETECTIONS`, then whatever else the deployment has.

        Raises
        ------
        UnknownCameraError, UnknownColumnError
            With the near matches.
        """
        wanted = Wanted(camera_id, object_type, since, until, limit, columns)
        frame = await read_detections(self._db(), wanted, on_page=report_rows)
        return note(frame, timezone=self.timezone)

    @two_faced
    async def events(
        self,
        *,
        camera_id: str | Iterable[str] | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        limit: int | None = None,
        columns: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Return one row per event, sorted by start, then id.

        Parameters
        ----------
        camera_id : str or iterable of str, optional
            Only these.
        since, until : datetime or str, optional
            ``since <= started_at < until``; aware, or taken as UTC.
        limit : int, optional
            At most so many, the newest; with a `TruncatedWarning`. None for all.
        columns : sequence of str, optional
            Only these, in this order.

        Returns
        -------
        DataFrame
            Columns of `secnb.schema.EVENTS`, then whatever else the deployment has. ``risk_level`` is as
            stored, ``risk_level_now`` follows from the score and the cuts in force (``attrs["risk_cuts"]``,
            inclusive). An analysis that failed has ``is_failed``; its score of 50 is none.

        Raises
        ------
        UnknownCameraError, UnknownColumnError
            With the near matches.
        """
        wanted = Wanted(camera_id, None, since, until, limit, columns)
        frame = await read_events(self._db(), wanted, cuts=self._cuts(), on_page=report_rows)
        return note(frame, timezone=self.timezone)

    def _cuts(self) -> tuple[int, int, int]:
        names = ("severity_low_max", "severity_medium_max", "severity_high_max")
        found = [self._sources.value(name) for name in names]
        low, medium, high = (
            default if value is None else int(value)
            for value, default in zip(found, schema.RISK_CUTS, strict=True)
        )
        if not low < medium < high:
            raise SettingsError(
                f"The risk cuts in force are {low}, {medium} and {high}; they must rise.",
                hint="site.settings() shows where they come from.",
            )
        return low, medium, high
