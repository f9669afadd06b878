"""One change, whatever its kind: its parts, its preflight, its turn and its looks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from typing import Generic, TypeVar

from temporalio import workflow

from workflows.board import Board
from workflows.cluster import Cluster
from workflows.counters import count_end
from workflows.earlier import settle_earlier
from workflows.ends import outcome
from workflows.interruptions import Interruptions
from workflows.renewal import Renewal
from workflows.turn import Turn
from workflows.unsettled import Unsettled

with workflow.unsafe.imports_passed_through():
    from membership.allow import check_allowed, check_line
    from membership.checks import Check
    from membership.duration import format_duration
    from membership.endpoints import check_endpoints
    from membership.etcd import MEMBERS, Scope
    from membership.failures import Failure
    from membership.model import ClusterStatus, Handover
    from membership.preflight import find_member, refusal
    from membership.record import NO_RECORD, check_identity
    from membership.verdicts import Facts
    from messages.learners import orphans_beside
    from messages.orders import Beforehand
    from messages.outcomes import Outcome, OutcomeKind
    from messages.requests import ChangeRequest
    from messages.turns import Claim, Ticket
    from messages.views import End, Stage
    from workflows.carried import Carried, Tries
    from workflows.stop import Stop, StopKind

R = TypeVar("R", bound=ChangeRequest)

# Seconds for which the first look counts as the look with the turn.
_YOUNG = 1.0


class Change(Generic[R]):
    """
    One change, and everything that belongs to it.

    A kind of change defines its first checks (`checks`), its steps (`forward`) and their undoing (`back`).
    `forward_and_back.py` runs them.
    """

    def __init__(self, request: R, what: str, stages: tuple[Stage, ...]) -> None:
        info = workflow.info()
        self.request = request
        self.ticket = Ticket(info.workflow_id, info.first_execution_run_id)
        name, member = request.cluster, request.subject
        self.board = Board(what, request.verb, name, member, stages)
        self.interruptions = Interruptions(self.board)
        self.cluster = Cluster(self.board, self.interruptions, name, member, self.ticket)
        self.turn = Turn(self.board, self.interruptions, name, member, self.ticket)
        self.unsettled = Unsettled(self.board, self.cluster)
        self.renewal = Renewal(self.board, self.interruptions, self.cluster, self.turn, self.unsettled)
        #: The values with which the new member must be started. None before its learner is added.
        self.handover: Handover | None = None
        #: Nothing more will happen.
        self.ended = False
        #: Everything that the change did was taken back.
        self.rolled_back = False
        #: How a failure before the first look ends the change. Resumed after a hold it is held again.
        self.unseen: StopKind = "refused"
        #: Temporal's record of earlier changes when this change began.
        self.record = NO_RECORD
        # When the first look began, by the workflow's time, and the look where no change of ours ran then.
        self._looked_at = 0.0
        self._free_look: ClusterStatus | None = None
        self._access: Check | None = None

    # ---- decided by each kind of change ----

    def checks(self, status: ClusterStatus, facts: Facts) -> tuple[Check, ...]:
        raise NotImplementedError

    def facts(self, status: ClusterStatus) -> Facts:
        """The facts of the change before its first act."""
        return Facts(self.request.cluster, status.cluster_id, self.cluster.profile.policy, self.request.subject)

    async def remember(self, status: ClusterStatus) -> None:
        """Reads the facts that an earlier run of the same change left to this run."""

    async def forward(self) -> Outcome:
        raise NotImplementedError

    async def back(self, stop: Stop) -> ClusterStatus | Outcome | None:
        """Undoes the change and returns the last look. Returns the outcome when it was too late to go back."""
        raise NotImplementedError

    def explain(self, stop: Stop) -> None:
        """Adds to the reason which part of the change stands, where that is not plain."""

    @property
    def claim(self) -> Claim:
        """The change's place in the turns, and its calls whose effect may still come."""
        return replace(self.turn.claim, late=self.unsettled.late)

    # ---- from one run to the next ----

    def carry(self, tries: Tries) -> Carried:
        """The state for the next run. A kind of change adds its own."""
        return replace(self.renewal.carry(tries), record=self.record, handover=self.handover)

    def restore(self, carried: Carried) -> None:
        """Takes the state of the run before this one."""
        self.renewal.restore(carried)
        self.record = carried.record
        if carried.handover:
            self.publish(carried.handover)

    def publish(self, handover: Handover) -> None:
        """Makes the handover known, by query and memo. Temporal does not hand the memo on to a new run."""
        self.handover = handover
        workflow.upsert_memo({"request": self.request.model_dump(mode="json"), "handover": asdict(handover)})

    # ---- parts that every kind has ----

    async def preflight(self) -> ClusterStatus:
        """The cluster's policy, once, and a first look: a finished or hopeless change needs no turn."""
        if self.renewal.is_new:
            return await self._look_again()
        self.board.enter("preflight")
        await self.cluster.read_profile(self.unseen)
        self._check_line(self.cluster.profile.waiting)
        self._looked_at = workflow.time()
        before = await self.cluster.first_look(self.unseen, self.request.leaving)
        self._free_look = None if before.turns.holder or before.turns.waiting else before.status
        self.record = before.record
        self._access = before.access
        self.cluster.facts = self.facts(before.status)
        self._check_line(sum(t != self.ticket for t in before.turns.waiting))
        await self.remember(before.status)
        self.board.notice(self._check(before))
        return before.status

    def _check_line(self, waiting: int) -> None:
        """Raises Stop for a new change where the line is full: before the first look, which costs the worker more."""
        if not self.renewal.was_checked:
            _refuse(check_line(self.cluster.profile.allow, waiting))

    async def _look_again(self) -> ClusterStatus:
        """The first look of a run that is not the first. It is tried for as long as it takes, as every later look."""
        status = await self.cluster.look("look at the beginning of a new run")
        self.cluster.facts = self.facts(status)
        await self.remember(status)
        return status

    async def take_turn(self, why_not_preempt: Callable[[], Awaitable[str]] | None = None) -> ClusterStatus:
        """Waits in line, and returns the look that was made with the turn. It is checked like the first look."""
        _refuse((self._access,) if self._access else ())
        goes_on, is_new_run = self.renewal.goes_on, self.renewal.is_new
        self.renewal.is_new = False
        if is_new_run:
            await self.turn.keep(why_not_preempt)
        else:
            self.board.enter("turn")
            await self.turn.take(why_not_preempt)
        if not goes_on:
            self._start_join_timeout()
        status = await self._look_with_turn()
        self.turn.memory.report(status)
        if not goes_on:
            self._check(self.turn.memory.beforehand(status))
            self.renewal.was_checked = True
        return status

    async def _look_with_turn(self) -> ClusterStatus:
        """The first look, where it is young and the turn was free, or another one. The act looks again in any case."""
        if self._young_look:
            if not await self.turn.confirm():
                await self.turn.take()
            elif young := self._young_look:
                return await self._settle_earlier(young)
        return await self.look("look with the turn")

    @property
    def _young_look(self) -> ClusterStatus | None:
        return self._free_look if workflow.time() - self._looked_at < _YOUNG else None

    async def look(self, why: str, scope: Scope = MEMBERS) -> ClusterStatus:
        """One look. With a new turn it also shows the learners and settles the calls that ended changes left."""
        while self.turn.is_new:
            before = await self.cluster.look_with_turns(why)
            if self.turn.learn(before.turns):
                return await self._settle_earlier(before.status)
            await self.turn.take()
        return await self._settle_earlier(await self.cluster.look(why, scope))

    async def _settle_earlier(self, status: ClusterStatus) -> ClusterStatus:
        return await settle_earlier(self.board, self.interruptions, self.cluster, self.turn, status)

    def end(self, kind: OutcomeKind, status: ClusterStatus, *, verified: bool | None = None) -> Outcome:
        self.board.judge_warnings(status, self.cluster.facts.policy)
        self.show_end(kind)
        return outcome(kind, self.request, self.board, status, verified=verified)

    def show_end(self, kind: OutcomeKind, stop: Stop | None = None) -> None:
        """Shows and counts the end. A caller chooses the name of a cluster that the clusters file does not have."""
        self.board.end(End(kind, stop.error, stop.reason, stop.hint) if stop else End(kind))
        count_end(self.cluster.known_name, self.request.verb, kind, stop.error if stop else "")

    def _check(self, before: Beforehand) -> tuple[Check, ...]:
        """The checks of this look. Raises Stop for a refusal."""
        orphans = orphans_beside(self.request, before)
        _refuse(check_allowed(self.cluster.profile.allow, self.request.asked))
        _refuse(check_identity(before.status, self.record))
        checks = self.checks(before.status.without(*orphans), self.cluster.facts)
        _refuse(checks)
        leaving = find_member(before.status, self.request.leaving) if self.request.leaving else None
        return (*checks, *check_endpoints(before.status, self.cluster.profile.endpoints, leaving))

    def _start_join_timeout(self) -> None:
        limit = self.cluster.facts.policy.join_timeout
        reason = f"the change took longer than join_timeout ({format_duration(limit)})"
        hint = "`memberflow status` shows the cluster. Repair the cause of the wait, then run the same command again"
        self.interruptions.clocks.start("join_timeout", limit, Stop("clock", Failure.JOIN_TIMEOUT, reason, hint))


def _refuse(checks: tuple[Check, ...]) -> None:
    """Raises Stop for the first check that refuses."""
    if refused := refusal(checks):
        raise Stop("refused", refused.error, refused.evidence, refused.hint)
