"""A settings file of its own for each test, and no setting from this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from secnb.schema import TUNABLE


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the settings of this machine out of the tests."""
    for name in (*TUNABLE, "hsi_runtime_env_path"):
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    """Return an empty .env file."""
    path = tmp_path / ".env"
    path.touch()
    return path
