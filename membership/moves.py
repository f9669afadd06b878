"""The moves that turn a cluster's members into those of a list: who comes, who goes, and in which order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from membership.model import ClusterStatus, Member
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
class Move:
    """A member of the list that comes, a voter that goes, or both in one change."""

    new: Wanted | None
    old: Member | None


class Compared:
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


def find_moves(compared: Compared) -> list[Move]:
    """New members take the places of voters that leave. The rest of them only join, or only leave."""
    leaving = _leader_last(compared.status, [m for m in compared.others if not m.is_learner])
    places: dict[str, Member] = {}
    for new in compared.new:
        if owners := in_the_way(new, leaving):
            places[new.name] = owners[0]
            leaving.remove(owners[0])
    for new in compared.new:
        if new.name not in places and leaving:
            places[new.name] = leaving.pop(0)
    return [
        *(Move(new, places.get(new.name)) for new in compared.new),
        *(Move(None, old) for old in leaving),
    ]


def _leader_last(status: ClusterStatus, voters: Iterable[Member]) -> list[Member]:
    return sorted(voters, key=lambda m: _rank(status, m))


def in_the_way(new: Wanted, members: Iterable[Member]) -> list[Member]:
    """Members with the name of the new member, then those with a peer URL of it. Etcd has each peer URL once."""
    same_name = [m for m in members if m.name == new.name]
    same_url = [m for m in members if set(m.peer_urls) & set(new.peer_urls) and m not in same_name]
    return same_name + same_url


def in_order(status: ClusterStatus, moves: list[Move]) -> list[Move]:
    """
    Voters that are down or corrupt go first: until then etcd or a judgement may refuse an add. Members that only join
    come next, and the leader goes last: leadership moves once.

    A move that needs the name or a peer URL of another voter comes after the move of that voter.
    """

    def place(move: Move) -> tuple[bool, int, bool]:
        return _is_blocked(status, move), _rank(status, move.old), move.new is None

    return sorted(moves, key=place)


def _rank(status: ClusterStatus, old: Member | None) -> int:
    if old is None:
        return 1
    if is_down(status, old) or old.id in status.corrupt:
        return 0
    return 3 if old.id == status.leader else 2


def _is_blocked(status: ClusterStatus, move: Move) -> bool:
    return bool(blockers(status.voters, move))


def blockers(voters: Collection[Member], move: Move) -> list[Member]:
    return in_the_way(move.new, [m for m in voters if m != move.old]) if move.new else []


def _find(status: ClusterStatus, wanted: Wanted) -> Member | None:
    """The member as the list has it. A member without a name has not started yet."""
    same = (m for m in status.members if set(m.peer_urls) == set(wanted.peer_urls) and m.name in ("", wanted.name))
    return next(same, None)
