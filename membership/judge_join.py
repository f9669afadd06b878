"""The judgements of a join."""

from __future__ import annotations

from membership.failures import Failure
from membership.judge_peer_urls import judge_peer_urls
from membership.model import ClusterStatus, Member, Phase
from membership.verdicts import (
    Done,
    Facts,
    Ready,
    Refuse,
    Verdict,
    Wait,
    half_seen,
    quorum,
    safe_after,
    spare,
    tell_down,
    unknown_learners,
    unsettled,
    version_of,
)
from membership.witness import is_safe_without


def judge_add(status: ClusterStatus, facts: Facts) -> Verdict:
    """May the learner be added? Done when there is a member with exactly these peer URLs and no other name."""
    wanted = set(facts.peer_urls)
    if refused := judge_peer_urls(status, facts):
        return refused
    for member in status.with_peer_urls(facts.peer_urls):
        if set(member.peer_urls) != wanted or member.name not in ("", facts.name):
            return Refuse(
                Failure.PEER_URL_CONFLICT,
                f"peer URL {', '.join(sorted(set(member.peer_urls) & wanted))} belongs to member {member.label}",
                "a member joins under its own peer URLs: remove the other member first if it is gone for good",
            )
        return Done()
    for member in status.members:
        if member.name == facts.name:
            return Refuse(
                Failure.NAME_CONFLICT,
                f"the name {facts.name} belongs to member {member.label} at {', '.join(member.peer_urls)}",
                "choose another name, or replace that member",
            )
    return judge_supported(status) or _judge_slot(status, facts)


def judge_version(status: ClusterStatus) -> Refuse | None:
    """Refuses servers older than 3.5, for every kind of change."""
    for answer in status.statuses.values():
        if version_of(answer.version) < (3, 5):
            return Refuse(
                Failure.UNSUPPORTED_VERSION,
                f"member {answer.member_id} runs etcd {answer.version}, and 3.5 is the oldest supported version",
                "upgrade etcd: 3.4 is end of life and ignores linearizable member lists",
            )
    return None


def judge_supported(status: ClusterStatus) -> Refuse | None:
    """Refuses servers older than 3.5 and clusters with corrupt data: waiting would not help."""
    if refused := judge_version(status):
        return refused
    if corrupt := status.corrupt:
        return Refuse(
            Failure.CORRUPT_ALARM,
            f"a CORRUPT alarm is active on {', '.join(corrupt)}",
            "a new member would copy the corruption: remove the corrupt member first",
        )
    return None


def _judge_slot(status: ClusterStatus, facts: Facts) -> Verdict:
    if others := unknown_learners(status, facts.policy):
        other = others[0]
        return Wait(f"learner {other.label} at {', '.join(other.peer_urls)} takes the learner slot", foreign=other.id)
    if not_now := unsettled(status) or half_seen(status):
        return not_now
    # etcd's strict check before an add. Servers before 3.5.30 and 3.6.11 want every voter.
    voters, live = len(status.voters), len(status.live_voters)
    version = version_of(status.statuses[status.leader].version)
    wants_all = version < (3, 5, 30) or (3, 6) <= version < (3, 6, 11)
    if voters > 1 and live < (voters if wants_all else quorum(voters + 1)):
        return Wait(f"etcd refuses an add while {tell_down(status)}")
    return Ready()


def judge_sync(status: ClusterStatus, facts: Facts) -> Verdict:
    """Has the learner caught up, by the leader's word and its own?"""
    member = status.member(facts.member_id)
    if member is None:
        return _removed_by_others(facts)
    if not member.is_learner:
        return Done()
    if not_now := unsettled(status):
        return not_now
    phase = sync_phase(status, member)
    own = status.statuses.get(member.id)
    if phase == "not started":
        return Wait(f"member {facts.name} has not started", phase)
    if phase == "receiving snapshot":
        return Wait("the learner receives a snapshot", phase)
    if own is None and member.id not in status.witnessed:
        return Wait(f"the learner does not answer: {status.why_silent(member.id)}", phase)
    if own and not own.is_learner:
        return Wait("the learner has not applied its own add yet", phase)
    raft = status.progress.get(member.id)
    if raft is not None and raft.state != "StateReplicate":
        return Wait(f"the leader does not replicate to the learner ({raft.state})", phase)
    behind = lag(status, member)
    if behind > facts.policy.max_lag_entries:
        return Wait(f"the learner is {behind} raft entries behind", phase)
    return Done()


