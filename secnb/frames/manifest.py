"""The folder of a snapshot: filled or left as it was, and whole when its manifest is there."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from secnb.errors import BadInputError, DegradedWarning, SnapshotError, TruncatedWarning

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1
"""The form of a snapshot; a number above it comes from a newer secnb."""

_NAMED: Final = 5
_PARTIAL: Final = "manifest.json.partial"
_REQUIRED: Final[Mapping[str, type | tuple[type, ...]]] = {
    "taken_at": str,
    "timezone": str,
    "database": dict,
    "redis": dict,
    "health": list,
    "settings": list,
    "files": list,
}


class SnapshotFolder:
    """A folder that is being filled: a context manager that removes what it wrote if that fails.

    The manifest is written last, so what was interrupted is never taken for whole.

    Parameters
    ----------
    path : path
        Not there yet, or empty.

    Raises
    ------
    BadInputError
        On entering, if something is there already.
    SnapshotError
        If the system does not let us write.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()
        self._written: list[Path] = []
        self._created: list[Path] = []

    def __enter__(self) -> Self:
        self._check_empty()
        self._created = [each for each in (self.path, *self.path.parents) if not each.exists()]
        with self.writing():
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                # Whoever is second at the same moment fails here.
                (self.path / _PARTIAL).touch(exist_ok=False)
            except BaseException:
                self._remove()
                raise
        self._written.append(self.path / _PARTIAL)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._remove()

    def new(self, name: str) -> Path:
        """Return the path of a file that is to be written."""
        self._written.append(self.path / name)
        return self._written[-1]

    def finish(self, manifest: Mapping[str, Any]) -> Path:
        """Write the manifest, which makes the snapshot whole, and return its path."""
        with self.writing():
            partial = self.path / _PARTIAL
            partial.write_text(json.dumps({"format": FORMAT, **manifest}, indent=1), encoding="utf-8")
            self._written.append(self.path / MANIFEST)
            return partial.rename(self.path / MANIFEST)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Say what the system says as an error of ours."""
        try:
            yield
        except OSError as exc:
            raise SnapshotError(
                f"The snapshot cannot be written to {self.path}: {exc.strerror or exc}.",
                hint="what was written is removed again; choose a folder with room, that you may write to.",
            ) from exc

    def _check_empty(self) -> None:
        with self.writing():
            is_there = self.path.exists()
            if is_there and (not self.path.is_dir() or any(self.path.iterdir())):
                raise BadInputError(
                    f"folder is {str(self.path)!r}, and something is there. Allowed: a folder that is "
                    "empty, or not there yet.",
                    hint="nothing is ever overwritten; name a new folder.",
                )

    def _remove(self) -> None:
        with contextlib.suppress(OSError):
            for path in self._written:
                path.unlink(missing_ok=True)
            # Only what is empty goes: somebody else may have put something there.
            for folder in self._created:
                folder.rmdir()


def file_row(
    path: Path | None,
    what: str,
    *,
    table: str | None = None,
    rows: int | None = None,
    truncated: bool = False,
    why: Sequence[str] = (),
    has_failed: bool = False,
) -> dict[str, Any]:
    """Return what a manifest says of a file, or of what is missing; `why` is what was left out."""
    return {
        "file": None if path is None else path.name,
        "what": what,
        "rows": rows,
        "size_bytes": None if path is None else path.stat().st_size,
        "truncated": truncated or has_failed,
        "why": "; ".join(why) or None,
        "table": table,
        "has_failed": has_failed,
    }


def warn_of_missing(rows: Sequence[Mapping[str, Any]]) -> None:
    """Warn of what could not be read, and of what a cap left out."""
    for kind, has_failed in ((DegradedWarning, True), (TruncatedWarning, False)):
        found = [row for row in rows if row["truncated"] and row.get("has_failed", False) is has_failed]
        if found:
            named = "; ".join(f"{row['what']} ({row['why']})" for row in found[:_NAMED])
            more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
            warning = kind(f"Not all is in the snapshot: {named}{more}.")
            # A registry of its own: what is missing is said each time, not once per session.
            warnings.warn_explicit(warning, kind, "secnb", 1, registry={})


def is_snapshot(folder: Path) -> bool:
    """Return whether a whole snapshot is in this folder."""
    return (folder / MANIFEST).is_file()


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a snapshot, whose files are all there and as long as they were.

    Raises
    ------
    SnapshotError
        If it is not whole, or was written by a newer secnb.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise SnapshotError(f"{path} cannot be read: {exc.strerror}.") from exc
    except (ValueError, RecursionError) as exc:
        raise SnapshotError(f"{path} is not whole: {exc}.", hint="copy the folder again.") from exc
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if isinstance(found, int) and found > FORMAT:
        raise SnapshotError(
            f"{path} has format {found}, and this secnb reads formats up to {FORMAT}.",
            hint="pip install --upgrade secnb.",
        )
    if found != FORMAT or any(not isinstance(manifest.get(key), kind) for key, kind in _REQUIRED.items()):
        raise SnapshotError(f"{path} is not the manifest of a snapshot.", hint="copy the folder again.")
    with _as_ours(path):
        datetime.fromisoformat(manifest["taken_at"])
        for each in manifest["files"]:
            _check_file(folder, each["file"], each["size_bytes"])
    return dict(manifest)


@contextlib.contextmanager
def _as_ours(path: Path) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise SnapshotError(f"{path} is not the manifest of a snapshot ({exc}).") from exc


def _check_file(folder: Path, name: str | None, size_bytes: int | None) -> None:
    if name is None:
        return
    # A manifest comes from somebody else, and leads nowhere but into its own folder.
    if Path(name).name != name:
        raise SnapshotError(f"The manifest in {folder} names a file {name!r} outside of its folder.")
    path = folder / name
    try:
        n_bytes = path.stat().st_size
    except OSError as exc:
        raise SnapshotError(
            f"The snapshot in {folder} is not whole: {name}: {exc.strerror}.", hint="copy the folder again."
        ) from exc
    if n_bytes != size_bytes:
        raise SnapshotError(
            f"The snapshot in {folder} is not whole: {name} has {n_bytes:,} bytes, not {size_bytes:,}.",
            hint="copy the folder again.",
        )
