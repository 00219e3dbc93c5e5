"""The one place where synchronous notebook code meets the async core.

Work runs as tasks on one event loop in a daemon thread of its own; asyncio is not patched. A helper is
written once, as a coroutine, and has two faces: ``f(...)`` blocks and returns the result, ``await
f.aio(...)`` does the same without blocking the caller's loop. A call that is stopped (KeyboardInterrupt)
or cancelled cancels its work and gives it a moment to clean up behind itself.
"""

from __future__ import annotations

from secnb.bridge.background import Bridge, shared_bridge
from secnb.bridge.faces import Faces, HasBridge, two_faced
from secnb.bridge.notebook import NotebookBridge
from secnb.bridge.waiting import Progress, bare
from secnb.bridge.work import Call, report

__all__ = [
    "Bridge",
    "Call",
    "Faces",
    "HasBridge",
    "NotebookBridge",
    "Progress",
    "bare",
    "report",
    "shared_bridge",
    "two_faced",
]
