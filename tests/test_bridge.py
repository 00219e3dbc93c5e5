"""The bridge: two faces of one coroutine, and calls that stop when they are told to."""

from __future__ import annotations

import asyncio
import inspect
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

from secnb.bridge import Bridge, report, shared_bridge, two_faced
from secnb.errors import BridgeError, CallCancelledError, QueryError, UnknownCallError


class Owner:
    """Has a bridge and two-faced methods."""

    def __init__(self):
        self.bridge = shared_bridge()
        self.cancelled = threading.Event()
        self.started = threading.Event()

    @two_faced
    async def double(self, number: int, *, plus: int = 0) -> int:
        """Return twice the number."""
        await asyncio.sleep(0)
        return 2 * number + plus

    @two_faced
    async def fail(self) -> None:
        """Raise."""
        raise QueryError("no", hint="yes")

    @two_faced
    async def hang(self) -> None:
        """Wait until cancelled."""
        self.started.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    @two_faced
    async def swallow(self) -> None:
        """Lose the first cancellation, as asyncio.wait_for does up to Python 3.11."""
        self.started.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(60)

    @two_faced
    async def call_itself(self) -> int:
        """Make a blocking call on the bridge's own loop."""
        return self.double(1)

    @two_faced
    async def await_itself(self) -> int:
        """Await the asynchronous face on the bridge's own loop."""
        return await self.double.aio(1)


@pytest.fixture
def owner():
    return Owner()


def test_both_faces_return_the_same(owner):
    """One definition serves both."""
    assert owner.double(4, plus=1) == 9
    assert asyncio.run(owner.double.aio(4, plus=1)) == 9


async def test_sync_face_works_within_a_running_loop(owner):
    """A notebook cell always has a running loop."""
    assert owner.double(3) == 6
    assert await owner.double.aio(3) == 6


@pytest.mark.parametrize("face", [lambda o: o.double, lambda o: o.double.aio])
def test_faces_show_signature_and_docstring(owner, face):
    """Shift+Tab shows the method as it was written, without self."""
    assert str(inspect.signature(face(owner))) == "(number: 'int', *, plus: 'int' = 0) -> 'int'"
    assert face(owner).__doc__ == "Return twice the number."
    assert face(owner).__name__ == "double"


def test_only_the_async_face_is_a_coroutine_function(owner):
    """Frameworks decide by this whether to await."""
    assert not inspect.iscoroutinefunction(owner.double)
    assert inspect.iscoroutinefunction(owner.double.aio)


def test_class_attribute_keeps_its_docstring():
    """The help of the class lists its methods."""
    assert Owner.double.__doc__ == "Return twice the number."


def test_wrong_arguments_fail_at_once(owner):
    """The error names the method, not the bridge."""
    with pytest.raises(TypeError, match="double"):
        owner.double()


def test_errors_come_through_without_the_way_between(owner):
    """The traceback of a deliberate error ends where the analyst called."""
    with pytest.raises(QueryError, match="Hint: yes") as caught:
        owner.fail()
    assert [entry.name for entry in caught.traceback][1:] == ["face", "run"]


async def test_errors_come_through_the_async_face(owner):
    """Both faces raise the same."""
    with pytest.raises(QueryError, match="Hint: yes"):
        await owner.fail.aio()


def test_blocking_call_on_the_own_loop_is_refused(owner):
    """It would wait for itself."""
    with pytest.raises(BridgeError, match=r"await site\.queues\.aio"):
        owner.call_itself()


def test_awaiting_on_the_own_loop_works(owner):
    """Helpers may be made of helpers."""
    assert owner.await_itself() == 2


