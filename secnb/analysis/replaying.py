"""What batches would have been: ``replay_batches`` and what it returns."""

from __future__ import annotations

import contextlib
from functools import cached_property
from numbers import Number
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secnb import schema
from secnb.analysis.arrivals import SECOND, Arrivals, FastPath, read_arrivals, read_times, to_us
from secnb.analysis.localdays import Days, read_days
from secnb.analysis.splitting import REASONS, Settings, Split, Splitter
from secnb.bridge import Progress
from secnb.errors import BadInputError


def replay_batches(
    detections: pd.DataFrame,
    *,
    window_s: float = 90,
    idle_s: float = 30,
    tick_s: float | None = None,
    phase_s: float | Literal["bounds"] = 0,
    max_detections: int | None = None,
    fast_path: FastPath | None = None,
    until: pd.Timestamp | str | None = None,
) -> BatchReplay:
    """Batches that these settings would have made of recorded detections, by the aggregator's own rules.

    A camera's detection joins its open batch, whatever the age of that batch. A batch closes at the first
    tick at which ``window_s`` have passed since its first detection or, else, ``idle_s`` since its last;
    both limits are reached at equality, and a tick at the instant of a detection comes first. Detections
    of equal time are added in the order of their ids. Only recorded detections can be replayed: what the
    detector dropped joined no batch either. Rows without camera or time are left out and counted.

    Parameters
    ----------
    detections : pandas.DataFrame
        Columns camera_id and detected_at (naive times are UTC); detection_id orders equal times;
        confidence and object_type are needed for `fast_path`. It is not changed.
    window_s, idle_s : float
        Seconds, above 0.
    tick_s : float, optional
        How often the limits are looked at: 10 in the first generation, 5 later. None closes a batch at the
        instant at which a limit is reached.
    phase_s : float or "bounds"
        Ticks come at ``phase_s + k * tick_s`` in Unix seconds, one phase for all cameras. Nothing in a
        database shows the phase, and a real loop drifts: ``"bounds"`` tries twenty equally spaced phases,
        and ``.summary`` gets ``_low`` and ``_high``; ``.batches`` is that of phase 0.
    max_detections : int, optional
        A batch that holds so many is closed by the next detection, which opens another. None: no limit.
    fast_path : (float, iterable of str), optional
        Detections of these types with at least this confidence are analysed alone at once. They neither
        join nor open a batch, and are counted in ``.summary``.
    until : datetime or str, optional
        Look as of this instant (naive: UTC): later detections have not come, and batches that were not
        closed by then have the reason "open". None lets every batch run to its close.

    Returns
    -------
    BatchReplay

    Raises
    ------
    UnknownColumnError
        The frame lacks a column.
    BadInputError
        An argument has a value that is not allowed.

    Examples
    --------
    >>> at = pd.to_datetime([0, 10, 25, 54, 60, 89, 95, 200], unit="s", utc=True)
    >>> replay = replay_batches(pd.DataFrame({"camera_id": "porch", "detected_at": at}))
    >>> replay.batches[["n_detections", "wait_s", "reason"]]
       n_detections  wait_s  reason
    0             6    90.0  window
    1             1    30.0    idle
    2             1    30.0    idle
    """
    moment = _moment(until)
    arrivals = read_arrivals(detections, fast_path=fast_path, until=moment)
    settings = Settings(window_s, idle_s, tick_s, phase_s, max_detections)
    splitter = Splitter(arrivals)
    splits: list[Split] = []
    phases, note = settings.limits(), [""]
    with Progress("replay_batches", note) as progress:
        for limits in phases:
            splits.append(splitter.split(limits))
            note[0] = f"{len(splits)} of {len(phases)} phases"
            progress.tick()
    until_us = None if moment is None else to_us(moment)
    return BatchReplay(settings, arrivals, splits, until_us, detections.copy(deep=False))


