"""A clusters file of one cluster in memory."""

from __future__ import annotations

from typing import Any

from support.memory.cluster import MemoryCluster
from support.memory.etcd import MemoryEtcd


class OneCluster:
    """Any name leads to this cluster, of three voters where none is given."""

    def __init__(self, etcd: Any = None) -> None:
        self._etcd = etcd or MemoryEtcd(MemoryCluster(3))

    def connect(self, cluster: str) -> Any:
        return self._etcd

    def saw(self, cluster: str, cluster_id: str) -> None:
        pass
