"""
Judgements of a join: what was seen, and what was asked for, make a verdict.

No clock and no I/O: the same look always gets the same verdict. State decides, never an error's text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from membership.model import ClusterStatus, Member, Phase
from membership.requests import JoinRequest, Policy


@dataclass(frozen=True)
class Done:
    """The step's effect is there."""


@dataclass(frozen=True)
class Ready:
    """The step's act may be sent."""


@dataclass(frozen=True)
class Wait:
    """Nothing to do until something changes."""

    reason: str
    phase: Phase = "unknown"


@dataclass(frozen=True)
class Refuse:
    """Waiting will not help; `error` names why."""

    error: str
    reason: str
    hint: str = ""


Verdict = Done | Ready | Wait | Refuse


@dataclass(frozen=True)
class Join:
    """What the judgements of one join go by. `member_id` is empty until the member is in the list."""

    request: JoinRequest
    policy: Policy
    cluster_id: str
    member_id: str = ""


def quorum(voters: int) -> int:
    return voters // 2 + 1


def spare(voters: int, live: int) -> int:
    """Live voters minus quorum: how many more may die."""
    return live - quorum(voters)


def safe_after(policy: Policy, before: int, after: int) -> bool:
    """Whether a change that takes the spare from `before` to `after` leaves the cluster as safe as it must be."""
    return after >= 0 and after >= min(policy.min_spare, before)


def judge_identity(status: ClusterStatus, join: Join) -> Refuse | None:
    """Refuses to go on with a cluster that is not the one that the change began with."""
    if status.cluster_id != join.cluster_id:
        return Refuse(
            "WrongCluster",
            f"cluster {join.request.cluster} had the ID {join.cluster_id} and now answers as {status.cluster_id}",
            "were its endpoints changed in the clusters file?",
        )
    return None


def judge_add(status: ClusterStatus, join: Join) -> Verdict:
    """May the learner be added? Done when a member with exactly these peer URLs, and no other name, is there."""
    request = join.request
    wanted = set(request.peer_urls)
    for member in status.with_peer_urls(request.peer_urls):
        if set(member.peer_urls) != wanted or member.name not in ("", request.name):
            return Refuse(
                "PeerURLConflict",
                f"peer URL {', '.join(sorted(set(member.peer_urls) & wanted))} belongs to member {member.label}",
                "a member joins under its own peer URLs; remove the other one first if it is gone",
            )
        return Done()
    for member in status.members:
        if member.name == request.name:
            return Refuse(
                "NameConflict",
                f"the name {request.name} belongs to member {member.label} at {', '.join(member.peer_urls)}",
                "choose another name, or replace that member",
            )
    return judge_supported(status) or _judge_slot(status)


def judge_supported(status: ClusterStatus) -> Refuse | None:
    """Refuses what no waiting will mend: servers older than 3.5, and clusters with corrupt data."""
    for answer in status.statuses.values():
        if _version(answer.version) < (3, 5):
            return Refuse(
                "UnsupportedVersion",
                f"member {answer.member_id} runs etcd {answer.version}; 3.5 is the oldest supported version",
                "upgrade etcd: 3.4 is end of life and ignores linearizable member lists",
            )
    corrupt = sorted(a.member_id for a in status.alarms if a.kind == "CORRUPT")
    if corrupt:
        return Refuse(
            "CorruptAlarm",
            f"a CORRUPT alarm is active on {', '.join(corrupt)}",
            "a new member would copy the corruption; remove the corrupt member first",
        )
    return None


def _judge_slot(status: ClusterStatus) -> Verdict:
    if status.learners:
        other = status.learners[0]
        return Wait(f"learner {other.label} at {', '.join(other.peer_urls)} takes the learner slot")
    if unsettled := _unsettled(status):
        return unsettled
    # etcd's strict check before an add (3.5.30+, 3.6.11+); older servers ask for every voter and say so themselves.
    voters, live = len(status.voters), len(status.live_voters)
    if voters > 1 and live < quorum(voters + 1):
        return Wait(f"etcd refuses an add while {_down(status)}")
    return Ready()


def _unsettled(status: ClusterStatus) -> Wait | None:
    if not status.leader:
        return Wait("the cluster has no leader")
    if status.leader not in status.statuses:
        return Wait(f"the leader {status.leader} does not answer: {status.why_silent(status.leader)}")
    if status.dissent:
        return Wait(f"voters disagree about the member list: {'; '.join(status.dissent)}")
    return None


