"""A whole change: forward step by step, held where its policy says so, and back when it must stop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from temporalio import workflow

from workflows.change import Change
from workflows.ends import failure, outcome

with workflow.unsafe.imports_passed_through():
    from membership.failures import Failure
    from membership.model import ClusterStatus
    from messages.outcomes import Outcome, OutcomeKind
    from workflows.stop import Stop


async def run(change: Change[Any]) -> Outcome:
    """Forward, again after a failure that was held and then resumed, and back when it must stop."""
    course: Callable[[], Awaitable[Outcome]] = change.forward
    try:
        while True:
            try:
                return await course()
            except Stop as stop:
                course = _after(change, stop)
    finally:
        change.ended = True


def _after(change: Change[Any], stop: Stop) -> Callable[[], Awaitable[Outcome]]:
    """The next course after a stop: held where the change stands, or back."""
    change.interruptions.clocks.end()
    if stop.error == Failure.JOIN_TIMEOUT and change.board.view.waits_for:
        stop.reason += f", and still waits for: {change.board.view.waits_for}"
    if stop.kind == "clock" and change.cluster.facts.policy.on_failure == "hold":
        change.explain(stop)
        change.interruptions.hold("; ".join(filter(None, (f"{stop.error}: {stop.reason}", stop.hint))))
        return partial(_forward_again, change)
    return partial(_back, change, stop)


async def _forward_again(change: Change[Any]) -> Outcome:
    """Holds the change where it stands. Resumed, it begins again and finds the finished steps."""
    await change.interruptions.safe_point()
    change.unseen = "clock"
    change.renewal.begin_again()
    return await change.forward()


async def _back(change: Change[Any], stop: Stop) -> Outcome:
    """Undoes the change and ends it without success. Returns the outcome when it was too late to go back."""
    change.interruptions.unstoppable = True
    left = await _settle_and_go_back(change, stop)
    if isinstance(left, Outcome):
        return left
    if left:
        change.board.judge_warnings(left, change.cluster.facts.policy)
    if stop.kind == "cancelled":
        change.show_end("cancelled", stop)
        raise asyncio.CancelledError
    kind = _kind_of_failure(change, stop)
    change.show_end(kind, stop)
    unsettled = change.unsettled.reasons if change.unsettled.calls else ()
    raise failure(stop, outcome(kind, change.request, change.board, left, stop, unsettled=unsettled))


def _kind_of_failure(change: Change[Any], stop: Stop) -> OutcomeKind:
    if change.rolled_back and not change.unsettled.calls:
        return "rolled-back"
    if stop.kind == "refused" and not change.cluster.reports.have_sent:
        return "refused"
    return "failed"


async def _settle_and_go_back(change: Change[Any], stop: Stop) -> ClusterStatus | Outcome | None:
    """Goes back once no call may take effect later. Else the change fails, and names the effects that may come."""
    await change.unsettled.settle()
    left: ClusterStatus | Outcome | None = None
    if not change.unsettled.may_promote:
        left = await change.back(stop)
    if not isinstance(left, Outcome):
        await change.unsettled.settle()
        change.unsettled.explain(stop)
    return left
