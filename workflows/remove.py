"""RemoveMember: a member leaves a cluster."""

from __future__ import annotations

from dataclasses import replace

from temporalio import workflow
from temporalio.common import RawValue

from workflows.arguments import NOTHING
from workflows.change import Change
from workflows.dead_members import why_not_dead
from workflows.orphans import clear_orphans
from workflows.removing import STAGES, Removing
from workflows.settle import REMOVE
from workflows.steered import Steered

with workflow.unsafe.imports_passed_through():
    from membership.checks import Check
    from membership.model import ClusterStatus, Member
    from membership.preflight import check_remove, find_member
    from membership.verdicts import Facts
    from messages.outcomes import Outcome
    from messages.requests import RemoveRequest
    from workflows.carried import Carried, CarriedRemoving, Tries
    from workflows.stop import Stop


class Removal(Change[RemoveRequest]):
    """One removal. The first look pins the member to its ID."""

    def __init__(self, request: RemoveRequest) -> None:
        super().__init__(request, request.summary, ("preflight", "turn", *STAGES))
        self._target: Member | None = None
        self._removing: Removing | None = None

    def carry(self, tries: Tries) -> Carried:
        returning = 0 if self._removing else None
        return replace(super().carry(tries), removing=CarriedRemoving(self._target, returning))

    def restore(self, carried: Carried) -> None:
        super().restore(carried)
        self._target = carried.removing.target
        if self._target and carried.removing.returning is not None:
            self._removing = Removing(self, self._target)

    def checks(self, status: ClusterStatus, facts: Facts) -> tuple[Check, ...]:
        return check_remove(
            status, facts, self._target or self.request.member, force=self.request.force, record=self.record
        )

    async def forward(self) -> Outcome:
        status = await self.preflight()
        self._target = self._target or find_member(status, self.request.member)
        if self._target is None:
            self.board.knows_member(self.record.removed_id)
            return self.end("already-removed", status, verified=None if self.record.was_removed else False)
        if status.member(self._target.id) is None:
            # After a hold or in a new run, the change begins again and finds its own removal.
            return self.end("removed" if self._may_have_removed else "already-removed", status)
        self.board.knows_member(self._target.id)
        status = await self.take_turn(self._why_not_dead if self.request.preempt else None)
        status = await clear_orphans(self, status)
        was_gone = status.member(self._target.id) is None and not self._may_have_removed
        self._removing = removing = Removing(self, self._target)
        status = await removing.run(status)
        return self.end("already-removed" if was_gone else "removed", status, verified=removing.verified)

    @property
    def _may_have_removed(self) -> bool:
        return self.cluster.reports.may_have_applied(REMOVE.what)

    async def _why_not_dead(self) -> str:
        assert self._target, "pinned before the change asks for its turn"
        return await why_not_dead(self, self._target)

    async def back(self, stop: Stop) -> ClusterStatus | Outcome | None:
        """There is no way back: the member stays, unless the removal took effect late."""
        if self._removing and (status := await self._removing.went_after_all(stop)):
            return self.end("removed", status, verified=self._removing.verified)
        return None


@workflow.defn
class RemoveMember(Steered):
    """
    preflight → turn → snapshot, if the policy says so → move leadership away if held → remove → check.

    Completes as `removed` or `already-removed`. Fails, with the outcome as details, when refused. Is cancelled
    when cancelled before the removal was sent.
    """

    @workflow.run
    async def run(self, request: RawValue = NOTHING) -> Outcome:
        return await self.follow(Removal, RemoveRequest, request)
