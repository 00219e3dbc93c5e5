"""Which generation of the project a database belongs to, told by what is in it.

Version strings tell nothing: tables that are missing are created at an upgrade, but those that are there
are never altered, so a database looks like its history.
"""

from __future__ import annotations

from secnb.core.reader import DatabaseReader

_TABLES = frozenset({"cameras", "detections", "events"})


async def read_generation(reader: DatabaseReader) -> str | None:
    """Return the generation by its tables; None for a database of something else.

    Returns
    -------
    str or None
        ``"sqlite"`` for the first, ``"streams"`` for the newest, which has a verifier (and Redis streams),
        ``"postgres"`` for those between.
    """
    tables = await reader.fetch_tables()
    if _TABLES.isdisjoint(tables):
        return None
    if reader.dialect == "sqlite":
        return "sqlite"
    return "streams" if "event_verifications" in tables else "postgres"
