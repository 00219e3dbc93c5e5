"""The deployment as a whole: does it answer, and which settings are in force."""

from __future__ import annotations

from numbers import Integral

import pandas as pd

from secnb import schema
from secnb.bridge import two_faced
from secnb.core.reader import DatabaseReader
from secnb.deployment.held import Held
from secnb.errors import BadInputError, SecnbError
from secnb.frames.health import read_health
from secnb.frames.notes import note
from secnb.frames.typed import to_frame
from secnb.settings_file import SettingSources

# The newest name first: a file that has seen an upgrade may still hold the older one.
_SERVICES = {
    "detector": (("ai_gateway_url", "rtdetr_url"), "http://localhost:8001"),
    "reasoner": (("ai_vlm_url", "nemotron_url"), "http://localhost:8002"),
}


def service_urls(sources: SettingSources) -> dict[str, str]:
    """Return the URL of the detector and of the reasoner, by whichever name a generation has for it."""
    return {
        service: next(filter(None, map(sources.text, names)), default)
        for service, (names, default) in _SERVICES.items()
    }


class OverviewHelpers(Held):
    """The helpers that look at all parts."""

    @two_faced
    async def health(self) -> pd.DataFrame:
        """Return one row per component (database, redis, detector, reasoner): does it answer, how fast.

        Never raises because of a component that is down. The services are asked for ``<url>/health`` for
        at most 2 s; an answer below 500 is up.

        Returns
        -------
        DataFrame
            Columns component, status ("up" or "down"), latency_ms, version, generation, detail. The
            generation of the database is told by its tables: "sqlite", "postgres", or "streams" for the
            newest; NA where they are none of a deployment.
        """
        self._check_open()
        services = service_urls(self._sources)
        database: DatabaseReader | SecnbError
        try:
            database = self._db()
        except SecnbError as exc:
            database = exc
        return await read_health(database, self._redis, services)

    def inflight(self) -> pd.DataFrame:
        """Return one row per running call of this deployment, the oldest first; at once, from any thread.

        A subshell answers while a cell is blocked, so the call that blocks it can be seen from there, and
        stopped with `cancel`.

        Returns
        -------
        DataFrame
            Columns id, call (the name of the helper), started_at, seconds (since then), progress.
        """
        calls = self.bridge.running(self)
        fields = {"call": "name"}
        columns = {name: [getattr(each, fields.get(name, name)) for each in calls] for name in schema.CALLS}
        return note(to_frame(columns, schema.CALLS), rows=len(calls))

    def cancel(self, id: int) -> None:  # noqa: A002 - the column of inflight() that it is taken from
        """Stop a running call, from any thread; whoever waits for it gets a `CallCancelledError`.

        Parameters
        ----------
        id : int
            As in `inflight`.

        Raises
        ------
        BadInputError
            If `id` is no whole number.
        UnknownCallError
            If no such call runs, with those that do.
        """
        # An id out of the frame is a number of numpy's.
        if not isinstance(id, Integral) or isinstance(id, bool):
            raise BadInputError(
                f"id is {id!r}. Allowed: one whole number.", hint="site.cancel(site.inflight()['id'][0])."
            )
        self.bridge.cancel(int(id), self)

    @two_faced
    async def settings(self) -> pd.DataFrame:
        """Return one row per tunable setting: its value, where it comes from, and whether it is in force.

        Returns
        -------
        DataFrame
            Columns setting, value, default, range, unit, source, is_in_force, why. The environment is that
            of this process; a service may run with another. Defaults are those of the generation that
            `health` names; the first's where there is no database to tell it by.
        """
        self._check_open()
        found = self._sources.in_force()
        names = {"setting": "name"}
        columns = {name: [getattr(each, names.get(name, name)) for each in found] for name in schema.SETTINGS}
        return note(to_frame(columns, schema.SETTINGS), env_file=self._sources.env_file, rows=len(found))
