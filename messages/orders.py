"""The arguments and results of activities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from membership.checks import Check
from membership.etcd import MEMBERS, Scope
from membership.judgements import StepName
from membership.model import ClusterStatus, SyncProgress
from membership.record import NO_RECORD, Record
from membership.sent_calls import SentCall
from membership.verdicts import Facts
from messages.launching import Launch
from messages.turns import Ticket, TurnsState

# The failure type of a wait that goes on in another activity, with rarer heartbeats.
GOES_ON = "LongWait"

# Seconds. A first look may take so long, and no order has a worker look for longer.
MOST_PATIENCE = 60.0


@dataclass(frozen=True)
class LookOrder:
    """A request for one look at a cluster."""

    cluster: str
    #: Members and client URLs that are not asked for anything.
    avoid: tuple[str, ...] = ()
    #: The member for whose sake the look is made, for the log.
    member: str = ""
    #: For so many seconds the look begins anew while the cluster can't be read, as during an election. At most
    #: MOST_PATIENCE.
    patience: float = 0.0
    #: How much is asked. Only a judgement of logs needs raft's own view.
    scope: Scope = MEMBERS
    #: The ID that the cluster must have, empty before the first look of a change. Other clusters are never looked at.
    cluster_id: str = ""
    #: Client URLs of voters, from the last look of the change. They lead to the cluster where every configured endpoint
    #: is gone.
    voter_urls: tuple[str, ...] = ()
    #: The workflow ID of the change that looks. Temporal's record of its earlier runs is part of the answer.
    change: str = ""
    #: The member that leaves, as the request gives it.
    leaving: str = ""


@dataclass(frozen=True)
class Beforehand:
    """The situation of a change before it has the turn: the cluster, its running changes, and its earlier ones."""

    status: ClusterStatus
    turns: TurnsState
    #: Empty in a look that is made with the turn.
    record: Record = NO_RECORD
    #: A refusal where the worker's credentials for the cluster may not change members, None where they may.
    access: Check | None = None


@dataclass(frozen=True)
class LaunchOrder:
    """A member, and the launcher of the clusters file that starts it."""

    launcher: str
    launch: Launch

    @property
    def cluster(self) -> str:
        return self.launch.cluster

    @property
    def member(self) -> str:
        return self.launch.name


@dataclass(frozen=True)
class StepOrder:
    """A step that an activity watches, or acts on."""

    step: StepName
    facts: Facts
    #: The change that the step belongs to.
    ticket: Ticket
    #: The launch of the new member, None where this change launched none.
    launch: LaunchOrder | None = None
    #: The ID of a foreign learner that is waited for, empty where there is none.
    foreign: str = ""
    #: The progress of a wait that has become long, and goes on with rarer heartbeats. None for a new wait.
    so_far: SyncProgress | None = None
    #: Client URLs of voters, from the last look of the change.
    voter_urls: tuple[str, ...] = ()

    @property
    def cluster(self) -> str:
        return self.facts.cluster

    @property
    def member(self) -> str:
        return self.facts.name


@dataclass(frozen=True)
class SettleOrder:
    """Calls of one change that must be settled."""

    cluster: str
    #: The cluster's ID: answers of another cluster settle nothing.
    cluster_id: str
    calls: tuple[SentCall, ...]
    #: Seconds, from the moment that the activity was scheduled.
    timeout: float
    #: The member that the change is about, for the log.
    member: str = ""
    #: Members and client URLs that are not asked for anything.
    avoid: tuple[str, ...] = ()
    #: Client URLs of voters, from the last look of the change.
    voter_urls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settlement:
    """The fate of calls that had to be settled."""

    #: The last look, after one more entry had committed. Where calls are left: the last look that succeeded, or None.
    status: ClusterStatus | None
    #: The calls whose effect may still come.
    left: tuple[SentCall, ...] = ()
    #: Why it may still come, for a person: a sentence for each call that is left.
    reasons: tuple[str, ...] = ()
    #: The calls whose effect the last look shows.
    came: tuple[SentCall, ...] = ()


@dataclass(frozen=True)
class ActReport:
    """
    An act's report of its one call.

    `error` and `reason` decide how long to pause and which message a person gets. The next act is decided by looking.
    """

    sent: bool
    #: "yes" (etcd said so, or the list shows it), "no" (not sent, or certainly refused), "maybe".
    applied: Literal["yes", "no", "maybe"]
    #: The name of `reason`.
    error: str = ""
    #: Why nothing was sent, or the error that came back.
    reason: str = ""
    #: Nothing was sent because the change does not have the turn.
    turn_lost: bool = False
    #: The effect was seen before an answer came.
    answer_lost: bool = False
    #: ID of the member that was sent the call, empty when nothing was sent.
    sent_to: str = ""


def not_sent(reason: str, *, turn_lost: bool = False) -> ActReport:
    return ActReport(sent=False, applied="no", error="NotSent", reason=reason, turn_lost=turn_lost)
