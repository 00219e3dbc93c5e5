"""A deployment of which only a snapshot is at hand."""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import shutil
import sqlite3
import tempfile
import warnings
import weakref
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NoReturn

import pandas as pd

from secnb.bridge import Bridge, two_faced
from secnb.core.health import Answer
from secnb.core.reader import DatabaseReader
from secnb.core.redis_recorded import RecordedRedis
from secnb.core.redis_recording import ALL_KEYS, Record
from secnb.deployment.assembled import Deployment
from secnb.deployment.snapshots import REDIS_FILE
from secnb.errors import DegradedWarning, SecnbError, SnapshotError, UnreachableError
from secnb.frames.manifest import read_manifest, warn_of_missing
from secnb.frames.notes import note
from secnb.frames.tablefiles import load_table, require_parquet
from secnb.frames.typed import to_frame
from secnb.schema import HEALTH, HISTORY, TUNABLE
from secnb.settings_file import SettingInForce, SettingSources

# What only a live deployment can do: the helper, its argument, why not, and what to do.
_LIVE: Final = {
    "queues": ("watch_s", "A snapshot is one moment, in which nothing moves.", "queues() shows that moment."),
    "show": ("embed", "No image is in a snapshot.", "show(detection_id) draws the box."),
    "snapshot": ("folder", "This is a snapshot already.", "copy its folder."),
}
# What comes of a file that is not as it was written.
_UNREADABLE: Final = (KeyError, TypeError, AttributeError, ValueError, RecursionError, OSError)


def _as_recorded(helper: two_faced[Any, Any, Any]) -> two_faced[Any, Any, Any]:
    """Return a helper whose frames say that they come from a snapshot, and from when."""
    method = helper._method
    argument, problem, hint = _LIVE.get(helper.__name__, (None, "", ""))
    signature = inspect.signature(method)

    @functools.wraps(method)
    async def recorded(self: Snapshot, *args: Any, **kwargs: Any) -> Any:
        if argument is not None and signature.bind(self, *args, **kwargs).arguments.get(argument):
            raise SnapshotError(problem, hint=hint)
        result = await method(self, *args, **kwargs)
        if isinstance(result, pd.DataFrame):
            note(result, source="snapshot", read_at=self.taken_at, left_out=self._left_out)
            if "pattern" in signature.parameters:
                given = signature.bind(self, *args, **kwargs)
                given.apply_defaults()
                if {given.arguments["pattern"], ALL_KEYS}.isdisjoint(self._looked_at):
                    note(result, truncated=True)
        return result

    return two_faced(recorded)


