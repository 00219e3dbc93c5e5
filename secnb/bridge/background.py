"""The bridge itself: an event loop on a daemon thread, and the two ways to wait for work on it."""

from __future__ import annotations

import asyncio
import os
import selectors
import threading
from collections.abc import Coroutine
from concurrent.futures import wait as wait_for_futures
from typing import Any, NoReturn, TypeVar

from secnb.bridge.waiting import Progress, Stop, bare, stoppable
from secnb.bridge.work import Call, Work
from secnb.errors import BridgeError, CallCancelledError, SecnbError, UnknownCallError

T = TypeVar("T")

# On Windows a wait without a timeout cannot be interrupted.
_SYNC_TICK_S = 0.2
# Stop does not wake the selector of a loop that waits in a top-level await; this tick does.
_ASYNC_TICK_S = 0.1
# How long stopped work may take to clean up before the caller goes on without it.
_GRACE_S = 3.0


class Bridge:
    """A background event loop on a daemon thread, and the two ways to wait for work on it."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._works: dict[int, Work[Any]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="secnb-bridge", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} pid={self._pid} thread={self._thread.name!r}>"

    def run(self, coro: Coroutine[Any, Any, T], *, owner: object = None) -> T:
        """Return the result of `coro`, run on the background loop; blocks the calling thread.

        Parameters
        ----------
        owner : object, optional
            Whose call it is, for `running` and `cancel`.

        Raises
        ------
        BridgeError
            If called on the background loop itself (it would wait for itself), or in a forked child.
        CallCancelledError
            If `cancel` stops it.
        KeyboardInterrupt
            If stopped; the work is cancelled first.
        """
        self._check(coro, blocking=True)
        with stoppable():
            work = Work(self._loop, coro, owner, self._works)
            try:
                with Progress(work.name, work.note) as progress:
                    while not work.future.done():
                        wait_for_futures([work.future], timeout=_SYNC_TICK_S)
                        progress.tick()
                return work.future.result()
            except SecnbError as exc:
                raise bare(exc) from exc.__cause__
            except BaseException:
                self._abandon(work)
                raise

    async def wait(self, coro: Coroutine[Any, Any, T], *, owner: object = None) -> T:
        """Return the result of `coro`, run on the background loop, without blocking the caller's loop.

        Raises
        ------
        BridgeError
            In a forked child.
        CallCancelledError
            If `cancel` stops it.
        asyncio.CancelledError
            If the waiting task is cancelled; the work is cancelled first.
        KeyboardInterrupt
            If a notebook cell awaits this and is stopped.
        """
        self._check(coro, blocking=False)
        if self._is_within():
            return await coro
        work = Work(self._loop, coro, owner, self._works)
        watched = asyncio.wrap_future(work.future)
        stop = Stop()
        try:
            with stop, Progress(work.name, work.note) as progress:
                while not watched.done():
                    await asyncio.wait({watched}, timeout=_ASYNC_TICK_S)
                    progress.tick()
            return watched.result()
        except SecnbError as exc:
            raise bare(exc) from exc.__cause__
        except BaseException:
            work.cancel()
            await asyncio.wait({watched}, timeout=_GRACE_S)
            watched.cancelled() or watched.exception()  # marks the outcome as seen
            if stop.was_pressed:
                raise KeyboardInterrupt from None
            raise

    def running(self, owner: object) -> list[Call]:
        """Return the running calls of `owner`, the oldest first; at once, from any thread."""
        self._check_process()
        return [work.described() for work in self._of(owner)]

    def cancel(self, number: int, owner: object) -> None:
        """Stop a running call of `owner`, from any thread; on return it has stopped, as a rule.

        Raises
        ------
        UnknownCallError
            If no such call runs.
        """
        self._check_process()
        works = {work.id: work for work in self._of(owner)}
        if number not in works:
            hint = "site.inflight() lists what runs."
            raise UnknownCallError("running call", number, map(str, works), hint=hint)
        work = works[number]
        work.cancel(
            CallCancelledError(
                f"{work.name}() was cancelled after {work.seconds:.1f} s.",
                hint=f"someone called site.cancel({number}); the deployment goes on to answer.",
            )
        )
        if threading.current_thread() is not self._thread:
            wait_for_futures([work.future], timeout=_GRACE_S)

    async def end_all(self, owner: object, error: SecnbError) -> None:
        """Cancel all calls of `owner` and give them a moment to end; runs on the loop.

        Whoever waits for one gets `error`.
        """
        works = self._of(owner)
        for work in works:
            work.cancel(error)
        if tasks := [work.task for work in works if work.task is not None]:
            await asyncio.wait(tasks, timeout=_GRACE_S)

    def forsake_all(self, owner: object) -> None:
        """Tell nobody how the calls of `owner` end: when the interpreter ends, nobody is left to listen."""
        for work in self._of(owner):
            work.is_forsaken = True

    def let_go(self) -> None:
        """Give up the loop in a forked child, so that what is closed here goes on to work in the parent.

        The child shares the parent's epoll object: to close a connection here would make the parent
        deaf to its own.
        """
        if isinstance(self._loop, asyncio.SelectorEventLoop):
            self._loop._selector = selectors.SelectSelector()  # type: ignore[attr-defined]

    def _of(self, owner: object) -> list[Work[Any]]:
        # A copy is one step; a lock could be held by a thread that a fork does not take along.
        return [work for work in self._works.copy().values() if work.owner is owner]

    def _is_within(self) -> bool:
        """Return whether the caller is work on this bridge already."""
        return threading.current_thread() is self._thread

    def _check(self, coro: Coroutine[Any, Any, Any], *, blocking: bool) -> None:
        try:
            self._check_process()
            if blocking and threading.current_thread() is self._thread:
                _refuse_blocking()
        except BridgeError:
            coro.close()
            raise

    def _check_process(self) -> None:
        if os.getpid() != self._pid:
            raise BridgeError(
                f"This deployment was opened in process {self._pid}; this is its forked child {os.getpid()}.",
                hint="open it again in the child with secnb.connect(...).",
            )

    def _abandon(self, work: Work[Any]) -> None:
        """Cancel `work` and give it a moment, so that the server is idle before the caller goes on."""
        if not work.future.done():
            work.cancel()
            wait_for_futures([work.future], timeout=_GRACE_S)


def _refuse_blocking() -> NoReturn:
    raise BridgeError(
        "A blocking call was made on secnb's own event loop, which would wait for itself.",
        hint="use the async face there: await site.queues.aio().",
    )


_shared: Bridge | None = None
_shared_lock = threading.Lock()


def shared_bridge() -> Bridge:
    """Return the bridge of this process; it starts on first use, and anew after a fork."""
    global _shared
    with _shared_lock:
        if _shared is None or _shared._pid != os.getpid():
            _shared = Bridge()
        return _shared


def _begin_anew() -> None:
    """Put a forked child in order."""
    # A fork may copy the lock while another thread holds it.
    global _shared_lock
    _shared_lock = threading.Lock()
    if _shared is not None:
        _shared.let_go()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
