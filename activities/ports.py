"""What activities need of the clusters file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from membership.allow import Allow
from membership.policy import Policy
from membership.ports import Etcd
from messages.launching import Launcher


@dataclass(frozen=True)
class ClusterProfile:
    """What a workflow must know of a cluster before its first look."""

    policy: Policy
    task_queue: str
    search_attributes: tuple[str, ...] = ()
    allow: Allow = field(default_factory=Allow)
    #: The client URLs that the clusters file has of the cluster.
    endpoints: tuple[str, ...] = ()


class Clusters(Protocol):
    """The clusters file of this worker."""

    def names(self) -> tuple[str, ...]:
        """The clusters of this worker, in the file's order."""

    def policy(self, cluster: str) -> Policy:
        """The policy of a cluster; raises UnknownCluster or InvalidConfiguration."""

    def allow(self, cluster: str) -> Allow:
        """What callers may ask of a cluster; raises UnknownCluster or InvalidConfiguration."""

    def endpoints(self, cluster: str) -> tuple[str, ...]:
        """The client URLs that the file has of a cluster."""

    def cluster_id(self, cluster: str) -> str:
        """The ID that the file says the cluster has; empty where it does not say."""

    def task_queue(self, cluster: str) -> str:
        """The queue that the cluster's activities run on."""

    def launcher(self, name: str) -> Launcher:
        """What `[launchers.NAME]` describes; raises UnknownLauncher or InvalidConfiguration."""

    def problem(self, cluster: str) -> str:
        """What is wrong with the cluster's table or files, and since when; empty when nothing is."""

    def saw(self, cluster: str, cluster_id: str) -> None:
        """Takes note of the ID that a cluster has; raises InvalidConfiguration if another name has the same cluster."""

    def connect(self, cluster: str) -> Etcd:
        """A client, kept for as long as the cluster's entry and its files stay the same."""
