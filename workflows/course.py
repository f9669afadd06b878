"""The course of one change, whichever it is: forward step by step, and back when it must stop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Generic, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError

from workflows.board import Board
from workflows.change import Change, stop_of
from workflows.ends import failure, outcome
from workflows.timeouts import ASK
from workflows.turn import Turn

with workflow.unsafe.imports_passed_through():
    from activities.observe import Observe
    from membership.allow import check_allowed, check_line
    from membership.checks import Check
    from membership.duration import format_duration
    from membership.failures import Failure
    from membership.model import ClusterStatus, Handover
    from membership.preflight import refusal, warnings
    from membership.verdicts import Facts
    from messages.learners import orphans_beside
    from messages.orders import Beforehand
    from messages.outcomes import Outcome, OutcomeKind
    from messages.requests import ChangeRequest
    from workflows.stop import Stop, StopKind

R = TypeVar("R", bound=ChangeRequest)


class Course(Generic[R]):
    """
    One change. A kind of change says what it does (`forward`), what it takes back (`back`) and what it checks first.

    `handover` is there once a learner is added, `ended` once nothing more will happen; `rolled_back`: everything that
    it did was taken back.
    """

    def __init__(self, request: R, what: str, stages: tuple[str, ...]) -> None:
        self.request = request
        self.board = Board(what, request.verb, request.cluster, request.subject, stages)
        self.change = Change(self.board, request.cluster, request.subject)
        self.turn = Turn(self.change)
        self.handover: Handover | None = None
        self.ended = False
        self.rolled_back = False
        # What fails before it has looked: resumed after a hold, a change is held again rather than taken back.
        self.unseen: StopKind = "refused"

    async def run(self) -> Outcome:
        """The whole change; once more, after a failure that was held and then resumed."""
        course: Callable[[], Awaitable[Outcome]] = self.forward
        try:
            while True:
                try:
                    return await course()
                except Stop as stop:
                    self.change.clocks.end()
                    if stop.error == Failure.JOIN_TIMEOUT and self.board.view.waits_for:
                        stop.reason += f"; in the end it waited for: {self.board.view.waits_for}"
                    if stop.kind == "clock" and self.change.facts.policy.on_failure == "hold":
                        self.explain(stop)
                        self.change.hold("; ".join(filter(None, (f"{stop.error}: {stop.reason}", stop.hint))))
                        course = self._forward_again
                    else:
                        course = partial(self._unwind, stop)
        finally:
            self.ended = True

    async def _forward_again(self) -> Outcome:
        """Held where it stands; resumed, it begins again and finds what is done already."""
        await self.change.safe_point()
        self.unseen = "clock"
        return await self.forward()

    async def forward(self) -> Outcome:
        raise NotImplementedError

    async def back(self, stop: Stop) -> ClusterStatus | Outcome | None:
        """Leaves nothing of ours behind: the last look, or the outcome after all when it was too late to go back."""
        raise NotImplementedError

    async def remember(self, status: ClusterStatus) -> None:
        """Looks up what an earlier run of the same change left to this one."""

    def explain(self, stop: Stop) -> None:
        """Adds to the reason what of the change stands, where that is not plain."""

    def checks(self, status: ClusterStatus, facts: Facts) -> tuple[Check, ...]:
        raise NotImplementedError

    def facts(self, status: ClusterStatus) -> Facts:
        """What is known of the change before its first act."""
        return Facts(self.request.cluster, status.cluster_id, self.change.profile.policy, self.request.subject)

    async def preflight(self) -> ClusterStatus:
        """The cluster's policy, once, and a first look: what is done or hopeless needs no turn."""
        self.board.enter("preflight")
        change = self.change
        if not change.has_profile:
            try:
                change.profile = await change.interruptible(
                    lambda: ASK.start(Observe.read_profile, self.request.cluster, f"{change.member}: read the policy")
                )
            except ActivityError as error:
                raise stop_of(error, self.unseen) from error
            self.board.use_search_attributes(change.profile.search_attributes)
        seen = await change.first_look(self.unseen)
        status = seen.status
        change.facts = self.facts(status)
        self._refuse(check_line(change.profile.allow, sum(t != change.ticket for t in seen.turns.waiting)))
        await self.remember(status)
        for warning in warnings(self._check(seen)):
            self.board.warn(warning)
        return status

    def _check(self, seen: Beforehand) -> tuple[Check, ...]:
        """What this look shows is checked; raises Stop for what is refused."""
        orphans = orphans_beside(self.request, seen)
        self._refuse(check_allowed(self.change.profile.allow, self.request.asked))
        checks = self.checks(seen.status.without(*orphans), self.change.facts)
        self._refuse(checks)
        return checks

    def _refuse(self, checks: tuple[Check, ...]) -> None:
        if refused := refusal(checks):
            raise Stop("refused", refused.error, refused.evidence, refused.hint)

    async def take_turn(self, *, preempt: bool = False) -> ClusterStatus:
        """Waits in line; the look that was made with the turn, checked as the first one was."""
        self.board.enter("turn")
        await self.turn.take(preempt=preempt)
        limit = self.change.facts.policy.join_timeout
        reason = f"the change took longer than join_timeout ({format_duration(limit)})"
        hint = "`memberflow status` shows the cluster; run the same command again once what it waited for is mended"
        self.change.clocks.start("join_timeout", limit, Stop("clock", Failure.JOIN_TIMEOUT, reason, hint))
        status = await self.change.look("look with the turn")
        self.turn.report(status)
        self._check(self.turn.beforehand(status))
        return status

    def end(self, kind: OutcomeKind, status: ClusterStatus, *, verified: bool | None = None) -> Outcome:
        self.board.enter("ended")
        return outcome(kind, self.request, self.board, status, verified=verified)

    async def _unwind(self, stop: Stop) -> Outcome:
        change = self.change
        change.unstoppable = True
        left = await self.back(stop)
        if isinstance(left, Outcome):
            return left
        self.board.enter("ended")
        if stop.kind == "cancelled":
            raise asyncio.CancelledError
        kind: OutcomeKind = "failed"
        if self.rolled_back:
            kind = "rolled-back"
        elif stop.kind == "refused" and not any(r.sent for reports in change.reports.values() for r in reports):
            kind = "refused"
        raise failure(stop, outcome(kind, self.request, self.board, left, stop))
