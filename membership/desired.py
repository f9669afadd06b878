"""
Desired state: the changes that turn a cluster's members into those of a list, in their order.

It is computed anew before each change, because others may change the cluster meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from membership.checks import Check
from membership.failures import Failure
from membership.model import ClusterStatus, Member
from membership.moves import Compared, Move, Wanted, blockers, find_moves, in_order, in_the_way
from membership.policy import Policy
from membership.preflight import is_down


@dataclass(frozen=True)
class Step:
    """One change on the way to the list."""

    verb: Literal["join", "replace", "remove"]
    #: The member that names the change: the name of the new member, or the hex ID of a member that only leaves.
    member: str
    #: The hex ID of the member that leaves. Empty for a join.
    old: str
    #: For a person, like `why`.
    what: str
    why: str = ""


@dataclass(frozen=True)
class Course:
    """The way from the members as they are to those of the list."""

    #: The changes that are left, in their order. Empty when the members are as listed.
    steps: tuple[Step, ...]
    #: A refusal among them means that the list cannot be reached.
    checks: tuple[Check, ...]


def compare(status: ClusterStatus, wanted: Sequence[Wanted], policy: Policy, *, prune: bool) -> Course:
    """The changes that are left, the first one first. `prune`: members that are not in the list leave."""
    compared = Compared(status, wanted)
    summary = _summary(compared, prune=prune)
    if prune:
        moves = in_order(status, find_moves(compared))
        refused = _few_voters(compared, moves, policy) or _circle(compared, moves)
    else:
        moves = [Move(new, None) for new in compared.new]
        refused = _taken(compared)
    if refused:
        return Course((), (summary, refused))
    learners = [member for member in compared.others if member.is_learner and prune]
    steps = [
        *(_join(each, "it is a learner of the list") for each in compared.unfinished),
        *(_remove(member, "a learner that is not in the list takes the learner slot") for member in learners),
        *(_step(status, move) for move in moves),
    ]
    return Course(tuple(steps), (summary,))


# ---- steps ----


def _step(status: ClusterStatus, move: Move) -> Step:
    if move.new is None:
        assert move.old
        return _remove(move.old, _why_now(status, move.old))
    if move.old is None:
        return _join(move.new)
    what = f"{move.new.name} replaces {move.old.label}"
    return Step("replace", move.new.name, move.old.id, what, _why_now(status, move.old))


def _join(new: Wanted, why: str = "") -> Step:
    return Step("join", new.name, "", f"{new.name} joins", why)


def _remove(member: Member, why: str) -> Step:
    return Step("remove", member.id, member.id, f"{member.label} leaves", why)


def _why_now(status: ClusterStatus, old: Member) -> str:
    if is_down(status, old):
        return "it is down"
    if old.id in status.corrupt:
        return "its data is corrupt"
    return "the leader goes last" if old.id == status.leader else ""


# ---- checks ----


def _summary(compared: Compared, *, prune: bool) -> Check:
    missing = [each.name for each in (*compared.unfinished, *compared.new)]
    told = f"{len(compared.kept)} of {len(compared.wanted)} members are as listed"
    if missing:
        told += f"; not yet: {', '.join(missing)}"
    if not compared.others:
        return Check("list", "ok", told)
    others = ", ".join(member.label for member in compared.others)
    told += f"; not in the list, and {'to leave' if prune else 'left alone'}: {others}"
    return Check("list", "ok", told, "" if prune else "with --prune they leave")


def _taken(compared: Compared) -> Check | None:
    """A new member needs the name or a peer URL of a member that is not to leave."""
    for new in compared.new:
        if owners := in_the_way(new, compared.others):
            hint = f"with --prune {new.name} replaces it. Otherwise correct the list"
            return _conflict(new, owners[0], "is not in the list, so it stays", hint)
    return None


def _circle(compared: Compared, moves: list[Move]) -> Check | None:
    """Where members of the list exchange names or peer URLs, none of them can come first."""
    first = moves[0] if moves else None
    owners = blockers(compared.status.voters, first) if first else []
    if not first or not first.new or not owners:
        return None
    hint = "list new names and new peer URLs for these members"
    return _conflict(first.new, owners[0], "can leave only after the other members of the list have joined", hint)


def _conflict(new: Wanted, member: Member, why: str, hint: str) -> Check:
    same_name = member.name == new.name
    taken = f"the name {new.name}" if same_name else f"peer URL {_common(new, member)} of {new.name}"
    evidence = f"{taken} belongs to member {member.label} at {', '.join(member.peer_urls)}, which {why}"
    return Check("list", "refuse", evidence, hint, Failure.NAME_CONFLICT if same_name else Failure.PEER_URL_CONFLICT)


def _common(new: Wanted, member: Member) -> str:
    return next(url for url in new.peer_urls if url in member.peer_urls)


def _few_voters(compared: Compared, moves: list[Move], policy: Policy) -> Check | None:
    """Known from the beginning, so that no list is refused at its last removal."""
    final = len(compared.wanted)
    if final >= policy.min_voters or all(move.new for move in moves):
        return None
    voters = len(compared.status.voters)
    evidence = f"{voters} voters would become {final}, and min_voters is {policy.min_voters}"
    hint = "list more members. To have fewer, remove them one by one with `memberflow remove --force`"
    return Check("list", "refuse", evidence, hint, Failure.TOO_FEW_VOTERS)
