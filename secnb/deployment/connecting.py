"""From the environment to a deployment: `connect`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal

from secnb.bridge import Bridge, NotebookBridge, bare, shared_bridge
from secnb.core.url import HiddenURL, sqlite_path
from secnb.deployment.assembled import Deployment
from secnb.deployment.recorded import Snapshot
from secnb.errors import BadInputError, DegradedWarning, SecnbError
from secnb.frames.manifest import is_snapshot
from secnb.settings_file import SettingSources, find_env_file

_DATABASE_URL = "sqlite+aiosqlite:///./data/security.db"
_REDIS_URL = "redis://localhost:6379/0"


def connect(
    env_file: str | Path | None = None,
    *,
    database_url: str | None = None,
    redis_url: str | None = None,
    timezone: str | None = None,
    loop: Literal["background", "notebook"] = "background",
) -> Deployment:
    """Return the deployment that the environment describes; nothing in it is changed, nothing is created.

    Arguments win over the environment, that over ``data/runtime.env``, that over ``.env``, that over the
    defaults of the core. A database without Redis, or the reverse, is served as far as it goes, with a
    `DegradedWarning`. Each is tried once, for at most 3 s.

    Parameters
    ----------
    env_file : path, optional
        The ``.env`` file. None looks for one upward from the working directory. Relative SQLite paths
        count from its folder. Or the folder of a snapshot (`Deployment.snapshot`), which is then what is
        looked at, as of its moment.
    database_url : str, optional
        SQLite or PostgreSQL, with or without a driver.
    redis_url : str, optional
        ``redis://``, ``rediss://`` or ``unix://``.
    timezone : str, optional
        The zone of days and of naive queue times, such as ``"Europe/Berlin"``. None takes the setting
        ``camera_timezone``, else UTC.
    loop : {"background", "notebook"}
        Where the helpers run. ``"background"`` is an event loop in a thread of its own, and patches nothing.
        ``"notebook"`` is the loop that the cell runs on, for code that has to share it; it needs the extra
        ``nested``, and nest_asyncio2 then patches asyncio for the whole process, for good: tasks and
        futures become the slower pure Python ones, ``asyncio.run`` is replaced, and while a call blocks,
        other tasks of the kernel go on in the middle of it. That is why it is not the default.

    Returns
    -------
    Deployment
        Also a context manager, ``with`` and ``async with``.

    Raises
    ------
    DatabaseNotFoundError
        If the SQLite file is not there; the message names its absolute path.
    UnreachableError
        If neither the database nor Redis answers.
    SettingsError
        If a URL or the zone cannot be read.
    BadInputError
        If `env_file` is not there, `loop` is not one of those above, or a URL is given with a snapshot.
    SnapshotError
        If the snapshot is not whole, or comes from a newer secnb.
    MissingDependencyError, BridgeError
        If ``loop="notebook"`` lacks nest_asyncio2, or a running loop; a snapshot needs pyarrow.
    """
    # A Verbose traceback shows every argument and local variable on its way.
    database_url, redis_url = _hidden(database_url), _hidden(redis_url)
    try:
        deployment = _connected(env_file, database_url, redis_url, timezone, _bridge(loop))
    except SecnbError as exc:
        raise bare(exc) from exc.__cause__
    for name, failure in deployment._failures.items():
        # Served without it; what needs it tries again and raises then.
        without = "Redis" if name == "redis" else f"the {name}"
        warnings.warn(DegradedWarning(f"Serving without {without}: {failure}"), stacklevel=2)
    return deployment


def _connected(
    env_file: str | Path | None,
    database_url: str | None,
    redis_url: str | None,
    timezone: str | None,
    bridge: Bridge,
) -> Deployment:
    if env_file is not None and is_snapshot(Path(env_file)):
        if database_url or redis_url:
            raise BadInputError(f"{env_file} is a snapshot. Allowed: a snapshot, or URLs, and not both.")
        return _opened(Snapshot(Path(env_file).absolute(), timezone=timezone, bridge=bridge))
    sources = SettingSources(_env_file(env_file))
    zone = timezone or sources.value("camera_timezone") or "UTC"
    # An empty variable, as compose files have them, names nothing.
    found_url = database_url or _hidden(sources.text("database_url")) or None
    deployment = Deployment(
        database_url=_absolute(found_url or _DATABASE_URL, sources.folder),
        redis_url=redis_url or _hidden(sources.text("redis_url")) or _REDIS_URL,
        timezone=zone,
        sources=sources,
        bridge=bridge,
    )
    return _opened(deployment, needs_database=found_url is not None)


def _opened(deployment: Deployment, *, needs_database: bool = False) -> Deployment:
    try:
        deployment._connect(needs_database=needs_database)
    except BaseException:
        deployment.close()
        raise
    return deployment


def _hidden(url: str | None) -> str | None:
    return HiddenURL(url) if isinstance(url, str) else url


def _bridge(loop: str) -> Bridge:
    if loop not in ("background", "notebook"):
        raise BadInputError(f"loop is {loop!r}. Allowed: 'background' and 'notebook'.")
    return shared_bridge() if loop == "background" else NotebookBridge()


def _env_file(given: str | Path | None) -> Path | None:
    if given is None:
        return find_env_file(Path.cwd())
    path = Path(given).absolute()
    if not path.is_file():
        raise BadInputError(
            f"There is no file {path}.", hint="env_file names a .env file, or a whole snapshot."
        )
    return path


def _absolute(url: str, folder: Path) -> str:
    """Return a SQLite URL whose path is absolute; other URLs as they are."""
    path = sqlite_path(url)
    if path is None or path.is_absolute():
        return url
    return f"sqlite+aiosqlite:///{folder.absolute() / path}"
