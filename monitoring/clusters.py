"""The clusters that a worker serves: their members, the certificates for them, the connections to them."""

from __future__ import annotations

import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

from temporalio.common import MetricMeter

from clusters import ClustersFile
from etcdapi.connections import open_connections
from membership.errors import MemberflowError
from membership.model import Member
from monitoring.gauges import Gauge

_AT_ONCE = 8


class ServedClusters:
    """
    Reads the member lists of the clusters that this worker serves, and their certificate files.

    It asks voters for a linearizable list and for nothing else: a status question could meet a member in the moment
    of its removal, and crash it (etcd#21966).
    """

    def __init__(self, clusters: ClustersFile, serves: Collection[str], meter: MetricMeter) -> None:
        self._clusters = clusters
        self._serves = serves
        # When this worker first saw a learner, by cluster and member ID.
        self._since: dict[tuple[str, str], float] = {}
        self._readable = Gauge(
            meter, "memberflow_cluster_readable", "1: a linearizable read went through. 0: it failed.", "cluster"
        )
        self._members = Gauge(meter, "memberflow_members", "Members in etcd's list, by role.", "cluster", "role")
        self._age = Gauge(
            meter,
            "memberflow_learner_age_seconds",
            "Seconds since this worker first saw the oldest learner. 0: no learner.",
            "cluster",
        )
        self._days = Gauge(
            meter,
            "memberflow_certificate_days_left",
            "Days until the certificate expires. 0: it has expired.",
            "cluster",
            "file",
        )
        self._connections = Gauge(meter, "memberflow_open_connections", "Open connections to members of etcd.")

    def measure(self) -> None:
        """Blocks for as long as the members take to answer, up to some seconds."""
        served = [name for name in self._clusters.names() if self._is_served(name)]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            lists = dict(zip(served, pool.map(self._read, served), strict=True))
        self._readable.show({(name,): float(found is not None) for name, found in lists.items()})
        found = {name: members for name, members in lists.items() if members is not None}
        self._members.show({key: n for name, members in found.items() for key, n in _roles(name, members).items()})
        self._age.show({(name,): self._oldest(name, members) for name, members in found.items()})
        self._days.show({key: days for name in served for key, days in self._days_left(name).items()})
        self._connections.show({(): float(open_connections())})

    def _is_served(self, cluster: str) -> bool:
        try:
            return self._clusters.task_queue(cluster) in self._serves
        except MemberflowError:
            return False  # its table is wrong from the beginning, and the log says so

    def _read(self, cluster: str) -> tuple[Member, ...] | None:
        try:
            return self._clusters.connect(cluster).members()
        except MemberflowError:
            return None

    def _oldest(self, cluster: str, members: Collection[Member]) -> float:
        now = time.monotonic()
        learners = {(cluster, member.id) for member in members if member.is_learner}
        others = {key: since for key, since in self._since.items() if key[0] != cluster}
        self._since = others | {key: self._since.get(key, now) for key in learners}
        return max((now - self._since[key] for key in learners), default=0.0)

    def _days_left(self, cluster: str) -> dict[tuple[str, ...], float]:
        try:
            files = self._clusters.connect(cluster).credentials().files
        except MemberflowError:
            return {}  # the files cannot be read, and the log says why
        return {(cluster, file.key): max(0.0, file.days_left) for file in files if file.days_left is not None}


def _roles(cluster: str, members: Collection[Member]) -> dict[tuple[str, ...], float]:
    learners = sum(member.is_learner for member in members)
    return {(cluster, "voter"): float(len(members) - learners), (cluster, "learner"): float(learners)}
