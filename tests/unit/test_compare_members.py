"""The look of an apply."""

from __future__ import annotations

from types import SimpleNamespace

from made_up_looks import cluster

from activities.desired import Desired
from membership.policy import Policy
from messages.apply import ApplyRequest, Compare
from messages.orders import Beforehand, LookOrder
from messages.turns import TurnsState
from support.memory.cluster import MemoryCluster
from support.memory.faulty import MemoryClusters

REQUEST = ApplyRequest.model_validate(
    {"cluster": "prod", "members": [{"name": "etcd-1", "peer_urls": ["http://10.0.0.1:2380"]}]}
)


def test_it_looks_at_the_cluster_of_its_request():
    """That cluster was judged. A forged order can name another one, whose members the caller may not see."""
    clusters, looked = MemoryClusters("queue"), []
    clusters.add("prod", MemoryCluster(1), Policy())

    def look_beforehand(order):
        looked.append(order.cluster)
        return Beforehand(cluster(1), TurnsState())

    desired = Desired(clusters, SimpleNamespace(look_beforehand=look_beforehand))
    desired.compare_members(Compare(LookOrder(cluster="other"), REQUEST))
    assert looked == ["prod"]
