"""The deployment as a pipeline: what waits at each stage, and where it is stuck."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from numbers import Integral
from typing import Any

import pandas as pd

from secnb.bridge import two_faced
from secnb.core.health import Answer
from secnb.core.reader import DatabaseReader
from secnb.deployment.held import Held
from secnb.deployment.overview import service_urls
from secnb.errors import BadInputError, SecnbError
from secnb.frames.batches import Limits
from secnb.frames.latencies import read_latencies
from secnb.frames.pictures import Image, read_detection, read_folder, read_image
from secnb.frames.pipeline import Parts, read_pipeline
from secnb.frames.typed import to_times
from secnb.view.pictures import Picture

_CAMERA_ROOT = "/export/foscam"


class InspectionHelpers(Held):
    """The helpers that look at all stages at once."""

    _left_out: Mapping[str, str] = {}
    """What a snapshot does not hold, in words; empty for what is live."""

    @two_faced
    async def pipeline(self) -> pd.DataFrame:
        """Return one row per stage, in the order in which an image passes them, and where it is stuck.

        A queue is judged by what waits in it, a worker (detector, reasoner) by what waits for it and by
        what it has recorded lately, a camera by what it recorded at the same times of the days before. A
        part that is down is a row that says so, never an error. Nobody records when an image without a
        detection was done, or when an event was written: rates are those of the records, and the age of
        an event is that of its first detection. Where work has waited for 15 min and no record is younger
        than that, a worker is called stuck; a very slow one looks the same in one look, and
        ``site.queues(watch_s=30)`` tells them apart.

        Nothing runs in a sandbox. It is looked at as of the end of its history, and ``attrs`` says so.

        Returns
        -------
        DataFrame
            Columns stage, status, depth (messages, open batches or silent cameras), oldest_at, oldest_age_s,
            out_per_hour (records of the last hour), last_at (when the newest came), freshness_s (since
            then), n_dead_letters, why (in words). status is "ok"; "stuck"; "slow", where work has waited
            for 10 min; "poisoned", where a fifth of the next 100 messages cannot be read; "silent", where
            a camera recorded nothing for an hour, while another did, and at least 3 detections at the
            same times on each of the 7 days before (of a shorter history, at least 3 days); or "unknown".
            NA is what cannot be known. ``attrs["summary"]`` says where the pipeline is stuck, what does
            not answer and which camera is silent; ``attrs["as_of"]`` since when ages count.
            `secnb.plot_pipeline` draws it.
        """
        self._check_open()
        database: DatabaseReader | SecnbError
        try:
            database = self._db()
        except SecnbError as exc:
            database = exc
        names = ("batch_window_seconds", "batch_idle_timeout_seconds")
        window_s, idle_s = (float(self._sources.value(name)) for name in names)
        return await read_pipeline(
            Parts(
                self._queue_reader(),
                database,
                self._services(),
                Limits(window_s, idle_s),
                self._zone,
                self.taken_at,
            )
        )

    @two_faced
    async def latencies(self) -> pd.DataFrame:
        """Return one row per source that records how long a stage takes; empty where none does.

        The newest verifications (``event_verifications.latency_ms``), and the keys ``telemetry:latency:*``
        and ``model_zoo:latency:*``, whose values are taken as milliseconds. The median of the reasoner's
        source is what `secnb.compare_batching` needs as ``service_s``.

        Returns
        -------
        DataFrame
            Columns source, n (values, at most the 10,000 newest), median_s, p95_s; most values first.
            ``attrs["problems"]`` says which part could not be asked.
        """
        self._check_open()
        database: DatabaseReader | SecnbError
        try:
            database = self._db()
        except SecnbError as exc:
            database = exc
        return await read_latencies(database, self._queue_reader(), timezone=self._zone)

    @two_faced
    async def show(self, detection_id: int, *, embed: bool = False) -> Picture:
        """Return the picture of one detection, with its box, label and confidence drawn over it.

        What a cell shows is saved with its notebook, so by default the image is left out, and the box is
        drawn into an empty frame; ``embed=True`` puts the image into the output, to be cleared before the
        notebook is given away. An image that is missing, unreadable, too large (20 MiB) or of another
        form, and a video, are said in words. Only JPEG and PNG files below the folder that the cameras
        upload to (setting ``foscam_base_path``) are read, and no link leads out of it.

        Parameters
        ----------
        detection_id : int
            As in `detections`.
        embed : bool, default False
            Whether to read the image and put it into what the cell shows.

        Returns
        -------
        Picture
            Shows itself in a notebook.

        Raises
        ------
        UnknownDetectionError
            If there is none of that id.
        UnknownNameError, UnknownColumnError
            If there is no table of detections, or none with ids.
        BadInputError
            If `detection_id` is no whole number.
        UnreachableError
            If the database does not answer.
        """
        self._check_open()
        if not isinstance(detection_id, Integral) or isinstance(detection_id, bool):
            raise BadInputError(f"detection_id is {detection_id!r}. Allowed: a whole number.")
        if not -(2**63) <= int(detection_id) < 2**63:
            raise BadInputError(f"detection_id is {detection_id!r}. Allowed: a number of 64 bits.")
        reader = self._db()
        left_out = self._left_out.get("table detections")
        found = await read_detection(reader, int(detection_id), left_out=left_out)
        image = Image(problem="the image is off; show(…, embed=True) puts it in")
        if embed:
            root = self._sources.folder / (self._sources.text("foscam_base_path") or _CAMERA_ROOT)
            folder = await read_folder(reader, found["camera_id"])
            is_video = found["media_type"] == "video"
            image = await asyncio.to_thread(
                read_image, root, found["file_path"], folder=folder, is_video=is_video
            )
        return _picture(found, image)

    def _services(self) -> Mapping[str, str | Answer]:
        """Return where the services are asked, or what they answered once."""
        return service_urls(self._sources)


def _picture(found: Mapping[str, Any], image: Image) -> Picture:
    kind = str(found["object_type"] or "no type")
    confidence = found["confidence"]
    label = kind if not isinstance(confidence, int | float) else f"{kind} {confidence:.2f}"
    at = to_times([found["detected_at"]])[0]
    when = "no time" if pd.isna(at) else f"{at:%Y-%m-%d %H:%M:%S} UTC"
    return Picture(
        f"detection {found['id']}, {found['camera_id']}, {label}, {when}",
        str(found["file_path"] or ""),
        label,
        _box(found),
        "" if image.problem is None else f"No image: {image.problem}.",
        image.mime,
        (image.width, image.height) if image.content else (1920, 1080),
        image.content,
    )


def _box(found: Mapping[str, Any]) -> tuple[float, float, float, float] | None:
    """Return the box where it was recorded in full, and can be drawn."""
    values = [found[name] for name in ("bbox_x", "bbox_y", "bbox_width", "bbox_height")]
    # SQLite keeps whatever it was given, and a number can be of any size.
    if not all(isinstance(each, int | float) and abs(each) < 1e6 for each in values):
        return None
    x, y, width, height = map(float, values)
    is_usable = not any(map(math.isnan, (x, y, width, height))) and width >= 0 and height >= 0
    return (x, y, width, height) if is_usable else None
