"""The preflight of a replace: which half comes first, and the checks of both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Protocol

from membership.checks import Check, check_addresses, check_cluster
from membership.failures import Failure
from membership.judge_join import judge_add
from membership.model import ClusterStatus, Member
from membership.preflight import (
    check_judged,
    check_removal,
    check_several,
    check_spare,
    find_member,
    has_joined,
    is_down,
    is_known,
    why_not_dead,
)
from membership.record import NO_RECORD, Record, check_reused
from membership.verdicts import Facts, spare


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


def check_replace(
    status: ClusterStatus, facts: Facts, wanted: Member | str, request: ReplaceSpec, record: Record = NO_RECORD
) -> tuple[Check, ...]:
    """The checks of a replace. `wanted`: the old member where it is known already, else its name or ID."""
    if several := check_several(status, wanted):
        return (several,)
    old = find_member(status, wanted) if isinstance(wanted, str) else status.member(wanted.id)
    if old and (refused := _check_old(old, wanted, request, record)):
        return refused
    first = first_half(status, old, request)
    beside = status.without(old.id) if old and first.half == "remove-first" else status
    checks = (*check_cluster(status), *_check_new(beside, facts))
    if old is None:
        return (*checks, _check_absent_old(facts, request, record))
    began_with = facts.began_with or (len(status.voters), spare(len(status.voters), len(status.live_voters)))
    facts = replace(facts, force=request.force, began_with=began_with)
    checks = (*checks, _check_order(first, old, request))
    if first.half == "remove-first":
        return (*checks, *check_removal(status, facts, old, returning=1))
    if has_joined(status, facts):
        return (*checks, *check_removal(status, facts, old, returning=0))
    return (*checks, *_check_both_spares(status, old))


def _check_old(old: Member, wanted: Member | str, request: ReplaceSpec, record: Record) -> tuple[Check, ...]:
    """Refuses an old member that could be taken for the new one when the replace is repeated."""
    if isinstance(wanted, str) and (reused := check_reused(old, wanted, record)):
        return reused
    if request.old != old.name or not set(old.peer_urls) & set(request.peer_urls):
        return ()
    hint = f"give the hex ID {old.id}, so that a repeated replace can never remove the new member"
    reason = f"the old member {old.label} has a peer URL of the new one, and is given by its name"
    return (Check("old member", "refuse", reason, hint, Failure.AMBIGUOUS_MEMBER),)


def _check_new(beside: ClusterStatus, facts: Facts) -> tuple[Check, ...]:
    """The checks of the new member, in the cluster `beside` which it joins."""
    good = f"{facts.name} is a voter already" if has_joined(beside, facts) else f"{facts.name} can be added"
    return (check_judged("join", judge_add(beside, facts), good), *check_addresses(beside, facts))


def _check_absent_old(facts: Facts, request: ReplaceSpec, record: Record) -> Check:
    """An old member that is not in the list: removed already, or its name is mistyped."""
    if record.was_removed:
        return Check("old member", "ok", f"{request.old} is not in the list: removed already")
    evidence = f"no member {request.old} is in the list: taken as removed already"
    hint = f"if {request.old} is mistyped, cancel: this replace would only join {facts.name}"
    return Check("old member", "warn", evidence, hint)


def _check_both_spares(status: ClusterStatus, old: Member) -> tuple[Check, ...]:
    """The spare after each half, where the join comes first."""
    voters, live = len(status.voters), len(status.live_voters)
    left = live + 1 - (old in status.live_voters)
    return (
        check_spare(status, "after the join", voters + 1, live + 1),
        check_spare(status, "after the removal", voters + old.is_learner, left),
    )


def between_halves(status: ClusterStatus, wanted: Member | str, request: ReplaceSpec) -> Member | None:
    """The old member, if the new one is a voter too. A replace failed halfway, or both were voters before."""
    old = find_member(status, wanted) if isinstance(wanted, str) else status.member(wanted.id)
    both = old and any(not m.is_learner for m in status.with_peer_urls(request.peer_urls) if m.id != old.id)
    return old if both else None


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
    if not is_known(status, old):
        return FirstHalf("add-first", f"{why_not_dead(status, old)}; a member that may be alive is not removed first")
    return FirstHalf("add-first", "the old member is healthy, so the spare never shrinks")


def _check_order(first: FirstHalf, old: Member, request: ReplaceSpec) -> Check:
    if request.order == "add-first" and first.half == "remove-first":
        hint = "use --order remove-first"
        if old.name == request.name or set(old.peer_urls) & set(request.peer_urls):
            hint = f"give the new member another name and other peer URLs, or {hint}"
        return Check(
            "order", "refuse", f"{old.label} can't be replaced add-first: {first.why}", hint, Failure.ORDER_IMPOSSIBLE
        )
    return Check("order", "ok", f"{first.half}: {first.why}")
