"""The calls that run: listed and stopped from anywhere."""

from __future__ import annotations

import asyncio

import numpy as np
import pandas as pd
import pytest

import secnb
from secnb.errors import BadInputError, CallCancelledError, ClosedError, UnknownCallError

ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"


def test_nothing_runs_at_first(site):
    """Empty frames keep their columns and dtypes."""
    found = site.inflight()
    assert dict(found.dtypes.astype(str)) == dict(secnb.schema.CALLS)
    assert len(found) == 0


def test_a_running_call_is_listed_and_cancelled(site, in_thread, running):
    """From another thread; the list is empty again when cancel returns."""
    outcome, thread = in_thread(site.sql, ENDLESS, timeout_s=None)
    number = running(site)
    (row,) = site.inflight().itertuples()
    assert (row.id, row.call) == (number, "sql")
    assert 0 <= row.seconds < 60
    site.cancel(number)
    assert len(site.inflight()) == 0
    thread.join(10)
    assert isinstance(outcome[0], CallCancelledError)
    assert f"site.cancel({number})" in str(outcome[0])
    assert len(site.cameras()) == 2


def test_a_deployment_lists_only_its_own_calls(site, database, redis_url, in_thread, running):
    """Two deployments share the loop, not their calls."""
    with secnb.connect(database_url=f"sqlite:///{database}", redis_url=redis_url) as other:
        outcome, thread = in_thread(site.sql, ENDLESS, timeout_s=None)
        number = running(site)
        assert len(other.inflight()) == 0
        with pytest.raises(UnknownCallError, match="Known: none"):
            other.cancel(number)
        with pytest.raises(UnknownCallError, match=f"Known: {number}"):
            site.cancel(number + 1000)
        site.cancel(site.inflight()["id"][0])
        thread.join(10)
        assert isinstance(outcome[0], CallCancelledError)


async def test_an_awaited_call_is_cancelled_from_a_thread(site, running):
    """The async face raises the same error, which is no CancelledError of asyncio's."""
    task = asyncio.create_task(site.sql.aio(ENDLESS, timeout_s=None))
    number = await asyncio.to_thread(running, site)
    await asyncio.to_thread(site.cancel, number)
    with pytest.raises(CallCancelledError, match="was cancelled after"):
        await task


@pytest.mark.parametrize("number", [None, "1", 1.0, True, [1], {}, pd.Series([1]), np.array([1, 2])])
def test_what_is_no_number_is_refused(site, number):
    """A whole column of inflight() among them."""
    with pytest.raises(BadInputError, match="Allowed: one whole number"):
        site.cancel(number)


def test_close_ends_what_runs(site, in_thread, running):
    """Its caller is told why; nothing goes on behind the closed door."""
    outcome, thread = in_thread(site.sql, ENDLESS, timeout_s=None)
    running(site)
    site.close()
    thread.join(10)
    assert isinstance(outcome[0], ClosedError)
    with pytest.raises(ClosedError):
        site.cameras()
