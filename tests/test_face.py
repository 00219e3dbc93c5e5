"""The public face: what `import secnb` gives, and what it must not load."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import secnb

HEAVY = ["pandas", "numpy", "sqlalchemy", "redis", "pydantic", "typer", "tqdm"]


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()


def test_import_loads_nothing_heavy():
    """A notebook that only imports secnb waits for nothing."""
    loaded = run("import secnb, sys; print(*sys.modules)").split()
    assert not set(HEAVY) & set(loaded)


def test_core_loads_no_pandas():
    """A service that uses the core does not carry the notebook's weight."""
    loaded = run("import secnb.core, sys; print(*sys.modules)").split()
    assert "pandas" not in loaded
    assert "IPython" not in loaded


def test_all_is_sorted_and_complete():
    """The export list is the lazy table, and both match what type checkers are told."""
    assert secnb.__all__ == sorted(secnb.__all__)
    assert set(secnb.__all__) == set(secnb._HOMES)
    tree = ast.parse(Path(secnb.__file__).read_text())
    typed = {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("secnb.")
        for alias in node.names
    }
    assert typed == set(secnb.__all__)


@pytest.mark.parametrize("name", secnb.__all__)
def test_every_name_is_there_and_documented(name):
    """Shift+Tab on any public name says something."""
    assert getattr(secnb, name).__doc__
    assert name in dir(secnb)


def test_unknown_name_is_an_attribute_error():
    """The lazy face does not change what a typo does."""
    with pytest.raises(AttributeError, match="no attribute 'swep'"):
        secnb.swep  # noqa: B018


def test_no_public_function_has_the_name_of_a_submodule():
    """Otherwise importing the module would replace the function."""
    modules = {
        each.name.rpartition(".")[2]
        for each in pkgutil.walk_packages(secnb.__path__, "secnb.")
        if not each.name.endswith("keeper")
    }
    assert not modules & set(secnb.__all__)


def test_every_module_imports():
    """No module relies on another having been imported first."""
    for each in pkgutil.walk_packages(secnb.__path__, "secnb."):
        if not each.name.endswith("keeper"):
            importlib.import_module(each.name)


def test_version_is_a_plain_string():
    """The build reads it without importing anything."""
    assert secnb.__version__.count(".") == 2
