"""Replacements on real etcd: healthy, dead, leading and wiped members; failures between the halves."""

from __future__ import annotations

import shutil

import pytest
from one_replacement import Replacing

from support.checks.puts import Puts
from support.faults.deaths import kill_and_restart
from support.parts.lab import Cluster, Lab, dead_follower, eventually, follower


def ordered(cluster: Cluster) -> list[str]:
    """The calls that took effect, in their order."""
    calls = [c for m in ("MemberAdd", "MemberPromote", "MemberRemove", "MoveLeader") for c in cluster.sent(m)]
    return [c.method for c in sorted(calls, key=lambda c: c.at) if c.code == "OK"]


ADD_FIRST = ["MemberAdd", "MemberPromote", "MemberRemove"]
REMOVE_FIRST = ["MemberRemove", "MemberAdd", "MemberPromote"]


@pytest.mark.parametrize(
    ("target", "calls"),
    [
        (follower, ADD_FIRST),
        (dead_follower, REMOVE_FIRST),
        (Cluster.leader, [*ADD_FIRST[:2], "MoveLeader", "MemberRemove"]),
    ],
    ids=["healthy", "dead", "leader"],
)
def test_a_member(lab, target, calls):
    """A healthy one goes last, so the spare never shrinks; a dead one first: etcd refuses an add while one is down."""
    cluster = lab.cluster(fresh=True)
    with Replacing(cluster, target(cluster), cluster.new_member()) as run:
        pass
    run.check()
    assert ordered(cluster) == calls
    # Leadership went to a voter whose links are old enough: etcd took the removal at once.
    assert len(cluster.sent("MemberRemove")) == 1


def test_a_wiped_member(lab):
    """Same name and peer URL, empty disk: removed, then joined, by hex ID; the name alone is refused."""
    cluster = lab.cluster(fresh=True)
    old = dead_follower(cluster)
    shutil.rmtree(old.folder / "data")
    refused = cluster.replace(old.name, old).wait()
    assert refused.code == 2, refused
    assert "hex ID" in refused.stderr
    assert cluster.counts() == (0, 0, 0)
    with Replacing(cluster, old, old, cluster.id_of(old)) as run:
        pass
    run.check()
    assert ordered(cluster) == REMOVE_FIRST


def killed_between(lab: Lab, workflow_id: str, stage: str) -> None:
    """The worker dies when the change has come to the first stage of its second half."""
    eventually(lambda: lab.stage(workflow_id) == stage, f"the stage {stage}", pause=0)
    kill_and_restart(lab)


def test_the_worker_killed_between_the_halves_of_a_dead_member_s(lab):
    """The old one is removed and the new one not started: the next worker goes on, and nothing is done twice."""
    cluster = lab.cluster(fresh=True)
    old, new = dead_follower(cluster), cluster.new_member()
    with Replacing(cluster, old, new) as run:
        killed_between(lab, cluster.workflow_id(new, "replace"), "sync")
        assert [c.code for c in cluster.sent("MemberRemove")] == ["OK"]
        assert run.old_id not in cluster.roles()
        assert not cluster.sent("MemberPromote")
    run.check()
    assert cluster.counts() == (1, 1, 1)


def test_the_worker_killed_between_the_halves_of_a_healthy_member_s(lab):
    """The new one is a voter and nobody asks the old one any more, but it is still in."""
    cluster = lab.cluster(fresh=True)
    old, new = follower(cluster), cluster.new_member()
    with Replacing(cluster, old, new) as run:
        run.replace.start_member()
        killed_between(lab, cluster.workflow_id(new, "replace"), "remove")
        assert [c.code for c in cluster.sent("MemberPromote")] == ["OK"]
        assert not cluster.sent("MemberRemove")
    run.check()
    assert cluster.counts() == (1, 1, 1)


def test_a_new_member_that_never_starts(lab):
    """The half that stands is named, our learner is taken back, and the same command goes on from there."""
    cluster = lab.cluster(fresh=True)
    cluster.policy = {"start_timeout": "3s"}
    old, new = dead_follower(cluster), cluster.new_member()
    left = {i: role for i, role in cluster.roles().items() if i != cluster.id_of(old)}
    with Puts(cluster) as puts:
        replace = cluster.replace(old.name, new)
        replace.handover()
        end = replace.wait()
        assert (end.code, end.answer["outcome"]) == (1, "failed"), end
        assert "old removed, new not joined" in end.answer["reason"]
        assert left == cluster.roles()
        replace.env_file.unlink()
        cluster.policy = {}
        again = cluster.replace(old.name, new)
        again.start_member()
        end = again.wait()
    assert (end.code, end.answer["outcome"]) == (0, "replaced"), end
    assert cluster.roles() == left | {end.answer["member_id"]: "voter"}
    assert cluster.counts() == (2, 1, 2)
    puts.check()


def test_a_healthy_member_whose_successor_never_starts(lab):
    """Everything is taken back: the cluster is as before."""
    cluster = lab.cluster()
    cluster.policy = {"start_timeout": "3s"}
    before = cluster.roles()
    replace = cluster.replace(follower(cluster).name, cluster.new_member())
    replace.handover()
    end = replace.wait()
    assert (end.code, end.answer["outcome"]) == (1, "rolled-back"), end
    assert before == cluster.roles()
    assert not [c for c in cluster.sent("MemberRemove") if c.code != "OK"]
