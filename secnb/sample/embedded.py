"""A deployment of one's own: a SQLite file and a Redis server in one folder, gone when it is closed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

import pandas as pd

from secnb.deployment import Deployment
from secnb.errors import BadInputError
from secnb.frames.records import as_utc
from secnb.sample.incidents import find_incident
from secnb.sample.server import RedisChild
from secnb.sample.store import DATABASE_NAME, build, fill_redis
from secnb.settings_file import SettingSources

_TIMEZONE = "UTC"


class Sandbox(Deployment):
    """An embedded deployment. Made by `sandbox`; it looks and answers like any other.

    It ends with :meth:`close`, with the end of a ``with`` block, and with the kernel, even a killed one.

    Parameters
    ----------
    child : RedisChild
        Its Redis server, in the folder that also holds its database.
    """

    def __init__(self, child: RedisChild) -> None:
        self._child = child
        self._database_url = f"sqlite+aiosqlite:///{child.folder / DATABASE_NAME}"
        sources = SettingSources(None)
        # A data/runtime.env in the working directory belongs to another deployment.
        sources.folder = child.folder
        super().__init__(
            database_url=self._database_url,
            redis_url=child.url,
            timezone=_TIMEZONE,
            sources=sources,
        )

    @property
    def folder(self) -> Path:
        """The folder with everything that this sandbox has; it is removed in the end."""
        return self._child.folder

    @property
    def database_url(self) -> str:
        """The URL of its database, for ``secnb.connect`` and the core; it holds no password."""
        return self._database_url

    @property
    def redis_url(self) -> str:
        """The URL of its Redis server."""
        return self._child.url

    def close(self) -> None:
        """Close all connections, end the Redis server and remove the folder; idempotent."""
        try:
            super().close()
        finally:
            self._child.close()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await super().__aexit__(kind, error, trace)
        finally:
            await asyncio.to_thread(self._child.close)


def sandbox(
    *,
    detections: pd.DataFrame | None = None,
    seed: int = 0,
    ends_at: datetime | str | None = None,
    incident: str | None = None,
) -> Sandbox:
    """Return an embedded deployment: a SQLite file, a Redis of its own, and a history with known truth.

    Without `detections` its data is synthetic, and says so: six cameras, 14 whole days and the running
    one, events, queues with poisoned messages, open batches; ``truth`` tells what was really there.
    Equal arguments give equal data.

    Parameters
    ----------
    detections : pandas.DataFrame, optional
        Real detections to serve instead, with at least camera_id, confidence and detected_at (naive times
        are taken as UTC), such as those of `secnb.read_mot`. ``detection_id`` is kept where it is present
        and unique; otherwise they are numbered in time order. There are then no events, the queues are
        empty, and nobody knows the truth. `seed` and `ends_at` have no effect.
    seed : int, default 0
        Of the synthetic history; not negative.
    ends_at : datetime.datetime or str, optional
        When the synthetic history ends; naive values are taken as UTC. None for now. The whole days do not
        depend on its time of day.
    incident : {"stuck_reasoner", "slow_detector", "poison", "silent_camera"}, optional
        What goes wrong at the end of the synthetic history, to practise on: for two hours no batch has
        been analysed; the detector is half an hour behind; a quarter of its messages cannot be read; one
        camera has sent nothing for twelve hours. None for an ordinary day. Nothing runs in a sandbox, so
        it stays as it is at its end, and `Deployment.pipeline` looks at it as of then.

    Returns
    -------
    Sandbox
        Also a context manager, ``with`` and ``async with``. Its zone is UTC.

    Raises
    ------
    MissingDependencyError
        If there is no Redis server to start.
    UnreachableError
        If the Redis server does not come up.
    UnknownColumnError, BadInputError
        If the detections lack a column, or an argument is not allowed.
    """
    staged = find_incident(incident)
    if incident is not None and detections is not None:
        raise BadInputError(
            f"incident is {incident!r}, and there are detections. Allowed: one of the two.",
            hint="an incident is staged in the synthetic history only.",
        )
    moment = as_utc("ends_at", ends_at) or datetime.now(UTC)
    child = RedisChild()
    try:
        records = build(child.folder, seed=seed, ends_at=moment, detections=detections, incident=staged)
        if detections is None:
            fill_redis(child.url, records, seed=seed)
        site = Sandbox(child)
    except BaseException:
        child.close()
        raise
    try:
        site.bridge.run(site._open(needs_database=True))
    except BaseException:
        site.close()
        raise
    return site
