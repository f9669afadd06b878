"""A Temporal server whose workflows go on in new runs early, and how many runs a change has."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from temporalio.client import Client, WorkflowHandle, WorkflowHistory
from temporalio.worker import Replayer

from workflows.register import WORKFLOWS, turns_of

# Events. A join without trouble has 75 to 95, so a change here goes on in a new run after nearly every wait or refusal.
LOW = ("--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=40")


async def histories_of(client: Client, workflow_id: str) -> AsyncGenerator[WorkflowHistory]:
    """The history of each run of a change, the last run first."""
    run_id: str | None = None
    while run_id != "":
        history = await client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history()
        yield history
        run_id = history.events[0].workflow_execution_started_event_attributes.continued_execution_run_id


async def runs_of(client: Client, handle: WorkflowHandle[Any, Any]) -> int:
    """In how many runs the change came to where it is."""
    return len([history async for history in histories_of(client, handle.id)])


async def replay_runs(client: Client, workflow_id: str) -> int:
    """Replays the history of each run of a change, and returns how many there are."""
    replayer = Replayer(workflows=[*WORKFLOWS, turns_of(None)], data_converter=client.data_converter)
    replayed = 0
    async for history in histories_of(client, workflow_id):
        await replayer.replay_workflow(history)
        replayed += 1
    return replayed
