"""What waits in Redis: queues and their messages."""

from __future__ import annotations

from typing import Literal

import pandas as pd

from secnb.bridge import two_faced
from secnb.deployment.held import Held, report_rows
from secnb.frames.queues import read_messages, read_queues


class MessageHelpers(Held):
    """The helpers that read Redis."""

    @two_faced
    async def queues(self) -> pd.DataFrame:
        """Return one row per queue: how long it is, what waits, and since when.

        The queues of `secnb.schema.QUEUE_FIELDS` always have a row, with length 0 where they are absent.

        Returns
        -------
        DataFrame
            Columns queue, type, length, backlog, oldest_at, oldest_age_s (seconds), n_consumers,
            n_dead_letters. NA is what the server cannot say.
        """
        return await read_queues(self._queue_reader(), timezone=self._zone)

    @two_faced
    async def peek(
        self, name: str, n: int | None = 100, *, side: Literal["head", "tail"] = "head"
    ) -> pd.DataFrame:
        """Return one row per message of a queue, whatever is in it; nothing is taken out.

        Parameters
        ----------
        name : str
            A queue of `queues()`.
        n : int, optional
            At most so many messages; None for all, read in pages of 1,000.
        side : {"head", "tail"}
            From the next in turn, or from the newest.

        Returns
        -------
        DataFrame
            Columns pos (0 is next in turn), entry_id, ok, error, raw (bytes as stored), size_bytes,
            enqueued_at, age_s, camera_id, batch_id, file_path, payload. A poison message is a row with
            ``ok=False`` and its error. ``attrs["moved"]`` tells whether a read of more than 1,000
            messages saw the queue change.

        Raises
        ------
        UnknownQueueError
            If there is no such queue.
        BadInputError
            If the key is no list, or `n` or `side` is not allowed.
        """
        return await read_messages(
            self._queue_reader(), name, n=n, side=side, timezone=self._zone, on_page=report_rows
        )
