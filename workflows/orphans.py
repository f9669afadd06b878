"""Learners that changes of ours left behind, because they were ended from outside: the next change removes them."""

from __future__ import annotations

from dataclasses import replace

from temporalio import workflow

from workflows.change import Change
from workflows.steps import CLEAR, settle
from workflows.turn import Turn

with workflow.unsafe.imports_passed_through():
    from membership.model import ClusterStatus
    from membership.preflight import orphans_beside
    from membership.requests import ChangeRequest


async def clear_orphans(change: Change, turn: Turn, request: ChangeRequest, status: ClusterStatus) -> ClusterStatus:
    """Removes them, each after looking again, but for one that the request itself is about; the look without them."""
    facts = change.facts
    for orphan in orphans_beside(request, turn.beforehand(status)).values():
        learner = status.member(orphan.member_id)
        if learner is None:
            continue
        change.facts = replace(facts, member_id=learner.id)
        await change.stop_asking(turn, status)
        status = await settle(change, turn, CLEAR, status)
        change.board.warn(f"learner {learner.label}, left behind by {orphan.ticket.workflow_id}, was removed first")
        turn.report(status)
        await change.ask_again(turn)
    change.facts = facts
    return status
