"""
A member that freezes with a call in its socket buffer, and is thawed when the change has gone on without it.

It reads the request then, and forwards it to the member that leads by now. The relay in front of it never says that the
caller gave up, so the request is always executed. The late effect is never a surprise: it is part of the outcome.
`make frozen RUNS=20` goes through the table twenty times, and prints how often the frozen call took effect.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from threading import Event
from typing import Literal

import pytest

from etcdapi.faults import Fault
from etcdapi.stubs import rpc_pb2
from local.etcd_cluster import LocalMember
from messages.ids import change_id, turns_id
from support.checks.afterwards import Before
from support.parts.lab import LOOSE, Cluster, Command, Ended, Lab, eventually, follower, once

RUNS = int(os.environ.get("RUNS", "1"))
# Seconds: the call's deadline, and the looks after it.
GONE_ON = 16.0
# Seconds for which a relay holds a call back at most.
LONGEST_HOLD = 120.0


@dataclass(frozen=True)
class Row:
    """A call, and where its change ends."""

    method: Literal["MemberAdd", "MemberPromote", "MemberRemove", "MoveLeader"]
    cancelled: bool
    outcome: str
    #: What became of the members: nothing, a new voter, or one less.
    members: Literal["same", "joined", "gone"]
    #: When the thawed member reads the request: as it finds it in its socket buffer, once it follows the new leader,
    #: while it knows no leader, or when its links to the others are so old that it refuses nothing for them.
    read: Literal["at once", "as a follower", "without a leader", "with old links"] = "at once"

    def __str__(self) -> str:
        when = "" if self.read == "at once" else f", read {self.read}"
        return f"{self.method} {'cancelled' if self.cancelled else 'goes on'}{when}"


TABLE = [
    Row("MemberAdd", False, "promoted", "joined"),
    Row("MemberAdd", True, "cancelled", "same"),
    Row("MemberPromote", False, "promoted", "joined"),
    Row("MemberPromote", True, "promoted", "joined", "as a follower"),
    # A thawed leader steps down, and knows no leader for up to a heartbeat. Then it refuses the call by `hasleader`.
    Row("MemberPromote", True, "cancelled", "same", "without a leader"),
    Row("MemberRemove", False, "removed", "gone"),
    # A thawed member may refuse the removal: it knows no leader, or its links are too young.
    Row("MemberRemove", True, "removed or cancelled", "gone"),
    Row("MoveLeader", False, "removed", "gone"),
    Row("MoveLeader", True, "cancelled", "same"),
]


@dataclass
class Running:
    """A change on its way: its command, its workflow, the member that it is about."""

    command: Command
    workflow_id: str
    member: LocalMember
    go_on: Callable[[], object] = lambda: None


def start(row: Row, cluster: Cluster, subject: LocalMember) -> Running:
    """Starts the change; `go_on` starts its new member, where there is one."""
    if row.method in ("MemberAdd", "MemberPromote"):
        join = cluster.join(subject)
        if row.method == "MemberPromote":
            join.start_member()
        goes_on = row.method == "MemberAdd" and not row.cancelled
        return Running(
            join.command, cluster.workflow_id(subject), subject, join.start_member if goes_on else lambda: None
        )
    return Running(cluster.remove(subject.name), change_id(cluster.name, "remove", subject.name), subject)


def subject_of(row: Row, cluster: Cluster) -> LocalMember:
    if row.method == "MoveLeader":
        return cluster.leader()
    return follower(cluster) if row.method == "MemberRemove" else cluster.new_member()


def workflow_of(row: Row, cluster: Cluster, subject: LocalMember) -> str:
    verb: Literal["join", "remove"] = "join" if row.method in ("MemberAdd", "MemberPromote") else "remove"
    return change_id(cluster.name, verb, subject.name)


@dataclass
class Receiver:
    """The member that was sent the call."""

    member: LocalMember
    #: It is frozen, and the call has come to it.
    frozen: Event = field(default_factory=Event)
    #: It may read the call: until then its relay holds the call back, where the row says so.
    reads: Event = field(default_factory=Event)


def freeze_with(row: Row, cluster: Cluster, workflow_id: str) -> Receiver:
    """Freezes the leader as the call comes, and cancels the change, if the row says so."""
    receiver = Receiver(cluster.leader())

    def freeze() -> None:
        receiver.member.freeze()
        if row.cancelled:
            cluster.lab.cancel(workflow_id)
        receiver.frozen.set()
        if row.read != "at once":
            receiver.reads.wait(LONGEST_HOLD)

    fault = Fault(row.method, "forget", arrives=once(freeze))
    cluster.relays[receiver.member.name].inject(fault)
    cluster.injected.append([fault])
    return receiver


def thaw(row: Row, cluster: Cluster, receiver: Receiver) -> None:
    """Lets the receiver go on, and read the call at the row's moment."""
    member, others = receiver.member, [m for m in cluster.members if m is not receiver.member and m.process]
    if row.read == "at once":
        member.thaw()
        return
    own = cluster.id_of(member)
    if row.read == "without a leader":
        for other in others:
            other.freeze()
    member.thaw()
    wanted = {True: "no leader", False: "another leader"}[row.read == "without a leader"]
    eventually(lambda: leader_of(cluster, member, own) == wanted, f"the receiver to know {wanted}", pause=0.01)
    if row.read == "with old links":
        cluster.born = time.monotonic()
        cluster.lab.let_settle(cluster)
    receiver.reads.set()
    eventually(lambda: [c.code for c in cluster.sent(row.method)][-1:] not in ([], [""]), "the answer to the call")
    for other in others:
        other.thaw()


