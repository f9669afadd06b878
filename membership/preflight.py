"""
The preflight: the checks before a change, each with its verdict, its evidence and a hint.

`plan` shows all of it. Every change begins with it, and is refused with the same sentences.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from membership.checks import Check, check_addresses, check_cluster
from membership.failures import Failure
from membership.judge_join import judge_add
from membership.judge_removal import judge_removal
from membership.model import ClusterStatus, Member
from membership.record import NO_RECORD, Record, check_absent, check_reused
from membership.verdicts import Facts, Refuse, Verdict, Wait, spare


class ReplaceSpec(Protocol):
    """A replace, as the preflight sees it."""

    @property
    def name(self) -> str:
        """The new member's name."""

    @property
    def peer_urls(self) -> tuple[str, ...]:
        """The new member's peer URLs."""

    @property
    def old(self) -> str:
        """The old member, by name or hex ID."""

    @property
    def order(self) -> Literal["auto", "add-first", "remove-first"]:
        """Which half the caller wants first."""

    @property
    def force(self) -> bool:
        """Whether the caller skips the policy's limits."""


@dataclass(frozen=True)
class FirstHalf:
    """Which half of a replace comes first, and why."""

    half: Literal["add-first", "remove-first"]
    why: str


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
    """Whether a voter doesn't answer or doesn't follow the leader."""
    return any(m.id == member.id for m in status.down_voters)


# ---- by change ----


def check_join(status: ClusterStatus, facts: Facts) -> tuple[Check, ...]:
    voters, live = len(status.voters), len(status.live_voters)
    if _joined(status, facts):
        return (*check_cluster(status), Check("join", "ok", f"{facts.name} is a voter already"))
    return (
        *check_cluster(status),
        _judged("join", judge_add(status, facts), f"{facts.name} can be added at {', '.join(facts.peer_urls)}"),
        *check_addresses(status, facts),
        _spare(status, "after the join", voters + 1, live + 1),
    )


def check_remove(
    status: ClusterStatus, facts: Facts, wanted: Member | str, *, force: bool, record: Record = NO_RECORD
) -> tuple[Check, ...]:
    """The checks of a removal. `wanted`: the member where it is known already, else its name or ID."""
    if found := _several(status, wanted):
        return (found,)
    target = find_member(status, wanted) if isinstance(wanted, str) else status.member(wanted.id)
    if target is None:
        if isinstance(wanted, Member):
            return (*check_cluster(status), Check("member", "ok", f"{wanted.label} is gone from the member list"))
        return (*check_cluster(status), check_absent(status, wanted, record))
    if isinstance(wanted, str) and (reused := check_reused(target, wanted, record)):
        return reused
    return (*check_cluster(status), *_removal(status, replace(facts, force=force), target, returning=0))


def check_replace(
    status: ClusterStatus, facts: Facts, wanted: Member | str, request: ReplaceSpec, record: Record = NO_RECORD
) -> tuple[Check, ...]:
    """The checks of a replace. `wanted`: the old member where it is known already, else its name or ID."""
    if found := _several(status, wanted):
        return (found,)
    old = find_member(status, wanted) if isinstance(wanted, str) else status.member(wanted.id)
    if old and isinstance(wanted, str) and (reused := check_reused(old, wanted, record)):
        return reused
    if old and request.old == old.name and set(old.peer_urls) & set(request.peer_urls):
        hint = f"give the hex ID {old.id}, so that a repeated replace can never remove the new member"
        reason = f"the old member {old.label} has a peer URL of the new one, and is given by its name"
        return (Check("old member", "refuse", reason, hint, Failure.AMBIGUOUS_MEMBER),)
    first = first_half(status, old, request)
    beside = status.without(old.id) if old and first.half == "remove-first" else status
    newcomer = judge_add(beside, facts)
    joined = _joined(beside, facts)
    good = f"{facts.name} is a voter already" if joined else f"{facts.name} can be added"
    checks = [*check_cluster(status), _judged("join", newcomer, good), *check_addresses(beside, facts)]
    if old is None:
        evidence = f"no member {request.old} is in the list: taken as removed already"
        hint = f"if {request.old} is mistyped, cancel: this replace would only join {facts.name}"
        if record.was_removed:
            return (*checks, Check("old member", "ok", f"{request.old} is not in the list: removed already"))
        return (*checks, Check("old member", "warn", evidence, hint))
    began_with = facts.began_with or (len(status.voters), spare(len(status.voters), len(status.live_voters)))
    facts = replace(facts, force=request.force, began_with=began_with)
    checks.append(_order(first, old, request))
    if first.half == "remove-first":
        return (*checks, *_removal(status, facts, old, returning=1))
    if joined:
        return (*checks, *_removal(status, facts, old, returning=0))
    voters, live = len(status.voters), len(status.live_voters)
    left = live + 1 - (not old.is_learner and not is_down(status, old))
    return (
        *checks,
        _spare(status, "after the join", voters + 1, live + 1),
        _spare(status, "after the removal", voters + old.is_learner, left),
    )


