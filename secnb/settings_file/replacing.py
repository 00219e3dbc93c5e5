"""A file replaced as a whole, durably: what it held before is either still there or beside it.

A new file takes the place of the old one in one step. Where that cannot be, since the file is a mount
point, has other names, or belongs to somebody whom only it can keep, its content is replaced in place,
and put back if that fails.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from secnb.errors import SettingsFileError

_LOCK_S: Final = 10.0
_LOCK_STEP_S: Final = 0.05
_MOST_BYTES: Final = 16 * 2**20
# They have another form than NAME=value; a line of ours would break them, or have no effect.
_OTHER_FORMS: Final = (".cfg", ".ini", ".json", ".toml", ".xml", ".yaml", ".yml")
# Of a mount point, and of one whose folder may not be changed although it may.
_NOT_RENAMED: Final = (errno.EBUSY, errno.EXDEV, errno.EPERM, errno.EACCES)


def find_file(path: str | os.PathLike[str]) -> Path:
    """Return the file that a path leads to, links followed; one that is no ordinary file is an error."""
    if not isinstance(path, str | os.PathLike) or "\0" in os.fspath(path):
        raise SettingsFileError(f"path is {path!r}. Allowed: a str or a Path.")
    named = Path(path).expanduser().absolute()
    file = Path(os.path.realpath(named))
    if not file.is_file():
        what = "a folder" if file.is_dir() else "no ordinary file" if file.exists() else "missing"
        hint = f"name the file in it: {named / '.env'}" if file.is_dir() else "name the deployment's .env."
        raise SettingsFileError(f"{named} is {what}. Allowed: a settings file that is there.", hint=hint)
    if file.suffix.lower() in _OTHER_FORMS:
        raise SettingsFileError(
            f"{named} is a {file.suffix} file. Allowed: a file with lines NAME=value.",
            hint="name the deployment's .env.",
        )
    return file


def backup_of(file: Path) -> Path:
    """Return where the content before the last change is kept."""
    return file.with_name(f"{file.name}.secnb-backup")


def read_content(file: Path) -> bytes:
    """Return the bytes of a file."""
    with _explained("read", file), file.open("rb") as opened:
        content = opened.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise SettingsFileError(f"{file} is larger than 16 MiB, which no settings file is.")
    return content


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Keep other changes of ours away; the folder is locked, since the file itself is replaced."""
    with _explained("lock", file):
        folder = os.open(file.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _lock(folder, file)
        yield
    finally:
        # Closing it ends the lock.
        os.close(folder)


def _lock(folder: int, file: Path) -> None:
    ends_at = time.monotonic() + _LOCK_S
    while True:
        try:
            return fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            if time.monotonic() > ends_at:
                raise SettingsFileError(
                    f"{file} is being changed by another process, for over {_LOCK_S:g} s.",
                    hint="try again when it is done.",
                ) from exc
            time.sleep(_LOCK_STEP_S)
        except OSError:
            # Some network file systems lock no folders; what was read is compared before it is replaced.
            return None


def replace_content(file: Path, old: bytes, new: bytes) -> bool:
    """Put new content into a file that holds the old one; False where it holds something else by now.

    Raises
    ------
    SettingsFileError
        If that is not possible; the file then holds what it did.
    """
    with _explained("write", file):
        made = _beside(file)
        try:
            is_like = _write_new(made, new, like=file)
            if read_content(file) != old:
                return False
            if not (is_like and _renamed(made, file)):
                _write_in_place(file, old, new)
        finally:
            made.unlink(missing_ok=True)
        _sync_folder(file.parent)
    return True


def write_file(path: Path, content: bytes, *, like: Path, is_private: bool = False) -> None:
    """Write a file of ours in one step, with the owner and the mode of another, or for the owner alone."""
    with _explained("write", path):
        made = _beside(path)
        try:
            _write_new(made, content, like=like, is_private=is_private)
            made.replace(path)
        finally:
            made.unlink(missing_ok=True)
        _sync_folder(path.parent)


def append_line(path: Path, line: bytes, *, like: Path) -> int:
    """Add a line to a private file, all of it or nothing, and return the size that the file had.

    A last line that was cut is ended first.
    """
    with _explained("write", path):
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        opened = os.open(path, flags, 0o600)
        try:
            size = os.fstat(opened).st_size
            if not size:
                _give(opened, like.stat())
            is_cut = size and os.pread(opened, 1, size - 1) != b"\n"
            try:
                _write_all(opened, b"\n" * bool(is_cut) + line + b"\n")
                os.fsync(opened)
            except BaseException:
                os.ftruncate(opened, size)
                if not size:
                    path.unlink()
                raise
        finally:
            os.close(opened)
        _sync_folder(path.parent)
    return size


def truncate(path: Path, size: int) -> None:
    """Take back what was appended to a file; one that was not there before goes."""
    with _explained("write", path):
        os.truncate(path, size)
        if not size:
            path.unlink()
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    opened = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _beside(file: Path) -> Path:
    # One name, so that what a crash leaves is replaced by the next change.
    return file.with_name(f".{file.name.removeprefix('.')}.secnb-new")


def _write_new(path: Path, content: bytes, *, like: Path, is_private: bool = False) -> bool:
    """Write a new file; False where it cannot have the owner, mode and attributes of another."""
    path.unlink(missing_ok=True)
    found = like.stat()
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        _write_all(opened, content)
        is_like = _give(opened, found) and _give_attributes(opened, like)
        # After the owner, since changing that may take rights away.
        if is_like and not is_private:
            os.fchmod(opened, stat.S_IMODE(found.st_mode))
        os.fsync(opened)
    finally:
        os.close(opened)
    return is_like and found.st_nlink == 1


def _give(opened: int, found: os.stat_result) -> bool:
    """Give a file the owner of another, as far as that is allowed."""
    own = os.fstat(opened)
    if (own.st_uid, own.st_gid) == (found.st_uid, found.st_gid):
        return True
    try:
        os.fchown(opened, found.st_uid, found.st_gid)
    except PermissionError:
        return False
    return True


def _give_attributes(opened: int, like: Path) -> bool:
    """Copy the extended attributes, where access lists are kept as well."""
    if not hasattr(os, "listxattr"):
        return True
    try:
        for name in os.listxattr(like):
            value = os.getxattr(like, name)
            if name not in os.listxattr(opened) or os.getxattr(opened, name) != value:
                os.setxattr(opened, name, value)
    except OSError as exc:
        return exc.errno == errno.ENOTSUP
    return True


def _renamed(made: Path, file: Path) -> bool:
    try:
        made.replace(file)
    except OSError as exc:
        if exc.errno not in _NOT_RENAMED:
            raise
        return False
    return True


def _write_in_place(file: Path, old: bytes, new: bytes) -> None:
    opened = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    try:
        try:
            _overwrite(opened, new)
        except BaseException as exc:
            try:
                # The space for it is still there.
                _overwrite(opened, old)
            except OSError:
                message = f"{file} is half written. What it held is in {backup_of(file)}."
                raise SettingsFileError(message, hint="copy it back.") from exc
            raise
    finally:
        os.close(opened)


def _overwrite(opened: int, content: bytes) -> None:
    os.lseek(opened, 0, os.SEEK_SET)
    _write_all(opened, content)
    os.ftruncate(opened, len(content))
    os.fsync(opened)


def _write_all(opened: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(opened, left) :]


@contextlib.contextmanager
def _explained(what: str, file: Path) -> Iterator[None]:
    """Turn the system's errors into ours, which say what was being done to which file."""
    try:
        yield
    except SettingsFileError:
        raise
    except OSError as exc:
        reason = os.strerror(exc.errno) if exc.errno else type(exc).__name__
        raise SettingsFileError(
            f"Cannot {what} {file}: {reason}. It holds what it did before.",
            hint=_HINTS.get(exc.errno or 0),
        ) from exc


_NO_RIGHT: Final = "it takes the right to write the file, and new files beside it."
_HINTS: Final = {
    errno.EACCES: _NO_RIGHT,
    errno.EPERM: _NO_RIGHT,
    errno.EROFS: "the file system is read-only: change the file where it comes from.",
    errno.ENOSPC: "make room on the disk.",
    errno.EFBIG: "make room on the disk.",
    errno.EDQUOT: "make room on the disk.",
}
