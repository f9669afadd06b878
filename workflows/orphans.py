"""Learners that changes of ours left behind, because they were ended from outside: the next change removes them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from temporalio import workflow

from workflows.change import Change
from workflows.settle import CLEAR, settle

with workflow.unsafe.imports_passed_through():
    from membership.failures import Failure
    from membership.model import ClusterStatus
    from messages.learners import orphans_beside
    from workflows.stop import Stop


async def clear_orphans(change: Change[Any], status: ClusterStatus) -> ClusterStatus:
    """Removes all of them except the learner that the request is about, and returns the look without them."""
    facts = change.cluster.facts
    for orphan in orphans_beside(change.request, change.turn.memory.beforehand(status)).values():
        learner = status.member(orphan.member_id)
        if learner is None:
            continue
        change.cluster.facts = replace(facts, member_id=learner.id)
        whose = f"learner {learner.label}, left behind by {orphan.ticket.workflow_id}"
        try:
            status = await settle(change, CLEAR, status)
            change.board.warn(f"{whose}, was removed first")
        except Stop as stop:
            if stop.error != Failure.BECAME_VOTER:
                raise
            change.board.warn(f"{whose}, is a voter by now, and stays one")
            status = await change.cluster.look("it has become a voter")
        change.turn.memory.report(status)
    change.cluster.facts = facts
    return status
