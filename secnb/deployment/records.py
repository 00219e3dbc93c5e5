"""What lies in the database: queries, records, and the truth of a sandbox."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd
from sqlalchemy import Executable

from secnb import schema
from secnb.bridge import two_faced
from secnb.deployment.held import Held, report_rows
from secnb.errors import DegradedWarning
from secnb.frames.events import read_events
from secnb.frames.gpu import read_gpu_stats
from secnb.frames.memberships import read_memberships
from secnb.frames.notes import note
from secnb.frames.paging import read_query
from secnb.frames.records import read_cameras, read_detections, read_truth
from secnb.frames.wanted import Wanted


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
            that hold secrets are masked by the name that they have in the result: under an alias they are
            shown. Times before the year 1 and after 9999 are missing, and counted in
            ``attrs["unreadable"]``; a lone surrogate in text is its escape. Rows become columns as they
            come, so that a large result takes little more memory than its frame. More than 10,000 rows
            are read anew by a process of their own, several times as fast, and come as Arrow (extra
            ``bulk``): ``attrs["path"]`` is then "arrow", else "rows", and ``attrs["why_rows"]`` says why
            a large result did not come so. That process has an SQLite of its own version, and versions
            differ in the last digits of sums of floats and of floats that the query makes text.

        Raises
        ------
        ReadOnlyError
            If the statement would change anything.
        QueryError
            If the database rejects it.
        QueryTimeoutError
            If it takes longer than `timeout_s`.
        """
        return await read_query(
            self._db(), query, params, limit=limit, timeout_s=timeout_s, on_page=report_rows
        )

    @two_faced
    async def cameras(self, *, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return one row per camera, sorted by id; columns of `secnb.schema.CAMERAS`, then others.

        Cameras that are marked as deleted are left out; what they recorded is not.

        Columns that hold secrets are masked unless they are asked for by name. In every other column but
        camera_id the secrets in URLs, JSON and text are masked; `sql` shows what is stored.
        """
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
            Columns of `secnb.schema.EVENTS`, then whatever else the deployment has. Events that are marked
            as deleted are left out. ``risk_level`` is as stored, ``risk_level_now`` follows from the score
            and the cuts in force (``attrs["risk_cuts"]``, inclusive). ``is_failed`` says that the analysis
            failed: the score is then 50 with the fallback's text, which is no score, or it is missing and
            the ``verdict`` (the verifier's newest one, where there is a verifier) says so. It is NA where
            nothing that would tell is stored. ``n_detections`` is that of `memberships`.

        Raises
        ------
        UnknownCameraError, UnknownColumnError
            With the near matches.
        """
        wanted = Wanted(camera_id, None, since, until, limit, columns)
        frame = await read_events(self._db(), wanted, cuts=self._cuts(), on_page=report_rows)
        return note(frame, timezone=self.timezone)

    @two_faced
    async def memberships(
        self,
        *,
        camera_id: str | Iterable[str] | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
    ) -> pd.DataFrame:
        """Return one row per event and detection that it was made of, sorted by event, then detection.

        They come from the table of pairs that the later generations have, and for events without any pair
        there from the ids beside the event (JSON, as strings or as integers, or with commas between). A
        pair that is named twice comes once. An id whose detection the retention has deleted stays where
        the event names it, so that the size of a batch is what it was; ``merge(site.detections())`` leaves
        such ids out.

        Parameters
        ----------
        camera_id : str or iterable of str, optional
            Only events of these.
        since, until : datetime or str, optional
            Only events with ``since <= started_at < until``; aware, or taken as UTC.

        Returns
        -------
        DataFrame
            Columns event_id and detection_id, Int64. ``attrs["unreadable"]`` counts the events whose text
            holds something besides ids.

        Raises
        ------
        UnknownCameraError
            With the near matches.
        """
        wanted = Wanted(camera_id, None, since, until)
        return await read_memberships(self._db(), wanted, on_page=report_rows)

    @two_faced
    async def gpu_stats(
        self,
        *,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        limit: int | None = None,
        columns: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Return one row per sample of the accelerator, sorted by time, then id; empty where none are kept.

        Parameters
        ----------
        since, until : datetime or str, optional
            ``since <= recorded_at < until``; aware, or taken as UTC.
        limit : int, optional
            At most so many, the newest; with a `TruncatedWarning`. None for all.
        columns : sequence of str, optional
            Only these, in this order.

        Returns
        -------
        DataFrame
            Columns of `secnb.schema.GPU_STATS`, then whatever else the deployment has. Utilization is in
            percent, temperature in degrees Celsius. Memory is in bytes: some versions store bytes, others
            megabytes (of 2**20), and which is told by the size of the accelerator's memory, for each
            sample. ``attrs["stored_memory_units"]`` counts the samples of either.

        Raises
        ------
        UnknownColumnError
            With the near matches.
        """
        wanted = Wanted(None, None, since, until, limit, columns)
        frame = await read_gpu_stats(self._db(), wanted, on_page=report_rows)
        return note(frame, timezone=self.timezone)

    def _cuts(self) -> tuple[int, int, int] | None:
        names = ("severity_low_max", "severity_medium_max", "severity_high_max")
        found = [self._sources.value(name) for name in names]
        low, medium, high = (
            default if value is None else int(value)
            for value, default in zip(found, schema.RISK_CUTS, strict=True)
        )
        if not low < medium < high:
            # The deployment may still run with the cuts that it was started with; its events are wanted now.
            problem = DegradedWarning(
                f"risk_level_now is missing: the risk cuts in force are {low}, {medium} and {high}; they "
                "must rise. Hint: site.settings() shows where they come from."
            )
            warnings.warn(problem, stacklevel=2)
            return None
        return low, medium, high
