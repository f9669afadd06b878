"""The answers to `memberflow status`, `memberflow doctor` and `memberflow plan`."""

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
    #: Oddities of the configured endpoints, at this moment and after the removals in line.
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reachability:
    """Whether a worker reaches a cluster."""

    cluster: str
    #: The queue of its activities, empty where the clusters file does not name it, because the table is wrong.
    task_queue: str
    #: The number of members. 0 where it was not reached.
    members: int = 0
    #: The ID of the leader. Empty where none is known.
    leader: str = ""
    #: Empty when the cluster is reached, like `hint`.
    problem: str = ""
    hint: str = ""
    #: The ID of the etcd cluster, in hex, empty where it was not reached.
    cluster_id: str = ""
    #: The client URLs that the clusters file has of it.
    endpoints: tuple[str, ...] = ()
    #: Oddities of a cluster that is reached.
    warnings: tuple[str, ...] = ()
    #: Days until the first of the worker's certificates for it expires. None where it has none.
    certificate_days: float | None = None
    #: Scheme, host and port of the receiver that hears how its changes end. Empty: none does.
    receiver: str = ""
    #: Why that receiver cannot be used, or a risk in its files. Empty: neither.
    receiver_problem: str = ""


@dataclass(frozen=True)
class FileFindings:
    """A worker's findings about the certificate, key and password files of a cluster."""

    warnings: tuple[str, ...] = ()
    #: Days until the first certificate expires. None without certificates.
    certificate_days: float | None = None


@dataclass(frozen=True)
class ClusterList:
    """The clusters that the workers of the workflow queue know."""

    #: In the order of the clusters file. Empty where it cannot be read.
    clusters: tuple[Reachability, ...] = ()
    #: Why their clusters file cannot be read, empty when it can.
    problem: str = ""


@dataclass(frozen=True)
class Plan:
    """The preflight of a change that has not begun."""

    cluster: str
    verb: Verb
    member: str
    checks: tuple[Check, ...]
