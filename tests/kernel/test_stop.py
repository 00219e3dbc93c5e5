"""Stop, output and order of cells in a real kernel."""

from __future__ import annotations

import pytest

# Would run for about 8 s and more, and says when it begins.
SLOW = (
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 100000000) SELECT max(x) FROM n"
)
CELLS = {
    "sync": f"print('begun', flush=True)\nsite.sql({SLOW!r}, timeout_s=None)",
    "sync in a cell that awaits": (
        f"await asyncio.sleep(0)\nprint('begun', flush=True)\nsite.sql({SLOW!r}, timeout_s=None)"
    ),
    "await": f"print('begun', flush=True)\nawait site.sql.aio({SLOW!r}, timeout_s=None)",
}


@pytest.mark.parametrize("code", CELLS.values(), ids=CELLS)
async def test_stop_ends_a_query_and_the_next_call_works(kernel, code):
    """In all three ways to call; the query would have given a result."""
    stopped = await kernel.run(code, stop_when="begun")
    assert stopped.error is not None
    assert stopped.error.startswith("KeyboardInterrupt")
    after = await kernel.run("site.sql('SELECT 1 AS one')['one'][0]")
    assert (after.error, after.result) == (None, "np.int64(1)")


async def test_stop_of_gathered_calls_leaves_the_kernel_alive(kernel):
    """Only the cell itself gets the KeyboardInterrupt; in a task of its own it would end the loop."""
    code = f"print('begun', flush=True)\nslow = [site.sql.aio({SLOW!r}, timeout_s=None) for _ in range(2)]\n"
    stopped = await kernel.run(code + "await asyncio.gather(*slow)", stop_when="begun")
    assert stopped.error is not None
    assert (await kernel.run("len(site.cameras())")).result == "6"


async def test_stop_leaves_the_process_idle(kernel):
    """A query that goes on in its thread would keep a core busy."""
    await kernel.run(CELLS["sync"], stop_when="begun")
    spent = await kernel.run("a = time.process_time(); time.sleep(1); print(time.process_time() - a < 0.5)")
    assert spent.text.strip() == "True"


async def test_stop_leaves_the_interrupt_handler_as_it_was(kernel):
    """The kernel's own way to stop a cell goes on to work."""
    before = (await kernel.run("signal.getsignal(signal.SIGINT)")).result
    await kernel.run(CELLS["sync in a cell that awaits"], stop_when="begun")
    assert (await kernel.run("signal.getsignal(signal.SIGINT)")).result == before


async def test_run_all_loses_no_cell(kernel):
    """Six cells queued behind a running one all run, in order."""
    requests = [kernel.client.execute(f"site.cameras(); print({n})") for n in range(6)]
    assert [(await kernel.finish(request)).text.strip() for request in requests] == list("012345")


async def test_asyncio_stays_unpatched(kernel):
    """A running loop still refuses to be run again."""
    await kernel.run("site.cameras()")
    nested = await kernel.run("asyncio.get_running_loop().run_until_complete(asyncio.sleep(0))")
    assert nested.error is not None
    assert "already running" in nested.error


async def test_warnings_land_in_the_cell_that_caused_them(kernel):
    """Although they come from the background thread."""
    cell = await kernel.run("site.detections(limit=3);")
    assert "showing 3 of" in cell.text
    assert "showing 3 of" in (await kernel.run("site.detections(limit=3);")).text


async def test_progress_lands_in_its_cell(kernel):
    """What takes longer than two seconds says so."""
    cell = await kernel.run(f"print('begun', flush=True)\nsite.sql({SLOW!r}, timeout_s=3)")
    assert "sql: 2 s" in cell.text
    assert cell.error is not None
    assert cell.error.startswith("QueryTimeoutError")


async def test_error_in_a_cell_is_short(kernel):
    """The traceback ends where the analyst called, and shows no layers between."""
    cell = await kernel.run(
        "import traceback\n"
        "try:\n"
        "    site.sql('DELETE FROM cameras')\n"
        "except Exception:\n"
        "    print(len(traceback.format_exc().splitlines()), traceback.format_exc())"
    )
    assert "secnb.errors.ReadOnlyError" in cell.text
    assert int(cell.text.split()[0]) < 30
    assert "sqlalchemy" not in cell.text


async def test_sandbox_survives_stop(start_kernel, tmp_path):
    """Stop reaches the kernel's whole process group; the sandbox's Redis is not in it."""
    async with start_kernel(tmp_path) as kernel:
        assert (await kernel.run("import secnb\nsite = secnb.sandbox()")).error is None
        stopped = await kernel.run(
            "print('begun', flush=True)\nimport time; time.sleep(30)", stop_when="begun"
        )
        assert stopped.error.startswith("KeyboardInterrupt")
        assert (await kernel.run("len(site.queues()) > 0")).result == "True"


async def test_output_of_a_tail_lands_in_the_cell_that_started_it(kernel):
    """Also while another cell runs meanwhile."""
    first = kernel.client.execute("listening = asyncio.create_task(site.tail.aio('events', 4))")
    second = await kernel.run("await asyncio.sleep(3.5); print('slept')")
    assert (second.error, second.text.strip()) == (None, "slept")
    assert (await kernel.run("len(await listening)")).result == "0"
    assert "tail: 2 s" in kernel.text_of(first)
