"""Bringing a change to a place, and asking something of it there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from etcdapi.faults import Fault
from messages.ids import change_id
from messages.requests import Verb
from support.parts.lab import Cluster, Command, Join, Lab, eventually

# What Temporal notes when a change knows that it is asked for something.
_KNOWN = {
    "hold": "EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED",
    "cancel": "EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED",
}


def asked_as_it_arrives(
    lab: Lab, cluster: Cluster, method: str, workflow_id: str, verb: str, **hooks: Any
) -> list[Command]:
    """A `memberflow hold` or `cancel` that begins as the call arrives at etcd; the call goes on once it is known."""
    asked: list[Command] = []

    def ask() -> None:
        asked.append(lab.command(verb, cluster.name, workflow_id.rsplit(":", 1)[-1], "--json"))
        eventually(lambda: _KNOWN[verb] in lab.events(workflow_id), f"the {verb}")

    cluster.inject(Fault(method, "pass", arrives=ask, **hooks))
    return asked


def waits_before_another(lab: Lab, verb: Verb, cluster: Cluster, name: str, act: str = "remove") -> str:
    """The workflow ID of a change whose calls don't get through, once it waits before another attempt."""
    workflow_id = change_id(cluster.name, verb, name)
    eventually(lambda: f"before another {act}" in lab.waits_for(workflow_id), f"the wait before another {act}")
    return workflow_id


def waits_in_line(lab: Lab, workflow_id: str) -> None:
    eventually(lambda: "its turn behind" in lab.waits_for(workflow_id), "the change to wait in line")


# ---- stages of a join: how to bring one there and keep it there, and what lets it go on ----


@dataclass
class Stage:
    """A join that stays where it is until `let_go`; the join that is ahead of it, if one is."""

    join: Join
    let_go: Callable[[], None]
    ahead: Join | None = None
    rolled_back: tuple[int, int, int] = (1, 0, 1)  # the calls of one that is cancelled here


def in_preflight(lab: Lab, cluster: Cluster) -> Stage:
    """Nobody answers its first look."""
    cluster.inject(Fault("MemberList", "refuse", times=None), Fault("Status", "refuse", times=None))
    join = cluster.join(cluster.new_member())
    workflow_id = cluster.workflow_id(join.new)
    eventually(lambda: lab.stage(workflow_id) and "look_beforehand" in lab.pending(workflow_id), "the first look")
    return Stage(join, cluster.mend, rolled_back=(0, 0, 0))


def queued(lab: Lab, cluster: Cluster) -> Stage:
    holder = cluster.join(cluster.new_member())
    holder.handover()
    join = cluster.join(cluster.new_member())
    workflow_id = cluster.workflow_id(join.new)
    eventually(lambda: "its turn behind" in lab.waits_for(workflow_id), "the second join to wait in line")

    def let_go() -> None:
        holder.start_member()
        holder.wait_quietly()

    return Stage(join, let_go, holder, rolled_back=(1, 0, 0))


def added(lab: Lab, cluster: Cluster) -> Stage:
    join = cluster.join(cluster.new_member())
    join.handover()
    eventually(lambda: "has not started" in lab.waits_for(cluster.workflow_id(join.new)), "the wait for the member")
    return Stage(join, join.start_member)


def syncing(lab: Lab, cluster: Cluster) -> Stage:
    """The learner runs, but its own word on how far it is doesn't come through."""
    join = cluster.join(cluster.new_member())
    relay = cluster.relays[join.new.name]
    relay.inject(Fault("Status", "refuse", times=None))
    join.start_member()
    workflow_id = cluster.workflow_id(join.new)
    eventually(lambda: "does not answer" in lab.heartbeat(workflow_id), "the sync to wait for the learner")
    return Stage(join, relay.faults.clear)


def before_promote(lab: Lab, cluster: Cluster) -> Stage:
    join = cluster.join(cluster.new_member(), "--hold-before", "promote")
    join.start_member()
    eventually(lambda: "hold_before" in lab.held(cluster.workflow_id(join.new)), "the join to be held")
    return Stage(join, lambda: None)
