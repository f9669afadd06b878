"""The queries, signals and updates of every change: its view, hold, resume and cancel."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from workflows.arguments import check_requester, invalid, parse, reason_of_cancel
from workflows.change import Change
from workflows.forward_and_back import run
from workflows.new_run import NewRun, read_next_run
from workflows.notify import tell_of_end
from workflows.timeouts import ASK, start

with workflow.unsafe.imports_passed_through():
    from activities.taking_turns import Turns
    from membership.failures import Failure
    from membership.model import Handover
    from messages.ids import change_id
    from messages.next_run import ASK_AGAIN
    from messages.outcomes import Outcome
    from messages.requests import ChangeRequest
    from messages.turns import Ahead, Cancel, Claim, Ticket
    from messages.views import ChangeView
    from workflows.carried import NextRun
    from workflows.stop import Stop

R = TypeVar("R", bound=ChangeRequest)

# A change writes these down for others to read, who would believe a caller's.
_OWN_MEMO = {"began_with", "handover"}


class Steered:
    """The base of the workflows that change a cluster."""

    def __init__(self) -> None:
        self._change: Change[Any] | None = None

    async def follow(self, kind: Callable[[R], Change[R]], model: type[R], argument: RawValue) -> Outcome:
        """
        Runs a change of this kind to its end, from the state that the run before handed over, if there is one.

        A cancel stops it at its next safe point, and never tears it out of an act.
        """
        next_run = read_next_run(argument, NextRun)
        request = model.model_validate(next_run.request) if next_run else parse(model, argument)
        change = kind(request)
        if (wanted := change_id(request.cluster, request.verb, request.subject)) != change.ticket.workflow_id:
            raise invalid(f"the workflow ID of this change is {wanted}, and not {change.ticket.workflow_id}")
        if forged := _OWN_MEMO & workflow.info().raw_memo.keys():
            raise invalid(
                f"the memo of this change has {', '.join(sorted(forged))}, which only the change itself writes"
            )
        if next_run:
            change.restore(next_run.so_far)
        self._change = change
        body = asyncio.create_task(_to_end(change))
        try:
            return await asyncio.shield(body)
        except asyncio.CancelledError:
            change.interruptions.stop(Stop("cancelled", Failure.CANCELLED, reason_of_cancel()))
            return await _stopped(body, change)
        except NewRun as due:
            workflow.continue_as_new(NextRun(request.model_dump(mode="json"), change.carry(due.tries)))

    @workflow.query(description="The state of the change: stage, reason of its wait, sync progress, calls sent")
    def progress(self) -> ChangeView:
        return self._running().board.view

    @workflow.query(description="The ETCD_* values with which the new member must be started (null before the add)")
    def handover(self) -> Handover | None:
        return self._change.handover if self._change else None

    @workflow.query(description="The place of the change in its cluster's turns, for ClusterTurns")
    def claim(self) -> Claim:
        return self._change.claim if self._change else Claim()

    @workflow.signal(description="ClusterTurns gives the turn to the change that has this ticket")
    def turn_granted(self, ticket: Ticket) -> None:
        if self._change:
            self._change.turn.grant(ticket)

    @workflow.signal(description="ClusterTurns says that a held join has the turn for which this change waits")
    def holder_is_held(self) -> None:
        if self._change:
            self._change.turn.note_held_holder()

    @workflow.signal(description="ClusterTurns says that the line has no room for this change")
    def line_is_full(self) -> None:
        if self._change:
            self._change.turn.note_full_line()

    @workflow.signal(description="ClusterTurns says which changes are ahead of this one in line")
    def ahead_in_line(self, ahead: Ahead) -> None:
        if self._change:
            self._change.turn.note_line(ahead)

    @workflow.update(description="Holds the change at its next safe point, until `resume` or a cancel")
    async def hold(self, by: str = "") -> ChangeView:
        change = await self._begun()
        board, interruptions = change.board, change.interruptions
        interruptions.hold(f"asked for by {by or 'an operator'}")
        await workflow.wait_condition(lambda: bool(board.view.held) or self._too_late or not interruptions.is_held)
        if board.view.held:
            return board.view
        if not interruptions.is_held:
            raise ApplicationError("it was resumed before its next safe point", type="NotHeld")
        interruptions.resume()  # a replace has safe points again later, and must not be held there after a "no" here
        raise ApplicationError("too late: the change is past its last safe point", type="TooLate")

    @hold.validator
    def _may_hold(self, by: str = "") -> None:
        check_requester(by)
        self._refuse_late()

    @workflow.update(description="Goes on with a change that is held")
    async def resume(self, by: str = "") -> ChangeView:
        change = self._running()
        workflow.logger.info("resumed", extra={"by": by})
        change.interruptions.resume()
        return change.board.view

    @resume.validator
    def _may_resume(self, by: str = "") -> None:
        check_requester(by)
        if self._change is None or not self._change.interruptions.is_held:
            raise ApplicationError("the change is not held", type="NotHeld")

    @workflow.update(
        description="Cancels the change, and removes the learner that it added. Refused when it is too late"
    )
    async def cancel(self, by: str = "") -> ChangeView:
        change = await self._begun()
        self._refuse_late()
        # One path for every cancel: this asks Temporal for the same as the UI's own button.
        await start(Turns.cancel_change, Cancel(change.ticket, by), ASK, f"{change.request.subject}: cancel")
        return change.board.view

    @cancel.validator
    def _may_cancel(self, by: str = "") -> None:
        check_requester(by)
        self._refuse_late()

    async def added(self) -> Handover:
        """The handover, as soon as the learner is added, for changes that add a learner."""
        change = await self._begun()
        await workflow.wait_condition(lambda: _can_answer(change))
        if change.handover:
            return change.handover
        if not change.ended:
            raise ApplicationError("the change goes on in a new run: ask again", type=ASK_AGAIN)
        reason = "the change ended, and no learner of it is in the cluster"
        raise ApplicationError(reason, type="NotAdded", non_retryable=True)

    @property
    def _too_late(self) -> bool:
        return self._change is None or self._change.ended or self._change.interruptions.unstoppable

    def _refuse_late(self) -> None:
        if self._change is None and workflow.info().continued_run_id:
            return  # the change goes on in a new run, in a moment
        if self._running() and self._too_late:
            raise ApplicationError("too late: the change is past its last safe point", type="TooLate")

    async def _begun(self) -> Change[Any]:
        """The change. An update can come before the first line of its run."""
        await workflow.wait_condition(lambda: self._change is not None)
        return self._running()

    def _running(self) -> Change[Any]:
        if self._change is None:
            raise ApplicationError("the change has not begun yet", type="NotBegun")
        return self._change


def _can_answer(change: Change[Any]) -> bool:
    return bool(change.handover or change.ended or change.interruptions.is_pressed)


async def _stopped(body: asyncio.Task[Outcome], change: Change[Any]) -> Outcome:
    """The end of a change that was cancelled."""
    try:
        return await body
    except NewRun:
        # The cancel came in the moment of the new run, which would not know of it.
        return await _to_end(change)


async def _to_end(change: Change[Any]) -> Outcome:
    """A cancel that comes while handlers still answer is too late, and must not take the outcome's place."""
    try:
        outcome = await run(change)
    except (ApplicationError, asyncio.CancelledError):
        await _close(change, succeeded=False)
        raise
    await _close(change, succeeded=True)
    return outcome


async def _close(change: Change[Any], *, succeeded: bool) -> None:
    """Others go on at once. The message about the end is on its way when the change closes, and is never waited for."""
    telling = asyncio.create_task(_tell(change))
    await change.turn.end(succeeded=succeeded)
    await telling
    await workflow.wait_condition(workflow.all_handlers_finished)


async def _tell(change: Change[Any]) -> None:
    if change.cluster.notifies:
        await tell_of_end(change.cluster.name, f"tells how this ended: {change.request.summary}")
