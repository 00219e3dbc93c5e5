"""Starting JupyterLab on a folder of notebooks, and passing on what ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

_HERE: Final = Path(__file__).parent


def run_lab(folder: Path, environment: Mapping[str, str], arguments: Sequence[str]) -> int:
    """Return JupyterLab's exit status, when it has ended.

    It ends when this process does, however that ends. It does not ask for the news of Jupyter, nor whether
    it may, since the question covers a corner of the notebook; nobody's own settings are changed for that.

    Parameters
    ----------
    folder : Path
        The notebooks; the first of them is opened.
    environment : mapping of str to str
        That of JupyterLab and its kernels.
    arguments : sequence of str
        More arguments of JupyterLab's, which win over ours.
    """
    ended = threading.Event()
    # JupyterLab answers Ctrl-C itself and asks whether to end; we wait for what it decides.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    child = subprocess.Popen(_command(folder, arguments), env=_with_settings(environment))
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    if ended.is_set():
        # The signal came before there was a child to pass it on to.
        child.terminate()
    status = child.wait()
    return status if status >= 0 else 128 - status


def _command(folder: Path, arguments: Sequence[str]) -> list[str]:
    command = [sys.executable, "-m", "secnb.lab.child", str(os.getpid()), str(folder)]
    if (first := min(folder.glob("*.ipynb"), default=None)) is not None:
        # Where to begin; an address among the arguments wins, since it comes later.
        command.append(f"--LabApp.default_url=/lab/tree/{quote(first.name)}")
    command += arguments
    if hasattr(os, "geteuid") and os.geteuid() == 0 and "--allow-root" not in arguments:
        # In a container there often is no other user; JupyterLab asks for this to be said.
        command.append("--allow-root")
    return command


def _with_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Add the folder whose ``labconfig`` turns the news off to those where Jupyter looks for settings."""
    others = environment.get("JUPYTER_CONFIG_PATH")
    folders = [*([others] if others else []), str(_HERE)]
    return {**environment, "JUPYTER_CONFIG_PATH": os.pathsep.join(folders)}
