"""
The membership client of one cluster.

It asks several members at once, each with its own deadline, so that a dead endpoint costs nothing; it never
asks a learner for the list; it sends changes to the leader, once; and it believes no answer whose cluster and
member ID are not those asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from etcdapi import reading
from etcdapi.calls import Answers, Calls
from etcdapi.connection import refuses
from etcdapi.peer_port import ask_peer_port
from etcdapi.raft import parse_view, uptime_of
from etcdapi.stubs import rpc_pb2
from membership.errors import (
    NO_ACCESS,
    ClusterUnreachable,
    InvalidConfiguration,
    MemberflowError,
    NoLeader,
    WrongCluster,
    WrongMember,
)
from membership.model import ClusterStatus, Member, RaftProgress
from membership.ports import Access
from membership.witness import PeerList, RaftView

# Seconds; a linearizable list without quorum would hang for etcd's own 7.
STATUS_DEADLINE = 2.0
LIST_DEADLINE = 2.0
WATCH_DEADLINE = 1.0
COMMIT_DEADLINE = 5.0
PEER_DEADLINE = 0.5
SNAPSHOT_DEADLINE = 6 * 3600.0

_STATUS = rpc_pb2.StatusRequest()
_LIST = rpc_pb2.MemberListRequest(linearizable=True)
_ALARMS = rpc_pb2.AlarmRequest(action=rpc_pb2.AlarmRequest.GET)


@dataclass(frozen=True)
class _Map:
    """What the last look learnt of where members are; replaced as a whole."""

    cluster_id: int = 0
    owner: dict[str, str] = field(default_factory=dict)
    voter_urls: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()
    leader: str = ""
    # Where it answered; or, when it is not to be looked at, what it advertises.
    leader_url: str = ""


@dataclass(frozen=True)
class _Shared:
    """The parts that all changes of one cluster share."""

    calls: Calls
    #: By cluster ID, what the last look at it learnt: a change that begins has it from the looks before.
    maps: dict[str, _Map] = field(default_factory=dict)


class EtcdClient:
    """`membership.ports.Etcd` for real. Threads may share it; connections are kept until `close`."""

    def __init__(
        self, access: Access, expected: str = "", also: Collection[str] = (), shared: _Shared | None = None
    ) -> None:
        self._access = access
        self._expected = _canonical(expected or access.cluster_id)
        self._also = tuple(also)
        self._shared = shared or _Shared(Calls(access))
        self._calls = self._shared.calls
        self._seeds = access.endpoints
        self._ca = access.ca
        self._map = self._shared.maps.get(self._expected, _Map())

    def close(self) -> None:
        self._calls.close()

    def expecting(self, cluster_id: str, also: Collection[str] = ()) -> EtcdClient:
        """See `Etcd.expecting`."""
        return EtcdClient(self._access, cluster_id, also, self._shared) if cluster_id else self

    def look(self, avoid: Collection[str] = (), *, uptimes: bool = False, hurry: float | None = None) -> ClusterStatus:
        """See `Etcd.look`. Voters first, learners after them: writes in between never overstate a lag."""
        self._check_expectation()
        known = self._known_urls(avoid)
        answers = self._calls.read(known, "Status", _STATUS, STATUS_DEADLINE)
        cluster_id = reading.agree_on_cluster(answers, self._seeds, self._expected) or self._map.cluster_id
        answers = reading.of_cluster(answers, cluster_id)
        leader, term = reading.agree_on_leader(reading.read_status(a) for a in _voters(answers).values())
        lists = self._lists(answers, leader, cluster_id)
        if not lists:
            raise _why_no_list(answers)
        unasked = _still_to_ask(reading.read_members(next(iter(lists.values()))), known, avoid)
        found = reading.of_cluster(self._calls.read(unasked, "Status", _STATUS, hurry or STATUS_DEADLINE), cluster_id)
        answers |= found
        lists |= self._lists(found, leader, cluster_id)
        listed = {url: (reading.hex_id(a.header.member_id), reading.read_members(a)) for url, a in lists.items()}
        members, dissent = reading.agree_on_members(listed)
        statuses, silent = reading.identify(members, answers, avoid)
        if uptimes:
            statuses = {i: replace(s, uptime=self._uptime(s.urls)) for i, s in statuses.items()}
        self._map = replace(_draw_map(members, answers, tuple(lists), leader, avoid), cluster_id=cluster_id)
        self._shared.maps[reading.hex_id(cluster_id)] = self._map
        self._calls.auth.verified = self._map.readers
        return ClusterStatus(
            cluster_id=reading.hex_id(cluster_id),
            leader=leader,
            term=term,
            members=members,
            statuses=statuses,
            silent=silent,
            readers=tuple(sorted({who for who, _ in listed.values()})),
            dissent=dissent,
            progress={} if leader in avoid else self.progress(),
            hung=tuple(i for i in reading.hung_members(members, answers) if i in silent),
        )

    def members(self) -> tuple[Member, ...]:
        """See `Etcd.members`."""
        failures: Answers = {}
        for url in self._map.readers or self._seeds:
            answer = self._calls.read([url], "MemberList", _LIST, WATCH_DEADLINE)
            answer = reading.of_cluster(answer, self._map.cluster_id)
            if good := _good(answer):
                return reading.read_members(good[url])
            failures |= answer
        raise ClusterUnreachable(_reasons(failures, list(failures)))

    def progress(self) -> dict[str, RaftProgress]:
        """See `Etcd.progress`."""
        view = self.raft_view()
        return view.progress if view else {}

    def raft_view(self) -> RaftView | None:
        """See `Etcd.raft_view`."""
        if not self._map.leader_url:
            return None
        try:
            return parse_view(self._calls.connection(self._map.leader_url).get("/debug/vars"))
        except MemberflowError:
            return None

    def peer_list(self, peer_urls: Collection[str]) -> PeerList:
        """See `Etcd.peer_list`."""
        return ask_peer_port(tuple(peer_urls), self._ca, PEER_DEADLINE)

    def commit(self) -> None:
        """See `Etcd.commit`."""
        leader, url = self._the_leader()
        answer = self._calls.read([url], "Alarm", _ALARMS, COMMIT_DEADLINE)[url]
        if isinstance(answer, MemberflowError):
            raise answer
        _must_be(leader, answer, url)

    def refuses(self, urls: tuple[str, ...]) -> bool:
        """See `Etcd.refuses`."""
        return bool(urls) and all(map(refuses, urls))

    def authenticate(self, avoid: Collection[str] = ()) -> None:
        """See `Etcd.authenticate`."""
        self._calls.auth.authenticate(avoid)

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
        readers = [url for url in where.readers if url not in avoid and where.owner.get(url) not in avoid]
        if not readers:
            raise ClusterUnreachable("the last look found no voter to take a snapshot of")
        # The leader has enough to do: another voter's data is as good.
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

    def _the_leader(self) -> tuple[str, str]:
        where = self._map
        if not where.leader_url:
            raise NoLeader("the last look found no leader that answers")
        return where.leader, where.leader_url

    def _lists(self, statuses: Answers, leader: str, cluster_id: int) -> dict[str, Any]:
        """The lists of the voters among those that answered, the leader's first."""
        voters = _voters(statuses)
        urls = sorted(voters, key=lambda url: reading.hex_id(voters[url].header.member_id) != leader)
        return _good(reading.of_cluster(self._calls.read(urls, "MemberList", _LIST, LIST_DEADLINE), cluster_id))

    def _check_expectation(self) -> None:
        """The operator's word and that of a change must both hold."""
        configured = _canonical(self._access.cluster_id)
        if configured and self._expected != configured:
            raise WrongCluster(
                f"this change began on cluster {self._expected}, and the clusters file says cluster_id {configured}"
            )

    def _known_urls(self, avoid: Collection[str]) -> list[str]:
        where = self._map
        known = dict.fromkeys((*self._seeds, *where.voter_urls, *self._also))
        return [url for url in known if url not in avoid and where.owner.get(url) not in avoid]

    def _uptime(self, urls: tuple[str, ...]) -> float:
        """Seconds since a member's process started, by its own clock; negative when it doesn't tell."""
        for url in urls:
            try:
                return uptime_of(*self._calls.connection(url).get_dated("/metrics"))
            except (MemberflowError, ValueError):
                continue
        return -1.0