def between_halves(status: ClusterStatus, wanted: Member | str, request: ReplaceSpec) -> Member | None:
    """The old member, if the new one is a voter too. A replace failed halfway, or both were voters before."""
    old = find_member(status, wanted) if isinstance(wanted, str) else status.member(wanted.id)
    both = old and any(not m.is_learner for m in status.with_peer_urls(request.peer_urls) if m.id != old.id)
    return old if both else None


def _joined(status: ClusterStatus, facts: Facts) -> bool:
    return any(
        not m.is_learner and m.name == facts.name and set(m.peer_urls) == set(facts.peer_urls) for m in status.members
    )


def first_half(status: ClusterStatus, old: Member | None, request: ReplaceSpec) -> FirstHalf:
    """Which half comes first. The spare must not shrink while the old member is healthy."""
    if old is None:
        return FirstHalf("add-first", "the old member is gone already")
    if old.name == request.name or set(old.peer_urls) & set(request.peer_urls):
        return FirstHalf("remove-first", "the new member has the old one's name or peer URL")
    if any(not m.is_learner for m in status.with_peer_urls(request.peer_urls)):
        return FirstHalf("add-first", "the new member is a voter already")
    if old.is_learner:
        return FirstHalf("remove-first", "the old member is a learner and takes the learner slot")
    if old.id in status.corrupt:
        return FirstHalf("remove-first", "the old member's data is corrupt, and nothing may be copied from it")
    if request.order != "auto":
        return FirstHalf(request.order, "asked for with --order")
    if is_down(status, old):
        return FirstHalf("remove-first", "the old member is down, and etcd may refuse an add while a voter is down")
    return FirstHalf("add-first", "the old member is healthy, so the spare never shrinks")


def _spare(status: ClusterStatus, when: str, voters: int, live: int) -> Check:
    before = spare(len(status.voters), len(status.live_voters))
    return Check(
        "spare", "ok", f"voters that may die: {before} now, {spare(voters, live)} {when} ({live} of {voters} alive)"
    )


# ---- parts ----


def _several(status: ClusterStatus, wanted: Member | str) -> Check | None:
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


def _removal(status: ClusterStatus, facts: Facts, target: Member, returning: int) -> list[Check]:
    alive = any(m.id == target.id for m in status.live_voters)
    facts = replace(facts, member_id=target.id, returning=returning)
    verdict: Verdict | None = judge_removal(status, facts)
    if isinstance(verdict, Refuse) and verdict.error == Failure.STILL_LEADER:
        verdict = None
    lead = ", after its leadership is moved" if status.leader == target.id else ""
    checks = [_judged("removal", verdict, f"{target.label} can be removed{lead}")]
    others = status.without(target.id).learners
    if others:
        evidence = f"learner {others[0].label} is in the cluster, and is left alone"
        checks.append(
            Check("learners", "warn", evidence, "if no change waits for it, `memberflow remove` it by its ID")
        )
    if not target.is_learner:
        checks.append(_spare(status, "after the removal", len(status.voters) - 1, len(status.live_voters) - alive))
    return checks


def _order(first: FirstHalf, old: Member, request: ReplaceSpec) -> Check:
    if request.order == "add-first" and first.half == "remove-first":
        hint = "use --order remove-first"
        if old.name == request.name or set(old.peer_urls) & set(request.peer_urls):
            hint = f"give the new member another name and other peer URLs, or {hint}"
        return Check(
            "order", "refuse", f"{old.label} can't be replaced add-first: {first.why}", hint, Failure.ORDER_IMPOSSIBLE
        )
    return Check("order", "ok", f"{first.half}: {first.why}")


def _judged(name: str, verdict: Verdict | None, good: str) -> Check:
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
