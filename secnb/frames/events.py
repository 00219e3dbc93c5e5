"""Events, and what follows from them: the level of now, the newest verdict, whether the analysis failed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from secnb import schema
from secnb.core.reader import DatabaseReader
from secnb.frames.memberships import count_members, id_range
from secnb.frames.notes import note
from secnb.frames.records import EVENTS, read_table
from secnb.frames.typed import to_columns, to_frame
from secnb.frames.wanted import Wanted

_VERIFICATIONS: Final = "event_verifications"
# How a failed analysis of the first generations is known, by the column that tells it.
_FALLBACKS: Final[Mapping[str, str]] = {
    "summary": "summary = :summary",
    "reasoning": f"substr(reasoning, 1, {len(schema.FAILED_REASONING)}) = :reasoning",
}


async def read_events(
    reader: DatabaseReader,
    wanted: Wanted,
    *,
    cuts: tuple[int, int, int] | None = schema.RISK_CUTS,
    on_page: Callable[[int], None] = lambda _: None,
) -> pd.DataFrame:
    """Return one row per event, sorted by start, then id; without `cuts`, ``risk_level_now`` is missing."""

    async def derive(frame: pd.DataFrame, chosen: Sequence[str], stored: Mapping[str, str]) -> None:
        if "risk_level_now" in chosen:
            unknown = pd.Series(None, index=frame.index, dtype="str")
            frame["risk_level_now"] = levels(frame["risk_score"], cuts) if cuts else unknown
        if "n_detections" in chosen:
            frame["n_detections"] = await count_members(reader, frame)
        if not {"verdict", "is_failed"}.isdisjoint(chosen):
            frame["verdict"] = await _verdicts(reader, frame["event_id"])
        if "is_failed" in chosen:
            frame["is_failed"] = await _failures(reader, frame, stored)

    frame = await read_table(reader, EVENTS, wanted, derive=derive, on_page=on_page)
    return note(frame, risk_cuts=cuts)


def levels(scores: pd.Series[Any], cuts: tuple[int, int, int]) -> pd.Series[Any]:
    """Return the risk level of each score; a score at a cut still has the lower level, a missing one none.

    Examples
    --------
    >>> levels(pd.Series([29, 30, None], dtype="Int64"), (29, 59, 84)).tolist()
    ['low', 'medium', nan]
    """
    codes = np.searchsorted(cuts, scores.to_numpy(dtype=np.float64, na_value=np.nan), side="left")
    known = np.where(scores.isna(), -1, codes).astype(np.int8)
    found = pd.Categorical.from_codes(known, categories=pd.Index(schema.RISK_LEVELS))
    return pd.Series(found, index=scores.index).astype("str")


async def _verdicts(reader: DatabaseReader, event_ids: pd.Series[Any]) -> pd.Series[Any]:
    """Return the verifier's newest verdict on each event; missing where it gave none, or there is none."""
    columns = await reader.fetch_columns(_VERIFICATIONS)
    newest: dict[Any, Any] = {}
    if {"event_id", "verdict"} <= set(columns) and len(event_ids):
        order = ", ".join(f"{name} DESC NULLS LAST" for name in ("created_at", "id") if name in columns)
        rows = await reader.fetch(
            "SELECT event_id, verdict FROM (SELECT event_id, verdict, row_number() OVER "  # noqa: S608
            f"(PARTITION BY event_id ORDER BY {order or 'verdict'}) AS nth FROM {_VERIFICATIONS} "
            "WHERE event_id BETWEEN :first AND :last) AS ranked WHERE nth = 1",
            id_range(event_ids),
            timeout_s=None,
        )
        newest = {row[0]: row[1] for row in rows.rows}
    found = [newest.get(each) for each in event_ids.tolist()]
    return to_frame({"verdict": found}, {"verdict": "str"})["verdict"]


async def _failures(reader: DatabaseReader, frame: pd.DataFrame, stored: Collection[str]) -> pd.Series[Any]:
    """Return whether each analysis failed; NA where nothing that would tell it is stored."""
    failed = frame["risk_score"].isna() & frame["verdict"].eq(schema.FAILED_VERDICT).fillna(False)
    told_by = [name for name in _FALLBACKS if name in stored and "risk_score" in stored]
    if told_by and len(frame):
        words = {"summary": schema.FAILED_SUMMARY, "reasoning": schema.FAILED_REASONING}
        rows = await reader.fetch(
            "SELECT id AS event_id FROM events WHERE risk_score = 50 AND id BETWEEN :first AND :last "  # noqa: S608
            f"AND ({' OR '.join(_FALLBACKS[name] for name in told_by)})",
            {**id_range(frame["event_id"]), **{name: words[name] for name in told_by}},
            timeout_s=None,
        )
        fallbacks = to_columns(rows.columns, rows.rows)["event_id"]
        failed |= frame["event_id"].isin(list(fallbacks))
    is_known = bool(told_by) or bool(await reader.fetch_columns(_VERIFICATIONS))
    known = failed.astype("boolean")
    return known if is_known else known.mask(~known)
