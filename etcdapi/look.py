"""
One look at a cluster: it asks every member, and finds the members, the leader and the valid member list.

It never asks a learner for the list. It believes no answer from another cluster, or from another member than the
member that it asked. All its questions share one deadline.

A narrow look asks fewer questions (`membership.etcd.Scope`). It rests on the last look, and where anything has changed
since, it asks everything.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from etcdapi import reading
from etcdapi.calls import Answers
from etcdapi.stubs import rpc_pb2
from membership.errors import ClusterUnreachable, InvalidConfiguration, MemberflowError
from membership.etcd_errors import NO_ACCESS, DeadlineExceeded, NoLeader
from membership.model import ClusterStatus, Member

# Seconds. A linearizable list without quorum would hang for etcd's own 7.
STATUS_DEADLINE = 2.0
LIST_DEADLINE = 2.0
# Of each question of a look that rests on the last one. A member that is silent must leave time for the full look.
EFFECT_DEADLINE = 1.0
# The effect of an act is in the lists. The verification of a new voter waits for its own word.
NEWCOMER_DEADLINE = 0.5
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
    #: Client URLs through which a linearizable list was read, by the last look or, where that was narrow, before it.
    readers: tuple[str, ...] = ()
    #: The leader's ID. Empty: none is known.
    leader: str = ""
    #: The URL at which the leader answered, or its advertised URL when it must not be asked. Empty: there is none.
    leader_url: str = ""

    @property
    def voters(self) -> set[str]:
        """The IDs of the voters that have published a client URL."""
        return {self.owner[url] for url in self.voter_urls}

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
        #: Every voter was asked for its Status.
        self._asked_all = True

    def take(self, known: list[str], agree: Callable[[Answers], int], hurry: float | None, *, every_list: bool) -> None:
        """
        Asks the `known` URLs, then every member that they list. Without `every_list` only the leader gives its list.

        `agree` returns the ID of the cluster that gave these first answers. Voters come before learners, so that
        writes in between never overstate a lag. When no list could be read, raises ClusterUnreachable or, if there is
        one, an error that will not go away by waiting.
        """
        answers = self._ask(known, "Status", STATUS, STATUS_DEADLINE)
        self.cluster_id = agree(answers)
        voters = self._note(answers)
        self._read_lists(voters if every_list else _claimed_leader(good(self._answers)))
        if not self._lists:
            self._read_lists(url for url in voters if url not in self._unread)
        if not self._lists:
            raise _why_no_list(self._answers, self._unread)
        newcomers = self._ask_newcomers(known, hurry or STATUS_DEADLINE)
        self._read_lists(newcomers if every_list else ())
        self._judge()
        if self.leader not in self._list_givers():
            # The voters' statuses were not the whole truth, so that all lists count.
            self._read_lists(url for url in voters if url not in {*self._lists, *self._unread})
            self._judge()

    def take_effect(self, last: Whereabouts, agree: Callable[[Answers], int]) -> bool:
        """
        Asks the leader of the last look for its Status, its voters for their lists, and new members for both.

        Returns whether all of them answered and the leader still leads. If not, this look shows too little.
        """
        self._asked_all = False
        answers = self._ask([last.leader_url], "Status", STATUS, EFFECT_DEADLINE)
        if not good(answers):
            return False
        self.cluster_id = agree(answers)
        self._note(answers)
        self._read_lists(last.readers, EFFECT_DEADLINE)
        if self._unread or not last.voters <= self._list_givers():
            return False
        self._read_lists(self._ask_newcomers([*last.readers, *last.voter_urls], NEWCOMER_DEADLINE))
        self._judge()
        return last.leader == self.leader and self.leader in self.statuses

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
            asked_all=self._asked_all,
        )

    def whereabouts(self, last: Whereabouts) -> Whereabouts:
        """Where to send the next calls. `last`: by the look before this one."""
        answered = good(self._answers)
        earlier = [url for url in last.readers if url in answered and url not in self._unread]
        owner = {url: m.id for m in self.members for url in m.client_urls}
        owner |= {url: reading.hex_id(a.header.member_id) for url, a in good(self._answers).items() if url not in owner}
        return Whereabouts(
            cluster_id=self.cluster_id,
            owner=owner,
            voter_urls=tuple(url for m in self.members if not m.is_learner for url in m.client_urls)[:MOST_URLS],
            readers=tuple(dict.fromkeys((*self._lists, *earlier))),
            leader=self.leader,
            leader_url=next(iter(self._leader_urls()), ""),
        )

    def _ask(self, urls: Iterable[str], method: str, request: Any, deadline: float) -> Answers:
        return self._read(urls, method, request, max(0.0, min(deadline, self._until - time.monotonic())))

    def _note(self, statuses: Answers) -> list[str]:
        """Takes these statuses, and returns the URLs of the voters among them."""
        told = reading.of_cluster(statuses, self.cluster_id)
        self._answers |= told
        return [url for url, a in good(told).items() if not a.isLearner]

    def _ask_newcomers(self, known: list[str], deadline: float) -> list[str]:
        """Asks the listed members that are not `known`, and every learner. Returns the URLs of the voters."""
        unasked = _still_to_ask(reading.common_list(self._listed()), known, self._avoid)
        room = max(8, MOST_URLS - len(known))
        return self._note(self._ask(unasked[:room], "Status", STATUS, deadline))

    def _list_givers(self) -> set[str]:
        """The IDs of the members whose lists were read."""
        return {reading.hex_id(a.header.member_id) for a in self._lists.values()}

    def _read_lists(self, urls: Iterable[str], deadline: float = LIST_DEADLINE) -> None:
        lists = reading.of_cluster(self._ask(urls, "MemberList", LIST, deadline), self.cluster_id)
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


def _claimed_leader(answers: dict[str, Any]) -> list[str]:
    """The URLs at which the member answered that most of these voters call the leader."""
    leaders = {a.header.member_id: a.leader for a in answers.values() if not a.isLearner and a.leader}
    [(leader, _)] = Counter(leaders.values()).most_common(1) or [(0, 0)]
    return [url for url, a in answers.items() if a.header.member_id == leader]


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
