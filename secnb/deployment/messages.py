"""What is in Redis: queues and their messages, open batches, dead letters, keys, caches, channels."""

from __future__ import annotations

from typing import Literal

import pandas as pd

from secnb.bridge import report, two_faced
from secnb.deployment.held import Held, report_rows
from secnb.frames.batches import Limits, read_open_batches
from secnb.frames.keyspace import read_cache, read_keys
from secnb.frames.letters import read_dead_letters
from secnb.frames.notes import warn_truncated
from secnb.frames.published import read_published
from secnb.frames.queues import read_messages, read_queues
from secnb.schema import KEY_PREFIX

_PEEKED = 100


class MessageHelpers(Held):
    """The helpers that read Redis."""

    @two_faced
    async def queues(self, watch_s: float | None = None) -> pd.DataFrame:
        """Return one row per queue, list or stream: how long it is, what waits, and since when.

        The queues of `secnb.schema.QUEUE_FIELDS` always have a row, with length 0 where they are absent.
        Some deployments put a prefix before the name (``hsi:queue:detection_queue``); such a key has a
        row of its own.

        A list holds what waits, so its backlog is its length. A stream keeps what was done until it is
        trimmed; its backlog is what the group that is farthest behind has pending and what it has not
        been given. Where the server does not know the latter (before Redis 7, and after entries were
        deleted), it is counted up to 10,000 entries. Beyond that, and for a stream that no group reads,
        the backlog is NA: nobody knows what was done.

        Two looks see what was added and taken only in part, and say NA where they cannot tell. For a
        list, the item that was last at the first look is searched for at the second: what is behind it
        came since, and the lengths say what went. That is not known for a queue that was empty, that
        was emptied in between, that was cleared of its oldest items by its limit (this counts as taken),
        or whose items are equal. For a stream, what was added is known by number; what was done follows
        from the backlog where exactly one group reads.

        Parameters
        ----------
        watch_s : float, optional
            Seconds between two looks, for rates; None looks once.

        Returns
        -------
        DataFrame
            Columns queue, type, length, backlog, oldest_at, oldest_age_s (seconds), n_consumers (of a
            stream's groups; who waits at a list is not known), n_dead_letters (of this queue, in
            ``dlq:<queue>``, ``dlq:overflow:<queue>`` and ``<stream>:dlq``); with `watch_s` in_per_s and
            out_per_s as well. NA is what the server cannot say. oldest_at is the time in the item that is
            next in turn, or in the id of the oldest entry that waits.

        Raises
        ------
        BadInputError
            If `watch_s` is no time to wait.
        UnreachableError
            If Redis does not answer.
        """
        return await read_queues(self._queue_reader(), timezone=self._zone, watch_s=watch_s, on_wait=report)

    @two_faced
    async def peek(
        self, name: str, n: int | None = _PEEKED, *, side: Literal["head", "tail"] = "head"
    ) -> pd.DataFrame:
        """Return one row per message of a queue, list or stream, whatever is in it; nothing is taken out.

        Parameters
        ----------
        name : str
            A queue of `queues()`. Where there is no such key, its other form (with or without the prefix,
            ``hsi:queue:<name>``) is read; ``attrs["key"]`` says which.
        n : int, optional
            At most so many messages; None for all, read in pages of up to 4,000 (of a stream, 500) and
            about 2 MiB. The 100 of the default show with a `TruncatedWarning` what they leave out.
        side : {"head", "tail"}
            From the next in turn, or from the newest. The head of a stream is the oldest entry that is
            kept, whether it was done or not.

        Returns
        -------
        DataFrame
            Columns pos (0 is at the head), entry_id (of a stream), ok, error, raw (bytes as stored),
            size_bytes (of raw), enqueued_at, age_s, camera_id, batch_id, file_path, payload. A poison
            message is a row with ``ok=False`` and its error. ``attrs["moved"]`` tells whether a read of
            more than one page saw the queue change.

            Secrets in file_path are masked. In raw and payload they are not, and the ids are as stored:
            a message is shown as it is, and looking through a million takes longer than reading them.
            Leave raw and payload out of what a notebook keeps.

            The payload of an entry is its flat fields of text (``detection_ids`` stays JSON text), its
            raw are the fields as they came over the wire, and enqueued_at is the time in its id.

        Raises
        ------
        UnknownQueueError
            If there is no such queue.
        BadInputError
            If the key is neither list nor stream, or `n` or `side` is not allowed.
        UnreachableError
            If Redis does not answer.
        """
        frame = await read_messages(
            self._queue_reader(),
            name,
            n=n,
            side=side,
            timezone=self._zone,
            prefix=self._prefix(),
            on_page=report_rows,
        )
        # Whoever asks for five messages knows that there may be more.
        if n == _PEEKED and frame.attrs["truncated"]:
            hint = "n=None reads all."
            warn_truncated(len(frame), frame.attrs["total"], what="messages", hint=hint)
        return frame

    @two_faced
    async def open_batches(self) -> pd.DataFrame:
        """Return one row per batch that is open, sorted by its start.

        A batch closes at the first check at or after ``closes_in_s`` reaches 0: when its window has
        passed since its start, or its idle timeout since its last detection, whichever is first. The
        deployment checks every few seconds, so a little below 0 is ordinary, and a lot below means that
        nobody checks. The limits are those of `settings()`, and in ``attrs``.

        Keys that do not fit together are rows with an error: a batch that no camera has as its current
        one, or without its start, is never closed. A key of another type is NA. Without its last activity
        a batch counts from its start, as in the deployment. What closed while this read is left out.

        Returns
        -------
        DataFrame
            Columns camera_id, batch_id, started_at, age_s, idle_s (seconds since the last detection),
            n_detections (of either form of its list), closes_in_s (negative where it is overdue, NA where
            nothing closes it), is_closing (it is being closed), error.

        Raises
        ------
        UnreachableError
            If Redis does not answer.
        """
        window_s, idle_s = (
            self._sources.value(name) for name in ("batch_window_seconds", "batch_idle_timeout_seconds")
        )
        return await read_open_batches(self._queue_reader(), Limits(window_s, idle_s))

    @two_faced
    async def dead_letters(self, name: str | None = None, *, n: int | None = None) -> pd.DataFrame:
        """Return one row per dead letter: what failed, how often, since when, and the work it was about.

        Read are ``dlq:<queue>``, ``dlq:overflow:<queue>`` and ``<stream>:dlq``, with and without a prefix.
        A letter that cannot be read is a row with ``ok=False`` and the reason in ``error``.

        Parameters
        ----------
        name : str, optional
            A queue, or the key of dead letters; None for all.
        n : int, optional
            At most so many of each key, the oldest; None for all.

        Returns
        -------
        DataFrame
            Columns queue (that the work was for), ok, error, error_type, n_attempts, first_failed_at,
            last_failed_at, camera_id, batch_id, file_path (secrets in it and in error are masked), original
            (the work, decoded), raw (bytes as stored), key (where the letter lies), pos, entry_id. Of what
            a full queue has shed nobody recorded when, or how often it was tried: these are NA. `peek` of
            the key shows the whole letter, with stack trace and context where there are any.

        Raises
        ------
        UnknownQueueError
            If there is no such queue.
        BadInputError
            If `name` or `n` is not allowed.
        UnreachableError
            If Redis does not answer.
        """
        return await read_dead_letters(
            self._queue_reader(),
            name,
            n=n,
            timezone=self._zone,
            prefix=self._prefix(),
            on_page=report_rows,
        )

    @two_faced
    async def keys(self, pattern: str = "*", *, limit: int | None = 100_000) -> pd.DataFrame:
        """Return one row per key that matches, sorted by name, with its type and size.

        They are found page by page with SCAN: a key that is there all the while is found, one that comes
        or goes meanwhile may be. A name that is not UTF-8 is shown with escapes for its bytes.

        Parameters
        ----------
        pattern : str
            A glob of Redis: ``*``, ``?``, ``[ab]``, with a backslash before what is meant literally.
        limit : int, optional
            At most so many keys, whichever are found first; with a `TruncatedWarning`. None for all.

        Returns
        -------
        DataFrame
            Columns key, type, ttl_s (seconds until it vanishes; NA for never), size_bytes (in the server's
            memory, estimated), encoding. NA as well where the server forbids the command.

        Raises
        ------
        BadInputError
            If `pattern` or `limit` is not allowed.
        UnreachableError
            If Redis does not answer.
        """
        return await read_keys(self._queue_reader(), pattern, limit=limit, on_page=report_rows)

    @two_faced
    async def cache(self, pattern: str = "*cache:*", *, limit: int | None = 10_000) -> pd.DataFrame:
        """Return one row per key that matches, sorted by name, with its decoded value.

        Values are JSON, encoded once or twice; a text that is not JSON is the value itself. Secrets in a
        value are masked, in its bytes too, and so is all of a key that is one by its name.

        Parameters
        ----------
        pattern : str
            A glob of Redis, as for `keys`.
        limit : int, optional
            At most so many keys, whichever are found first; with a `TruncatedWarning`. None for all.

        Returns
        -------
        DataFrame
            Columns key, type, ttl_s (seconds; NA for never), ok, error, value (decoded), raw (bytes as
            stored), size_bytes (as stored). What is no string has no value, and an error such as ``type is
            list, use peek``; so has a value above 4 MiB.

        Raises
        ------
        BadInputError
            If `pattern` or `limit` is not allowed.
        UnreachableError
            If Redis does not answer.
        """
        return await read_cache(self._queue_reader(), pattern, limit=limit, on_page=report_rows)

    @two_faced
    async def tail(self, channel: str, seconds: float = 10.0, *, limit: int | None = 100_000) -> pd.DataFrame:
        """Return one row per message that is published on a channel while this listens.

        A line that updates in place shows the newest one. What was published before is gone; a channel
        that nobody publishes on is an empty frame, since there is no list of channels to check a name
        against. It listens on a connection of its own, which Stop closes; what came until then is not
        returned.

        Parameters
        ----------
        channel : str
            Such as ``"events"`` or ``"security_events"``.
        seconds : float
            How long to listen.
        limit : int, optional
            It ends after so many messages, with a `TruncatedWarning`; None for no limit.

        Returns
        -------
        DataFrame
            Columns received_at (by the server's clock), channel, type, event_id, batch_id, camera_id,
            risk_score, risk_level, ok, error, raw (bytes as sent), payload. The fields are those inside an
            envelope, or of a flat message; NA where a message does not have them. What is no JSON object is
            a row with ``ok=False`` and its error.

        Raises
        ------
        BadInputError
            If `channel`, `seconds` or `limit` is not allowed.
        UnreachableError
            If Redis does not answer, does not let us listen, or goes away meanwhile.
        """
        return await read_published(
            self._queue_reader(), channel, seconds=seconds, limit=limit, on_message=report
        )

    def _prefix(self) -> str:
        return self._sources.value("redis_key_prefix") or KEY_PREFIX
