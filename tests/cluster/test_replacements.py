"""Replacements on real etcd: healthy, dead, leading and wiped members; failures between the halves."""

from __future__ import annotations

import shutil

import pytest
from lab import Cluster, dead_follower, eventually, follower
from puts import ELECTION, Puts

from etcdapi.relay import Fault


def start_when_added(join) -> None:
    join.start_member()


def test_a_healthy_member(lab):
    """The new one joins first, so the margin never shrinks; run twice it changes nothing."""
    cluster = lab.cluster(fresh=True)
    old = follower(cluster)
    old_id = cluster.id_of(old)
    new = cluster.new_member()
    with Puts(cluster) as puts:
        replace = cluster.replace(old.name, new)
        replace.start_member()
        end = replace.wait()
    assert (end.code, end.answer["outcome"], end.answer["verified"]) == (0, "replaced", True), end
    assert old_id not in cluster.roles()
    assert list(cluster.roles().values()) == ["voter"] * 3
    assert [c.method for c in ordered(cluster)] == ["MemberAdd", "MemberPromote", "MemberRemove"]
    assert puts.longest < ELECTION
    eventually(lambda: old.process.exit_code() is not None, "the old process to end")
    assert old.process.exit_code() == 0
    again = cluster.replace(old_id, new).wait()
    assert (again.code, again.answer["outcome"]) == (0, "replaced"), again
    assert cluster.counts() == (1, 1, 1)


def ordered(cluster: Cluster):
    calls = [c for m in ("MemberAdd", "MemberPromote", "MemberRemove", "MoveLeader") for c in cluster.sent(m)]
    return [c for c in sorted(calls, key=lambda c: c.at) if c.code != "UNAVAILABLE"]


def test_a_dead_member(lab):
    """It is removed first: etcd refuses an add while one of three is down."""
    cluster = lab.cluster(fresh=True)
    old = dead_follower(cluster)
    new = cluster.new_member()
    replace = cluster.replace(old.name, new)
    replace.start_member()
    end = replace.wait()
    assert (end.code, end.answer["outcome"]) == (0, "replaced"), end
    assert list(cluster.roles().values()) == ["voter"] * 3
    assert [c.method for c in ordered(cluster)] == ["MemberRemove", "MemberAdd", "MemberPromote"]


def test_the_leader(lab):
    """Leadership is moved away before the removal."""
    cluster = lab.cluster(fresh=True)
    old = cluster.leader()
    with Puts(cluster) as puts:
        replace = cluster.replace(old.name, cluster.new_member())
        replace.start_member()
        end = replace.wait()
    assert (end.code, end.answer["outcome"]) == (0, "replaced"), end
    assert [c.method for c in ordered(cluster)] == ["MemberAdd", "MemberPromote", "MoveLeader", "MemberRemove"]
    assert puts.longest < ELECTION


def test_a_wiped_member(lab):
    """Same name and peer URL, empty disk: removed, then joined, by hex ID; the name alone is refused."""
    cluster = lab.cluster(fresh=True)
    old = dead_follower(cluster)
    old_id = cluster.id_of(old)
    shutil.rmtree(old.folder / "data")
    refused = cluster.replace(old.name, old).wait()
    assert refused.code == 2, refused
    assert "hex ID" in refused.stderr
    assert cluster.counts() == (0, 0, 0)
    replace = cluster.replace(old_id, old)
    replace.start_member()
    end = replace.wait()
    assert (end.code, end.answer["outcome"]) == (0, "replaced"), end
    assert old_id not in cluster.roles()
    assert list(cluster.roles().values()) == ["voter"] * 3
    again = cluster.replace(old_id, old).wait()
    assert (again.code, again.answer["outcome"]) == (0, "replaced"), again
    assert cluster.counts() == (1, 1, 1)


FAULTS = [
    ("lost answers", [Fault(m, "lose") for m in ("MemberAdd", "MemberPromote", "MemberRemove")]),
    ("UNAVAILABLE afterwards", [Fault(m, "unavailable") for m in ("MemberAdd", "MemberPromote", "MemberRemove")]),
    ("refused on the way", [Fault(m, "refuse") for m in ("MemberAdd", "MemberPromote", "MemberRemove")]),
]


@pytest.mark.parametrize("target", [follower, dead_follower])
@pytest.mark.parametrize(("trouble", "faults"), FAULTS, ids=[f[0] for f in FAULTS])
def test_faults(lab, trouble, faults, target):
    """Each act takes effect once, whatever became of its answer."""
    cluster = lab.cluster(fresh=True)
    old = target(cluster)
    old_id = cluster.id_of(old)
    cluster.inject(*faults)
    replace = cluster.replace(old.name, cluster.new_member())
    replace.start_member()
    end = replace.wait()
    assert (end.code, end.answer["outcome"]) == (0, "replaced"), end
    assert old_id not in cluster.roles()
    assert list(cluster.roles().values()) == ["voter"] * 3
    assert [c.method for c in ordered(cluster)].count("MemberRemove") == 1
    assert cluster.counts()[1] == 1


def test_the_worker_killed_between_the_halves(lab):
    """The next one goes on; nothing is done twice."""
    cluster = lab.cluster(fresh=True)
    old = dead_follower(cluster)
    replace = cluster.replace(old.name, cluster.new_member())
    eventually(lambda: cluster.sent("MemberRemove"), "the removal", 30)
    lab.worker.kill()
    lab.worker.start()
    replace.start_member()
    end = replace.wait()
    assert (end.code, end.answer["outcome"]) == (0, "replaced"), end
    assert cluster.counts()[2] == 1
    assert list(cluster.roles().values()) == ["voter"] * 3


def test_a_new_member_that_never_starts(lab):
    """The half that stands is named, our learner is taken back, and the same command goes on from there."""
    cluster = lab.cluster(fresh=True)
    cluster.policy = {"start_timeout": "3s"}
    old = dead_follower(cluster)
    new = cluster.new_member()
    replace = cluster.replace(old.name, new)
    replace.handover()
    end = replace.wait()
    assert (end.code, end.answer["outcome"]) == (1, "failed"), end
    assert "old removed, new not joined" in end.answer["reason"]
    assert list(cluster.roles().values()) == ["voter"] * 2
    replace.env_file.unlink()
    cluster.policy = {}
    again = cluster.replace(old.name, new)
    again.start_member()
    end = again.wait()
    assert (end.code, end.answer["outcome"]) == (0, "replaced"), end
    assert list(cluster.roles().values()) == ["voter"] * 3


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
