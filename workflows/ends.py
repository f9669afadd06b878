"""How a change ends: its outcome, and the failure that carries it."""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from workflows.board import Board

with workflow.unsafe.imports_passed_through():
    from membership.failures import runbook
    from membership.model import ClusterStatus
    from messages.outcomes import Outcome, OutcomeKind
    from messages.requests import ChangeRequest
    from workflows.stop import Stop


def outcome(
    kind: OutcomeKind,
    request: ChangeRequest,
    board: Board,
    status: ClusterStatus | None = None,
    stop: Stop | None = None,
    *,
    verified: bool | None = None,
    unsettled: tuple[str, ...] = (),
) -> Outcome:
    """The outcome of a change, from its board and its last look."""
    info, view = workflow.info(), board.view
    total = workflow.time() - board.began
    return Outcome(
        cluster=request.cluster,
        member=request.subject,
        member_id=view.member_id or None,
        outcome=kind,
        voters=tuple(sorted(m.name or m.id for m in status.voters)) if status else (),
        attempts=view.attempts,
        seconds={**view.seconds, "total": round(total, 3)},
        cluster_id=status.cluster_id if status else None,
        workflow_id=info.workflow_id,
        run_id=info.run_id,
        verified=verified,
        reason=stop.reason if stop else None,
        hint=(stop.hint or None) if stop else None,
        unsettled=unsettled,
        warnings=view.warnings,
    )


def failure(stop: Stop, end: Outcome) -> ApplicationError:
    """
    The error that ends the workflow as Failed, with the outcome as the failure's details.

    Temporal's UI begins with its message, so that says the next step, too.
    """
    hint = f"\nNext: {stop.hint}" if stop.hint else ""
    text = f"{stop.reason}{hint}\nRunbook: {runbook(stop.error)}"
    return ApplicationError(text, end, type=stop.error, non_retryable=True)
