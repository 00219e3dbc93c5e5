"""See what a home-security AI deployment is doing, and set its thresholds with evidence.

Names are loaded on first use, so that ``import secnb`` stays light: neither pandas nor SQLAlchemy
comes with it.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from secnb.analysis.counting import ThresholdSweep as ThresholdSweep
    from secnb.analysis.counting import sweep as sweep
    from secnb.deployment import Deployment as Deployment
    from secnb.deployment import connect as connect
    from secnb.errors import SecnbError as SecnbError
    from secnb.errors import SecnbWarning as SecnbWarning
    from secnb.frames.mot import read_mot as read_mot
    from secnb.sample import Sandbox as Sandbox
    from secnb.sample import sandbox as sandbox
    from secnb.view.panels import Panel as Panel
    from secnb.view.panels import panel as panel
    from secnb.view.pipelines import plot_pipeline as plot_pipeline

__version__ = "0.1.0"

_HOMES = {
    "Deployment": "secnb.deployment",
    "Panel": "secnb.view.panels",
    "Sandbox": "secnb.sample",
    "SecnbError": "secnb.errors",
    "SecnbWarning": "secnb.errors",
    "ThresholdSweep": "secnb.analysis.counting",
    "connect": "secnb.deployment",
    "panel": "secnb.view.panels",
    "plot_pipeline": "secnb.view.pipelines",
    "read_mot": "secnb.frames.mot",
    "sandbox": "secnb.sample",
    "sweep": "secnb.analysis.counting",
}

__all__ = [
    "Deployment",
    "Panel",
    "Sandbox",
    "SecnbError",
    "SecnbWarning",
    "ThresholdSweep",
    "connect",
    "panel",
    "plot_pipeline",
    "read_mot",
    "sandbox",
    "sweep",
]


def __getattr__(name: str) -> object:
    # %autoreload empties a module that changed, submodules included.
    if (submodule := sys.modules.get(f"{__name__}.{name}")) is not None:
        return submodule
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
