"""A member joins: the steps forward and back, as a join and a replace take them."""

from __future__ import annotations

from dataclasses import replace

from temporalio import workflow

from workflows.change import Change
from workflows.container import Container
from workflows.learner import Learner
from workflows.settle import PROMOTE, SYNC, settle, verify

with workflow.unsafe.imports_passed_through():
    from membership.failures import Failure
    from membership.judge_join import contradicts
    from membership.model import ClusterStatus, Member, SyncProgress
    from membership.newcomer import check_newcomer
    from membership.verdicts import Done
    from messages.requests import JoinRequest, ReplaceRequest
    from messages.views import Stage
    from workflows.carried import CarriedJoining
    from workflows.stop import Stop

# A text that becomes the reason of an end must fit into an outcome.
_LONGEST_NOTE = 1000

STAGES: tuple[Stage, ...] = ("add", "sync", "promote", "verify")


class Joining:
    """
    One member's way in.

    Each step stands beside its undo: `Learner.add` and `take_back`, `hand_over` and `take_back_handover`,
    `Container.launch` and `stop`. A promote has no undo.
    """

    def __init__(self, change: Change[JoinRequest] | Change[ReplaceRequest]) -> None:
        self._change = change
        self._request: JoinRequest | ReplaceRequest = change.request
        self.learner = Learner(change)
        self.container = Container(change, self._request.name, self._request.launcher)
        #: Whether the voters and the member itself confirmed that it is a voter. None before they were asked.
        self.verified: bool | None = None
        #: It was too late to go back: the member is a voter.
        self.is_in = False
        self._was_held_before_promote = False
        self._was_judged = False

    def carry(self) -> CarriedJoining:
        """The state for the next run."""
        return CarriedJoining(
            self.learner.carry(),
            self.container.launched,
            self.verified,
            self._was_held_before_promote,
            self._was_judged,
        )

    def restore(self, carried: CarriedJoining) -> None:
        """Goes on with the state of the run before."""
        self.learner.restore(carried.learner)
        self.container.launched, self.verified = carried.launched, carried.verified
        self._was_held_before_promote, self._was_judged = carried.was_held_before_promote, carried.was_judged

    async def run(self, status: ClusterStatus) -> ClusterStatus:
        """From the look with the turn to the look at the new voter."""
        status = await self.learner.add(status)
        if self.learner.is_voter(status) and not self.learner.added_by_this_run:
            self._change.board.warn(f"{self._request.name} was a voter before this run")
            status = await self._verify(status)
            self._hand_over_again(status)
            return status
        self.learner.hand_over(status)
        await self.container.launch(status)
        status = await self._sync(status)
        status = await self._promote(status)
        return await self._verify(status)

    async def back(self, stop: Stop) -> ClusterStatus | None:
        """
        Undoes the steps, the last step first. Returns the last look, or None where nothing was done.

        A learner that is a voter by now stays a voter: `is_in` says so.
        """
        if not self.learner.may_be_there:
            return None
        self._change.board.enter("rollback")
        self.learner.take_back_handover()
        status = await self._change.cluster.look("is there a learner of this change to remove?")
        self.learner.forget_if_gone(status)
        if self.learner.became_voter(status) and stop.kind in ("cancelled", "clock"):
            return await self._too_late(status, stop, "the member is a voter by now")
        await self.container.explain(stop)
        try:
            status = await self.learner.take_back(status)
        except Stop as late:
            if late.error != Failure.BECAME_VOTER:
                _tell_of_learner(stop, late)
                return status
            status = await self._change.cluster.look("look at the new voter")
            return await self._too_late(status, stop, late.reason)
        if not (self.learner.is_voter(status) or self.learner.became_voter(status)):
            await self.container.stop()
        return status

    async def find_voter(self, status: ClusterStatus) -> ClusterStatus:
        """Notes a voter that was there before. Raises Stop if it goes on saying that it is no voter."""
        member = self.learner.note(status)
        if contradicts(status, self._change.cluster.facts):
            status = await self._verify(status)
        else:
            self.verified = isinstance(self._change.cluster.judge("verify", status), Done)
        if member.id not in status.statuses:
            self._change.board.warn(_silent_voter(status, member, self._request))
        self._hand_over_again(status)
        return status

    def _hand_over_again(self, status: ClusterStatus) -> None:
        """
        Makes the handover of a voter known that was there before, if it is verified.

        A voter that does not answer may have lost its data. Started without it, it would vote against entries that
        it has confirmed before.
        """
        if self.verified:
            self.learner.hand_over(status)

    def note(self, progress: SyncProgress) -> None:
        """Shows a note of the sync watch. Every writer of the namespace can send one, so it changes texts alone."""
        self._change.board.note(replace(progress, reason=progress.reason[:_LONGEST_NOTE]))

    # ---- steps ----

    async def _sync(self, status: ClusterStatus) -> ClusterStatus:
        self._change.board.enter("sync")
        try:
            status = await settle(self._change, SYNC, status, self.container.launched)
        except Stop as stop:
            last_wait = self._change.board.view.waits_for
            if stop.error != Failure.START_TIMEOUT:
                raise
            if not await self._has_started():
                stop.reason += f": {last_wait}" if last_wait else ""
                raise
            status = await settle(self._change, SYNC, launch=self.container.launched)
        self.learner.end_start_timeout()
        return status

    async def _has_started(self) -> bool:
        """Only a look shows whether it started. The clock of a started member runs until it has caught up."""
        status = await self._change.cluster.look("has the member started?")
        member = status.member(self._change.cluster.facts.member_id)
        return member is not None and bool(member.name)

    async def _promote(self, status: ClusterStatus) -> ClusterStatus:
        if not self.learner.is_voter(status):
            self._change.board.enter("promote")
            await self._judge_newcomer(status)
            await self._hold_before_promote()
            status = await settle(self._change, PROMOTE, status)
        if not self._change.cluster.reports.may_have_applied(PROMOTE.what):
            self._change.board.warn("the member was promoted, but not by this change")
        return status

    async def _judge_newcomer(self, status: ClusterStatus) -> None:
        """Warns of settings that endanger the cluster once the member votes. The policy may hold the join for them."""
        found = check_newcomer(status, self._change.cluster.facts.member_id)
        self._change.board.notice(found)
        if not found or self._change.cluster.facts.policy.newcomer == "warn" or self._was_judged:
            return
        self._was_judged = True
        told = "; ".join(f"{check.evidence} ({check.hint})" for check in found)
        self._change.interruptions.hold(f"the new member is not fit to vote yet: {told}. `resume` promotes it as it is")
        await self._change.interruptions.safe_point()

    async def _hold_before_promote(self) -> None:
        if self._request.hold_before == "promote" and not self._was_held_before_promote:
            self._was_held_before_promote = True
            self._change.interruptions.hold("asked for by hold_before = promote")
            await self._change.interruptions.safe_point()

    async def _verify(self, status: ClusterStatus) -> ClusterStatus:
        """Nothing undoes a promote: from here on the join can only succeed, or report an oddity."""
        self._change.interruptions.unstoppable = True
        self._change.interruptions.end_clocks()
        self._change.board.enter("verify")
        status, self.verified = await verify(self._change, "verify", status, "verify the new voter")
        # The settings of a learner with a second witness can only be seen now.
        self._change.board.notice(check_newcomer(status, self._change.cluster.facts.member_id))
        return status

    async def _too_late(self, status: ClusterStatus, stop: Stop, why: str) -> ClusterStatus:
        self._change.board.warn(f"too late to roll back ({stop.reason}): {why}")
        self.learner.hand_over(status)
        self.is_in = True
        return await self._verify(status)


def _tell_of_learner(stop: Stop, late: Stop) -> None:
    """The learner is still there: `cancelled` would mean that nothing is left."""
    stop.reason = f"{stop.reason}, and its learner could not be removed: {late.reason}"
    stop.hint = late.hint
    if stop.kind == "cancelled":
        stop.kind, stop.error = "failed", late.error


def _silent_voter(status: ClusterStatus, member: Member, request: JoinRequest | ReplaceRequest) -> str:
    """Advice about a voter that does not answer: it may be down, or its disk may be lost."""
    again = f"memberflow replace {request.cluster} {member.id} {request.name} --peer-url {request.peer_urls[0]}"
    return (
        f"{member.label} is a voter and does not answer ({status.why_silent(member.id)}). Start it with its own data "
        f"directory. If that is lost, the member cannot come back under this ID: replace it with `{again}`"
    )
