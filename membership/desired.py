"""
Desired state: the changes that turn a cluster's members into those of a list, in their order.

It is computed anew before each change, because others may change the cluster meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from membership.checks import Check
from membership.failures import Failure
from membership.model import ClusterStatus, Member
from membership.policy import Policy
from membership.preflight import is_down


class Wanted(Protocol):
    """A member of the list."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def peer_urls(self) -> tuple[str, ...]:
        """Its peer URLs."""


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


@dataclass(frozen=True)
class _Move:
    """A member of the list that comes, a voter that goes, or both in one change."""

    new: Wanted | None
    old: Member | None


class _Compared:
    """The members of a cluster beside those of the list."""

    def __init__(self, status: ClusterStatus, wanted: Sequence[Wanted]) -> None:
        self.status = status
        self.wanted = wanted
        found = [(each, _find(status, each)) for each in wanted]
        self.kept = [member for _, member in found if member and not member.is_learner]
        #: Members of the list that are learners. Their joins are not finished.
        self.unfinished = [each for each, member in found if member and member.is_learner]
        self.new = [each for each, member in found if member is None]
        listed = [member for _, member in found if member]
        self.others = [member for member in status.members if member not in listed]


def compare(status: ClusterStatus, wanted: Sequence[Wanted], policy: Policy, *, prune: bool) -> Course:
    """The changes that are left, the first one first. `prune`: members that are not in the list leave."""
    compared = _Compared(status, wanted)
    summary = _summary(compared, prune=prune)
    if prune:
        moves = _order(status, _moves(compared))
        refused = _few_voters(compared, moves, policy) or _circle(compared, moves)
    else:
        moves = [_Move(new, None) for new in compared.new]
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


def _find(status: ClusterStatus, wanted: Wanted) -> Member | None:
    """The member as the list has it. A member without a name has not started yet."""
    same = (m for m in status.members if set(m.peer_urls) == set(wanted.peer_urls) and m.name in ("", wanted.name))
    return next(same, None)


# ---- which changes ----


def _moves(compared: _Compared) -> list[_Move]:
    """New members take the places of voters that leave. The rest of them only join, or only leave."""
    leaving = _leader_last(compared.status, [m for m in compared.others if not m.is_learner])
    places: dict[str, Member] = {}
    for new in compared.new:
        if in_the_way := _in_the_way(new, leaving):
            places[new.name] = in_the_way[0]
            leaving.remove(in_the_way[0])
    for new in compared.new:
        if new.name not in places and leaving:
            places[new.name] = leaving.pop(0)
    return [
        *(_Move(new, places.get(new.name)) for new in compared.new),
        *(_Move(None, old) for old in leaving),
    ]


def _leader_last(status: ClusterStatus, voters: Iterable[Member]) -> list[Member]:
    return sorted(voters, key=lambda m: _rank(status, m))


def _in_the_way(new: Wanted, members: Iterable[Member]) -> list[Member]:
    """Members with the name of the new member, then those with a peer URL of it. Etcd has each peer URL once."""
    same_name = [m for m in members if m.name == new.name]
    same_url = [m for m in members if set(m.peer_urls) & set(new.peer_urls) and m not in same_name]
    return same_name + same_url


# ---- in which order ----


def _order(status: ClusterStatus, moves: list[_Move]) -> list[_Move]:
    """
    Voters that are down or corrupt go first: until then etcd or a judgement may refuse an add. Members that only join
    come next, and the leader goes last: leadership moves once.

    A move that needs the name or a peer URL of another voter comes after the move of that voter.
    """

    def place(move: _Move) -> tuple[bool, int, bool]:
        return _is_blocked(status, move), _rank(status, move.old), move.new is None

    return sorted(moves, key=place)


def _rank(status: ClusterStatus, old: Member | None) -> int:
    if old is None:
        return 1
    if is_down(status, old) or old.id in status.corrupt:
        return 0
    return 3 if old.id == status.leader else 2


def _is_blocked(status: ClusterStatus, move: _Move) -> bool:
    return bool(_blockers(status.voters, move))


def _blockers(voters: Collection[Member], move: _Move) -> list[Member]:
    return _in_the_way(move.new, [m for m in voters if m != move.old]) if move.new else []


# ---- steps ----


def _step(status: ClusterStatus, move: _Move) -> Step:
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


def _summary(compared: _Compared, *, prune: bool) -> Check:
    missing = [each.name for each in (*compared.unfinished, *compared.new)]
    told = f"{len(compared.kept)} of {len(compared.wanted)} members are as listed"
    if missing:
        told += f"; not yet: {', '.join(missing)}"
    if not compared.others:
        return Check("list", "ok", told)
    others = ", ".join(member.label for member in compared.others)
    told += f"; not in the list, and {'to leave' if prune else 'left alone'}: {others}"
    return Check("list", "ok", told, "" if prune else "with --prune they leave")


def _taken(compared: _Compared) -> Check | None:
    """A new member needs the name or a peer URL of a member that is not to leave."""
    for new in compared.new:
        if in_the_way := _in_the_way(new, compared.others):
            hint = f"with --prune {new.name} replaces it. Otherwise correct the list"
            return _conflict(new, in_the_way[0], "is not in the list, so it stays", hint)
    return None


def _circle(compared: _Compared, moves: list[_Move]) -> Check | None:
    """Where members of the list exchange names or peer URLs, none of them can come first."""
    first = moves[0] if moves else None
    blockers = _blockers(compared.status.voters, first) if first else []
    if not first or not first.new or not blockers:
        return None
    hint = "list new names and new peer URLs for these members"
    return _conflict(first.new, blockers[0], "can leave only after the other members of the list have joined", hint)


def _conflict(new: Wanted, member: Member, why: str, hint: str) -> Check:
    same_name = member.name == new.name
    taken = f"the name {new.name}" if same_name else f"peer URL {_common(new, member)} of {new.name}"
    evidence = f"{taken} belongs to member {member.label} at {', '.join(member.peer_urls)}, which {why}"
    return Check("list", "refuse", evidence, hint, Failure.NAME_CONFLICT if same_name else Failure.PEER_URL_CONFLICT)


def _common(new: Wanted, member: Member) -> str:
    return next(url for url in new.peer_urls if url in member.peer_urls)


def _few_voters(compared: _Compared, moves: list[_Move], policy: Policy) -> Check | None:
    """Known from the beginning, so that no list is refused at its last removal."""
    final = len(compared.wanted)
    if final >= policy.min_voters or all(move.new for move in moves):
        return None
    voters = len(compared.status.voters)
    evidence = f"{voters} voters would become {final}, and min_voters is {policy.min_voters}"
    hint = "list more members. To have fewer, remove them one by one with `memberflow remove --force`"
    return Check("list", "refuse", evidence, hint, Failure.TOO_FEW_VOTERS)
