"""What `memberflow status` and `memberflow doctor` are told."""

from __future__ import annotations

from dataclasses import dataclass

from membership.checks import Check
from membership.model import ClusterStatus
from messages.requests import Verb
from messages.turns import TurnsState


@dataclass(frozen=True)
class Inspection:
    """One look at a cluster, and whose turn it is."""

    cluster: str
    status: ClusterStatus
    turns: TurnsState


@dataclass(frozen=True)
class Reachability:
    """Whether a worker reaches a cluster; `problem` and `hint` are empty when it does."""

    cluster: str
    #: The queue of its activities; empty where the clusters file does not say it, because the table is wrong.
    task_queue: str
    members: int = 0
    leader: str = ""
    problem: str = ""
    hint: str = ""
    #: The ID of the etcd cluster, in hex; empty where it was not reached.
    cluster_id: str = ""
    #: The client URLs that the clusters file has of it.
    endpoints: tuple[str, ...] = ()
    #: What is odd about a cluster that is reached.
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClusterList:
    """The clusters that the workers of the workflow queue know; `problem` when their file is wrong."""

    clusters: tuple[Reachability, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Plan:
    """The preflight of a change that nobody has begun."""

    cluster: str
    verb: Verb
    member: str
    checks: tuple[Check, ...]
