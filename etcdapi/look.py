"""
One look at a cluster: it asks every member, and finds the members, the leader and the valid member list.

It never asks a learner for the list. It believes no answer from another cluster, or from another member than the
member that it asked. All its questions share one deadline.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from etcdapi import reading
from etcdapi.calls import Answers
from etcdapi.stubs import rpc_pb2
from membership.errors import (
    NO_ACCESS,
    ClusterUnreachable,
    DeadlineExceeded,
    InvalidConfiguration,
    MemberflowError,
    NoLeader,
)
from membership.model import ClusterStatus, Member

# Seconds. A linearizable list without quorum would hang for etcd's own 7.
STATUS_DEADLINE = 2.0
LIST_DEADLINE = 2.0
# A cluster has a handful of members. A list of thousands is a lie, and not worth that many connections.
MOST_URLS = 64

STATUS = rpc_pb2.StatusRequest()
LIST = rpc_pb2.MemberListRequest(linearizable=True)

# From URLs, method, request and seconds to the answer or the error of each URL.
Read = Callable[[Iterable[str], str, Any, float], Answers]


@dataclass(frozen=True)
class Whereabouts:
    """Where the members of a cluster are, by the last look. Replaced as a whole."""

    #: 0: no look yet.
    cluster_id: int = 0
    #: The ID of the member at each client URL.
    owner: dict[str, str] = field(default_factory=dict)
    #: The client URLs that the voters advertise.
    voter_urls: tuple[str, ...] = ()
    #: Client URLs through which a linearizable list was read.
    readers: tuple[str, ...] = ()
    #: The leader's ID. Empty: none is known.
    leader: str = ""
    #: The URL at which the leader answered, or its advertised URL when it must not be asked. Empty: there is none.
    leader_url: str = ""

    def urls_of(self, known: Iterable[str], avoid: Collection[str]) -> list[str]:
        """The URLs among `known`, each once, without those that are in `avoid` or belong to a member in it."""
        return [url for url in dict.fromkeys(known) if url not in avoid and self.owner.get(url) not in avoid]


class Look:
    """One look, from the first question to the last answer."""

    def __init__(self, read: Read, avoid: Collection[str], until: float) -> None:
        self._read = read
        self._avoid = avoid
        self._until = until
        self._answers: Answers = {}
        #: The lists of voters, and the errors of voters that gave none, by URL.
        self._lists: dict[str, Any] = {}
        self._unread: Answers = {}

    def take(self, known: list[str], agree: Callable[[Answers], int], hurry: float | None) -> None:
        """
        Asks the `known` URLs, then every member that they list.

        `agree` returns the ID of the cluster that gave these first answers. Voters come before learners, so that
        writes in between never overstate a lag. When no list could be read, raises ClusterUnreachable or, if there is
        one, an error that will not go away by waiting.
        """
        answers = self._ask(known, "Status", STATUS, STATUS_DEADLINE)
        self.cluster_id = agree(answers)
        self._add(reading.of_cluster(answers, self.cluster_id))
        if not self._lists:
            raise _why_no_list(self._answers, self._unread)
        unasked = _still_to_ask(reading.common_list(self._listed()), known, self._avoid)
        room = max(8, MOST_URLS - len(known))
        found = self._ask(unasked[:room], "Status", STATUS, hurry or STATUS_DEADLINE)
        self._add(reading.of_cluster(found, self.cluster_id))
        self._judge()

    def status(self) -> ClusterStatus:
        """The result, without the numbers that do not come from etcd's gRPC answers."""
        listed = self._listed()
        return ClusterStatus(
            cluster_id=reading.hex_id(self.cluster_id),
            leader=self.leader,
            term=self.term,
            members=self.members,
            statuses=self.statuses,
            silent=self.silent,
            readers=tuple(sorted({who for who, _ in listed.values()})),
            dissent=self.dissent,
            hung=tuple(i for i in reading.hung_members(self.members, self._answers) if i in self.silent),
        )

    def whereabouts(self) -> Whereabouts:
        """Where to send the next calls."""
        owner = {url: m.id for m in self.members for url in m.client_urls}
        owner |= {url: reading.hex_id(a.header.member_id) for url, a in good(self._answers).items() if url not in owner}
        return Whereabouts(
            cluster_id=self.cluster_id,
            owner=owner,
            voter_urls=tuple(url for m in self.members if not m.is_learner for url in m.client_urls)[:MOST_URLS],
            readers=tuple(self._lists),
            leader=self.leader,
            leader_url=next(iter(self._leader_urls()), ""),
        )

    def _ask(self, urls: Iterable[str], method: str, request: Any, deadline: float) -> Answers:
        return self._read(urls, method, request, max(0.0, min(deadline, self._until - time.monotonic())))

    def _add(self, answers: Answers) -> None:
        """Takes these statuses, and asks the voters that answered for their lists."""
        self._answers |= answers
        voters = [url for url, a in good(answers).items() if not a.isLearner]
        lists = reading.of_cluster(self._ask(voters, "MemberList", LIST, LIST_DEADLINE), self.cluster_id)
        self._lists |= good(lists)
        self._unread |= {url: error for url, error in lists.items() if isinstance(error, MemberflowError)}

    def _judge(self) -> None:
        """Finds leader, list and identities. An answer that the other voters refute is an error from here on."""
        common = reading.common_list(self._listed())
        voters = {m.id for m in common if not m.is_learner}
        own, _ = reading.identify(common, self._answers, self._avoid)
        told = {who: status for who, status in own.items() if who in voters}
        for url, error in reading.refuted(told, len(voters)).items():
            self._answers[url] = error
            self._lists.pop(url, None)
        believed = [s for s in told.values() if not any(isinstance(self._answers[u], MemberflowError) for u in s.urls)]
        self.leader, self.term = reading.agree_on_leader(believed)
        by_leader_first = sorted(self._listed().items(), key=lambda item: item[1][0] != self.leader)
        self.members, self.dissent = reading.agree_on_members(dict(by_leader_first))
        self.statuses, self.silent = reading.identify(self.members, self._answers, self._avoid)

    def _listed(self) -> dict[str, tuple[str, tuple[Member, ...]]]:
        """The member that answered at each URL, and its list."""
        return {url: (reading.hex_id(a.header.member_id), reading.read_members(a)) for url, a in self._lists.items()}

    def _leader_urls(self) -> tuple[str, ...]:
        """The URLs at which the leader answered. Advertised URLs come first: another name may change its member."""
        leader = next((m for m in self.members if m.id == self.leader), None)
        advertised = leader.client_urls if leader else ()
        # A leader that is being removed is not looked at. It must still commit and hand over its leadership.
        if self.leader in self._avoid:
            return advertised
        own = self.statuses.get(self.leader)
        return tuple(sorted(own.urls, key=lambda url: url not in advertised)) if own else ()


