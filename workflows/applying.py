"""The course of an apply: look, compare with the list, let one change run, and look again."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, ChildWorkflowError, WorkflowAlreadyStartedError
from temporalio.exceptions import CancelledError as Cancelled

from workflows.activity_errors import stop_of
from workflows.apply_board import ApplyBoard
from workflows.apply_children import outcome_in, start_child
from workflows.interruptions import Interruptions
from workflows.new_run import NewRun, is_due
from workflows.timeouts import ASK, FIRST_LOOK, FIRST_LOOK_PATIENCE, LOOK, WATCH, start

with workflow.unsafe.imports_passed_through():
    from activities.clusters_file import ClusterProfile
    from activities.desired import Desired, Following
    from activities.looks import Looks
    from membership.checks import Check
    from membership.desired import Step
    from membership.failures import Failure
    from membership.preflight import refusal, warnings
    from messages.apply import ApplyOutcome, ApplyRequest, Compare, Comparison, StepView, step_view
    from messages.orders import LookOrder
    from messages.outcomes import OutcomeKind
    from messages.queues import watches_queue
    from messages.turns import Ticket
    from workflows.carried import Tries
    from workflows.carried_apply import CarriedApply
    from workflows.stop import Stop

# Seconds until the next look while no change can be chosen. The pause grows by half each time.
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
# The same change of another caller is waited for so often.
_PATIENCE = 3
# Changes of one apply, also those of others that it waited for.
_MOST_CHANGES = 200


class Applying:
    """One run of an apply. Each change is a child workflow, with its own workflow ID, its own turn, its own safety."""

    def __init__(self, request: ApplyRequest) -> None:
        info = workflow.info()
        self.request = request
        self.ticket = Ticket(info.workflow_id, info.first_execution_run_id)
        self.board = ApplyBoard(request)
        self.interruptions = Interruptions(self.board)
        #: Nothing more will happen.
        self.ended = False
        self._began = info.workflow_start_time.timestamp()
        self._profile: ClusterProfile | None = None
        self._look = LookOrder(request.cluster, change=info.workflow_id)
        #: How often each change was started or waited for.
        self._tries: Counter[str] = Counter()
        #: The workflow IDs of changes of this apply that went through.
        self._succeeded: set[str] = set()
        self._voters: tuple[str, ...] = ()

    def carry(self) -> CarriedApply:
        """The state for the next run."""
        assert self._profile
        return CarriedApply(
            began=self._began,
            view=self.board.view,
            profile=self._profile,
            look=self._look,
            tries=dict(self._tries),
            succeeded=tuple(sorted(self._succeeded)),
            voters=self._voters,
        )

    def restore(self, carried: CarriedApply) -> None:
        """Takes the state of the run before this one."""
        self._began, self._profile, self._look = carried.began, carried.profile, carried.look
        self._tries, self._succeeded, self._voters = Counter(carried.tries), set(carried.succeeded), carried.voters
        self.board.restore(carried.view)

    async def run(self) -> ApplyOutcome:
        """To the list, or to the first change that does not go through."""
        try:
            return await self._forward()
        except Stop as stop:
            if stop.kind == "cancelled" and self._succeeded and not self.board.view.left:
                # The cancel came too late: the last change of the list went through.
                return self._finish("cancelled before a last look at the members")
            raise self._failure(stop) from None
        finally:
            self.ended = True

    async def _forward(self) -> ApplyOutcome:
        """Raises NewRun when the history of this run has become long."""
        if self._profile is None:
            self._profile = await self._read_profile()
        self.board.use_search_attributes(self._profile.search_attributes)
        while True:
            comparison = await self._compare()
            if not comparison.steps:
                break
            await self._take(comparison.steps[0])
        return self._finish(*warnings(comparison.checks))

    def _finish(self, *warnings: str) -> ApplyOutcome:
        for warning in warnings:
            self.board.warn(warning)
        self.board.ended()
        return self._outcome("applied" if self._succeeded else "no-changes")

    def _failure(self, stop: Stop) -> ApplicationError | asyncio.CancelledError:
        self.board.ended()
        if stop.kind == "cancelled":
            return asyncio.CancelledError()
        kind: OutcomeKind = "refused" if stop.kind == "refused" and not self._succeeded else "failed"
        end = self._outcome(kind, reason=stop.reason, hint=stop.hint or None)
        return ApplicationError(stop.reason, end, type=stop.error, non_retryable=True)

    def _outcome(self, kind: OutcomeKind, **more: str | None) -> ApplyOutcome:
        info = workflow.info()
        return ApplyOutcome.of(
            self.request.cluster,
            self.board.view,
            outcome=kind,
            voters=self._voters,
            cluster_id=self._look.cluster_id or None,
            seconds={"total": round(workflow.time() - self._began, 3)},
            workflow_id=info.workflow_id,
            run_id=info.run_id,
            **more,
        )

    # ---- looks ----

    async def _read_profile(self) -> ClusterProfile:
        name = self.request.cluster
        try:
            return await self.interruptions.interruptible(
                lambda: start(Looks.read_profile, name, ASK, f"read the profile of {name}")
            )
        except ActivityError as error:
            raise stop_of(error, "refused") from error

    async def _compare(self) -> Comparison:
        """The changes that are left. Waits while none can be chosen. Raises Stop when the list cannot be reached."""
        pause = _FIRST_PAUSE
        while True:
            if is_due(self.interruptions):
                raise NewRun(Tries())
            comparison = await self._compare_once()
            refused: Check | None = refusal(comparison.checks)
            if refused:
                raise Stop("refused", refused.error, refused.evidence, refused.hint)
            self.board.plans(comparison.steps)
            if not comparison.waits_for:
                return comparison
            await self.interruptions.pause(workflow.time() + pause, comparison.waits_for)
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    async def _compare_once(self) -> Comparison:
        """The first look fails after a while. Later looks are repeated by Temporal until they succeed."""
        assert self._profile
        is_first, queue = not self._look.cluster_id, self._profile.task_queue
        limits, patience = (FIRST_LOOK, FIRST_LOOK_PATIENCE) if is_first else (LOOK, 0.0)
        question = Compare(replace(self._look, patience=patience), self.request)
        why = f"compare {self.request.cluster} with the list"
        self.board.waits_for(f"a look at {self.request.cluster}")
        try:
            comparison = await self.interruptions.interruptible(
                lambda: start(Desired.compare_members, question, limits, why, queue)
            )
        except ActivityError as error:
            raise stop_of(error, "refused") from error
        self._voters = comparison.voters
        self._look = replace(self._look, cluster_id=comparison.cluster_id, voter_urls=comparison.voter_urls)
        return comparison

    # ---- changes ----

    async def _take(self, step: Step) -> None:
        """Lets one change run to its end. Raises Stop when it does not go through."""
        await self.interruptions.safe_point()
        change = self.request.change(step)
        running = step_view(self.request.cluster, step)
        self._count(running)
        try:
            child = await start_child(change, running.workflow_id)
        except WorkflowAlreadyStartedError:
            await self._wait_for_others(running)
            return
        self.board.begins(replace(running, run_id=child.first_execution_run_id or ""))
        await workflow.wait_condition(lambda: child.done() or self.interruptions.is_stopped)
        if not child.done():
            child.cancel()
        try:
            outcome = await child
        except ChildWorkflowError as error:
            raise self._failed(running, error) from None
        self._succeeded.add(running.workflow_id)
        self.board.ends(outcome)

    async def _wait_for_others(self, running: StepView) -> None:
        """The same change runs already. The next look shows its effect."""
        self.board.begins(replace(running, of_others=True))
        queue = watches_queue(workflow.info().task_queue)
        await self.interruptions.interruptible(
            lambda: start(
                Following.wait_until_closed, running.workflow_id, WATCH, f"the end of {running.workflow_id}", queue
            )
        )
        self.board.ends(None)

    def _count(self, running: StepView) -> None:
        """Raises Stop when this change was done already, or when this apply does not come to an end."""
        self._tries[running.workflow_id] += 1
        again = running.workflow_id in self._succeeded
        if again or self._tries[running.workflow_id] > _PATIENCE:
            reason = (
                f"{running.what}: {'this apply did it, and it' if again else 'this change'} is to be done once more"
            )
            hint = "find out which other client changes this cluster, then run the same command again"
            raise Stop("failed", Failure.UNDONE_BY_OTHERS, reason, hint)
        if self._tries.total() > _MOST_CHANGES:
            reason = f"the list is not reached after {_MOST_CHANGES} changes"
            raise Stop("failed", Failure.TOO_MANY_ATTEMPTS, reason, "run the same command again")

    def _failed(self, running: StepView, error: ChildWorkflowError) -> Stop:
        """Why the apply stops, in the words of the change that did not go through."""
        cause = error.cause
        if isinstance(cause, Cancelled) and self.interruptions.is_stopped:
            self.board.takes_back()
            return Stop("cancelled", Failure.CANCELLED, f"cancelled with the change {running.workflow_id}")
        again = "run the same command again: it goes on from there"
        if isinstance(cause, ApplicationError) and cause.type:
            end = outcome_in(cause)
            self.board.ends(end)
            hint = "; ".join(filter(None, (end.hint if end else "", again)))
            refused = end is not None and end.outcome == "refused"
            # The message has the hint in it, for Temporal's UI.
            why = (end and end.reason) or cause.message
            return Stop("refused" if refused else "failed", cause.type, f"{running.what}: {why}", hint)
        how = "was cancelled by another client" if isinstance(cause, Cancelled) else "was ended from outside"
        self.board.ends(None)
        return Stop("failed", Failure.STEP_ENDED, f"{running.what}: {running.workflow_id} {how}", again)
