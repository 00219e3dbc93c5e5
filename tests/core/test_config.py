from __future__ import annotations

import subprocess
import sys
import traceback
from pathlib import Path

import pytest

import secnb.core
from secnb.core import Settings, get_settings
from secnb.errors import SettingsError

DEFAULTS = {
    "database_url": "sqlite+aiosqlite:///./data/security.db",
    "redis_url": "redis://localhost:6379/0",
    "debug": False,
    "api_host": "0.0.0.0",  # noqa: S104
    "api_port": 8000,
    "cors_origins": ["http://localhost:3000", "http://localhost:5173"],
    "foscam_base_path": "/export/foscam",
    "retention_days": 30,
    "batch_window_seconds": 90,
    "batch_idle_timeout_seconds": 30,
    "rtdetr_url": "http://localhost:8001",
    "nemotron_url": "http://localhost:8002",
    "detection_confidence_threshold": 0.5,
}


EXPORTS = [
    "Base",
    "RedisClient",
    "Settings",
    "close_db",
    "close_redis",
    "get_db",
    "get_engine",
    "get_redis",
    "get_session",
    "get_session_factory",
    "get_settings",
    "init_db",
    "init_redis",
]


def test_the_exports_are_those_of_the_guide() -> None:
    assert secnb.core.__all__ == EXPORTS
    assert all(hasattr(secnb.core, name) for name in EXPORTS)


def test_the_core_does_not_load_pandas() -> None:
    code = "import sys, secnb.core; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", sorted(DEFAULTS))
def test_a_default_is_that_of_the_guide(name: str) -> None:
    assert getattr(Settings(), name) == DEFAULTS[name]


def test_the_application_has_a_name_and_a_version() -> None:
    settings = Settings()
    assert settings.app_name
    assert settings.app_version


@pytest.mark.parametrize("variable", ["API_PORT", "api_port", "Api_Port"])
def test_environment_variables_count_in_any_case(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "9000")
    assert Settings().api_port == 9000


def test_env_file_of_the_working_directory_is_read() -> None:
    Path(".env").write_text('API_PORT=9001\nAPP_NAME=Haus "Süd"\n', encoding="utf-8")
    assert (Settings().api_port, Settings().app_name) == (9001, 'Haus "Süd"')


def test_the_environment_wins_over_the_env_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("API_PORT=9001\n")
    monkeypatch.setenv("API_PORT", "9000")
    assert Settings().api_port == 9000


def test_unknown_variables_are_ignored() -> None:
    Path(".env").write_text("NO_SUCH_SETTING=1\n")
    assert not hasattr(Settings(), "no_such_setting")


def test_origins_are_read_as_a_json_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGINS", '["https://a", "https://b"]')
    assert Settings().cors_origins == ["https://a", "https://b"]


def test_settings_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = get_settings()
    monkeypatch.setenv("API_PORT", "9000")
    assert get_settings() is first


@pytest.mark.parametrize(
    "url",
    [
        "sqlite+aiosqlite:///{}/new/deep/x.db",
        "sqlite:///{}/new/deep/x.db",
        "sqlite:///{}/new/deep/x.db?timeout=5",
        "sqlite:///file:{}/new/deep/x.db?mode=rwc&uri=true",
    ],
)
def test_the_folder_of_a_sqlite_file_is_created(url: str, tmp_path: Path) -> None:
    Settings(database_url=url.format(tmp_path))
    assert (tmp_path / "new" / "deep").is_dir()


@pytest.mark.parametrize("url", ["sqlite:///./new/x.db", "sqlite://./new/x.db", "sqlite://new/x.db"])
def test_a_relative_folder_is_that_of_the_working_directory(url: str) -> None:
    Settings(database_url=url)
    assert [p.name for p in Path().iterdir()] == ["new"]


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///:memory:",
        "sqlite://",
        "sqlite+aiosqlite:///file:new/x.db?mode=memory&uri=true",
        "postgresql://ann@db/new/x",
    ],
)
def test_no_folder_is_created_without_a_sqlite_file(url: str) -> None:
    Settings(database_url=url)
    assert list(Path().iterdir()) == []


def test_a_folder_that_cannot_be_created_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"folder .*/file/sub cannot be created"):
        Settings(database_url=f"sqlite:///{tmp_path}/file/sub/x.db")


