"""Calls of ended changes whose effect may still come: the next change waits for a moment, and reckons with them."""

from __future__ import annotations

from dataclasses import replace

from temporalio import workflow

from workflows.board import Board
from workflows.cluster import Cluster
from workflows.interruptions import Interruptions
from workflows.settling import start_settling
from workflows.turn import Turn

with workflow.unsafe.imports_passed_through():
    from membership.model import ClusterStatus
    from membership.sent_calls import MOMENT

# Seconds: longer than a member that is well must be heard.
_SOON = 2 * MOMENT


async def settle_earlier(
    board: Board, interruptions: Interruptions, cluster: Cluster, turn: Turn, status: ClusterStatus
) -> ClusterStatus:
    """
    Settles the calls that the turns remember, as far as a moment allows. Returns the last look.

    `status` is a look with the turn. Each call that is left is a warning. A member whose removal is left may go at any
    time, so a removal is judged with and without it.
    """
    if not turn.memory.unsettled:
        return status
    board.waits_for("calls of ended changes to be settled: their effects may still come")
    calls = tuple(x.call for x in turn.memory.unsettled)
    settled = await interruptions.interruptible(lambda: start_settling(cluster, calls, _SOON))
    status = settled.status or status
    for late, reason in zip(settled.left, settled.reasons, strict=True):
        senders = {x.ticket.workflow_id for x in turn.memory.unsettled if x.call == late}
        board.warn(f"left by {', '.join(sorted(senders))}: {reason}")
    cluster.facts = replace(cluster.facts, may_go=tuple(x.member_id for x in settled.left if x.act == "remove"))
    turn.memory.note_settled(settled.left, status)
    return status
