"""
The preflight: what is checked before a change, each with its verdict, its evidence and a hint.

`plan` shows all of it; every change begins with it, and is refused with the same sentences.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from membership.judge_join import judge_add
from membership.judge_removal import judge_removal
from membership.known_bugs import bugs_of
from membership.model import ClusterStatus, Member
from membership.requests import ChangeRequest, JoinRequest, RemoveRequest, ReplaceRequest
from membership.verdicts import Facts, Refuse, Verdict, Wait, spare, tell_down, version_of

CheckVerdict = Literal["ok", "warn", "wait", "refuse"]

# Of the quota; etcd raises NOSPACE at all of it.
_FULL = 0.8
# etcd counts a link as healthy after 5 s (its HealthInterval), and refuses adds and removals until then.
_YOUNG = 5.0


@dataclass(frozen=True)
class Check:
    """One thing that was checked. `error` names a refusal."""

    name: str
    verdict: CheckVerdict
    evidence: str
    hint: str = ""
    error: str = ""


@dataclass(frozen=True)
class Order:
    """Which half of a replace comes first, and why."""

    first: Literal["add-first", "remove-first"]
    why: str


def refusal(checks: Iterable[Check]) -> Check | None:
    """The first check that refuses the change."""
    return next((c for c in checks if c.verdict == "refuse"), None)


def warnings(checks: Iterable[Check]) -> list[str]:
    return [c.evidence for c in checks if c.verdict == "warn"]


def find_member(status: ClusterStatus, wanted: str) -> Member | None:
    """The member with this hex ID, else with this name; None when there is none."""
    by_id = status.member(wanted.lower().removeprefix("0x").lstrip("0"))
    return by_id or next((m for m in status.members if m.name == wanted), None)


def is_down(status: ClusterStatus, member: Member) -> bool:
    """Whether a voter doesn't answer or doesn't follow the leader."""
    return any(m.id == member.id for m in status.down_voters)


def meant_by(request: ChangeRequest, status: ClusterStatus) -> set[str]:
    """The IDs of members that a request is about."""
    name, urls = "", set[str]()
    if isinstance(request, RemoveRequest):
        name = request.member
    if isinstance(request, ReplaceRequest):
        name = request.old
    if isinstance(request, JoinRequest | ReplaceRequest):
        urls = set(request.peer_urls)
    named = find_member(status, name) if name else None
    return {m.id for m in status.members if m is named or set(m.peer_urls) == urls}


# ---- by change ----


def check_join(status: ClusterStatus, facts: Facts) -> tuple[Check, ...]:
    voters, live = len(status.voters), len(status.live_voters)
    return (
        *_cluster(status),
        _judged("join", judge_add(status, facts), f"{facts.name} can be added at {', '.join(facts.peer_urls)}"),
        _spare(status, "after the join", voters + 1, live + 1),
    )


def check_remove(status: ClusterStatus, facts: Facts, wanted: Member | str, *, force: bool) -> tuple[Check, ...]:
    """`wanted`: the member where it is known already, else its name or hex ID."""
    if found := _several(status, wanted):
        return (found,)
    target = find_member(status, wanted) if isinstance(wanted, str) else status.member(wanted.id)
    if target is None:
        return (*_cluster(status), Check("member", "ok", "is not in the member list: removed already"))
    return (*_cluster(status), *_removal(status, replace(facts, force=force), target, returning=0))


def check_replace(
    status: ClusterStatus, facts: Facts, wanted: Member | str, request: ReplaceRequest
) -> tuple[Check, ...]:
    """`wanted`: the old member where it is known already, else its name or hex ID."""
    if found := _several(status, wanted):
        return (found,)
    old = find_member(status, wanted) if isinstance(wanted, str) else status.member(wanted.id)
    if old and request.old == old.name and set(old.peer_urls) & set(request.peer_urls):
        hint = f"give the hex ID {old.id}, so that a repeated replace can never remove the new member"
        reason = f"the old member {old.label} has a peer URL of the new one, and is given by its name"
        return (Check("old member", "refuse", reason, hint, "AmbiguousMember"),)
    order = order_of(status, old, request)
    newcomer = judge_add(status.without(old.id) if old and order.first == "remove-first" else status, facts)
    checks = [*_cluster(status), _judged("join", newcomer, f"{facts.name} can be added")]
    if old is None:
        checks.append(Check("old member", "warn", f"no member {request.old} is in the list: taken as removed already"))
        return tuple(checks)
    checks.append(_order(order, old, request))
    if order.first == "remove-first":
        began_with = (len(status.voters), spare(len(status.voters), len(status.live_voters)))
        facts = replace(facts, force=request.force, began_with=began_with)
        checks += _removal(status, facts, old, returning=1)
    return tuple(checks)


def order_of(status: ClusterStatus, old: Member | None, request: ReplaceRequest) -> Order:
    """Which half comes first: the margin must not shrink while the old member is healthy."""
    if old is None:
        return Order("add-first", "the old member is gone already")
    if old.name == request.name or set(old.peer_urls) & set(request.peer_urls):
        return Order("remove-first", "the new member has the old one's name or peer URL")
    if any(not m.is_learner for m in status.with_peer_urls(request.peer_urls)):
        return Order("add-first", "the new member is a voter already")
    if old.is_learner:
        return Order("remove-first", "the old member is a learner and takes the learner slot")
    if request.order != "auto":
        return Order(request.order, "asked for with --order")
    if is_down(status, old):
        return Order("remove-first", "the old member is down, and etcd may refuse an add while a voter is down")
    return Order("add-first", "the old member is healthy, so the margin never shrinks")


# ---- of every change ----


def _cluster(status: ClusterStatus) -> tuple[Check, ...]:
    return (
        _leader(status),
        _voters(status),
        _lists(status),
        _versions(status),
        _alarms(status),
        _sizes(status),
        _links(status),
    )


def _leader(status: ClusterStatus) -> Check:
    leader = status.member(status.leader)
    if leader is None:
        return Check("leader", "wait", "the cluster has no leader")
    return Check("leader", "ok", f"{leader.label}, term {status.term}")


def _voters(status: ClusterStatus) -> Check:
    down = status.down_voters
    evidence = f"{len(status.live_voters)} of {len(status.voters)} alive"
    return Check("voters", "warn" if down else "ok", f"{evidence}; {tell_down(status)}" if down else evidence)


def _lists(status: ClusterStatus) -> Check:
    if status.dissent:
        return Check("member lists", "wait", f"voters disagree about the member list: {'; '.join(status.dissent)}")
    return Check("member lists", "ok", f"{len(status.readers)} voters were asked and list the same members")


def _versions(status: ClusterStatus) -> Check:
    versions = sorted({s.version for s in status.statuses.values()}, key=version_of)
    if not versions:
        return Check("versions", "wait", "no member tells its version")
    told = ", ".join(versions)
    if len({version_of(v)[:2] for v in versions}) > 1:
        hint = "finish the upgrade before changing the membership"
        return Check("versions", "warn", f"members run different minor versions: {told}", hint)
    if bugs := bugs_of(versions[0]):
        return Check("versions", "warn", f"etcd {told}: {'; '.join(bugs)}", "upgrade to the latest patch release")
    return Check("versions", "ok", told)


def _alarms(status: ClusterStatus) -> Check:
    if not status.alarms:
        return Check("alarms", "ok", "none")
    told = ", ".join(f"{a.kind} on {a.member_id}" for a in status.alarms)
    return Check(
        "alarms", "warn", f"alarms are active: {told}", "`etcdctl alarm list`; NOSPACE: compact and defragment"
    )


def _sizes(status: ClusterStatus) -> Check:
    largest = max(status.statuses.values(), key=lambda s: s.db_size, default=None)
    if largest is None:
        return Check("database", "wait", "no member tells its size")
    told = f"{largest.db_size / 1e6:.1f} MB"
    if not largest.db_quota:
        return Check("database", "ok", told)
    told += f" of a quota of {largest.db_quota / 1e6:.0f} MB"
    full = largest.db_size >= _FULL * largest.db_quota
    return Check("database", "warn" if full else "ok", told, "compact and defragment" if full else "")


def _links(status: ClusterStatus) -> Check:
    young = [m.label for m in status.live_voters if 0 <= status.statuses[m.id].uptime < _YOUNG]
    if young:
        return Check(
            "links", "wait", f"up for less than {_YOUNG:.0f} s, so etcd may refuse changes: {', '.join(young)}"
        )
    return Check("links", "ok", f"no voter is known to have started in the last {_YOUNG:.0f} s")


def _spare(status: ClusterStatus, when: str, voters: int, live: int) -> Check:
    before = spare(len(status.voters), len(status.live_voters))
    return Check("spare", "ok", f"{before} voters may die now, {spare(voters, live)} {when} ({live} of {voters} alive)")


# ---- parts ----


def _several(status: ClusterStatus, wanted: Member | str) -> Check | None:
    """etcd's names need not be unique; its IDs are."""
    same = [m.id for m in status.members if m.name == wanted]
    if len(same) < 2:
        return None
    hint = "give the hex ID of the one that is meant"
    return Check("member", "refuse", f"several members are called {wanted}: {', '.join(same)}", hint, "AmbiguousMember")


