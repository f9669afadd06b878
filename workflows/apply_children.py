"""The changes of an apply, as its child workflows."""

from __future__ import annotations

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from messages.ids import WORKFLOW_TYPES
    from messages.outcomes import Outcome
    from messages.requests import ChangeRequest
    from messages.texts import static_details


def outcome_in(error: ApplicationError) -> Outcome | None:
    """The outcome of a failed change. None when this version cannot read the outcome of a newer worker."""
    try:
        return Outcome.model_validate(error.details[0]) if error.details else None
    except ValidationError:
        return None


async def start_child(change: ChangeRequest, workflow_id: str) -> workflow.ChildWorkflowHandle[ChangeRequest, Outcome]:
    """Starts a change. It goes on when its apply is terminated, and its cancel ends when its rollback has ended."""
    return await workflow.start_child_workflow(
        WORKFLOW_TYPES[change.verb],
        change,
        id=workflow_id,
        result_type=Outcome,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        parent_close_policy=workflow.ParentClosePolicy.ABANDON,
        cancellation_type=workflow.ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
        memo={"request": change.model_dump(mode="json")},
        static_summary=change.summary,
        static_details=static_details(change),
    )
