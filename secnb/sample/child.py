"""A server of a sandbox's own, in a folder of its own, which survives Stop and ends with the kernel."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from secnb.errors import UnreachableError
from secnb.sample import keeper

SOCKET_PATH_BYTES = 103
"""The longest path of a unix socket, in bytes: macOS allows 104 with the closing zero, Linux 108."""

_SHORT_FOLDERS = ("/tmp", "/var/tmp")  # noqa: S108  mkdtemp makes a new folder there, of mode 0700
_END_WITHIN_S = 8.0
_POLL_S = 0.01


def make_folder(socket: str, *, is_for_another: bool = False) -> Path:
    """Return a new, empty folder that only this user can enter, with room for a socket's name.

    It is made where temporary files go, or in ``/tmp`` where that path is too long for a unix socket.

    Parameters
    ----------
    socket : str
        The name of the socket that will lie in it.
    is_for_another : bool, default False
        Whether another user will get it; then every folder above it can be entered by all.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    OSError
        If none of these places will do.
    """
    for parent in (None, *_SHORT_FOLDERS):
        folder = Path(tempfile.mkdtemp(prefix=keeper.FOLDER_PREFIX, dir=parent)).absolute()
        is_short = len(os.fsencode(folder / socket)) <= SOCKET_PATH_BYTES
        if is_short and (not is_for_another or is_open(folder.parent)):
            return folder
        folder.rmdir()
    raise OSError(
        f"No folder for temporary files is open and has a path short enough for a unix socket: {folder}."
    )


def is_open(folder: Path) -> bool:
    """Whether every user can go into `folder`."""
    found = folder.resolve()
    return all(each.stat().st_mode & 0o001 for each in (found, *found.parents))


class Child(ABC):
    """A running server of our own, in its own folder, ended by :meth:`close`.

    It also ends when this object is no longer referenced, when this process ends, and when this process
    is killed. In a forked copy of this process, :meth:`close` does nothing to the server.

    Parameters
    ----------
    folder : pathlib.Path
        A folder of :func:`make_folder`; it is removed when the server ends.
    socket : str
        The name of the socket in it at which the server listens.
    command : sequence of str
        What starts the server.
    by_hand : str
        The same, as a hint says it.
    timeout_s : float
        How long the server may take until it answers, in seconds.

    Attributes
    ----------
    folder : pathlib.Path
        The folder with the socket and the log.
    url : str
        Where the server answers; it holds no password.
    pid, keeper_pid : int
        The process ids of the server, once it answers, and of the process that ends it.
    """

    _title = "server"
    url: str
    pid: int

    def __init__(
        self, folder: Path, socket: str, command: Sequence[str], *, by_hand: str, timeout_s: float
    ) -> None:
        self.folder = folder
        self._by_hand, self._timeout_s = by_hand, timeout_s
        self.socket = folder / socket
        self._keeper, self._pipe = _start_keeper(folder, socket, command)
        self.keeper_pid = self._keeper.pid
        self._finalizer = weakref.finalize(self, _end, self._keeper, self._pipe, folder, os.getpid())
        _open_pipes.add(self._pipe)

    def __repr__(self) -> str:
        state = "running" if self._finalizer.alive else "closed"
        return f"<{type(self).__name__} {self.url} {state}>"

    def close(self) -> None:
        """End the server and remove its folder; again, it does nothing."""
        self._finalizer()

    def wait(self) -> None:
        """Wait until the server answers; again, it does nothing.

        Raises
        ------
        UnreachableError
            If it does not answer in time; the text ends with the server's own log.
        """
        try:
            deadline = time.monotonic() + self._timeout_s
            while time.monotonic() < deadline and self._keeper.poll() is None:
                if (pid := self._find_pid()) is not None:
                    self.pid = pid
                    return
                time.sleep(_POLL_S)
            ended = self._keeper.poll() is not None
            what = "ended at once" if ended else f"did not answer within {self._timeout_s:g} s"
            log = _log_text(self.folder) or "(empty)"
            raise UnreachableError(
                f"The sandbox's {self._title} {what}. Its log:\n{log}",
                hint=f"start it by hand in the same way to see more: {self._by_hand}",
            )
        except BaseException:
            self.close()
            raise

    @abstractmethod
    def _find_pid(self) -> int | None:
        """Return the server's process id, or None while it does not answer."""


class _Pipe:
    """The writing end of the pipe that a keeper waits on."""

    def __init__(self, fd: int) -> None:
        self.fd: int | None = fd

    def close(self) -> None:
        fd, self.fd = self.fd, None
        if fd is not None:
            os.close(fd)


_open_pipes: weakref.WeakSet[_Pipe] = weakref.WeakSet()


def _close_pipes_in_fork() -> None:
    """Close the copies that a forked child got, so that it does not keep the servers alive."""
    for pipe in list(_open_pipes):
        pipe.close()


# Programs that are executed get no copy, because pipes of Python are not inheritable.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_pipes_in_fork)


def _start_keeper(folder: Path, socket: str, command: Sequence[str]) -> tuple[subprocess.Popen[bytes], _Pipe]:
    """Start the keeper with the reading end of a pipe as its standard input."""
    reading, writing = os.pipe()
    pipe = _Pipe(writing)
    try:
        with (folder / keeper.LOG_NAME).open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-I", keeper.__file__, str(os.getpid()), str(folder), socket, *command],
                stdin=reading,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
    except BaseException:
        pipe.close()
        raise
    finally:
        os.close(reading)
    return child, pipe


def _end(child: subprocess.Popen[bytes], pipe: _Pipe, folder: Path, owner: int) -> None:
    """Let the keeper end the server, and see to it that it did."""
    pipe.close()
    if os.getpid() != owner:
        return
    try:
        child.wait(_END_WITHIN_S)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGKILL)
        child.wait()
    # The keeper leaves the folder where the server never came up, or where it was killed itself.
    shutil.rmtree(folder, ignore_errors=True)


def _log_text(folder: Path) -> str:
    """Return the last lines that server and keeper wrote."""
    try:
        text = (folder / keeper.LOG_NAME).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.strip().splitlines()[-12:])
