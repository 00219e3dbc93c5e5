"""The log beside a settings file: what was changed, from what to what, when, and on what evidence.

One JSON object per line, for its owner alone. A line is written before the file is changed, so that no
change is without one; a line that was cut by a crash is passed over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import orjson
import pandas as pd

from secnb.errors import BadInputError, SettingsFileError
from secnb.settings_file.lines import Edit
from secnb.settings_file.replacing import append_line, read_content, truncate

FORMAT: Final = 1
"""Version of an entry; it rises when a key changes its meaning or goes away."""


class Changelog:
    """The log of one settings file.

    Parameters
    ----------
    file : Path
        The settings file; the log is beside it.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.path = file.with_name(f"{file.name}.secnb-log.jsonl")
        self._size = 0

    def append(self, action: str, *, setting: str, edit: Edit | None, **fields: object) -> None:
        """Add an entry: the action, the setting, the edit and whatever else belongs to it."""
        entry = {
            "format": FORMAT,
            "id": uuid4().hex,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "action": action,
            "setting": setting,
            **fields,
            "edit": None if edit is None else asdict(edit),
        }
        # Text that is no UTF-8 is written as the escape of a surrogate.
        self._size = append_line(self.path, json.dumps(entry).encode("ascii"), like=self.file)

    def take_back(self) -> None:
        """Remove the entry that was added last, since its change was not made."""
        truncate(self.path, self._size)

    def last_saved(self) -> Mapping[str, Any]:
        """Return the newest entry of a change that was not undone.

        Raises
        ------
        SettingsFileError
            If there is none.
        """
        entries = self._entries()
        undone = {entry.get("undoes") for entry in entries}
        saved = [each for each in entries if each.get("action") == "save" and each.get("id") not in undone]
        if not saved:
            raise SettingsFileError(
                f"There is no change of {self.file} to undo.",
                hint="only what secnb.save_setting changed can be undone.",
            )
        return saved[-1]

    def _entries(self) -> list[Mapping[str, Any]]:
        if not self.path.exists():
            return []
        found: list[Mapping[str, Any]] = []
        for line in read_content(self.path).splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and entry.get("format") == FORMAT:
                found.append(entry)
        return found


def edit_of(entry: Mapping[str, Any]) -> Edit | None:
    """Return the edit of an entry; None where it left the file as it was."""
    try:
        return None if entry["edit"] is None else Edit(**entry["edit"])
    except (KeyError, TypeError) as exc:
        raise SettingsFileError("The log's last entry is not one of secnb's.") from exc


def to_plain(evidence: object) -> Any:
    """Return evidence as plain data for JSON."""
    options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
    try:
        return json.loads(orjson.dumps(evidence, default=_plain, option=options))
    except TypeError as exc:
        raise BadInputError(
            f"evidence is of the type {type(evidence).__name__}, which JSON cannot hold ({exc}). "
            "Allowed: a ThresholdChoice, text, or numbers and text in dicts and lists.",
            hint="a row of a frame: frame.iloc[0].to_dict()",
        ) from exc


def _plain(value: object) -> Any:
    """Return a missing value as None, and a time as ISO text, as both stand in the rows of frames."""
    if value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, datetime | timedelta):
        return value.isoformat() if isinstance(value, datetime) else str(value)
    raise TypeError(type(value).__name__)
