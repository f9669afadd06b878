"""What goes to activities and comes back from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from membership.judgements import StepName
from membership.model import ClusterStatus, SyncProgress
from membership.record import NO_RECORD, Record
from membership.settling import SentCall
from membership.verdicts import Facts
from messages.launching import Launch
from messages.turns import Ticket, TurnsState

# The type of the failure by which a wait ends that goes on, in another activity, with rarer heartbeats.
GOES_ON = "LongWait"


@dataclass(frozen=True)
class Look:
    """
    One look at a cluster; members and client URLs in `avoid` are not asked for anything.

    `member` is the one for whose sake it is made, for the log.
    `patience`: for so many seconds it begins anew while the cluster can't be read, as during an election.
    `uptimes`: also how long the members have been up.
    """

    cluster: str
    avoid: tuple[str, ...] = ()
    member: str = ""
    patience: float = 0.0
    uptimes: bool = False
    #: The ID that the cluster must have; empty before the first look of a change. Other clusters are never looked at.
    cluster_id: str = ""
    #: The workflow ID of the change that looks; what Temporal knows of its earlier runs is part of the answer.
    change: str = ""
    #: The member that is to leave, as the request gives it.
    leaving: str = ""


@dataclass(frozen=True)
class Beforehand:
    """What a change is up against before it has the turn: the cluster, who changes it, and who did before."""

    status: ClusterStatus
    turns: TurnsState
    record: Record = NO_RECORD


@dataclass(frozen=True)
class LaunchOrder:
    """A member, and the launcher of the clusters file that is to start it."""

    launcher: str
    launch: Launch

    @property
    def cluster(self) -> str:
        return self.launch.cluster

    @property
    def member(self) -> str:
        return self.launch.name


@dataclass(frozen=True)
class Order:
    """
    A step to be watched, or acted on by the change that has `ticket`; `launch` is what was launched for it.

    `foreign` is the ID of somebody else's learner that is waited for.
    `so_far` is the progress of a wait that has become long, and goes on with rarer heartbeats.
    """

    step: StepName
    facts: Facts
    ticket: Ticket
    launch: LaunchOrder | None = None
    foreign: str = ""
    so_far: SyncProgress | None = None

    @property
    def cluster(self) -> str:
        return self.facts.cluster

    @property
    def member(self) -> str:
        return self.facts.name


@dataclass(frozen=True)
class SettleOrder:
    """Calls of one change that must be settled; members and client URLs in `avoid` are not asked for anything."""

    cluster: str
    #: The cluster's ID: answers of another cluster settle nothing.
    cluster_id: str
    calls: tuple[SentCall, ...]
    #: Seconds, from the moment that the activity was scheduled.
    timeout: float
    #: The member that the change is about, for the log.
    member: str = ""
    avoid: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settlement:
    """What became of calls that had to be settled."""

    #: The last look, after one more entry had committed; where calls are left, the last that succeeded, if any did.
    status: ClusterStatus | None
    #: The calls whose effect may still come.
    left: tuple[SentCall, ...] = ()
    #: Why, for a person: a sentence for each of them.
    reasons: tuple[str, ...] = ()
    #: The calls whose effect the last look shows.
    came: tuple[SentCall, ...] = ()


@dataclass(frozen=True)
class ActReport:
    """
    What an act knows of its one call.

    `applied`: "yes" (etcd said so, or the list shows it), "no" (not sent, or certainly refused), "maybe".
    `reason` is why nothing was sent, or what came back; `error` is its name. It chooses how long to pause and
    what to tell a person; what is done next is decided by looking.
    """

    sent: bool
    applied: Literal["yes", "no", "maybe"]
    error: str = ""
    reason: str = ""
    turn_lost: bool = False
    answer_lost: bool = False
    #: ID of the member that was sent the call; empty when nothing was sent.
    sent_to: str = ""


def not_sent(reason: str, *, turn_lost: bool = False) -> ActReport:
    return ActReport(sent=False, applied="no", error="NotSent", reason=reason, turn_lost=turn_lost)