@pytest.mark.parametrize("value", ["0", "1", "0.5", "1e-9"])
def test_thresholds_from_0_to_1_are_accepted(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETECTION_CONFIDENCE_THRESHOLD", value)
    assert Settings().detection_confidence_threshold == float(value)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("DETECTION_CONFIDENCE_THRESHOLD", "1.5", "cannot be '1.5'. Expected: a number from 0 to 1"),
        ("DETECTION_CONFIDENCE_THRESHOLD", "-0.1", "cannot be '-0.1'. Expected: a number from 0 to 1"),
        ("DETECTION_CONFIDENCE_THRESHOLD", "nan", "cannot be 'nan'. Expected: a number from 0 to 1"),
        ("DETECTION_CONFIDENCE_THRESHOLD", "inf", "cannot be 'inf'. Expected: a number from 0 to 1"),
        ("DETECTION_CONFIDENCE_THRESHOLD", "high", "cannot be 'high'. Expected: a number from 0 to 1"),
        ("API_PORT", "0", "cannot be '0'. Expected: a whole number from 1 to 65535"),
        ("API_PORT", "65536", "cannot be '65536'. Expected: a whole number from 1 to 65535"),
        ("API_PORT", "web", "cannot be 'web'. Expected: a whole number from 1 to 65535"),
        ("RETENTION_DAYS", "0", "cannot be '0'. Expected: a whole number of days"),
        ("BATCH_WINDOW_SECONDS", "-1", "cannot be '-1'. Expected: a whole number of seconds"),
        ("BATCH_IDLE_TIMEOUT_SECONDS", "1.5", "cannot be '1.5'. Expected: a whole number of seconds"),
        ("DEBUG", "perhaps", "cannot be 'perhaps'. Expected: true or false"),
        ("CORS_ORIGINS", "http://a,http://b", "cannot be 'http://a,http://b'. Expected: a JSON list"),
        ("CORS_ORIGINS", '["http://a"', r"cannot be '\[\"http://a\"'. Expected: a JSON list"),
        ("CORS_ORIGINS", "", "cannot be ''. Expected: a JSON list"),
        ("CORS_ORIGINS", '"http://a"', "cannot be 'http://a'. Expected: a JSON list"),
        ("CORS_ORIGINS", "[1]", r"CORS_ORIGINS\[0\] cannot be 1. Expected: a JSON list"),
    ],
)
def test_a_refused_value_is_said_with_the_form_expected(
    variable: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=message) as caught:
        Settings()
    assert variable in str(caught.value).partition("Hint: ")[2]


def test_a_refused_url_keeps_its_own_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside where the variable is set."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://ann:hid@den/gem@db/security")
    with pytest.raises(SettingsError, match=r"write @ as %40(.|\n)*set DATABASE_URL in") as caught:
        Settings()
    assert not any(part in str(caught.value) for part in ("hid", "den", "gem"))


def test_a_broken_list_in_the_env_file_is_said_too() -> None:
    Path(".env").write_text("CORS_ORIGINS=http://a\n")
    with pytest.raises(SettingsError, match="CORS_ORIGINS cannot be 'http://a'"):
        Settings()


def test_every_refused_value_is_said_at_once() -> None:
    with pytest.raises(SettingsError, match=r"(?s)API_PORT.*RETENTION_DAYS"):
        Settings(api_port=0, retention_days=0)


def test_an_env_file_that_is_not_utf8_is_said() -> None:
    Path(".env").write_bytes(b"APP_NAME=S\xfcd\n")
    with pytest.raises(SettingsError, match="not UTF-8"):
        Settings()


def test_a_settings_error_is_a_value_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_PORT", "0")
    with pytest.raises(ValueError, match="API_PORT"):
        get_settings()


def test_neither_repr_nor_str_shows_a_key() -> None:
    """Of a service behind a gateway."""
    settings = Settings(nemotron_url="http://h/v1?api_key=hidden", rtdetr_url="http://h/?sig=hidden")
    assert "hidden" not in repr(settings) + str(settings)
    assert "http://h/v1?api_key=***" in repr(settings)


def test_neither_repr_nor_str_shows_a_password() -> None:
    settings = Settings(
        database_url="postgresql://ann:secret@db/x?sslpassword=secret",
        redis_url="redis://:secret@h/0",
        rtdetr_url="http://ann:secret@h",
        nemotron_url="http://h?token=secret",
    )
    assert "secret" not in f"{settings!r} {settings}"
    assert "ann:***@db" in repr(settings)


@pytest.mark.parametrize(
    "url", ["postgresql://ann:x/secret@h:p/d", "ann:secret@h", "postgresql://ann:secret"]
)
def test_no_traceback_shows_a_password(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(SettingsError, match="cannot be read") as caught:
        Settings()
    assert "secret" not in "".join(traceback.format_exception(caught.value))


def test_another_settings_error_does_not_show_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://ann:secret@db/x")
    monkeypatch.setenv("API_PORT", "0")
    with pytest.raises(SettingsError, match="API_PORT") as caught:
        Settings()
    assert "secret" not in "".join(traceback.format_exception(caught.value))
