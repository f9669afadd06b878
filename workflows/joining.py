"""A member joins: the steps forward and back, as a join and a replace take them."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial

from temporalio import workflow
from temporalio.exceptions import ActivityError

from workflows.change import stop_of
from workflows.course import Course
from workflows.orphans import clear_orphans
from workflows.steps import ADD, PROMOTE, ROLLBACK, SYNC, settle, settle_unasked, verify
from workflows.timeouts import LAUNCH

with workflow.unsafe.imports_passed_through():
    from activities.launch import Launching
    from membership.duration import format_duration
    from membership.failures import Failure
    from membership.judge_join import contradicts
    from membership.model import ClusterStatus, Member, SyncProgress, handover
    from messages.launching import Launch
    from messages.orders import LaunchOrder
    from messages.requests import JoinRequest, ReplaceRequest
    from workflows.stop import Stop

STAGES = ("add", "sync", "promote", "verify")


class Joining:
    """The steps of one member's way in, for the change that `course` is."""

    def __init__(self, course: Course[JoinRequest] | Course[ReplaceRequest]) -> None:
        self._course = course
        self.request: JoinRequest | ReplaceRequest = course.request
        self.board, self.change, self.turn = course.board, course.change, course.turn
        self.verified: bool | None = None
        self.rolled_back = False
        self._member_id = ""
        self._own_id = ""  # of the learner that a call of this change added
        self._released = False
        self._launched: LaunchOrder | None = None

    def note(self, progress: SyncProgress) -> None:
        """The sync watch tells of another phase: a member that has started is not waited for to start."""
        self.board.note(progress)
        if progress.phase not in ("not started", "unknown"):
            self.change.clocks.end("start_timeout")

    # ---- forward ----

    async def run(self, seen: ClusterStatus) -> ClusterStatus:
        """From the look with the turn to the look at the new voter."""
        seen = await self._add(seen)
        self.hand_over(seen)
        if self.is_voter(seen) and not self._own_id:
            self.board.warn(f"{self.request.name} is a voter already, and not by this run")
            return await self._verify(seen)
        await self._start_member(seen)
        seen = await self._sync(seen)
        seen = await self._promote(seen)
        return await self._verify(seen)

    def is_voter(self, status: ClusterStatus) -> bool:
        return any(not m.is_learner for m in status.with_peer_urls(self.request.peer_urls))

    async def is_in(self, seen: ClusterStatus) -> ClusterStatus:
        """Takes note of a voter that was there before; raises Stop if it goes on saying that it is none."""
        self.knows_member(seen)
        if contradicts(seen, self.change.facts):
            seen = await self._verify(seen)
        self.hand_over(seen)
        return seen

    def hand_over(self, status: ClusterStatus) -> None:
        """Makes the handover known, by query and memo."""
        self.knows_member(status)
        self._course.handover = handover(status.members, self.change.facts.member_id, self.request.name)
        given = asdict(self._course.handover)
        workflow.upsert_memo({"request": self.request.model_dump(mode="json"), "handover": given})

    def knows_member(self, status: ClusterStatus) -> Member:
        member = self._found(status)
        assert member, "a settled add shows it"
        self._member_id = member.id
        self.change.facts = replace(self.change.facts, member_id=member.id)
        self.board.knows_member(member.id)
        return member

    async def check_launcher(self) -> None:
        """Part of the preflight: an engine that can't be used is said before anything is done."""
        if self.request.launcher:
            launch = Launch(self.request.cluster, self.request.name, "", {}, cluster_id=self.change.facts.cluster_id)
            order = LaunchOrder(self.request.launcher, launch)
            try:
                await self.change.start(Launching.check_launcher, order, LAUNCH, f"check {order.launcher}")
            except ActivityError as error:
                raise stop_of(error, self._course.unseen) from error

    async def stop_old(self, old: Member) -> None:
        """Stops the old member's container, if the same launcher had started it."""
        if self.request.launcher:
            launch = Launch(self.request.cluster, old.name, old.id, {}, cluster_id=self.change.facts.cluster_id)
            await self._stop(LaunchOrder(self.request.launcher, launch), f"stop what was launched for {old.name}")

    async def _add(self, status: ClusterStatus) -> ClusterStatus:
        self.board.enter("add")
        change = self.change
        self._refuse_other_urls(status)
        earlier = len(change.reports.get(ADD.what, []))
        # Each time: while others had the turn, one of them may have been ended from outside.
        make_room = partial(clear_orphans, change, self.turn, self.request)
        status = await settle(change, self.turn, ADD, status, before=make_room)
        member = self.knows_member(status)
        if any(report.applied != "no" for report in change.reports.get(ADD.what, [])[earlier:]):
            self._own_id = member.id
        if not member.is_learner:
            return status
        if self._is_ours(member):
            self.turn.report(status, added=member.id)
        else:
            self.board.warn(f"learner {member.id} was not added by this change; it is not removed if the join fails")
        if not member.name:
            limit = change.facts.policy.start_timeout
            reason = f"member {member.id} did not start within start_timeout ({format_duration(limit)})"
            hint = "was it started with the ETCD_* values that `memberflow env` prints?"
            change.clocks.start("start_timeout", limit, Stop("clock", Failure.START_TIMEOUT, reason, hint))
        return status

    async def _start_member(self, status: ClusterStatus) -> None:
        """Has the launcher start the member, where one was asked for; what runs already is left as it is."""
        member = status.member(self._member_id)
        if not self.request.launcher or member is None or not member.is_learner:
            return
        assert self._course.handover
        launch = Launch(
            cluster=self.request.cluster,
            name=self.request.name,
            member_id=self._member_id,
            environment=self._course.handover.env(),
            change=workflow.info().workflow_id,
            members=tuple(m.id for m in status.members),
            cluster_id=self.change.facts.cluster_id,
        )
        order = LaunchOrder(self.request.launcher, launch)
        self.board.waits_for(f"launcher {order.launcher} to start the member")
        try:
            if member.name and not await self.change.start(
                Launching.describe_launched, order, LAUNCH, "is it launched?"
            ):
                self.board.warn("the member runs already, and was not launched by this service: nothing was launched")
                return
            self._launched = order
            await self.change.interruptible(
                lambda: self.change.start(Launching.launch_member, order, LAUNCH, f"launch with {order.launcher}")
            )
        except ActivityError as error:
            raise stop_of(error, "failed") from error

    async def _sync(self, seen: ClusterStatus) -> ClusterStatus:
        self.board.enter("sync")
        try:
            seen = await settle(self.change, self.turn, SYNC, seen, self._launched)
        except Stop as stop:
            if stop.error != Failure.START_TIMEOUT or not await self._has_started():
                raise
            seen = await settle(self.change, self.turn, SYNC, launch=self._launched)
        self.change.clocks.end("start_timeout")
        return seen

    async def _has_started(self) -> bool:
        """The clock runs here and the member elsewhere: only a look tells whether it started just in time."""
        status = await self.change.look("has the member started?")
        member = status.member(self.change.facts.member_id)
        return member is not None and bool(member.name)

    async def _promote(self, seen: ClusterStatus) -> ClusterStatus:
        if not self.is_voter(seen):
            await self._hold_before_promote()
            seen = await settle(self.change, self.turn, PROMOTE, seen)
        if not self.change.did(PROMOTE.what):
            self.board.warn("the member was promoted, and not by this change")
        return seen

    async def _hold_before_promote(self) -> None:
        self.board.enter("promote")
        if self.request.hold_before == "promote" and not self._released:
            self._released = True
            self.change.hold("asked for by hold_before = promote")
            await self.change.safe_point()

    async def _verify(self, seen: ClusterStatus) -> ClusterStatus:
        """Nothing undoes a promote: from here on the join can only end well, or say what is odd."""
        self.change.unstoppable = True
        self.change.end_clocks()
        self.board.enter("verify")
        seen, self.verified = await verify(self.change, "verify", seen, "verify the new voter")
        return seen

    # ---- back ----

    async def back(self, stop: Stop) -> tuple[ClusterStatus | None, bool]:
        """
        Removes the learner if it is ours, and stops what was launched: the last look, and whether the member is in.

        A learner that is a voter by now stays one.
        """
        if not (self._member_id or self.change.did(ADD.what)):
            return None, False
        self.board.enter("rollback")
        self._take_back_handover()
        status = await self.change.look("is there anything of ours to remove?")
        if self._member_id not in {learner.id for learner in status.learners}:
            await self.turn.forget(self._member_id)
        left = self._found(status)
        if left and not left.is_learner and left.id == self._member_id and stop.kind in ("cancelled", "clock"):
            return await self._too_late(status, stop, "the member is a voter by now"), True
        await self._tell_of_container(stop)
        if left and left.is_learner and self._is_ours(left):
            self.knows_member(status)
            try:
                status = await settle_unasked(self.change, self.turn, ROLLBACK, status)
                self.rolled_back = True
                await self.turn.forget(left.id)
            except Stop as late:
                if late.error != Failure.BECAME_VOTER:
                    stop.reason = f"{stop.reason}; and its learner could not be removed: {late.reason}"
                    stop.hint = late.hint
                    if stop.kind == "cancelled":  # that would mean that nothing is left
                        stop.kind, stop.error = "failed", late.error
                    return status, False
                return await self._too_late(await self.change.look("look at the new voter"), stop, late.reason), True
        if self._launched and not self.is_voter(status):
            await self._stop(self._launched, "stop what was launched")
        return status, False

    def _take_back_handover(self) -> None:
        """Nobody is to start a member with it any more."""
        if self._course.handover:
            self._course.handover = None
            workflow.upsert_memo({"handover": None})

    async def _too_late(self, status: ClusterStatus, stop: Stop, why: str) -> ClusterStatus:
        self.board.warn(f"too late to roll back ({stop.reason}): {why}")
        self.hand_over(status)
        return await self._verify(status)

    async def _tell_of_container(self, stop: Stop) -> None:
        """Adds to the reason what the launched container says, where there is one."""
        if self._launched is None:
            return
        try:
            state = await self.change.start(
                Launching.describe_launched, self._launched, LAUNCH, "how is its container?"
            )
        except ActivityError:
            return
        if state and state not in stop.reason:
            stop.reason = f"{stop.reason}; {state}"

    async def _stop(self, order: LaunchOrder, why: str) -> None:
        try:
            await self.change.start(Launching.stop_launched, order, LAUNCH, why)
        except ActivityError as error:
            self.board.warn(f"a launched container could not be stopped: {stop_of(error, 'failed').reason}")

    def _found(self, status: ClusterStatus) -> Member | None:
        """The member that joins: by its ID, once that is known, since somebody may mend its peer URLs."""
        return status.member(self._member_id) or next(iter(status.with_peer_urls(self.request.peer_urls)), None)

    def _refuse_other_urls(self, status: ClusterStatus) -> None:
        """After a hold; to add a second one at the old URLs is not what anybody wants."""
        member = status.member(self._member_id)
        if member and member not in status.with_peer_urls(self.request.peer_urls):
            urls, wanted = ", ".join(member.peer_urls), ", ".join(self.request.peer_urls)
            reason = f"member {member.id} of this change has the peer URLs {urls} by now, and not {wanted}"
            raise Stop("failed", Failure.PEER_URLS_CHANGED, reason, "ask for the change again, with these URLs")

    def _is_ours(self, learner: Member) -> bool:
        """
        Only our own learner may be removed: one that was there after a call of ours that added it, or may have, or
        that the turns know as ours or as left behind by a change that ended unfinished.
        """
        return learner.id == self._own_id or self.turn.owns(learner.id)
