"""memberflow status"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.app import LOOK, app, examples, run
from console.options import Cluster, Json, ListOutput

if TYPE_CHECKING:
    from temporalio.client import Client

    from client.open_changes import OpenChange
    from console.terminal.tables import Part
    from membership.model import ClusterStatus, Member
    from messages.answers import Inspection
    from messages.requests import InspectRequest
    from settings import Settings

# Seconds between two looks of `status --watch`.
_AGAIN = 5.0
# Digits of a member's ID in the table. A wide table has all digits.
_SHORT = 8


@app.command(rich_help_panel=LOOK, epilog=examples("memberflow status prod", "memberflow status prod --watch -o wide"))
def status(
    cluster: Cluster,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again every few seconds, until Ctrl-C.")] = False,
    output: ListOutput = None,
    json: Json = False,
) -> None:
    """Show the members of a cluster, its running changes, and which change has the turn."""
    from client.exit_codes import USAGE, CommandError

    if watch and (json or output not in (None, "wide")):
        raise CommandError(USAGE, "--watch prints tables only", "leave out --json and -o, or use `-o wide`")
    run(_watch(cluster) if watch else _status(cluster), json=json, output=output)


@dataclass(frozen=True)
class Overview:
    """One look at a cluster and its changes."""

    inspection: Inspection
    changes: list[OpenChange]
    #: Why the list of changes may be incomplete. Empty: it is complete.
    problem: str

    @property
    def members(self) -> list[Member]:
        """The members, sorted by name."""
        return sorted(self.inspection.status.members, key=lambda member: (member.name or "~", member.id))


def check_cluster(cluster: str) -> InspectRequest:
    """The request to inspect a cluster. Raises CommandError with USAGE for a name that no cluster can have."""
    from pydantic import ValidationError

    from client.exit_codes import USAGE, CommandError
    from messages.requests import InspectRequest
    from messages.validation import explain

    try:
        return InspectRequest(cluster=cluster)
    except ValidationError as error:
        raise CommandError(USAGE, explain(error)) from None


async def _status(cluster: str) -> int:
    from client.exit_codes import DONE
    from console.session import with_worker
    from console.terminal.output import busy, print_answer
    from console.terminal.tables import print_parts

    client, settings = await with_worker()
    async with busy(f"asking a worker about {cluster}"):
        overview = await _look(client, settings, cluster)
    if not print_answer(_as_object(overview), names=[member.name or member.id for member in overview.members]):
        print_parts(_parts(overview))
    return DONE


async def _watch(cluster: str) -> int:
    """Runs until it is interrupted. After an error it shows the error, and the next look tries again."""
    import asyncio
    import sys

    from client.exit_codes import CommandError
    from console.session import with_worker
    from console.terminal.output import busy
    from console.terminal.tables import Screen

    client, settings = await with_worker()
    async with busy(f"asking a worker about {cluster}"):
        parts = _parts(await _look(client, settings, cluster))
    with Screen(sys.stdout) as screen:
        screen.show(parts)
        while True:
            await asyncio.sleep(_AGAIN)
            try:
                parts = _parts(await _look(client, settings, cluster))
                screen.show(parts)
            except CommandError as error:
                screen.show([*parts, "", f"the last look failed, so this is old: {error.message}"])


async def _look(client: Client, settings: Settings, cluster: str) -> Overview:
    from client.ask import ask
    from client.open_changes import open_changes
    from messages.answers import Inspection

    question = check_cluster(cluster)
    inspection = await ask(client, settings, "InspectCluster", Inspection, question, cluster=cluster)
    return Overview(inspection, *await open_changes(client, cluster, inspection.turns))


def _as_object(overview: Overview) -> dict[str, Any]:
    from dataclasses import asdict

    status = overview.inspection.status
    shown = asdict(overview.inspection)
    for member, row in zip(status.members, shown["status"]["members"], strict=True):
        row["role"], row["lag"] = _role(status, member), _lag(status, member)
    changes = [asdict(change) for change in overview.changes]
    return {**shown, "changes": changes, "problems": [overview.problem] if overview.problem else []}


def _parts(overview: Overview) -> list[Part]:
    """The tables for a person, and all problems below them."""
    from console.terminal.output import answer
    from console.terminal.tables import make_table

    inspection, wide = overview.inspection, answer.format == "wide"
    columns = ["NAME", "ID", "ROLE", "LAG", "DB", "VERSION", "ALARMS"]
    columns += ["RAFT INDEX", "PEER URLS", "CLIENT URLS"] if wide else []
    parts: list[Part] = [f"{inspection.cluster} ({inspection.status.cluster_id})", ""]
    parts.append(make_table(columns, [_row(inspection.status, member, wide=wide) for member in overview.members]))
    if overview.changes:
        rows = [_change(change) for change in overview.changes]
        parts += ["", make_table(["TURN", "VERB", "MEMBER", "STAGE", "WAITS FOR"], rows)]
    holder = inspection.turns.holder.workflow_id if inspection.turns.holder else "free"
    waiting = ", ".join(ticket.workflow_id for ticket in inspection.turns.waiting)
    parts += ["", f"turn: {holder}" + (f"; waiting: {waiting}" if waiting else "")]
    return parts + _problems(overview)


def _problems(overview: Overview) -> list[Part]:
    from messages.learners import still_to_come, with_late_learners
    from messages.views import tell_late

    inspection = overview.inspection
    turns = with_late_learners(inspection.turns, inspection.status)
    silent = [member for member in overview.members if member.id not in inspection.status.statuses]
    learners = {member.id for member in inspection.status.learners}
    lines: list[Part] = [f"{member.name or member.id}: {inspection.status.why_silent(member.id)}" for member in silent]
    orphans = [orphan for orphan in turns.orphans if orphan.member_id in learners]
    lines += [f"learner {orphan.member_id} was left behind by {orphan.ticket.workflow_id}" for orphan in orphans]
    late = still_to_come(turns, inspection.status)
    lines += [f"{tell_late(call)}: its effect may still come" for call in late]
    lines += inspection.warnings
    lines += [f"member lists differ: {line}" for line in inspection.status.dissent]
    return [*lines, overview.problem] if overview.problem else lines


def _change(change: OpenChange) -> list[str]:
    stage, waits_for = ("held", change.held) if change.held else (change.stage, change.waits_for)
    return [change.turn, change.verb, change.member, stage, waits_for]


def _role(status: ClusterStatus, member: Member) -> str:
    return "learner" if member.is_learner else "leader" if member.id == status.leader else "voter"


def _lag(status: ClusterStatus, member: Member) -> int | None:
    """The number of raft entries behind the leader. None when the member or the leader did not answer."""
    own, leader = status.statuses.get(member.id), status.statuses.get(status.leader)
    return max(0, leader.raft_index - own.applied_index) if own and leader else None


def _row(status: ClusterStatus, member: Member, *, wide: bool) -> list[str]:
    own, lag = status.statuses.get(member.id), _lag(status, member)
    row = [
        member.name or "(not started)",
        member.id if wide else member.id[:_SHORT],
        _role(status, member),
        "-" if lag is None else str(lag),
        f"{own.db_size / 1e6:.1f} MB" if own else "-",
        own.version if own else "-",
        ", ".join(alarm.kind for alarm in status.alarms if alarm.member_id == member.id),
    ]
    if wide:
        row += [str(own.raft_index) if own else "-", ", ".join(member.peer_urls), ", ".join(member.client_urls)]
    return row
