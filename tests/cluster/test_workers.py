"""A worker killed with kill -9 at each stage of a join, or frozen inside an act and thawed: nothing happens twice."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from etcdapi.faults import Fault
from support.checks.afterwards import Before, no_overlap
from support.faults.deaths import crash, kill_and_restart
from support.faults.troubles import behind_throttle, snapshot_is_seen
from support.parts.lab import Cluster, Join, Lab, eventually, once

# Seconds within which a change goes on after its worker was killed and started again, on a slow machine too.
GOES_ON_WITHIN = 90


@pytest.mark.parametrize("moment", ["arrives", "answered"])
@pytest.mark.parametrize("method", ["Status", "MemberAdd", "MemberPromote"])
def test_killed_in_a_call(lab, method, moment):
    """
    In the preflight, in the add and in the promote; before the effect and after it.

    Who is killed as an act's call arrives is not there to have it answered: it may be made again, once.
    """
    cluster = lab.cluster()
    before = Before(cluster)
    crash(lab, cluster, method, moment)
    join = cluster.join(cluster.new_member())
    join.start_member()
    end = join.wait(GOES_ON_WITHIN)
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    assert not cluster.unused_faults()
    for act in ("MemberAdd", "MemberPromote"):
        calls = cluster.sent(act)
        assert 1 <= len(calls) <= 1 + (act == method), calls
        assert [call.code for call in calls].count("OK") <= 1, calls
    assert not cluster.sent("MemberRemove")
    before.assert_joined(join.new)


def test_killed_in_the_first_look_with_no_other_at_hand(lab):
    """The join waits for a worker, visibly, for as long as there is none, and goes on with the next one."""
    cluster = lab.cluster()
    before = Before(cluster)
    cluster.inject(Fault("Status", "pass", arrives=once(lab.worker.kill)))
    join = cluster.join(cluster.new_member())
    workflow_id = cluster.workflow_id(join.new)

    def given_up() -> list[str]:
        pending = lab.executions.pending(workflow_id) if lab.worker.process.exit_code() is not None else []
        return [a["activityType"]["name"] for a in pending if a.get("attempt", 1) > 1]

    try:
        assert eventually(given_up, "the first attempt to be given up", 60) == ["look_beforehand"]
        eventually(lambda: "no worker" in join.command.said(), "the command to say so")
    finally:
        lab.worker.start()
    join.start_member()
    end = join.wait(GOES_ON_WITHIN)
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    assert cluster.counts() == (1, 1, 0)
    before.assert_joined(join.new)


# ---- where a join stays for a while ----


@dataclass
class Stay:
    """A join that stays where it is; `shows` that it does, and `let_go` ends it."""

    join: Join
    shows: Callable[[], object]
    let_go: Callable[[], object]
    ahead: Join | None = None


def in_line(lab: Lab, cluster: Cluster) -> Stay:
    ahead = cluster.join(cluster.new_member())
    ahead.handover()
    join = cluster.join(cluster.new_member())

    def let_go() -> None:
        ahead.start_member()
        assert ahead.wait(GOES_ON_WITHIN).code == 0
        join.start_member()

    return Stay(join, lambda: "its turn behind" in lab.waits_for(cluster.workflow_id(join.new)), let_go, ahead)


def waiting_for_the_member(lab: Lab, cluster: Cluster) -> Stay:
    join = cluster.join(cluster.new_member())
    join.handover()
    return Stay(join, lambda: "has not started" in lab.waits_for(cluster.workflow_id(join.new)), join.start_member)


def receiving_a_snapshot(lab: Lab, cluster: Cluster) -> Stay:
    cluster.fill(20)
    join = cluster.join(behind_throttle(3_000_000)(cluster))
    snapshot_is_seen(join)
    return Stay(join, lambda: True, lambda: None)


def held(lab: Lab, cluster: Cluster) -> Stay:
    join = cluster.join(cluster.new_member(), "--hold-before", "promote")
    join.start_member()
    workflow_id = cluster.workflow_id(join.new)
    return Stay(join, lambda: lab.held(workflow_id), lambda: lab.update(workflow_id, "resume"))


def verifying(lab: Lab, cluster: Cluster) -> Stay:
    """The member is a voter, and its own word doesn't come through."""
    new = cluster.new_member()
    own = cluster.relays[new.name]
    silence = once(lambda: own.inject(Fault("Status", "refuse", times=None)))
    cluster.inject(Fault("MemberPromote", "pass", answered=silence))
    join = cluster.join(new)
    join.start_member()
    return Stay(join, lambda: lab.view(cluster.workflow_id(new))["stage"] == "verify", own.faults.clear)


