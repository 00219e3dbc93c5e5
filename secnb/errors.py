"""Every exception and warning that secnb raises on purpose.

::

    SecnbError
    ├── SettingsError            (ValueError)         a setting cannot have this value
    ├── NotInitializedError      (RuntimeError)       the core was used before init or connect
    ├── DatabaseNotFoundError    (FileNotFoundError)  there is no database where one was named
    ├── UnreachableError         (ConnectionError)    a server does not answer
    │   └── PoolBusyError        in secnb.core.redis_wire; a redis-py ConnectionError too
    ├── ClosedError              (RuntimeError)       the deployment was closed
    ├── BridgeError              (RuntimeError)       a blocking call where it can only deadlock
    ├── CallCancelledError                            site.cancel() stopped the call
    ├── ReadOnlyError            (PermissionError)    a statement would have changed the deployment
    ├── QueryError               (ValueError)         the database rejects the statement
    ├── QueryTimeoutError        (TimeoutError)       a query ran longer than its limit
    ├── UnknownNameError         (LookupError)        no such queue, camera, column or running call
    │   ├── UnknownQueueError
    │   ├── UnknownCameraError
    │   ├── UnknownColumnError
    │   ├── UnknownDetectionError
    │   └── UnknownCallError
    ├── BadInputError            (ValueError)         an argument has a value that is not allowed
    ├── LabelStoreError          (OSError)            a label store cannot be read or written
    ├── SettingsFileError        (OSError)            a settings file cannot be read, locked or changed
    ├── SnapshotError            (RuntimeError)       a snapshot cannot be written, read, or say that
    └── MissingDependencyError   (ImportError)        an optional part is not installed

    SecnbWarning                 (UserWarning)
    ├── TruncatedWarning         a row cap left rows out
    ├── MalformedLineWarning     lines of a file could not be read
    ├── DegradedWarning          the deployment is served in part
    ├── OverriddenWarning        a stronger source holds the setting that a file was given
    └── FewLabelsWarning         rates rest on fewer than 50 labelled units

Messages say what failed, the value seen and the values allowed; after a blank line comes a hint.
Passwords never stand in them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SecnbError(Exception):
    """Base of all errors that secnb raises on purpose.

    Parameters
    ----------
    message : str
        What failed, the value seen, the values allowed.
    hint : str, optional
        What to do about it; shown after a blank line as ``Hint: …``.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message if hint is None else f"{message}\n\nHint: {hint}")


class SettingsError(SecnbError, ValueError):
    """A setting cannot have the value that its source gives it."""


class NotInitializedError(SecnbError, RuntimeError):
    """The core was used before ``init_db`` or ``connect``."""


class DatabaseNotFoundError(SecnbError, FileNotFoundError):
    """There is no database where one was named."""


class UnreachableError(SecnbError, ConnectionError):
    """A database or Redis server does not answer, or does not let us in."""


class ClosedError(SecnbError, RuntimeError):
    """The deployment was closed and serves nothing any more."""


class BridgeError(SecnbError, RuntimeError):
    """A blocking call was made where it can only deadlock."""


class CallCancelledError(SecnbError):
    """``site.cancel()`` stopped the call."""


class ReadOnlyError(SecnbError, PermissionError):
    """A statement would have changed the deployment; it was not run."""


class QueryError(SecnbError, ValueError):
    """The database rejects the statement."""


class QueryTimeoutError(SecnbError, TimeoutError):
    """A query ran longer than its limit and was stopped."""


class UnknownNameError(SecnbError, LookupError):
    """A name is not among those that exist.

    Parameters
    ----------
    kind : str
        What was looked for, such as ``"queue"``.
    name : str
        The name that was given.
    known : iterable of str
        The names that exist; the nearest ones are shown.
    hint : str, optional
        Replaces the hint made from the near matches.
    """

    def __init__(self, kind: str, name: object, known: Iterable[str], *, hint: str | None = None) -> None:
        # A name that is not UTF-8 could not be printed.
        names = sorted({str(k).encode("utf-8", "backslashreplace").decode("utf-8") for k in known})
        near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.5)
        shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
        if hint is None and near:
            hint = f"did you mean {' or '.join(map(repr, near))}?"
        super().__init__(f"There is no {kind} {name!r}. Known: {shown or 'none'}.", hint=hint)


class UnknownQueueError(UnknownNameError):
    """There is no queue of that name."""


class UnknownCameraError(UnknownNameError):
    """There is no camera of that id."""


class UnknownColumnError(UnknownNameError):
    """There is no column of that name."""


class UnknownDetectionError(UnknownNameError):
    """There is no detection of that id."""


class UnknownCallError(UnknownNameError):
    """No call of that number runs."""


class BadInputError(SecnbError, ValueError):
    """An argument has a value that is not allowed."""


class LabelStoreError(SecnbError, OSError):
    """A label store cannot be read or written; what it held before is as it was."""


class SettingsFileError(SecnbError, OSError):
    """A settings file cannot be read, locked or changed; what it held before is as it was."""


class SnapshotError(SecnbError, RuntimeError):
    """A snapshot cannot be written or read, or does not hold what was asked for."""


class MissingDependencyError(SecnbError, ImportError):
    """An optional part of secnb, or a program it needs, is not installed."""


class SecnbWarning(UserWarning):
    """Base of all warnings that secnb gives on purpose."""


class TruncatedWarning(SecnbWarning):
    """A row cap left rows out of a result."""


class MalformedLineWarning(SecnbWarning):
    """Lines of a file could not be read and were left out."""


class DegradedWarning(SecnbWarning):
    """A part of the deployment does not answer; the rest is served."""


class OverriddenWarning(SecnbWarning):
    """A stronger source holds the setting that a file was given, so that the file has no effect."""


class FewLabelsWarning(SecnbWarning):
    """Rates rest on so few labelled units that their intervals are wide."""
