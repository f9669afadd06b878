"""Somebody looks all the time: nobody of ours asks a member that is being removed; etcd would panic (etcd#21966)."""

from __future__ import annotations

from lab import LOOSE, Cluster, Command, Lab, ends, eventually, follower


def look_until_it_ends(lab: Lab, cluster: Cluster, change: Command) -> int:
    """`memberflow status` again and again; how often."""
    looked = 0
    while change.is_running():
        seen = lab.run("status", cluster.name, "--json")
        assert seen.code == 0, seen
        looked += 1
    return looked


def test_while_a_voter_is_removed(lab):
    """It ends by itself, in order."""
    cluster = lab.cluster(fresh=True)
    cluster.policy = LOOSE
    target = follower(cluster)
    removal = cluster.remove(target.name)
    assert look_until_it_ends(lab, cluster, removal) > 1
    assert removal.wait().code == 0
    ends(target)


def test_while_a_learner_is_rolled_back(lab):
    """The join is cancelled, and its running learner ends by itself, in order."""
    cluster = lab.cluster()
    join = cluster.join(cluster.new_member(), "--hold-before", "promote")
    join.start_member()
    eventually(lambda: lab.held(cluster.workflow_id(join.new)), "the join to be held")
    learner = cluster.id_of(join.new)
    seen = lab.run("status", cluster.name, "--json").answer
    assert learner in seen["status"]["statuses"], "the learner is asked until its removal"
    cancel = lab.command("cancel", cluster.name, join.new.name, "--json")
    assert look_until_it_ends(lab, cluster, cancel)
    end = cancel.wait()
    assert (end.code, end.answer["outcome"]) == (0, "cancelled"), end
    assert cluster.counts() == (1, 0, 1)
    ends(join.new)
