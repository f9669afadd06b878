"""A cluster's name leads to another cluster for a while: a DNS name that moved, an edited clusters file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from etcdapi.faults import Fault
from local.etcd_cluster import LocalMember, bootstrap
from support.parts.lab import Cluster, Lab


@contextmanager
def another_cluster(lab: Lab) -> Iterator[LocalMember]:
    """The only member of another cluster."""
    member = LocalMember("elsewhere", lab.binary, lab.folder / "elsewhere")
    bootstrap([member], "elsewhere")
    try:
        yield member
    finally:
        member.kill()


def lead_away(cluster: Cluster, other: LocalMember) -> None:
    """The name leads to the other cluster, and no look reaches its own."""
    cluster.inject(Fault("Status", "refuse", times=None), Fault("MemberList", "refuse", times=None))
    cluster.listed = [other.client_url]
    cluster.lab.write_clusters_file()


def lead_back(cluster: Cluster) -> None:
    cluster.mend()
    cluster.listed = []
    cluster.lab.write_clusters_file()


def sees_the_other(lab: Lab, workflow_id: str) -> bool:
    """Whether the running look or wait of a change was answered by another cluster."""
    told = lab.heartbeat(workflow_id) + str([a.get("lastFailure") for a in lab.executions.pending(workflow_id)])
    return "WrongCluster" in told
