"""Starts changes, finds them, and reads how they ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
)
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from console.output import USAGE, Leave
from membership.requests import (
    WORKFLOWS,
    ChangeRequest,
    Outcome,
    OutcomeKind,
    RemoveRequest,
    ReplaceRequest,
    Verb,
    change_id,
)
from membership.view import ChangeView
from settings import Settings

Handle = WorkflowHandle[Any, Any]

_CONFIGURATION = {"UnknownCluster", "UnknownLauncher", "InvalidConfiguration", "InvalidRequest"}


@dataclass(frozen=True)
class Ended:
    """How a change ended; `error` is the failure's type."""

    outcome: Outcome
    error: str = ""

    @property
    def is_usage(self) -> bool:
        """Whether the caller's request or the worker's configuration was at fault."""
        return self.error in _CONFIGURATION


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


async def find(client: Client, cluster: str, name: str, verbs: Sequence[Verb]) -> Handle:
    """
    The change of this name that runs, or else the latest.

    Raises Leave with USAGE when there is none, or several run and no verb decides.
    """
    found = {}
    for each in verbs:
        handle = client.get_workflow_handle(change_id(cluster, each, name))
        try:
            found[each] = await handle.describe()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
    if not found:
        raise Leave(USAGE, f"no change of {name} in cluster {cluster} is known", "`memberflow join` starts one")
    running = [v for v, seen in found.items() if seen.status is WorkflowExecutionStatus.RUNNING]
    if len(running) > 1:
        raise Leave(USAGE, f"several changes of {name}: {', '.join(running)}", "say which with --verb")
    verb = running[0] if running else max(found, key=lambda v: found[v].start_time)
    return client.get_workflow_handle(change_id(cluster, verb, name))


async def how_it_ended(
    handle: Handle, status: WorkflowExecutionStatus, run_id: str, view: ChangeView | None = None
) -> Ended:
    """The outcome of a closed change, whatever closed it; of a cancelled one only its last `view` tells more."""
    cluster, member = _parts(handle.id)

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
            kind: OutcomeKind = "refused" if error.type == "InvalidRequest" else "failed"
            return Ended(made_up(kind, error.message), error.type or "")
    if status is WorkflowExecutionStatus.CANCELED:
        return Ended(made_up("cancelled", "cancelled; nothing of it is left", **_figures(view)))
    hint = "its learner, if it added one, is still there: run the same command again to take it over (see the runbook)"
    return Ended(made_up("failed", f"the workflow was ended from outside ({status.name.lower()})", hint=hint))


def _figures(view: ChangeView | None) -> dict[str, Any]:
    if view is None:
        return {}
    shown = {"attempts": view.attempts, "seconds": view.seconds, "warnings": view.warnings}
    return {"member_id": view.member_id or None, **shown}


def _parts(workflow_id: str) -> tuple[str, str]:
    _, cluster, _, member = workflow_id.split(":")
    return cluster, member