def test_threads_share_the_bridge(owner):
    """Calls from many threads at once all return their own result."""
    results: dict[int, int] = {}
    threads = [
        threading.Thread(target=lambda n=n: results.__setitem__(n, owner.double(n))) for n in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert results == {n: 2 * n for n in range(20)}


async def test_cancelling_the_async_face_cancels_the_work(owner):
    """CancelledError in asyncio; the work has ended when it arrives."""
    task = asyncio.create_task(owner.hang.aio())
    await asyncio.to_thread(owner.started.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert owner.cancelled.is_set()


def test_stop_cancels_the_work_of_a_blocking_call(owner):
    """SIGINT becomes KeyboardInterrupt, and the work has ended when it arrives."""
    interrupt_when(owner.started)
    with pytest.raises(KeyboardInterrupt):
        owner.hang()
    assert owner.cancelled.is_set()


def test_stop_ends_work_that_loses_a_cancellation(owner):
    """It is cancelled again; redis-py loses one in ten that come while it sends."""
    interrupt_when(owner.started)
    with pytest.raises(KeyboardInterrupt):
        owner.swallow()
    assert owner.bridge.running(owner) == []


def test_running_work_is_listed_and_cancelled(owner):
    """By its number, from another thread; the caller gets an error of its own."""
    caught: list[BaseException] = []

    def call() -> None:
        try:
            owner.hang()
        except CallCancelledError as exc:
            caught.append(exc)

    thread = threading.Thread(target=call)
    thread.start()
    owner.started.wait(10)
    (running,) = owner.bridge.running(owner)
    assert (running.name, running.progress) == ("hang", None)
    assert owner.bridge.running(object()) == []
    with pytest.raises(UnknownCallError, match=f"Known: {running.id}"):
        owner.bridge.cancel(running.id + 1, owner)
    owner.bridge.cancel(running.id, owner)
    assert owner.bridge.running(owner) == []
    thread.join(10)
    assert re.match(r"hang\(\) was cancelled after \d+\.\d s", str(caught[0]))
    assert owner.cancelled.is_set()


def test_work_says_how_far_it_is(owner):
    """Whoever lists it reads what the work last reported."""
    go_on = threading.Event()

    async def count() -> None:
        report("1,000 rows")
        owner.started.set()
        await asyncio.to_thread(go_on.wait, 10)

    thread = threading.Thread(target=lambda: owner.bridge.run(count(), owner=owner))
    thread.start()
    owner.started.wait(10)
    (running,) = owner.bridge.running(owner)
    assert (running.name, running.progress) == ("count", "1,000 rows")
    go_on.set()
    thread.join(10)
    assert owner.bridge.running(owner) == []


def test_no_result_is_still_listed(owner):
    """Who has the result no longer finds the call."""
    for _ in range(500):
        owner.double(1)
        assert owner.bridge.running(owner) == []


def test_stop_works_under_a_handler_that_swallows_it(owner, monkeypatch):
    """The kernel installs such a handler in cells that also await; it is put back afterwards."""

    def swallow(*_):
        pass

    previous = signal.signal(signal.SIGINT, swallow)
    try:
        interrupt_when(owner.started)
        with pytest.raises(KeyboardInterrupt):
            owner.hang()
        assert signal.getsignal(signal.SIGINT) is swallow
    finally:
        signal.signal(signal.SIGINT, previous)


def test_ignored_interrupts_stay_ignored(owner):
    """A program that ignores SIGINT has decided so."""
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        owner.double(1)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, previous)


def test_bridge_is_shared_by_the_process():
    """Two deployments do not need two threads."""
    assert shared_bridge() is shared_bridge()


def test_asyncio_stays_unpatched(owner):
    """The bridge leaves the event loop policy and asyncio.run as they are."""
    owner.double(1)
    assert asyncio.run.__module__ == "asyncio.runners"


def test_fork_is_refused_and_a_new_bridge_starts():
    """A forked child has no background thread; it says so instead of hanging."""
    code = """
import os, warnings
warnings.simplefilter("ignore")
from secnb.bridge import shared_bridge
from secnb.errors import BridgeError
async def one(): return 1
parent = shared_bridge()
assert parent.run(one()) == 1
pid = os.fork()
if pid == 0:
    try:
        parent.run(one())
    except BridgeError as exc:
        assert "forked child" in str(exc)
        assert shared_bridge().run(one()) == 1
        os._exit(7)
    os._exit(1)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "7", done.stderr


def test_interpreter_ends_while_work_runs():
    """A daemon thread holds nobody up."""
    code = """
import asyncio, threading
from secnb.bridge import shared_bridge
async def hang(): await asyncio.sleep(60)
threading.Thread(target=lambda: shared_bridge().run(hang()), daemon=True).start()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_long_work_shows_progress(owner, capsys, monkeypatch):
    """From two seconds on a line tells the name, the seconds and how far it is."""
    monkeypatch.setattr("secnb.bridge.waiting._SILENT_S", 0.0)
    go_on = threading.Event()

    async def count():
        report("1,000 rows")
        await asyncio.to_thread(go_on.wait, 10)

    threading.Timer(0.5, go_on.set).start()
    Bridge().run(count())
    assert "count: 0 s, 1,000 rows" in capsys.readouterr().err


def interrupt_when(event: threading.Event) -> None:
    """Send SIGINT to the main thread as soon as `event` is set."""

    def send() -> None:
        event.wait(10)
        time.sleep(0.1)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    threading.Thread(target=send, daemon=True).start()
