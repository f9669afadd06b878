"""Etcd as the activities see it. The real client and the in-memory etcd of the tests both provide it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from membership.credentials import Credentials
from membership.model import ClusterStatus, Member
from membership.witness import PeerList, RaftView


@dataclass(frozen=True)
class Access:
    """How to reach one cluster. Secrets stay in the files that are named here."""

    #: Client URLs of voters, as the operator wrote them. The other members are discovered.
    endpoints: tuple[str, ...]
    #: The CA that signed the certificates of the members, empty without TLS.
    ca: Path | None = None
    #: The client certificate and its key, where the members ask for one.
    cert: Path | None = None
    key: Path | None = None
    #: The etcd user and the file with its password, where the cluster uses auth.
    username: str | None = None
    password_file: Path | None = None
    #: The ID that the cluster must have, in hex as etcdctl prints it, empty where any is accepted.
    cluster_id: str = ""

    def trusts(self, url: str) -> bool:
        """
        Whether password and token may go to this client URL.

        Any server may get a certificate of the system's CAs. Only one of the cluster's own CA proves the cluster.
        """
        return url in self.endpoints or (self.ca is not None and url.startswith("https://"))


@dataclass(frozen=True)
class Scope:
    """
    How much one look asks.

    A look that asks less knows less, so each act has its own look, with every voter's Status. A look finds the leader
    by the statuses of the voters. Where one of its narrower questions fails, it asks everything.
    """

    #: Every voter's Status, else only the leader's, and those of learners and of members that are new.
    every_status: bool = True
    #: The list of every voter, to compare them, else only the leader's.
    every_list: bool = True
    #: Raft's own view of every member's log, from the leader. It is asked for, too, where a voter is silent.
    raft: bool = True
    #: Whether silent voters live: one more raft entry is committed for them to acknowledge.
    silent_voters: bool = True
    #: How long the members have been up, where they report it.
    uptimes: bool = False


EVERYTHING = Scope()
#: The members, and whether they live and agree.
MEMBERS = Scope(raft=False)
#: Of an act that adds a member: the lists were compared a moment ago, and are compared again after it.
BEFORE_ADD = Scope(every_list=False, raft=False)
#: Of the sync: the logs, and whether the learner lives.
LOGS = Scope(every_list=False, silent_voters=False)
#: Of the act that promotes. It counts the voters that live.
BEFORE_PROMOTE = Scope(every_list=False)
#: The effect of an act in the list of every voter.
EFFECT = Scope(every_status=False, raft=False)


class Etcd(Protocol):
    """
    One cluster. Every method blocks until its deadline at most. It raises a MemberflowError.

    The four changes are sent once, to the leader that the last look found, and never repeated.
    """

    def expecting(self, cluster_id: str, also: Collection[str] = ()) -> Etcd:
        """
        The same cluster for one change, which knows the ID of its cluster.

        Answers of a cluster with another ID are then errors and never evidence. `also` are further client URLs of
        its voters, which are asked beside the configured endpoints. They get neither password nor token without TLS.
        Connections and token are shared. Its calls rest on its own last look, not on another change's look.
        An empty `cluster_id` expects nothing, and `also` is then ignored.
        """

    def credentials(self) -> Credentials:
        """The state of the certificate, key and password files at this moment. It reads files alone. Never raises."""

    def look(
        self, avoid: Collection[str] = (), scope: Scope = EVERYTHING, *, hurry: float | None = None
    ) -> ClusterStatus:
        """
        One look at the cluster. Members and client URLs in `avoid` are not asked for anything.

        `hurry`: seconds after which a learner's Status counts as hung, None for the usual deadline.

        Raises ClusterUnreachable when no voter answers a linearizable read. Raises WrongCluster when only another
        cluster than expected answers or, where none is expected, when endpoints belong to different clusters.
        """

    def members(self, avoid: Collection[str] = ()) -> tuple[Member, ...]:
        """A linearizable member list from any voter of the last look. `avoid`: members and client URLs not to ask."""

    def raft_view(self) -> RaftView | None:
        """
        The leader's view of raft at this moment: its term, its commit index, and every member's log position.

        None if the leader of the last look does not report it. It costs etcd nothing: no read of it goes through raft.
        """

    def peer_list(self, peer_urls: Collection[str]) -> PeerList:
        """
        The answer of these peer URLs to `GET /members`. It needs no client's credentials and gets none.

        Raises Unreachable when none of them answers within a moment.
        """

    def commit(self) -> None:
        """Returns when the leader has committed one more raft entry (an `Alarm` GET makes an entry)."""

    def nothing_listens(self, urls: tuple[str, ...]) -> bool:
        """Whether the hosts of all these client URLs refuse a connection: no process listens there any more."""

    def check_access(self) -> None:
        """
        Raises one of NO_ACCESS when the clusters file names no user who may change members.

        Every other trouble is no answer, and is ignored. It costs etcd one raft entry.
        """

    def authenticate(self, avoid: Collection[str] = ()) -> None:
        """
        Returns with a token that is at most a minute old, where this cluster uses auth.

        A change is sent with the token that there is: asking for a token then would let time pass after its last check.
        Client URLs in `avoid` are not asked.
        """

    def add_learner(self, peer_urls: tuple[str, ...], deadline: float) -> Member:
        """Adds a learner. `deadline` in seconds."""

    def promote(self, member_id: str, deadline: float) -> None:
        """Makes a learner a voter. `deadline` in seconds."""

    def remove(self, member_id: str, deadline: float) -> None:
        """Removes a member. `deadline` in seconds."""

    def move_leader(self, member_id: str, deadline: float) -> None:
        """Hands leadership to this voter. `deadline` in seconds."""

    def snapshot(self, avoid: Collection[str] = ()) -> Iterator[tuple[bytes, int]]:
        """
        The database of a voter, the leader's last, in pieces, each with the number of bytes that remain.

        The last 32 bytes are the SHA-256 of all bytes before. Any piece may raise a MemberflowError.
        """
