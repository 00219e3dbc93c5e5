"""The kernel's side of the reader process: its start, its channel, its end."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import importlib.util
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

_CHILD = "secnb.core.bulk_child"
_START_S = 30.0
_END_S = 1.5
_POLL_S = 0.01
_READ_BYTES = 65_536
# They can hold passwords, and the child is told where to read.
_SETTINGS = frozenset({"DATABASE_URL", "REDIS_URL"})

Begin = Callable[[Any], Callable[[Any], None]]
"""Is told the schema of a result, a `pyarrow.Schema`, and returns what takes its batches."""


class BulkError(Exception):
    """A result does not come by way of the reader process; the text says why."""


class _FailedError(BulkError):
    """The process says itself that it failed, and waits for the next request."""


def missing_part(driver: str) -> str | None:
    """Return what is not there of the extra ``bulk`` or of the system; None if nothing is missing."""
    if not hasattr(socket, "send_fds"):
        return f"{sys.platform} cannot hand an open file to another process"
    for name in ("pyarrow", "adbc_driver_manager", f"adbc_driver_{driver}"):
        if importlib.util.find_spec(name) is None:
            return f"{name} is not installed (extra bulk)"
    return None


class ReaderProcess:
    """A process that reads whole results; made by `started`, ended by `end`.

    It also ends when this object is no longer referenced, and when this process ends or is killed.

    Attributes
    ----------
    pid : int
    is_busy : bool
        Whether it reads just now; it does one thing at a time.
    """

    def __init__(self) -> None:
        self._socket, its = socket.socketpair()
        with its:
            # -P: a file of the notebook's folder that has the name of a module is not what is meant.
            command = [sys.executable, "-P", "-m", _CHILD, str(its.fileno()), str(os.getpid())]
            self._process = subprocess.Popen(
                command,
                env=_environment(),
                pass_fds=[its.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._socket.setblocking(False)
        self._received = b""
        self.pid, self.is_busy = self._process.pid, False
        self._finalizer = weakref.finalize(self, _end, self._process, self._socket, os.getpid())

    @classmethod
    async def started(cls) -> ReaderProcess:
        """Return a process that answers.

        Raises
        ------
        BulkError
            If it does not come up.
        """
        process = cls()
        try:
            async with asyncio.timeout(_START_S):
                await process._answer()
        except TimeoutError:
            await process.end()
            raise BulkError(f"the reader process did not answer within {_START_S:g} s") from None
        except BaseException:
            await process.end()
            raise
        return process

    @property
    def is_running(self) -> bool:
        """Whether it can be asked."""
        return self._finalizer.alive and self._process.poll() is None

    async def read(self, request: Mapping[str, Any], begin: Begin) -> bool:
        """Hand over the batches of one result, and return whether its limit left rows out.

        A read that is given up ends the process, and with it the query.

        Raises
        ------
        BulkError
            If the result cannot be had in this way.
        """
        with _nameless_file() as file:
            self.is_busy = True
            try:
                await self._ask(request, file.fileno())
                return await self._take(file.fileno(), begin)
            except _FailedError:
                raise
            except BaseException:
                await self.end()
                raise
            finally:
                self.is_busy = False

    async def end(self) -> None:
        """Cancel what it reads, and end it; again, it does nothing."""
        _close(self._socket)
        deadline = time.monotonic() + _END_S
        while self._process.poll() is None and time.monotonic() < deadline:
            # A second cancellation is no news; to leave now would leave the process behind.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(_POLL_S)
        if self._process.poll() is None:
            self._process.kill()
        self._finalizer()

    async def _ask(self, request: Mapping[str, Any], file: int) -> None:
        # One line, whose first byte takes the file along.
        line = json.dumps(request).encode() + b"\n"
        try:
            socket.send_fds(self._socket, [line[:1]], [file])
            await asyncio.get_running_loop().sock_sendall(self._socket, line[1:])
        except OSError:
            await self._raise_ended()

    async def _take(self, file: int, begin: Begin) -> bool:
        import pyarrow as pa

        schema: Any = None
        take: Callable[[Any], object] = begin
        place = 0
        while "is_truncated" not in (answer := await self._answer()):
            if "schema" in answer:
                schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(answer["schema"])))
                take = begin(schema)
                continue
            # Not mapped: the frame keeps what it needs, and the rest of the file is soon gone.
            stored = os.pread(file, answer["n_bytes"], place)
            place += len(stored)
            batch = pa.ipc.read_record_batch(pa.py_buffer(stored), schema)
            # A large one takes seconds, in which other calls go on, and Stop does not wait.
            await asyncio.to_thread(take, batch)
        return bool(answer["is_truncated"])

    async def _answer(self) -> dict[str, Any]:
        """Return the next answer; raise where it is a failure, or none comes any more."""
        loop = asyncio.get_running_loop()
        while b"\n" not in self._received:
            try:
                part = await loop.sock_recv(self._socket, _READ_BYTES)
            except OSError:
                part = b""
            if not part:
                await self._raise_ended()
            self._received += part
        line, _, self._received = self._received.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            raise _FailedError(answer["failed"])
        return answer

    async def _raise_ended(self) -> None:
        await self.end()
        status = self._process.returncode
        how = f"signal {-status}" if status and status < 0 else f"status {status}"
        raise BulkError(f"the reader process ended with {how}")


def _environment() -> dict[str, str]:
    """Return what the child needs of this process's environment; not what its settings hold."""
    # Where it finds this package, wherever this process found it.
    folders = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    kept = {name: text for name, text in os.environ.items() if name not in _SETTINGS}
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, folders))}


def _nameless_file() -> IO[bytes]:
    """Return a file that is gone when nobody has it open any more."""
    try:
        # Not every system has memory that is a file, and not every container allows it.
        with contextlib.suppress(AttributeError, OSError):
            return os.fdopen(os.memfd_create("secnb-bulk"), "r+b", buffering=0)
        return tempfile.TemporaryFile(buffering=0)
    except OSError as exc:
        raise BulkError(f"there is no place for a temporary file: {exc.strerror}") from exc


def _close(channel: socket.socket) -> None:
    # Even where a forked copy of this process has the socket open too.
    with contextlib.suppress(OSError):
        channel.shutdown(socket.SHUT_RDWR)
    channel.close()


def _end(process: subprocess.Popen[bytes], channel: socket.socket, owner: int) -> None:
    """Let the process end, and see to it that it did."""
    if os.getpid() != owner:
        # In a forked copy; the kernel goes on to use what is shared.
        channel.close()
        return
    _close(channel)
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
