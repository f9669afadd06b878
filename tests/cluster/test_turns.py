"""Turns: whatever happens to a holder, or to the turns themselves, no two changes overlap and every one ends."""

from __future__ import annotations

from messages.ids import change_id, turns_id
from support.checks.afterwards import Before, no_overlap
from support.parts.lab import LOOSE, eventually, follower


def waits_behind(lab, workflow_id):
    return "its turn behind" in lab.waits_for(workflow_id)


def finish(joins):
    """Starts every member when its handover comes, and returns how the joins ended."""
    waiting = [join for join in joins if join.new.process is None]
    while waiting:
        ready = eventually(lambda: next((j for j in waiting if j.env_file.exists()), None), "the next handover", 150)
        waiting.remove(ready)
        ready.start_member()
        ready.wait_quietly(150)
    return [join.wait(150) for join in joins]


def applied(cluster):
    """What etcd applied, in order: the method, and the member by ID. Refused adds are left out, of young links."""
    return [(call.method, call.member_id) for call in cluster.changes() if call.code == "OK"]


def one_by_one(cluster, *joins):
    """What that must be for these joins, in this order."""
    ids = [cluster.id_of(join.new) for join in joins]
    return [(method, member_id) for member_id in ids for method in ("MemberAdd", "MemberPromote")]


def test_holder_reset_from_outside(lab):
    """A reset is the same change: it keeps its turn, and what it did before is found done."""
    cluster = lab.cluster()
    before = Before(cluster)
    join = cluster.join(cluster.new_member())
    join.handover()
    other = cluster.join(cluster.new_member())
    workflow_id = cluster.workflow_id(join.new)
    eventually(lambda: waits_behind(lab, cluster.workflow_id(other.new)), "the other to wait")
    lab.reset(workflow_id)
    join.start_member()
    ends = finish([join, other])
    assert [end.code for end in ends] == [0, 0], ends
    assert applied(cluster) == one_by_one(cluster, join, other)
    before.assert_joined(join.new, other.new)
    assert no_overlap(cluster.changes())


def test_holder_terminated_and_started_again(lab):
    """The learner that it left is an orphan: the same join takes it over, without adding anything."""
    cluster = lab.cluster()
    before = Before(cluster)
    new = cluster.new_member()
    first = cluster.join(new)
    handover = first.handover()
    lab.terminate(cluster.workflow_id(new))
    assert "terminated" in first.wait().answer["reason"]
    again = cluster.join(new)
    new.start(handover)
    end = again.wait(120)
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    assert end.answer["attempts"] == {"promote": 1}
    assert not end.answer["warnings"]
    assert cluster.counts() == (1, 1, 0)
    before.assert_joined(new)


def test_an_adopted_learner_is_rolled_back_as_ones_own(lab):
    """It was added by this service, so it may be removed by it."""
    cluster = lab.cluster()
    before = cluster.roles()
    cluster.policy = {"start_timeout": "2s"}
    new = cluster.new_member()
    first = cluster.join(new)
    first.handover()
    lab.terminate(cluster.workflow_id(new))
    first.wait()
    end = cluster.join(new).wait(120)
    assert (end.code, end.answer["outcome"]) == (1, "rolled-back"), end
    assert before == cluster.roles()


def test_another_join_removes_an_orphan_first(lab):
    """It says so, and whose it was."""
    cluster = lab.cluster()
    before = Before(cluster)
    left = cluster.new_member()
    first = cluster.join(left)
    first.handover()
    orphan = cluster.id_of(left)
    lab.terminate(cluster.workflow_id(left))
    first.wait()
    other = cluster.join(cluster.new_member())
    [end] = finish([other])
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    told = " ".join(end.answer["warnings"])
    assert orphan in told
    assert cluster.workflow_id(left) in told
    assert applied(cluster) == [("MemberAdd", orphan), ("MemberRemove", orphan), *one_by_one(cluster, other)]
    before.assert_joined(other.new)


