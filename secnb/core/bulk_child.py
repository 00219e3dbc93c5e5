"""The reader process: reads whole results with ADBC, and hands them over as Arrow.

::

    python -m secnb.core.bulk_child <descriptor of a socket> <pid of the kernel>

A second SQLite library inside the kernel would drop the locks that the first one holds on the file, so
that another process's committed rows could be lost; here, this one is the only library that opens it. The
kernel asks by the socket, one request at a time, and sends with each an open file that has no name; the
answers are lines of JSON that say what has been written to that file. It sends only statements that a
guarded connection of its own has prepared. When the socket closes, because the kernel stopped the read,
ended or was killed, the query is cancelled on the server and this process ends. It stands in a session of
its own, so that Stop, which sends SIGINT to the kernel's whole process group, does not reach it.

Only what is needed is loaded: neither pandas nor SQLAlchemy.
"""

from __future__ import annotations

import base64
import contextlib
import importlib
import json
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import adbc_driver_manager as adbc
import pyarrow as pa

from secnb.core.bulk_statement import KINDS, Kind, as_text, examples, first_types, typed_query

_POLL_S = 1.0
_CANCEL_S = 1.0
_RECEIVED_BYTES = 65_536
_TYPES = {"int": pa.int64(), "float": pa.float64(), "str": pa.string(), None: pa.int64()}
_MIXED = "a column holds values of more than one type"
# What SQLite says to a value that is not of its column's kind, and what ADBC says.
_DRIFT = ("integer overflow", "Type mismatch")
# Rows of text can be long, and a batch lies in memory; more rows are hardly faster.
_OPTIONS = {
    "sqlite": {"adbc.sqlite.query.batch_rows": "16384"},
    "postgresql": {"adbc.postgresql.batch_size_hint_bytes": str(4 << 20)},
}


class RefusedError(Exception):
    """The result is not one that can be handed over; the text says why."""


class Read:
    """One read, in a thread of its own.

    Parameters
    ----------
    request : dict
        ``driver``, ``uri``, ``before`` (statements), ``query``, ``params`` (an Arrow batch of one row in
        base64, or None), ``kinds`` (of the columns), ``texts`` (those that PostgreSQL writes as text) and
        ``limit``.
    file : int
        The descriptor of the file that the batches are written to.
    channel : socket.socket
        Where what was written is told.
    """

    def __init__(self, request: dict[str, Any], file: int, channel: socket.socket) -> None:
        self._request, self._file, self._channel = request, file, channel
        self._statement: adbc.AdbcStatement | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """Stop the query on the server, and wait a moment until it has ended."""
        # Nobody else works for SQLite: its query ends with this process.
        if self._request["driver"] != "sqlite":
            self._interrupt()
            self._thread.join(_CANCEL_S)

    def _interrupt(self) -> None:
        if (statement := self._statement) is not None:
            with contextlib.suppress(adbc.Error):
                statement.cancel()

    def _work(self) -> None:
        try:
            self._read()
        except Exception as exc:  # noqa: BLE001 - the kernel waits for an answer, whatever it is
            first = next(iter(str(exc).strip().splitlines()), type(exc).__name__)
            is_drift = any(mark in first for mark in _DRIFT)
            self._say(failed=_MIXED if is_drift else first)
        finally:
            os.close(self._file)

    def _say(self, **answer: Any) -> None:
        # A kernel that is gone needs no answer.
        with contextlib.suppress(OSError):
            self._channel.sendall(json.dumps(answer).encode() + b"\n")

    def _read(self) -> None:
        request = self._request
        driver = importlib.import_module(f"adbc_driver_{request['driver']}")
        with driver.connect(request["uri"]) as database, adbc.AdbcConnection(database) as connection:
            # One transaction, in which all statements see the same rows, and which is never committed.
            connection.set_autocommit(False)
            for each in request["before"]:
                with self._opened(connection, each, None):
                    pass
            params = request["params"] and _params(request["params"])
            kinds: list[Kind] | None = None
            if request["driver"] == "sqlite":
                kinds = self._kinds(connection, params)
                query = typed_query(request["query"], kinds)
            else:
                query = as_text(request["query"], request["texts"], len(request["kinds"]))
            with self._opened(connection, query, params) as batches:
                _check_types(batches.schema, kinds)
                self._say(schema=base64.b64encode(batches.schema.serialize()).decode())
                if not (is_whole := self._write(batches, kinds)):
                    self._interrupt()
                self._say(is_truncated=not is_whole)

    @contextlib.contextmanager
    def _opened(
        self, connection: adbc.AdbcConnection, query: str, params: pa.RecordBatch | None
    ) -> Iterator[pa.RecordBatchReader]:
        """Run one statement, which `cancel` can reach."""
        with adbc.AdbcStatement(connection) as statement:
            statement.set_options(**_OPTIONS[self._request["driver"]])
            statement.set_sql_query(query)
            if params is not None:
                statement.prepare()
                statement.bind(params)
            self._statement = statement
            try:
                stream, _ = statement.execute_query()
                with pa.RecordBatchReader._import_from_c(stream.address) as batches:
                    yield batches
            except RefusedError:
                self._interrupt()
                raise
            finally:
                self._statement = None

    def _kinds(self, connection: adbc.AdbcConnection, params: pa.RecordBatch | None) -> list[Kind]:
        """Return the kinds of the columns, those too that began with NULLs only."""
        kinds: list[Kind] = list(self._request["kinds"])
        while unknown := [i for i, kind in enumerate(kinds) if kind is None]:
            query = first_types(self._request["query"], unknown, len(kinds))
            with self._opened(connection, query, params) as batches:
                rows = batches.read_all()
            if not rows.num_rows:
                break
            for i, column in zip(unknown, rows.columns, strict=True):
                found = column[0].as_py()
                if found != "null" and found not in KINDS:
                    raise RefusedError(f"column {i + 1} holds values of the type {found}")
                kinds[i] = KINDS.get(found)
        return kinds

    def _write(self, batches: pa.RecordBatchReader, kinds: list[Kind] | None) -> bool:
        """Write the rows up to the limit, and return whether these were all."""
        left = self._request["limit"]
        n_examples = 1 if kinds else 0
        for batch in batches:
            if n_examples:
                if [column[0].as_py() for column in batch.columns] != examples(kinds or ()):
                    raise RefusedError("the database does not keep the order of the rows")
                batch = batch.slice(n_examples)
                n_examples = 0
            kept = batch if left is None else batch.slice(0, left)
            self._append(kept)
            if left is not None:
                if len(batch) > left:
                    return False
                left -= len(kept)
        return True

    def _append(self, batch: pa.RecordBatch) -> None:
        if not len(batch):
            return
        written = memoryview(batch.serialize())
        n_bytes = len(written)
        while written:
            written = written[os.write(self._file, written) :]
        self._say(n_rows=len(batch), n_bytes=n_bytes)


