"""The clusters of the table of versions, and the changes that each of them goes through."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from etcdapi.faults import Fault
from etcdapi.stubs import rpc_pb2
from support.parts.etcd_versions import newest
from support.parts.lab import LOOSE, Cluster, Ended, Lab, LocalMember, eventually, follower


@dataclass(frozen=True)
class Mix:
    """A cluster of three voters in the middle of a rolling upgrade, or before or after it."""

    #: The minor versions of the voters.
    voters: tuple[str, str, str]
    #: The minor version of each new member.
    newcomer: str
    #: The minor version of the voter that leads at first.
    leader: str

    def __str__(self) -> str:
        voters = " ".join(f"**{v}**" if at == self.voters.index(self.leader) else v for at, v in enumerate(self.voters))
        return f"{voters} ← {self.newcomer}"

    @property
    def name(self) -> str:
        """The name of a test's row."""
        return f"{'+'.join(self.voters)} led by {self.leader} takes {self.newcomer}"


def _alone(version: str) -> Mix:
    return Mix((version, version, version), version, version)


def _upgrade(old: str, new: str) -> tuple[Mix, ...]:
    """The course of a rolling upgrade: either version leads, and either joins."""
    return (
        Mix((old, old, old), new, old),
        Mix((old, old, new), old, old),
        Mix((old, old, new), new, new),
        Mix((old, new, new), old, new),
        Mix((old, new, new), new, old),
    )


MIXES = (_alone("3.5"), *_upgrade("3.5", "3.6"), _alone("3.6"), *_upgrade("3.6", "3.7"), _alone("3.7"))

#: The newcomer is older than the cluster's version: etcd itself does not start it.
TOO_OLD = (Mix(("3.6", "3.6", "3.6"), "3.5", "3.6"), Mix(("3.7", "3.7", "3.7"), "3.6", "3.7"))


def build(lab: Lab, mix: Mix) -> Cluster:
    """A cluster of the older version, of which some members were upgraded in place."""
    oldest = min(mix.voters)
    cluster = lab.cluster(binary=newest(oldest), settled=False)
    cluster.policy = LOOSE
    for member, version in zip(cluster.members, mix.voters, strict=True):
        if version != oldest:
            member.stop()
            member.binary = newest(version)
            cluster.revive(member)
    _let_lead(cluster, newest(mix.leader))
    lab.let_settle(cluster)
    return cluster


def _let_lead(cluster: Cluster, binary: Path) -> None:
    """Moves leadership to a member of this version."""

    def leads() -> bool:
        leader = cluster.leader()
        if leader.binary == binary:
            return True
        heir = next(m for m in cluster.members if m.binary == binary)
        client = cluster.client(leader)
        try:
            request = rpc_pb2.MoveLeaderRequest(targetID=int(cluster.id_of(heir), 16))
            client.maintenancestub.MoveLeader(request, timeout=5)
        except Exception:  # noqa: BLE001  (the links may be too young: asked again)
            return False
        finally:
            client.close()
        return False

    eventually(leads, "the wanted version to lead", 30, 0.3)


def join(cluster: Cluster, mix: Mix) -> Ended:
    """The answer to the promote is lost."""
    cluster.inject(Fault("MemberPromote", "lose"))
    change = cluster.join(cluster.new_member(binary=newest(mix.newcomer)))
    change.start_member()
    end = change.wait()
    expect(end, 0, "promoted")
    assert end.answer["verified"], end
    assert any("the answer to promote was lost" in warning for warning in end.answer["warnings"]), end
    cluster.mend()
    return end


def cancelled_join(cluster: Cluster, mix: Mix) -> Ended:
    """A learner that has caught up is taken back."""
    change = cluster.join(cluster.new_member(binary=newest(mix.newcomer)), "--hold-before", "promote")
    change.start_member()
    lab, workflow_id = cluster.lab, cluster.workflow_id(change.new)
    eventually(lambda: lab.held(workflow_id), "the join to be held", 60)
    assert lab.run("cancel", cluster.name, change.new.name).code == 0
    end = change.wait()
    expect(end, 1, "cancelled")
    assert set(cluster.roles().values()) == {"voter"}, cluster.roles()
    return end


def refused_by_etcd(cluster: Cluster, mix: Mix) -> str:
    """A newcomer that is older than the cluster's version ends at once, and its join is rolled back in time."""
    timeout = "10s"
    cluster.policy = {**LOOSE, "start_timeout": timeout}
    change = cluster.join(cluster.new_member(binary=newest(mix.newcomer)))
    change.start_member()
    expect(change.wait(), 1, "rolled-back")
    assert set(cluster.roles().values()) == {"voter"}, cluster.roles()
    return timeout


def replace(cluster: Cluster, mix: Mix) -> Ended:
    """A healthy voter leaves after the new one has joined."""
    return _replaced(cluster, mix, follower(cluster))


def replace_dead(cluster: Cluster, mix: Mix) -> Ended:
    """A dead voter leaves before the new one joins."""
    dead = follower(cluster)
    dead.kill()
    return _replaced(cluster, mix, dead)


def _replaced(cluster: Cluster, mix: Mix, old: LocalMember) -> Ended:
    change = cluster.replace(old.name, cluster.new_member(binary=newest(mix.newcomer)))
    change.start_member()
    end = change.wait()
    expect(end, 0, "replaced")
    assert end.answer["verified"], end
    _forget(cluster, old)
    return end


def remove(cluster: Cluster, _: Mix) -> Ended:
    """The leader leaves, after it has handed over its leadership."""
    leader = cluster.leader()
    end = cluster.remove(leader.name).wait()
    expect(end, 0, "removed")
    assert end.answer["verified"], end
    _forget(cluster, leader)
    return end


def _forget(cluster: Cluster, gone: LocalMember) -> None:
    """Later courses choose among the members that are left."""
    gone.kill()
    cluster.members.remove(gone)


def expect(end: Ended, code: int, outcome: str) -> None:
    assert (end.code, end.answer["outcome"]) == (code, outcome), end


Course = Callable[[Cluster, Mix], Ended]

#: In this order: each leaves a healthy cluster behind, of three voters or four.
COURSES: dict[str, Course] = {
    "join, promote answer lost": join,
    "join, cancelled": cancelled_join,
    "replace a voter": replace,
    "remove the leader": remove,
    "replace a dead voter": replace_dead,
}


def took(course: Course, cluster: Cluster, mix: Mix) -> float:
    """The seconds of one course. Raises AssertionError when it does not end as it should."""
    began = time.monotonic()
    course(cluster, mix)
    return time.monotonic() - began
