"""
The preflight: the checks before a change, each with its verdict, its evidence and a hint.

`plan` shows all of it. Every change begins with it, and is refused with the same sentences.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from membership.checks import Check, check_addresses, check_cluster
from membership.failures import Failure
from membership.judge_join import judge_add
from membership.judge_removal import judge_removal
from membership.model import ClusterStatus, Member
from membership.policy import Policy
from membership.record import NO_RECORD, Record, check_absent, check_reused
from membership.verdicts import Facts, Refuse, Verdict, Wait, spare, unknown_learners


def refusal(checks: Iterable[Check]) -> Check | None:
    """The first check that refuses the change."""
    return next((c for c in checks if c.verdict == "refuse"), None)


def warnings(checks: Iterable[Check]) -> list[str]:
    return [c.evidence for c in checks if c.verdict == "warn"]


def find_member(status: ClusterStatus, wanted: str) -> Member | None:
    """The member with this hex ID, else with this name, else with this decimal ID, None when there is none."""
    by_id = status.member(wanted.lower().removeprefix("0x").lstrip("0"))
    by_name = next((m for m in status.members if m.name == wanted), None)
    return by_id or by_name or _by_decimal_id(status, wanted)


def _by_decimal_id(status: ClusterStatus, wanted: str) -> Member | None:
    """The member with this ID in decimal, as etcdctl's JSON and the HTTP gateway print it."""
    return status.member(f"{int(wanted):x}") if wanted.isascii() and wanted.isdecimal() else None


def is_down(status: ClusterStatus, member: Member) -> bool:
    """
    Whether a voter follows no leader, by its own word or, where this worker cannot reach it, by the leader's.

    False also where that is not known: a voter that may live is never taken for dead.
    """
    return bool(status.leader) and any(m.id == member.id for m in status.down_voters)


def is_known(status: ClusterStatus, member: Member) -> bool:
    """Whether this look shows if the member lives."""
    return bool(status.leader) and member.id not in status.unclear


def why_not_dead(status: ClusterStatus, member: Member) -> str:
    """Why this member is not known to be dead, for a person, empty when it is."""
    if is_down(status, member):
        return ""
    if status.member(member.id) is None:
        return f"{member.label} is not in the member list any more"
    if not status.leader:
        return f"{member.label} may live: the cluster has no leader that could tell"
    if member.id in status.unclear:
        return f"{member.label} may live: it does not answer, and whether the leader hears it is not known"
    if member.id in status.unreached:
        return f"{member.label} lives: this worker cannot reach it, although the leader does"
    return f"{member.label} lives"


# ---- by change ----


def check_join(status: ClusterStatus, facts: Facts) -> tuple[Check, ...]:
    voters, live = len(status.voters), len(status.live_voters)
    if has_joined(status, facts):
        return (*check_cluster(status), Check("join", "ok", f"{facts.name} is a voter already"))
    return (
        *check_cluster(status),
        check_judged("join", judge_add(status, facts), f"{facts.name} can be added at {', '.join(facts.peer_urls)}"),
        *check_addresses(status, facts),
        check_spare(status, "after the join", voters + 1, live + 1),
    )


def check_remove(
    status: ClusterStatus, facts: Facts, wanted: Member | str, *, force: bool, record: Record = NO_RECORD
) -> tuple[Check, ...]:
    """The checks of a removal. `wanted`: the member where it is known already, else its name or ID."""
    if found := check_several(status, wanted):
        return (found,)
    target = find_member(status, wanted) if isinstance(wanted, str) else status.member(wanted.id)
    if target is None:
        if isinstance(wanted, Member):
            return (*check_cluster(status), Check("member", "ok", f"{wanted.label} is gone from the member list"))
        return (*check_cluster(status), check_absent(status, wanted, record))
    if isinstance(wanted, str) and (reused := check_reused(target, wanted, record)):
        return reused
    return (*check_cluster(status), *check_removal(status, replace(facts, force=force), target, returning=0))


def has_joined(status: ClusterStatus, facts: Facts) -> bool:
    return any(
        not m.is_learner and m.name == facts.name and set(m.peer_urls) == set(facts.peer_urls) for m in status.members
    )


def check_spare(status: ClusterStatus, when: str, voters: int, live: int) -> Check:
    before = spare(len(status.voters), len(status.live_voters))
    return Check(
        "spare", "ok", f"voters that may die: {before} now, {spare(voters, live)} {when} ({live} of {voters} alive)"
    )


# ---- parts ----


def check_several(status: ClusterStatus, wanted: Member | str) -> Check | None:
    """Etcd's names need not be unique. Its IDs are, but a decimal ID may read as another member's hex ID."""
    if not isinstance(wanted, str):
        return None
    same = [m.id for m in status.members if m.name == wanted]
    if (meant := find_member(status, wanted)) and (other := _by_decimal_id(status, wanted)) and other != meant:
        same = [meant.id, other.id]
    if len(same) < 2:
        return None
    hint = "give the hex ID of the member"
    return Check(
        "member", "refuse", f"{wanted} fits several members: {', '.join(same)}", hint, Failure.AMBIGUOUS_MEMBER
    )


def check_learners(status: ClusterStatus, leaving: str, policy: Policy) -> tuple[Check, ...]:
    """A check only where a removal leaves another learner in the cluster, which the policy does not know."""
    others = unknown_learners(status.without(leaving), policy)
    if not others:
        return ()
    evidence = f"learner {others[0].label} is in the cluster, and is left alone"
    return (Check("learners", "warn", evidence, "if no change waits for it, `memberflow remove` it by its ID"),)


def check_removal(status: ClusterStatus, facts: Facts, target: Member, returning: int) -> list[Check]:
    facts = replace(facts, member_id=target.id, returning=returning)
    verdict: Verdict | None = judge_removal(status, facts)
    if isinstance(verdict, Refuse) and verdict.error == Failure.STILL_LEADER:
        verdict = None
    lead = ", after its leadership is moved" if status.leader == target.id else ""
    checks = [check_judged("removal", verdict, f"{target.label} can be removed{lead}")]
    checks += check_learners(status, target.id, facts.policy)
    if not target.is_learner:
        others = sum(m.id != target.id for m in status.live_voters)
        checks.append(check_spare(status, "after the removal", len(status.voters) - 1, others))
    return checks


def check_judged(name: str, verdict: Verdict | None, good: str) -> Check:
    match verdict:
        case Refuse(error, reason, hint):
            return Check(name, "refuse", reason, hint, error)
        case Wait(reason, foreign=foreign):
            hint = (
                "promote it with etcdctl, or `memberflow remove` it"
                if foreign
                else "the change waits for this, and then goes on"
            )
            return Check(name, "wait", reason, hint)
    return Check(name, "ok", good)
