"""
One look at a cluster, as data.

Member IDs are lower-case hex without padding, as etcdctl prints them. Sizes are bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from membership.names import find_address, is_name


@dataclass(frozen=True)
class Member:
    """A row of etcd's member list. A member without a name has not started yet."""

    id: str
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]
    is_learner: bool

    @property
    def label(self) -> str:
        return f"{self.name} ({self.id})" if self.name else f"{self.id} (not started)"


@dataclass(frozen=True)
class Alarm:
    """An alarm that a member raised."""

    member_id: str
    #: NOSPACE or CORRUPT.
    kind: str


@dataclass(frozen=True)
class MemberStatus:
    """A member's own answer to `Status`."""

    member_id: str
    version: str
    #: The ID of the leader that it knows, empty when it knows none.
    leader: str
    term: int
    #: Entries that its raft log has committed, and entries that it has applied.
    raft_index: int
    applied_index: int
    #: Bytes on disk, bytes in use, and the quota in bytes, which is 0 before etcd 3.6.
    db_size: int
    db_size_in_use: int
    db_quota: int
    is_learner: bool
    #: The alarms of all members, as it knows them.
    alarms: tuple[Alarm, ...] = ()
    #: The client URLs at which it answered.
    urls: tuple[str, ...] = ()
    #: Seconds since its process started, negative where it was not asked for.
    uptime: float = -1.0


@dataclass(frozen=True)
class RaftProgress:
    """The leader's view of a member's log, from `/debug/vars` (the numbers etcd's promote compares)."""

    #: The raft index up to which the member's log is known to agree with the leader's.
    match: int
    #: Raft's own word: StateProbe, StateReplicate or StateSnapshot.
    state: str


Phase = Literal["not started", "receiving snapshot", "replicating", "caught up", "unknown"]


@dataclass(frozen=True)
class SyncProgress:
    """
    How far a wait is, as the heartbeat of the waiting activity.

    From outside, no bytes are seen to move in a snapshot. There `elapsed` and `snapshot_size` stand for the progress.
    """

    #: Why the wait goes on, for a person.
    reason: str
    phase: Phase = "unknown"
    #: Seconds.
    elapsed: float = 0.0
    #: Seconds for which nothing moved although progress could be seen.
    idle: float = 0.0
    #: Given only while replicating.
    percent: float | None = None
    #: Seconds. Given only while replicating.
    eta: float | None = None
    #: Raft indexes of the learner and of the leader. None: they are not known.
    match: int | None = None
    target: int | None = None
    #: In a snapshot, the leader's database size in bytes: the total to come.
    snapshot_size: int | None = None
    #: `elapsed` when the phase last changed.
    phase_since: float = 0.0


