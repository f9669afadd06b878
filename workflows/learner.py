"""The learner of a join: added, handed over, and taken back while it is still a learner."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from temporalio import workflow

from workflows.change import Change
from workflows.orphans import clear_orphans
from workflows.settle import ADD, ROLLBACK, settle

with workflow.unsafe.imports_passed_through():
    from membership.duration import format_duration
    from membership.failures import Failure
    from membership.model import ClusterStatus, Member, handover
    from messages.requests import JoinRequest, ReplaceRequest
    from workflows.carried import CarriedLearner
    from workflows.stop import Stop

_START_CLOCK = "start_timeout"


class Learner:
    """The member that a change lets in, from its add until it is a voter or gone."""

    def __init__(self, change: Change[JoinRequest] | Change[ReplaceRequest]) -> None:
        self._change = change
        self._request: JoinRequest | ReplaceRequest = change.request
        self._member_id = ""
        self._own_id = ""  # once a call of this change may have added it

    # ---- from one run to the next ----

    def carry(self) -> CarriedLearner:
        """The learner, for the next run."""
        return CarriedLearner(self._member_id, self._own_id)

    def restore(self, carried: CarriedLearner) -> None:
        """Goes on with the learner of the run before."""
        self._member_id, self._own_id = carried.member_id, carried.own_id

    # ---- whether it is there ----

    @property
    def may_be_there(self) -> bool:
        return bool(self._member_id) or self._change.cluster.reports.may_have_applied(ADD.what)

    @property
    def added_by_this_run(self) -> bool:
        return bool(self._own_id)

    def is_voter(self, status: ClusterStatus) -> bool:
        return any(not m.is_learner for m in status.with_peer_urls(self._request.peer_urls))

    def became_voter(self, status: ClusterStatus) -> bool:
        """Whether the very member that was added is a voter by now."""
        found = self._found(status)
        return bool(found and not found.is_learner and found.id == self._member_id)

    def note(self, status: ClusterStatus) -> Member:
        """Keeps the ID of the member that this look shows."""
        member = self._found(status)
        assert member, "a settled add shows it"
        self._member_id = member.id
        self._change.cluster.facts = replace(self._change.cluster.facts, member_id=member.id)
        self._change.board.knows_member(member.id)
        return member

    # ---- added, and taken back ----

    async def add(self, status: ClusterStatus) -> ClusterStatus:
        """Adds the learner, or finds it. Returns the look that shows it."""
        change, reports = self._change, self._change.cluster.reports
        change.board.enter("add")
        self._refuse_other_urls(status)
        earlier = len(reports.of(ADD.what))
        # Each time: while others had the turn, one of them may have been ended from outside.
        status = await settle(change, ADD, status, before=partial(clear_orphans, change))
        member = self.note(status)
        may_be_ours = any(report.applied != "no" for report in reports.of(ADD.what)[earlier:])
        if may_be_ours or change.unsettled.may_have_added(member):
            self._own_id = member.id
        if not member.is_learner:
            return status
        if self._is_ours(member):
            change.turn.memory.report(status, added=member.id)
        else:
            change.board.warn(
                f"learner {member.id} was not added by this change, so it is not removed if the join fails"
            )
        if member.name:
            self.end_start_timeout()
        else:
            self._start_timeout(member)
        return status

    async def take_back(self, status: ClusterStatus) -> ClusterStatus:
        """
        Takes `add` back: removes the learner if it is ours, and returns the last look.

        Raises Stop when it could not be removed: BecameVoter, when it is a voter by now.
        """
        left = self._found(status)
        if not (left and left.is_learner and self._is_ours(left)):
            return status
        self.note(status)
        status = await settle(self._change, ROLLBACK, status)
        self._change.rolled_back = True
        self._change.turn.memory.forget(left.id)
        return status

    def forget_if_gone(self, status: ClusterStatus) -> None:
        """Has the turns forget a member that is no learner any more."""
        if self._member_id not in {learner.id for learner in status.learners}:
            self._change.turn.memory.forget(self._member_id)

    # ---- handed over, and taken back ----

    def hand_over(self, status: ClusterStatus) -> None:
        """Makes the handover known, by query and memo."""
        self.note(status)
        self._change.publish(handover(status.members, self._member_id, self._request.name))

    def take_back_handover(self) -> None:
        """Takes `hand_over` back: no member may be started with it any more."""
        if self._change.handover:
            self._change.handover = None
            workflow.upsert_memo({"handover": None})

    # ---- parts ----

    def _found(self, status: ClusterStatus) -> Member | None:
        """The member that joins: by its ID, once that is known, since its peer URLs may be changed by others."""
        return status.member(self._member_id) or next(iter(status.with_peer_urls(self._request.peer_urls)), None)

    def _is_ours(self, learner: Member) -> bool:
        """
        Only our own learner may be removed: a call of ours added it, or may have, or the turns know it as ours or as
        left behind by a change that ended unfinished.
        """
        own = learner.id == self._own_id or self._change.unsettled.may_have_added(learner)
        return own or self._change.turn.memory.owns(learner)

    def _refuse_other_urls(self, status: ClusterStatus) -> None:
        """After a hold, the member may have other peer URLs. A second learner at the old URLs would be wrong."""
        member = status.member(self._member_id)
        if member and member not in status.with_peer_urls(self._request.peer_urls):
            urls, wanted = ", ".join(member.peer_urls), ", ".join(self._request.peer_urls)
            reason = f"member {member.id} of this change has the peer URLs {urls} by now, and not {wanted}"
            raise Stop("failed", Failure.PEER_URLS_CHANGED, reason, "ask for the change again, with these URLs")

    def _start_timeout(self, member: Member) -> None:
        limit = self._change.cluster.facts.policy.start_timeout
        reason = f"member {member.id} did not start within start_timeout ({format_duration(limit)})"
        hint = "was it started with the ETCD_* values that `memberflow env` prints?"
        stop = Stop("clock", Failure.START_TIMEOUT, reason, hint)
        self._change.interruptions.clocks.start(_START_CLOCK, limit, stop)

    def end_start_timeout(self) -> None:
        """The member has started, by a look at the cluster."""
        self._change.interruptions.end_clock(_START_CLOCK, Failure.START_TIMEOUT)
