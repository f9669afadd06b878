"""JoinMember: a member joins as a learner and becomes a voter."""

from __future__ import annotations

import asyncio

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from workflows.ends import NOTHING, parse
from workflows.joining import Joining

with workflow.unsafe.imports_passed_through():
    from membership.model import Handover, SyncProgress
    from membership.requests import JoinRequest, Outcome
    from membership.stop import Stop
    from membership.view import ChangeView


@workflow.defn
class JoinMember:
    """
    preflight → turn → add learner → handover → wait for the member to start → wait for sync → promote → verify.

    Completes as `promoted` or `already-voter`; fails, with the outcome as details, when refused, rolled back
    or out of time; is cancelled when cancelled before its promote, after removing the learner that it added.
    """

    def __init__(self) -> None:
        self._joining: Joining | None = None

    @workflow.run
    async def run(self, request: RawValue = NOTHING) -> Outcome:
        self._joining = Joining(parse(JoinRequest, request))
        body = asyncio.create_task(self._joining.run())
        try:
            return await asyncio.shield(body)
        except asyncio.CancelledError:
            # Our own code is never torn out of what it is doing; it stops at its next safe point.
            reason = workflow.cancellation_reason() or "cancelled"
            self._joining.change.stop(Stop("cancelled", "Cancelled", reason))
            return await body
        finally:
            await workflow.wait_condition(workflow.all_handlers_finished)

    @workflow.query(description="Where the change is: stage, what it waits for, sync progress, calls sent")
    def progress(self) -> ChangeView:
        return self._running().board.view

    @workflow.query(description="The ETCD_* values with which the new member must be started; null before the add")
    def handover(self) -> Handover | None:
        return self._joining.handover if self._joining else None

    @workflow.signal(description="The sync watch tells how far it is")
    def note_progress(self, progress: SyncProgress) -> None:
        if self._joining:
            self._joining.note(progress)

    @workflow.update(description="Returns the handover as soon as the learner is added")
    async def wait_until_added(self) -> Handover:
        await workflow.wait_condition(lambda: bool(self._joining and (self._joining.handover or self._joining.ended)))
        if handover := self._running().handover:
            return handover
        raise ApplicationError("the join ended before it added a learner", type="NotAdded", non_retryable=True)

    @workflow.update(description="Holds the change at its next safe point, until `resume` or a cancel")
    async def hold(self) -> ChangeView:
        change = self._running().change
        change.hold("asked for by an operator")
        return self._running().board.view

    @hold.validator
    def _may_hold(self) -> None:
        if self._joining is None or self._joining.change.unstoppable:
            raise ApplicationError("too late: the change is past its last safe point", type="TooLate")

    @workflow.update(description="Goes on with a change that is held")
    async def resume(self) -> ChangeView:
        change = self._running().change
        change.resume()
        return self._running().board.view

    @resume.validator
    def _may_resume(self) -> None:
        if self._joining is None or not self._joining.board.view.held:
            raise ApplicationError("the change is not held", type="NotHeld")

    def _running(self) -> Joining:
        if self._joining is None:
            raise ApplicationError("the change has not begun yet", type="NotBegun")
        return self._joining
