"""
The membership client of one cluster.

It looks at the cluster. It sends each change once, to the leader that its last look found.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from etcdapi import reading
from etcdapi.calls import Answers, Calls
from etcdapi.certificates import credentials
from etcdapi.connection import HTTP_DEADLINE, nothing_listens
from etcdapi.http import HttpAnswer
from etcdapi.look import LIST, MOST_URLS, Look, Whereabouts, good, reasons
from etcdapi.peer_port import ask_peer_port
from etcdapi.raft import parse_view, uptime_of
from etcdapi.silent_voters import Leader, hear_silent_voters
from etcdapi.stubs import rpc_pb2
from membership.credentials import Credentials
from membership.errors import ClusterUnreachable, MemberflowError, WrongCluster, WrongMember
from membership.etcd import EVERYTHING, Access, Scope
from membership.etcd_errors import NO_ACCESS, NoLeader
from membership.model import ClusterStatus, Member
from membership.witness import PeerList, RaftView

# Seconds. A look usually takes milliseconds. A silent voter costs it one deadline, and a silent learner another.
LOOK_DEADLINE = 6.0
WATCH_DEADLINE = 1.0
COMMIT_DEADLINE = 5.0
PEER_DEADLINE = 0.5
SNAPSHOT_DEADLINE = 6 * 3600.0

_ROLES = rpc_pb2.AuthRoleListRequest()
_ALARMS = rpc_pb2.AlarmRequest(action=rpc_pb2.AlarmRequest.GET)


@dataclass(frozen=True)
class _Shared:
    """The parts that all changes of one cluster share."""

    calls: Calls
    #: The result of the last look, by cluster ID. A change that begins uses the result of earlier looks.
    maps: dict[str, Whereabouts] = field(default_factory=dict)


class EtcdClient:
    """The real `membership.etcd.Etcd`. Threads may share it. It closes unused connections."""

    def __init__(
        self, access: Access, expected: str = "", also: Collection[str] = (), shared: _Shared | None = None
    ) -> None:
        self._access = access
        self._expected = _canonical(expected or access.cluster_id)
        # A forged order must not make this worker connect to thousands of addresses.
        self._also = tuple(also)[:MOST_URLS]
        self._shared = shared or _Shared(Calls(access))
        self._calls = self._shared.calls
        self._seeds = access.endpoints
        self._ca = access.ca
        self._map = self._shared.maps.get(self._expected, Whereabouts())

    def close(self) -> None:
        """Closes each connection, at the latest when its last call ends."""
        self._calls.close()

    def expecting(self, cluster_id: str, also: Collection[str] = ()) -> EtcdClient:
        """See `Etcd.expecting`."""
        return EtcdClient(self._access, cluster_id, also, self._shared) if cluster_id else self

    def credentials(self) -> Credentials:
        """See `Etcd.credentials`."""
        return credentials(self._access)

    def look(
        self, avoid: Collection[str] = (), scope: Scope = EVERYTHING, *, hurry: float | None = None
    ) -> ClusterStatus:
        """See `Etcd.look`."""
        self._check_expectation()
        until = time.monotonic() + LOOK_DEADLINE
        look = self._take(avoid, scope, hurry, until)
        self._map = self._shared.maps[reading.hex_id(look.cluster_id)] = look.whereabouts(self._map)
        self._calls.auth.verified = self._map.readers
        status = look.status()
        if scope.uptimes:
            told = {i: replace(s, uptime=self._uptime(s.urls, until)) for i, s in status.statuses.items()}
            status = replace(status, statuses=told)
        # Only the leader knows whether a voter that does not answer is down, or out of this worker's reach.
        wants_raft = scope.raft or (status.asked_all and len(status.live_voters) < len(status.voters))
        view = self._raft_view(until) if wants_raft and status.leader not in avoid else None
        status = replace(status, progress=view.progress if view else {})
        leader = Leader(view, lambda: self._raft_view(until), self._commit, asked=scope.silent_voters)
        return hear_silent_voters(status, leader, until)

    def _take(self, avoid: Collection[str], scope: Scope, hurry: float | None, until: float) -> Look:
        if not scope.every_status and not avoid and self._map.leader_url:
            look = Look(self._read, avoid, until)
            if look.take_effect(self._map, self._agree_on_cluster):
                return look
        look = Look(self._read, avoid, until)
        known = self._map.urls_of((*self._seeds, *self._map.voter_urls, *self._also), avoid)
        look.take(known, self._agree_on_cluster, hurry, every_list=scope.every_list)
        return look

    def members(self, avoid: Collection[str] = ()) -> tuple[Member, ...]:
        """See `Etcd.members`."""
        failures: Answers = {}
        known = (*self._map.readers, *self._map.voter_urls) or self._seeds
        for url in self._map.urls_of(known, avoid):
            answer = self._read([url], "MemberList", LIST, WATCH_DEADLINE)
            answer = reading.of_cluster(answer, self._map.cluster_id)
            if found := good(answer):
                return reading.read_members(found[url])
            failures |= answer
        raise ClusterUnreachable("; ".join(reasons(failures)) or "no endpoint is known")

    def raft_view(self) -> RaftView | None:
        """See `Etcd.raft_view`."""
        return self._raft_view(time.monotonic() + HTTP_DEADLINE)

    def peer_list(self, peer_urls: Collection[str]) -> PeerList:
        """See `Etcd.peer_list`."""
        return ask_peer_port(tuple(peer_urls), self._ca, PEER_DEADLINE)

    def commit(self) -> None:
        """See `Etcd.commit`."""
        self._commit(COMMIT_DEADLINE)

    def _commit(self, deadline: float) -> None:
        leader, url = self._the_leader()
        answer = self._read([url], "Alarm", _ALARMS, max(0.0, deadline))[url]
        if isinstance(answer, MemberflowError):
            raise answer
        _must_be(leader, answer, url)

    def nothing_listens(self, urls: tuple[str, ...]) -> bool:
        """See `Etcd.refuses`."""
        return bool(urls) and all(map(nothing_listens, urls))

    def check_access(self) -> None:
        """See `Etcd.check_access`."""
        for url in self._map.readers or self._seeds:
            # etcd lists its roles for users with the role root alone, by the same rule as it takes changes of members.
            answer = self._read([url], "RoleList", _ROLES, COMMIT_DEADLINE)[url]
            if isinstance(answer, NO_ACCESS):
                raise answer
            if not isinstance(answer, MemberflowError):
                return

    def authenticate(self, avoid: Collection[str] = ()) -> None:
        """See `Etcd.authenticate`."""
        self._calls.auth.authenticate(avoid, self._also)

    def add_learner(self, peer_urls: tuple[str, ...], deadline: float) -> Member:
        """See `Etcd.add_learner`."""
        request = rpc_pb2.MemberAddRequest(peerURLs=peer_urls, isLearner=True)
        return reading.read_member(self._change("MemberAdd", request, deadline).member)

    def promote(self, member_id: str, deadline: float) -> None:
        """See `Etcd.promote`."""
        self._change("MemberPromote", rpc_pb2.MemberPromoteRequest(ID=int(member_id, 16)), deadline)

    def remove(self, member_id: str, deadline: float) -> None:
        """See `Etcd.remove`."""
        self._change("MemberRemove", rpc_pb2.MemberRemoveRequest(ID=int(member_id, 16)), deadline)

    def move_leader(self, member_id: str, deadline: float) -> None:
        """See `Etcd.move_leader`."""
        self._change("MoveLeader", rpc_pb2.MoveLeaderRequest(targetID=int(member_id, 16)), deadline)

    def snapshot(self, avoid: Collection[str] = ()) -> Iterator[tuple[bytes, int]]:
        """See `Etcd.snapshot`."""
        where = self._map
        readers = where.urls_of(where.readers, avoid)
        if not readers:
            raise ClusterUnreachable("the last look found no voter to take a snapshot of")
        # The leader has enough to do, and the data of another voter is as good.
        url = next((url for url in readers if url != where.leader_url), readers[0])
        for piece in self._calls.stream(url, "Snapshot", rpc_pb2.SnapshotRequest(), SNAPSHOT_DEADLINE):
            yield piece.blob, piece.remaining_bytes

    def _change(self, method: str, request: Any, deadline: float) -> Any:
        leader, url = self._the_leader()
        answer = self._calls.send(url, method, request, deadline)
        # etcd never fills the header of MoveLeader's answer (server/etcdserver/api/v3rpc/maintenance.go).
        if answer.HasField("header"):
            _must_be(leader, answer, url)
        return answer

    def _read(self, urls: Iterable[str], method: str, request: Any, deadline: float) -> Answers:
        return self._calls.read(urls, method, request, deadline, self._also)

    def _the_leader(self) -> tuple[str, str]:
        where = self._map
        if not where.leader_url:
            raise NoLeader("the last look found no leader that answers")
        return where.leader, where.leader_url

    def _check_expectation(self) -> None:
        """The cluster ID of the clusters file and that of the change must both hold."""
        configured = _canonical(self._access.cluster_id)
        if configured and self._expected != configured:
            raise WrongCluster(
                f"this change began on cluster {self._expected}, and the clusters file says cluster_id {configured}"
            )

    def _agree_on_cluster(self, answers: Answers) -> int:
        return reading.agree_on_cluster(answers, self._seeds, self._expected) or self._map.cluster_id

    def _raft_view(self, until: float) -> RaftView | None:
        if not self._map.leader_url:
            return None
        try:
            return parse_view(self._get(self._map.leader_url, "/debug/vars", until).body)
        except MemberflowError:
            return None

    def _get(self, url: str, path: str, until: float) -> HttpAnswer:
        with self._calls.use(url) as connection:
            return connection.get(path, max(0.0, min(HTTP_DEADLINE, until - time.monotonic())))

    def _uptime(self, urls: tuple[str, ...], until: float) -> float:
        """Seconds since a member's process started, by its own clock. Negative when the member does not say."""
        for url in urls:
            try:
                answer = self._get(url, "/metrics", until)
                return uptime_of(answer.body, answer.headers.get("Date", ""))
            except (MemberflowError, ValueError):
                continue
        return -1.0


def _canonical(cluster_id: str) -> str:
    """The ID as etcd prints it. Empty stays empty."""
    return f"{int(cluster_id, 16):x}" if cluster_id else ""


def _must_be(member_id: str, answer: Any, url: str) -> None:
    if reading.hex_id(answer.header.member_id) != member_id:
        raise WrongMember(f"{url} answered as member {answer.header.member_id:x}, not as the leader {member_id}")