STAYS = [in_line, waiting_for_the_member, receiving_a_snapshot, held, verifying]


@pytest.mark.parametrize("stays", STAYS, ids=lambda stays: stays.__name__.replace("_", " "))
def test_killed_while_it(lab, stays):
    """The next worker finds the join where it was, with the clocks of its last heartbeat."""
    cluster = lab.cluster()
    before = Before(cluster)
    stay = stays(lab, cluster)
    eventually(stay.shows, "the join to come there")
    kill_and_restart(lab)
    stay.let_go()
    end = stay.join.wait(GOES_ON_WITHIN)
    assert (end.code, end.answer["outcome"], end.answer.get("verified")) == (0, "promoted", True), end
    joins = [stay.ahead, stay.join] if stay.ahead else [stay.join]
    assert cluster.counts() == (len(joins), len(joins), 0)
    assert no_overlap(cluster.changes())
    before.assert_joined(*(join.new for join in joins))


@pytest.mark.parametrize("moment", ["arrives", "answered"])
def test_killed_in_the_rollback(lab, moment):
    """The removal may be applied or not, the worker is dead: the next one finds out."""
    cluster = lab.cluster()
    before = Before(cluster)
    crash(lab, cluster, "MemberRemove", moment)
    join = cluster.join(cluster.new_member())
    join.handover()
    lab.cancel(cluster.workflow_id(join.new))
    end = join.wait(GOES_ON_WITHIN)
    assert (end.code, end.answer["outcome"]) == (1, "cancelled"), end
    before.assert_unchanged()
    adds, promotes, removes = cluster.counts()
    assert (adds, promotes) == (1, 0)
    assert removes in ((1, 2) if moment == "arrives" else (1,))
    assert len([c for c in cluster.sent("MemberRemove") if c.code == "OK"]) <= 1


# ---- frozen ----


@dataclass(frozen=True)
class Act:
    """An act to be frozen in, at a call of its own last look: how the join comes there, what etcd saw in the end."""

    activity: str
    method: str
    comes_there: Callable[[Lab, Join], object]
    counts: tuple[int, int, int]
    code: int = 0
    outcome: str = "promoted"


def resumed(lab: Lab, join: Join) -> None:
    join.start_member()
    workflow_id = join.cluster.workflow_id(join.new)
    eventually(lambda: lab.held(workflow_id), "the join to be held")
    lab.update(workflow_id, "resume")


def cancelled(lab: Lab, join: Join) -> None:
    join.handover()
    lab.cancel(join.cluster.workflow_id(join.new))


ACTS = [
    Act("add_learner", "MemberList", lambda lab, join: None, (1, 1, 0)),
    Act("promote_learner", "Status", resumed, (1, 1, 0)),
    Act("promote_learner", "MemberList", resumed, (1, 1, 0)),
    Act("remove_learner", "Status", cancelled, (1, 0, 1), 1, "cancelled"),
]


@pytest.mark.parametrize("act", ACTS, ids=lambda act: f"{act.activity}-{act.method}")
def test_frozen_inside_an_act_sends_nothing_when_thawed(lab, act):
    """Temporal has given the act up while its worker was frozen; a second worker does the work."""
    cluster = lab.cluster()
    before = Before(cluster)
    new = cluster.new_member()
    workflow_id = cluster.workflow_id(new)
    frozen, is_frozen = lab.worker, []
    cluster.at_end.append(frozen.stop)

    def freeze():
        # The act's own last look is under way: its answer finds nobody.
        if not is_frozen and act.activity in lab.pending(workflow_id):
            is_frozen.append(True)
            frozen.process.send(signal.SIGSTOP)

    leader = cluster.relays[cluster.leader().name]
    leader.inject(Fault(act.method, "pass", times=None, arrives=freeze))
    join = cluster.join(new, *(("--hold-before", "promote") if act.comes_there is resumed else ()))
    act.comes_there(lab, join)
    eventually(lambda: is_frozen, "the act, in the worker that freezes")
    leader.faults.clear()
    lab.worker = lab.another_worker()
    if act.activity == "add_learner":
        join.start_member()
    end = join.wait(90)
    assert (end.code, end.answer["outcome"]) == (act.code, act.outcome), end
    told = len(frozen.log_text())
    frozen.process.send(signal.SIGCONT)

    def reported():
        lines = frozen.log_text()[told:].splitlines()
        return [line for line in lines if "nothing was sent" in line and act.activity in line]

    eventually(reported, "the thawed act's report")
    assert cluster.counts() == act.counts
    if act.outcome == "promoted":
        before.assert_joined(new)
    else:
        before.assert_unchanged()
