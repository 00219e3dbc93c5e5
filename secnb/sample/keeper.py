"""The process between the kernel and a server of a sandbox, Redis or PostgreSQL; a script, run by its path.

::

    python -I keeper.py <pid of the starter> <folder> <name of the socket> <server> <argument> …

It starts the server and waits on its standard input, a pipe that the starter keeps open. When that
closes, because the starter closed it, ended or was killed, or on SIGTERM, the server is ended and the
folder removed. It stands in a session of its own, so that Stop, which sends SIGINT to the kernel's
whole process group, reaches neither of the two. The server runs as the user who owns the folder, since
PostgreSQL refuses to run as root. Only the standard library is used, and nothing of secnb, so that it
starts in a few milliseconds.
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

LOG_NAME = "server.log"
FOLDER_PREFIX = "secnb-"

_PR_SET_PDEATHSIG = 1
# On SIGTERM, PostgreSQL would wait until the last client has left.
_END = signal.SIGINT
_END_WITHIN_S = 5.0


def _ending_with_parent() -> Callable[[], None] | None:
    """Return what a child runs before exec so that it ends when this process is killed (Linux only)."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        prctl = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        return None
    keeper = os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, int(_END), 0, 0, 0)
        # Had the keeper died before the call, no signal would ever come.
        if os.getppid() != keeper:
            os._exit(1)

    return ask


def _start(folder: Path, command: list[str]) -> subprocess.Popen[bytes]:
    owner = folder.stat()
    other: dict[str, Any] = {}
    if owner.st_uid != os.geteuid():
        other = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
    # preexec_fn is safe here: this process has one thread. It runs last, since another user's process
    # would lose what it asks for.
    with (folder / LOG_NAME).open("ab") as log:
        return subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=_ending_with_parent(),
            **other,
        )


def _end(server: subprocess.Popen[bytes]) -> None:
    server.send_signal(_END)
    try:
        server.wait(_END_WITHIN_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _starter_is_gone(starter: int, wait_s: float) -> bool:
    """Wait up to `wait_s` for the pipe to close or the starter to end."""
    readable, _, _ = select.select([0], [], [], wait_s)
    if readable:
        return not os.read(0, 1024)
    # A child forked past Python's hooks may hold the pipe open after the starter was killed.
    return os.getppid() != starter


def _watch(starter: int, server: subprocess.Popen[bytes], socket: Path) -> int:
    """Return when the starter is gone (0), or when the server never came up (1)."""
    came_up = False
    while not _starter_is_gone(starter, 1.0 if came_up else 0.02):
        came_up = came_up or socket.exists()
        if not came_up and server.poll() is not None:
            return 1
        # A server that ends later takes nothing with it: the database in the folder is still served.
        server.poll()
    return 0


def _on_signal(number: int, frame: FrameType | None) -> None:
    """Leave through the clean-up in `main`, once."""
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    raise SystemExit(0)


def main(arguments: list[str]) -> int:
    """Keep one server until the starter is gone.

    Parameters
    ----------
    arguments : list of str
        Process id of the starter, folder of the server, name of its socket, then its command line.

    Returns
    -------
    int
        0; or 1 where the server ended before it listened, and then the folder stays, with its log.
    """
    starter, folder, socket, command = int(arguments[0]), Path(arguments[1]), arguments[2], arguments[3:]
    if not folder.name.startswith(FOLDER_PREFIX):
        raise SystemExit(f"{folder} is not a sandbox's folder; it would be removed in the end")
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(name, _on_signal)
    server: subprocess.Popen[bytes] | None = None
    status = 0
    try:
        server = _start(folder, command)
        status = _watch(starter, server, folder / socket)
    except OSError as error:
        # Standard error is the log that the starter shows.
        sys.stderr.write(f"{error}\n")
        status = 1
    finally:
        if server is not None:
            _end(server)
        if status == 0:
            shutil.rmtree(folder, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
