"""Starts changes, and reads how they ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryReverseRequest
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
)
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError

from console.output import DONE, FAILED, OUT_OF_REACH, REFUSED, USAGE, Leave
from membership.failures import Failure
from messages.outcomes import Outcome, OutcomeKind
from messages.requests import WORKFLOWS, ChangeRequest, RemoveRequest, ReplaceRequest, change_id
from messages.views import ChangeView
from settings import Settings

Handle = WorkflowHandle[Any, Any]

# Events; a rollback that met trouble may have brought more, and then the reason is only in the history.
_CLOSE_TO_THE_END = 200

# The failure of a change, or of a question, that no worker of its cluster's task queue has taken.
NO_WORKER = Failure.NO_WORKER
GOOD = {"promoted", "already-voter", "removed", "already-removed", "replaced"}
CONFIGURATION = {"UnknownCluster", "UnknownLauncher", "InvalidConfiguration", Failure.INVALID_REQUEST}


@dataclass(frozen=True)
class Ended:
    """How a change ended; `error` is the failure's type."""

    outcome: Outcome
    error: str = ""

    @property
    def code(self) -> int:
        """The exit code; USAGE when the caller's request or the worker's configuration was at fault."""
        if self.error in CONFIGURATION:
            return USAGE
        if self.outcome.outcome == "refused":
            return OUT_OF_REACH if self.error == NO_WORKER else REFUSED
        return DONE if self.outcome.outcome in GOOD else FAILED


async def start_change(client: Client, settings: Settings, request: ChangeRequest) -> tuple[Handle, bool]:
    """
    Starts the change, or attaches to the same one that runs already (then the second value is true).

    Raises Leave with USAGE when another request runs under the same name: Temporal does not compare them.
    """
    workflow_id = change_id(request.cluster, request.verb, request.subject)
    try:
        await client.start_workflow(
            WORKFLOWS[request.verb],
            request,
            id=workflow_id,
            task_queue=settings.task_queue,
            memo={"request": request.model_dump(mode="json")},
            static_summary=summary(request),
            static_details=f"{_asked(request)}\n\nAsked for by {request.requested_by}",
        )
    except WorkflowAlreadyStartedError:
        await _same_request(client, client.get_workflow_handle(workflow_id), request)
        return client.get_workflow_handle(workflow_id), True
    return client.get_workflow_handle(workflow_id), False


def summary(request: ChangeRequest) -> str:
    """The change in one line."""
    match request:
        case RemoveRequest():
            return f"{request.member} leaves {request.cluster}"
        case ReplaceRequest():
            return f"{request.name} replaces {request.old} in {request.cluster}"
    return f"{request.subject} joins {request.cluster}"


def _asked(request: ChangeRequest) -> str:
    """What was asked for beside the names, for a person."""
    given = request.model_dump(mode="json", exclude={"cluster", "requested_by"}, exclude_defaults=True)
    return ", ".join(f"{key} {' '.join(v) if isinstance(v, list) else v}" for key, v in given.items())


async def _same_request(client: Client, running: Handle, request: ChangeRequest) -> None:
    try:
        other = type(request).model_validate(await request_of(client, running))
    except ValidationError:
        other = None
    if other is None or not request.same_change(other):
        raise Leave(
            USAGE,
            f"{running.id} is running with a different request ({_asked(other) if other else 'unreadable'})",
            "attach to it with `memberflow watch`, or cancel it first",
        )


async def request_of(client: Client, change: Handle) -> Any:
    """The change's request: from its memo, or its first event when another client started it."""
    memo = await (await change.describe()).memo()
    if "request" in memo:
        return memo["request"]
    async for event in change.fetch_history_events(page_size=1):
        payloads = event.workflow_execution_started_event_attributes.input.payloads
        return (await client.data_converter.decode(payloads))[0] if payloads else None
    return None


async def how_it_ended(
    client: Client, handle: Handle, status: WorkflowExecutionStatus, run_id: str, view: ChangeView | None = None
) -> Ended:
    """The outcome of a closed change, whatever closed it; of a cancelled one only its last `view` tells more."""
    _, cluster, _, member = handle.id.split(":")

    def made_up(kind: OutcomeKind, reason: str, **more: Any) -> Outcome:
        ids = {"workflow_id": handle.id, "run_id": run_id}
        return Outcome(cluster=cluster, member=member, outcome=kind, reason=reason, **ids, **more)

    try:
        return Ended(Outcome.model_validate(await handle.result()))
    except WorkflowFailureError as failure:
        error = failure.cause
        if isinstance(error, ApplicationError):
            if error.details:
                return Ended(Outcome.model_validate(error.details[0]), error.type or "")
            kind: OutcomeKind = "refused" if error.type == Failure.INVALID_REQUEST else "failed"
            return Ended(made_up(kind, error.message), error.type or "")
    if status is WorkflowExecutionStatus.CANCELED:
        return Ended(made_up("cancelled", await _why_cancelled(client, handle.id, run_id), **_figures(view)))
    hint = "its learner, if it added one, is still there: run the same command again to take it over (see the runbook)"
    return Ended(made_up("failed", f"the workflow was ended from outside ({status.name.lower()})", hint=hint))


def _figures(view: ChangeView | None) -> dict[str, Any]:
    if view is None:
        return {}
    shown = {"attempts": view.attempts, "seconds": view.seconds, "warnings": view.warnings}
    return {"member_id": view.member_id or None, **shown}


async def _why_cancelled(client: Client, workflow_id: str, run_id: str) -> str:
    """The reason that came with the cancel: who preempted it, or which button was used."""
    history = await client.workflow_service.get_workflow_execution_history_reverse(
        GetWorkflowExecutionHistoryReverseRequest(
            namespace=client.namespace,
            execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id),
            maximum_page_size=_CLOSE_TO_THE_END,
        )
    )
    for event in history.history.events:
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
            asked = event.workflow_execution_cancel_requested_event_attributes
            return asked.cause or f"cancelled by {asked.identity or 'another client'}"
    return "cancelled"
