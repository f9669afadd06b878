"""The memory of a cluster's turns, as one change knows it: added learners, and calls that may take effect late."""

from __future__ import annotations

from dataclasses import replace

from temporalio import workflow

from workflows.standing import Standing

with workflow.unsafe.imports_passed_through():
    from membership.model import ClusterStatus, Member
    from membership.sent_calls import SentCall, may_be_of
    from messages.learners import with_late_learners
    from messages.orders import Beforehand
    from messages.turns import Claim, LateCall, Ticket, TurnsState


class TurnsMemory:
    """The learners and late calls that the turns remember. The change has them remember and forget by its claim."""

    def __init__(self, standing: Standing, ticket: Ticket) -> None:
        #: The turns, as they were when this change got its turn.
        self.state = TurnsState()
        #: Calls of ended changes that this change has not tried to settle since it got the turn.
        self.unsettled: tuple[LateCall, ...] = ()
        self._standing = standing
        self._ticket = ticket

    def learn(self, state: TurnsState) -> None:
        """Takes the turns as they are since this change got its turn."""
        self.state, self.unsettled = state, state.late

    def beforehand(self, status: ClusterStatus) -> Beforehand:
        """This look, and the turns as they were when this change got its turn."""
        self.state = with_late_learners(self.state, status)
        return Beforehand(status, self.state)

    def owns(self, learner: Member) -> bool:
        """
        Whether the turns know the learner as this change's, or as left behind by a change that has ended.

        A late add may have brought it since the turns were read.
        """
        mine = any(x.member_id == learner.id and x.ticket == self._ticket for x in self.state.learners)
        came_late = any(may_be_of(late.call, learner) for late in self.state.late)
        return mine or came_late or any(x.member_id == learner.id for x in self.state.orphans)

    def report(self, status: ClusterStatus, added: str = "") -> None:
        """Has the turns know the learner that this change added or took over, and which are learners no more."""
        present = {m.id for m in status.learners}
        gone = tuple(i for i in self._known if i not in present)
        still_added = tuple(i for i in self._claim.added if i in present)
        self._standing.say(added=(added,) if added else still_added, gone=gone)

    def forget(self, member_id: str) -> None:
        """Has the turns forget a member that is no learner any more, whichever change added it."""
        if member_id in self._known:
            added = tuple(x for x in self._claim.added if x != member_id)
            self._standing.say(added=added, gone=(*self._claim.gone, member_id))

    def note_settled(self, left: tuple[SentCall, ...], status: ClusterStatus) -> None:
        """Has the turns forget the calls of ended changes, except those `left`, and know the learners that came."""
        self.state = with_late_learners(self.state, status)
        settled = tuple(x for x in self.state.late if x.call not in left)
        brought = tuple(x for x in self.state.learners if x.ticket in {late.ticket for late in settled})
        self.state = replace(self.state, late=tuple(x for x in self.state.late if x not in settled))
        self.unsettled = ()
        self._standing.say(settled=(*self._claim.settled, *settled), brought=(*self._claim.brought, *brought))

    @property
    def _claim(self) -> Claim:
        return self._standing.claim

    @property
    def _known(self) -> tuple[str, ...]:
        """The learners that the turns know of, as far as this change knows."""
        return (*self._claim.added, *(x.member_id for x in self.state.learners))
