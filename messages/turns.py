"""The turns of a cluster: who may change it now, who waits, and which learners were added by whom."""

from __future__ import annotations

from dataclasses import dataclass, field

# Seconds. A waiting change repeats its claim this often, and a holder says as often that it holds.
REPEAT = 30.0
# Seconds within which an act has sent its call or never will, and within which that call has ended.
SEND_WITHIN = 8.0
CALL_DEADLINE = 10.0
# After this long no act of a change that is gone can still reach etcd.
ACT_DEADLINE = SEND_WITHIN + CALL_DEADLINE


@dataclass(frozen=True)
class Ticket:
    """One change, by workflow ID and original run ID: the latter stays the same across resets."""

    workflow_id: str
    run_id: str


@dataclass(frozen=True)
class Cancel:
    """A change is to be cancelled."""

    ticket: Ticket
    #: Who asked; empty when the caller did not say.
    by: str = ""


@dataclass(frozen=True)
class AddedLearner:
    """A learner that a change added."""

    member_id: str
    ticket: Ticket


@dataclass(frozen=True)
class Claim:
    """
    A change asks for the turn, or says that it has it.

    Sent again and again; a claim replaces the earlier one of the same ticket.
    """

    cluster: str
    ticket: Ticket
    #: The member that the change is about, for the log.
    member: str = ""
    #: When the change made the claim, by its workflow's time. An earlier claim that comes late says nothing.
    at: float = 0.0
    #: The change has the turn.
    holding: bool = False
    #: The change has nothing of its own in the cluster, and queues again later.
    giving_back: bool = False
    #: IDs of the learners that the change added or took over.
    added: tuple[str, ...] = ()
    #: IDs of the learners that the change saw to be gone.
    gone: tuple[str, ...] = ()
    #: A held join that has the turn is to be cancelled.
    preempt: bool = False


@dataclass(frozen=True)
class TurnsState:
    """What ClusterTurns knows; carried over when it continues as new."""

    holder: Ticket | None = None
    waiting: tuple[Ticket, ...] = ()
    learners: tuple[AddedLearner, ...] = ()
    #: When the latest claim of a change was made, by its original run ID.
    heard: dict[str, float] = field(default_factory=dict)
    #: Rest before the first grant: the turns were ended from outside.
    rest_first: bool = False
    resting: bool = False

    @property
    def orphans(self) -> tuple[AddedLearner, ...]:
        """Learners whose change is neither the holder nor waiting any more."""
        alive = {self.holder, *self.waiting}
        return tuple(learner for learner in self.learners if learner.ticket not in alive)


@dataclass(frozen=True)
class Holding:
    """A turn that began at `since` (seconds since the epoch, by Temporal's clock)."""

    ticket: Ticket
    since: float


@dataclass(frozen=True)
class Closed:
    """
    How a change that had the turn came to its end: Temporal's status, and whether it ended by its own code.

    One that `succeeded` left no learner behind. `held` is false when it had closed before the turn came to it.
    """

    status: str
    orderly: bool
    held: bool = True

    @property
    def succeeded(self) -> bool:
        return self.status == "COMPLETED"
