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
from secnb.core.redis_recording import MAX_KEYS, Record, fetch_info, record_keys
from secnb.deployment.held import Held
from secnb.errors import BadInputError, DatabaseNotFoundError, SecnbError, UnreachableError
from secnb.frames.manifest import SnapshotFolder
from secnb.frames.notes import note
from secnb.frames.recent import fetch_stored_tables, read_newest, read_recent
from secnb.frames.secrets import mask_record, mask_value
from secnb.frames.tablefiles import require_parquet, write_table
from secnb.frames.typed import to_frame
from secnb.schema import SNAPSHOT

REDIS_FILE: Final = "redis.jsonl"
_MOST_ROWS: Final = 1_000_000
_GONE: Final = (UnreachableError, DatabaseNotFoundError)
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
        such as cameras, all rows are taken, up to `limit`. A part that does not answer is left out.

        Secrets are masked: columns that hold them, passwords in URLs, also within JSON and texts. The
        records themselves are not anonymous. Redis is read page by page with commands that only read:
        100,000 keys, values as far as `cache` gives them, 16 MiB of a queue and 256 MiB in all; of a list
        or stream of more than 10,000 messages the first and the last 5,000, with its true length. Of
        hashes and sets there is only what they are. It is no single instant: a queue that moves meanwhile
        is marked as moved.

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
        rows = [*manifest["files"], _row(path, "health, settings, and what was left out")]
        columns = {name: [row[name] for row in rows] for name in SNAPSHOT}
        frame = to_frame(columns, SNAPSHOT)
        taken_at = datetime.fromisoformat(manifest["taken_at"])
        return note(frame, folder=str(target.path), read_at=taken_at, rows=len(frame), truncated=False)

    async def _taken(self, target: SnapshotFolder, hours: float | None, limit: int) -> dict[str, Any]:
        """Write everything but the manifest, and return that."""
        report("health")
        health = await self.health.aio()
        redis, redis_rows = await _write_redis(self._queue_reader(), target)
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
            tables = await fetch_stored_tables(reader)
            newest = await read_newest(reader, taken_at)
        except SecnbError as exc:
            return {"failure": _first_line(exc)}, []
        since = None if hours is None else newest - timedelta(hours=hours)
        rows: list[dict[str, Any]] = []
        for number, name in enumerate(tables):
            try:
                rows.append(await _write_table(reader, target, name, number, since, limit))
            except _GONE as exc:
                # It went away; to ask for each of the others would only take long.
                why = [_first_line(exc)]
                rows += [
                    _row(None, f"table {each}", table=each, truncated=True, why=why)
                    for each in tables[number:]
                ]
                break
        return {"failure": None, "dialect": reader.dialect}, rows


async def _write_table(
    reader: DatabaseReader,
    target: SnapshotFolder,
    name: str,
    number: int,
    since: datetime | None,
    limit: int,
) -> dict[str, Any]:
    what = f"table {name}"
    try:
        recent = await read_recent(
            reader, name, since=since, limit=limit, on_page=lambda n: report(f"{name}: {n:,} rows")
        )
    except _GONE:
        raise
    except SecnbError as exc:
        # One table that may not be read, or is broken, is no reason to lose the others.
        return _row(None, what, table=name, truncated=True, why=[_first_line(exc)])
    # A name may hold what no file system takes.
    path = target.new(f"{name if _PLAIN_NAME.fullmatch(name) else f'table-{number}'}.parquet")
    with target.writing():
        mixed = await _in_thread(write_table, path, recent.columns)
    why = list(recent.notes)
    if recent.since is not None:
        why.insert(0, f"from {recent.since:%Y-%m-%d %H:%M:%S} UTC on")
    if mixed:
        why.append(f"several types in {', '.join(mixed)}, as JSON text")
    return _row(path, what, table=name, rows=recent.n_rows, truncated=recent.is_truncated, why=why)


async def _write_redis(
    reader: RedisReader, target: SnapshotFolder
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Write what is in Redis, and return what is known of it, with the moment by its clock."""
    try:
        taken_at = await reader.fetch_time()
        version, info = await reader.ping(), await fetch_info(reader)
    except SecnbError as exc:
        return {"failure": _first_line(exc), "taken_at": datetime.now(UTC)}, []
    path, failure = target.new(REDIS_FILE), None
    n_keys = n_cut = 0
    with target.writing():
        await _in_thread(_write_records, path, [])
        try:
            async for records in record_keys(reader):
                await _in_thread(_write_records, path, records)
                n_keys += len(records)
                n_cut += sum(not record.is_whole for record in records)
                report(f"redis: {n_keys:,} keys")
        except SecnbError as exc:
            failure = _first_line(exc)
    why: list[str | None] = [f"the first {MAX_KEYS:,} keys that were found"] * (n_keys >= MAX_KEYS)
    why += [f"{n_cut:,} keys without all of their content"] * (n_cut > 0)
    why += [failure] * (failure is not None)
    row = _row(path, "keys of Redis", rows=n_keys, truncated=bool(why), why=why)
    return {"failure": None, "version": version, "info": info, "taken_at": taken_at}, [row]


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


def _row(
    path: Path | None,
    what: str,
    *,
    table: str | None = None,
    rows: int | None = None,
    truncated: bool = False,
    why: list[Any] | None = None,
) -> dict[str, Any]:
    return {
        "file": None if path is None else path.name,
        "what": what,
        "rows": rows,
        "size_bytes": None if path is None else path.stat().st_size,
        "truncated": truncated,
        "why": "; ".join(why or ()) or None,
        "table": table,
    }


def _check(hours: float | None, limit: int) -> None:
    is_number = isinstance(hours, int | float) and not isinstance(hours, bool)
    if hours is not None and not (is_number and 0 < hours <= 24 * 36_500):
        raise BadInputError(f"hours is {hours!r}. Allowed: a number above 0, or None for all of the history.")
    if isinstance(limit, bool) or not isinstance(limit, int) or not 0 < limit <= _MOST_ROWS:
        raise BadInputError(f"limit is {limit!r}. Allowed: a whole number from 1 to {_MOST_ROWS:,}.")


def _first_line(error: SecnbError) -> str:
    return str(error).partition("\n")[0]
