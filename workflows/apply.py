"""ApplyMembers: a cluster gets the members of a list."""

from __future__ import annotations

import asyncio

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError, ApplicationError

from workflows.activity_errors import stop_of
from workflows.applying import Applying
from workflows.arguments import NOTHING, check_requester, invalid, parse, reason_of_cancel
from workflows.new_run import NewRun, read_next_run
from workflows.timeouts import ASK, WATCH, start

with workflow.unsafe.imports_passed_through():
    from activities.desired import Following
    from activities.taking_turns import Turns
    from membership.failures import Failure
    from membership.model import Handover
    from messages.apply import ApplyOutcome, ApplyRequest, ApplyView
    from messages.ids import apply_id
    from messages.next_run import ASK_AGAIN
    from messages.queues import watches_queue
    from messages.turns import Cancel, Ticket
    from workflows.carried_apply import NextApplyRun
    from workflows.stop import Stop


@workflow.defn
class ApplyMembers:
    """
    Look → one join, replacement or removal as a child workflow → look again, until the members are as listed.

    Completes as `applied` or `no-changes`. Fails, with the outcome as details, at the first change that does not go
    through. The same request, run again, goes on from there. It is cancelled together with the change that runs.
    """

    def __init__(self) -> None:
        self._applying: Applying | None = None

    @workflow.run
    async def run(self, request: RawValue = NOTHING) -> ApplyOutcome:
        next_run = read_next_run(request, NextApplyRun)
        asked = ApplyRequest.model_validate(next_run.request) if next_run else parse(ApplyRequest, request)
        if (wanted := apply_id(asked.cluster)) != workflow.info().workflow_id:
            raise invalid(f"the workflow ID of this apply is {wanted}, and not {workflow.info().workflow_id}")
        applying = Applying(asked)
        if next_run:
            applying.restore(next_run.so_far)
        self._applying = applying
        body = asyncio.create_task(_to_end(applying))
        try:
            return await asyncio.shield(body)
        except asyncio.CancelledError:
            applying.interruptions.stop(Stop("cancelled", Failure.CANCELLED, reason_of_cancel()))
            return await _stopped(body, applying)
        except NewRun:
            workflow.continue_as_new(NextApplyRun(asked.model_dump(mode="json"), applying.carry()))

    @workflow.query(
        description="The state of the apply: the changes that have ended, the running change, and those left"
    )
    def progress(self) -> ApplyView:
        return self._running().board.view

    @workflow.update(description="Holds the apply as soon as the running change has ended, until `resume` or a cancel")
    async def hold(self, by: str = "") -> ApplyView:
        applying = await self._begun()
        applying.interruptions.hold(f"asked for by {by or 'an operator'}")
        applying.board.will_be_held(asked=True)
        return applying.board.view

    @hold.validator
    def _may_hold(self, by: str = "") -> None:
        check_requester(by)
        self._refuse_late()

    @workflow.update(description="Goes on with an apply that is held, or takes back the hold")
    async def resume(self, by: str = "") -> ApplyView:
        applying = self._running()
        workflow.logger.info("resumed", extra={"by": by})
        applying.interruptions.resume()
        applying.board.will_be_held(asked=False)
        return applying.board.view

    @resume.validator
    def _may_resume(self, by: str = "") -> None:
        check_requester(by)
        if self._applying is None or not self._applying.interruptions.is_held:
            raise ApplicationError("the apply is not held", type="NotHeld")

    @workflow.update(description="Cancels the apply, and the running change with it")
    async def cancel(self, by: str = "") -> ApplyView:
        applying = await self._begun()
        self._refuse_late()
        # One path for every cancel: this asks Temporal for the same as the UI's own button.
        await start(Turns.cancel_change, Cancel(applying.ticket, by), ASK, f"{applying.request.cluster}: cancel")
        return applying.board.view

    @cancel.validator
    def _may_cancel(self, by: str = "") -> None:
        check_requester(by)
        self._refuse_late()

    @workflow.update(description="Returns the handover of a new member of the list as soon as its learner is added")
    async def wait_until_added(self, name: str) -> Handover:
        applying = await self._begun()
        if name not in (member.name for member in applying.request.members):
            raise ApplicationError(f"{name} is not in the list of this apply", type="NotAdded", non_retryable=True)
        await workflow.wait_condition(lambda: _can_answer(applying, name))
        if not applying.ended and _is_awaited(applying.board.view, name):
            raise ApplicationError("the apply goes on in a new run: ask again", type=ASK_AGAIN)
        running = applying.board.view.running
        if running is None or running.member != name or not running.run_id:
            raise ApplicationError(f"no change of this apply adds {name} now", type="NotAdded", non_retryable=True)
        change = Ticket(running.workflow_id, running.run_id)
        queue = watches_queue(workflow.info().task_queue)
        try:
            return await start(Following.wait_for_handover, change, WATCH, f"the handover of {name}", queue)
        except ActivityError as error:
            stop = stop_of(error, "failed")
            raise ApplicationError(stop.reason, type=stop.error, non_retryable=True) from error

    def _refuse_late(self) -> None:
        if self._applying is None and workflow.info().continued_run_id:
            return  # the apply goes on in a new run, in a moment
        applying = self._running()
        if applying.ended or applying.interruptions.unstoppable:
            raise ApplicationError("too late: every change of this apply has ended", type="TooLate")

    async def _begun(self) -> Applying:
        """The apply. An update can come before the first line of its run."""
        await workflow.wait_condition(lambda: self._applying is not None)
        return self._running()

    def _running(self) -> Applying:
        if self._applying is None:
            raise ApplicationError("the apply has not begun yet", type="NotBegun")
        return self._applying


def _can_answer(applying: Applying, name: str) -> bool:
    return applying.ended or applying.interruptions.is_pressed or not _is_awaited(applying.board.view, name)


def _is_awaited(view: ApplyView, name: str) -> bool:
    """Whether a change that adds this member may still begin."""
    runs = view.running is not None and view.running.member == name and bool(view.running.run_id)
    return not runs and (not view.compared or view.has_left(name))


async def _stopped(body: asyncio.Task[ApplyOutcome], applying: Applying) -> ApplyOutcome:
    """The end of an apply that was cancelled."""
    try:
        return await body
    except NewRun:
        # The cancel came in the moment of the new run, which would not know of it.
        return await _to_end(applying)


async def _to_end(applying: Applying) -> ApplyOutcome:
    """A cancel that comes while handlers still answer is too late, and must not take the outcome's place."""
    try:
        outcome = await applying.run()
    except (ApplicationError, asyncio.CancelledError):
        await workflow.wait_condition(workflow.all_handlers_finished)
        raise
    await workflow.wait_condition(workflow.all_handlers_finished)
    return outcome
