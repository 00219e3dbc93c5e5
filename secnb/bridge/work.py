"""One call at work on a loop: its task, the future by which other threads watch it, how far it has come."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import itertools
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from secnb.errors import SecnbError

T = TypeVar("T")

_AGAIN_S = 0.5

_ids = itertools.count(1)
_note: contextvars.ContextVar[list[str] | None] = contextvars.ContextVar("_note", default=None)


def report(progress: str) -> None:
    """Say how far the work has come; whoever waits for it longer than two seconds sees it."""
    if (box := _note.get()) is not None:
        box[:] = [progress]


def is_within_work() -> bool:
    """Return whether the running code is part of a call already."""
    return _note.get() is not None


@dataclass(frozen=True)
class Call:
    """A running call at one moment: its number, the name of the helper, since when, how far."""

    id: int
    name: str
    started_at: datetime
    seconds: float
    progress: str | None


class Work(Generic[T]):
    """One task on a loop, and the future by which other threads watch it.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
        Where the task runs.
    coro : coroutine
        What it does.
    owner : object
        Whose call it is; None for calls that nobody lists.
    registry : dict
        The running work by number; this one stands there until it has ended.

    Attributes
    ----------
    is_forsaken : bool
        Whether nobody is to be told how it ends.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        coro: Coroutine[Any, Any, T],
        owner: object,
        registry: dict[int, Work[Any]],
    ) -> None:
        self.id = next(_ids)
        self.name = getattr(coro, "__name__", "work")
        self.owner = owner
        self.note: list[str] = []
        self.task: asyncio.Task[T] | None = None
        self.is_forsaken = False
        # A running future cannot be cancelled from outside: only the task decides how it ended.
        self.future: Future[T] = Future()
        self.future.set_running_or_notify_cancel()
        self._loop = loop
        self._coro = coro
        self._error: SecnbError | None = None
        self._started_at = time.time()
        self._started = time.monotonic()
        # Output of the work belongs to the cell that started it, and ipykernel finds that cell by context.
        self._context = contextvars.copy_context()
        self._context.run(_note.set, self.note)
        self._registry = registry
        registry[self.id] = self
        loop.call_soon_threadsafe(self._start)

    @property
    def seconds(self) -> float:
        """How long it has run."""
        return time.monotonic() - self._started

    def described(self) -> Call:
        """Return what it is and how far it has come."""
        started_at = datetime.fromtimestamp(self._started_at, UTC)
        return Call(self.id, self.name, started_at, self.seconds, self.note[0] if self.note else None)

    def cancel(self, error: SecnbError | None = None) -> None:
        """Cancel the task; callable from any thread, and before the task has begun.

        Whoever waits for it gets `error`, else asyncio's CancelledError.
        """
        self._error = error
        with contextlib.suppress(RuntimeError):  # the loop is already closed
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        # More than once: up to Python 3.11, asyncio.wait_for loses a cancellation that comes as its
        # work is done, and redis-py sends every command through it.
        if self.task is not None and not self.task.done():
            self.task.cancel()
            self._loop.call_later(_AGAIN_S, self._cancel)

    def _start(self) -> None:
        self.task = self._loop.create_task(self._coro, context=self._context)
        self.task.add_done_callback(self._finish)

    def _finish(self, task: asyncio.Task[T]) -> None:
        # First: who has the result no longer finds the call in the list.
        self._registry.pop(self.id, None)
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if self.is_forsaken:
            return
        if error is None:
            self.future.set_result(task.result())
        else:
            self.future.set_exception((task.cancelled() and self._error) or error)
