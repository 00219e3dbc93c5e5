"""See what a home-security AI deployment is doing, and set its thresholds with evidence.

Names are loaded on first use, so that ``import secnb`` stays light: neither pandas nor SQLAlchemy
comes with it.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from secnb.analysis.batching import compare_batching as compare_batching
    from secnb.analysis.boxes import match_boxes as match_boxes
    from secnb.analysis.bursts import episode_ids as episode_ids
    from secnb.analysis.bursts import episodes as episodes
    from secnb.analysis.checking import check_replay as check_replay
    from secnb.analysis.choices import ThresholdChoice as ThresholdChoice
    from secnb.analysis.counting import ThresholdSweep as ThresholdSweep
    from secnb.analysis.counting import sweep as sweep
    from secnb.analysis.covering import coverage as coverage
    from secnb.analysis.flips import compare_thresholds as compare_thresholds
    from secnb.analysis.flips_found import ThresholdComparison as ThresholdComparison
    from secnb.analysis.replaying import BatchReplay as BatchReplay
    from secnb.analysis.replaying import replay_batches as replay_batches
    from secnb.analysis.risk import compare_risk_levels as compare_risk_levels
    from secnb.analysis.risk import risk_level as risk_level
    from secnb.analysis.sampling import label_next as label_next
    from secnb.deployment import Deployment as Deployment
    from secnb.deployment import connect as connect
    from secnb.deployment.reviewing import review as review
    from secnb.errors import SecnbError as SecnbError
    from secnb.errors import SecnbWarning as SecnbWarning
    from secnb.frames.coco import read_coco as read_coco
    from secnb.frames.labels import LabelStore as LabelStore
    from secnb.frames.mot import read_mot as read_mot
    from secnb.panel_file import save_panel as save_panel
    from secnb.sample import Sandbox as Sandbox
    from secnb.sample import sandbox as sandbox
    from secnb.settings_file.changes import SettingChange as SettingChange
    from secnb.settings_file.saving import save_setting as save_setting
    from secnb.settings_file.undoing import undo_setting as undo_setting
    from secnb.view.batchings import plot_batching as plot_batching
    from secnb.view.panels import Panel as Panel
    from secnb.view.panels import panel as panel
    from secnb.view.pipelines import plot_pipeline as plot_pipeline

__version__ = "0.1.0"

_HOMES = {
    "BatchReplay": "secnb.analysis.replaying",
    "Deployment": "secnb.deployment",
    "LabelStore": "secnb.frames.labels",
    "Panel": "secnb.view.panels",
    "Sandbox": "secnb.sample",
    "SecnbError": "secnb.errors",
    "SecnbWarning": "secnb.errors",
    "SettingChange": "secnb.settings_file.changes",
    "ThresholdChoice": "secnb.analysis.choices",
    "ThresholdComparison": "secnb.analysis.flips_found",
    "ThresholdSweep": "secnb.analysis.counting",
    "check_replay": "secnb.analysis.checking",
    "compare_batching": "secnb.analysis.batching",
    "compare_risk_levels": "secnb.analysis.risk",
    "compare_thresholds": "secnb.analysis.flips",
    "connect": "secnb.deployment",
    "coverage": "secnb.analysis.covering",
    "episode_ids": "secnb.analysis.bursts",
    "episodes": "secnb.analysis.bursts",
    "label_next": "secnb.analysis.sampling",
    "match_boxes": "secnb.analysis.boxes",
    "panel": "secnb.view.panels",
    "plot_batching": "secnb.view.batchings",
    "plot_pipeline": "secnb.view.pipelines",
    "read_coco": "secnb.frames.coco",
    "read_mot": "secnb.frames.mot",
    "replay_batches": "secnb.analysis.replaying",
    "review": "secnb.deployment.reviewing",
    "risk_level": "secnb.analysis.risk",
    "sandbox": "secnb.sample",
    "save_panel": "secnb.panel_file",
    "save_setting": "secnb.settings_file.saving",
    "sweep": "secnb.analysis.counting",
    "undo_setting": "secnb.settings_file.undoing",
}

__all__ = [
    "BatchReplay",
    "Deployment",
    "LabelStore",
    "Panel",
    "Sandbox",
    "SecnbError",
    "SecnbWarning",
    "SettingChange",
    "ThresholdChoice",
    "ThresholdComparison",
    "ThresholdSweep",
    "check_replay",
    "compare_batching",
    "compare_risk_levels",
    "compare_thresholds",
    "connect",
    "coverage",
    "episode_ids",
    "episodes",
    "label_next",
    "match_boxes",
    "panel",
    "plot_batching",
    "plot_pipeline",
    "read_coco",
    "read_mot",
    "replay_batches",
    "review",
    "risk_level",
    "sandbox",
    "save_panel",
    "save_setting",
    "sweep",
    "undo_setting",
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