def _moment(until: object) -> pd.Timestamp | None:
    if until is None:
        return None
    try:
        moment = pd.Timestamp(until)  # type: ignore[arg-type]
        if pd.isna(moment) or isinstance(until, Number):
            raise ValueError("no time")
    except (ValueError, TypeError) as exc:
        raise BadInputError(
            f"until is {until!r}. Allowed: a datetime, or ISO 8601 text.",
            hint="for example '2026-01-15 08:00'.",
        ) from exc
    return moment


class BatchReplay:
    """The batches of a replay; made by ``replay_batches``.

    Attributes
    ----------
    batches : DataFrame
        See there.
    summary : DataFrame
        See there.
    """

    def __init__(
        self,
        settings: Settings,
        arrivals: Arrivals,
        splits: list[Split],
        until_us: int | None,
        detections: pd.DataFrame,
    ) -> None:
        self._settings = settings
        self._arrivals = arrivals
        self._splits = splits
        self._until_us = until_us
        self._detections = detections

    @property
    def batches(self) -> pd.DataFrame:
        """One row per batch, by camera, then time.

        Columns camera_id, started_at and last_at (first and last detection), closed_at, reason ("window",
        "idle", "size" or "open"), n_detections, wait_s (first detection to close). While it is open,
        closed_at is NaT and wait_s is NaN.
        """
        split, arrivals = self._splits[0], self._arrivals
        is_open = self._is_open(split)
        reason = pd.array([*REASONS, "open"], dtype="str").take(np.where(is_open, len(REASONS), split.reason))
        opened, last = self._ends(split)
        names = pd.array(arrivals.cameras, dtype="str").take(arrivals.camera_of(split.start))
        frame = pd.DataFrame(
            {
                "camera_id": names,
                "started_at": _times(opened),
                "last_at": _times(last),
                "closed_at": _times(np.where(is_open, np.iinfo(np.int64).min, split.closed_us)),
                "reason": reason,
                "n_detections": split.stop - split.start,
                "wait_s": np.where(is_open, np.nan, (split.closed_us - opened) / SECOND),
            }
        ).astype(dict(schema.BATCHES))
        frame.attrs = {
            "settings": self._described(),
            "timezone": self._days.timezone if self._days else "UTC",
        }
        return frame

    @property
    def members(self) -> pd.DataFrame:
        """One row per detection in a batch: detection_id (or its position in the frame) and batch.

        ``batch`` is the position in ``.batches``. Detections of the fast path are in none.
        """
        split, rows = self._splits[0], self._arrivals.row
        batch = np.repeat(np.arange(len(split.start)), split.stop - split.start)
        ids: Any = rows
        if "detection_id" in self._detections.columns:
            ids = self._detections["detection_id"].to_numpy()[rows]
        # Ids that are no whole numbers stay as they are.
        with contextlib.suppress(ValueError, TypeError, OverflowError):
            ids = pd.array(ids, dtype="Int64")
        return pd.DataFrame({"detection_id": ids, "batch": batch})

    @property
    def summary(self) -> pd.DataFrame:
        """One row: the settings, and what they made.

        Columns window_s, idle_s, tick_s, phase_s, max_detections; n_detections (in batches), n_fast_path,
        n_left_out, n_batches and of these n_window, n_idle, n_size and n_open; calls (closed batches and
        the fast path: what the reasoner is asked), calls_per_day over the whole local days (NaN without
        one); size_median, size_p95, size_max; wait_median_s, wait_p95_s. With ``phase_s="bounds"``, those
        that a phase changes have columns ``_low`` and ``_high`` beside that of phase 0.
        """
        rows = [self._counts(split) for split in self._splits]
        settings = self._described()
        row: dict[str, object] = {**settings, **self._fixed(), **rows[0]}
        if self._settings.phase_s == "bounds":
            for name in rows[0]:
                found = [each[name] for each in rows]
                row |= {f"{name}_low": min(found), f"{name}_high": max(found)}
        frame = pd.DataFrame([row])
        frame.attrs = {"timezone": self._days.timezone if self._days else "UTC"}
        return frame

    @cached_property
    def _days(self) -> Days | None:
        detections = self._detections
        if self._until_us is not None:
            # Days that have not come are no days without calls.
            detections = detections[read_times(detections["detected_at"]) < self._until_us]
        return read_days(detections)

    def __repr__(self) -> str:
        split, settings = self._splits[0], self._settings
        return (
            f"<BatchReplay: {len(self._arrivals.at_us):,} detections in {len(split.start):,} batches, "
            f"window {settings.window_s:g} s, idle {settings.idle_s:g} s>"
        )

    def _repr_html_(self) -> str:
        row = self.summary.iloc[0].to_dict()
        is_bounded = self._settings.phase_s == "bounds"
        columns = {"": "", **({"low": "_low", "high": "_high"} if is_bounded else {})}
        shown = {
            title: {
                name: _as_text(row.get(f"{name}{end}", ""))
                for name in map(str, row)
                if not name.endswith(("_low", "_high"))
            }
            for title, end in columns.items()
        }
        return str(pd.DataFrame(shown).to_html())

    def _described(self) -> dict[str, object]:
        names = ("window_s", "idle_s", "tick_s", "phase_s", "max_detections")
        return {name: getattr(self._settings, name) for name in names}

    def _fixed(self) -> dict[str, int]:
        arrivals = self._arrivals
        return {
            "n_detections": len(arrivals.at_us),
            "n_fast_path": len(arrivals.fast_us),
            "n_left_out": arrivals.n_left_out,
        }

    def _is_open(self, split: Split) -> NDArray[np.bool_]:
        if self._until_us is None:
            return np.zeros(len(split.start), dtype=bool)
        return split.closed_us > self._until_us

    def _ends(self, split: Split) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        at = self._arrivals.at_us
        return at[split.start], at[split.stop - 1]

    def _counts(self, split: Split) -> dict[str, float]:
        is_open = self._is_open(split)
        opened, _ = self._ends(split)
        sizes = split.stop - split.start
        waits = ((split.closed_us - opened) / SECOND)[~is_open]
        calls = np.concatenate([split.closed_us[~is_open], self._arrivals.fast_us])
        reasons = np.bincount(split.reason[~is_open], minlength=len(REASONS))
        return {
            "n_batches": len(sizes),
            **{f"n_{name}": int(n) for name, n in zip(REASONS, reasons, strict=True)},
            "n_open": int(is_open.sum()),
            "calls": len(calls),
            "calls_per_day": per_day(calls, self._days),
            **{f"size_{name}": value for name, value in middle(sizes).items()},
            "size_max": float(sizes.max()) if len(sizes) else np.nan,
            **{f"wait_{name}_s": value for name, value in middle(waits).items()},
        }


def per_day(at_us: NDArray[np.int64], days: Days | None) -> float:
    """Return how many of these instants there are per whole local day; NaN where no day is whole."""
    bounds = None if days is None else days.bounds()
    if days is None or bounds is None:
        return float("nan")
    start_us, stop_us = map(to_us, bounds)
    return float(((at_us >= start_us) & (at_us < stop_us)).sum() / days.n_days)


def middle(values: NDArray[np.float64] | NDArray[np.int64]) -> dict[str, float]:
    """Return the median and the 95th percentile; NaN of nothing."""
    if not len(values):
        return {"median": float("nan"), "p95": float("nan")}
    median, high = np.quantile(values, (0.5, 0.95))
    return {"median": float(median), "p95": float(high)}


def _as_text(value: object) -> str:
    return f"{value:,.6g}" if isinstance(value, Number) else "none" if value is None else str(value)


def _times(at_us: NDArray[np.int64]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(at_us.view("datetime64[us]")).tz_localize("UTC")
