"""The course of a join, step by step, and its way back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from functools import partial

from temporalio import workflow
from temporalio.exceptions import ActivityError

from workflows.board import Board
from workflows.change import Change, stop_of
from workflows.ends import failure, outcome
from workflows.steps import ADD, CLEAR, PROMOTE, ROLLBACK, SYNC, settle
from workflows.timeouts import ASK
from workflows.turn import Turn

with workflow.unsafe.imports_passed_through():
    from activities.observe import Observe
    from activities.watch import Watch
    from membership.duration import format_duration
    from membership.judgements import Done, Join, Refuse, Wait, judge
    from membership.model import ClusterStatus, Handover, Member, SyncProgress, handover
    from membership.requests import JoinRequest, Outcome, OutcomeKind
    from membership.stop import Stop

STAGES = ("preflight", "turn", "add", "sync", "promote", "verify")


class Joining:
    """One join."""

    def __init__(self, request: JoinRequest) -> None:
        self.request = request
        board = Board(f"{request.name} joins {request.cluster}", request.cluster, request.name, STAGES)
        self.board = board
        self.change = Change(board, request.cluster, request.name)
        self.turn = Turn(self.change)
        self.handover: Handover | None = None
        self.ended = False
        self._member_id = ""
        self._released = False

    async def run(self) -> Outcome:
        """The whole join; once more, after a failure that was held and then resumed."""
        course: Callable[[], Awaitable[Outcome]] = self._join
        try:
            while True:
                try:
                    return await course()
                except Stop as stop:
                    self.change.clocks.end()
                    if stop.kind == "clock" and self.change.facts.policy.on_failure == "hold":
                        self.change.hold(f"{stop.error}: {stop.reason}")
                    else:
                        course = partial(self._unwind, stop)
        finally:
            self.ended = True

    def note(self, progress: SyncProgress) -> None:
        """The sync watch tells of another phase: a member that has started is not waited for to start."""
        self.board.note(progress)
        if progress.phase != "not started":
            self.change.clocks.end("start_timeout")

    # ---- forward ----

    async def _join(self) -> Outcome:
        seen = await self._preflight()
        if self._voter(seen):
            self._knows_member(seen)
            self._hand_over(seen)
            return self._end("already-voter", seen)
        await self._take_turn()
        seen = await self._add()
        self._hand_over(seen)
        seen = await self._sync(seen)
        seen = await self._promote(seen)
        return await self._verify(seen)

    async def _preflight(self) -> ClusterStatus:
        """The cluster's policy, once, and a first look: what is done or hopeless needs no turn."""
        self.board.enter("preflight")
        change = self.change
        if not change.has_profile:
            try:
                change.profile = await change.interruptible(
                    lambda: ASK.start(Observe.read_profile, self.request.cluster, f"{change.member}: read the policy")
                )
            except ActivityError as error:
                raise stop_of(error, "refused") from error
            self.board.use_search_attributes(change.profile.search_attributes)
        status = await change.first_look()
        change.facts = Join(self.request, change.profile.policy, status.cluster_id)
        verdict = judge("add", status, change.facts)
        if isinstance(verdict, Refuse):
            raise Stop("refused", verdict.error, verdict.reason, verdict.hint)
        return status

    async def _take_turn(self) -> None:
        self.board.enter("turn")
        await self.turn.take()
        limit = self.change.facts.policy.join_timeout
        reason = f"the join took longer than join_timeout ({format_duration(limit)})"
        self.change.clocks.start("join_timeout", limit, Stop("clock", "JoinTimeout", reason))

    async def _add(self) -> ClusterStatus:
        self.board.enter("add")
        change = self.change
        status = await change.look("look with the turn")
        self.turn.report(status)
        status = await settle(change, self.turn, ADD, await self._clear_slot(status))
        member = self._knows_member(status)
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
            change.clocks.start("start_timeout", limit, Stop("clock", "StartTimeout", reason, hint))
        return status

    async def _clear_slot(self, status: ClusterStatus) -> ClusterStatus:
        """Removes learners that changes of ours left behind, unless it is the one that this join takes over."""
        change, facts = self.change, self.change.facts
        for orphan in self.turn.orphans(status):
            learner = status.member(orphan.member_id)
            if learner is None or set(learner.peer_urls) == set(self.request.peer_urls):
                continue
            change.facts = replace(facts, member_id=learner.id)
            status = await settle(change, self.turn, CLEAR, status)
            self.board.warn(f"learner {learner.label}, left behind by {orphan.ticket.workflow_id}, was removed first")
            self.turn.report(status)
        change.facts = facts
        return status

    def _hand_over(self, status: ClusterStatus) -> None:
        self.handover = handover(status.members, self.change.facts.member_id, self.request.name)
        workflow.upsert_memo({"request": self.request.model_dump(mode="json"), "handover": asdict(self.handover)})

    async def _sync(self, seen: ClusterStatus) -> ClusterStatus:
        self.board.enter("sync")
        try:
            seen = await settle(self.change, self.turn, SYNC, seen)
        except Stop as stop:
            if stop.error != "StartTimeout" or not await self._has_started():
                raise
            seen = await settle(self.change, self.turn, SYNC)
        self.change.clocks.end("start_timeout")
        return seen

    async def _has_started(self) -> bool:
        """The clock runs here and the member elsewhere: only a look tells whether it started just in time."""
        status = await self.change.look("has the member started?")
        member = status.member(self.change.facts.member_id)
        return member is not None and bool(member.name)

    async def _promote(self, seen: ClusterStatus) -> ClusterStatus:
        if self._voter(seen):
            self.board.warn("the member was promoted, and not by this change")
            return seen
        self.board.enter("promote")
        if self.request.hold_before == "promote" and not self._released:
            self._released = True
            self.change.hold("asked for by hold_before = promote")
            await self.change.safe_point()
        return await settle(self.change, self.turn, PROMOTE, seen)

    async def _verify(self, seen: ClusterStatus) -> Outcome:
        """Nothing undoes a promote: from here on the change can only end well, or say what is odd."""
        self.change.unstoppable = True
        self.change.clocks.end()
        self.board.enter("verify")
        if not isinstance(judge("verify", seen, self.change.facts), Done):
            seen = await self.change.wait(Watch.wait_for_verification, "verify", "verify the new voter")
        verdict = judge("verify", seen, self.change.facts)
        verified = isinstance(verdict, Done)
        if isinstance(verdict, Refuse):
            raise Stop("failed", verdict.error, verdict.reason, verdict.hint)
        if isinstance(verdict, Wait):
            self.board.warn(f"promoted, but not verified: {verdict.reason}")
        return self._end("promoted", seen, verified=verified)

    # ---- back ----

    async def _unwind(self, stop: Stop) -> Outcome:
        """Leaves nothing of ours behind; a learner that is a voter by now stays one."""
        change, status = self.change, None
        change.unstoppable = True
        if self._member_id or self._may_have_added:
            self.board.enter("rollback")
            status = await change.look("is there anything of ours to remove?")
            left = next(iter(status.with_peer_urls(self.request.peer_urls)), None)
            if left and left.is_learner and self._is_ours(left):
                self._knows_member(status)
                try:
                    status = await settle(change, self.turn, ROLLBACK, status)
                except Stop as late:
                    self.board.warn(f"too late to roll back ({stop.reason}): {late.reason}")
                    return await self._verify(await change.look("look at the new voter"))
        self.board.enter("ended")
        if stop.kind == "cancelled":
            raise asyncio.CancelledError
        kind: OutcomeKind = "failed"
        if change.reports.get(ROLLBACK.what):
            kind = "rolled-back"
        elif stop.kind == "refused" and not change.reports:
            kind = "refused"
        raise failure(stop, outcome(kind, self.request, self.board, status, stop))

    # ---- ends ----

    def _end(self, kind: OutcomeKind, status: ClusterStatus, *, verified: bool | None = None) -> Outcome:
        self.board.enter("ended")
        return outcome(kind, self.request, self.board, status, verified=verified)

    def _knows_member(self, status: ClusterStatus) -> Member:
        [member] = status.with_peer_urls(self.request.peer_urls)
        self._member_id = member.id
        self.change.facts = replace(self.change.facts, member_id=member.id)
        self.board.knows_member(member.id)
        return member

    def _is_ours(self, learner: Member) -> bool:
        """
        Only our own learner may be removed: one that a call of ours added, or may have added, or that the turns
        know as ours or as left behind by a change that ended unfinished.
        """
        return self._may_have_added or self.turn.owns(learner.id)

    @property
    def _may_have_added(self) -> bool:
        return any(report.applied != "no" for report in self.change.reports.get(ADD.what, []))

    def _voter(self, status: ClusterStatus) -> bool:
        return any(not m.is_learner for m in status.with_peer_urls(self.request.peer_urls))
