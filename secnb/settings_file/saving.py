"""``save_setting``: one setting of a file changed, with a backup, a log, and nothing else touched."""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from secnb.analysis.choices import ThresholdChoice
from secnb.errors import BadInputError, OverriddenWarning, SettingsError, SettingsFileError
from secnb.schema import TUNABLE
from secnb.settings_file.changelog import Changelog, to_plain
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
from secnb.settings_file.sources import SettingSources, read_value
from secnb.settings_file.values import check_together, find_setting, to_text

_TRIES: Final = 5

RESTART: Final = (
    "The deployment reads its settings when it starts: restart the backend and its workers "
    "(with Docker Compose: up -d --force-recreate)."
)
"""What must restart."""


def save_setting(
    name: str,
    value: object,
    path: str | os.PathLike[str],
    *,
    evidence: object = None,
    dry_run: bool = False,
) -> SettingChange:
    r"""Change one setting in a settings file at once, and return the difference; nothing else is touched.

    Every other line, comments and line ends stay byte by byte. Of several lines of the setting the one
    that counts is changed; without one, a line is added at the end. The new content takes the place of the
    old one in one step, with its owner and mode; where that is not possible, as with a file that is
    mounted into a container, it is replaced in place. A link stays a link. Where anything fails, the file
    holds what it did. The content before is kept beside it (``.env.secnb-backup``), and what was changed,
    when and why in a log for its owner alone (``.env.secnb-log.jsonl``); `undo_setting` takes it back.
    Nothing is written where the setting has that value already.

    The deployment has one value for all. The thresholds of a choice by label or camera go to JSON beside
    the file, which no deployment reads; the setting gets the threshold of the whole.

    Parameters
    ----------
    name : str
        A tunable setting, in any case; ``secnb.schema.TUNABLE`` has them, with their ranges.
    value : float, int, bool, str, list of str, or ThresholdChoice
        The value. A choice stands for its threshold, and is its own evidence.
    path : str or Path
        The deployment's ``.env``, or its ``data/runtime.env``. It must be there.
    evidence : ThresholdChoice, str, or plain data, optional
        Why: what goes into the log.
    dry_run : bool
        Show the difference, and write nothing.

    Returns
    -------
    SettingChange
        Shows the difference in a notebook; ``.diff`` is its text, ``.notes`` what is still to be done.

    Raises
    ------
    UnknownNameError
        There is no tunable setting of that name; what holds secrets is none.
    SettingsError
        The value is of another form, out of its range, or does not go with the other settings.
    SettingsFileError
        The file is not there, is no settings file, or cannot be read, locked or written.
    BadInputError
        JSON cannot hold the evidence, or ``dry_run`` is neither True nor False.

    Warns
    -----
    OverriddenWarning
        A stronger source, such as the environment, holds the setting: the file has no effect.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / ".env"
    >>> _ = file.write_text("# the cameras\nDETECTION_CONFIDENCE_THRESHOLD=0.5  # default\n")
    >>> change = save_setting("detection_confidence_threshold", 0.62, file, evidence="audit of March")
    >>> print(change.diff)
    -DETECTION_CONFIDENCE_THRESHOLD=0.5  # …
    +DETECTION_CONFIDENCE_THRESHOLD=0.62  # …
    """
    if not isinstance(dry_run, bool):
        raise BadInputError(f"dry_run is {dry_run!r}. Allowed: True and False.")
    setting = find_setting(name)
    text = to_text(setting, value)
    file, sources = find_file(path), SettingSources(Path(path).expanduser().absolute())
    check_together(setting, text, sources)
    choice = value if isinstance(value, ThresholdChoice) and evidence is None else evidence
    why = to_plain(choice.to_dict() if isinstance(choice, ThresholdChoice) else choice)
    groups = _groups(setting, choice)
    notes = (*_other_threshold(choice, text), *_notes(setting, sources))
    if dry_run:
        return _planned(file, setting, text, notes).change
    with locked(file):
        for _ in range(_TRIES):
            plan = _planned(file, setting, text, notes)
            if plan.edit is None and groups is None:
                return plan.change
            if (saved := _save(plan, groups, why)) is not None:
                return saved
    raise SettingsFileError(f"{file} changes faster than it can be written; nothing was changed.")


