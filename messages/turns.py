"""
The turns of a cluster: the change that may act on it now, and the changes that wait.

They also know the learners that changes added, and the calls of ended changes whose effect may still come.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from membership.sent_calls import SentCall

# Seconds. An act sends its call within the first limit or never. That call ends within the second.
SEND_WITHIN = 8.0
CALL_DEADLINE = 10.0
# After so many seconds, no act of a change that is gone can still reach etcd.
ACT_DEADLINE = SEND_WITHIN + CALL_DEADLINE
# So many late calls are remembered at most, the latest: they must fit into a payload.
REMEMBER_AT_MOST = 50


@dataclass(frozen=True)
class Ticket:
    """One change, by workflow ID and run ID."""

    workflow_id: str
    #: The ID of its first run, which stays the same across resets and in every next run.
    run_id: str


@dataclass(frozen=True)
class Cancel:
    """An order to cancel a change."""

    ticket: Ticket
    #: Who asked, empty when the caller did not say.
    by: str = ""


@dataclass(frozen=True)
class AddedLearner:
    """A learner that a change added."""

    member_id: str
    ticket: Ticket


@dataclass(frozen=True)
class LateCall:
    """A call whose effect may still come after the end of the change that sent it."""

    call: SentCall
    #: The change that sent it.
    ticket: Ticket


# "apart": the change neither has the turn nor asks for it. "ended": it closes in a moment.
ClaimState = Literal["apart", "waits", "holds", "ended"]


@dataclass(frozen=True)
class Claim:
    """A change's own account of its place in the turns of its cluster."""

    state: ClaimState = "apart"
    #: It waits for a turn that it had and lost, because the turns themselves were lost.
    had_turn: bool = False
    #: IDs of the learners that the change added or took over, and that are still learners.
    added: tuple[str, ...] = ()
    #: IDs of the learners that are gone or voters by now, as the change saw.
    gone: tuple[str, ...] = ()
    #: The change is held, by a person or by a clock.
    held: bool = False
    #: While it waits: it may cancel a held join that has the turn.
    preempt: bool = False
    #: It ended successfully, so it left no learner behind.
    succeeded: bool = False
    #: It was in line before and let others go first. A full line has room for it.
    returns: bool = False
    #: Its own calls whose effect may still come. They count when the change has ended.
    late: tuple[SentCall, ...] = ()
    #: Late calls of earlier changes that can do nothing any more, as the change saw.
    settled: tuple[LateCall, ...] = ()
    #: The learners that these calls brought.
    brought: tuple[AddedLearner, ...] = ()


@dataclass(frozen=True)
class Word:
    """ClusterTurns' findings about a change, from Temporal and from the change itself."""

    #: Temporal's status of the workflow: RUNNING, COMPLETED, TERMINATED, …
    status: str
    #: Seconds since the epoch, None while it runs.
    closed_at: float | None = None
    #: None where the change has closed and could not be asked.
    claim: Claim | None = None
    #: Only a held *join* can be preempted.
    is_join: bool = False
    #: `max_waiting` in the clusters file of the worker that asked. None: any number of changes may wait.
    max_waiting: int | None = None

    @property
    def is_open(self) -> bool:
        return self.closed_at is None

    @property
    def is_over(self) -> bool:
        """Whether it has closed, or closes in a moment."""
        return not self.is_open or (self.claim is not None and self.claim.state == "ended")

    @property
    def orderly(self) -> bool:
        """Whether it ended by its own code, or runs."""
        return self.status in ("RUNNING", "COMPLETED", "FAILED", "CANCELED")


@dataclass(frozen=True)
class TurnRequest:
    """A change that asks for the turn of a cluster."""

    cluster: str
    ticket: Ticket


@dataclass(frozen=True)
class Ahead:
    """The changes before a waiting change, for a person."""

    #: The first of them, the holder before all others.
    workflow_ids: tuple[str, ...] = ()
    #: How many there are beside these.
    more: int = 0
    #: No change gets the turn for now.
    resting: bool = False


@dataclass(frozen=True)
class ChangeQuestion:
    """A question of ClusterTurns about the change that has this ticket."""

    ticket: Ticket
    #: Whether the claim of a change that has completed matters: by it, learners may be gone and late calls settled.
    claim_matters: bool = False


@dataclass(frozen=True)
class TurnsState:
    """The knowledge of ClusterTurns. It is carried over when the workflow continues as new."""

    #: The change that has the turn. None: the turn is free, or the turns rest.
    holder: Ticket | None = None
    #: The changes in line, the next one first.
    waiting: tuple[Ticket, ...] = ()
    #: The learners that changes added and that are not known to be voters or gone.
    learners: tuple[AddedLearner, ...] = ()
    #: Nothing is granted for now: an act of a change that is gone may still reach etcd.
    resting: bool = False
    #: When the rest ends, in seconds since the epoch. 0 where there is none.
    rest_until: float = 0.0
    #: A ClusterTurns before this one was ended from outside: rest before the first grant.
    rest_first: bool = False
    #: When the holder got its turn, in seconds since the epoch.
    granted_at: float = 0.0
    #: The holder is a join that is held.
    holder_is_held: bool = False
    #: The waiting changes that may cancel a held join.
    preempting: tuple[Ticket, ...] = ()
    #: Calls of ended changes whose effect may still come.
    late: tuple[LateCall, ...] = ()
    #: Only where ClusterTurns continues as new: tickets that were named to it, and not asked yet.
    unasked: tuple[Ticket, ...] = ()

    @property
    def orphans(self) -> tuple[AddedLearner, ...]:
        """Learners whose change is neither the holder nor waiting any more."""
        alive = {self.holder, *self.waiting}
        return tuple(learner for learner in self.learners if learner.ticket not in alive)
