"""The client of an etcd cluster in memory, behind the same port as the real client."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from copy import copy
from dataclasses import replace

from membership import etcd_errors as e
from membership.credentials import Credentials
from membership.errors import ClusterUnreachable, WrongCluster
from membership.etcd import EVERYTHING, Scope
from membership.model import ClusterStatus, Member, MemberStatus, RaftProgress
from membership.witness import PeerList, RaftView
from support.memory.cluster import CLUSTER_ID, MemoryCluster, Process


class MemoryEtcd:
    """`membership.etcd.Etcd` on a cluster in memory."""

    expected = ""
    # Of the last look: changes are sent to it.
    leader = ""

    def __init__(self, cluster: MemoryCluster) -> None:
        self.cluster = cluster

    def expecting(self, cluster_id: str, also: Collection[str] = ()) -> MemoryEtcd:
        bound = copy(self)
        bound.expected = cluster_id
        return bound

    def credentials(self) -> Credentials:
        return Credentials()

    def look(
        self, avoid: Collection[str] = (), scope: Scope = EVERYTHING, *, hurry: float | None = None
    ) -> ClusterStatus:
        with self.cluster.lock:
            cluster = self.cluster
            if self.expected not in ("", cluster.cluster_id):
                raise WrongCluster(f"it answers for cluster {cluster.cluster_id}, not for cluster {self.expected}")
            cluster.sync()
            members = self.members()
            self.leader = cluster.leader
            asked = [m for m in cluster.members.values() if m.id not in avoid]
            narrow = not (scope.every_status or avoid) and all(_lives(cluster.members.get(i)) for i in cluster.seen)
            unasked = cluster.seen - {cluster.leader} if narrow else set()
            told = [m for m in asked if m.alive and m.match and not m.mute]
            statuses = {m.id: self._status(m) for m in told if m.id not in unasked}
            cluster.seen = {m.id for m in cluster.voters()}
            mute = [m.id for m in cluster.voters() if m.id not in statuses and cluster.leader and not unasked]
            return ClusterStatus(
                cluster_id=cluster.cluster_id,
                leader=cluster.leader,
                term=cluster.term,
                members=members,
                statuses=statuses,
                silent={m.id: "not alive" for m in members if m.id not in statuses},
                readers=tuple(sorted(m.id for m in asked if m.alive and not m.is_learner)),
                progress=self._progress() if scope.raft else {},
                hung=tuple(m.id for m in asked if m.mute and m.name),
                unreached=tuple(i for i in mute if cluster.members[i].alive and scope.silent_voters),
                unclear=() if scope.silent_voters else tuple(mute),
                asked_all=not unasked,
            )

    def _progress(self) -> dict[str, RaftProgress]:
        members = self.cluster.members.values()
        return {m.id: RaftProgress(m.match, self._state(m)) for m in members} if self.cluster.leader else {}

    def raft_view(self) -> RaftView | None:
        with self.cluster.lock:
            self.cluster.sync()
            cluster = self.cluster
            if not cluster.leader:
                return None
            return RaftView(cluster.leader, cluster.leader, cluster.term, cluster.index, self._progress())

    def peer_list(self, peer_urls: Collection[str]) -> PeerList:
        with self.cluster.lock:
            at = next((m for m in self.cluster.members.values() if m.alive and set(m.peer_urls) & set(peer_urls)), None)
            if at is None:
                raise e.Unreachable("GET /members: no answer")
            rows = [m.row for m in self.cluster.members.values()]
            if not at.restored:
                rows = [replace(row, is_learner=False) for row in rows]
            return PeerList(CLUSTER_ID, tuple(rows))

    def members(self, avoid: Collection[str] = ()) -> tuple[Member, ...]:
        with self.cluster.lock:
            if not self.cluster.has_quorum():
                raise ClusterUnreachable("no linearizable read: is there a quorum?")
            return tuple(m.row for m in self.cluster.members.values())

    def commit(self) -> None:
        with self.cluster.lock:
            self.cluster.commit()

    def nothing_listens(self, urls: tuple[str, ...]) -> bool:
        with self.cluster.lock:
            gone = [m for m in self.cluster.members.values() if not (m.alive or m.frozen)]
            return bool(urls) and set(urls) <= {url for m in gone for url in m.row.client_urls}

    def check_access(self) -> None:
        pass

    def authenticate(self, avoid: Collection[str] = ()) -> None:
        """It uses no auth."""

    def add_learner(self, peer_urls: tuple[str, ...], deadline: float) -> Member:
        with self.cluster.lock:
            return self.cluster.send(self.leader, lambda: self.cluster.add_learner(peer_urls))

    def promote(self, member_id: str, deadline: float) -> None:
        with self.cluster.lock:
            self.cluster.send(self.leader, lambda: self.cluster.promote(member_id))

    def remove(self, member_id: str, deadline: float) -> None:
        with self.cluster.lock:
            self.cluster.send(self.leader, lambda: self.cluster.remove(member_id))

    def move_leader(self, member_id: str, deadline: float) -> None:
        asked = self.leader
        with self.cluster.lock:
            self.cluster.send(asked, lambda: self.cluster.move_leader(member_id, asked))

    def snapshot(self, avoid: Collection[str] = ()) -> Iterator[tuple[bytes, int]]:
        if not any(m.alive and m.id not in avoid for m in self.cluster.voters()):
            raise ClusterUnreachable("no voter to take a snapshot of")
        data = self.cluster.data
        left, whole = len(data), data + hashlib.sha256(data).digest()
        for size in (*self.cluster.cuts, len(whole)):
            piece, whole = whole[:size], whole[size:]
            left = max(0, left - len(piece))
            yield piece, left

    def _status(self, member: Process) -> MemberStatus:
        cluster, denies = self.cluster, member.is_learner or member.id in self.cluster.denying
        urls = member.row.client_urls
        return MemberStatus(
            member.id, "3.7.1", cluster.leader, cluster.term, member.match, member.match, 1, 1, 0, denies, urls=urls
        )

    def _state(self, member: Process) -> str:
        return "StateReplicate" if member.alive and member.match else "StateProbe"


def _lives(member: Process | None) -> bool:
    return member is not None and member.alive