def judge_sync(status: ClusterStatus, join: Join) -> Verdict:
    """Has the learner caught up, by the leader's word and by its own?"""
    member = status.member(join.member_id)
    if member is None:
        return _removed_by_others(join)
    if not member.is_learner:
        return Done()
    if unsettled := _unsettled(status):
        return unsettled
    phase = sync_phase(status, member)
    own = status.statuses.get(member.id)
    if phase == "not started":
        return Wait(f"member {join.request.name} has not started", phase)
    if phase == "receiving snapshot":
        return Wait("the learner receives a snapshot", phase)
    if own is None:
        return Wait(f"the learner does not answer: {status.why_silent(member.id)}", phase)
    if not own.is_learner:
        return Wait("the learner has not applied its own add yet", phase)
    behind = lag(status, member)
    if behind > join.policy.max_lag_entries:
        return Wait(f"the learner is {behind} raft entries behind", phase)
    return Done()


def sync_phase(status: ClusterStatus, member: Member) -> Phase:
    """Where a learner is on its way, by the leader's view where that is known."""
    seen = status.progress.get(member.id)
    own = status.statuses.get(member.id)
    if seen is not None and seen.state == "StateSnapshot":
        return "receiving snapshot"
    if own is None and not member.name and (seen is None or seen.match == 0):
        return "not started"
    return "replicating" if seen or own else "unknown"


def lag(status: ClusterStatus, member: Member) -> int:
    """
    Raft entries between the leader and a learner that answers; the larger of both ways to see it.

    The looks read the leader's status first, so that writes in between only make the lag look smaller.
    """
    own, leader = status.statuses[member.id], status.statuses[status.leader]
    behind = max(0, leader.raft_index - own.applied_index)
    if member.id in status.progress and status.leader in status.progress:
        behind = max(behind, status.progress[status.leader].match - status.progress[member.id].match)
    return behind


def judge_promote(status: ClusterStatus, join: Join) -> Verdict:
    """
    May the learner become a voter?

    Only on its own fresh word: etcd compares log positions and would promote a dead or frozen learner.
    """
    synced = judge_sync(status, join)
    member = status.member(join.member_id)
    if not isinstance(synced, Done) or member is None or not member.is_learner:
        return synced
    voters, live = len(status.voters), len(status.live_voters)
    before, after = spare(voters, live), spare(voters + 1, live + 1)
    if not safe_after(join.policy, before, after):
        return Wait(f"after the promote {voters + 1} voters with {live + 1} alive would spare {after}: {_down(status)}")
    return Ready()


def judge_verified(status: ClusterStatus, join: Join) -> Verdict:
    """Do all who can say it, the member itself among them, say that it is a voter?"""
    member = status.member(join.member_id)
    if member is None:
        return _removed_by_others(join)
    if member.is_learner or status.dissent:
        return Wait("not every voter's list says voter yet")
    own = status.statuses.get(member.id)
    if own is None:
        return Wait(f"the new voter does not answer: {status.why_silent(member.id)}")
    if own.is_learner:
        return Wait("the lists say voter, the member itself says learner")
    if member.id not in status.readers:
        return Wait("no linearizable read went through the new voter yet")
    return Done()


def contradicts(status: ClusterStatus, join: Join) -> bool:
    """Whether the lists agree on voter while the member itself says learner (etcd#18347)."""
    member, own = status.member(join.member_id), status.statuses.get(join.member_id)
    return bool(member and own and not member.is_learner and not status.dissent and own.is_learner)


def judge_rollback(status: ClusterStatus, join: Join) -> Verdict:
    """May our learner be removed? Done when it is gone; a voter is never removed by a rollback."""
    member = status.member(join.member_id)
    if member is None:
        return Done()
    if not member.is_learner:
        return Refuse("BecameVoter", f"member {member.label} is a voter by now")
    if unsettled := _unsettled(status):
        return unsettled
    return Ready()


JUDGES: dict[str, Callable[[ClusterStatus, Join], Verdict]] = {
    "add": judge_add,
    "sync": judge_sync,
    "promote": judge_promote,
    "verify": judge_verified,
    "rollback": judge_rollback,
}


def judge(step: str, status: ClusterStatus, join: Join) -> Verdict:
    """The verdict of the named step, after making sure that it is still the same cluster."""
    return judge_identity(status, join) or JUDGES[step](status, join)


def _removed_by_others(join: Join) -> Refuse:
    return Refuse(
        "RemovedByOthers",
        f"member {join.request.name} ({join.member_id}) is no longer in the member list, and not by this change",
        "run the same join again to add it anew; its data directory must be empty",
    )


def _down(status: ClusterStatus) -> str:
    down = [f"{m.label}: {status.why_silent(m.id)}" for m in status.down_voters]
    return "these voters are down: " + "; ".join(down) if down else "every voter is alive"


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("-", maxsplit=1)[0].split(".") if part.isdigit())
