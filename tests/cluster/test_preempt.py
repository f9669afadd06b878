"""--preempt: a dead voter leaves before a held join goes on; nothing else is passed."""

from __future__ import annotations

import pytest

from etcdapi.faults import Fault
from local.etcd_cluster import LocalMember
from messages.ids import change_id
from support.checks.puts import Puts
from support.parts.lab import LOOSE, Cluster, Command, Join, Lab, ends, eventually, follower


def held_join(lab: Lab, cluster: Cluster) -> Join:
    """One that has the turn and a learner in the cluster."""
    join = cluster.join(cluster.new_member(), "--hold-before", "promote")
    join.start_member()
    eventually(lambda: lab.held(cluster.workflow_id(join.new)), "the join to be held")
    return join


def failed_join(lab: Lab, cluster: Cluster) -> Join:
    """One whose new member did not start in time, and that is held for it: on_failure = hold."""
    cluster.policy = {**LOOSE, "start_timeout": "2s", "on_failure": "hold"}
    join = cluster.join(cluster.new_member())
    join.handover()
    eventually(lambda: "StartTimeout" in lab.held(cluster.workflow_id(join.new)), "the join to be held")
    return join


def waits_behind(lab: Lab, cluster: Cluster, removal: Command, target: LocalMember, join: Join) -> None:
    """In the change's own view, and at the command line."""
    behind = f"its turn behind {cluster.workflow_id(join.new)}"
    workflow_id = change_id(cluster.name, "remove", target.name)
    eventually(lambda: behind in lab.waits_for(workflow_id), "the removal to wait in line")
    eventually(lambda: behind in removal.said(), "the removal to say so")
    assert removal.is_running()
    assert lab.status(cluster.workflow_id(join.new)) == "WORKFLOW_EXECUTION_STATUS_RUNNING"


def lists_at_removals(cluster: Cluster) -> list[dict[str, str]]:
    """The member list as each removal arrives at etcd."""
    seen: list[dict[str, str]] = []
    cluster.inject(Fault("MemberRemove", "pass", times=None, arrives=lambda: seen.append(cluster.roles())))
    return seen


def dead(cluster: Cluster) -> LocalMember:
    """A voter that just died; one of the first three."""
    leader = cluster.leader()
    member = next(m for m in cluster.members[:3] if m is not leader)
    member.kill()
    return member


@pytest.mark.parametrize(
    ("verb", "hold"),
    [("remove", held_join), ("replace", held_join), ("remove", failed_join)],
    ids=["remove", "replace", "remove, the join has failed"],
)
def test_a_dead_voter_passes_a_held_join(lab, verb, hold):
    """The join is cancelled and rolled back first; only then does the dead voter go. Writes go on."""
    cluster = lab.cluster(fresh=True)
    cluster.policy = LOOSE
    before = cluster.roles()
    join = hold(lab, cluster)
    learner = cluster.id_of(join.new)
    target = dead(cluster)
    target_id = cluster.id_of(target)
    seen = lists_at_removals(cluster)
    with Puts(cluster) as puts:
        if verb == "remove":
            end = cluster.remove(target.name, "--preempt").wait()
        else:
            replace = cluster.replace(target.name, cluster.new_member(), "--preempt")
            replace.start_member()
            end = replace.wait()
    assert (end.code, end.answer["outcome"]) == (0, f"{verb}d"), end
    passed = join.wait()
    assert (passed.code, passed.answer["outcome"]) == (1, "cancelled"), passed
    assert [{learner, target_id} & set(roles) for roles in seen] == [{learner, target_id}, {target_id}]
    added = {end.answer["member_id"]} if verb == "replace" else set()
    assert cluster.roles() == dict.fromkeys(set(before) - {target_id} | added, "voter")
    assert cluster.counts() == ((1, 0, 2) if verb == "remove" else (2, 1, 2))
    puts.check()
    if join.new.process:
        ends(join.new)


def test_without_preempt_it_waits(lab):
    """Behind the held join, visibly, for as long as nobody decides."""
    cluster = lab.cluster()
    cluster.policy = LOOSE
    join = held_join(lab, cluster)
    target = dead(cluster)
    removal = cluster.remove(target.name)
    waits_behind(lab, cluster, removal, target, join)
    assert lab.run("cancel", cluster.name, target.name).code == 0
    assert removal.wait().answer["outcome"] == "cancelled"
    assert lab.held(cluster.workflow_id(join.new))
    assert not cluster.sent("MemberRemove")
    lab.cancel(cluster.workflow_id(join.new))
    join.wait_quietly()
    cluster.revive(target)


def test_a_healthy_voter_passes_nothing(lab):
    """--preempt is for the dead: it waits like everybody else."""
    cluster = lab.cluster()
    cluster.policy = LOOSE
    join = held_join(lab, cluster)
    target = follower(cluster)
    removal = cluster.remove(target.name, "--preempt")
    waits_behind(lab, cluster, removal, target, join)
    assert lab.run("cancel", cluster.name, target.name).code == 0
    assert removal.wait().answer["outcome"] == "cancelled"
    assert lab.held(cluster.workflow_id(join.new))
    assert lab.run("resume", cluster.name, join.new.name).code == 0
    assert join.wait().code == 0
    assert cluster.counts() == (1, 1, 0)


def test_a_voter_that_dies_while_its_removal_waits(lab):
    """Its removal waited behind the held join like any other. It is judged again, and passes then."""
    cluster = lab.cluster(fresh=True)
    cluster.policy = LOOSE
    join = held_join(lab, cluster)
    target = follower(cluster)
    target_id = cluster.id_of(target)
    removal = cluster.remove(target.name, "--preempt")
    objection = "--preempt does not cancel the held join"
    workflow_id = change_id(cluster.name, "remove", target.name)
    eventually(lambda: objection in lab.waits_for(workflow_id), "the removal to say why it waits")
    target.kill()
    end = removal.wait()
    assert (end.code, end.answer["outcome"]) == (0, "removed"), end
    assert target_id not in cluster.roles()
    assert join.wait().answer["outcome"] == "cancelled"


def test_a_join_that_is_not_held_is_not_passed(lab):
    """It may end well by itself; once somebody holds it, it is passed."""
    cluster = lab.cluster(fresh=True)
    cluster.policy = LOOSE
    join = cluster.join(cluster.new_member())
    join.handover()
    target = dead(cluster)
    removal = cluster.remove(target.name, "--preempt")
    waits_behind(lab, cluster, removal, target, join)
    assert not cluster.sent("MemberRemove")
    assert lab.run("hold", cluster.name, join.new.name).code == 0
    end = removal.wait()
    assert (end.code, end.answer["outcome"]) == (0, "removed"), end
    assert join.wait().answer["outcome"] == "cancelled"
    assert len(cluster.rows()) == 2


def test_a_removal_in_line_gets_the_right_to_preempt_later(lab):
    """Asked for again with --preempt, it need not be cancelled by hand: it has done nothing yet."""
    cluster = lab.cluster(fresh=True)
    cluster.policy = LOOSE
    join = held_join(lab, cluster)
    target = dead(cluster)
    target_id = cluster.id_of(target)
    waiting = cluster.remove(target.name)
    waits_behind(lab, cluster, waiting, target, join)
    end = cluster.remove(target.name, "--preempt").wait()
    assert (end.code, end.answer["outcome"]) == (0, "removed"), end
    assert target_id not in cluster.roles()
    waiting.kill()
    join.wait_quietly()
