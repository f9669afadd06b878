"""Somebody looks all the time: nobody of ours asks a member that is being removed; etcd would panic (etcd#21966)."""

from __future__ import annotations

from etcdapi.relay import Fault
from support.parts.lab import LOOSE, Cluster, Command, Lab, LocalMember, ends, eventually, follower

# So many at a time, and so slow an answer, that the member is asked at any moment, unless nobody may.
LOOPS = 2
ANSWERS_AFTER = 1.0


def answers_slowly(cluster: Cluster, member: LocalMember) -> None:
    cluster.relays[member.name].inject(Fault("Status", "delay", times=None, seconds=ANSWERS_AFTER))


def look_until_it_ends(lab: Lab, cluster: Cluster, change: Command) -> int:
    """`memberflow status` again and again; how often."""
    looks: list[Command] = []
    looked = 0
    while change.is_running():
        while len(looks) < LOOPS:
            looks.append(lab.command("status", cluster.name, "--json"))
        eventually(lambda: not all(look.is_running() for look in looks), "a look to end")
        for look in [one for one in looks if not one.is_running()]:
            looks.remove(look)
            assert (seen := look.wait()).code == 0, seen
            looked += 1
    return looked


def assert_nobody_asked(cluster: Cluster, member: LocalMember) -> None:
    """It was asked, but not as it was removed."""
    [removal] = [call for call in cluster.sent("MemberRemove") if call.code == "OK"]
    assert removal.ended
    asked = [call for call in cluster.relays[member.name].calls if call.method == "Status"]
    assert [call for call in asked if call.at < removal.at]
    assert not [call for call in asked if call.at < removal.ended and not (call.ended and call.ended < removal.at)]


def test_while_a_voter_is_removed(lab):
    """It ends by itself, in order."""
    cluster = lab.cluster(fresh=True)
    cluster.policy = LOOSE
    target = follower(cluster)
    answers_slowly(cluster, target)
    removal = cluster.remove(target.name)
    assert look_until_it_ends(lab, cluster, removal)
    assert removal.wait().code == 0
    assert_nobody_asked(cluster, target)
    ends(target)


def test_while_a_learner_is_rolled_back(lab):
    """The join is cancelled, and its running learner ends by itself, in order."""
    cluster = lab.cluster()
    join = cluster.join(cluster.new_member(), "--hold-before", "promote")
    join.start_member()
    eventually(lambda: lab.held(cluster.workflow_id(join.new)), "the join to be held")
    learner = cluster.id_of(join.new)
    answers_slowly(cluster, join.new)
    seen = lab.run("status", cluster.name, "--json").answer
    assert learner in seen["status"]["statuses"], "the learner is asked until its removal"
    cancel = lab.command("cancel", cluster.name, join.new.name, "--json")
    assert look_until_it_ends(lab, cluster, cancel)
    end = cancel.wait()
    assert (end.code, end.answer["outcome"]) == (0, "cancelled"), end
    assert cluster.counts() == (1, 0, 1)
    assert_nobody_asked(cluster, join.new)
    ends(join.new)