def _canonical(cluster_id: str) -> str:
    """The ID as etcd prints it; empty stays empty."""
    return f"{int(cluster_id, 16):x}" if cluster_id else ""


def _voters(statuses: Answers) -> dict[str, Any]:
    return {url: a for url, a in _good(statuses).items() if not a.isLearner}


def _good(answers: Answers) -> dict[str, Any]:
    return {url: a for url, a in answers.items() if not isinstance(a, MemberflowError)}


def _why_no_list(answers: Answers) -> MemberflowError:
    """Who may not look never will; everything else may pass."""
    refused = next((a for a in answers.values() if isinstance(a, (*NO_ACCESS, InvalidConfiguration))), None)
    return refused or ClusterUnreachable(_reasons(answers, list(_voters(answers))))


def _reasons(answers: Answers, voters: list[str]) -> str:
    """Why no list could be read, for a person."""
    failed = [str(a) for a in answers.values() if isinstance(a, MemberflowError)]
    if voters:
        failed.append(f"no linearizable read through {', '.join(voters)}: is there a quorum?")
    return "; ".join(failed) or "no endpoint answered"


def _still_to_ask(members: tuple[Member, ...], asked: list[str], avoid: Collection[str]) -> list[str]:
    """Learners always, after the leader; and voters that were not known before."""
    shown = ((url, m) for m in members if m.id not in avoid for url in m.client_urls if url not in avoid)
    urls = {url: m.is_learner for url, m in shown}
    return [url for url, is_learner in urls.items() if is_learner or url not in asked]


def _draw_map(
    members: tuple[Member, ...], answers: Answers, readers: tuple[str, ...], leader: str, avoid: Collection[str]
) -> _Map:
    owner = {url: m.id for m in members for url in m.client_urls}
    owner |= {url: reading.hex_id(a.header.member_id) for url, a in _good(answers).items()}
    # A leader that isn't looked at, because it is being removed, must still commit and hand its lead over.
    at_leader = [url for url, who in owner.items() if who == leader and (leader in avoid or url in _good(answers))]
    return _Map(
        owner=owner,
        voter_urls=tuple(url for m in members if not m.is_learner for url in m.client_urls),
        readers=readers,
        leader=leader,
        leader_url=next(iter(at_leader), ""),
    )


def _must_be(member_id: str, answer: Any, url: str) -> None:
    if reading.hex_id(answer.header.member_id) != member_id:
        raise WrongMember(f"{url} answered as member {answer.header.member_id:x}, not as the leader {member_id}")