class RecordedSources(SettingSources):
    """The settings that were in force when a snapshot was taken.

    Parameters
    ----------
    folder : Path
        Of the snapshot.
    manifest : mapping
        Of the snapshot.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any]) -> None:
        self.env_file = Path(manifest["env_file"]) if manifest.get("env_file") else None
        self.folder = folder
        self._recorded = [SettingInForce(**each) for each in manifest["settings"]]

    def lookup(self, name: str) -> None:
        """Return None: the texts of settings are not recorded."""

    def in_force(self) -> list[SettingInForce]:
        """Return every tunable setting as it was."""
        return list(self._recorded)

    def value(self, name: str) -> Any:
        """Return the value of one tunable setting that the deployment worked with."""
        found = next((each for each in self._recorded if each.name == name), None)
        if found is None:
            return TUNABLE[name].default
        return found.value if found.is_in_force else found.default


class Snapshot(Deployment):
    """A deployment as it was at one moment. Made by `connect`, from the folder of a snapshot.

    Its database is a private SQLite file, which goes with `close` and with the end of the interpreter.

    Parameters
    ----------
    folder : Path
    timezone : str or None
        None for that of the deployment.
    bridge : Bridge
    """

    def __init__(self, folder: Path, *, timezone: str | None, bridge: Bridge) -> None:
        self._manifest = manifest = read_manifest(folder)
        own = Path(tempfile.mkdtemp(prefix="secnb-snapshot-"))
        self._remove = weakref.finalize(self, _remove, own, os.getpid())
        try:
            self._fill(folder, own / "snapshot.db", timezone or manifest["timezone"], bridge)
        except BaseException as exc:
            self._remove()
            if isinstance(exc, _UNREADABLE) and not isinstance(exc, SecnbError):
                _refuse(folder, exc)
            raise

    def _fill(self, folder: Path, path: Path, timezone: str, bridge: Bridge) -> None:
        manifest = self._manifest
        self.taken_at = datetime.fromisoformat(manifest["taken_at"])
        database, server = manifest["database"], manifest["redis"]
        self._database_failure = database["failure"]
        self._answers: dict[str, str | Answer] = {
            # The detail begins with the URL that was asked.
            row["component"]: Answer(
                row["status"] == "up", row["latency_ms"], row["detail"].partition(": ")[2]
            )
            for row in manifest["health"]
            if row["component"] not in ("database", "redis")
        }
        self._left_out = {each["what"]: each["why"] for each in manifest["files"] if each["why"]}
        self._looked_at = server.get("looked_at", (ALL_KEYS,))
        if not self._database_failure:
            _build(path, folder, manifest["files"])
        redis = RecordedRedis(
            [] if server["failure"] else _read_records(folder / REDIS_FILE),
            taken_at=self.taken_at,
            shown_url=server["url"],
            version=server.get("version"),
            failure=server["failure"],
            looked_at=self._looked_at,
        )
        super().__init__(
            database_url=f"sqlite+aiosqlite:///{path}",
            redis_url=server["url"],
            timezone=timezone,
            sources=RecordedSources(folder, manifest),
            bridge=bridge,
            redis=redis,
        )
        self._shown_urls = database["url"], server["url"]
        if self._database_failure:
            self._failures["database"] = self._no_database()
        # That a half is missing is said by whoever connects.
        warn_of_missing([each for each in manifest["files"] if each["file"] or each["table"]])

    def __repr__(self) -> str:
        first, *note = super().__repr__().partition("\n")
        said = f"{first.removesuffix('>')}, taken at {self.taken_at:%Y-%m-%d %H:%M:%S} UTC>"
        return "".join([said, *note])

    @two_faced
    async def health(self) -> pd.DataFrame:
        """Return one row per component, as it answered when the snapshot was taken.

        Returns
        -------
        DataFrame
            Columns component, status ("up" or "down"), latency_ms, version, generation, detail.
        """
        self._check_open()
        rows = self._manifest["health"]
        frame = to_frame({name: [row.get(name) for row in rows] for name in HEALTH}, HEALTH)
        return note(frame, rows=len(frame), truncated=False)

    async def _open(self, *, needs_database: bool) -> None:
        await super()._open(needs_database=needs_database)
        # Its tables are now in SQLite, wherever they were then.
        self._sources.generation = self._manifest.get("generation")

    async def _close(self) -> None:
        await super()._close()
        self._remove()

    def _db(self) -> DatabaseReader:
        self._check_open()
        if self._database_failure:
            raise self._no_database()
        return super()._db()

    def _no_database(self) -> UnreachableError:
        return UnreachableError(f"When the snapshot was taken: {self._database_failure}")

    def _services(self) -> Mapping[str, str | Answer]:
        return self._answers


# One place for all helpers, also those to come.
for _name in dir(Snapshot):
    if isinstance(_helper := getattr(Snapshot, _name), two_faced):
        setattr(Snapshot, _name, _as_recorded(_helper))


def _read_records(path: Path) -> Iterator[Record]:
    with path.open(encoding="ascii") as file:
        yield from map(Record.from_json, file)


def _build(path: Path, folder: Path, files: list[dict[str, Any]]) -> None:
    """Write a SQLite file with the tables of a snapshot; one that cannot be served is said."""
    require_parquet()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        # It is read only by this process, and made anew the next time.
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        for each in files:
            if each["table"] is None or each["file"] is None:
                continue
            connection.execute("BEGIN")
            try:
                load_table(connection, each["table"], folder / each["file"], HISTORY.get(each["table"]))
            except SnapshotError as exc:
                warnings.warn(DegradedWarning(f"Serving without a table: {exc}"), stacklevel=4)
            connection.execute("COMMIT")


def _refuse(folder: Path, exc: BaseException) -> NoReturn:
    if isinstance(exc, OSError):
        raise SnapshotError(f"The snapshot in {folder} cannot be opened: {exc.strerror or exc}.") from exc
    raise SnapshotError(
        f"The snapshot in {folder} cannot be read ({exc}).", hint="copy the folder again."
    ) from exc


def _remove(folder: Path, owner: int) -> None:
    # A forked child ends with a copy of this, and the folder is not its own.
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)
