"""What is in force, and from where: the settings of a deployment as its files and this process name them.

The order of sources is the deployment's own: process environment, ``data/runtime.env``, ``.env``,
default. Nothing here imports the deployment's configuration, creates a folder or writes a file.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from dotenv import dotenv_values

from secnb.errors import SettingsError
from secnb.schema import LATER_DEFAULTS, TUNABLE, Setting

RUNTIME_ENV_PATH = "data/runtime.env"
_TRUE = ("1", "true", "yes", "on", "t", "y")
_FALSE = ("0", "false", "no", "off", "f", "n")


@dataclass(frozen=True)
class SettingInForce:
    """One tunable setting and where its value comes from.

    Attributes
    ----------
    value : object
        As the deployment reads it; the text itself where that is not possible.
    source : str
        ``"environment"``, the path of a file, or ``"default"``.
    is_in_force : bool
        Whether the deployment can work with the value.
    why : str
        One sentence.
    """

    name: str
    value: Any
    default: Any
    range: str
    unit: str
    source: str
    is_in_force: bool
    why: str


class SettingSources:
    """The places where settings are written, strongest first.

    Parameters
    ----------
    env_file : Path or None
        The ``.env`` file; None if there is none.
    """

    def __init__(self, env_file: Path | None) -> None:
        self.env_file = env_file
        # Defaults differ; None, for those of the first, until the database has told.
        self.generation: str | None = None
        self.folder = env_file.parent if env_file is not None else Path.cwd()

    def lookup(self, name: str) -> tuple[str, str] | None:
        """Return the text of a setting and its source, or None if no source names it."""
        return next(self._found(name, self._layers()), None)

    def text(self, name: str) -> str | None:
        """Return the text of a setting, or None if no source names it."""
        found = self.lookup(name)
        return found[0] if found else None

    def above_file(self, name: str) -> str | None:
        """Return the strongest source of a setting over the ``.env`` file; None without one."""
        layers: list[tuple[str, Mapping[str, str | None]]] = [("environment", dict(os.environ))]
        if self.env_file is None or self._runtime_file.resolve() != self.env_file.resolve():
            layers.append((str(self._runtime_file), _read(self._runtime_file)))
        return next((source for _, source in self._found(name, layers)), None)

    def in_force(self) -> list[SettingInForce]:
        """Return every tunable setting, in the order of `secnb.schema.TUNABLE`."""
        layers = self._layers()
        return [_in_force(name, self._setting(name), list(self._found(name, layers))) for name in TUNABLE]

    def value(self, name: str) -> Any:
        """Return the value of one tunable setting that the deployment works with."""
        found = list(self._found(name, self._layers()))
        setting = _in_force(name, self._setting(name), found)
        return setting.value if setting.is_in_force else setting.default

    def _setting(self, name: str) -> Setting:
        setting, later = TUNABLE[name], LATER_DEFAULTS.get(self.generation or "", {})
        return replace(setting, default=later[name]) if name in later else setting

    def _layers(self) -> list[tuple[str, Mapping[str, str | None]]]:
        files = [self._runtime_file, *([self.env_file] if self.env_file else [])]
        return [("environment", dict(os.environ)), *((str(file), _read(file)) for file in files)]

    @property
    def _runtime_file(self) -> Path:
        return self.folder / os.environ.get("HSI_RUNTIME_ENV_PATH", RUNTIME_ENV_PATH)

    @staticmethod
    def _found(name: str, layers: list[tuple[str, Mapping[str, str | None]]]) -> Iterator[tuple[str, str]]:
        for source, values in layers:
            # pydantic-settings reads names in any case, and the last of them counts.
            value = {key.lower(): value for key, value in values.items()}.get(name)
            if value is not None:
                yield value, source


def find_env_file(start: Path) -> Path | None:
    """Return the nearest ``.env`` at or above `start`; a kernel starts in its notebook's folder."""
    for folder in (start, *start.parents):
        if (folder / ".env").is_file():
            return folder / ".env"
    return None


def read_value(setting: Setting, text: str) -> Any:
    """Return `text` as a value of `setting`.

    Raises
    ------
    SettingsError
        If it is of another form, or out of range.
    """
    value = _parsed(setting, text.strip())
    is_number = setting.kind in ("float", "int")
    # Not for integers: a long one has no float to ask.
    if setting.kind == "float" and not math.isfinite(value):
        raise SettingsError(f"{text!r} is not a finite number")
    low, high = setting.minimum, setting.maximum
    if is_number and ((low is not None and value < low) or (high is not None and value > high)):
        raise SettingsError(f"{text!r} is outside {describe_range(setting)}")
    return value


def _parsed(setting: Setting, text: str) -> Any:
    try:
        if setting.kind == "float":
            return float(text) if text.isascii() else _refuse(text)
        if setting.kind == "int":
            return _whole(text)
        if setting.kind == "list":
            value = json.loads(text)
            if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
                raise ValueError
            return value
    except (ValueError, RecursionError) as exc:
        form = 'a JSON list such as ["person"]' if setting.kind == "list" else f"a number ({setting.kind})"
        raise SettingsError(f"{text!r} is not {form}") from exc
    if setting.kind == "bool":
        if text.lower() not in (*_TRUE, *_FALSE):
            raise SettingsError(f"{text!r} is neither true nor false")
        return text.lower() in _TRUE
    return text


def _whole(text: str) -> int:
    """Return a whole number as pydantic reads it: 90.0 is one, digits of other scripts are not."""
    return int(text.removesuffix(".0")) if text.isascii() and "_" not in text else _refuse(text)


def _refuse(text: str) -> NoReturn:
    raise ValueError(text)


def describe_range(setting: Setting) -> str:
    """Return the range of a setting in words; empty where there is none."""
    low, high = setting.minimum, setting.maximum
    if low is None and high is None:
        return ""
    if high is None:
        return f"from {low:g}"
    return f"{low:g} to {high:g}" if low is not None else f"up to {high:g}"


def _in_force(name: str, setting: Setting, found: list[tuple[str, str]]) -> SettingInForce:
    text, source = found[0] if found else (None, "default")
    value: Any = list(setting.default) if isinstance(setting.default, tuple) else setting.default
    default, is_valid, why = value, True, ""
    if text is not None:
        try:
            value = read_value(setting, text)
        except SettingsError as exc:
            value, is_valid, why = text, False, f"{exc}: a service that reads this does not start"
    if is_valid:
        why = _reason(name, found, has_default=setting.default is not None)
    is_known = text is not None or setting.default is not None
    return SettingInForce(
        name, value, default, describe_range(setting), setting.unit, source, is_valid and is_known, why
    )


def _reason(name: str, found: list[tuple[str, str]], *, has_default: bool) -> str:
    if not found:
        return "no source names it" if has_default else "a later generation's setting; no source names it"
    weaker = [f"{source} ({text})" for text, source in found[1:]]
    here = "the environment of this kernel; a service has its own" if found[0][1] == "environment" else ""
    over = f"overrides {', '.join(weaker)}" if weaker else ""
    return "; ".join(part for part in (here, over) if part) or f"{name.upper()} stands there"


def _read(file: Path) -> Mapping[str, str | None]:
    try:
        return dotenv_values(file) if file.is_file() else {}
    except OSError:
        return {}
    except UnicodeDecodeError as exc:
        raise SettingsError(f"{file} is not UTF-8 text.", hint="save it as UTF-8.") from exc
