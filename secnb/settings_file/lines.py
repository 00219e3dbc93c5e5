"""The lines of a settings file as python-dotenv reads them, and one value among them changed.

What is not that value stays as it is, byte by byte: bytes that are no UTF-8 too. Every change is read
back before anybody writes it, and is refused where it would reach any other line.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from dotenv.parser import parse_stream

from secnb.errors import SettingsFileError

_BOM: Final = "\ufeff"
_NEWLINE: Final = re.compile(r"\r\n|\n|\r")
# As the parser of python-dotenv reads them; it tells keys and values, but not where a value stands.
_KEY: Final = re.compile(r"\s*(?:export[^\S\r\n]+)?(?:'[^']+'|[^=\#\s]+)")
_NAME: Final = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)
_EQUALS: Final = re.compile(r"[^\S\r\n]*=[^\S\r\n]*")
_QUOTED: Final = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\"""", re.DOTALL)
_COMMENT: Final = re.compile(r"\s+#.*")


@dataclass(frozen=True)
class Assignment:
    """One setting as a file has it.

    Attributes
    ----------
    key : str
        As it is spelled.
    value : str or None
        As it is read, variables not expanded; None for a name without a value.
    start, stop : int
        Where its line begins and ends in the text, the end of the line included.
    at : int
        Where its part begins: what stands between the name and the comment, such as ``="0.5"``.
    part : str
        That part; ``""`` for a name without a value.
    """

    key: str
    value: str | None
    start: int
    stop: int
    at: int
    part: str


@dataclass(frozen=True)
class Edit:
    """One part of a file before and after a change; a line that was added has no part before.

    Attributes
    ----------
    key, before, after : str
        The name as it is spelled, and its parts.
    joint : str or None
        The end of line that was put before an added line; None where no line was added.
    line : int
        Number of the line, from 1.
    has_comment : bool
        Whether a comment follows; what it says is not shown.
    """

    key: str
    before: str
    after: str
    joint: str | None
    line: int
    has_comment: bool = False


