"""JupyterLab, for as long as the process that started it lives.

::

    python -m secnb.lab.child <pid of the starter> <argument of JupyterLab> …

A starter that is killed cannot pass anything on. So this process looks whether it still has the same
parent, and else sends itself SIGTERM, on which JupyterLab ends its kernels and then itself. It is no
pipe that is watched, since JupyterLab reads standard input itself, to ask after Ctrl-C.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time
from typing import Final

_LOOK_EVERY_S: Final = 0.5


def _end_after(starter: int) -> None:
    while os.getppid() == starter:
        time.sleep(_LOOK_EVERY_S)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_after, args=(int(sys.argv.pop(1)),), daemon=True).start()
    runpy.run_module("jupyterlab", run_name="__main__", alter_sys=True)