def test_turns_terminated_while_one_holds_and_two_wait(lab):
    """Nobody knows any more who held; the claims tell, after a rest in which late acts end."""
    cluster = lab.cluster()
    before = Before(cluster)
    joins = [cluster.join(cluster.new_member())]
    joins[0].handover()
    for _ in range(2):
        joins.append(cluster.join(cluster.new_member()))
        eventually(lambda: waits_behind(lab, cluster.workflow_id(joins[-1].new)), "the next to wait")
    lab.terminate(turns_id(cluster.name))
    joins[0].start_member()
    ends = finish(joins)
    assert [end.code for end in ends] == [0, 0, 0], ends
    # The two that waited claim anew at the same moment: which of them comes first is theirs to say.
    assert applied(cluster) in (one_by_one(cluster, *joins), one_by_one(cluster, joins[0], joins[2], joins[1]))
    before.assert_joined(*(join.new for join in joins))
    assert no_overlap(cluster.changes())


def test_a_waiting_change_closed_before_its_turn_is_skipped(lab):
    """The next in line does not wait for the dead, of whom etcd never hears."""
    cluster = lab.cluster()
    before = Before(cluster)
    holder, closed, last = (cluster.join(cluster.new_member()) for _ in range(3))
    # Which of them came first is theirs to say.
    first = eventually(lambda: next((j for j in (holder, closed, last) if j.env_file.exists()), None), "a holder")
    others = [j for j in (holder, closed, last) if j is not first]
    for join in others:
        eventually(lambda j=join: waits_behind(lab, cluster.workflow_id(j.new)), "the others to wait")
    lab.terminate(cluster.workflow_id(others[0].new))
    others[0].wait()
    first.start_member()
    ends = finish([first, others[1]])
    assert [end.code for end in ends] == [0, 0], ends
    assert applied(cluster) == one_by_one(cluster, first, others[1])
    before.assert_joined(first.new, others[1].new)
    assert no_overlap(cluster.changes())


def test_a_removal_between_joins_takes_its_turn(lab):
    """Another kind of change, the same line: each is over before the next one begins."""
    cluster = lab.cluster(fresh=True)
    cluster.policy = LOOSE
    before = Before(cluster)
    target = follower(cluster)
    target_id = cluster.id_of(target)
    first = cluster.join(cluster.new_member())
    first.handover()
    removal = cluster.remove(target.name)
    eventually(lambda: waits_behind(lab, change_id(cluster.name, "remove", target.name)), "the removal to wait")
    last = cluster.join(cluster.new_member())
    eventually(lambda: waits_behind(lab, cluster.workflow_id(last.new)), "the last to wait")
    first.start_member()
    assert [end.code for end in (*finish([first, last]), removal.wait())] == [0, 0, 0]
    assert applied(cluster) == [*one_by_one(cluster, first), ("MemberRemove", target_id), *one_by_one(cluster, last)]
    assert no_overlap(cluster.changes())
    before.assert_joined(first.new, last.new, gone=target_id)


def test_the_turns_end_when_nobody_needs_them(lab):
    """And show who holds and who waits while they run."""
    cluster = lab.cluster()
    holder, waiter = cluster.join(cluster.new_member()), None
    holder.handover()
    waiter = cluster.join(cluster.new_member())
    eventually(lambda: waits_behind(lab, cluster.workflow_id(waiter.new)), "the second to wait")
    seen = lab.run("status", cluster.name, "--json").answer
    assert seen["turns"]["holder"]["workflow_id"] == cluster.workflow_id(holder.new)
    assert [cluster.workflow_id(waiter.new)] == [t["workflow_id"] for t in seen["turns"]["waiting"]]
    finish([holder, waiter])
    eventually(
        lambda: lab.status(turns_id(cluster.name)) == "WORKFLOW_EXECUTION_STATUS_COMPLETED", "the end of the turns"
    )
