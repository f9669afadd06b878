"""The clusters file, as the activities see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from membership.allow import Allow
from membership.etcd import Etcd
from membership.policy import Policy
from messages.launching import Launcher
from messages.notices import Receiver


@dataclass(frozen=True)
class ClusterProfile:
    """The facts of a cluster that a workflow needs before its first look."""

    policy: Policy
    task_queue: str
    #: Our search attributes that the namespace has.
    search_attributes: tuple[str, ...] = ()
    #: The changes that callers may ask of the cluster.
    allow: Allow = field(default_factory=Allow)
    #: The client URLs that the clusters file has of the cluster.
    endpoints: tuple[str, ...] = ()
    #: Whether a receiver hears how changes of the cluster end.
    notifies: bool = False
    #: How many other changes are in line. Asked only where the file has `max_waiting`.
    waiting: int = 0


class Clusters(Protocol):
    """The clusters file of this worker."""

    def names(self) -> tuple[str, ...]:
        """The clusters of this worker, in the file's order."""

    def policy(self, cluster: str) -> Policy:
        """The policy of a cluster. Raises UnknownCluster or InvalidConfiguration."""

    def allow(self, cluster: str) -> Allow:
        """The changes that callers may ask of a cluster. Raises UnknownCluster or InvalidConfiguration."""

    def endpoints(self, cluster: str) -> tuple[str, ...]:
        """The client URLs that the file has of a cluster."""

    def cluster_id(self, cluster: str) -> str:
        """The ID of the cluster in the file, empty where the file has none."""

    def task_queue(self, cluster: str) -> str:
        """The queue that the cluster's activities run on."""

    def launcher(self, name: str) -> Launcher:
        """The launcher of `[launchers.NAME]`. Raises UnknownLauncher or InvalidConfiguration."""

    def receiver(self, cluster: str) -> Receiver | None:
        """The receiver that hears how changes end, None where the file has none. Raises InvalidConfiguration."""

    def problem(self, cluster: str) -> str:
        """The error in the cluster's table or files, and since when, empty when there is none."""

    def saw(self, cluster: str, cluster_id: str) -> None:
        """Notes the ID of a cluster. Raises InvalidConfiguration if the cluster has another name in the file, too."""

    def connect(self, cluster: str) -> Etcd:
        """A client, kept for as long as the cluster's entry and its files stay the same."""
