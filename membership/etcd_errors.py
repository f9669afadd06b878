"""
etcd's own errors, by etcd's own names.

    EtcdError                       an RPC failed. It keeps gRPC code, full text and endpoint
    ├── NotApplied                  this call certainly changed nothing
    │   ├── MemberExist, MemberNotLearner, NoLeader, Untrusted, ...
    │   └── Unreachable             no connection was made
    │       └── Hung                the connection was taken, and no answer came
    └── Ambiguous                   the call may have been applied, or still be
        ├── DeadlineExceeded, Canceled, ConnectionLost, Stopped
        ├── Timeout, TimeoutDueToLeaderFail, TimeoutDueToConnectionLost, TimeoutLeaderTransfer, LeaderChanged
        └── UnknownEtcdError        memberflow does not know the text

The names are those of `ErrGRPC...` in etcd's `api/v3rpc/rpctypes/error.go`, without the prefix. An error decides how
long to wait and which message a person gets. The next *act* is decided by looking.
"""

from __future__ import annotations

from typing import Literal

from membership.errors import MemberflowError
from membership.grpc_texts import plain


class EtcdError(MemberflowError):
    """An RPC to etcd failed."""

    applied: Literal["no", "maybe"] = "maybe"

    def __init__(self, text: str, code: str = "", endpoint: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.code = code
        self.endpoint = endpoint

    def __str__(self) -> str:
        return f"{self.endpoint}: {plain(self.text)}" if self.endpoint else plain(self.text)


class NotApplied(EtcdError):
    """The call was certainly not applied."""

    applied = "no"


class Ambiguous(EtcdError):
    """The call may have been applied, or may still be."""


# ---- certainly not applied ----


class MemberExist(NotApplied):
    """The same peer URLs were added within the same second."""


class PeerURLExist(NotApplied):
    """A member already has one of these peer URLs."""


class TooManyLearners(NotApplied):
    """The cluster has as many learners as --max-learners permits."""


class MemberBadURLs(NotApplied):
    """A peer URL is malformed by etcd's rules."""

    hint = "a peer URL is scheme://host:port without a path, e.g. https://10.0.0.14:2380"


class MemberNotFound(NotApplied):
    """No member has this ID (any more: removed IDs never come back)."""


class MemberNotLearner(NotApplied):
    """The member is a voter already. Through the leader, this call changed nothing."""


class LearnerNotReady(NotApplied):
    """The member's log is not in sync with the leader's. It may or may not be a learner."""


class MemberNotEnoughStarted(NotApplied):
    """Too few started members would be left."""


class Unhealthy(NotApplied):
    """Fewer voters than etcd asks for have been connected to the leader for 5 seconds."""

    hint = "etcd refuses this for 5 s after any member (re)connected, and while a voter is down"


class NotLeader(NotApplied):
    """The call needs the leader and reached another member."""


class BadLeaderTransferee(NotApplied):
    """Leadership can't go to an unknown member or a learner."""


class NoLeader(NotApplied):
    """The member knows no leader (asked with `hasleader`, so nothing was proposed)."""


class NotSupportedForLearner(NotApplied):
    """A learner answers only Status and serializable reads."""


class NotCapable(NotApplied):
    """The cluster version doesn't have this call."""


class TimeoutWaitAppliedIndex(NotApplied):
    """The leader lagged behind its own log for a second and didn't propose."""


class ClusterIDMismatch(NotApplied):
    """The request was meant for another cluster."""


class RequestTooManyRequests(NotApplied):
    """The member has too many unapplied entries."""


class RaftStopped(NotApplied):
    """The member was stopping and took no proposals any more."""


class ProposalDropped(NotApplied):
    """Raft takes no proposals while leadership is being moved."""


class Corrupt(NotApplied):
    """The member found its data corrupt."""

    hint = "a CORRUPT alarm is active: find the corrupt member before changing the membership"


class UserEmpty(NotApplied):
    """Authentication is on and no user was given."""

    hint = "set username and password_file for this cluster in the clusters file"


class UserNotFound(NotApplied):
    """The common name of the client certificate is not an etcd user."""

    hint = "add the user to etcd, or set username and password_file for this cluster in the clusters file"


class AuthFailed(NotApplied):
    """The user name or the password is wrong."""

    hint = "check username and password_file of this cluster in the clusters file"


class AuthNotEnabled(NotApplied):
    """A user was given although authentication is off."""


class InvalidAuthToken(NotApplied):
    """The token expired, or the member that kept it was restarted."""


class AuthOldRevision(NotApplied):
    """The auth store changed while the request was under way."""


class PermissionDenied(NotApplied):
    """The user lacks the role."""

    hint = "membership changes need a user with etcd's role root"


class Untrusted(NotApplied):
    """The address has no TLS and is not in the clusters file, so it gets no token."""


# Waiting does not help against these.
NO_ACCESS = (UserEmpty, UserNotFound, AuthFailed, PermissionDenied)


class Unimplemented(NotApplied):
    """The server doesn't know the call."""


class Unreachable(NotApplied):
    """No connection could be made, so nothing was sent."""

    hint = "is the member up, and can the worker reach this address?"


class Hung(Unreachable):
    """The member took the connection and never spoke, so nothing was sent."""

    hint = "etcd does that while it starts or takes a snapshot, and so does a process that is frozen"


# ---- perhaps applied ----


class DeadlineExceeded(Ambiguous):
    """The deadline passed while the call was outstanding."""


class Canceled(Ambiguous):
    """The call was cancelled while it was outstanding."""


class ConnectionLost(Ambiguous):
    """The connection broke while the call was outstanding."""


class Stopped(Ambiguous):
    """The member stopped. A leader that just removed itself answers this, too."""


class Timeout(Ambiguous):
    """The server's own time-out."""


class TimeoutDueToLeaderFail(Ambiguous):
    """The server's own time-out, around the loss of a leader."""


class TimeoutDueToConnectionLost(Ambiguous):
    """The server's own time-out, with connections to other members lost."""


class TimeoutLeaderTransfer(Ambiguous):
    """The leader may have moved all the same."""


class LeaderChanged(Ambiguous):
    """A read met an election."""


class UnknownEtcdError(Ambiguous):
    """This version of memberflow doesn't know the text. Code and text are kept."""

    def __str__(self) -> str:
        return f"{super().__str__()} ({self.code})" if self.code else super().__str__()
