"""All helpers in one object."""

from __future__ import annotations

from secnb.deployment.inspection import InspectionHelpers
from secnb.deployment.labelled import LabelHelpers
from secnb.deployment.messages import MessageHelpers
from secnb.deployment.overview import OverviewHelpers
from secnb.deployment.records import RecordHelpers
from secnb.deployment.snapshots import SnapshotHelpers


class Deployment(
    OverviewHelpers, InspectionHelpers, MessageHelpers, RecordHelpers, LabelHelpers, SnapshotHelpers
):
    """One deployment, looked at and never changed. Made by `connect`.

    Every helper has two faces: ``site.queues()`` blocks and returns the frame, ``await site.queues.aio()``
    does the same without blocking. The docstring of the class `Held` says what it is made of.
    """
