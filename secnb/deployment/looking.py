"""What there is to see of a unit under review: its picture, and what the reasoner said."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

import pandas as pd

from secnb.deployment.assembled import Deployment
from secnb.errors import SecnbError
from secnb.frames.reviewed import Recorded, read_detection_unit, read_event_unit
from secnb.view.cards import Look
from secnb.view.pictures import Picture

_PATIENCE_S: Final = 10.0


def zone_of(site: Deployment | None, frame: pd.DataFrame) -> ZoneInfo:
    """Return the time zone of the cameras: the site's, else the one that the frame came with, else UTC."""
    return ZoneInfo(str(frame.attrs.get("timezone") or "UTC") if site is None else site.timezone)


def look_at(site: Deployment | None, row: Mapping[str, Any]) -> Look:
    """Return what there is to see of a unit; what cannot be shown is said, never raised.

    Parameters
    ----------
    site : Deployment or None
        Where the unit is recorded.
    row : mapping
        One row of `secnb.frames.unitrows.read_units`.
    """
    if site is None:
        return Look(_no_picture("No picture: review(…, site=site) shows it."))
    try:
        return site.bridge.run(_look(site, row), owner=site)
    except TimeoutError:
        return Look(_no_picture(f"No picture: it did not come within {_PATIENCE_S:.0f} s."))
    except SecnbError as exc:
        return Look(_failed(exc))
    except Exception as exc:  # noqa: BLE001 - what is wrong with a picture must not stop the verdicts
        return Look(_no_picture(f"No picture: {type(exc).__name__}."))


async def _look(site: Deployment, row: Mapping[str, Any]) -> Look:
    async with asyncio.timeout(_PATIENCE_S):
        recorded = await _recorded(site, row)
        if recorded.detection_id is None:
            gone = "is in the snapshot" if site.taken_at else "is recorded any more"
            return Look(_no_picture(f"No picture: none of its detections {gone}."), recorded.said)
        try:
            picture = await site.show.aio(recorded.detection_id, embed=True)
        except SecnbError as exc:
            picture = _failed(exc)
        return Look(picture, recorded.said)


async def _recorded(site: Deployment, row: Mapping[str, Any]) -> Recorded:
    if not pd.isna(row["event_id"]):
        return await read_event_unit(site._db(), int(row["event_id"]))
    camera_id, at = row["camera_id"], row["started_at"]
    return await read_detection_unit(
        site._db(),
        int(row["detection_id"]),
        camera_id=None if pd.isna(camera_id) else camera_id,
        at=None if pd.isna(at) else at,
    )


def _failed(error: SecnbError) -> Picture:
    return _no_picture(f"No picture. {str(error).splitlines()[0]}")


def _no_picture(why: str) -> Picture:
    return Picture(title="", path="", label="", box=None, note=why)
