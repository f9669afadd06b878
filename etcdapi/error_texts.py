"""
The only table from gRPC's (code, text) to `membership.etcd_errors`.

The texts are those of etcd's `api/v3rpc/rpctypes/error.go` (3.4 to 3.7) and others that servers send without that
file. They are compared whole, because some are prefixes of others. A text that is not in the table becomes
UnknownEtcdError, which keeps code and text.
"""

from __future__ import annotations

import grpc

from membership import etcd_errors as e

TEXTS: dict[str, type[e.EtcdError]] = {
    "etcdserver: member ID already exist": e.MemberExist,
    "etcdserver: Peer URLs already exists": e.PeerURLExist,
    "etcdserver: re-configuration failed due to not enough started members": e.MemberNotEnoughStarted,
    "etcdserver: given member URLs are invalid": e.MemberBadURLs,
    "etcdserver: member not found": e.MemberNotFound,
    "etcdserver: can only promote a learner member": e.MemberNotLearner,
    "etcdserver: can only promote a learner member which is in sync with leader": e.LearnerNotReady,
    "etcdserver: too many learner members in cluster": e.TooManyLearners,
    "etcdserver: cluster ID mismatch": e.ClusterIDMismatch,
    "etcdserver: too many requests": e.RequestTooManyRequests,
    "etcdserver: unhealthy cluster": e.Unhealthy,
    "etcdserver: corrupt cluster": e.Corrupt,
    "etcdserver: rpc not supported for learner": e.NotSupportedForLearner,
    "etcdserver: bad leader transferee": e.BadLeaderTransferee,
    "etcdserver: not leader": e.NotLeader,
    "etcdserver: no leader": e.NoLeader,
    "etcdserver: leader changed": e.LeaderChanged,
    "etcdserver: not capable": e.NotCapable,
    "etcdserver: server stopped": e.Stopped,
    "raft: stopped": e.RaftStopped,
    "raft proposal dropped": e.ProposalDropped,
    "etcdserver: request timed out": e.Timeout,
    "etcdserver: request timed out, possibly due to previous leader failure": e.TimeoutDueToLeaderFail,
    "etcdserver: request timed out, possibly due to connection lost": e.TimeoutDueToConnectionLost,
    "etcdserver: request timed out, waiting for the applied index took too long": e.TimeoutWaitAppliedIndex,
    "etcdserver: request timed out, leader transfer took too long": e.TimeoutLeaderTransfer,
    "etcdserver: request canceled": e.Canceled,
    "etcdserver: request cancelled": e.Canceled,
    "etcdserver: context deadline exceeded": e.DeadlineExceeded,
    "context deadline exceeded": e.DeadlineExceeded,
    "etcdserver: user name is empty": e.UserEmpty,
    "auth: user name is empty": e.UserEmpty,
    "etcdserver: user name not found": e.UserNotFound,
    "etcdserver: authentication failed, invalid user ID or password": e.AuthFailed,
    "etcdserver: authentication is not enabled": e.AuthNotEnabled,
    "etcdserver: invalid auth token": e.InvalidAuthToken,
    "auth: invalid auth token": e.InvalidAuthToken,
    "etcdserver: revision of auth store is old": e.AuthOldRevision,
    "etcdserver: permission denied": e.PermissionDenied,
    "auth: permission denied": e.PermissionDenied,
}

_NEVER_SENT = (
    "failed to connect to all addresses",
    "connections to all backends failing",
    "DNS resolution failed",
    "errors resolving",
)

# gRPC's own words for a connection that was accepted and brought no byte.
_MUTE = "timed out before receiving SETTINGS frame"

_CODES: dict[grpc.StatusCode, type[e.EtcdError]] = {
    grpc.StatusCode.DEADLINE_EXCEEDED: e.DeadlineExceeded,
    grpc.StatusCode.CANCELLED: e.Canceled,
    grpc.StatusCode.UNIMPLEMENTED: e.Unimplemented,
}


def translate(code: grpc.StatusCode, text: str, endpoint: str) -> e.EtcdError:
    """The named error for gRPC's code and text. Never raises."""
    kind = TEXTS.get(text) or _CODES.get(code)
    if kind is None and code is grpc.StatusCode.UNAVAILABLE and not text.startswith("etcdserver"):
        kind = _unsent(text) if text.startswith(_NEVER_SENT) else e.ConnectionLost
    return (kind or e.UnknownEtcdError)(text, code.name, endpoint)


def _unsent(text: str) -> type[e.Unreachable]:
    return e.Hung if _MUTE in text else e.Unreachable


def from_rpc(error: grpc.RpcError, endpoint: str) -> e.EtcdError:
    """The named error for a failed call."""
    code, text = error.code(), error.details() or ""
    named = translate(code, text, endpoint)
    named.__cause__ = error
    return named
