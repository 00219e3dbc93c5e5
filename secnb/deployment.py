"""The object that an analyst holds: one deployment, looked at and never changed."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import warnings
import weakref
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pandas as pd
from sqlalchemy import Executable

from secnb import schema
from secnb.bridge import Bridge, report, shared_bridge, two_faced
from secnb.core.reader import DatabaseReader
from secnb.core.redis_reader import RedisReader
from secnb.core.url import mask_url, sqlite_path
from secnb.errors import (
    BadInputError,
    ClosedError,
    DatabaseNotFoundError,
    DegradedWarning,
    SecnbError,
    SettingsError,
    UnreachableError,
)
from secnb.frames.health import read_health
from secnb.frames.notes import mask_params, note, note_rows, warn_truncated
from secnb.frames.queues import read_messages, read_queues
from secnb.frames.records import Wanted, read_cameras, read_detections, read_events, read_note, read_truth
from secnb.frames.typed import guess_frame, mask_secrets, to_columns, to_frame
from secnb.settings_file import SettingSources, find_env_file

_DATABASE_URL = "sqlite+aiosqlite:///./data/security.db"
_REDIS_URL = "redis://localhost:6379/0"
_SERVICES = {
    "detector": ("rtdetr_url", "http://localhost:8001"),
    "reasoner": ("nemotron_url", "http://localhost:8002"),
}


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
    found_url = database_url or _text(sources, "database_url")
    deployment = Deployment(
        database_url=_absolute(found_url or _DATABASE_URL, sources.folder),
        redis_url=redis_url or _text(sources, "redis_url") or _REDIS_URL,
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


class Deployment:
    """One deployment. Made by `connect`; every method has two faces, ``f(...)`` and ``await f.aio(...)``.

    Parameters
    ----------
    database_url, redis_url : str
        Absolute; not opened before `connect` does.
    timezone : str
        The zone of days and of naive queue times.
    sources : SettingSources
        Where its settings are written.
    """

    def __init__(self, *, database_url: str, redis_url: str, timezone: str, sources: SettingSources) -> None:
        try:
            self._zone = ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
            raise SettingsError(
                f"timezone is {timezone!r}. Allowed: a name such as 'Europe/Berlin' or 'UTC'."
            ) from exc
        self.timezone = timezone
        self._sources = sources
        self._bridge = shared_bridge()
        self._is_closed = False
        self._shown_urls = (mask_url(database_url), mask_url(redis_url))
        self._failures: dict[str, SecnbError] = {}
        self._redis = RedisReader(redis_url)
        self._database: DatabaseReader | None = None
        try:
            self._database = DatabaseReader(database_url)
        except (DatabaseNotFoundError, UnreachableError) as exc:
            self._failures["database"] = exc
        self._truth: pd.DataFrame | None = None
        self._note: str | None = None
        _open_deployments.add(self)

    @property
    def bridge(self) -> Bridge:
        """The background event loop that the work runs on."""
        return self._bridge

    @property
    def note(self) -> str | None:
        """What a sandbox says that its data is, such as synthetic; None for a real deployment."""
        return self._note

    @property
    def truth(self) -> pd.DataFrame:
        """What a sandbox knows of each detection; empty for a real deployment, whose truth nobody knows.

        Columns detection_id, is_true and object_id; an object that was never recorded has detection_id NA.
        """
        if self._truth is None:
            self._truth = self._bridge.run(read_truth(self._db()))
        return self._truth.copy()

    @two_faced
    async def health(self) -> pd.DataFrame:
        """Return one row per component (database, redis, detector, reasoner): does it answer, how fast.

        Never raises because of a component that is down. The services are asked for ``<url>/health`` for
        at most 2 s; an answer below 500 is up.

        Returns
        -------
        DataFrame
            Columns component, status ("up" or "down"), latency_ms, version, generation, detail.
        """
        self._check_open()
        services = {name: _text(self._sources, setting) or url for name, (setting, url) in _SERVICES.items()}
        return await read_health(self._database or self._failures["database"], self._redis, services)

    @two_faced
    async def settings(self) -> pd.DataFrame:
        """Return one row per tunable setting: its value, where it comes from, and whether it is in force.

        Returns
        -------
        DataFrame
            Columns setting, value, default, range, unit, source, is_in_force, why. The environment is that
            of this process; a service may run with another.
        """
        self._check_open()
        found = self._sources.in_force()
        names = {"setting": "name"}
        columns = {name: [getattr(each, names.get(name, name)) for each in found] for name in schema.SETTINGS}
        return note(to_frame(columns, schema.SETTINGS), env_file=self._sources.env_file, rows=len(found))

    @two_faced
    async def queues(self) -> pd.DataFrame:
        """Return one row per queue: how long it is, what waits, and since when.

        The queues of `secnb.schema.QUEUE_FIELDS` always have a row, with length 0 where they are absent.

        Returns
        -------
        DataFrame
            Columns queue, type, length, backlog, oldest_at, oldest_age_s (seconds), n_consumers,
            n_dead_letters. NA is what the server cannot say.
        """
        return await read_queues(self._queue_reader(), timezone=self._zone)

    @two_faced
    async def peek(
        self, name: str, n: int | None = 100, *, side: Literal["head", "tail"] = "head"
    ) -> pd.DataFrame:
        """Return one row per message of a queue, whatever is in it; nothing is taken out.

        Parameters
        ----------
        name : str
            A queue of `queues()`.
        n : int, optional
            At most so many messages; None for all, read in pages of 1,000.
        side : {"head", "tail"}
            From the next in turn, or from the newest.

        Returns
        -------
        DataFrame
            Columns pos (0 is next in turn), entry_id, ok, error, raw (bytes as stored), size_bytes,
            enqueued_at, age_s, camera_id, batch_id, file_path, payload. A poison message is a row with
            ``ok=False`` and its error. ``attrs["moved"]`` tells whether a read of more than 1,000
            messages saw the queue change.

        Raises
        ------
        UnknownQueueError
            If there is no such queue.
        BadInputError
            If the key is no list, or `n` or `side` is not allowed.
        """
        return await read_messages(
            self._queue_reader(), name, n=n, side=side, timezone=self._zone, on_page=_report_rows
        )

    @two_faced
    async def sql(
        self,
        query: str | Executable,
        params: Mapping[str, Any] | None = None,
        *,
        limit: int | None = 10_000,
        timeout_s: float | None = 30.0,
    ) -> pd.DataFrame:
        """Return one row per row of a query; whatever would write is refused.

        Parameters
        ----------
        query : str or SQLAlchemy statement
            Exactly one statement. In text, ``:name`` is a parameter for the names in `params`.
        params : mapping, optional
            Values by name; a list expands, for ``IN :names``.
        limit : int, optional
            Row cap; a `TruncatedWarning` says how many rows there are. None for no cap.
        timeout_s : float, optional
            Seconds until the query is stopped.

        Returns
        -------
        DataFrame
            Whole numbers as Int64, times (columns that end in ``_at``) as UTC, the rest as it is. Columns
            that hold secrets are masked.

        Raises
        ------
        ReadOnlyError
            If the statement would change anything.
        QueryError
            If the database rejects it.
        QueryTimeoutError
            If it takes longer than `timeout_s`.
        """
        reader = self._db()
        rows = await reader.fetch(query, params, limit=limit, timeout_s=timeout_s)
        frame = guess_frame(mask_secrets(to_columns(rows.columns, rows.rows)))
        if rows.is_truncated:
            warn_truncated(len(frame), rows.total, what="rows", hint="limit=None shows all.")
        return note_rows(frame, rows, query=str(query), params=mask_params(params))

    @two_faced
    async def cameras(self, *, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return one row per camera, sorted by id; columns of `secnb.schema.CAMERAS`, then others."""
        return await read_cameras(self._db(), columns=columns)

    @two_faced
    async def detections(
        self,
        *,
        camera_id: str | Iterable[str] | None = None,
        object_type: str | Iterable[str] | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        limit: int | None = None,
        columns: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Return one row per recorded detection, sorted by time, then id.

        What the detector scored below the threshold then in force was never recorded.

        Parameters
        ----------
        camera_id, object_type : str or iterable of str, optional
            Only these.
        since, until : datetime or str, optional
            ``since <= detected_at < until``; aware, or taken as UTC.
        limit : int, optional
            At most so many, the newest; with a `TruncatedWarning`. None for all.
        columns : sequence of str, optional
            Only these, in this order.

        Returns
        -------
        DataFrame
            Columns of `secnb.schema.DETECTIONS`, then whatever else the deployment has.

        Raises
        ------
        UnknownCameraError, UnknownColumnError
            With the near matches.
        """
        wanted = Wanted(camera_id, object_type, since, until, limit, columns)
        frame = await read_detections(self._db(), wanted, on_page=_report_rows)
        return note(frame, timezone=self.timezone)

    @two_faced
    async def events(
        self,
        *,
        camera_id: str | Iterable[str] | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        limit: int | None = None,
        columns: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Return one row per event, sorted by start, then id.

        Parameters
        ----------
        camera_id : str or iterable of str, optional
            Only these.
        since, until : datetime or str, optional
            ``since <= started_at < until``; aware, or taken as UTC.
        limit : int, optional
            At most so many, the newest; with a `TruncatedWarning`. None for all.
        columns : sequence of str, optional
            Only these, in this order.

        Returns
        -------
        DataFrame
            Columns of `secnb.schema.EVENTS`, then whatever else the deployment has. ``risk_level`` is as
            stored, ``risk_level_now`` follows from the score and the cuts in force (``attrs["risk_cuts"]``,
            inclusive). An analysis that failed has ``is_failed``; its score of 50 is none.

        Raises
        ------
        UnknownCameraError, UnknownColumnError
            With the near matches.
        """
        wanted = Wanted(camera_id, None, since, until, limit, columns)
        frame = await read_events(self._db(), wanted, cuts=self._cuts(), on_page=_report_rows)
        return note(frame, timezone=self.timezone)

    def close(self) -> None:
        """Close all connections; idempotent. Every later call raises `ClosedError`."""
        if self._is_closed:
            return
        self._is_closed = True
        _open_deployments.discard(self)
        self._bridge.run(self._close())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._is_closed:
            self._is_closed = True
            _open_deployments.discard(self)
            await self._bridge.wait(self._close())

    def __repr__(self) -> str:
        without = "".join(f", no {name}" for name in self._failures)
        state = "closed" if self._is_closed else f"open{without}"
        shown = f"<{type(self).__name__} {self._shown_urls[0]} {self._shown_urls[1]} {self.timezone} {state}>"
        return shown if self._note is None else f"{shown}\n{self._note}"

    async def _open(self, *, needs_database: bool) -> None:
        """Try the database and Redis once each; raise if nothing is left to serve."""
        if needs_database and isinstance(self._failures.get("database"), DatabaseNotFoundError):
            raise self._failures["database"]
        probes = {"redis": self._redis.ping()} | (
            {"database": self._database.ping()} if self._database else {}
        )
        outcomes = await asyncio.gather(*probes.values(), return_exceptions=True)
        for name, outcome in zip(probes, outcomes, strict=True):
            if isinstance(outcome, SecnbError):
                self._failures[name] = outcome
            elif isinstance(outcome, BaseException):
                raise outcome
        if len(self._failures) == 2:
            raise self._failures["database"]
        if "database" not in self._failures:
            self._note = await read_note(self._db())

    async def _close(self) -> None:
        await self._redis.close()
        if self._database is not None:
            await self._database.close()

    def _check_open(self) -> None:
        if self._is_closed:
            raise ClosedError("This deployment was closed.", hint="open it again with secnb.connect(...).")

    def _db(self) -> DatabaseReader:
        self._check_open()
        if self._database is None:
            raise self._failures["database"]
        return self._database

    def _queue_reader(self) -> RedisReader:
        self._check_open()
        return self._redis

    def _cuts(self) -> tuple[int, int, int]:
        names = ("severity_low_max", "severity_medium_max", "severity_high_max")
        found = [self._sources.value(name) for name in names]
        low, medium, high = (
            default if value is None else int(value)
            for value, default in zip(found, schema.RISK_CUTS, strict=True)
        )
        if not low < medium < high:
            raise SettingsError(
                f"The risk cuts in force are {low}, {medium} and {high}; they must rise.",
                hint="site.settings() shows where they come from.",
            )
        return low, medium, high


_open_deployments: weakref.WeakSet[Deployment] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Let the interpreter end without open connections, and without waiting for what still runs."""
    for deployment in list(_open_deployments):
        with contextlib.suppress(SecnbError, OSError):
            deployment.close()


def _report_rows(n_rows: int) -> None:
    report(f"{n_rows:,} rows")


def _env_file(given: str | Path | None) -> Path | None:
    if given is None:
        return find_env_file(Path.cwd())
    path = Path(given).absolute()
    if not path.is_file():
        raise BadInputError(f"There is no file {path}.", hint="env_file names a .env file.")
    return path


def _text(sources: SettingSources, name: str) -> str | None:
    found = sources.lookup(name)
    return found[0] if found else None


def _absolute(url: str, folder: Path) -> str:
    """Return a SQLite URL whose path is absolute; other URLs as they are."""
    path = sqlite_path(url)
    if path is None or path.is_absolute():
        return url
    return f"sqlite+aiosqlite:///{folder.absolute() / path}"
