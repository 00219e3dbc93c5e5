"""``undo_setting``: the last change of a settings file taken back, and nothing that came after it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from secnb.errors import SettingsFileError
from secnb.settings_file.changelog import Changelog, edit_of
from secnb.settings_file.changes import SettingChange, line_of
from secnb.settings_file.lines import Edit, EnvText
from secnb.settings_file.replacing import (
    backup_of,
    find_file,
    locked,
    read_content,
    replace_content,
    write_file,
)
from secnb.settings_file.saving import RESTART, thresholds_file


def undo_setting(path: str | os.PathLike[str]) -> SettingChange:
    r"""Take the last change of ``save_setting`` back, and return the difference; nothing else is touched.

    Only the line of that setting goes back to what it was; whatever others have changed elsewhere in the
    file since stays. Once more takes back the change before it. It is logged, too.

    Parameters
    ----------
    path : str or Path
        The settings file.

    Returns
    -------
    SettingChange
        As of ``save_setting``. ``is_saved`` is False where somebody has taken the change back already.

    Raises
    ------
    SettingsFileError
        There is nothing to undo; that setting has been changed since by somebody else, whose value is
        kept; or the file cannot be read, locked or written.

    Examples
    --------
    >>> import tempfile
    >>> from secnb.settings_file.saving import save_setting
    >>> file = Path(tempfile.mkdtemp()) / ".env"
    >>> _ = file.write_text("BATCH_WINDOW_SECONDS=90\n")
    >>> _ = save_setting("batch_window_seconds", 60, file)
    >>> print(undo_setting(file).diff)
    -BATCH_WINDOW_SECONDS=60
    +BATCH_WINDOW_SECONDS=90
    """
    file = find_file(path)
    log = Changelog(file)
    with locked(file):
        entry = log.last_saved()
        setting, edit = str(entry["setting"]), edit_of(entry)
        change = SettingChange(
            setting=setting,
            file=file,
            line=None,
            before=None,
            after=None,
            is_saved=False,
            action="undo",
            notes=(RESTART,),
        )
        if edit is not None:
            change = _undone(change, edit)
        note = _put_back(entry.get("thresholds"), thresholds_file(file, setting), like=file)
        log.append("undo", setting=setting, edit=edit, undoes=entry["id"], old=entry["new"], new=entry["old"])
    return replace(change, log=log.path, notes=(*note, *change.notes))


def _undone(change: SettingChange, edit: Edit) -> SettingChange:
    """Put one line back where it still is as the change left it."""
    file = change.file
    content = read_content(file)
    current = EnvText.of(content)
    found = current.find(change.setting)
    if current.lacks(edit):
        same = None if found is None else f"{found.key}{found.part}"
        note = "Somebody has taken it back already; nothing was changed."
        return replace(change, before=same, after=same, notes=(note,))
    undone = current.undo(edit) if current.holds(edit) else None
    if undone is None:
        raise _changed_since(change, edit, current)
    new, back = undone
    write_file(backup_of(file), content, like=file)
    if not replace_content(file, content, new.content):
        raise SettingsFileError(f"{file} was changed while it was read; nothing was changed.")
    return replace(
        change,
        line=back.line,
        before=line_of(back, back.before),
        after=line_of(back, back.after, is_there=edit.joint is None),
        is_saved=True,
        backup=backup_of(file),
    )


def _changed_since(change: SettingChange, edit: Edit, current: EnvText) -> SettingsFileError:
    """Show both values, so that nobody's is lost."""
    found = current.find(change.setting)
    # A value over several lines would show what else is in them.
    now = "not set" if found is None else found.part.split("\n")[0].split("\r")[0].strip(" =") or "empty"
    was = "not set" if edit.joint is not None else edit.before.strip(" =") or "empty"
    return SettingsFileError(
        f"{change.setting} was changed since by somebody else: it is {now}. secnb had set it to "
        f"{edit.after.strip(' =')}, and before that it was {was}. Nothing was changed.",
        hint="to set it all the same: secnb.save_setting(name, value, path).",
    )


def _put_back(thresholds: Mapping[str, Any] | None, beside: Path, *, like: Path) -> tuple[str, ...]:
    """Put the thresholds per group back where they still are as the change left them."""
    if thresholds is None:
        return ()
    if not beside.exists() or read_content(beside) != thresholds["after"].encode():
        return (f"{beside.name} was changed since by somebody else; it is left as it is.",)
    if thresholds["before"] is None:
        beside.unlink()
        return (f"{beside.name} is gone again.",)
    write_file(beside, thresholds["before"].encode(), like=like)
    return (f"{beside.name} is what it was again.",)
