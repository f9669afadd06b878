"""Is the member that leaves dead? By looks of this moment, and not when the change began to wait."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from temporalio import workflow

from workflows.change import Change

with workflow.unsafe.imports_passed_through():
    from membership import preflight
    from membership.model import ClusterStatus, Member

# Seconds before another look that may show whether a member lives.
_DOUBTS = (1.0, 2.0, 4.0)
_WHY = "is the member still down?"


async def why_not_dead(change: Change[Any], member: Member) -> str:
    """Why this member is not known to be dead, empty when it is."""
    status = await ask_about(change, member, await change.cluster.look(_WHY))
    return preflight.why_not_dead(status, member)


async def ask_about(change: Change[Any], member: Member, status: ClusterStatus) -> ClusterStatus:
    """This look, or where it does not show whether the member lives, one of the next."""
    for pause in _DOUBTS:
        if preflight.is_known(status, member):
            break
        with suppress(TimeoutError):
            await workflow.wait_condition(lambda: change.interruptions.pending, timeout=pause)
        status = await change.cluster.look(_WHY)
    return status