@dataclass(frozen=True)
class _Plan:
    """What is to be written; the edit is None where the setting has that value already."""

    old: bytes
    new: bytes
    edit: Edit | None
    was: str | None
    text: str
    change: SettingChange


def _planned(file: Path, setting: str, text: str, notes: tuple[str, ...]) -> _Plan:
    content = read_content(file)
    current = EnvText.of(content)
    found = current.find(setting)
    if found is None and current.is_foreign:
        raise SettingsFileError(
            f"{file} has no line NAME=value, but others: it is no settings file. Nothing was changed.",
            hint="name the deployment's .env; an empty file is one, too.",
        )
    if not current.is_utf8:
        notes = (*notes, f"{file.name} is not UTF-8 text: a service that reads it does not start.")
    was = None if found is None else found.value
    new, edit = current.set(setting, text)
    is_same = found is not None and _is_same(setting, was, text)
    change = SettingChange(
        setting=setting,
        file=file,
        line=edit.line,
        before=line_of(edit, edit.before, is_there=found is not None),
        after=line_of(edit, edit.before if is_same else edit.after),
        is_saved=False,
        notes=("It has this value already; nothing was changed.", *notes) if is_same else notes,
    )
    return _Plan(content, content if is_same else new.content, None if is_same else edit, was, text, change)


def _is_same(setting: str, was: str | None, text: str) -> bool:
    try:
        return was is not None and read_value(TUNABLE[setting], was) == read_value(TUNABLE[setting], text)
    except SettingsError:
        return False


def _save(plan: _Plan, groups: str | None, why: Any) -> SettingChange | None:
    """Write the log, then the file; None where somebody else has changed the file since it was read."""
    change, file, log = plan.change, plan.change.file, Changelog(plan.change.file)
    beside = thresholds_file(file, change.setting)
    before = read_content(beside).decode("utf-8", "replace") if beside.exists() else None
    write_file(backup_of(file), plan.old, like=file)
    log.append(
        "save",
        setting=change.setting,
        old=plan.was,
        new=plan.text,
        edit=plan.edit,
        thresholds=None if groups is None else {"before": before, "after": groups},
        evidence=why,
    )
    try:
        if groups is not None:
            write_file(beside, groups.encode(), like=file)
        is_done = plan.edit is None or replace_content(file, plan.old, plan.new)
    except BaseException:
        if read_content(file) != plan.new:
            log.take_back()
        raise
    if not is_done:
        log.take_back()
        return None
    notes = change.notes
    if groups is not None:
        notes = (*notes, f"The thresholds per group are in {beside.name}; the deployment does not read it.")
    return replace(
        change,
        is_saved=plan.edit is not None,
        backup=backup_of(file),
        log=log.path,
        thresholds=None if groups is None else beside,
        notes=notes,
    )


def thresholds_file(file: Path, setting: str) -> Path:
    """Return where the thresholds per group of a setting are kept."""
    return file.with_name(f"{file.name}.{setting}.json")


def _groups(setting: str, choice: object) -> str | None:
    """Return the thresholds per group as JSON; None where the choice has none."""
    if not isinstance(choice, ThresholdChoice) or not choice.by:
        return None
    plain: dict[str, Any] = choice.to_dict()
    groups = [
        {**group["key"], **{name: group[name] for name in ("threshold", "status", "reason")}}
        for group in plain["groups"]
    ]
    whole = {"setting": setting, "by": plain["by"], "threshold": plain["threshold"], "groups": groups}
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _other_threshold(choice: object, text: str) -> tuple[str, ...]:
    """Say where the evidence is for another value than that saved."""
    if not isinstance(choice, ThresholdChoice) or choice.threshold is None or repr(choice.threshold) == text:
        return ()
    return (f"The evidence is for {choice.threshold!r}.",)


def _notes(setting: str, sources: SettingSources) -> tuple[str, ...]:
    """Say what must restart, and warn where a stronger source holds the setting."""
    stronger = sources.above_file(setting)
    if stronger is None:
        return (RESTART,)
    where = "The environment of this kernel" if stronger == "environment" else stronger
    sentence = f"{where} holds {setting.upper()} and is stronger: the file alone changes nothing."
    warnings.warn(sentence, OverriddenWarning, stacklevel=3)
    return (sentence, RESTART)
