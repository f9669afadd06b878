"""ReplaceMember: a new member takes the place of an old one, under one turn."""

from __future__ import annotations

from dataclasses import replace

from temporalio import workflow
from temporalio.common import RawValue

from workflows.arguments import NOTHING
from workflows.change import Change
from workflows.dead_members import ask_about, why_not_dead
from workflows.joining import STAGES as JOINING
from workflows.joining import Joining
from workflows.removing import STAGES as REMOVING
from workflows.removing import Removing
from workflows.steered import Steered
from workflows.timeouts import ASK, start

with workflow.unsafe.imports_passed_through():
    from activities.earlier_changes import EarlierChanges, EarlierRuns
    from membership.checks import Check
    from membership.model import ClusterStatus, Handover, Member, SyncProgress
    from membership.preflight import find_member
    from membership.preflight_replace import between_halves, check_replace, first_half
    from membership.verdicts import Facts, spare
    from messages.outcomes import Outcome
    from messages.requests import ReplaceRequest
    from workflows.carried import Carried, CarriedHalves, CarriedRemoving, Tries
    from workflows.stop import Stop


class Replacement(Change[ReplaceRequest]):
    """One replacement: the steps of a join and of a removal, in the order that is safer."""

    def __init__(self, request: ReplaceRequest) -> None:
        super().__init__(request, request.summary, ("preflight", "turn", *JOINING, *REMOVING))
        self.joining = Joining(self)
        self._old: Member | None = None
        self._began_with: tuple[int, int] | None = None
        self._was_removed = self._has_joined = False
        self._seen_gone: bool | None = None
        self._removing: Removing | None = None

    def carry(self, tries: Tries) -> Carried:
        returning = self._removing.returning if self._removing else None
        return replace(
            super().carry(tries),
            joining=self.joining.carry(),
            removing=CarriedRemoving(self._old, returning),
            halves=CarriedHalves(self._began_with, self._was_removed, self._has_joined, self._seen_gone),
        )

    def restore(self, carried: Carried) -> None:
        super().restore(carried)
        halves, self._old = carried.halves, carried.removing.target
        self.joining.restore(carried.joining)
        self._began_with, self._seen_gone = halves.began_with, halves.seen_gone
        self._was_removed, self._has_joined = halves.was_removed, halves.has_joined
        if self._old and carried.was_checked:
            self._tell_beginning(self._old)
        if self._old and carried.removing.returning is not None:
            self._removing = Removing(self, self._old, carried.removing.returning)

    def facts(self, status: ClusterStatus) -> Facts:
        return replace(super().facts(status), peer_urls=self.request.peer_urls)

    def checks(self, status: ClusterStatus, facts: Facts) -> tuple[Check, ...]:
        checks = check_replace(status, facts, self._old or self.request.old, self.request, self.record)
        # Resumed after its own removal, the change expects the old member to be gone.
        return tuple(c for c in checks if not (self._was_removed and c.name == "old member"))

    async def remember(self, status: ClusterStatus) -> None:
        """After a failure between the halves the removal is judged by the voters and spare before the first run."""
        old = between_halves(status, self._old or self.request.old, self.request)
        if self._began_with is None and old:
            question = EarlierRuns(self.ticket.workflow_id, old.id)
            why = f"{self.request.name}: what did it begin with?"
            self._began_with = await start(EarlierChanges.began_with, question, ASK, why)
        self.cluster.facts = replace(self.cluster.facts, began_with=self._began_with)

    async def forward(self) -> Outcome:
        status = await self.preflight()
        self._old = self._old or find_member(status, self.request.old)
        old = self._old and status.member(self._old.id)
        if self.joining.learner.is_voter(status) and old is None:
            status = await self.joining.find_voter(status)
            return self.end("replaced", status, verified=self._verified())
        await self.joining.container.check()
        status = await self.take_turn(self._why_not_dead if self.request.preempt and old else None)
        if old:
            status = await ask_about(self, old, status)
        self._begin(status, old)
        if first_half(status, old, self.request).half == "remove-first":
            status = await self._remove(status, returning=1)
            status = await self._join(status)
        else:
            status = await self._join(status)
            if not status.asked_all:
                status = await self.look("look before the removal")
            status = await self._remove(status, returning=0)
        return self.end("replaced", status, verified=self._verified())

    async def _why_not_dead(self) -> str:
        assert self._old, "pinned before the change asks for its turn"
        return await why_not_dead(self, self._old)

    def _begin(self, status: ClusterStatus, old: Member | None) -> None:
        """Keeps the voters and spare of its beginning, for itself after a hold, and for another run after a failure."""
        if self._began_with is None:
            voters = len(status.voters)
            self._began_with = (voters, spare(voters, len(status.live_voters)))
        if old:
            self._tell_beginning(old)
        self.cluster.facts = replace(self.cluster.facts, began_with=self._began_with)

    def _tell_beginning(self, old: Member) -> None:
        if self._began_with:
            workflow.upsert_memo({"began_with": [old.id, *self._began_with]})

    async def _join(self, status: ClusterStatus) -> ClusterStatus:
        before = self.cluster.facts
        status = await self.joining.run(status)
        self.cluster.facts = before
        self.turn.memory.report(status)
        self._has_joined = True
        self.interruptions.unstoppable = False
        return status

    async def _remove(self, status: ClusterStatus, returning: int) -> ClusterStatus:
        if self._old is None or self._was_removed:
            return status
        before = self.cluster.facts
        self._removing = removing = Removing(self, self._old, returning)
        status = await removing.run(status)
        self.cluster.facts = before
        self._was_removed = True
        self._seen_gone = removing.verified
        self.interruptions.unstoppable = False
        await self.joining.container.stop_old(self._old)
        return status

    def _verified(self) -> bool | None:
        """Of both halves, as far as this run did them."""
        told = [v for v in (self.joining.verified, self._seen_gone) if v is not None]
        return all(told) if told else None

    async def back(self, stop: Stop) -> ClusterStatus | Outcome | None:
        """Takes back the half that can be taken back, and says which half stands."""
        status: ClusterStatus | None = None
        if self._removing and not self._was_removed and (gone := await self._removing.went_after_all(stop)):
            self._was_removed, self._seen_gone = True, self._removing.verified
            if self._has_joined:
                return self.end("replaced", gone, verified=self._verified())
        if not self._has_joined:
            status = await self.joining.back(stop)
            if self.joining.is_in and self._was_removed and status:
                return self.end("replaced", status, verified=self._verified())
            self._has_joined = status is not None and self.joining.learner.is_voter(status)
        if self._half:
            stop.kind = "failed"
            self.explain(stop)
            stop.hint = f"{stop.hint + '; ' if stop.hint else ''}run the same command again: it goes on from there"
        self.rolled_back = self.rolled_back and not self._half
        return status

    def explain(self, stop: Stop) -> None:
        if self._half:
            stop.reason = f"{self._half}: {stop.reason}"

    @property
    def _half(self) -> str:
        halves = {
            (True, False): "old removed, new not joined",
            (False, True): "new joined, old not removed",
        }
        return halves.get((self._was_removed, self._has_joined), "")


@workflow.defn
class ReplaceMember(Steered):
    """
    Old member healthy: join the new one, then remove the old. Old member dead: remove it first. One turn.

    Completes as `replaced`. Fails, with the outcome as details, when refused, rolled back, or between the halves.
    In that last case the same request, run again, goes on from there.
    """

    @workflow.run
    async def run(self, request: RawValue = NOTHING) -> Outcome:
        return await self.follow(Replacement, ReplaceRequest, request)

    @workflow.signal(description="The sync watch tells how far it is")
    def note_progress(self, progress: SyncProgress) -> None:
        if isinstance(self._change, Replacement):
            self._change.joining.note(progress)

    @workflow.update(description="Returns the handover as soon as the learner is added")
    async def wait_until_added(self) -> Handover:
        return await self.added()
