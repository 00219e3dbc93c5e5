"""``LabelStore``: the analyst's own verdicts, and what was drawn to be verified, in one SQLite file.

A deployment forgets its events, and the labels with them, after its retention; this file does not.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

import pandas as pd

from secnb import schema
from secnb.errors import BadInputError, ClosedError, LabelStoreError, UnknownColumnError
from secnb.frames.labelfile import LabelFile
from secnb.frames.labelrows import (
    CONTEXT,
    NEWEST,
    insert_verdicts,
    insert_wave,
    newest_verdicts,
    read_rows,
    read_verdicts,
)
from secnb.frames.notes import note
from secnb.frames.verdicts import to_rows, to_units, to_verdicts

FEEDBACK: Final = "feedback"
"""The design of verdicts that operators gave in the deployment."""


class _NotGiven:
    def __repr__(self) -> str:
        return "not given"


_NOT_GIVEN: Final = _NotGiven()


class LabelStore:
    """The analyst's verdicts in a file of their own, which outlives the deployment's retention.

    A unit is an event, else a detection, else an object that nothing recorded. Nothing is ever changed: a
    corrected verdict is a new row, and the newest one counts. When `add` returns, the verdict is on the
    disk. Several kernels, threads and forked children may use one file at once. The ids are those of one
    deployment; each deployment needs a store of its own.

    Parameters
    ----------
    path : str or path-like, default "labels.sqlite"
        The file; created where there is none, but not its folder. ``~`` is the home folder.

    Raises
    ------
    LabelStoreError
        If the path is a folder, another kind of file, a store of a newer format, or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, LabelStore(f"{folder}/labels.sqlite") as store:
    ...     _ = store.add(event_id=12, truth=True, score=0.91, camera_id="gate")
    ...     _ = store.add(event_id=12, truth=False)
    ...     store.labels()[["event_id", "truth", "score", "camera_id"]]
       event_id  truth  score camera_id
    0        12  False   0.91      gate
    """

    def __init__(self, path: str | os.PathLike[str] = "labels.sqlite") -> None:
        self.path = _read_path(path)
        self._file = LabelFile(self.path)
        self._added: list[range] = []
        self._is_closed = False

    def __repr__(self) -> str:
        return f"LabelStore({str(self.path)!r}{', closed' * self._is_closed})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the use of this object; the file stands as it is, and nothing was left open. Idempotent."""
        self._is_closed = True

    def add(
        self,
        verdicts: pd.DataFrame | pd.Series[Any] | Mapping[str, Any] | None = None,
        *,
        truth: bool | _NotGiven | None = _NOT_GIVEN,
        is_missed: bool | None = None,
        who: str | None = None,
        **fields: Any,
    ) -> int:
        """Return how many verdicts were stored, all of them or none; they are on the disk by then.

        A corrected verdict need not repeat camera, label, score and time. In a frame, rows without truth
        say nothing and are left out; that somebody looked and was unsure is a verdict of its own,
        ``truth=None``.

        Parameters
        ----------
        verdicts : DataFrame, Series or mapping, optional
            Verdicts, or one unit, in columns of ``schema.LABELS``; the rows that `secnb.label_next` drew
            fit, and so do rows of ``site.labelled_events()`` and ``site.detections()``. Other columns are
            left out.
        truth : bool or None
            True, False, or None for unsure; by default what `verdicts` says.
        is_missed : bool, optional
            Whether the deployment missed the object. An object that nothing recorded has neither event
            nor detection, but ``camera_id`` and ``started_at``.
        who : str, optional
            Who gave the verdicts; by default the login name.
        **fields
            Other columns of ``schema.LABELS``, which stand above those of `verdicts`.

        Raises
        ------
        BadInputError
            If a unit has no id, or a single one no truth; if a value is not allowed; or if the store knows
            the id with another camera or time: then it belongs to another deployment.
        UnknownColumnError
            If `fields` names other columns, or a frame has no ``truth``.
        LabelStoreError
            If the file cannot be written, or is gone; nothing of this call is stored then.
        """
        for name in fields:
            if name not in schema.LABELS:
                raise UnknownColumnError("column", name, schema.LABELS)
        fields |= {} if truth is _NOT_GIVEN else {"truth": truth}
        fields |= {
            name: value for name, value in (("is_missed", is_missed), ("who", who)) if value is not None
        }
        frame = to_verdicts(verdicts, fields)
        with self._opened(writing=True) as connection:
            added = insert_verdicts(connection, frame)
        self._added.append(added)
        return len(added)

    def add_feedback(self, feedback: pd.DataFrame, events: pd.DataFrame) -> int:
        """Return how many verdicts of operators were stored, so that they outlive the deployment's retention.

        Those that the store has already are left out, and so are events on which the analyst has a verdict
        of their own. Run it as often as you like.

        Parameters
        ----------
        feedback : DataFrame
            ``site.feedback()``.
        events : DataFrame
            ``site.labelled_events()``, which knows camera, label, score and time of each.

        Raises
        ------
        UnknownColumnError
            If a frame has no ``event_id``.
        BadInputError, LabelStoreError
            As `add`.
        """
        for frame in (feedback, events):
            if "event_id" not in frame.columns:
                raise UnknownColumnError("column", "event_id", map(str, frame.columns))
        about = events[[name for name in ("event_id", *CONTEXT) if name in events.columns]]
        about = about.dropna(subset="event_id").drop_duplicates("event_id")
        given = feedback[
            [n for n in ("event_id", "truth", "is_missed", "created_at") if n in feedback.columns]
        ]
        fresh = given.merge(about, on="event_id", how="left").rename(columns={"created_at": "verified_at"})
        frame = to_verdicts(fresh, {"design": FEEDBACK, "who": "operator"})
        with self._opened(writing=True) as connection:
            known = newest_verdicts(connection, to_units(frame))
            is_new = [
                _is_news(known.get(unit), row)
                for unit, row in zip(to_units(frame), to_rows(frame), strict=True)
            ]
            added = insert_verdicts(connection, frame[is_new])
        self._added.append(added)
        return len(added)

    def undo(self) -> pd.DataFrame:
        """Take back what the last call of `add` on this object stored, and return those verdicts.

        Called again, it takes back the call before. What other kernels stored stays. The frame has the
        columns of ``schema.LABELS``, and no rows where nothing is left to take back.
        """
        added = self._added[-1] if self._added else range(0)
        bounds = (added.start, added.stop - 1)
        with self._opened(writing=True) as connection:
            now = datetime.now(UTC).isoformat()
            connection.executemany("INSERT INTO undone VALUES (?, ?)", [(number, now) for number in added])
            frame = read_verdicts(connection, "WHERE verdict_id BETWEEN ? AND ?", bounds)
        del self._added[-1:]
        return frame[list(schema.LABELS)]

    def labels(self) -> pd.DataFrame:
        """Return one row per unit: its newest verdict, in the order in which they were given.

        Columns and dtypes of ``schema.LABELS``. ``truth`` is missing where whoever looked was unsure.
        ``probability`` is that of being labelled by now, over all waves of `secnb.label_next`; 1 where a
        unit was labelled before any draw could take it, missing where it was not drawn, or the one that
        was given to `add`.
        """
        with self._opened(writing=False) as connection:
            frame = read_verdicts(connection, f"WHERE verdict_id IN ({NEWEST})")
        return note(frame[list(schema.LABELS)], source=str(self.path))

    def history(self) -> pd.DataFrame:
        """Return one row per verdict ever given, oldest first.

        Columns of ``schema.LABELS`` after ``verdict_id``, and ``undone_at`` where it was taken back.
        """
        with self._opened(writing=False) as connection:
            frame = read_verdicts(connection)
        return note(frame, source=str(self.path))

    def draws(self) -> pd.DataFrame:
        """Return one row per unit that `secnb.label_next` drew, by wave: columns of ``schema.DRAWS``."""
        with self._opened(writing=False) as connection:
            sql = "SELECT * FROM chances JOIN waves USING (wave) ORDER BY wave, unit"
            frame = read_rows(connection, sql, schema.DRAWS)
        return note(frame[list(schema.DRAWS)], source=str(self.path))

    def chances(self) -> pd.DataFrame:
        """Return one row per unit that a draw could have taken: columns of ``schema.CHANCES``.

        ``attrs["n_waves"]`` is how often something was drawn.
        """
        with self._opened(writing=False) as connection:
            frame = read_rows(
                connection, "SELECT * FROM chances LEFT JOIN waves USING (wave)", schema.CHANCES
            )
            (n_waves,) = connection.execute("SELECT count(*) FROM waves").fetchone()
        return note(frame[list(schema.CHANCES)], source=str(self.path), n_waves=n_waves)

    def log_wave(self, units: pd.DataFrame, *, after: int, design: str, seed: int) -> None:
        """Store what a draw could have taken and what it took; `secnb.label_next` calls it.

        Parameters
        ----------
        units : DataFrame
            One row per unit: event_id or detection_id, probability (that it was drawn by now), is_drawn.
        after : int
            The number of waves that this one rests on.
        design : str
            How it was drawn.
        seed : int
            What it was drawn with.

        Raises
        ------
        LabelStoreError
            If another wave was drawn meanwhile, or the file cannot be written.
        """
        with self._opened(writing=True) as connection:
            (n_waves,) = connection.execute("SELECT count(*) FROM waves").fetchone()
            if n_waves != after:
                raise LabelStoreError(
                    f"Somebody drew from {str(self.path)!r} at the same moment; this draw was not stored.",
                    hint="draw again",
                )
            insert_wave(connection, units, wave=after + 1, design=design, seed=seed)

    @contextmanager
    def _opened(self, *, writing: bool) -> Iterator[sqlite3.Connection]:
        if self._is_closed:
            raise ClosedError(f"The label store {str(self.path)!r} was closed.", hint="open it again")
        with self._file.opened(writing=writing) as connection:
            yield connection


def _read_path(path: str | os.PathLike[str]) -> Path:
    # Path takes "" for the folder.
    if not isinstance(path, str | os.PathLike) or not str(path):
        raise BadInputError(f"path is {path!r}. Allowed: the path of a label store, there or not.")
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError as exc:
        raise BadInputError(f"path is {str(path)!r}: {exc}") from exc


def _is_news(known: Mapping[str, Any] | None, given: Mapping[str, Any]) -> bool:
    """Whether an operator's verdict is the first on its unit, or differs from the operator's last."""
    if known is None:
        return True
    is_same = all(known[name] == given[name] for name in ("truth", "is_missed"))
    return known["design"] == FEEDBACK and not is_same
