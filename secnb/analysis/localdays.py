"""Whole local days: the part of a frame's time span on which a rate per day can rest."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secnb.analysis.columns import read_column
from secnb.analysis.packing import blocks
from secnb.errors import BadInputError

TIME_COLUMNS = ("started_at", "detected_at")
"""The time of a unit; the first of these that the frame has, with aware times, is used."""

CLOCK: Final = ("local_day", "local_hour", "day_or_night")
"""Group columns that are made of the time of a unit, by the wall clock of its site."""

# Nothing says where on earth a site is, so that night goes by the clock and not by the sun.
_MORNING, _EVENING = 6, 18

_LIMITS: Final = np.iinfo(np.int64)

_LONGEST: Final = pd.Timedelta(days=3653)
"""No deployment is that old: ten years of data mean that a clock stood at 1970, or a date at 9999."""


@dataclass(frozen=True)
class Days:
    """When the units of a sweep happened, and how many whole local days that covers.

    The local days of the first and of the last time are dropped, since nothing says that they were
    recorded from midnight to midnight. A day in between without any unit is a day with 0.

    Attributes
    ----------
    column : str
        The time column.
    timezone : str
        IANA name of the zone whose days are counted.
    n_days : int
        Whole local days; 0 where the data span no whole day, or more than ten years, so that some times
        must be wrong. Then there is no rate per day.
    first_on, last_on : datetime.date or None
        First and last whole local day; None without any.
    span_s : float
        Seconds from the first to the last time.
    n_untimed : int
        Rows without a time. They fire like all others but belong to no day.
    """

    column: str
    timezone: str
    n_days: int
    first_on: dt.date | None
    last_on: dt.date | None
    span_s: float
    n_untimed: int

    @property
    def is_credible(self) -> bool:
        """Whether the times lie within ten years of each other."""
        return self.span_s <= _LONGEST.total_seconds()

    def contains(self, frame: pd.DataFrame) -> NDArray[np.bool_]:
        """Which rows of the frame fall within the whole days; those without a time do not."""
        if self.first_on is None or self.last_on is None:
            return np.zeros(len(frame), dtype=np.bool_)
        zone, times = ZoneInfo(self.timezone), _stamps(read_column(frame, self.column))
        stop = _midnight(self.last_on + dt.timedelta(days=1), zone)
        return ((times >= _midnight(self.first_on, zone)) & (times < stop)).to_numpy()

    def number(self, frame: pd.DataFrame) -> NDArray[np.int16]:
        """Return the whole day of every row, counted from 0; -1 outside of them and without a time."""
        if self.first_on is None:
            return np.full(len(frame), -1, dtype=np.int16)
        zone = ZoneInfo(self.timezone)
        begins = [_midnight(self.first_on + dt.timedelta(days=day), zone) for day in range(self.n_days + 1)]
        times = _stamps(read_column(frame, self.column))
        kind = f"datetime64[{times.dt.unit}]"
        instants = times.to_numpy(dtype=kind)
        edges = pd.DatetimeIndex(begins).tz_convert("UTC").tz_localize(None).to_numpy(kind)
        # Ten years have few days.
        days = np.empty(len(instants), dtype=np.int16)
        for rows in blocks(len(days)):
            day = np.searchsorted(edges, instants[rows], side="right") - 1
            day[(day == self.n_days) | np.isnat(instants[rows])] = -1
            days[rows] = day
        return days

    def bounds(self) -> tuple[pd.Timestamp, pd.Timestamp] | None:
        """Return when the first whole day begins and the last one ends; None without any."""
        if self.first_on is None or self.last_on is None:
            return None
        zone = ZoneInfo(self.timezone)
        return _midnight(self.first_on, zone), _midnight(self.last_on + dt.timedelta(days=1), zone)


def read_days(frame: pd.DataFrame) -> Days | None:
    """Return the days that a frame spans; None where it has no aware times."""
    times = read_times(frame)
    if times is None:
        return None
    first, last = times.min(), times.max()
    zone = read_zone(frame.attrs.get("timezone") or "UTC")
    n_days = 0
    if last - first <= _LONGEST and last.year < dt.MAXYEAR:
        start_on = first.tz_convert(zone).date() + dt.timedelta(days=1)
        stop_on = last.tz_convert(zone).date()
        n_days = max((stop_on - start_on).days, 0)
    return Days(
        column=str(times.name),
        timezone=zone.key,
        n_days=n_days,
        first_on=start_on if n_days else None,
        last_on=stop_on - dt.timedelta(days=1) if n_days else None,
        span_s=(last - first).total_seconds(),
        n_untimed=int(times.isna().sum()),
    )


def read_times(frame: pd.DataFrame) -> pd.Series | None:
    """Return the first time column that can be placed on a calendar: aware, and not all missing."""
    for name in TIME_COLUMNS:
        if name in frame.columns:
            column = _stamps(read_column(frame, name))
            if isinstance(column.dtype, pd.DatetimeTZDtype) and column.notna().any():
                return column
    return None


def extent(times: pd.Series, mask: NDArray[np.bool_]) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return the first and the last of some aware times, without a copy of them; NaT where there is none."""
    instants = times.to_numpy(dtype=f"datetime64[{times.dt.unit}]").view(np.int64)
    # A missing time is the lowest number.
    missing, first, last = _LIMITS.min, _LIMITS.max, _LIMITS.min
    for rows in blocks(len(instants)):
        some = np.where(mask[rows], instants[rows], missing)
        last = max(last, int(some.max()))
        first = min(first, int(np.where(some == missing, _LIMITS.max, some).min()))
    ends = np.array([first, last] if last > missing else [missing] * 2).view(f"datetime64[{times.dt.unit}]")
    found = pd.DatetimeIndex(ends, tz="UTC").tz_convert(times.dt.tz)
    return found[0], found[1]


