"""Reads etcd's answers: the leader, the valid member list, the identity of each member, and the silent members."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from etcdapi.stubs import rpc_pb2
from membership.errors import Contradicted, MemberflowError, WrongCluster
from membership.etcd_errors import DeadlineExceeded, Hung
from membership.model import Alarm, Member, MemberStatus
from membership.verdicts import quorum

# The text differs in white space between 3.6 and 3.7: "memberID:123  alarm:NOSPACE".
_ALARM = re.compile(r"memberID:(\d+)\s+alarm:(\w+)")


def hex_id(number: int) -> str:
    return f"{number:x}" if number else ""


def read_member(row: rpc_pb2.Member) -> Member:
    return Member(
        id=hex_id(row.ID),
        name=row.name,
        peer_urls=tuple(sorted(row.peerURLs)),
        client_urls=tuple(sorted(row.clientURLs)),
        is_learner=row.isLearner,
    )


def read_members(answer: Any) -> tuple[Member, ...]:
    """The rows of a member list, in the order of their IDs."""
    return tuple(sorted((read_member(row) for row in answer.members), key=lambda m: int(m.id, 16)))


def read_status(answer: rpc_pb2.StatusResponse, urls: tuple[str, ...] = ()) -> MemberStatus:
    alarms = (_ALARM.match(text) for text in answer.errors)
    return MemberStatus(
        member_id=hex_id(answer.header.member_id),
        version=answer.version,
        leader=hex_id(answer.leader),
        term=answer.raftTerm,
        raft_index=answer.raftIndex,
        applied_index=answer.raftAppliedIndex,
        db_size=answer.dbSize,
        db_size_in_use=answer.dbSizeInUse,
        db_quota=answer.dbSizeQuota,
        is_learner=answer.isLearner,
        alarms=tuple(Alarm(hex_id(int(m[1])), m[2]) for m in alarms if m),
        urls=urls,
    )


def agree_on_leader(statuses: Iterable[MemberStatus]) -> tuple[str, int]:
    """
    The leader that the voters of the highest term know, and that term.

    No leader (an empty ID) when they know none or different leaders, or when as many voters know another leader of an
    earlier term. Between honest members this passes within an election. A member that lies is not believed.
    """
    answers = list(statuses)
    term = max((s.term for s in answers), default=0)
    claims = Counter(s.leader for s in answers if s.term == term and s.leader)
    if not claims:
        return "", term
    (leader, votes), *others = claims.most_common(2)
    against = sum(s.term < term and s.leader not in ("", leader) for s in answers)
    if against >= votes or any(count == votes for _, count in others):
        return "", term
    return leader, term


def refuted(statuses: Mapping[str, MemberStatus], voters: int) -> dict[str, Contradicted]:
    """
    An error, by URL, for each voter whose term the others refute.

    A term begins with the votes of a quorum. When too many voters are still at earlier terms, there was no quorum.
    """
    errors: dict[str, Contradicted] = {}
    for one in statuses.values():
        behind = sum(other.term < one.term for other in statuses.values())
        if voters - behind < quorum(voters):
            claim = f"raft term {one.term} and leader {one.leader or 'none'}"
            told = f"claims {claim}, and {behind} of {voters} voters are at earlier terms"
            errors |= {url: Contradicted(f"{url} {told}") for url in one.urls}
    return errors


def common_list(lists: Mapping[str, tuple[str, tuple[Member, ...]]]) -> tuple[Member, ...]:
    """The list that most voters give. On a tie the first. `lists`: as for `agree_on_members`."""
    by_voter = dict(lists.values())
    counts = Counter(frozenset(_shape(members)) for members in by_voter.values())
    return max((members for _, members in lists.values()), key=lambda members: counts[frozenset(_shape(members))])


def agree_on_members(lists: Mapping[str, tuple[str, tuple[Member, ...]]]) -> tuple[tuple[Member, ...], tuple[str, ...]]:
    """
    The first list (the leader's, if it answered), and the voters whose lists differ.

    Names and client URLs are left out of the comparison: a member publishes them while it starts.
    `lists`: by URL, the member that answered and its list.
    """
    (_, members), *_ = lists.values()
    reference = _shape(members)
    dissent = [
        f"{who} lists {', '.join(sorted(_shape(other) ^ reference))}"
        for who, other in lists.values()
        if _shape(other) != reference
    ]
    return members, tuple(sorted(set(dissent)))


def _shape(members: tuple[Member, ...]) -> set[str]:
    return {f"{m.id} {'learner' if m.is_learner else 'voter'} {'+'.join(m.peer_urls)}" for m in members}


def agree_on_cluster(answers: Mapping[str, Any], seeds: Collection[str], expected: str = "") -> int:
    """
    The ID of the cluster that is looked at. 0 when none is expected and no configured endpoint answered.

    Raises WrongCluster when only clusters other than `expected` answered. When none is expected, raises WrongCluster
    when the configured endpoints belong to different clusters.
    """
    told = {
        url: answer.header.cluster_id
        for url, answer in answers.items()
        if not isinstance(answer, MemberflowError) and answer.header.cluster_id and (expected or url in seeds)
    }
    found = set(told.values())
    if expected and (not found or int(expected, 16) in found):
        return int(expected, 16)
    if expected or len(found) > 1:
        wanted = f", not for cluster {expected}" if expected else ""
        raise WrongCluster("; ".join(f"{url} answers for cluster {told[url]:x}{wanted}" for url in told))
    return next(iter(found), 0)


def of_cluster(answers: Mapping[str, Any], cluster_id: int) -> dict[str, Any]:
    """The same answers, but an answer from another cluster becomes a WrongCluster error: it is never evidence."""
    return {
        url: WrongCluster(_why_wrong(url, a.header.cluster_id))
        if not isinstance(a, MemberflowError) and a.header.cluster_id != cluster_id
        else a
        for url, a in answers.items()
    }


def _why_wrong(url: str, cluster_id: int) -> str:
    if cluster_id == 0:
        return f"{url} is a gRPC proxy and not a member: name the client URLs of the members themselves"
    return f"{url} answers for cluster {cluster_id:x}"


def identify(
    members: tuple[Member, ...], answers: Mapping[str, Any], avoid: Collection[str]
) -> tuple[dict[str, MemberStatus], dict[str, str]]:
    """
    The statuses of the members that answered as themselves, and the reason for the silence of each other member.

    An answer counts at a URL that the member advertises, and at a URL that no member advertises, such as a configured
    DNS name.
    """
    own: dict[str, MemberStatus] = {}
    advertised = {(url, m.id) for m in members for url in m.client_urls}
    taken = {url for url, _ in advertised}
    for url, a in answers.items():
        if isinstance(a, MemberflowError):
            continue
        who = hex_id(a.header.member_id)
        if (url, who) in advertised or url not in taken:
            own[who] = read_status(a, (*(own[who].urls if who in own else ()), url))
    statuses = {m.id: own[m.id] for m in members if m.id in own and m.id not in avoid}
    silent = {m.id: _why(m, answers, avoid) for m in members if m.id not in statuses}
    return statuses, silent


def hung_members(members: tuple[Member, ...], answers: Mapping[str, Any]) -> tuple[str, ...]:
    """The members whose client URLs were all asked and all hung."""
    silent = {url for url, answer in answers.items() if isinstance(answer, (DeadlineExceeded, Hung))}
    return tuple(m.id for m in members if m.client_urls and silent.issuperset(m.client_urls))


def _why(member: Member, answers: Mapping[str, Any], avoid: Collection[str]) -> str:
    if member.id in avoid:
        return "not asked, because it is being removed"
    if not member.client_urls:
        return "has published no client URL yet"
    return "; ".join(_what_came(url, answers.get(url)) for url in member.client_urls)


def _what_came(url: str, answer: Any) -> str:
    if answer is None:
        return f"{url} was not asked"
    if not isinstance(answer, MemberflowError):
        return f"{url} answers as member {answer.header.member_id:x}"
    return str(answer)
