"""The state of now as files, for whoever has no access to the site."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import pandas as pd

from secnb.bridge import report, two_faced
from secnb.core.reader import DatabaseReader
from secnb.core.redis_reader import RedisReader
from secnb.core.redis_recording import ALL_KEYS, KeyRecorder, Record, fetch_info
from secnb.deployment.held import Held
from secnb.errors import (
    BadInputError,
    DatabaseNotFoundError,
    SecnbError,
    UnreachableError,
)
from secnb.frames.keynames import both_forms
from secnb.frames.manifest import SnapshotFolder, file_row, warn_of_missing
from secnb.frames.notes import note
from secnb.frames.recent import Stored, fetch_stored, read_newest, read_recent
from secnb.frames.secrets import mask_record, mask_value
from secnb.frames.tablefiles import require_parquet, write_table
from secnb.frames.typed import to_frame
from secnb.schema import KEY_PREFIX, QUEUE_FIELDS, SNAPSHOT

REDIS_FILE: Final = "redis.jsonl"
_MOST_ROWS: Final = 1_000_000
_GONE: Final = (UnreachableError, DatabaseNotFoundError)
# What helpers look for in Redis, besides queues and streams of any name.
_LOOKED_FOR: Final = ("batch:*", "telemetry:latency:*", "model_zoo:latency:*", "*cache:*")
_REDIS: Final = "keys of Redis"
_PLAIN_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
T = TypeVar("T")


class SnapshotHelpers(Held):
    """The helper that keeps what the others would see."""

    # Given by the helpers beside this one.
    health: Any

    @two_faced
    async def snapshot(
        self, folder: str | Path, *, hours: float | None = 24.0, limit: int = 100_000
    ) -> pd.DataFrame:
        """Return one row per file that was written: the state of now, which `secnb.connect(folder)` opens.

        For an incident: a colleague without access to the site runs the same helpers on a copy of the
        folder, as of this moment. It holds what is in Redis and the recent rows of every table, besides
        health and settings. Tables that grow (`secnb.schema.HISTORY`) are cut at `hours`; of the others,
        such as cameras, all rows are taken, up to `limit`; of views those that helpers read. A part that does
        not answer, or a table that cannot be read, is a row that says so, with a `DegradedWarning`; the
        rest is there. Where a cap leaves something out, a `TruncatedWarning` says so.

        Secrets are masked: columns that hold them, passwords in URLs, also within JSON and texts. The
        records themselves are not anonymous. Redis is read page by page with commands that only read:
        100,000 keys, queues and batches first (of a key that is not among them nothing is known), values
        as far as `cache` gives them, 16 MiB of a queue and 256 MiB in all; of a list or stream of more than
        10,000 messages the first and the last 5,000, with its true length. Of hashes and sets there is only
        what they are. It is no single instant: a queue that moves meanwhile is marked as moved.

        What is interrupted or fails is removed again; the manifest comes last. Needs the extra ``bulk``.

        Parameters
        ----------
        folder : path
            A new or empty one; nothing is overwritten.
        hours : float, optional
            So much of the history, counted back from its newest detection or event. None for all of it.
        limit : int
            At most so many rows per table, the newest; up to a million, and 256 MiB.

        Returns
        -------
        DataFrame
            Columns file (NA where nothing could be read), what, rows, size_bytes, truncated, why (what was
            left out, in words). ``attrs["folder"]`` is where it is. What was left out also stands in the
            ``attrs["left_out"]`` of every frame that comes of the snapshot.

        Raises
        ------
        BadInputError
            If something is in `folder`, or an argument is not allowed.
        SnapshotError
            If it cannot be written, such as on a full disk.
        UnreachableError
            If neither the database nor Redis answers.
        MissingDependencyError
            If pyarrow is not installed.
        """
        self._check_open()
        _check(hours, limit)
        require_parquet()
        with SnapshotFolder(folder) as target:
            manifest = await self._taken(target, hours, limit)
            path = target.finish(mask_value(manifest))
        warn_of_missing(manifest["files"])
        rows = [*manifest["files"], file_row(path, "health, settings, and what was left out")]
        columns = {name: [row[name] for row in rows] for name in SNAPSHOT}
        frame = to_frame(columns, SNAPSHOT)
        taken_at = datetime.fromisoformat(manifest["taken_at"])
        return note(frame, folder=str(target.path), read_at=taken_at, rows=len(frame), truncated=False)

    async def _taken(self, target: SnapshotFolder, hours: float | None, limit: int) -> dict[str, Any]:
        """Write everything but the manifest, and return that."""
        report("health")
        health = await self.health.aio()
        prefix = self._sources.value("redis_key_prefix") or KEY_PREFIX
        redis, redis_rows = await _write_redis(self._queue_reader(), target, prefix)
        taken_at = redis.pop("taken_at")
        database, table_rows = await self._write_database(target, taken_at, hours, limit)
        if redis["failure"] and database["failure"]:
            raise UnreachableError(f"Nothing answers: {database['failure']} {redis['failure']}")
        return {
            "taken_at": taken_at.isoformat(),
            "timezone": self.timezone,
            "note": self.note,
            "generation": self._sources.generation,
            "hours": hours,
            "limit": limit,
            "database": {"url": self._shown_urls[0], **database},
            "redis": {"url": self._shown_urls[1], **redis},
            "health": health.astype(object).where(health.notna(), None).to_dict("records"),
            "settings": [vars(each) for each in self._sources.in_force()],
            "env_file": None if self._sources.env_file is None else str(self._sources.env_file),
            "files": [*table_rows, *redis_rows],
        }

    async def _write_database(
        self, target: SnapshotFolder, taken_at: datetime, hours: float | None, limit: int
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        try:
            reader = self._db()
            stored = await fetch_stored(reader)
            newest = await read_newest(reader, taken_at)
        except SecnbError as exc:
            why = _first_line(exc)
            return {"failure": why}, [file_row(None, "tables of the database", why=[why], has_failed=True)]
        since = None if hours is None else newest - timedelta(hours=hours)
        rows: list[dict[str, Any]] = []
        for number, each in enumerate(stored):
            try:
                rows.append(await _write_table(reader, target, each, number, since, limit))
            except _GONE as exc:
                rows.append(_lost(each, _first_line(exc)))
                if not await _is_there(reader):
                    # To ask for each of the others would only take long.
                    rows += [_lost(other, _first_line(exc)) for other in stored[number + 1 :]]
                    break
        return {"failure": None, "dialect": reader.dialect}, rows


async def _is_there(reader: DatabaseReader) -> bool:
    """Return whether a database can still be read, although a table of it could not."""
    try:
        await fetch_stored(reader)
    except SecnbError:
        return False
    return True


async def _write_table(
    reader: DatabaseReader,
    target: SnapshotFolder,
    stored: Stored,
    number: int,
    since: datetime | None,
    limit: int,
) -> dict[str, Any]:
    name = stored.name
    if stored.problem is not None:
        return _lost(stored, stored.problem)
    try:
        recent = await read_recent(
            reader, name, since=since, limit=limit, on_page=lambda n: report(f"{name}: {n:,} rows")
        )
    except _GONE:
        raise
    except SecnbError as exc:
        # One table that may not be read, or is broken, is no reason to lose the others.
        return _lost(stored, _first_line(exc))
    # A name may hold what no file system takes.
    path = target.new(f"{name if _PLAIN_NAME.fullmatch(name) else f'table-{number}'}.parquet")
    with target.writing():
        mixed = await _in_thread(write_table, path, recent.columns)
    why = list(recent.notes)
    if recent.since is not None:
        why.insert(0, f"from {recent.since:%Y-%m-%d %H:%M:%S} UTC on")
    if mixed:
        why.append(f"several types in {', '.join(mixed)}, as JSON text")
    if recent.failure is not None:
        why.append(f"the next rows cannot be read: {recent.failure}")
    return file_row(
        path,
        f"table {name}",
        table=name,
        rows=recent.n_rows,
        truncated=recent.is_truncated,
        why=why,
        has_failed=recent.failure is not None,
    )


def _lost(stored: Stored, why: str) -> dict[str, Any]:
    """Return the row of what is not in the snapshot; only a view may be none that is missed."""
    if not stored.is_missed:
        return file_row(None, f"view {stored.name}", why=[why])
    return file_row(None, f"table {stored.name}", table=stored.name, why=[why], has_failed=True)


async def _write_redis(
    reader: RedisReader, target: SnapshotFolder, prefix: str
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Write what is in Redis, and return what is known of it, with the moment by its clock."""
    try:
        taken_at = await reader.fetch_time()
        version, info = await reader.ping(), await fetch_info(reader)
    except SecnbError as exc:
        why = _first_line(exc)
        return {"failure": why, "taken_at": datetime.now(UTC)}, [
            file_row(None, _REDIS, why=[why], has_failed=True)
        ]
    queues = dict.fromkeys(form for name in QUEUE_FIELDS for form in both_forms(name, prefix))
    recorder = KeyRecorder(reader, [*queues, *_LOOKED_FOR])
    path, failure = target.new(REDIS_FILE), None
    n_keys = n_cut = 0
    with target.writing():
        await _in_thread(_write_records, path, [])
        try:
            async for records in recorder.pages():
                await _in_thread(_write_records, path, records)
                n_keys += len(records)
                n_cut += sum(not record.is_whole for record in records)
                report(f"redis: {n_keys:,} keys")
        except SecnbError as exc:
            failure = _first_line(exc)
    left_out = [f"{n_cut:,} keys without all of their content"] * (n_cut > 0)
    if failure is not None:
        left_out.insert(0, f"{n_keys:,} keys; the next ones cannot be read: {failure}")
    elif ALL_KEYS not in recorder.looked_at:
        left_out.insert(0, f"{n_keys:,} keys: queues and batches, then whichever were found first")
    has_failed, is_cut = failure is not None, bool(left_out)
    row = file_row(path, _REDIS, rows=n_keys, truncated=is_cut, why=left_out, has_failed=has_failed)
    known = {"failure": None, "version": version, "info": info, "looked_at": recorder.looked_at}
    return known | {"taken_at": taken_at}, [row]


def _write_records(path: Path, records: list[Record]) -> None:
    # Opened anew for each page: whoever is stopped in between leaves no open file.
    with path.open("a", encoding="ascii") as file:
        file.writelines(mask_record(record).to_json() + "\n" for record in records)


async def _in_thread(work: Callable[..., T], *args: Any) -> T:
    """Return what a blocking call returns; a cancelled caller waits until it has ended.

    Otherwise it could still write when everything has been removed.
    """
    running = asyncio.ensure_future(asyncio.to_thread(work, *args))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            # A second cancellation is no news.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({running})
        running.exception()  # marks the outcome as seen
        raise


def _check(hours: float | None, limit: int) -> None:
    is_number = isinstance(hours, int | float) and not isinstance(hours, bool)
    if hours is not None and not (is_number and 0 < hours <= 24 * 36_500):
        raise BadInputError(f"hours is {hours!r}. Allowed: a number above 0, or None for all of the history.")
    if isinstance(limit, bool) or not isinstance(limit, int) or not 0 < limit <= _MOST_ROWS:
        raise BadInputError(f"limit is {limit!r}. Allowed: a whole number from 1 to {_MOST_ROWS:,}.")


def _first_line(error: SecnbError) -> str:
    return str(error).partition("\n")[0]
