"""The changes of a cluster that run: who has the turn, who waits, who is held."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from console.faults import is_no_namespace
from console.follow import Sight, see
from messages.requests import WORKFLOWS, turns_id
from messages.turns import TurnsState
from messages.views import percent_text


@dataclass(frozen=True)
class OpenChange:
    """
    A change that runs; `turn` is `holder`, its place in line, or empty for one that is not in line.

    `stage` is empty where no worker told it.
    """

    workflow_id: str
    verb: str
    member: str
    turn: str
    stage: str
    held: str
    waits_for: str


def changes_query(cluster: str) -> str:
    """Temporal's visibility query for the changes of a cluster."""
    types = ", ".join(f"'{name}'" for name in WORKFLOWS.values())
    return f"WorkflowId STARTS_WITH '{turns_id(cluster)}:' AND WorkflowType IN ({types})"


async def open_changes(client: Client, cluster: str, turns: TurnsState) -> list[OpenChange]:
    """In the order of their turns; those that are not in line (before it, or held) after them."""
    places = {turns.holder.workflow_id: "holder"} if turns.holder else {}
    places |= {ticket.workflow_id: str(place) for place, ticket in enumerate(turns.waiting, 1)}
    query = f"{changes_query(cluster)} AND ExecutionStatus = 'Running'"
    ids = dict.fromkeys([*places, *[found.id async for found in client.list_workflows(query)]])
    sights = await asyncio.gather(*(_sight(client, workflow_id) for workflow_id in ids))
    return [_told(w, places.get(w, ""), seen) for w, seen in zip(ids, sights, strict=True) if seen and seen.is_running]


async def _sight(client: Client, workflow_id: str) -> Sight | None:
    try:
        return await see(client, client.get_workflow_handle(workflow_id))
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND or is_no_namespace(error):
            raise
        return None  # Temporal has forgotten it, and visibility not yet


def _told(workflow_id: str, turn: str, seen: Sight) -> OpenChange:
    _, _, verb, member = workflow_id.split(":")
    view = seen.view
    figures = percent_text(seen.progress) if seen.progress else ""
    waits_for = " · ".join(part for part in (seen.waits_for, figures) if part)
    return OpenChange(workflow_id, verb, member, turn, view.stage if view else "", view.held if view else "", waits_for)