def leader_of(cluster: Cluster, member: LocalMember, own: str) -> str:
    """The leader that a member knows."""
    client = cluster.client(member)
    try:
        leader = client.maintenancestub.Status(rpc_pb2.StatusRequest(), timeout=2).leader
    finally:
        client.close()
    if not leader:
        return "no leader"
    return "itself" if f"{leader:x}" == own else "another leader"


def has_gone_on(lab: Lab, row: Row, change: Running, since: float) -> bool:
    """Its call has ended without an answer. A change that is cancelled waits for the member then, or has ended."""
    if not change.command.is_running() or "is silent" in lab.heartbeat(change.workflow_id):
        return True
    return not row.cancelled and time.monotonic() >= since + GONE_ON


def after_a_frozen_call(lab: Lab, row: Row) -> tuple[Cluster, Before, Ended]:
    """The change, once its receiver was thawed and it has ended."""
    cluster = lab.cluster()
    cluster.policy = LOOSE if row.method in ("MemberRemove", "MoveLeader") else {}
    before, subject = Before(cluster), subject_of(row, cluster)
    receiver = freeze_with(row, cluster, workflow_of(row, cluster, subject))
    change = start(row, cluster, subject)
    eventually(receiver.frozen.is_set, f"{row.method} to come", 60)
    eventually(partial(has_gone_on, lab, row, change, time.monotonic()), "the change to go on", 60)
    thaw(row, cluster, receiver)
    thawed = time.monotonic()
    change.go_on()
    end = change.command.wait(120)
    # A late effect comes within a tenth of a second: one that comes after the end would be here by then.
    eventually(lambda: time.monotonic() >= thawed + 2, "what comes late")
    return cluster, before, end


@pytest.mark.parametrize("run", range(RUNS))
@pytest.mark.parametrize("row", TABLE, ids=str)
def test_a_receiver_that_freezes(lab, row, run, record_property):
    """The outcome is true, and stays true after the receiver was thawed."""
    record_property("row", str(row))
    cluster, before, end = after_a_frozen_call(lab, row)
    record_property("frozen call", cluster.sent(row.method)[0].code)
    outcome = end.answer["outcome"]
    done, *undone = row.outcome.split(" or ")
    accepted = cluster.sent(row.method)[0].code == "OK"
    assert outcome == (done if accepted or not undone else undone[0]), (end, cluster.sent(row.method))
    assert end.code == (1 if outcome == "cancelled" else 0), end
    assert not cluster.unused_faults()
    assert not end.answer.get("unsettled"), end
    after = eventually(lambda: cluster.roles() and cluster.leader() and cluster.roles(), "the members")
    member_id = end.answer.get("member_id", "")
    if outcome == "cancelled" or row.members == "same":
        assert after == before.roles
    elif row.members == "joined":
        assert after == {**before.roles, member_id: "voter"}
    else:
        assert after == {i: role for i, role in before.roles.items() if i != member_id}


def ended_before_the_thaw(lab: Lab, row: Row) -> tuple[Cluster, Receiver, LocalMember]:
    """A change that is cancelled and ends while its receiver is frozen. Returns the receiver and its own member."""
    cluster = lab.cluster()
    cluster.policy = {**LOOSE, "settle_timeout": "1s"}
    subject = subject_of(row, cluster)
    receiver = freeze_with(row, cluster, workflow_of(row, cluster, subject))
    end = start(row, cluster, subject).command.wait()
    assert (end.code, end.answer["outcome"]) == (1, "failed"), end
    assert [receiver.member.name in told for told in end.answer["unsettled"]] == [True], end
    return cluster, receiver, subject


def tells_of_late(cluster: Cluster, call: str) -> bool:
    """Whether `memberflow status` shows this call as one whose effect may still come."""
    said = cluster.lab.run("status", cluster.name).stdout
    return any(call in line and "its effect may still come" in line for line in said.splitlines())


def test_a_learner_that_comes_after_the_end(lab):
    """It is known as this service's, so the next change of another member removes it and does not wait for it."""
    row = Row("MemberAdd", True, "failed", "same", "with old links")
    cluster, receiver, left = ended_before_the_thaw(lab, row)
    eventually(lambda: tells_of_late(cluster, f"add of a member at {left.peer_url}"), "status to tell of the late add")
    before = cluster.roles()
    thaw(row, cluster, receiver)
    late = eventually(lambda: set(cluster.roles()) - set(before), "the late learner").pop()
    other = cluster.join(cluster.new_member())
    other.start_member()
    end = other.wait()
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    warnings = "\n".join(end.answer["warnings"])
    assert f"learner {late}" in warnings
    assert f"left behind by {cluster.workflow_id(left)}, was removed first" in warnings
    assert cluster.roles() == {**before, end.answer["member_id"]: "voter"}


def test_a_removal_that_comes_after_the_end(lab):
    """`status` tells of it until it has come. The next change sees it settled, and the turns forget it."""
    row = Row("MemberRemove", True, "failed", "gone", "with old links")
    cluster, receiver, leaving = ended_before_the_thaw(lab, row)
    member_id, told = cluster.id_of(leaving), f"removal of member {cluster.id_of(leaving)}"
    eventually(lambda: tells_of_late(cluster, told), "status to tell of the late removal")
    thaw(row, cluster, receiver)
    eventually(lambda: member_id not in cluster.roles(), "the late removal")
    assert not tells_of_late(cluster, told)
    join = cluster.join(cluster.new_member())
    join.start_member()
    end = join.wait()
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    assert not any("may still come" in warning for warning in end.answer["warnings"]), end
    turns = turns_id(cluster.name)
    eventually(
        lambda: lab.status(turns) == "WORKFLOW_EXECUTION_STATUS_COMPLETED", "the turns to end, with nothing to remember"
    )
