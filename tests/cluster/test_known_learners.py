"""A learner that lasts: the policy knows it, and joins go past it."""

from __future__ import annotations

from etcdapi.stubs import rpc_pb2


def test_a_join_beside_a_standby(lab):
    """Under etcd's --max-learners 2. It stays a learner, and nothing waits for it or warns of it."""
    cluster = lab.cluster(flags=("--max-learners=2",))
    cluster.single_use = True
    client = cluster.client(cluster.leader())
    request = rpc_pb2.MemberAddRequest(peerURLs=["http://127.0.0.1:1"], isLearner=True)
    standby = f"{client.clusterstub.MemberAdd(request, timeout=5).member.ID:x}"
    client.close()
    cluster.policy = {"known_learners": [standby]}
    join = cluster.join(cluster.new_member(flags=("--max-learners=2",)))
    join.start_member()
    end = join.wait()
    assert (end.code, end.answer["outcome"], end.answer["warnings"]) == (0, "promoted", []), end
    assert cluster.roles()[standby] == "learner"
