"""
A second witness for a learner whose own `Status` hangs.

After a snapshot etcd may keep a learner's client port silent for seconds, although it has restored and follows.
Raft alone proves too little: a learner's log may match before its data is restored. So the learner's own peer port
is asked first, and raft after it, with one more entry. Only a live member can acknowledge that entry.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from membership.model import ClusterStatus, Member, RaftProgress
from membership.verdicts import quorum

REPLICATES = "StateReplicate"


@dataclass(frozen=True)
class PeerList:
    """A member's own answer to `GET <peer URL>/members`."""

    #: Hex, from the header of the answer.
    cluster_id: str
    members: tuple[Member, ...]


@dataclass(frozen=True)
class RaftView:
    """The leader's own view of raft, from its `/debug/vars`."""

    #: The ID of the member that was asked.
    member_id: str
    #: The ID of the leader that it knows: its own, while it leads.
    leader: str
    term: int
    #: The raft index up to which everything is committed.
    commit: int
    #: By member ID.
    progress: dict[str, RaftProgress]


@dataclass(frozen=True)
class Evidence:
    """The evidence for a member whose `Status` hangs, in the order in which it was asked for."""

    told: PeerList
    #: A raft index that was committed after the peer port's answer.
    commit: int
    #: The leader's view after that.
    view: RaftView


def is_near(view: RaftView, member_id: str, max_lag: int) -> bool:
    """Whether the member that was asked leads, replicates to the other one, and has it near enough."""
    raft, leader = view.progress.get(member_id), view.progress.get(view.leader)
    if raft is None or leader is None or view.member_id != view.leader:
        return False
    return raft.state == REPLICATES and leader.match - raft.match <= max_lag


def is_safe_without(status: ClusterStatus) -> bool:
    """Whether the live voters alone are a quorum of one voter more."""
    return len(status.live_voters) >= quorum(len(status.voters) + 1)


def may_be_witnessed(status: ClusterStatus, member_id: str, max_lag: int) -> bool:
    """Whether to ask a second witness: the member's Status hung, the leader replicates to it, and it is near enough."""
    member = status.member(member_id)
    raft, leader = status.progress.get(member_id), status.progress.get(status.leader)
    if member is None or member_id not in status.hung or raft is None or leader is None:
        return False
    if member.is_learner and not is_safe_without(status):
        return False
    return raft.state == REPLICATES and leader.match - raft.match <= max_lag


def accept(status: ClusterStatus, member_id: str, evidence: Evidence) -> ClusterStatus:
    """The same look, with this evidence counted."""
    return replace(status, progress=evidence.view.progress, witnessed=(*status.witnessed, member_id))


def doubt_of_list(status: ClusterStatus, member_id: str, told: PeerList) -> str:
    """
    Why the peer port's answer proves nothing, empty when it proves that the member has restored its data.

    Until the snapshot is restored, a new member lists the members of its start configuration, and itself as a voter.
    """
    member = status.member(member_id)
    if told.cluster_id != status.cluster_id:
        return f"its peer port answers for cluster {told.cluster_id}"
    itself = next((m for m in told.members if m.id == member_id), None)
    if member is None or itself is None:
        return "its peer port does not list it"
    if itself.is_learner != member.is_learner:
        return "its peer port does not list it in its role"
    if set(itself.peer_urls) != set(member.peer_urls):
        return "its peer port lists it with other peer URLs"
    return ""


def doubt(status: ClusterStatus, member_id: str, evidence: Evidence, max_lag: int) -> str:
    """Why the evidence does not count, empty when it does."""
    if reason := doubt_of_list(status, member_id, evidence.told):
        return reason
    view = evidence.view
    if (view.member_id, view.leader, view.term) != (status.leader, status.leader, status.term):
        return "the leader or its term has changed"
    raft, leader = view.progress.get(member_id), view.progress.get(status.leader)
    if raft is None or leader is None:
        return "the leader's /debug/vars does not show it"
    if raft.state != REPLICATES:
        return f"the leader does not replicate to it ({raft.state})"
    if raft.match < evidence.commit:
        return f"it has not acknowledged raft entry {evidence.commit} (at {raft.match})"
    if leader.match - raft.match > max_lag:
        return f"it is {leader.match - raft.match} raft entries behind"
    return ""
