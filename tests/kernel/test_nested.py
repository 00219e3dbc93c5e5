"""Helpers on the notebook's own loop, which nest_asyncio2 patches: by choice, never by itself."""

from __future__ import annotations

import pytest
import pytest_asyncio

pytest.importorskip("nest_asyncio2", reason="the extra nested is not installed")
pytestmark = pytest.mark.asyncio(loop_scope="module")

COUNT = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1e9) SELECT max(x) FROM n"
SLOW = {"SQLite": f"site.sql{{aio}}({COUNT!r}, timeout_s=None)", "Redis": "site.tail{aio}('detections', 8)"}
FACES = {
    "sync": "began()\n{sync}",
    "sync in a cell that awaits": "await asyncio.sleep(0)\nbegan()\n{sync}",
    "await": "began()\nawait {aio}",
}
SETUP = """
import asyncio, signal, threading, time, secnb
site = secnb.connect(loop="notebook")
def began():
    global started
    started = time.monotonic()
    print("begun", flush=True)
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kernel(sample, start_kernel, tmp_path_factory):
    """Return a kernel whose deployment runs on the kernel's own loop."""
    urls = {"DATABASE_URL": sample.database_url, "REDIS_URL": sample.redis_url}
    async with start_kernel(tmp_path_factory.mktemp("kernel"), **urls) as started:
        ready = await started.run(SETUP)
        assert ready.error is None, ready.traceback
        yield started


async def test_both_faces_work_without_a_background_thread(kernel):
    """Also for helpers made of helpers, and for several at once."""
    cell = await kernel.run(
        "print(len(site.cameras()), len(await site.cameras.aio()), len(site.queues()) > 0)\n"
        "print([len(frame) for frame in await asyncio.gather(site.cameras.aio(), site.cameras.aio())])\n"
        "print('secnb-bridge' in [thread.name for thread in threading.enumerate()])"
    )
    assert cell.text.split("\n")[:3] == ["6 6 True", "[6, 6]", "False"], cell.traceback


async def test_run_all_loses_no_cell(kernel):
    """Cells queued behind one that blocks all run, in order; nest_asyncio 1.6 dropped five of six."""
    codes = [
        f"time.sleep(0.05); site.cameras(); site.tail('detections', 0.3); print({n}, end=' ')"
        for n in range(6)
    ]
    requests = [kernel.client.execute(code) for code in codes]
    cells = [await kernel.finish(request) for request in requests]
    assert [cell.text.strip() for cell in cells] == list("012345"), [cell.traceback for cell in cells]


async def test_run_all_of_both_faces_loses_no_cell(kernel):
    """Cells that await, and cells that block, in turn."""
    codes = [
        f"await site.cameras.aio(); print({n})" if n % 2 else f"site.cameras(); print({n})" for n in range(6)
    ]
    requests = [kernel.client.execute(code) for code in codes]
    assert [(await kernel.finish(request)).text.strip() for request in requests] == list("012345")


@pytest.mark.parametrize("operation", SLOW)
@pytest.mark.parametrize("face", FACES)
async def test_stop_ends_it_and_the_next_call_works(kernel, operation, face):
    """The operation has not run to its end, the process is idle, the handler is as it was."""
    call = SLOW[operation]
    before = (await kernel.run("signal.getsignal(signal.SIGINT)")).result
    code = FACES[face].format(sync=call.format(aio=""), aio=call.format(aio=".aio"))
    stopped = await kernel.run(code, stop_when="begun")
    assert (stopped.error or "").startswith("KeyboardInterrupt"), stopped.traceback
    after = await kernel.run(
        "print(time.monotonic() - started < 4, len(site.inflight()))\n"
        "used = time.process_time(); time.sleep(0.3); print(time.process_time() - used < 0.15)\n"
        "print(len(site.cameras()), len(await site.cameras.aio()))"
    )
    assert after.text.split() == ["True", "0", "True", "6", "6"], after.traceback
    assert (await kernel.run("signal.getsignal(signal.SIGINT)")).result == before


async def test_a_subshell_calls_and_cancels(kernel):
    """The loop goes on while a cell blocks, so others may use it."""
    subshell = await kernel.open_subshell()
    request = kernel.client.execute("began()\nsite.tail('detections', 8)")
    await kernel.printed(request, "begun")
    seen = await kernel.run_beside(
        subshell,
        "while not len(site.inflight()): time.sleep(0.02)\n"
        "print(*site.inflight()['call'], len(site.cameras()))\n"
        "site.cancel(site.inflight()['id'][0])",
    )
    assert seen.text.split() == ["tail", "6"], seen.traceback
    assert (await kernel.finish(request)).error.startswith("CallCancelledError")


async def test_a_deliberate_error_is_short(kernel):
    """As on the other loop."""
    cell = await kernel.run("site.sql('DELETE FROM cameras')")
    assert cell.error.startswith("ReadOnlyError")
    assert "sqlalchemy" not in cell.traceback


async def test_the_patch_reaches_the_whole_process(kernel):
    """Which is why it is not the default, and what the docstring says."""
    cell = await kernel.run(
        "print(asyncio.Task is asyncio.tasks._PyTask, asyncio.run.__module__, "
        "asyncio.get_running_loop().run_until_complete(asyncio.sleep(0, 'again')))\n"
        "print('nest_asyncio2' in secnb.connect.__doc__)"
    )
    assert cell.text.split() == ["True", "nest_asyncio2", "again", "True"]


async def test_close_and_the_end_of_the_kernel(kernel):
    """Comes last: closing works on the same loop."""
    cell = await kernel.run("site.close(); site.close(); print(site)")
    assert "closed" in cell.text, cell.traceback
