"""The settings of a deployment: what is in force and from where, and one setting of a file changed.

Reading them is loaded here; ``saving`` and ``undoing`` are loaded when they are needed.
"""

from __future__ import annotations

from secnb.settings_file.sources import (
    SettingInForce,
    SettingSources,
    describe_range,
    find_env_file,
    read_value,
)

__all__ = ["SettingInForce", "SettingSources", "describe_range", "find_env_file", "read_value"]
