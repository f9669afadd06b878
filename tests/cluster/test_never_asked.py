"""A change never asks the member that it removes from the moment its act sends: etcd would panic (etcd#21966)."""

from __future__ import annotations

from support.parts.lab import LOOSE, Cluster, LocalMember, ends, eventually, follower


def assert_not_asked_from_the_removal_on(cluster: Cluster, member: LocalMember) -> None:
    [removal] = [call for call in cluster.sent("MemberRemove") if call.code == "OK"]
    asked = [call for call in cluster.relays[member.name].calls if call.method == "Status"]
    assert [call for call in asked if call.at < removal.at], "the act's own look asks it"
    assert not [call for call in asked if not call.ended or call.ended >= removal.at]


def test_a_voter_that_is_removed(lab):
    """It ends by itself, in order."""
    cluster = lab.cluster(fresh=True)
    cluster.policy = LOOSE
    target = follower(cluster)
    assert cluster.remove(target.name).wait().code == 0
    assert_not_asked_from_the_removal_on(cluster, target)
    ends(target)


def test_a_learner_that_is_rolled_back(lab):
    """The join is cancelled, and its running learner ends by itself, in order."""
    cluster = lab.cluster()
    join = cluster.join(cluster.new_member(), "--hold-before", "promote")
    join.start_member()
    eventually(lambda: lab.held(cluster.workflow_id(join.new)), "the join to be held")
    end = lab.run("cancel", cluster.name, join.new.name, "--json")
    assert (end.code, end.answer["outcome"]) == (0, "cancelled"), end
    assert cluster.counts() == (1, 0, 1)
    assert_not_asked_from_the_removal_on(cluster, join.new)
    ends(join.new)
