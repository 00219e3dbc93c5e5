"""From the environment to a deployment: `connect`."""

from __future__ import annotations

import warnings
from pathlib import Path

from secnb.core.url import sqlite_path
from secnb.deployment.messages import MessageHelpers
from secnb.deployment.overview import OverviewHelpers
from secnb.deployment.records import RecordHelpers
from secnb.errors import BadInputError, DegradedWarning
from secnb.settings_file import SettingSources, find_env_file

_DATABASE_URL = "sqlite+aiosqlite:///./data/security.db"
_REDIS_URL = "redis://localhost:6379/0"


class Deployment(OverviewHelpers, MessageHelpers, RecordHelpers):
    """One deployment, looked at and never changed. Made by `connect`.

    Every helper has two faces: ``site.queues()`` blocks and returns the frame, ``await site.queues.aio()``
    does the same without blocking. The docstring of the class `Held` says what it is made of.
    """


def connect(
    env_file: str | Path | None = None,
    *,
    database_url: str | None = None,
    redis_url: str | None = None,
    timezone: str | None = None,
) -> Deployment:
    """Return the deployment that the environment describes; nothing in it is changed, nothing is created.

    Arguments win over the environment, that over ``data/runtime.env``, that over ``.env``, that over the
    defaults of the core. A database without Redis, or the reverse, is served as far as it goes, with a
    `DegradedWarning`. Each is tried once, for at most 3 s.

    Parameters
    ----------
    env_file : path, optional
        The ``.env`` file. None looks for one upward from the working directory. Relative SQLite paths
        count from its folder.
    database_url : str, optional
        SQLite or PostgreSQL, with or without a driver.
    redis_url : str, optional
        ``redis://``, ``rediss://`` or ``unix://``.
    timezone : str, optional
        The zone of days and of naive queue times, such as ``"Europe/Berlin"``. None takes the setting
        ``camera_timezone``, else UTC.

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
    """
    sources = SettingSources(_env_file(env_file))
    zone = timezone or sources.value("camera_timezone") or "UTC"
    found_url = database_url or sources.text("database_url")
    deployment = Deployment(
        database_url=_absolute(found_url or _DATABASE_URL, sources.folder),
        redis_url=redis_url or sources.text("redis_url") or _REDIS_URL,
        timezone=zone,
        sources=sources,
    )
    try:
        deployment.bridge.run(deployment._open(needs_database=found_url is not None))
    except BaseException:
        deployment.close()
        raise
    for name, failure in deployment._failures.items():
        # Served without it; what needs it tries again and raises then.
        warnings.warn(DegradedWarning(f"Serving without the {name}: {failure}"), stacklevel=2)
    return deployment


def _env_file(given: str | Path | None) -> Path | None:
    if given is None:
        return find_env_file(Path.cwd())
    path = Path(given).absolute()
    if not path.is_file():
        raise BadInputError(f"There is no file {path}.", hint="env_file names a .env file.")
    return path


def _absolute(url: str, folder: Path) -> str:
    """Return a SQLite URL whose path is absolute; other URLs as they are."""
    path = sqlite_path(url)
    if path is None or path.is_absolute():
        return url
    return f"sqlite+aiosqlite:///{folder.absolute() / path}"
