"""The other bridge, by choice only: helpers run on the notebook's own event loop, which is patched for it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from types import FrameType
from typing import Any, TypeVar

from secnb.bridge.background import Bridge
from secnb.bridge.waiting import bare, stoppable
from secnb.bridge.work import is_within_work
from secnb.errors import BridgeError, MissingDependencyError, SecnbError

T = TypeVar("T")


class NotebookBridge(Bridge):
    """The event loop that a cell runs on, made reentrant, as the place where the work runs.

    nest_asyncio2 patches the whole process, for good: ``asyncio.Task`` and ``asyncio.Future`` become the
    slower pure Python ones, ``asyncio.run`` and ``asyncio.get_event_loop`` are replaced, and the loop of
    this thread may be run while it runs, so that other tasks go on in the middle of a blocking call.

    Raises
    ------
    MissingDependencyError
        If nest_asyncio2 is not installed.
    BridgeError
        If no loop runs in this thread, or it is one that cannot be patched.
    """

    def __init__(self) -> None:
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            raise BridgeError(
                "There is no running event loop to work on.",
                hint='loop="notebook" is for the cells of a notebook; loop="background" works anywhere.',
            ) from None
        _patch(self._loop)
        self._pid = os.getpid()
        self._works = {}
        self._thread = threading.current_thread()

    def run(self, coro: Coroutine[Any, Any, T], *, owner: object = None) -> T:
        """Return the result of `coro`; the loop goes on within the call, or blocks another thread's caller.

        Raises as `Bridge.run` does.
        """
        if threading.current_thread() is not self._thread:
            return super().run(coro, owner=owner)
        self._check(coro, blocking=False)
        waiting = self._loop.create_task(self.wait(coro, owner=owner))
        was_pressed = False

        def stop(*_: int | FrameType | None) -> None:
            # A KeyboardInterrupt right here could come out in any task of the kernel.
            nonlocal was_pressed
            was_pressed = True
            self._loop.call_soon_threadsafe(waiting.cancel)

        with stoppable(stop):
            try:
                return self._loop.run_until_complete(waiting)
            except SecnbError as exc:
                raise bare(exc) from exc.__cause__
            except asyncio.CancelledError:
                if was_pressed:
                    raise KeyboardInterrupt from None
                raise

    def _is_within(self) -> bool:
        return is_within_work()

    def _check_process(self) -> None:
        super()._check_process()
        if self._loop.is_closed():
            raise BridgeError("The notebook's event loop, on which this deployment was opened, is closed.")


def _patch(loop: asyncio.AbstractEventLoop) -> None:
    try:
        import nest_asyncio2
    except ImportError as exc:
        raise MissingDependencyError(
            'loop="notebook" needs nest_asyncio2, which is not installed.',
            hint="pip install 'secnb[nested]'",
        ) from exc
    try:
        nest_asyncio2.apply(loop)
    except ValueError as exc:
        raise BridgeError(f"The loop cannot be patched: {exc}.", hint='use loop="background".') from exc
