"""Stop while the reader process reads, in a real kernel."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from secnb.core.bulk_process import missing_part

pytest.importorskip("adbc_driver_sqlite", reason="the extra bulk is missing")
pytestmark = pytest.mark.skipif(missing_part("sqlite") is not None, reason="no file can be handed over")

# Twenty thousand rows at once, and then none for ever.
SLOW = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i < 20000 OR i < 0"
)
CALL = f"({SLOW!r}, limit=None, timeout_s=None)"
CELLS = {
    "sync": f"print('begun', flush=True)\nsite.sql{CALL}",
    "sync in a cell that awaits": f"await asyncio.sleep(0)\nprint('begun', flush=True)\nsite.sql{CALL}",
    "await": f"print('begun', flush=True)\nawait site.sql.aio{CALL}",
}
WARM = f"""
import os
frame = site.sql({SLOW.replace("FROM n)", "FROM n WHERE i < 20000)")!r}, limit=None)
while site._database._bulk._process is None:
    time.sleep(0.01)
pid = site._database._bulk._process.pid
def stopped():
    busy = site._database._bulk._process.is_busy
    return not os.path.exists(f"/proc/{{pid}}"), busy
"""
# The process starts as a task of the notebook's loop, which goes on when the cell awaits.
NESTED_WARM = WARM.replace("time.sleep", "await asyncio.sleep")


@pytest.mark.parametrize("code", CELLS.values(), ids=CELLS)
async def test_stop_ends_the_reader_process_and_the_next_call_works(kernel, code):
    """The query would go on for ever; the next large result has a process of its own again."""
    assert (await kernel.run(WARM)).error is None
    begun = await kernel.run("began = time.monotonic()\n" + code, stop_when="begun")
    assert begun.error is not None
    assert begun.error.startswith("KeyboardInterrupt")
    after = await kernel.run("time.monotonic() - began < 8, *stopped()")
    assert (after.error, after.result) == (None, "(True, True, False)")
    again = await kernel.run(WARM + "\nlen(frame)")
    assert (again.error, again.result) == (None, "19999")


async def test_stop_on_the_loop_of_the_notebook(start_kernel, sample, tmp_path):
    """A site that shares the notebook's loop has the reader process too, and both faces can be stopped."""
    pytest.importorskip("nest_asyncio2", reason="the extra nested is missing")
    urls = {"DATABASE_URL": sample.database_url, "REDIS_URL": sample.redis_url}
    async with start_kernel(tmp_path, **urls) as kernel:
        await kernel.run('import secnb, asyncio, time\nsite = secnb.connect(loop="notebook")')
        for code in (CELLS["sync"], CELLS["await"]):
            assert (await kernel.run(NESTED_WARM)).error is None
            begun = await kernel.run(code, stop_when="begun")
            assert (begun.error or "").startswith("KeyboardInterrupt")
            assert (await kernel.run("stopped()")).result == "(True, False)"


async def test_a_shutdown_of_the_kernel_ends_the_reader_process(start_kernel, sample, tmp_path):
    """Also one that is killed, as JupyterLab does after a moment."""
    urls = {"DATABASE_URL": sample.database_url, "REDIS_URL": sample.redis_url}
    async with start_kernel(tmp_path, **urls) as kernel:
        await kernel.run("import secnb, asyncio, time\nsite = secnb.connect()")
        pid = int((await kernel.run(WARM + "\npid")).result)
        os.kill(pid, 0)
    for _ in range(300):
        if not Path(f"/proc/{pid}").exists():
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"the reader process {pid} is still there")
