"""What a deployment holds: its readers, the sources of its settings, the bridge; opening and closing them."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import weakref
from datetime import datetime
from types import TracebackType
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from secnb.bridge import Bridge, report, shared_bridge
from secnb.core.reader import DatabaseReader
from secnb.core.redis_reader import RedisReader
from secnb.core.url import HiddenURL, mask_url
from secnb.errors import ClosedError, DatabaseNotFoundError, SecnbError, SettingsError, UnreachableError
from secnb.frames.generations import read_generation
from secnb.frames.records import read_note
from secnb.settings_file import SettingSources

_CLOSE_S = 3.0


class Held:
    """What a deployment holds, and how it is opened and closed.

    Parameters
    ----------
    database_url, redis_url : str
        Absolute; not opened before `connect` does.
    timezone : str
        The zone of days and of naive queue times.
    sources : SettingSources
        Where its settings are written.
    bridge : Bridge, optional
        Where the work runs; None for the background loop of this process.
    redis : RedisReader, optional
        What is read in place of the server of `redis_url`.
    """

    taken_at: datetime | None = None
    """When the snapshot was taken; None for what is live."""

    def __init__(
        self,
        *,
        database_url: str,
        redis_url: str,
        timezone: str,
        sources: SettingSources,
        bridge: Bridge | None = None,
        redis: RedisReader | None = None,
    ) -> None:
        try:
            self._zone = ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as exc:
            raise SettingsError(
                f"timezone is {timezone!r}. Allowed: a name such as 'Europe/Berlin' or 'UTC'."
            ) from exc
        self.timezone = timezone
        self._sources = sources
        self._bridge = bridge or shared_bridge()
        self._is_closed = False
        self._shown_urls = (mask_url(database_url), mask_url(redis_url))
        self._failures: dict[str, SecnbError] = {}
        self._redis = redis or RedisReader(redis_url)
        self._hidden_url = HiddenURL(database_url)
        self._database: DatabaseReader | None = None
        try:
            self._database = DatabaseReader(database_url)
        except (DatabaseNotFoundError, UnreachableError) as exc:
            self._failures["database"] = exc
        self._note: str | None = None
        _open_deployments.add(self)

    @property
    def bridge(self) -> Bridge:
        """The event loop that the work runs on, in the background unless `connect` was told otherwise."""
        return self._bridge

    @property
    def note(self) -> str | None:
        """What a sandbox says that its data is, such as synthetic; None for a real deployment."""
        return self._note

    def close(self) -> None:
        """Close all connections; idempotent. Every later call, and each that runs, raises `ClosedError`."""
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

    def _connect(self, *, needs_database: bool) -> None:
        """Open, and wait until it is done."""

        async def connect() -> None:
            # A slow one is shown by the name of what runs.
            await self._open(needs_database=needs_database)

        self.bridge.run(connect())

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
            self._sources.generation = await read_generation(self._db())

    async def _close(self) -> None:
        await self._bridge.end_all(self, ClosedError("This deployment was closed while the call ran."))
        # A server that is gone must not hold up the end of a kernel.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await self._redis.close()
                if self._database is not None:
                    await self._database.close()

    def _check_open(self) -> None:
        if self._is_closed:
            raise ClosedError("This deployment was closed.", hint="open it again with secnb.connect(...).")

    def _db(self) -> DatabaseReader:
        self._check_open()
        if self._database is None:
            # It may have come since.
            self._database = DatabaseReader(self._hidden_url)
        return self._database

    def _queue_reader(self) -> RedisReader:
        self._check_open()
        return self._redis


_open_deployments: weakref.WeakSet[Held] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Let the interpreter end without open connections, and without waiting for what still runs."""
    for deployment in list(_open_deployments):
        deployment.bridge.forsake_all(deployment)
        with contextlib.suppress(SecnbError, OSError):
            deployment.close()


def report_rows(n_rows: int) -> None:
    """Show how many rows a long read has so far."""
    report(f"{n_rows:,} rows")