def _params(text: str) -> pa.RecordBatch:
    with pa.ipc.open_stream(base64.b64decode(text)) as stream:
        return stream.read_next_batch()


def _check_types(schema: pa.Schema, kinds: list[Kind] | None) -> None:
    """Refuse what would not become the same values as on the way through Python."""
    # The first batch as a whole decides the types, and may hold values of another kind.
    if kinds and any(field.type != _TYPES[kind] for field, kind in zip(schema, kinds, strict=True)):
        raise RefusedError(_MIXED)
    for field in schema:
        kind = field.type
        if isinstance(kind, pa.JsonType):
            kind = kind.storage_type
        is_known = (
            pa.types.is_signed_integer(kind)
            or pa.types.is_floating(kind)
            or pa.types.is_boolean(kind)
            or pa.types.is_string(kind)
            or (pa.types.is_timestamp(kind) and kind.unit == "us")
        )
        if not is_known:
            raise RefusedError(f"column {field.name!r} is of the type {kind}")


def _next_request(channel: socket.socket, kernel: int) -> tuple[dict[str, Any], int] | None:
    """Wait for a request and its file; None when the kernel is gone."""
    line, files = b"", list[int]()
    # A request is one line, and the file comes with its first byte.
    while not line.endswith(b"\n"):
        while not select.select([channel], [], [], _POLL_S)[0]:
            # A child that was forked past Python's hooks may hold the socket open.
            if os.getppid() != kernel:
                return None
        part, more, *_ = socket.recv_fds(channel, _RECEIVED_BYTES, 1)
        if not part:
            return None
        line, files = line + part, files + more
    return json.loads(line), files[0]


def main(arguments: Sequence[str]) -> None:
    """Serve the kernel until it closes the socket or is gone.

    Parameters
    ----------
    arguments : sequence of str
        The descriptor of the socket, and the process id of the kernel.
    """
    channel, kernel = socket.socket(fileno=int(arguments[0])), int(arguments[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel.sendall(b'{"is_ready": true}\n')
    read: Read | None = None
    with contextlib.suppress(OSError):
        while (request := _next_request(channel, kernel)) is not None:
            read = Read(*request, channel)
    # Whatever the driver waits for: this process ends now.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(int(2 * _CANCEL_S))
    if read is not None:
        read.cancel()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
