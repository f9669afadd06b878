"""status: a cluster's members, and the changes of it that run."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pydantic import ValidationError
from rich.table import Table

from console.asking import ask
from console.open_changes import OpenChange, open_changes
from console.output import DONE, USAGE, Leave, print_json, stdout
from console.temporal import connect, require_worker
from membership.model import ClusterStatus, Member
from messages.answers import Inspection
from messages.requests import InspectRequest
from messages.validation import explain
from settings import read_settings


async def status(cluster: str, *, json: bool) -> int:
    settings = read_settings()
    client = await connect(settings)
    await require_worker(client, settings)
    seen: Inspection = await ask(client, settings, "InspectCluster", Inspection, check_cluster(cluster))
    changes = await open_changes(client, cluster, seen.turns)
    if json:
        print_json(_as_json(seen, changes))
        return DONE
    stdout.print(_members(seen))
    if changes:
        stdout.print(_changes(cluster, changes))
    holder = seen.turns.holder.workflow_id if seen.turns.holder else "nobody"
    waiting = ", ".join(t.workflow_id for t in seen.turns.waiting)
    print(f"turn: {holder}" + (f"; waiting: {waiting}" if waiting else ""))
    learners = {member.id for member in seen.status.learners}
    for orphan in (x for x in seen.turns.orphans if x.member_id in learners):
        print(f"learner {orphan.member_id} was left behind by {orphan.ticket.workflow_id}")
    for line in seen.status.dissent:
        print(f"member lists differ: {line}")
    return DONE


def check_cluster(cluster: str) -> InspectRequest:
    """The question about a cluster; raises Leave with USAGE for a name that no cluster can have."""
    try:
        return InspectRequest(cluster=cluster)
    except ValidationError as error:
        raise Leave(USAGE, explain(error)) from None


def _as_json(seen: Inspection, changes: list[OpenChange]) -> dict[str, Any]:
    shown = asdict(seen)
    for member, row in zip(seen.status.members, shown["status"]["members"], strict=True):
        row["role"], row["lag"] = _role(seen.status, member), _lag(seen.status, member)
    return {**shown, "changes": [asdict(change) for change in changes]}


def _members(seen: Inspection) -> Table:
    table = Table(title=f"{seen.cluster} ({seen.status.cluster_id})", title_justify="left")
    for column in ("name", "ID", "role", "raft index", "lag", "db", "version", "alarms", "peer URLs"):
        table.add_column(column, overflow="fold", no_wrap=column == "ID")
    for member in seen.status.members:
        table.add_row(*_row(seen.status, member))
    return table


def _changes(cluster: str, changes: list[OpenChange]) -> Table:
    table = Table(title=f"changes of {cluster}", title_justify="left")
    for column in ("turn", "verb", "member", "stage", "waits for"):
        table.add_column(column, overflow="fold")
    for change in changes:
        stage = f"held ({change.held})" if change.held else change.stage
        table.add_row(change.turn, change.verb, change.member, stage, change.waits_for)
    return table


def _role(status: ClusterStatus, member: Member) -> str:
    return "learner" if member.is_learner else "leader" if member.id == status.leader else "voter"


def _lag(status: ClusterStatus, member: Member) -> int | None:
    """Raft entries behind the leader; None where one of them did not answer."""
    own, leader = status.statuses.get(member.id), status.statuses.get(status.leader)
    return max(0, leader.raft_index - own.applied_index) if own and leader else None


def _row(status: ClusterStatus, member: Member) -> list[str]:
    role, own, lag = _role(status, member), status.statuses.get(member.id), _lag(status, member)
    alarms = ", ".join(a.kind for a in status.alarms if a.member_id == member.id)
    name, peers = member.name or "(not started)", ", ".join(member.peer_urls)
    if own is None:
        return [name, member.id, role, "-", "-", "-", "-", alarms, f"{peers}: {status.why_silent(member.id)}"]
    behind, size = "-" if lag is None else str(lag), f"{own.db_size / 1e6:.1f} MB"
    return [name, member.id, role, str(own.raft_index), behind, size, own.version, alarms, peers]
