"""An embedded deployment with sample data, for newcomers, notebooks and tests."""

from __future__ import annotations

from secnb.sample.embedded import Sandbox, sandbox

__all__ = ["Sandbox", "sandbox"]
