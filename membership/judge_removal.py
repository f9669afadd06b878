"""The judgements of a removal."""

from __future__ import annotations

from dataclasses import replace

from membership.failures import Failure
from membership.model import ClusterStatus, Member
from membership.verdicts import (
    Done,
    Facts,
    Ready,
    Refuse,
    Verdict,
    Wait,
    half_seen,
    help_for_down,
    safe_after,
    spare,
    tell_down,
    unsettled,
)


def judge_removal(status: ClusterStatus, facts: Facts) -> Verdict:
    """May the member be removed? Done when it is gone. Refused where the cluster would not be safe enough."""
    target = status.member(facts.member_id)
    if target is None:
        return Done()
    if not_seen := half_seen(status):
        return not_seen
    if not target.is_learner and (
        refused := _judge_safety(status, target, facts) or _judge_later(status, target, facts)
    ):
        return refused
    if status.leader == target.id:
        return Refuse(Failure.STILL_LEADER, f"member {target.label} leads, so leadership is moved first")
    return unsettled(status) or Ready()


def _judge_safety(status: ClusterStatus, target: Member, facts: Facts) -> Refuse | None:
    voters = len(status.voters)
    if voters == 1:
        return Refuse(Failure.LAST_VOTER, f"{target.label} is the last voter: without it there is no cluster")
    corrupt = [member_id for member_id in status.corrupt if member_id != target.id]
    if corrupt and not facts.force:
        return Refuse(
            Failure.CORRUPT_ALARM,
            f"a CORRUPT alarm is active on {', '.join(corrupt)}, and the member to be removed is {target.label}",
            "remove the corrupt member first (--force skips this check)",
        )
    final = voters - 1 + facts.returning
    least = facts.policy.min_voters
    if facts.began_with:
        least = min(least, facts.began_with[0])
    if final < least and not facts.force:
        return Refuse(
            Failure.TOO_FEW_VOTERS,
            f"{voters} voters would become {final}, and min_voters is {facts.policy.min_voters}",
            "replace the member, or join another member first (--force skips this check)",
        )
    return _judge_spare(status, target, facts) if status.leader else None


def _judge_later(status: ClusterStatus, target: Member, facts: Facts) -> Refuse | None:
    """The cluster must be safe enough also when the removals that ended changes sent come after this one."""
    going = [m for m in status.voters if m.id in facts.may_go and m.id != target.id]
    if not going:
        return None
    began_with = facts.began_with and (facts.began_with[0] - len(going), facts.began_with[1])
    fewer = status.without(*(m.id for m in going))
    refused = _judge_safety(fewer, target, replace(facts, began_with=began_with))
    if refused is None:
        return None
    names = ", ".join(m.label for m in going)
    reason = f"the removal of {names} that an ended change sent may still take effect: then {refused.reason}"
    hint = (
        "thaw, restart or remove the member that was sent this call. The next change then sees the effect, if it came"
    )
    return Refuse(refused.error, reason, hint)


def _judge_spare(status: ClusterStatus, target: Member, facts: Facts) -> Refuse | None:
    voters = len(status.voters)
    live = sum(m.id != target.id for m in status.live_voters)
    # A member that may live counts as alive: without it the spare shrinks.
    before, after = spare(voters, live + (target not in status.down_voters)), spare(voters - 1, live)
    if facts.began_with:
        before = min(before, facts.began_with[1])
    if after >= 0 and (facts.force or safe_after(facts.policy, before, after)):
        return None
    others = tell_down(status.without(target.id))
    arithmetic = f"{voters - 1} voters with {live} alive would spare {after}, now it is {before}"
    if after < 0:
        return Refuse(
            Failure.QUORUM_AT_RISK,
            f"{arithmetic}: the cluster would lose its quorum, and {others}",
            help_for_down(status.without(target.id), "start them again first"),
        )
    return Refuse(
        Failure.QUORUM_AT_RISK,
        f"{arithmetic}, min_spare is {facts.policy.min_spare}, and {others}",
        help_for_down(status.without(target.id), "join another member first (--force skips this check)"),
    )


def judge_move(status: ClusterStatus, facts: Facts) -> Verdict:
    """Does another member lead? Ready when another member could."""
    target = status.member(facts.member_id)
    if target is None:
        return Done()
    if not_now := unsettled(status):
        return not_now
    if status.leader != target.id:
        return Done()
    if transferee(status, facts) is None:
        return Wait(f"no other voter could lead: {tell_down(status)}")
    return Ready()


def transferee(status: ClusterStatus, facts: Facts) -> Member | None:
    """
    The healthy voter that is most caught up, never a learner, a member with corrupt data, or out of our reach.

    The voter that this same change made comes last. All its links are young, and a leader whose links are younger
    than 5 s refuses the removal (etcd's HealthInterval).
    """

    def preference(member: Member) -> tuple[bool, int]:
        raft = status.progress.get(member.id)
        position = raft.match if raft else status.statuses[member.id].applied_index
        return not set(member.peer_urls) & set(facts.peer_urls), position

    candidates = [m for m in status.live_voters if m.id in status.statuses and m.id not in status.corrupt]
    candidates = [m for m in candidates if m.id != facts.member_id]
    return max(candidates, key=preference, default=None)


def judge_gone(status: ClusterStatus, facts: Facts) -> Verdict:
    """Is the member gone from every voter's list, with a leader, and a linearizable read answered?"""
    if status.member(facts.member_id) is not None:
        return Wait("the member list still shows the member")
    return unsettled(status) or Done()
