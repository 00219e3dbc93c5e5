"""What flips, with what the other frames know of it: its event, its risk, its verdict, its picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secnb import schema
from secnb.analysis.arrivals import read_times
from secnb.analysis.columns import read_column
from secnb.analysis.flips_members import Members, lookup, read_ids, taken, typed
from secnb.analysis.flips_tables import Mask, Rows

_RISK: Final = ("risk_score", "risk_level_now")
_ALLOWED: Final = {schema.TIME: "times", "Int64": "whole numbers below 2**63", "float64": "numbers"}
_COUNTS: Final = ("n_current", "n_proposed", "n_missing")


@dataclass(frozen=True, eq=False)
class Joined:
    """The frames of a comparison.

    Attributes
    ----------
    is_event : bool
        Whether the rows that are compared are events; else they are detections.
    units : Rows
        The rows that are compared.
    detections : Rows or None
        The detections, where they are given.
    known : pandas.DataFrame or None
        The events, where they are given.
    members : Members or None
        Which detections the events have, where that is given.
    """

    is_event: bool
    units: Rows
    detections: Rows | None
    known: pd.DataFrame | None
    members: Members | None

    @classmethod
    def of(
        cls,
        units: Rows,
        *,
        is_event: bool,
        events: pd.DataFrame | None,
        detections: Rows | None,
        memberships: pd.DataFrame | None,
    ) -> Joined:
        """Return it for the frames given; detections may name their event themselves."""
        parts = detections if is_event else units
        known = units.frame if is_event and "event_id" in units.frame.columns else events
        if memberships is None and parts is not None:
            has_pairs = {"event_id", "detection_id"} <= set(parts.frame.columns)
            memberships = parts.frame if has_pairs else None
        members = None if memberships is None or parts is None else Members.of(memberships, parts)
        return cls(is_event, units, parts, known, members)

    def flipped(self, mask: Mask) -> pd.DataFrame:
        """Return some of the units with what the other frames know of them, and their thresholds."""
        places = np.flatnonzero(mask)
        found = self.units.frame.iloc[places]
        more: dict[str, Any] = {}
        if self.members is not None:
            more = self._picture(found) if self.is_event else self._event(self.members.event_of_row[places])
        for name in ("current", "proposed"):
            more[name] = np.broadcast_to(getattr(self.units, name), len(mask))[places]
        return found.assign(**{name: value for name, value in more.items() if name not in found.columns})

    def _picture(self, events: pd.DataFrame) -> dict[str, Any]:
        """Return the picture of each event's detection of the highest score."""
        members = self.members
        if members is None or "event_id" not in events or "file_path" not in members.detections.frame:
            return {}
        ids = read_ids(read_column(events, "event_id"))
        event = lookup(pd.Series(members.event_id), ids)
        return {"file_path": taken(read_column(members.detections.frame, "file_path"), members.top(event))}

    def _event(self, event: NDArray[np.int64]) -> dict[str, Any]:
        """Return the id and the risk of events by their position; missing where that is -1."""
        if self.members is None:
            return {}
        found: dict[str, Any] = {
            "event_id": taken(pd.Series(pd.array(self.members.event_id, dtype="Int64")), event)
        }
        if self.known is not None:
            row = np.append(self._row_known, -1)[event]
            found |= {name: taken(self.known[name], row) for name in _RISK if name in self.known.columns}
        return found

    @property
    def _row_known(self) -> NDArray[np.int64]:
        """The row of each of the members' events in the frame of events; -1 where it has none."""
        if self.known is None or self.members is None:
            return np.empty(0, dtype=np.int64)
        return lookup(read_column(self.known, "event_id"), self.members.event_id)

    def events(self) -> pd.DataFrame:
        """Return events that lose all detections or get their first: ``schema.EVENT_FLIPS``."""
        found = self._of_units() if self.members is None else self._of_members(self.members)
        # What nobody knows is a column all the same.
        found = found.reindex(columns=list(schema.EVENT_FLIPS))
        for name, dtype in schema.EVENT_FLIPS.items():
            column = found[name]
            if dtype == schema.TIME and column.isna().all():
                column = pd.Series(pd.NaT, index=found.index, name=name)
            if pd.api.types.is_datetime64_dtype(column.dtype):
                # As everywhere, a time without a zone is UTC.
                column = column.dt.tz_localize("UTC")
            found[name] = typed(column, dtype, allowed=_ALLOWED.get(dtype, dtype))
        return found.sort_values(["started_at", "event_id"], kind="stable", ignore_index=True)

    def _of_units(self) -> pd.DataFrame:
        """Return the events among the rows compared, which flip as their highest score does."""
        if not self.is_event or "event_id" not in self.units.frame.columns:
            return pd.DataFrame({"event_id": pd.array([], dtype="Int64")})
        flips = (("appears", self.units.appears), ("disappears", self.units.disappears))
        parts = [self.units.frame.loc[mask].assign(change=change) for change, mask in flips]
        renamed = {self.units.score: "score", self.units.truth: "truth"}
        # An index may have the name of a column, which could not be sorted by then.
        found = pd.concat(parts).reset_index(drop=True).rename(columns=renamed)
        return found[[name for name in schema.EVENT_FLIPS if name in found.columns]]

    def _of_members(self, members: Members) -> pd.DataFrame:
        """Return the events whose detections say that they flip."""
        flips, row_known = members.appears | members.disappears, self._row_known
        if self.is_event:
            flips &= row_known >= 0
        event = np.flatnonzero(flips)
        top, frame = members.top(event), members.detections.frame
        columns: dict[str, Any] = {
            "event_id": members.event_id[event],
            "change": np.where(members.appears[event], "appears", "disappears"),
            "started_at": pd.DatetimeIndex(self.started_us[event].view("datetime64[us]")).tz_localize("UTC"),
            "score": members.detections.scores[top],
            "truth": members.truth[event],
            **{name: getattr(members, name)[event] for name in _COUNTS},
        }
        for name in ("camera_id", "file_path"):
            if name in frame.columns:
                columns[name] = taken(frame[name], top)
        # A verdict is on the event.
        names = {"risk_score": "risk_score", "truth": self.units.truth if self.is_event else "truth"}
        for name, own in names.items():
            if self.known is not None and own in self.known.columns:
                columns[name] = taken(self.known[own], row_known[event])
        return pd.DataFrame(columns)

    @property
    def started_us(self) -> NDArray[np.int64]:
        """When each of the members' events began: the microsecond of its first detection."""
        if self.members is None:
            return np.empty(0, dtype=np.int64)
        frame = self.members.detections.frame
        if "detected_at" not in frame.columns:
            return np.full(len(self.members.event_id), np.iinfo(np.int64).min)
        return self.members.started_us(read_times(read_column(frame, "detected_at")))
