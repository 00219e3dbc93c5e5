"""What a caller who waits sees and can do: a line of progress, Stop, and errors without the way between."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Self, TypeVar

from tqdm import tqdm

E = TypeVar("E", bound=BaseException)

# What takes longer than this shows that it is at work.
_SILENT_S = 2.0
# The coroutine that IPython runs a cell in.
_CELL = "run_cell_async"


class Progress:
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


class Stop:
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
def stoppable(
    handler: Callable[[int, FrameType | None], object] = signal.default_int_handler,
) -> Iterator[None]:
    """Make SIGINT call `handler`, which raises KeyboardInterrupt, while the main thread blocks.

    In a cell that also awaits, ipykernel installs a handler that only cancels the cell's task, and a
    blocking call would never hear of it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.getsignal(signal.SIGINT)
    # None: the handler is not Python's and could not be put back. SIG_IGN: the program's own decision.
    if previous in (None, signal.SIG_IGN, handler):
        yield
        return
    signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def bare(error: E) -> E:
    """Return the error without the way it came, nor that of what caused it.

    It is meant for the reader of a cell, to whom that way is no news; and a Verbose traceback would
    show what the variables on it hold, passwords among them.
    """
    seen: set[int] = set()
    chain: list[BaseException | None] = [error]
    while chain:
        each = chain.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            each.__traceback__ = None
            chain += [each.__cause__, each.__context__]
    return error
