"""Removals that are refused, with nothing proposed to etcd, and those that are not."""

from __future__ import annotations

import pytest

from etcdapi.stubs import rpc_pb2
from support.parts.lab import LOOSE, dead_follower, eventually, follower

REFUSED = [
    ("fewer voters than min_voters", 3, {}, (), "TooFewVoters", "min_voters is 3"),
    ("less spare than min_spare", 3, {"min_voters": 1}, (), "QuorumAtRisk", "min_spare is 1"),
    ("the last voter", 1, LOOSE, ("--force",), "LastVoter", "last voter"),
]


@pytest.mark.parametrize(("case", "size", "policy", "args", "error", "says"), REFUSED, ids=[r[0] for r in REFUSED])
def test_refused(lab, case, size, policy, args, error, says):
    """Exit 5, the arithmetic in the reason, and nothing proposed; the plan says the same sentence."""
    cluster = lab.cluster(size)
    cluster.policy = policy
    target = cluster.members[-1]
    end = cluster.remove(target.name, *args).wait()
    assert (end.code, end.answer["outcome"]) == (5, "refused"), end
    assert says in end.answer["reason"]
    assert not cluster.sent("MemberRemove")
    assert not cluster.sent("MoveLeader")
    plan = lab.run("plan", "remove", cluster.name, target.name, *args, "--json")
    refusals = [c for c in plan.answer["checks"] if c["verdict"] == "refuse"]
    assert (plan.code, plan.answer["verdict"]) == (5, "refuse"), plan
    assert (error, end.answer["reason"]) == (refusals[0]["error"], refusals[0]["evidence"])


def test_only_the_corrupt_member_itself_may_go(lab):
    """Its own removal is the cure; of another member nothing is proposed. Without space a removal is only warned."""
    cluster = lab.cluster(fresh=True)
    cluster.policy = LOOSE
    leader = cluster.leader()
    corrupt, other = (m for m in cluster.members if m is not leader)
    corrupt_id, before = cluster.id_of(corrupt), cluster.roles()
    cluster.set_alarm(corrupt_id, "CORRUPT")
    end = cluster.remove(other.name).wait()
    assert (end.code, end.answer["outcome"]) == (5, "refused"), end
    assert f"a CORRUPT alarm is active on {corrupt_id}" in end.answer["reason"]
    assert not cluster.sent("MemberRemove")
    assert not cluster.sent("MoveLeader")
    assert before == cluster.roles()
    cure = cluster.remove(corrupt.name).wait()
    assert (cure.code, cure.answer["outcome"], cure.answer["member_id"]) == (0, "removed", corrupt_id), cure
    assert set(cluster.roles()) == set(before) - {corrupt_id}
    cluster.set_alarm(cluster.id_of(leader), "NOSPACE")
    full = cluster.remove(other.name).wait()
    assert (full.code, full.answer["outcome"]) == (0, "removed"), full
    assert any(f"NOSPACE on {cluster.id_of(leader)}" in warning for warning in full.answer["warnings"]), full
    assert len(cluster.sent("MemberRemove")) == 2


def test_a_healthy_member_beside_a_dead_one_is_never_removed(lab):
    """Not even by force: etcd would refuse it, and rightly."""
    cluster = lab.cluster(fresh=True)
    cluster.policy = LOOSE
    dead_follower(cluster)
    leader = cluster.leader()
    healthy = next(m for m in cluster.members if m is not leader and m.process.exit_code() is None)
    end = cluster.remove(healthy.name, "--force").wait()
    assert (end.code, end.answer["outcome"]) == (5, "refused"), end
    assert "lose its quorum" in end.answer["reason"]
    assert not cluster.sent("MemberRemove")


def test_force_skips_the_policy(lab):
    """What is the operator's to judge."""
    cluster = lab.cluster(fresh=True)
    end = cluster.remove(follower(cluster).name, "--force").wait()
    assert (end.code, end.answer["outcome"]) == (0, "removed"), end


def test_two_members_of_one_name_are_told_apart_by_id(lab):
    """etcd's names need not be unique; a name that means two members is refused."""
    cluster = lab.cluster(1, fresh=True)
    new = cluster.new_member("twin")
    new.name = "etcd-1"
    client = cluster.client(cluster.members[0])
    added = client.clusterstub.MemberAdd(rpc_pb2.MemberAddRequest(peerURLs=[new.peer_url], isLearner=True), timeout=5)
    client.close()
    listed = f"the-other={cluster.members[0].peer_url},etcd-1={new.peer_url}"
    new.start(
        {
            "ETCD_INITIAL_CLUSTER": listed,
            "ETCD_INITIAL_CLUSTER_STATE": "existing",
            "ETCD_INITIAL_ADVERTISE_PEER_URLS": new.peer_url,
        }
    )
    eventually(lambda: [r.name for r in cluster.rows()] == ["etcd-1", "etcd-1"], "both names")
    end = cluster.remove("etcd-1").wait()
    assert (end.code, end.answer["outcome"]) == (5, "refused"), end
    assert f"{added.member.ID:x}" in end.answer["reason"]
    end = cluster.remove(f"{added.member.ID:x}").wait()
    assert (end.code, end.answer["outcome"]) == (0, "removed"), end
    assert len(cluster.rows()) == 1
