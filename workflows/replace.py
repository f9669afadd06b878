"""ReplaceMember: a new member takes the place of an old one, under one turn."""

from __future__ import annotations

from dataclasses import replace

from temporalio import workflow
from temporalio.common import RawValue

from workflows.course import Course
from workflows.ends import NOTHING, parse
from workflows.joining import STAGES as JOINING
from workflows.joining import Joining
from workflows.removing import STAGES as REMOVING
from workflows.removing import Removing
from workflows.steering import Steered

with workflow.unsafe.imports_passed_through():
    from membership.model import ClusterStatus, Handover, Member, SyncProgress
    from membership.preflight import Check, check_replace, find_member, is_down, order_of
    from membership.requests import Outcome, ReplaceRequest
    from membership.stop import Stop
    from membership.verdicts import Facts, spare


class Replacement(Course[ReplaceRequest]):
    """One replacement: the steps of a join and of a removal, in the order that is safer."""

    def __init__(self, request: ReplaceRequest) -> None:
        what = f"{request.name} replaces {request.old} in {request.cluster}"
        super().__init__(request, what, ("preflight", "turn", *JOINING, *REMOVING))
        self.joining = Joining(self)
        self._old: Member | None = None
        self._was_removed = self._has_joined = False

    def facts(self, status: ClusterStatus) -> Facts:
        return replace(super().facts(status), peer_urls=self.request.peer_urls)

    def checks(self, status: ClusterStatus, facts: Facts) -> tuple[Check, ...]:
        checks = check_replace(status, facts, self._old or self.request.old, self.request)
        # Resumed after its own removal: that the old member is gone is no news then.
        return tuple(c for c in checks if not (self._was_removed and c.name == "old member"))

    async def forward(self) -> Outcome:
        seen = await self.preflight()
        self._old = self._old or find_member(seen, self.request.old)
        old = self._old and seen.member(self._old.id)
        if self.joining.is_voter(seen) and old is None:
            self.joining.hand_over(seen)
            return self.end("replaced", seen)
        await self.joining.check_launcher()
        seen = await self.take_turn(preempt=self.request.preempt and old is not None and is_down(seen, old))
        voters, live = len(seen.voters), len(seen.live_voters)
        before = replace(self.change.facts, began_with=(voters, spare(voters, live)))
        self.change.facts = before
        if order_of(seen, old, self.request).first == "remove-first":
            seen = await self._remove(seen, returning=1)
            self.change.facts = before
            seen = await self._join(seen)
        else:
            seen = await self._join(seen)
            self.change.facts = before
            seen = await self._remove(seen, returning=0)
        return self.end("replaced", seen, verified=self.joining.verified)

    async def _join(self, seen: ClusterStatus) -> ClusterStatus:
        if self.joining.is_voter(seen):
            self.joining.hand_over(seen)
        else:
            seen = await self.joining.run(seen)
        self._has_joined = True
        self.change.unstoppable = False
        return seen

    async def _remove(self, seen: ClusterStatus, returning: int) -> ClusterStatus:
        if self._old is None or seen.member(self._old.id) is None:
            return seen
        seen = await Removing(self, self._old, returning).run(seen)
        self._was_removed = True
        self.change.unstoppable = False
        await self.change.ask_again(self.turn)
        await self.joining.stop_old(self._old)
        return seen

    async def back(self, stop: Stop) -> ClusterStatus | None:
        """Takes back the half that can be taken back, and says which half stands."""
        status: ClusterStatus | None = None
        if not self._has_joined:
            status, self._has_joined = await self.joining.back(stop)
        halves = {
            (True, False): "old removed, new not joined",
            (False, True): "new joined, old not removed",
        }
        half = halves.get((self._was_removed, self._has_joined))
        if half:
            stop.kind = "failed"
            stop.reason = f"{half}: {stop.reason}"
            stop.hint = f"{stop.hint + '; ' if stop.hint else ''}run the same command again: it goes on from there"
        return status

    @property
    def rolled_back(self) -> bool:
        return not (self._was_removed or self._has_joined) and super().rolled_back


@workflow.defn
class ReplaceMember(Steered):
    """
    Old member healthy: join the new one, then remove the old. Old member dead: remove it first. One turn.

    Completes as `replaced`; fails, with the outcome as details, when refused, rolled back, or between the halves:
    then the same request, run again, goes on from there.
    """

    @workflow.run
    async def run(self, request: RawValue = NOTHING) -> Outcome:
        return await self.follow(Replacement(parse(ReplaceRequest, request)))

    @workflow.signal(description="The sync watch tells how far it is")
    def note_progress(self, progress: SyncProgress) -> None:
        if isinstance(self._course, Replacement):
            self._course.joining.note(progress)

    @workflow.update(description="Returns the handover as soon as the learner is added")
    async def wait_until_added(self) -> Handover:
        return await self.added()
