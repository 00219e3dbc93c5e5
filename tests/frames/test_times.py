"""Times read many at once are what they are one by one."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secnb.frames.times import all_enqueued_at, enqueued_at
from secnb.frames.typed import to_times

VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.lists(st.text())
)
ZONES = ("UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe")
FIELDS = ("timestamp", "last_failed_at", "ended_at", "camera_id")


def mutated(parts: tuple[int, str]) -> str:
    place, character = parts
    text = "2026-03-14T20:15:16.123456+01:00"
    return text[:place] + character + text[place + 1 :]


TIMES = st.tuples(st.integers(0, 31), st.characters(codec="ascii")).map(mutated)
CUT = st.tuples(TIMES, st.sampled_from([10, 16, 19, 25, 26, 32])).map(lambda each: each[0][: each[1]])
WRITTEN = st.datetimes(timezones=st.none() | st.timezones()).map(lambda at: at.isoformat())
EPOCHS = st.floats(0.9e9, 1.1e10) | st.integers(int(0.9e9), int(1.1e10)) | st.integers(10**400, 10**401)
STAMPS = st.dictionaries(st.sampled_from(FIELDS), CUT | WRITTEN | EPOCHS | VALUES, max_size=3)


@settings(max_examples=300)
@given(st.lists(STAMPS, max_size=5), st.sampled_from(ZONES).map(ZoneInfo))
def test_times_read_together_equal_times_read_alone(payloads, timezone):
    """Whatever their forms are, and wherever the deployment is."""
    together = all_enqueued_at(payloads, timezone)
    alone = to_times([enqueued_at(payload, timezone) for payload in payloads])
    pd.testing.assert_series_equal(together, alone)


@pytest.mark.parametrize("zone", ZONES)
def test_local_times_are_told_apart_around_each_change_of_the_clock(zone):
    """The hour that occurs twice and the one that does not occur are read as they are one by one."""
    minutes = pd.date_range("2026-01-01", "2027-01-01", freq="13min")
    payloads = [{"timestamp": at.isoformat()} for at in minutes]
    alone = to_times([enqueued_at(payload, ZoneInfo(zone)) for payload in payloads])
    pd.testing.assert_series_equal(all_enqueued_at(payloads, ZoneInfo(zone)), alone)


def test_every_day_of_two_years_is_read_and_no_other():
    """The 29th of February where there is one; neither the 31st of June nor the 0th of anything."""
    texts = [
        f"{year}-{month:02}-{day:02}T00:00:00"
        for year in (2000, 2099)
        for month in range(14)
        for day in range(33)
    ]
    payloads = [{"timestamp": text} for text in texts]
    alone = to_times([enqueued_at(payload, ZoneInfo("UTC")) for payload in payloads])
    together = all_enqueued_at(payloads, ZoneInfo("UTC"))
    pd.testing.assert_series_equal(together, alone)
    assert together.count() == 366 + 365
