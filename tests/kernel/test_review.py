"""A kernel that is killed in the middle of a review loses no verdict."""

from __future__ import annotations

import asyncio

import pandas as pd
import pytest

from secnb import LabelStore, review

BEGIN = """
import pandas as pd, secnb
frame = pd.DataFrame({"event_id": range(1, 41), "score": [i / 40 for i in range(40)]})
store = secnb.LabelStore("labels.sqlite")
drawn = secnb.label_next(frame, 10, store=store, seed=3)
drawn.to_csv("drawn.csv", index=False)
started = secnb.review(drawn, store=store)
"""
# The kernel kills itself, as the operating system may: nothing is flushed, closed or said goodbye to.
JUDGE = """
import os, signal
for verdict in ("true", "false", "unsure", "true"):
    started.record(verdict)
os.kill(os.getpid(), signal.SIGKILL)
"""


async def test_a_killed_kernel_loses_no_verdict(start_kernel, tmp_path):
    """The review then goes on after the last one, with the probabilities of the draw."""
    async with start_kernel(tmp_path) as kernel:
        assert (await kernel.run(BEGIN)).error is None
        kernel.client.execute(JUDGE)
        async with asyncio.timeout(60):
            while await kernel.manager.is_alive():
                await asyncio.sleep(0.05)
    drawn = pd.read_csv(tmp_path / "drawn.csv")
    store = LabelStore(tmp_path / "labels.sqlite")
    labels = store.labels()
    assert labels["event_id"].tolist() == drawn["event_id"].tolist()[:4]
    assert labels["truth"].tolist() == [True, False, pd.NA, True]
    assert labels["probability"].tolist() == pytest.approx([0.25] * 4)
    again = review(drawn, store=store)
    assert again.unit == f"event {drawn['event_id'].iloc[4]}"
    assert again.tally.n_done == 4
