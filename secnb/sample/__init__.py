"""An embedded deployment with sample data, for newcomers, notebooks and tests."""

from __future__ import annotations

from secnb.sample.embedded import Sandbox, sandbox
from secnb.sample.generations import Generation

__all__ = ["Generation", "Sandbox", "sandbox"]
