"""`%autoreload 2` after the package changed: what is open goes on to work, errors stay errors."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import pytest_asyncio

import secnb

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODULES = {
    "errors": ["errors.py"],
    "bridge": ["bridge/work.py", "bridge/waiting.py", "bridge/background.py", "bridge/faces.py"],
    "deployment": ["deployment/held.py", "deployment/overview.py", "deployment/connecting.py"],
    "core": ["core/reader.py", "core/sqlite_reader.py", "core/redis_reader.py", "core/url.py"],
    "everything": ["**/*.py"],
}
# By name and builtin base: a module that was not reloaded raises the class that it knew before.
ERRORS = """
for call, name, base in [
    (lambda: site.sql("SELECT nothing"), "QueryError", ValueError),
    (lambda: site.sql("DELETE FROM cameras"), "ReadOnlyError", PermissionError),
    (lambda: site.peek("nothing"), "UnknownQueueError", LookupError),
    (lambda: secnb.connect(database_url="sqlite:////nowhere/x.db"), "DatabaseNotFoundError", OSError),
    (lambda: secnb.connect(database_url="nonsense"), "SettingsError", ValueError),
]:
    try:
        call()
    except base as exc:
        assert type(exc).__name__ == name, (name, type(exc))
    else:
        raise AssertionError(name)
"""


@pytest_asyncio.fixture(loop_scope="module")
async def kernel(sample, start_kernel, tmp_path):
    """Return a kernel that imports a copy of the package, which the tests may touch."""
    shutil.copytree(Path(secnb.__file__).parent, tmp_path / "secnb")
    urls = {"DATABASE_URL": sample.database_url, "REDIS_URL": sample.redis_url, "PYTHONPATH": str(tmp_path)}
    async with start_kernel(tmp_path, **urls) as started:
        ready = await started.run(
            "%load_ext autoreload\n%autoreload 2\nimport asyncio, secnb, secnb.errors\n"
            "site = secnb.connect()\nprint(secnb.__file__, len(site.cameras()), len(site.queues()) > 0)"
        )
        assert ready.text.split() == [str(tmp_path / "secnb" / "__init__.py"), "6", "True"], ready.traceback
        yield started


@pytest.mark.parametrize("changed", MODULES.values(), ids=MODULES)
async def test_an_open_deployment_survives_a_reload(kernel, tmp_path, changed):
    """Both faces, errors by their name, Stop, the list of calls; and a new deployment beside it."""
    for pattern in changed:
        # autoreload itself cannot reload classes that SQLAlchemy maps.
        for path in set((tmp_path / "secnb").glob(pattern)) - {tmp_path / "secnb" / "core" / "models.py"}:
            path.write_text(path.read_text(encoding="utf-8") + "\n_changed = True\n", encoding="utf-8")
    reloaded = await kernel.run(f"print(secnb.{_module(changed[-1])}._changed)")
    assert reloaded.text.strip() == "True", reloaded.text + reloaded.traceback
    for code in (
        "print(len(site.cameras()), len(await site.cameras.aio()), len(site.queues()) > 0)",
        "with secnb.connect() as other: print(len(other.cameras()), len(other.inflight()), True)",
    ):
        cell = await kernel.run(code)
        assert cell.text.split() in (["6", "6", "True"], ["6", "0", "True"]), cell.text + cell.traceback
    errors = await kernel.run(ERRORS)
    assert errors.error is None, errors.traceback
    stopped = await kernel.run("print('begun', flush=True)\nsite.tail('detections', 20)", stop_when="begun")
    assert (stopped.error or "").startswith("KeyboardInterrupt"), stopped.traceback
    closed = await kernel.run("site.close()\nprint(len(site.inflight()))")
    assert closed.text.split() == ["0"], closed.traceback


def _module(path: str) -> str:
    """Return the name below the package of a module, for a pattern that of one among those it finds."""
    return "errors" if "*" in path else path.removesuffix(".py").replace("/", ".")
