"""
Every failure of a change that has a name, once.

The value is the type of the workflow's failure, as Temporal's UI shows it. The last group ends no change: its names
stop a step, and the change makes a warning of them. Failures of single calls to etcd have etcd's own names and are in
`etcd_errors.py`.
"""

from __future__ import annotations

from enum import StrEnum


class Failure(StrEnum):
    """Why a change did not go through."""

    # ---- refused: nothing was proposed ----

    #: The request is not readable, or a field of it is wrong.
    INVALID_REQUEST = "InvalidRequest"
    #: The name of a member fits several members.
    AMBIGUOUS_MEMBER = "AmbiguousMember"
    #: A repeated removal gives a name that means another member by now.
    NAME_REUSED = "NameReused"
    #: Another member has the new member's name.
    NAME_CONFLICT = "NameConflict"
    #: Another member has a peer URL of the new member.
    PEER_URL_CONFLICT = "PeerURLConflict"
    #: A new peer URL has another scheme than the voters' peer URLs, so its traffic would not be protected like theirs.
    INSECURE_PEER_URL = "InsecurePeerURL"
    #: The worker's clusters file (`[clusters.NAME.allow]`) does not allow the request.
    NOT_ALLOWED = "NotAllowed"
    #: As many changes wait for the cluster as `max_waiting` allows.
    LINE_FULL = "LineFull"
    #: A server is older than etcd 3.5.
    UNSUPPORTED_VERSION = "UnsupportedVersion"
    #: A member of the cluster has corrupt data.
    CORRUPT_ALARM = "CorruptAlarm"
    #: The member is the last voter.
    LAST_VOTER = "LastVoter"
    #: Fewer voters than `min_voters` would be left.
    TOO_FEW_VOTERS = "TooFewVoters"
    #: The cluster would keep less spare than `min_spare`, or lose its quorum.
    QUORUM_AT_RISK = "QuorumAtRisk"
    #: A replace cannot take the requested order.
    ORDER_IMPOSSIBLE = "OrderImpossible"
    #: The member that leaves still leads. Leadership is moved first.
    STILL_LEADER = "StillLeader"
    #: No worker took a look in time, for a question such as `memberflow plan`. A change waits for a worker.
    NO_WORKER = "NoWorker"

    # ---- failed: the change had begun ----

    #: The answers come from another etcd cluster than before.
    WRONG_CLUSTER = "WrongCluster"
    #: The member is gone from the list, but not by this change.
    REMOVED_BY_OTHERS = "RemovedByOthers"
    #: The member's peer URLs were changed, but not by this change.
    PEER_URLS_CHANGED = "PeerURLsChanged"
    #: The lists say voter, the member itself says learner (etcd#18347).
    SPLIT_VIEW = "SplitView"
    #: A member that was sent a call stayed silent for `settle_timeout`: the call may still take effect.
    UNSETTLED = "Unsettled"
    #: An apply made too many changes, or a way back was tried for as long as Temporal keeps the history of one run.
    TOO_MANY_ATTEMPTS = "TooManyAttempts"
    #: A change of an apply was cancelled or ended by another client, so the apply stopped.
    STEP_ENDED = "StepEnded"
    #: A change of an apply went through and was undone by another client, so the apply stopped.
    UNDONE_BY_OTHERS = "UndoneByOthers"
    #: An activity failed without a name of its own.
    ACTIVITY_FAILED = "ActivityFailed"

    # ---- a clock ran out ----

    #: The member did not start within `start_timeout`.
    START_TIMEOUT = "StartTimeout"
    #: Nothing moved for `stall_timeout` although progress could be seen.
    LEARNER_STALLED = "LearnerStalled"
    #: The container that was launched for the member ended.
    LAUNCHED_MEMBER_DIED = "LaunchedMemberDied"
    #: The change took longer than `join_timeout`.
    JOIN_TIMEOUT = "JoinTimeout"
    #: A learner from outside memberflow took the slot for longer than `foreign_learner_timeout`.
    FOREIGN_LEARNER = "ForeignLearner"

    # ---- cancelled ----

    #: The change was cancelled.
    CANCELLED = "Cancelled"

    # ---- a warning: the change goes through ----

    #: The learner became a voter before it could be removed.
    BECAME_VOTER = "BecameVoter"
    #: The cluster could not be read after the effect, so nothing confirms it.
    UNVERIFIED = "Unverified"


# The failures in the table of the runbook's section "A change is refused". All others are in "It failed".
_REFUSED = {
    *(Failure.AMBIGUOUS_MEMBER, Failure.NAME_REUSED, Failure.NAME_CONFLICT, Failure.PEER_URL_CONFLICT),
    *(Failure.INSECURE_PEER_URL, Failure.NOT_ALLOWED, Failure.LINE_FULL, Failure.UNSUPPORTED_VERSION),
    *(Failure.CORRUPT_ALARM, Failure.LAST_VOTER, Failure.TOO_FEW_VOTERS, Failure.QUORUM_AT_RISK),
    *(Failure.ORDER_IMPOSSIBLE, Failure.STILL_LEADER, Failure.WRONG_CLUSTER),
}


def runbook(failure: str) -> str:
    """The section of the runbook that explains a failure."""
    section = "a-change-is-refused" if failure in _REFUSED else "it-failed"
    return f"docs/runbook.md#{section}"