def good(answers: Answers) -> dict[str, Any]:
    """The answers that are no errors."""
    return {url: a for url, a in answers.items() if not isinstance(a, MemberflowError)}


def _why_no_list(answers: Answers, unread: Answers) -> MemberflowError:
    """An error that will not go away by waiting, if there is one. Otherwise all causes together."""
    errors = [a for a in (*answers.values(), *unread.values()) if isinstance(a, MemberflowError)]
    refused = next((e for e in errors if isinstance(e, (*NO_ACCESS, InvalidConfiguration))), None)
    told = [str(a) for a in answers.values() if isinstance(a, MemberflowError)]
    return refused or ClusterUnreachable("; ".join([*told, *reasons(unread)]) or "no endpoint answered")


def reasons(unread: Answers) -> list[str]:
    """Why no list could be read through these URLs, for a person."""
    mute = [url for url, error in unread.items() if isinstance(error, (DeadlineExceeded, NoLeader))]
    told = [str(error) for url, error in unread.items() if url not in mute]
    return told + ([f"no linearizable read through {', '.join(mute)}: is there a quorum?"] if mute else [])


def _still_to_ask(members: tuple[Member, ...], asked: list[str], avoid: Collection[str]) -> list[str]:
    """The URLs of all learners, which are always asked after the leader, and of voters that were not known before."""
    shown = ((url, m) for m in members if m.id not in avoid for url in m.client_urls if url not in avoid)
    urls = {url: m.is_learner for url, m in shown}
    return [url for url, is_learner in urls.items() if is_learner or url not in asked]
