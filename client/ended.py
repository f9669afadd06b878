"""How a change ended, or where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryReverseRequest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import ApplicationError

from client.change_request import Handle
from client.exit_codes import DONE, FAILED, REFUSED, USAGE, CommandError
from membership.failures import Failure
from messages.apply import ApplyOutcome, ApplyView
from messages.ids import APPLY, parts_of
from messages.outcomes import Outcome, OutcomeKind
from messages.validation import explain
from messages.views import ChangeView

# Events. After a longer rollback, the reason of a cancel is only in the history itself.
_CLOSE_TO_THE_END = 200

GOOD = {"promoted", "already-voter", "removed", "already-removed", "replaced", "applied", "no-changes"}
#: Failures that the caller's request or the worker's configuration caused.
CONFIGURATION = {"UnknownCluster", "UnknownLauncher", "InvalidConfiguration", Failure.INVALID_REQUEST}


@dataclass(frozen=True)
class Ended:
    """How a change ended."""

    outcome: Outcome
    #: The failure's type. Empty: a success.
    error: str = ""

    @property
    def code(self) -> int:
        """The exit code."""
        if self.error in CONFIGURATION:
            return USAGE
        if self.outcome.outcome == "refused":
            return REFUSED
        return DONE if self.outcome.outcome in GOOD else FAILED


def with_name(failure: str, text: str) -> str:
    """The text after the failure's name, which is not repeated."""
    return f"{failure}: {text}" if failure and not text.startswith(f"{failure}:") else text


def read_outcome(sent: Any) -> Outcome:
    """
    The outcome that a change sent.

    A newer version may add fields, and one day a kind that this version cannot read. Raises CommandError with FAILED
    for an unreadable outcome.
    """
    model = ApplyOutcome if isinstance(sent, dict) and "changes" in sent else Outcome
    try:
        return model.model_validate(sent)
    except ValidationError as error:
        message = f"this version of memberflow cannot read the outcome of the change ({explain(error)}): {sent}"
        raise CommandError(
            FAILED, message, "use the version of the worker, or look at the change in Temporal's UI"
        ) from None


async def how_it_ended(
    client: Client, handle: Handle, status: WorkflowExecutionStatus, run_id: str, view: ChangeView | None = None
) -> Ended:
    """The outcome of a closed change. A cancelled change has none, so the last `view` adds its figures."""
    cluster, verb, member = parts_of(handle.id)

    def made_up(kind: OutcomeKind, reason: str, **more: Any) -> Outcome:
        ids = {"workflow_id": handle.id, "run_id": run_id}
        if verb == APPLY:
            shown = view if isinstance(view, ApplyView) else None
            return ApplyOutcome.of(cluster, shown, outcome=kind, reason=reason, **ids, **more)
        return Outcome(cluster=cluster, member=member, outcome=kind, reason=reason, **ids, **more)

    try:
        return Ended(read_outcome(await handle.result()))
    except WorkflowFailureError as failure:
        error = failure.cause
        if isinstance(error, ApplicationError):
            if error.details:
                return Ended(read_outcome(error.details[0]), error.type or "")
            kind: OutcomeKind = "refused" if error.type == Failure.INVALID_REQUEST else "failed"
            return Ended(made_up(kind, error.message), error.type or "")
    if status is WorkflowExecutionStatus.CANCELED:
        return Ended(made_up("cancelled", await _why_cancelled(client, handle.id, run_id), **_figures(view)))
    hint = "its learner, if it added one, is still there: run the same command again to take it over (see the runbook)"
    if verb == APPLY:
        hint = "its running change goes on: run the same command again to wait for it and go on from there"
    return Ended(made_up("failed", f"the workflow was ended from outside ({status.name.lower()})", hint=hint))


def _figures(view: ChangeView | None) -> dict[str, Any]:
    """The figures of a change. Those of an apply are in its own outcome."""
    if view is None or isinstance(view, ApplyView):
        return {}
    shown = {"attempts": view.attempts, "seconds": view.seconds, "warnings": view.warnings}
    return {"member_id": view.member_id or None, **shown}


async def _why_cancelled(client: Client, workflow_id: str, run_id: str) -> str:
    """The reason that came with the cancel: which change preempted it, or which client cancelled it."""
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