@dataclass(frozen=True)
class EnvText:
    """The whole text of a settings file."""

    text: str

    @classmethod
    def of(cls, content: bytes) -> EnvText:
        """Return the text of a file; what is no UTF-8 is kept as surrogates."""
        return cls(content.decode("utf-8", "surrogateescape"))

    @property
    def content(self) -> bytes:
        """The file as bytes."""
        return self.text.encode("utf-8", "surrogateescape")

    @property
    def is_utf8(self) -> bool:
        """Whether a service can read it."""
        return not any("\ud800" <= each <= "\udfff" for each in self.text)

    @property
    def is_foreign(self) -> bool:
        """Whether there are lines, but none of them is NAME=value or a comment."""
        has_lines = any(line and not line.startswith("#") for line in map(str.strip, self._lines))
        names = (each.key for each in self._read[0] if each.value is not None)
        return has_lines and not any(_NAME.fullmatch(name) for name in names)

    @property
    def _lines(self) -> list[str]:
        return _NEWLINE.split(self.text.removeprefix(_BOM))

    @cached_property
    def _read(self) -> tuple[list[Assignment], int]:
        """Return the assignments, and how many lines could not be read."""
        bindings = list(parse_stream(io.StringIO(self.text, newline="")))
        # The parser leaves a byte order mark out.
        start = len(self.text) - sum(len(each.original.string) for each in bindings)
        found, n_broken = [], 0
        for binding in bindings:
            stop = start + len(binding.original.string)
            if binding.key is not None:
                found.append(_assignment(self.text, binding.key, binding.value, start, stop))
            n_broken += binding.error
            start = stop
        return found, n_broken

    def find(self, name: str) -> Assignment | None:
        """Return the assignment that counts for a setting; None without any."""
        own = [each for each in self._read[0] if each.key.lower() == name]
        if not own:
            return None
        # Of two spellings the one that is met last counts, and of one spelling its last line.
        spelling = list(dict.fromkeys(each.key for each in own))[-1]
        return [each for each in own if each.key == spelling][-1]

    def set(self, name: str, value: str) -> tuple[EnvText, Edit]:
        """Return the text in which a setting has another value.

        Raises
        ------
        SettingsFileError
            If that cannot be done without reaching another line.
        """
        found = self.find(name)
        if found is not None and _NEWLINE.search(found.part):
            raise SettingsFileError(
                f"The value of {name.upper()} runs over several lines; it is left as it is.",
                hint=f"close its quote by hand: line {self._line(found.start)}.",
            )
        for form in _forms(value, found.part if found else ""):
            new, edit = self._added(name, form) if found is None else self._changed(found, form)
            if new._is_only_change(self, edit, value):
                return new, edit
        raise SettingsFileError(
            f"{name.upper()} cannot be set without reaching another line; nothing was changed.",
            hint="a quote that is not closed, most likely: mend the file by hand.",
        )

    def _changed(self, found: Assignment, form: str) -> tuple[EnvText, Edit]:
        equals = _EQUALS.match(found.part)
        # Spaces after the sign stay, where a value follows them.
        head = equals.group() if equals else "="
        edit = self._edit(found, head + form)
        return self._with(found, edit.after), edit

    def _edit(self, found: Assignment, after: str) -> Edit:
        rest = self.text[found.at + len(found.part) : found.stop]
        return Edit(found.key, found.part, after, None, self._line(found.start), "#" in rest)

    def _with(self, found: Assignment, part: str) -> EnvText:
        return EnvText(self.text[: found.at] + part + self.text[found.at + len(found.part) :])

    def _added(self, name: str, form: str) -> tuple[EnvText, Edit]:
        """Add a line at the end; a file whose last line has no end keeps it so."""
        newline = _NEWLINE.search(self.text)
        end = newline.group() if newline else "\n"
        is_ended = not self.text.removeprefix(_BOM) or self.text.endswith(("\n", "\r"))
        joint = "" if is_ended else end
        edit = Edit(name.upper(), "", f"={form}", joint, self._line(len(self.text)) + (not is_ended))
        line = f"{joint}{edit.key}{edit.after}{end if is_ended else ''}"
        return EnvText(self.text + line), edit

    def _line(self, position: int) -> int:
        return 1 + len(_NEWLINE.findall(self.text[:position]))

    def _is_only_change(self, old: EnvText, edit: Edit, value: str) -> bool:
        """Whether the text differs from an older one in this value alone, as it is read."""
        (new, n_broken), (before, n_before) = self._read, old._read
        changed = self.find(edit.key.lower())
        if changed is None or changed.value != value or n_broken != n_before:
            return False
        others = [(each.key, each.value) for each in new if each is not changed]
        replaced = None if edit.joint is not None else old.find(edit.key.lower())
        return others == [(each.key, each.value) for each in before if each is not replaced]

    def holds(self, edit: Edit) -> bool:
        """Whether the setting of a change still is as that change left it."""
        found = self.find(edit.key.lower())
        return found is not None and (found.key, found.part) == (edit.key, edit.after)

    def lacks(self, edit: Edit) -> bool:
        """Whether the setting of a change is as it was before that change."""
        found = self.find(edit.key.lower())
        if found is None or edit.joint is not None:
            return found is None and edit.joint is not None
        return (found.key, found.part) == (edit.key, edit.before)

    def undo(self, edit: Edit) -> tuple[EnvText, Edit] | None:
        """Return the text without a change that it `holds`; None where more than that would go."""
        found = self.find(edit.key.lower())
        if found is None:
            return None
        back = self._edit(found, edit.before)
        if edit.joint is None:
            return self._with(found, edit.before), back
        line = f"{edit.key}{edit.after}"
        if self.text[found.start : found.stop].rstrip("\r\n") != line:
            return None
        # The end of line before it goes too, unless other lines now follow.
        is_last = found.stop == len(self.text) and self.text.endswith(edit.joint + line)
        return EnvText(self.text[: found.start - is_last * len(edit.joint)] + self.text[found.stop :]), back


def _assignment(text: str, key: str, value: str | None, start: int, stop: int) -> Assignment:
    line = text[start:stop]
    head = _KEY.match(line)
    at = head.end() if head else 0
    start_of_key = start + len(line) - len(line.lstrip())
    return Assignment(key, value, start_of_key, stop, start + at, _part(line[at:]))


def _part(rest: str) -> str:
    """Return the sign and the value, without the spaces and the comment after them."""
    equals = _EQUALS.match(rest)
    if equals is None:
        return ""
    after = rest[equals.end() :]
    sign = equals.group().rstrip()
    if not after or after[0] in "\r\n" or (after[0] == "#" and len(equals.group()) > len(sign)):
        return sign
    if quoted := _QUOTED.match(after):
        return equals.group() + quoted.group()
    unquoted = _NEWLINE.split(after, maxsplit=1)[0]
    return equals.group() + _COMMENT.sub("", unquoted).rstrip()


def _forms(value: str, part: str) -> list[str]:
    """Return the ways to write a value, the quotes that stand there first."""
    escaped = value.replace("\\", "\\\\")
    forms = {
        "": value,
        "'": "'" + escaped.replace("'", "\\'") + "'",
        '"': '"' + escaped.replace('"', '\\"') + '"',
    }
    equals = _EQUALS.match(part)
    quote = part[equals.end() : equals.end() + 1] if equals else ""
    first = forms.pop(quote) if quote in forms else forms.pop("")
    return [first, *forms.values()]
