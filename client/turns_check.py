"""Checks that only ClusterTurns has the workflow ID of a cluster's turns."""

from __future__ import annotations

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from messages.ids import turns_id
from settings import Settings


async def wrong_turns(client: Client, settings: Settings, cluster: str) -> str:
    """
    Why the changes of a cluster would wait for ever: another workflow has taken the ID of its turns.

    Empty if none has. Raises RPCError when Temporal does not answer.
    """
    try:
        run = await client.get_workflow_handle(turns_id(cluster)).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return ""
        raise
    if run.status is not WorkflowExecutionStatus.RUNNING:
        return ""
    if run.workflow_type != "ClusterTurns":
        return (
            f"a workflow of the type {run.workflow_type} has the ID {run.id}, so no change of {cluster} gets its turn"
        )
    if run.task_queue != settings.task_queue:
        queues = f"on the task queue {run.task_queue!r}, and the workers poll {settings.task_queue!r}"
        return f"{run.id} runs {queues}, so no change of {cluster} gets its turn"
    return ""