def _removal(status: ClusterStatus, facts: Facts, target: Member, returning: int) -> list[Check]:
    alive = any(m.id == target.id for m in status.live_voters)
    facts = replace(facts, member_id=target.id, was_alive=alive, returning=returning)
    verdict: Verdict | None = judge_removal(status, facts)
    if isinstance(verdict, Refuse) and verdict.error == "StillLeader":
        verdict = None
    lead = "; leadership is moved first" if status.leader == target.id else ""
    checks = [_judged("removal", verdict, f"{target.label} can be removed{lead}")]
    others = status.without(target.id).learners
    if others:
        checks.append(Check("learners", "warn", f"learner {others[0].label} is in the cluster, and is left alone"))
    if not target.is_learner:
        checks.append(_spare(status, "after the removal", len(status.voters) - 1, len(status.live_voters) - alive))
    return checks


def _order(order: Order, old: Member, request: ReplaceRequest) -> Check:
    if request.order == "add-first" and order.first == "remove-first":
        hint = "give the new member another name and other peer URLs, or use --order remove-first"
        return Check(
            "order", "refuse", f"{old.label} can't be replaced add-first: {order.why}", hint, "OrderImpossible"
        )
    return Check("order", "ok", f"{order.first}: {order.why}")


def _judged(name: str, verdict: Verdict | None, good: str) -> Check:
    match verdict:
        case Refuse(error, reason, hint):
            return Check(name, "refuse", reason, hint, error)
        case Wait(reason):
            return Check(name, "wait", reason)
    return Check(name, "ok", good)
