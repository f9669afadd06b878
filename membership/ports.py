"""What activities need of etcd. The real client and the in-memory etcd of the tests both provide it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from membership.model import ClusterStatus, Member, RaftProgress


@dataclass(frozen=True)
class Access:
    """How to reach one cluster. Secrets stay in the files that are named here."""

    endpoints: tuple[str, ...]
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    username: str | None = None
    password_file: Path | None = None


class Etcd(Protocol):
    """
    One cluster. Every method blocks until its deadline at most and raises `membership.errors`.

    The four changes are sent once, to the leader that the last look found, and never repeated.
    """

    def look(self, avoid: Collection[str] = (), *, uptimes: bool = False) -> ClusterStatus:
        """
        One look at the whole cluster; members and client URLs in `avoid` are not asked for anything.

        `uptimes`: also how long members have been up, of those that tell it.

        Raises ClusterUnreachable when no voter answers a linearizable read, WrongCluster when endpoints
        belong to different clusters.
        """

    def members(self) -> tuple[Member, ...]:
        """A linearizable member list from any voter of the last look."""

    def progress(self) -> dict[str, RaftProgress]:
        """
        What the leader of the last look knows of every member's log at this moment, by member ID; empty if not told.

        It costs etcd nothing: no read of it goes through raft.
        """

    def commit(self) -> None:
        """Returns when the leader has committed one more raft entry (an `Alarm` GET is one)."""

    def authenticate(self, avoid: Collection[str] = ()) -> None:
        """
        Returns with a token that is at most a minute old, where this cluster uses auth.

        A change is sent with the token that there is: asking for one then would let time pass after its last check.
        Client URLs in `avoid` are not asked.
        """

    def add_learner(self, peer_urls: tuple[str, ...], deadline: float) -> Member:
        """Adds a learner; `deadline` in seconds."""

    def promote(self, member_id: str, deadline: float) -> None:
        """Makes a learner a voter; `deadline` in seconds."""

    def remove(self, member_id: str, deadline: float) -> None:
        """Removes a member; `deadline` in seconds."""

    def move_leader(self, member_id: str, deadline: float) -> None:
        """Hands leadership to this voter; `deadline` in seconds."""

    def snapshot(self, avoid: Collection[str] = ()) -> Iterator[tuple[bytes, int]]:
        """
        The database of a voter, the leader's last, in pieces, each with the number of bytes that remain.

        The last 32 bytes are the SHA-256 of all before. Raises membership.errors at any piece.
        """
