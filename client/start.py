"""Starts a change, or attaches to the same change if it is already running."""

from __future__ import annotations

from temporalio.client import Client
from temporalio.common import Priority
from temporalio.exceptions import WorkflowAlreadyStartedError

from client.change_request import Handle, differences, request_of
from client.exit_codes import USAGE, CommandError
from client.preempt import stop_to_preempt
from membership.text import visible
from messages.apply import ApplyRequest
from messages.ids import APPLY_TYPE, WORKFLOW_TYPES, apply_id, change_id
from messages.queues import fairness_key
from messages.requests import ChangeRequest, Request
from messages.texts import static_details
from settings import Settings


async def start_change(client: Client, settings: Settings, request: ChangeRequest) -> tuple[Handle, bool]:
    """
    Starts the change, or attaches to it when it is already running (then the second value is true).

    Raises CommandError with USAGE when a different request is running under the same workflow ID. Temporal itself does
    not compare requests.
    """
    handle = client.get_workflow_handle(change_id(request.cluster, request.verb, request.subject))
    try:
        await _start(client, settings, request, WORKFLOW_TYPES[request.verb], handle.id)
    except WorkflowAlreadyStartedError:
        await _check_ours(handle, settings, WORKFLOW_TYPES[request.verb])
        different = differences(request, await request_of(client, handle))
        if not different:
            return handle, True
        if not await stop_to_preempt(client, handle, request, different):
            raise _other_request(handle, f"{request.cluster} {request.subject}", different) from None
        await _start(client, settings, request, WORKFLOW_TYPES[request.verb], handle.id)
    return handle, False


async def start_apply(client: Client, settings: Settings, request: ApplyRequest) -> tuple[Handle, bool]:
    """As `start_change`, for the apply of a cluster."""
    handle = client.get_workflow_handle(apply_id(request.cluster))
    try:
        await _start(client, settings, request, APPLY_TYPE, handle.id)
    except WorkflowAlreadyStartedError:
        await _check_ours(handle, settings, APPLY_TYPE)
        if different := differences(request, await request_of(client, handle)):
            raise _other_request(handle, request.cluster, different) from None
        return handle, True
    return handle, False


async def _start(client: Client, settings: Settings, request: Request, kind: str, workflow_id: str) -> None:
    await client.start_workflow(
        kind,
        request,
        id=workflow_id,
        task_queue=settings.task_queue,
        memo={"request": request.model_dump(mode="json")},
        static_summary=request.summary,
        static_details=static_details(request),
        priority=Priority(fairness_key=fairness_key(request.cluster)),
    )


async def _check_ours(running: Handle, settings: Settings, kind: str) -> None:
    """Raises CommandError for another workflow under this ID. Its handover and its outcome would be made up."""
    run = await running.describe()
    if (run.workflow_type, run.task_queue) == (kind, settings.task_queue):
        return
    found = f"a {visible(run.workflow_type)} on the task queue {visible(run.task_queue)!r}"
    raise CommandError(
        USAGE,
        f"{running.id} is {found}, and not a {kind} on {settings.task_queue!r}, so its answers count for nothing",
        "MEMBERFLOW_TASK_QUEUE names the queue of the workers. If that is right, find out who started it, and end it",
    )


def _other_request(running: Handle, what: str, different: list[str]) -> CommandError:
    return CommandError(
        USAGE,
        f"{running.id} is already running with a different request: {'; '.join(different)}",
        f"attach to it with `memberflow watch {what}`, or cancel it first",
    )
