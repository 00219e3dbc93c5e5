"""environment.yml repeats three facts of pyproject.toml; they must not drift apart."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())
PLAIN = [each for each in ENVIRONMENT["dependencies"] if isinstance(each, str)]


def test_python_range_is_that_of_the_project():
    """Conda resolves the same Pythons that the project supports."""
    assert f"python{PROJECT['requires-python']}" in PLAIN


def test_jupyterlab_is_that_of_the_lab_extra():
    """The one package that conda installs and pyproject also names has the same bound."""
    extra = PROJECT["optional-dependencies"]["lab"]
    (jupyterlab,) = [each for each in extra if each.startswith("jupyterlab>")]
    assert jupyterlab in PLAIN


def test_pip_installs_the_project_itself_with_extras_that_exist():
    """All other dependencies come from pyproject.toml."""
    (pip,) = [each["pip"] for each in ENVIRONMENT["dependencies"] if isinstance(each, dict)]
    (line,) = pip
    extras = re.fullmatch(r"-e \.\[([\w,-]+)\]", line)
    assert extras is not None
    assert set(extras.group(1).split(",")) <= set(PROJECT["optional-dependencies"])


@pytest.mark.parametrize("name", ["redis-server", "pip"])
def test_conda_provides_what_pip_cannot(name):
    """A Redis server is no Python package."""
    assert name in PLAIN


def test_nothing_else_is_listed():
    """A fourth fact would be a second list of dependencies."""
    names = {re.split(r"[<>=]", each)[0] for each in PLAIN}
    assert names == {"python", "jupyterlab", "redis-server", "pip"}
