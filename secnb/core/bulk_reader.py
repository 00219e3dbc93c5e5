"""When a result is read by the reader process instead of in the kernel, and what it is asked for.

A read begins in the kernel, on a guarded connection, and most end there. When more than `BULK_FROM` rows
have come, the whole statement is run again by the reader process, and what was read is dropped: a result
is always that of one statement at one moment, never two put together. What the reader process cannot
give exactly as the kernel would have, the kernel reads. One thing nobody sees: the process has a SQLite of
its own version, and versions differ in the last digits of what they work out themselves, sums of floats
and floats written as text.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from secnb.core.bulk_process import BulkError, ReaderProcess, missing_part
from secnb.core.bulk_statement import kinds_in
from secnb.core.bulk_ways import Way
from secnb.core.stoppable import Page, Sent, Taker

BULK_FROM: Final = 10_000
"""The rows beyond which a result is large."""

# What the query itself takes is spent twice when it is run again.
_FIRST_ROWS_S = 1.0
_FIRST_TIME_US, _LAST_TIME_US = -62_135_596_800_000_000, 253_402_300_799_999_999
_KINDS: Final[Mapping[str, tuple[type, ...]]] = {
    "sqlite": (int, float, str),
    "postgresql": (int, float, str, bool, datetime),
}

# The numbers of PostgreSQL's types that ADBC reads as the kernel does: bool, name, int8, int2,
# int4, text, json, float4, float8, char(n), varchar, timestamp, timestamptz, jsonb.
_SAME_TYPES: Final = frozenset({16, 19, 20, 21, 23, 25, 114, 700, 701, 1042, 1043, 1114, 1184, 3802})
# Others that are text in the kernel, for columns that begin with NULLs: xml, money, tsvector, tsquery.
_TEXT_TYPES: Final = frozenset({142, 790, 3614, 3615})


class BulkReader:
    """The reader process of one database: started when first needed, ended by `close`.

    Parameters
    ----------
    dialect : str
        ``"sqlite"`` or ``"postgresql"``.
    """

    def __init__(self, dialect: str) -> None:
        self.dialect = dialect
        self._process: ReaderProcess | None = None
        self._starting: asyncio.Task[None] | None = None
        self._failure: str | None = None

    def why_not(self) -> str | None:
        """Return why the reader process cannot be had just now, having begun to start it; None if it can."""
        if self._failure is None:
            self._failure = missing_part(self.dialect)
        if self._failure is not None:
            return self._failure
        if self._process is not None and self._process.is_running:
            return "the reader process is busy" if self._process.is_busy else None
        if self._starting is None or self._starting.done():
            self._starting = asyncio.get_running_loop().create_task(self._start())
        return "the reader process was still starting"

    async def read(self, sent: Sent, hand_over: HandOver, way: Way, *, limit: int | None, into: Taker) -> Any:
        """Hand over the batches of a statement, and return their number of rows and whether there were more.

        Raises
        ------
        BulkError
            If the kernel has to read it.
        """
        if self._process is None or (why := self.why_not()) is not None:
            raise BulkError(why or "the reader process has ended")
        kinds = [next((kind.__name__ for kind in each), None) for each in hand_over.kinds]
        request = {
            "driver": self.dialect,
            "uri": way.uri,
            "before": way.before,
            "query": sent.query,
            "params": _params(sent.params, self.dialect),
            "kinds": kinds,
            "texts": hand_over.texts,
            "limit": limit,
        }
        n_rows = 0

        def begin(_: Any) -> Any:
            take_page = into(hand_over.columns)

            def take(batch: Any) -> None:
                nonlocal n_rows
                n_rows += len(batch)
                take_page(_checked(batch))

            return take

        is_truncated = await self._process.read(request, begin)
        return n_rows, is_truncated

    async def close(self) -> None:
        """End the process; it starts again when needed."""
        if self._starting is not None:
            self._starting.cancel()
            with suppress(asyncio.CancelledError):
                await self._starting
        process, self._process = self._process, None
        if process is not None:
            await process.end()

    async def _start(self) -> None:
        try:
            self._process = await ReaderProcess.started()
        except (BulkError, OSError) as exc:
            self._failure = str(exc)


class HandOver:
    """Decides, while a statement is read in the kernel, whether the reader process takes over.

    Parameters
    ----------
    bulk : BulkReader
    is_paged : bool
        Whether the kernel would go on with another statement, so that to begin again costs no more.

    Attributes
    ----------
    why : str or None
        Why it was not handed over, though it is large.
    columns : list of str
        Of the statement.
    kinds : list of set of type
        What the columns held in the first rows.
    texts : list of int
        The columns that PostgreSQL is asked for as text.
    """

    def __init__(self, bulk: BulkReader, *, is_paged: bool) -> None:
        self._bulk, self._is_paged, self._started = bulk, is_paged, time.perf_counter()
        self._is_refused = False
        self.why: str | None = None
        self.columns: list[str] = []
        self.kinds: list[set[type]] = []
        self.texts: list[int] = []

    def __call__(self, sent: Sent, page: Page, n_rows: int) -> bool:
        """Return whether to hand over, asked with the newest page of the rows so far."""
        if self._is_refused or n_rows <= BULK_FROM:
            return False
        if not self.kinds:
            self.columns, self.kinds = sent.columns, list(kinds_in(page))
            if (why := self._refusal(sent.types)) is not None:
                self.refuse(why)
                return False
        self.why = self._bulk.why_not()
        return self.why is None

    def refuse(self, why: str) -> None:
        """Let the kernel read to the end; the first reason is the one that is said."""
        if not self._is_refused:
            self.why, self._is_refused = why, True

    def _refusal(self, types: Sequence[Any]) -> str | None:
        seconds = time.perf_counter() - self._started
        if seconds > _FIRST_ROWS_S and not self._is_paged:
            return f"the first rows took {seconds:.1f} s, which a second run would take again"
        is_postgres = self._bulk.dialect == "postgresql"
        for i, (name, kinds, oid) in enumerate(zip(self.columns, self.kinds, types, strict=True)):
            if len(kinds) > 1 or not kinds <= set(_KINDS[self._bulk.dialect]):
                held = " and ".join(sorted(kind.__name__ for kind in kinds))
                return f"column {name!r} holds {held}"
            if is_postgres and oid not in _SAME_TYPES:
                if kinds != {str} and (kinds or oid not in _TEXT_TYPES):
                    return f"column {name!r} is of a type that only the kernel reads"
                self.texts.append(i)
        return None


def _params(values: Sequence[Any], dialect: str) -> str | None:
    """Return parameters as a batch of one row in base64; None where there are none."""
    import pyarrow as pa

    if not values:
        return None
    # SQLite has no truth values.
    plain = [int(each) if dialect == "sqlite" and isinstance(each, bool) else each for each in values]
    try:
        batch = pa.record_batch([pa.array([each]) for each in plain], list(map(str, range(len(plain)))))
    except (pa.ArrowException, OverflowError, ValueError) as exc:
        raise BulkError("a parameter has no type of Arrow's") from exc
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    return base64.b64encode(sink.getvalue()).decode()


def _checked(batch: Any) -> Any:
    """Return a batch of plain types; raise where a value is none that Python could hold."""
    import pyarrow as pa
    import pyarrow.compute as pc

    arrays = []
    for name, array in zip(batch.schema.names, batch.columns, strict=True):
        plain = array.storage if isinstance(array, pa.ExtensionArray) else array
        if pa.types.is_integer(plain.type):
            plain = plain.cast(pa.int64())
        elif pa.types.is_floating(plain.type):
            plain = plain.cast(pa.float64())
        elif pa.types.is_string(plain.type):
            try:
                plain.validate(full=True)
            except pa.ArrowInvalid as exc:
                raise BulkError(f"column {name!r} holds text that is not UTF-8") from exc
        elif pa.types.is_timestamp(plain.type):
            ends = pc.min_max(plain.cast(pa.int64()))
            first, last = ends["min"].as_py(), ends["max"].as_py()
            if first is not None and not _FIRST_TIME_US <= first <= last <= _LAST_TIME_US:
                raise BulkError(f"column {name!r} holds times beyond the years 1 to 9999")
        arrays.append(plain)
    return pa.record_batch(arrays, batch.schema.names)
