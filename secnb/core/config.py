"""The settings of a deployment: environment variables, then ``.env``, then defaults."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as SourceError

from secnb.core.url import FORMS, mask_url, sqlite_path
from secnb.errors import SettingsError

_URLS: Final = frozenset({"database_url", "redis_url", "rtdetr_url", "nemotron_url"})
_SECONDS: Final = "a whole number of seconds, at least 1"
_EXPECTED: Final = {
    "database_url": FORMS,
    "redis_url": "redis://localhost:6379/0",
    "debug": "true or false",
    "api_port": "a whole number from 1 to 65535",
    "cors_origins": 'a JSON list such as ["http://localhost:3000"]',
    "retention_days": "a whole number of days, at least 1",
    "batch_window_seconds": _SECONDS,
    "batch_idle_timeout_seconds": _SECONDS,
    "detection_confidence_threshold": "a number from 0 to 1",
}


class Settings(BaseSettings):
    """The settings of a deployment.

    Each comes from the environment variable of its name (in any case), else from ``.env`` in the
    working directory, else from the default below. Unknown variables are ignored. The folder of a
    SQLite file is created. The text of a `Settings` shows no password.

    Attributes
    ----------
    database_url : str
        ``sqlite+aiosqlite:///./data/security.db``
    redis_url : str
        ``redis://localhost:6379/0``
    app_name, app_version : str
        Name and version of the application.
    debug : bool
        False; True logs every SQL statement with its parameters.
    api_host, api_port : str, int
        Where the API listens: ``0.0.0.0``, 8000.
    cors_origins : list of str
        A JSON list in the environment; localhost on the ports 3000 and 5173.
    foscam_base_path : str
        Folder that the cameras upload to: ``/export/foscam``.
    retention_days : int
        Days that events and detections are kept: 30.
    batch_window_seconds, batch_idle_timeout_seconds : int
        Seconds after which a batch closes, from its start (90) and from its last detection (30).
    rtdetr_url, nemotron_url : str
        The detector and the reasoner: ``http://localhost:8001`` and ``http://localhost:8002``.
    detection_confidence_threshold : float
        Detections below it are dropped; 0 to 1, 0.5.

    Raises
    ------
    SettingsError
        A value has the wrong form or is out of range.
    """

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        case_sensitive=False,
        extra="ignore",
        # Also the input of database_url would be quoted in pydantic's errors.
        hide_input_in_errors=True,
    )

    database_url: str = "sqlite+aiosqlite:///./data/security.db"
    redis_url: str = "redis://localhost:6379/0"
    app_name: str = "Home Security Intelligence"
    app_version: str = "0.1.0"
    debug: bool = False
    api_host: str = "0.0.0.0"  # noqa: S104 - the guide's default: the API serves the local network.
    api_port: int = Field(default=8000, ge=1, le=65535)
    cors_origins: list[str] = ["http://localhost:3000", "http://localhost:5173"]
    foscam_base_path: str = "/export/foscam"
    retention_days: int = Field(default=30, gt=0)
    batch_window_seconds: int = Field(default=90, gt=0)
    batch_idle_timeout_seconds: int = Field(default=30, gt=0)
    rtdetr_url: str = "http://localhost:8001"
    nemotron_url: str = "http://localhost:8002"
    detection_confidence_threshold: float = Field(default=0.5, ge=0.0, le=1.0, allow_inf_nan=False)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as exc:
            raise _refusal(exc) from exc
        except SourceError as exc:
            raise _unreadable(exc) from exc
        except UnicodeDecodeError as exc:
            raise SettingsError("The file .env is not UTF-8 text.", hint="save it as UTF-8.") from exc

    @field_validator("database_url")
    @classmethod
    def validate_database_url(cls, value: str) -> str:
        """Return the URL as given, after creating the folder of a SQLite file."""
        path = sqlite_path(value)
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as exc:
                raise SettingsError(
                    f"The database's folder {path.parent} cannot be created: {exc.strerror}.",
                    hint="create it, or let DATABASE_URL name a folder that you may write to.",
                ) from exc
        return value

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Return the fields for repr and str, URLs without their passwords."""
        for name, value in super().__repr_args__():
            yield name, mask_url(value) if name in _URLS else value


@lru_cache
def get_settings() -> Settings:
    """Return the settings, read once per process.

    ``get_settings.cache_clear()`` makes the next call read them again.

    Raises
    ------
    SettingsError
        A value has the wrong form or is out of range.
    """
    return Settings()


def _refusal(exc: ValidationError) -> SettingsError:
    """Say pydantic's findings in terms of variables, values and forms."""
    errors = exc.errors(include_url=False)
    names = sorted({str(error["loc"][0]).upper() for error in errors if error["loc"]})
    findings = [_finding(error) for error in errors]
    hints = [hint for _, hint in findings if hint]
    return SettingsError("\n".join(text for text, _ in findings), hint=" Or: ".join([*hints, _where(names)]))


def _finding(error: Any) -> tuple[str, str]:
    """Return what is wrong, and what to do about it besides setting another value."""
    own = error.get("ctx", {}).get("error")
    if isinstance(own, SettingsError):
        text, _, hint = str(own).partition("\n\nHint: ")
        return text, hint
    name, *place = (*error["loc"], "")[:2]
    seen = mask_url(error["input"]) if name in _URLS else _shown(error["input"])
    where = "".join(f"[{i}]" for i in place if i != "")
    return f"{str(name).upper()}{where} cannot be {seen}. Expected: {_EXPECTED.get(name, error['msg'])}.", ""


def _unreadable(exc: SourceError) -> SettingsError:
    """Say what pydantic-settings could not read as JSON."""
    found = re.search(r'field "(\w+)"', str(exc))
    name = found[1].lower() if found else "cors_origins"
    # The source error names the field alone; the text it choked on is in its cause.
    seen = exc.__cause__.doc if isinstance(exc.__cause__, json.JSONDecodeError) else ""
    expected = _EXPECTED.get(name, "JSON")
    return SettingsError(
        f"{name.upper()} cannot be {_shown(seen)}. Expected: {expected}.", hint=_where([name.upper()])
    )


def _where(names: list[str]) -> str:
    return f"set {' and '.join(names)} in the environment or in .env, or remove it there for the default."


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"
