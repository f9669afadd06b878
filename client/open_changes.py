"""The running changes of a cluster: which has the turn, which wait, and which are held."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from client.command_errors import brief, is_no_namespace
from client.sight import Sight, see
from messages.ids import APPLY_TYPE, WORKFLOW_TYPES, parts_of, turns_id
from messages.turns import TurnsState


@dataclass(frozen=True)
class OpenChange:
    """A change that runs."""

    workflow_id: str
    verb: str
    #: Empty for an apply, which has a list of members.
    member: str
    #: `holder`, or the change's place in line, from 1. Empty: it is not in line.
    turn: str
    #: Empty: no worker answered.
    stage: str
    #: Why the change is held. Empty: it is not held.
    held: str
    #: Empty: it waits for nothing.
    waits_for: str


def changes_query(cluster: str, verb: str | None = None) -> str:
    """Temporal's visibility query for the changes of a cluster, and its applies. `verb`: of this kind alone."""
    kinds = {**WORKFLOW_TYPES, "apply": APPLY_TYPE}
    types = ", ".join(f"'{name}'" for kind, name in kinds.items() if verb in (None, kind))
    return f"WorkflowId STARTS_WITH '{turns_id(cluster)}:' AND WorkflowType IN ({types})"


async def open_changes(client: Client, cluster: str, turns: TurnsState) -> tuple[list[OpenChange], str]:
    """
    The running changes in the order of their turns. Changes that are not in line come last.

    The second value says why the list may be incomplete: Temporal could not list workflows. Empty: it is complete.
    """
    places = {turns.holder.workflow_id: "holder"} if turns.holder else {}
    places |= {ticket.workflow_id: str(place) for place, ticket in enumerate(turns.waiting, 1)}
    listed, problem = await _listed(client, cluster)
    ids = dict.fromkeys([*places, *listed])
    sights = await asyncio.gather(*(_sight(client, workflow_id) for workflow_id in ids))
    found = zip(ids, sights, strict=True)
    return [_open(each, places.get(each, ""), seen) for each, seen in found if seen and seen.is_running], problem


async def running_changes(client: Client, cluster: str) -> list[str]:
    """The workflow IDs of the running changes. Temporal lists a change up to some seconds after its start."""
    query = f"{changes_query(cluster)} AND ExecutionStatus = 'Running'"
    return [found.id async for found in client.list_workflows(query)]


async def _listed(client: Client, cluster: str) -> tuple[list[str], str]:
    try:
        return await running_changes(client, cluster), ""
    except RPCError as error:
        if is_no_namespace(error):
            raise
        return [], f"Temporal could not list the changes: {brief(error)}"


async def _sight(client: Client, workflow_id: str) -> Sight | None:
    try:
        return await see(client, client.get_workflow_handle(workflow_id))
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND or is_no_namespace(error):
            raise
        return None  # Temporal has forgotten it, but its visibility store has not yet


def _open(workflow_id: str, turn: str, seen: Sight) -> OpenChange:
    _, verb, member = parts_of(workflow_id)
    view = seen.view
    waits_for = " · ".join(part for part in (seen.waits_for, seen.figures) if part)
    return OpenChange(workflow_id, verb, member, turn, view.stage if view else "", view.held if view else "", waits_for)
