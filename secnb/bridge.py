"""The one place where synchronous notebook code meets the async core.

Work runs as tasks on one event loop in a daemon thread of its own; asyncio is not patched. A helper is
written once, as a coroutine, and has two faces: ``f(...)`` blocks and returns the result, ``await
f.aio(...)`` does the same without blocking the caller's loop. A call that is stopped (KeyboardInterrupt)
or cancelled cancels its work and gives it a moment to clean up behind itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import inspect
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from concurrent.futures import wait as wait_for_futures
from types import FrameType
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, overload

from tqdm import tqdm

from secnb.errors import BridgeError, SecnbError

P = ParamSpec("P")
T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)
S_contra = TypeVar("S_contra", contravariant=True)

# On Windows a wait without a timeout cannot be interrupted.
_SYNC_TICK_S = 0.2
# Stop does not wake the selector of a loop that waits in a top-level await; this tick does.
_ASYNC_TICK_S = 0.1
# How long stopped work may take to clean up before the caller goes on without it.
_GRACE_S = 3.0
# What takes longer than this shows that it is at work.
_SILENT_S = 2.0
# The coroutine that IPython runs a cell in.
_CELL = "run_cell_async"


_note: contextvars.ContextVar[list[str] | None] = contextvars.ContextVar("_note", default=None)


def report(progress: str) -> None:
    """Say how far the work has come; whoever waits for it longer than two seconds sees it."""
    if (box := _note.get()) is not None:
        box[:] = [progress]


class _Work(Generic[T]):
    """One task on the background loop, and the future by which other threads watch it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, T]) -> None:
        self._loop = loop
        self._coro = coro
        self._task: asyncio.Task[T] | None = None
        # A running future cannot be cancelled from outside: only the task decides how it ended.
        self.future: Future[T] = Future()
        self.future.set_running_or_notify_cancel()
        self.note: list[str] = []
        # Output of the work belongs to the cell that started it, and ipykernel finds that cell by context.
        self._context = contextvars.copy_context()
        self._context.run(_note.set, self.note)
        loop.call_soon_threadsafe(self._start)

    def _start(self) -> None:
        self._task = self._loop.create_task(self._coro, context=self._context)
        self._task.add_done_callback(self._finish)

    def _finish(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self.future.set_exception(asyncio.CancelledError())
        elif (error := task.exception()) is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(task.result())

    def cancel(self) -> None:
        """Cancel the task; callable from any thread, and before the task has begun."""
        with contextlib.suppress(RuntimeError):  # the loop is already closed
            self._loop.call_soon_threadsafe(lambda: self._task and self._task.cancel())


class Bridge:
    """A background event loop on a daemon thread, and the two ways to wait for work on it."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="secnb-bridge", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<Bridge pid={self._pid} thread={self._thread.name!r}>"

    def run(self, coro: Coroutine[Any, Any, T]) -> T:
        """Return the result of `coro`, run on the background loop; blocks the calling thread.

        Raises
        ------
        BridgeError
            If called on the background loop itself (it would wait for itself), or in a forked child.
        KeyboardInterrupt
            If stopped; the work is cancelled first.
        """
        self._check(coro, blocking=True)
        with _stoppable():
            work = _Work(self._loop, coro)
            try:
                with _Progress(getattr(coro, "__name__", "work"), work.note) as progress:
                    while not work.future.done():
                        wait_for_futures([work.future], timeout=_SYNC_TICK_S)
                        progress.tick()
                return work.future.result()
            except SecnbError as exc:
                # Meant for the reader of a cell: the way through the bridge is no news to them.
                raise exc.with_traceback(None) from exc.__cause__
            except BaseException:
                self._abandon(work)
                raise

    async def wait(self, coro: Coroutine[Any, Any, T]) -> T:
        """Return the result of `coro`, run on the background loop, without blocking the caller's loop.

        Raises
        ------
        BridgeError
            In a forked child.
        asyncio.CancelledError
            If the waiting task is cancelled; the work is cancelled first.
        KeyboardInterrupt
            If a notebook cell awaits this and is stopped.
        """
        self._check(coro, blocking=False)
        if threading.current_thread() is self._thread:
            return await coro
        work = _Work(self._loop, coro)
        watched = asyncio.wrap_future(work.future)
        stop = _Stop()
        try:
            with stop, _Progress(getattr(coro, "__name__", "work"), work.note) as progress:
                while not watched.done():
                    await asyncio.wait({watched}, timeout=_ASYNC_TICK_S)
                    progress.tick()
            return watched.result()
        except SecnbError as exc:
            raise exc.with_traceback(None) from exc.__cause__
        except BaseException:
            work.cancel()
            await asyncio.wait({watched}, timeout=_GRACE_S)
            watched.cancelled() or watched.exception()  # marks the outcome as seen
            if stop.was_pressed:
                raise KeyboardInterrupt from None
            raise

    def _check(self, coro: Coroutine[Any, Any, Any], *, blocking: bool) -> None:
        if os.getpid() != self._pid:
            coro.close()
            raise BridgeError(
                f"This deployment was opened in process {self._pid}; this is its forked child {os.getpid()}.",
                hint="open it again in the child with secnb.connect(...).",
            )
        if blocking and threading.current_thread() is self._thread:
            coro.close()
            raise BridgeError(
                "A blocking call was made on secnb's own event loop, which would wait for itself.",
                hint="use the async face there: await site.queues.aio().",
            )

    def _abandon(self, work: _Work[Any]) -> None:
        """Cancel `work` and give it a moment, so that the server is idle before the caller goes on."""
        if not work.future.done():
            work.cancel()
            wait_for_futures([work.future], timeout=_GRACE_S)


class _Progress:
    """A line that shows how long the work takes and how far it is, from two seconds on."""

    def __init__(self, name: str, note: list[str]) -> None:
        self._name = name
        self._note = note
        self._started = time.monotonic()
        self._bar: tqdm[Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def tick(self) -> None:
        """Show the line, or bring it up to date."""
        if time.monotonic() - self._started < _SILENT_S:
            return
        if self._bar is None:
            self._bar = tqdm(bar_format="{desc}", leave=False)
        seconds = time.monotonic() - self._started
        self._bar.set_description_str(", ".join([f"{self._name}: {seconds:.0f} s", *self._note]))


class _Stop:
    """Notices Stop while a notebook cell awaits, which ipykernel turns into a mere cancellation.

    Only in the task of a cell itself: a KeyboardInterrupt in any other task would end the kernel's loop.
    """

    def __init__(self) -> None:
        self.was_pressed = False
        self._previous: Any = None

    def __enter__(self) -> None:
        task = asyncio.current_task()
        is_cell = task is not None and getattr(task.get_coro(), "__name__", "") == _CELL
        if is_cell and threading.current_thread() is threading.main_thread():
            self._previous = signal.getsignal(signal.SIGINT)
            if callable(self._previous):
                signal.signal(signal.SIGINT, self._notice)

    def __exit__(self, *_: object) -> None:
        if callable(self._previous):
            signal.signal(signal.SIGINT, self._previous)

    def _notice(self, number: int, frame: FrameType | None) -> None:
        self.was_pressed = True
        self._previous(number, frame)


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Make SIGINT raise KeyboardInterrupt while the main thread blocks.

    In a cell that also awaits, ipykernel installs a handler that only cancels the cell's task, and a
    blocking call would never hear of it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.getsignal(signal.SIGINT)
    # None: the handler is not Python's and could not be put back. SIG_IGN: the program's own decision.
    if previous in (None, signal.SIG_IGN, signal.default_int_handler):
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


_shared: Bridge | None = None
_shared_lock = threading.Lock()


def shared_bridge() -> Bridge:
    """Return the bridge of this process; it starts on first use, and anew after a fork."""
    global _shared
    with _shared_lock:
        if _shared is None or _shared._pid != os.getpid():
            _shared = Bridge()
        return _shared


def _forget_lock() -> None:
    # A fork may copy the lock while another thread holds it.
    global _shared_lock
    _shared_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_lock)


class HasBridge(Protocol):
    """Whatever owns a bridge can have two-faced methods."""

    @property
    def bridge(self) -> Bridge:
        """The bridge that the work runs on."""


class Faces(Protocol[P, R_co]):
    """A method with two faces, ``f(...)`` and ``await f.aio(...)``, of the same signature."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Return the result; blocks until it is there."""

    async def aio(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Return the result without blocking the event loop."""


class two_faced(Generic[S_contra, P, R_co]):  # noqa: N801
    """Give a coroutine method a synchronous face, and keep the asynchronous one as ``.aio``.

    Both faces carry the signature and the docstring of the method, so that Shift+Tab shows them.

    Parameters
    ----------
    method : coroutine function
        A method of an object that has a `bridge`.
    """

    def __init__(self, method: Callable[Concatenate[S_contra, P], Coroutine[Any, Any, R_co]]) -> None:
        self._method = method
        signature = inspect.signature(method)
        self._signature = signature.replace(parameters=list(signature.parameters.values())[1:])
        self.__doc__ = method.__doc__
        self.__name__ = method.__name__

    @overload
    def __get__(self, instance: None, owner: type) -> two_faced[S_contra, P, R_co]: ...

    @overload
    def __get__(self, instance: HasBridge, owner: type) -> Faces[P, R_co]: ...

    def __get__(self, instance: Any, owner: type) -> Any:
        """Return the method bound to `instance`, with both faces."""
        if instance is None:
            return self
        method = self._method

        @functools.wraps(method)
        def face(*args: P.args, **kwargs: P.kwargs) -> R_co:
            return instance.bridge.run(method(instance, *args, **kwargs))  # type: ignore[no-any-return]

        @functools.wraps(method)
        async def aio(*args: P.args, **kwargs: P.kwargs) -> R_co:
            return await instance.bridge.wait(method(instance, *args, **kwargs))  # type: ignore[no-any-return]

        # __wrapped__ would show `self`, and the synchronous face as a coroutine function.
        shown: list[Any] = [face, aio]
        for each in shown:
            del each.__wrapped__
            each.__signature__ = self._signature
        shown[0].aio = aio
        return face
