"""The composition root: settings, database and Redis become the object that an analyst holds."""

from __future__ import annotations

from secnb.deployment.assembled import Deployment
from secnb.deployment.connecting import connect

__all__ = ["Deployment", "connect"]