def with_clock(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return the frame with those columns of ``CLOCK`` that are asked for and that it does not have."""
    made = [name for name in names if name in CLOCK and name not in frame.columns]
    return frame.assign(**{name: _read_clock(frame, name) for name in made}) if made else frame


def _read_clock(frame: pd.DataFrame, name: str) -> pd.Series:
    """Return the local day as its midnight without a zone, the hour, or whether it is day or night."""
    times = read_times(frame)
    if times is None:
        raise BadInputError(
            f"The frame has no times with a zone, so no {name}.",
            hint="frame['started_at'] = pd.to_datetime(frame['started_at'], utc=True)",
        )
    local = times.dt.tz_convert(read_zone(frame.attrs.get("timezone") or "UTC"))
    hours: pd.Series = local.dt.hour.astype("Int64")
    if name == "local_hour":
        return hours
    found: pd.Series = local.dt.tz_localize(None).dt.normalize()
    if name == "day_or_night":
        is_day = hours.between(_MORNING, _EVENING, inclusive="left")
        found = is_day.map({True: "day", False: "night"}).astype("str")
    return found


def _stamps(column: pd.Series) -> pd.Series:
    """Return aware times of Arrow as those of pandas; any other column as it is."""
    dtype = column.dtype
    if not isinstance(dtype, pd.ArrowDtype) or dtype.kind != "M" or not dtype.pyarrow_dtype.tz:
        return column
    return column.astype(pd.DatetimeTZDtype(dtype.pyarrow_dtype.unit, dtype.pyarrow_dtype.tz))


def _midnight(day: dt.date, zone: ZoneInfo) -> pd.Timestamp:
    """Return the instant at which a local day begins, also where the clock jumps at midnight."""
    return pd.Timestamp(day).tz_localize(zone, ambiguous=True, nonexistent="shift_forward")


def read_zone(name: object) -> ZoneInfo:
    """Return the time zone of that IANA name; any other name is an error."""
    try:
        return ZoneInfo(str(name))
    # A folder of the zone database, such as "America", is an OSError.
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise BadInputError(
            f"frame.attrs['timezone'] is {name!r}, which is no time zone. Allowed: IANA names.",
            hint="set frame.attrs['timezone'] = 'Europe/Berlin', say, or leave it out for UTC",
        ) from exc
