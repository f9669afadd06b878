"""Asks the workers. A question is a workflow that only looks."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeVar

from pydantic import BaseModel
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import Priority, WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from client.command_errors import is_no_namespace
from client.ended import CONFIGURATION, with_name
from client.exit_codes import FAILED, OUT_OF_REACH, USAGE, CommandError
from membership.failures import Failure
from messages.queues import SOON, fairness_key
from settings import Settings

A = TypeVar("A")

# Seconds. A look that no worker takes, or that reaches no member, is an answer after 12 s (GLANCE).
_PATIENCE = 16.0
# A question whose worker died stays for the next caller. It ends later than any caller's patience.
_KEPT = timedelta(seconds=30)


async def ask(
    client: Client,
    settings: Settings,
    workflow: str,
    result_type: type[A],
    request: BaseModel | None = None,
    *,
    cluster: str = "",
) -> A:
    """
    Runs a question's workflow, and deletes it: Temporal's list of workflows is for changes.

    Callers that ask the same question at the same time share one workflow. `cluster`: the cluster that it is about.

    Raises CommandError when there is no answer, with OUT_OF_REACH when a worker is missing.
    """
    try:
        return await _ask_once(client, settings, workflow, result_type, request, cluster)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND or is_no_namespace(error):
            raise
        # Another caller that shared the question had its answer first, and has deleted it.
        return await _ask_once(client, settings, workflow, result_type, request, cluster)


async def _ask_once(
    client: Client, settings: Settings, workflow: str, result_type: type[A], request: BaseModel | None, cluster: str
) -> A:
    name = f"{workflow}:{hashlib.sha256(request.model_dump_json().encode()).hexdigest()[:16]}" if request else workflow
    handle = await client.start_workflow(
        workflow,
        args=[request] if request else [],
        id=f"memberflow:ask:{name}",
        task_queue=settings.task_queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        run_timeout=_KEPT,
        priority=Priority(priority_key=SOON, fairness_key=fairness_key(cluster) or None),
        result_type=result_type,
    )
    try:
        answer: A = await _answer(handle, settings)
    except CommandError:
        await _delete(client, handle)
        raise
    # A caller that is interrupted comes to neither, and leaves the question to others that ask the same.
    await _delete(client, handle)
    return answer


async def _answer(handle: WorkflowHandle[Any, A], settings: Settings) -> A:
    try:
        answer: A = await asyncio.wait_for(handle.result(), _PATIENCE)
        return answer
    except WorkflowFailureError as failure:
        raise _why_failed(failure) from None
    except TimeoutError:
        with suppress(RPCError):
            await handle.terminate("no worker answered in time")
        queue = settings.task_queue
        hint = f"the worker may have died: start another on the task queue {queue!r} with `memberflow worker`"
        raise CommandError(OUT_OF_REACH, f"no worker answered within {_PATIENCE:.0f} s", hint) from None


async def _delete(client: Client, handle: WorkflowHandle[Any, Any]) -> None:
    """Without the right to delete, the question stays until the namespace's retention ends."""
    run = WorkflowExecution(workflow_id=handle.id, run_id=handle.result_run_id or "")
    request = DeleteWorkflowExecutionRequest(namespace=client.namespace, workflow_execution=run)
    with suppress(RPCError):
        await client.workflow_service.delete_workflow_execution(request)


def _why_failed(failure: WorkflowFailureError) -> CommandError:
    error = failure.cause
    if not isinstance(error, ApplicationError):
        return CommandError(OUT_OF_REACH, f"no worker answered: {error}", "is a worker running?")
    kind = error.type or ""
    code = USAGE if kind in CONFIGURATION else OUT_OF_REACH if kind == Failure.NO_WORKER else FAILED
    return CommandError(code, with_name(kind, error.message), str(error.details[0]) if error.details else "")