def sync_phase(status: ClusterStatus, member: Member) -> Phase:
    """The phase of a learner, by the leader's view where that is known."""
    raft = status.progress.get(member.id)
    own = status.statuses.get(member.id)
    if raft is not None and raft.state == "StateSnapshot":
        return "receiving snapshot"
    if own is None and not member.name and (raft is None or raft.match == 0):
        return "not started"
    return "replicating" if raft or own else "unknown"


def lag(status: ClusterStatus, member: Member) -> int:
    """
    Raft entries between the leader and a learner: the larger of the leader's view and the learner's own.

    The looks read the leader's status first, so that writes in between only make the lag look smaller.
    """
    own, leader = status.statuses.get(member.id), status.statuses[status.leader]
    behind = max(0, leader.raft_index - own.applied_index) if own else 0
    if member.id in status.progress and status.leader in status.progress:
        behind = max(behind, status.progress[status.leader].match - status.progress[member.id].match)
    return behind


def judge_promote(status: ClusterStatus, facts: Facts) -> Verdict:
    """
    May the learner become a voter?

    Only on its own fresh word: etcd compares log positions and would promote a dead or frozen learner. While its
    Status hangs, a second witness counts (`membership.witness`), but only where the live voters alone are a quorum
    of the new size. A wrong witness then costs spare, and never the quorum.
    """
    synced = judge_sync(status, facts)
    member = status.member(facts.member_id)
    if not isinstance(synced, Done) or member is None or not member.is_learner:
        return synced
    if not_seen := half_seen(status):
        return not_seen
    voters, live = len(status.voters), len(status.live_voters)
    if member.id not in status.statuses and not is_safe_without(status):
        return Wait(f"the learner does not answer, and is needed for quorum: {status.why_silent(member.id)}")
    before, after = spare(voters, live), spare(voters + 1, live + 1)
    if not safe_after(facts.policy, before, after):
        return Wait(
            f"after the promote {voters + 1} voters with {live + 1} alive would spare {after}: {tell_down(status)}"
        )
    return Ready()


def judge_verified(status: ClusterStatus, facts: Facts) -> Verdict:
    """Do the voters and the member itself say that it is a voter?"""
    member = status.member(facts.member_id)
    if member is None:
        return _removed_by_others(facts)
    if member.is_learner or status.dissent:
        return Wait("not every voter's list says voter yet")
    own = status.statuses.get(member.id)
    if own is None:
        witness = ", but its peer port and the leader's log speak for it" if member.id in status.witnessed else ""
        return Wait(f"the new voter does not answer: {status.why_silent(member.id)}{witness}")
    if own.is_learner:
        return Wait("the lists say voter, the member itself says learner")
    if member.id not in status.readers:
        return Wait("no linearizable read went through the new voter yet")
    return Done()


def contradicts(status: ClusterStatus, facts: Facts) -> bool:
    """Whether all lists say voter while the member itself says learner (etcd#18347)."""
    member, own = status.member(facts.member_id), status.statuses.get(facts.member_id)
    return bool(member and own and not member.is_learner and not status.dissent and own.is_learner)


def judge_rollback(status: ClusterStatus, facts: Facts) -> Verdict:
    """May our learner be removed? Done when it is gone. A voter is never removed by a rollback."""
    member = status.member(facts.member_id)
    if member is None:
        return Done()
    if not member.is_learner:
        return Refuse(Failure.BECAME_VOTER, f"member {member.label} is a voter by now")
    if not_now := unsettled(status):
        return not_now
    return Ready()


def _removed_by_others(facts: Facts) -> Refuse:
    return Refuse(
        Failure.REMOVED_BY_OTHERS,
        f"member {facts.name} ({facts.member_id}) is no longer in the member list, but not by this change",
        "run the same join again to add it anew, with an empty data directory",
    )
