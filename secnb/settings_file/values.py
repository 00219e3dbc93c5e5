"""What a setting may be set to: its name is tunable, the value in its range, and it goes with the others."""

from __future__ import annotations

import json
import numbers
from typing import Final
from zoneinfo import available_timezones

import numpy as np

from secnb.analysis.choices import ThresholdChoice
from secnb.errors import SettingsError, UnknownNameError
from secnb.schema import OVERFLOW_POLICIES, RISK_CUTS, TUNABLE, Setting
from secnb.settings_file.sources import SettingSources, describe_range, read_value

_CUTS: Final = ("severity_low_max", "severity_medium_max", "severity_high_max")
_FORMS: Final = {
    "float": "a number",
    "int": "a whole number",
    "list": "a list of texts",
    "bool": "True or False",
    "str": "text",
}


def find_setting(name: object) -> str:
    """Return the name of a tunable setting as ``TUNABLE`` has it; others are errors."""
    found = str(name).lower()
    if not isinstance(name, str) or found not in TUNABLE:
        raise UnknownNameError("tunable setting", name, TUNABLE)
    return found


def to_text(name: str, value: object) -> str:
    """Return a value as a settings file has it.

    Raises
    ------
    SettingsError
        If it is of another form, or out of range.
    """
    setting = TUNABLE[name]
    if isinstance(value, ThresholdChoice):
        if value.threshold is None:
            raise SettingsError(f"The choice has no threshold for {name}: {value.reason}.")
        value = value.threshold
    try:
        text = _form(setting, value)
        if text is None:
            raise SettingsError(f"{_shown(value)} is not {_FORMS[setting.kind]}")
        read_value(setting, text)
        _check_text(name, text)
    except SettingsError as exc:
        limits = describe_range(setting)
        allowed = _FORMS[setting.kind] + (f", {limits}" if limits else "")
        raise SettingsError(f"{name} cannot be {_shown(value)}: {exc}. Allowed: {allowed}.") from exc
    return text


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _form(setting: Setting, value: object) -> str | None:
    """Write a value as text; None where it is not of the form of its setting."""
    if isinstance(value, str):
        return value.strip()
    if setting.kind == "bool":
        return str(value).lower() if isinstance(value, bool | np.bool_) else None
    if setting.kind == "list":
        is_list = isinstance(value, list | tuple) and all(isinstance(each, str) for each in value)
        return json.dumps(value, ensure_ascii=False) if is_list else None
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or setting.kind == "str":
        return None
    if isinstance(value, numbers.Integral):
        return str(int(value))
    number = float(value)
    if setting.kind == "float":
        return repr(number)
    return str(int(number)) if number.is_integer() else None


def _check_text(name: str, text: str) -> None:
    """Refuse text that a service would not take, or that a settings file cannot hold."""
    if not text.isprintable() or "${" in text:
        raise SettingsError(f"{text!r} holds characters that are no plain text")
    if name == "queue_overflow_policy" and text not in OVERFLOW_POLICIES:
        raise SettingsError(f"{text!r} is none of {', '.join(OVERFLOW_POLICIES)}")
    if name == "camera_timezone" and text not in available_timezones():
        raise SettingsError(f"{text!r} is no time zone; IANA names, such as Europe/Berlin, are")


def check_together(name: str, text: str, sources: SettingSources) -> None:
    """Refuse a risk cut that would not lie between the others: no service starts with such."""
    if name not in _CUTS:
        return
    cuts = []
    for each, default in zip(_CUTS, RISK_CUTS, strict=True):
        found = read_value(TUNABLE[each], text) if each == name else sources.value(each)
        cuts.append(default if found is None else found)
    if not cuts[0] < cuts[1] < cuts[2]:
        names = ", ".join(f"{each} {cut}" for each, cut in zip(_CUTS, cuts, strict=True))
        raise SettingsError(
            f"{name} cannot be {text}: the cuts would be {names}. Allowed: cuts that rise.",
            hint="to raise all of them begin with the highest, to lower them with the lowest.",
        )
