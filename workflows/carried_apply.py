"""The state that an apply takes along when it goes on in a new run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from activities.clusters_file import ClusterProfile
from messages.apply import ApplyView
from messages.orders import LookOrder


@dataclass(frozen=True)
class CarriedApply:
    """The state of an apply between two of its changes."""

    #: Seconds since the epoch at which the first run began.
    began: float
    view: ApplyView
    profile: ClusterProfile
    #: The look with which the cluster is compared next.
    look: LookOrder
    #: How often each change was started or waited for, by workflow ID.
    tries: dict[str, int]
    #: The workflow IDs of the changes that went through.
    succeeded: tuple[str, ...]
    #: The names of the voters at the last look.
    voters: tuple[str, ...]


@dataclass(frozen=True)
class NextApplyRun:
    """The argument of a run that is not the first of its apply."""

    #: The caller's request.
    request: dict[str, Any]
    so_far: CarriedApply
