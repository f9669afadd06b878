"""Learners that changes of ours left behind, because they were ended from outside: the next change removes them."""

from __future__ import annotations

from dataclasses import replace

from temporalio import workflow

from workflows.change import AskAgain, Change
from workflows.steps import CLEAR, settle_unasked
from workflows.turn import Turn

with workflow.unsafe.imports_passed_through():
    from membership.failures import Failure
    from membership.model import ClusterStatus
    from messages.learners import orphans_beside
    from messages.requests import ChangeRequest
    from workflows.stop import Stop


async def clear_orphans(change: Change, turn: Turn, request: ChangeRequest, status: ClusterStatus) -> ClusterStatus:
    """Removes them, each after looking again, but for one that the request itself is about; the look without them."""
    facts = change.facts
    for orphan in orphans_beside(request, turn.beforehand(status)).values():
        learner = status.member(orphan.member_id)
        if learner is None:
            continue
        change.facts = replace(facts, member_id=learner.id)
        whose = f"learner {learner.label}, left behind by {orphan.ticket.workflow_id}"
        try:
            status = await _clear(change, turn, status)
            change.board.warn(f"{whose}, was removed first")
        except Stop as stop:
            if stop.error != Failure.BECAME_VOTER:
                raise
            change.board.warn(f"{whose}, is a voter by now, and stays one")
            status = await change.look("it has become a voter")
        turn.report(status)
    change.facts = facts
    return status


async def _clear(change: Change, turn: Turn, status: ClusterStatus) -> ClusterStatus:
    """Removes the one learner, which nobody asks for as long as this takes."""
    while True:
        try:
            status = await settle_unasked(change, turn, CLEAR, status)
        except AskAgain:
            await change.safe_point()
            status = await change.look("is it still there?")
        else:
            await change.ask_again(turn)
            return status
