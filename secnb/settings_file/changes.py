"""What changing a setting returns: the difference, what was written where, and what is still to be done."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from secnb.settings_file.lines import Edit

# A page breaks lines at hyphens, and an option of a command is one word.
_OPTION: Final = re.compile(r"(?<!\S)--[a-z-]+")
_UNBROKEN: Final = r'<span style="white-space:nowrap">\g<0></span>'


@dataclass(frozen=True, repr=False, kw_only=True)
class SettingChange:
    """One setting of a file before and after; made by ``save_setting`` and ``undo_setting``.

    Other lines of the file are not part of it, and of the comment behind the value neither.

    Attributes
    ----------
    setting : str
        Its name.
    file : Path
        The file, links followed.
    line : int or None
        The number of its line, from 1; None where it was and is in none.
    before, after : str or None
        What stands in that line; None without one.
    is_saved : bool
        Whether the file was changed.
    action : {"save", "undo"}
        What made it.
    backup, log : Path or None
        The file as it was before, and the log; None where nothing was written.
    thresholds : Path or None
        Where the thresholds per group are; None without any.
    notes : tuple of str
        What else there is to know: what overrides the file, what must restart.
    """

    setting: str
    file: Path
    line: int | None
    before: str | None
    after: str | None
    is_saved: bool
    action: Literal["save", "undo"] = "save"
    backup: Path | None = None
    log: Path | None = None
    thresholds: Path | None = None
    notes: tuple[str, ...] = ()

    @property
    def diff(self) -> str:
        """The difference as text: the line before behind a minus, the line after behind a plus."""
        if self.before == self.after:
            return ""
        lines = [("-", self.before), ("+", self.after)]
        return "\n".join(f"{sign}{line}" for sign, line in lines if line is not None)

    def __repr__(self) -> str:
        was, now = (_plain("not set" if each is None else each) for each in (self.before, self.after))
        if self.before == self.after:
            return f"<SettingChange: {self._headline}; is: {now}>"
        before, after = ("was", "is") if self.is_saved else ("is", "would be")
        return f"<SettingChange: {self._headline}; {before}: {was}; {after}: {now}>"

    def _repr_html_(self) -> str:
        """Show the difference, then what was written and what is still to be done; all escaped."""
        files = (("Before", self.backup), ("Log", self.log), ("Thresholds per group", self.thresholds))
        written = [f"{name}: {path}" for name, path in files if path is not None]
        notes = "".join(f"<li>{_OPTION.sub(_UNBROKEN, _escaped(note))}</li>" for note in self.notes)
        difference = _escaped(self.diff or f" {self.after}")
        small = "<br>".join(map(_escaped, written))
        return (
            f"<p><b>{_escaped(self._headline)}</b></p><pre>{difference}</pre><ul>{notes}</ul>"
            f'<p style="opacity:.75"><small>{small}</small></p>'
        )

    @property
    def _headline(self) -> str:
        done = "taken back" if self.action == "undo" else "saved"
        done = done if self.is_saved else f"not {done}"
        where = f", line {self.line}" if self.line is not None else ""
        return _plain(f"{self.setting} {done}: {self.file}{where}")


def line_of(edit: Edit, part: str, *, is_there: bool = True) -> str | None:
    """Return a line as it is shown, without what its comment says; None where there is none."""
    if not is_there:
        return None
    return f"{edit.key}{part}{'  # …' if edit.has_comment else ''}"


def _plain(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _escaped(text: str) -> str:
    return html.escape(_plain(text))
