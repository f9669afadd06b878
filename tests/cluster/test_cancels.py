"""A join cancelled at each of its stages: the members are as before, by ID, and etcd hears nothing of it any more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from etcdapi.faults import Fault
from support.checks.afterwards import Before
from support.parts.lab import Cluster, Join, Lab, eventually, once


@dataclass(frozen=True)
class Row:
    """How to bring a join to a stage and cancel it there, and the adds, promotes and removals that etcd saw."""

    stage: str
    cancelled: Callable[[Lab, Cluster], Join]
    counts: tuple[int, int, int]


def as_it_arrives(method: str, kind: str, seconds: float = 0.0) -> Callable[[Lab, Cluster], Join]:
    """Cancelled while the first call of this method is under way, before etcd has it."""

    def cancelled(lab: Lab, cluster: Cluster) -> Join:
        new = cluster.new_member()
        cancel = once(lambda: lab.cancel(cluster.workflow_id(new)))
        cluster.inject(Fault(method, kind, seconds=seconds, arrives=cancel))
        return cluster.join(new)

    return cancelled


def not_started(lab: Lab, cluster: Cluster) -> Join:
    join = cluster.join(cluster.new_member())
    join.handover()
    eventually(lambda: "has not started" in lab.waits_for(cluster.workflow_id(join.new)), "the wait for the member")
    lab.cancel(cluster.workflow_id(join.new))
    return join


def syncing(lab: Lab, cluster: Cluster) -> Join:
    """The learner runs, but its own word on how far it is doesn't come through."""
    join = cluster.join(cluster.new_member())
    cluster.relays[join.new.name].inject(Fault("Status", "refuse", times=None))
    join.start_member()
    workflow_id = cluster.workflow_id(join.new)
    eventually(lambda: "does not answer" in lab.heartbeat(workflow_id), "the sync to wait for the learner")
    lab.cancel(workflow_id)
    return join


def held(lab: Lab, cluster: Cluster) -> Join:
    """For a person's go-ahead, which doesn't come."""
    join = cluster.join(cluster.new_member(), "--hold-before", "promote")
    join.start_member()
    eventually(lambda: lab.held(cluster.workflow_id(join.new)), "the join to be held")
    lab.cancel(cluster.workflow_id(join.new))
    return join


TABLE = [
    Row("preflight", as_it_arrives("Status", "delay", 1.0), (0, 0, 0)),
    Row("add under way", as_it_arrives("MemberAdd", "delay", 2.0), (1, 0, 1)),
    Row("add whose answer is lost", as_it_arrives("MemberAdd", "lose"), (1, 0, 1)),
    Row("waiting for the member", not_started, (1, 0, 1)),
    Row("syncing", syncing, (1, 0, 1)),
    Row("held before the promote", held, (1, 0, 1)),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.stage)
def test_cancelled(lab, row):
    """What was done is taken back, and nothing follows."""
    cluster = lab.cluster()
    before = Before(cluster)
    join = row.cancelled(lab, cluster)
    end = join.wait()
    assert (end.code, end.answer["outcome"]) == (1, "cancelled"), end
    assert lab.status(cluster.workflow_id(join.new)) == "WORKFLOW_EXECUTION_STATUS_CANCELED"
    assert not cluster.unused_faults()
    before.assert_unchanged()

    def turns_are_free():
        turns = lab.run("status", cluster.name, "--json").answer["turns"]
        return (turns["holder"], turns["waiting"]) == (None, [])

    # ClusterTurns hears of the end a moment after it.
    eventually(turns_are_free, "the turns to be free")
    assert cluster.counts() == row.counts


def test_cancelled_in_line(lab):
    """By the command line, which waits for the end; the one ahead doesn't notice."""
    cluster = lab.cluster()
    before = Before(cluster)
    holder, waiter = cluster.join(cluster.new_member()), cluster.new_member()
    holder.handover()
    join = cluster.join(waiter)
    workflow_id = cluster.workflow_id(waiter)
    eventually(lambda: "turn" in lab.waits_for(workflow_id), "the second to wait for its turn")
    ended = lab.run("cancel", cluster.name, waiter.name, "--json")
    assert (ended.code, ended.answer["outcome"]) == (0, "cancelled"), ended
    assert ((end := join.wait()).code, end.answer["outcome"]) == (1, "cancelled")
    holder.start_member()
    assert holder.wait().code == 0
    assert cluster.counts() == (1, 1, 0)
    before.assert_joined(holder.new)


def test_cancelled_by_the_command_line(lab):
    """What it tells of the learner that was added and removed again, and what is left of its handover."""
    cluster = lab.cluster()
    before = Before(cluster)
    join = cluster.join(cluster.new_member())
    join.handover()
    ended = lab.run("cancel", cluster.name, join.new.name, "--json")
    assert (ended.code, ended.answer["outcome"]) == (0, "cancelled"), ended
    assert ended.answer["member_id"] not in before.roles
    assert (ended.answer["attempts"]["add"], ended.answer["seconds"]["turn"] >= 0) == (1, True), ended
    assert join.wait().code == 1
    before.assert_unchanged()
    dead = lab.run("env", cluster.name, join.new.name)
    assert (dead.code, dead.stdout) == (1, "")


def test_cancelled_too_late(lab):
    """The promote is under way when the cancel comes: the member is a voter and stays one."""
    cluster = lab.cluster()
    before = Before(cluster)
    join = as_it_arrives("MemberPromote", "delay", 2.0)(lab, cluster)
    join.start_member()
    end = join.wait()
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    assert cluster.counts() == (1, 1, 0)
    before.assert_joined(join.new)
    late = lab.run("cancel", cluster.name, join.new.name)
    assert late.code == 1
    assert "not running any more" in late.stderr
