"""Removals on real etcd: faults of every act, what is refused, and what becomes of the removed process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from lab import LOOSE, Cluster, dead_follower, eventually, follower
from puts import ELECTION, Puts

from etcdapi.relay import Fault
from etcdapi.stubs import rpc_pb2
from local.etcd_cluster import LocalMember


def nothing(cluster: Cluster) -> None:
    """No trouble."""


def spoil(*faults: Fault) -> Callable[[Cluster], None]:
    return lambda cluster: cluster.inject(*faults)


def leader_dies_at(method: str) -> Callable[[Cluster], None]:
    def prepare(cluster: Cluster) -> None:
        leader = cluster.leader()
        cluster.relays[leader.name].inject(Fault(method, "pass", arrives=leader.kill))

    return prepare


@dataclass(frozen=True)
class Row:
    """One removal from five voters that goes through, whatever the trouble. Counts are numbers or (least, most)."""

    trouble: str
    target: Callable[[Cluster], LocalMember] = follower
    prepare: Callable[[Cluster], None] = nothing
    size: int = 3
    policy: dict[str, Any] = field(default_factory=lambda: LOOSE)
    removes: tuple[int, int] = (1, 1)
    moves: tuple[int, int] = (0, 0)


TABLE = [
    Row("no trouble"),
    Row("lost answer", prepare=spoil(Fault("MemberRemove", "lose"))),
    Row("UNAVAILABLE after the removal", prepare=spoil(Fault("MemberRemove", "unavailable"))),
    Row("refused on the way", prepare=spoil(Fault("MemberRemove", "refuse"))),
    Row("failing looks", prepare=spoil(Fault("Status", "refuse", 4), Fault("MemberList", "refuse", 3))),
    Row("the leader goes", target=Cluster.leader, moves=(1, 1)),
    Row(
        "the leader goes, lost answer to the move",
        target=Cluster.leader,
        prepare=spoil(Fault("MoveLeader", "lose")),
        moves=(1, 1),
    ),
    Row(
        "the leader goes, the move is refused on the way",
        target=Cluster.leader,
        prepare=spoil(Fault("MoveLeader", "refuse")),
        moves=(1, 1),
    ),
    Row("a dead member of three", target=dead_follower, policy={"min_voters": 2}),
    Row("the leader dies at the removal", size=5, prepare=leader_dies_at("MemberRemove"), removes=(0, 2)),
]


def within(count: int, expected: tuple[int, int]) -> bool:
    return expected[0] <= count <= expected[1]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.trouble)
def test_removal(lab, row):
    """Gone from every list, the process ended with code 0, writes went on, and the same again changes nothing."""
    cluster = lab.cluster(row.size, fresh=True)
    cluster.policy = row.policy
    target = row.target(cluster)
    was_alive = target.process.exit_code() is None
    target_id, before = cluster.id_of(target), cluster.roles()
    row.prepare(cluster)
    with Puts(cluster) as puts:
        end = cluster.remove(target.name).wait()
    assert end.code == 0, end
    assert (end.answer["outcome"], end.answer["member_id"]) == ("removed", target_id), end
    assert set(before) - {target_id} == set(cluster.roles())
    assert within(len(cluster.sent("MemberRemove")), row.removes)
    assert within(len(cluster.sent("MoveLeader")), row.moves)
    assert puts.count
    assert puts.longest < ELECTION
    if was_alive:
        eventually(lambda: target.process.exit_code() is not None, "the removed process to end")
        assert target.process.exit_code() == 0
    sent = len(cluster.sent("MemberRemove"))
    again = cluster.remove(target_id).wait()
    assert (again.code, again.answer["outcome"]) == (0, "already-removed"), again
    assert sent == len(cluster.sent("MemberRemove"))


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


def test_status_looping_does_not_crash_the_removed_process(lab):
    """Nobody of ours asks a member that is being removed; etcd would panic (etcd#21966)."""
    cluster = lab.cluster(fresh=True)
    cluster.policy = LOOSE
    target = follower(cluster)
    lab.write_clusters_file()
    removal = cluster.remove(target.name)
    looked = 0
    while removal.is_running():
        seen = lab.run("status", cluster.name, "--json")
        assert seen.code == 0, seen
        looked += 1
    assert removal.wait().code == 0
    assert looked > 1
    eventually(lambda: target.process.exit_code() is not None, "the removed process to end")
    assert target.process.exit_code() == 0, target.process.last_lines()


def test_a_snapshot_comes_before_the_removal(lab, tmp_path):
    """Streamed to the worker's disk, whole, and named in the outcome; etcd reads it."""
    cluster = lab.cluster(fresh=True)
    cluster.fill(5)
    cluster.policy = {**LOOSE, "snapshot_before_removal": f"{tmp_path}/{{cluster}}-{{time}}.db"}
    end = cluster.remove(follower(cluster).name).wait()
    assert (end.code, end.answer["outcome"]) == (0, "removed"), end
    [saved] = tmp_path.iterdir()
    assert saved.name.startswith(cluster.name)
    assert saved.stat().st_size > 5_000_000
    assert any(str(saved) in warning for warning in end.answer["warnings"])


def test_a_snapshot_that_fails_stops_the_removal(lab):
    """Nothing is removed without the snapshot that the policy wants."""
    cluster = lab.cluster(fresh=True)
    cluster.policy = {**LOOSE, "snapshot_before_removal": "/no/such/folder/{time}.db"}
    end = cluster.remove(follower(cluster).name).wait()
    assert end.code == 5, end
    assert "/no/such/folder" in end.answer["reason"]
    assert not cluster.sent("MemberRemove")
    assert len(cluster.rows()) == 3
