"""JoinMember: a member joins as a learner and becomes a voter."""

from __future__ import annotations

from dataclasses import replace

from temporalio import workflow
from temporalio.common import RawValue

from workflows.arguments import NOTHING
from workflows.change import Change
from workflows.joining import STAGES, Joining
from workflows.settle import PROMOTE
from workflows.steered import Steered

with workflow.unsafe.imports_passed_through():
    from membership.checks import Check
    from membership.model import ClusterStatus, Handover, SyncProgress
    from membership.preflight import check_join
    from membership.verdicts import Facts
    from messages.outcomes import Outcome, OutcomeKind
    from messages.requests import JoinRequest
    from workflows.carried import Carried, Tries
    from workflows.stop import Stop


class Join(Change[JoinRequest]):
    """One join."""

    def __init__(self, request: JoinRequest) -> None:
        super().__init__(request, request.summary, ("preflight", "turn", *STAGES))
        self.joining = Joining(self)

    def carry(self, tries: Tries) -> Carried:
        return replace(super().carry(tries), joining=self.joining.carry())

    def restore(self, carried: Carried) -> None:
        super().restore(carried)
        self.joining.restore(carried.joining)

    def facts(self, status: ClusterStatus) -> Facts:
        return replace(super().facts(status), peer_urls=self.request.peer_urls)

    def checks(self, status: ClusterStatus, facts: Facts) -> tuple[Check, ...]:
        return check_join(status, facts)

    async def forward(self) -> Outcome:
        status = await self.preflight()
        if self.joining.learner.is_voter(status):
            status = await self.joining.find_voter(status)
            # After a hold, the change begins anew and finds its own promote.
            kind: OutcomeKind = "promoted" if self.cluster.reports.may_have_applied(PROMOTE.what) else "already-voter"
            return self.end(kind, status, verified=self.joining.verified)
        await self.joining.container.check()
        status = await self.take_turn()
        status = await self.joining.run(status)
        return self.end("promoted", status, verified=self.joining.verified)

    async def back(self, stop: Stop) -> ClusterStatus | Outcome | None:
        status = await self.joining.back(stop)
        if self.joining.is_in and status:
            return self.end("promoted", status, verified=self.joining.verified)
        return status


@workflow.defn
class JoinMember(Steered):
    """
    preflight → turn → add learner → handover → launch, if asked → wait for the member to start → wait for sync →
    promote → verify.

    Completes as `promoted` or `already-voter`. Fails, with the outcome as details, when refused, rolled back
    or out of time. Is cancelled when cancelled before its promote, after removing the learner that it added.
    """

    @workflow.run
    async def run(self, request: RawValue = NOTHING) -> Outcome:
        return await self.follow(Join, JoinRequest, request)

    @workflow.signal(description="The sync watch tells how far it is")
    def note_progress(self, progress: SyncProgress) -> None:
        if isinstance(self._change, Join):
            self._change.joining.note(progress)

    @workflow.update(description="Returns the handover as soon as the learner is added")
    async def wait_until_added(self) -> Handover:
        return await self.added()