@dataclass(frozen=True)
class ClusterStatus:
    """One look at a cluster."""

    cluster_id: str
    #: The ID of the leader. Empty: the voters know none, or do not agree.
    leader: str
    term: int
    #: A linearizable list from a voter.
    members: tuple[Member, ...]
    #: The members that answered with their own identity.
    statuses: dict[str, MemberStatus] = field(default_factory=dict)
    #: Why the other members are not in `statuses`.
    silent: dict[str, str] = field(default_factory=dict)
    #: The voters through which a linearizable read went.
    readers: tuple[str, ...] = ()
    #: Names voters whose own list differs.
    dissent: tuple[str, ...] = ()
    #: Empty when the leader's `/debug/vars` could not be read.
    progress: dict[str, RaftProgress] = field(default_factory=dict)
    #: Members whose every client URL took the question and never answered: neither refused, nor another member's.
    hung: tuple[str, ...] = ()
    #: The members of `hung` for which a second witness spoke (see `membership.witness`).
    witnessed: tuple[str, ...] = ()
    #: Voters that do not answer this worker, and live: the leader hears them (see `etcdapi.silent_voters`).
    unreached: tuple[str, ...] = ()
    #: Voters that do not answer this worker, and may live: it is not known whether the leader hears them.
    unclear: tuple[str, ...] = ()
    #: Whether every voter was asked for its Status. If not, the look does not show which voters are down.
    asked_all: bool = True

    @property
    def voters(self) -> tuple[Member, ...]:
        return tuple(m for m in self.members if not m.is_learner)

    @property
    def learners(self) -> tuple[Member, ...]:
        return tuple(m for m in self.members if m.is_learner)

    @property
    def voter_urls(self) -> tuple[str, ...]:
        """The client URLs that the voters advertise."""
        return tuple(url for m in self.voters for url in m.client_urls)

    @property
    def live_voters(self) -> tuple[Member, ...]:
        """Voters that answer and follow the leader, and those that only the leader reaches."""
        return tuple(m for m in self.voters if self._follows(m.id) or m.id in self.unreached)

    @property
    def down_voters(self) -> tuple[Member, ...]:
        """Voters that do not live, by their own word or by the leader's. Nothing is known of those in `unclear`."""
        return tuple(m for m in self.voters if m not in self.live_voters and m.id not in self.unclear)

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        return tuple(sorted({a for s in self.statuses.values() for a in s.alarms}, key=repr))

    @property
    def corrupt(self) -> list[str]:
        """The IDs of members with a CORRUPT alarm. Etcd keeps the alarms of removed members, left out here."""
        return sorted({a.member_id for a in self.alarms if a.kind == "CORRUPT" and self.member(a.member_id)})

    def member(self, member_id: str) -> Member | None:
        return next((m for m in self.members if m.id == member_id), None)

    def without(self, *member_ids: str) -> ClusterStatus:
        """The same look at a cluster that doesn't have these members."""
        return replace(self, members=tuple(m for m in self.members if m.id not in member_ids))

    def endpoints_of(self, member_id: str) -> tuple[str, ...]:
        """The client URLs that a member advertises or answers at, without those that also lead to another member."""
        urls = self._endpoints(member_id)
        others = {url for m in self.members if m.id != member_id for url in self._endpoints(m.id)}
        return tuple(url for url in urls if url not in others)

    def _endpoints(self, member_id: str) -> tuple[str, ...]:
        member, own = self.member(member_id), self.statuses.get(member_id)
        return tuple(dict.fromkeys((*(member.client_urls if member else ()), *(own.urls if own else ()))))

    def with_peer_urls(self, peer_urls: tuple[str, ...]) -> tuple[Member, ...]:
        """Members that have any of these peer URLs."""
        return tuple(m for m in self.members if set(m.peer_urls) & set(peer_urls))

    def why_silent(self, member_id: str) -> str:
        return self.silent.get(member_id, "does not follow the leader")

    def _follows(self, member_id: str) -> bool:
        status = self.statuses.get(member_id)
        return bool(self.leader) and status is not None and status.leader == self.leader


@dataclass(frozen=True)
class Handover:
    """The `ETCD_*` values with which the new member must be started, as `etcdctl member add` prints them."""

    name: str
    initial_cluster: str
    initial_advertise_peer_urls: str
    initial_cluster_state: str = "existing"

    def env(self) -> dict[str, str]:
        return {
            "ETCD_NAME": self.name,
            "ETCD_INITIAL_CLUSTER": self.initial_cluster,
            "ETCD_INITIAL_CLUSTER_STATE": self.initial_cluster_state,
            "ETCD_INITIAL_ADVERTISE_PEER_URLS": self.initial_advertise_peer_urls,
        }


def handover(members: tuple[Member, ...], own_id: str, name: str) -> Handover:
    """
    The handover for member `own_id`, called `name`.

    Etcd compares the URLs, not the names. So another member is called by its ID where its name is missing, is used
    twice, or could not stand in an environment file. A name may hold a comma or a line break.
    """
    rows = [(name if m.id == own_id else _label(m, members, name), m.peer_urls) for m in members]
    own = next(m for m in members if m.id == own_id)
    return Handover(
        name=name,
        initial_cluster=",".join(f"{label}={url}" for label, urls in rows for url in urls if find_address(url)),
        initial_advertise_peer_urls=",".join(own.peer_urls),
    )


def _label(member: Member, members: tuple[Member, ...], newcomer: str) -> str:
    others = [newcomer, *(m.name for m in members if m.id != member.id)]
    return member.name if is_name(member.name) and member.name not in others else member.id
