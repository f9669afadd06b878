"""JoinMember: a member joins as a learner and becomes a voter."""

from __future__ import annotations

from dataclasses import replace

from temporalio import workflow
from temporalio.common import RawValue

from workflows.course import Course
from workflows.ends import NOTHING, parse
from workflows.joining import STAGES, Joining
from workflows.steering import Steered
from workflows.steps import PROMOTE

with workflow.unsafe.imports_passed_through():
    from membership.checks import Check
    from membership.model import ClusterStatus, Handover, SyncProgress
    from membership.preflight import check_join
    from membership.verdicts import Facts
    from messages.outcomes import Outcome, OutcomeKind
    from messages.requests import JoinRequest
    from workflows.stop import Stop


class Join(Course[JoinRequest]):
    """One join."""

    def __init__(self, request: JoinRequest) -> None:
        super().__init__(request, f"{request.name} joins {request.cluster}", ("preflight", "turn", *STAGES))
        self.joining = Joining(self)

    def facts(self, status: ClusterStatus) -> Facts:
        return replace(super().facts(status), peer_urls=self.request.peer_urls)

    def checks(self, status: ClusterStatus, facts: Facts) -> tuple[Check, ...]:
        return check_join(status, facts)

    async def forward(self) -> Outcome:
        seen = await self.preflight()
        if self.joining.is_voter(seen):
            seen = await self.joining.is_in(seen)
            # After a hold, the course begins anew and finds what it did before.
            kind: OutcomeKind = "promoted" if self.change.did(PROMOTE.what) else "already-voter"
            return self.end(kind, seen, verified=self.joining.verified)
        await self.joining.check_launcher()
        seen = await self.joining.run(await self.take_turn())
        return self.end("promoted", seen, verified=self.joining.verified)

    async def back(self, stop: Stop) -> ClusterStatus | Outcome | None:
        status, is_in = await self.joining.back(stop)
        self.rolled_back = self.joining.rolled_back
        if is_in and status:
            return self.end("promoted", status, verified=self.joining.verified)
        return status


@workflow.defn
class JoinMember(Steered):
    """
    preflight → turn → add learner → handover → launch, if asked → wait for the member to start → wait for sync →
    promote → verify.

    Completes as `promoted` or `already-voter`; fails, with the outcome as details, when refused, rolled back
    or out of time; is cancelled when cancelled before its promote, after removing the learner that it added.
    """

    @workflow.run
    async def run(self, request: RawValue = NOTHING) -> Outcome:
        return await self.follow(Join(parse(JoinRequest, request)))

    @workflow.signal(description="The sync watch tells how far it is")
    def note_progress(self, progress: SyncProgress) -> None:
        if isinstance(self._course, Join):
            self._course.joining.note(progress)

    @workflow.update(description="Returns the handover as soon as the learner is added")
    async def wait_until_added(self) -> Handover:
        return await self.added()
