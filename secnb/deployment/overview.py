"""The deployment as a whole: does it answer, and which settings are in force."""

from __future__ import annotations

import pandas as pd

from secnb import schema
from secnb.bridge import two_faced
from secnb.deployment.held import Held
from secnb.frames.health import read_health
from secnb.frames.notes import note
from secnb.frames.typed import to_frame

_SERVICES = {
    "detector": ("rtdetr_url", "http://localhost:8001"),
    "reasoner": ("nemotron_url", "http://localhost:8002"),
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
            Columns component, status ("up" or "down"), latency_ms, version, generation, detail.
        """
        self._check_open()
        services = {name: self._sources.text(setting) or url for name, (setting, url) in _SERVICES.items()}
        return await read_health(self._database or self._failures["database"], self._redis, services)

    @two_faced
    async def settings(self) -> pd.DataFrame:
        """Return one row per tunable setting: its value, where it comes from, and whether it is in force.

        Returns
        -------
        DataFrame
            Columns setting, value, default, range, unit, source, is_in_force, why. The environment is that
            of this process; a service may run with another.
        """
        self._check_open()
        found = self._sources.in_force()
        names = {"setting": "name"}
        columns = {name: [getattr(each, names.get(name, name)) for each in found] for name in schema.SETTINGS}
        return note(to_frame(columns, schema.SETTINGS), env_file=self._sources.env_file, rows=len(found))
