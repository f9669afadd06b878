"""
Calls whose effect may still come, and the proof that it cannot come any more.

A frozen member keeps a request in its socket buffer. No raft log has it, so an entry that commits at another leader
proves nothing about it. Once thawed, the member reads the request and forwards it. So the member that was sent the
call must be heard, or be gone.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from membership.model import ClusterStatus, Member

#: Seconds for which a member must be heard, in every look, before the requests that it had are done. All late effects
#: that were measured came within 0.07 s of the thaw. A member that follows a leader proposes or forwards at once.
MOMENT = 2.0

ActName = Literal["add", "promote", "move leader", "remove"]

_CALLS: dict[ActName, str] = {
    "add": "the add",
    "promote": "the promote",
    "move leader": "the move of the leadership",
    "remove": "the removal",
}


@dataclass(frozen=True)
class Voter:
    """A voter in the look before a call."""

    id: str
    #: Its name and ID, for a person.
    label: str
    #: The client URLs at which it answered as itself. Nothing else is evidence of its process.
    urls: tuple[str, ...] = ()


@dataclass(frozen=True)
class SentCall:
    """A call that was sent, and that may or may not have taken effect."""

    act: ActName
    #: The member that it is about, empty for an add.
    member_id: str
    #: The peer URLs of an add, empty for every other call.
    peer_urls: tuple[str, ...]
    #: ID of the member that was sent the call, empty when the worker died before it reported the ID.
    sent_to: str
    #: Raft's term in the look before the call.
    term: int
    #: The voters that answered the look before the call. A silent voter can't have led when the call came. The member
    #: that the call removes is left out: it is not asked.
    voters: tuple[Voter, ...]
    #: A later call of the same kind took effect, so the effect that is seen is not this call's.
    outdone: bool = False

    def is_like(self, other: SentCall) -> bool:
        """Whether both ask for the same."""
        mine = (self.act, self.member_id, set(self.peer_urls))
        return mine == (other.act, other.member_id, set(other.peer_urls))


def sent_call(
    act: ActName, before: ClusterStatus, sent_to: str, member_id: str, peer_urls: tuple[str, ...]
) -> SentCall:
    """
    The call, with the voters that may have it, from the look before it.

    `member_id` and `peer_urls` belong to the member of the change. An add needs the URLs, every other call the ID.
    """
    leaving = member_id if act == "remove" else ""
    voters = tuple(
        Voter(m.id, m.label, before.statuses[m.id].urls)
        for m in before.voters
        if m.id in before.statuses and m.id != leaving
    )
    subject = ("", peer_urls) if act == "add" else (member_id, ())
    return SentCall(act, *subject, sent_to, before.term, voters)


def has_effect(call: SentCall, status: ClusterStatus) -> bool:
    """Whether the cluster is as the call wants it. As long as it is, etcd refuses the same call."""
    if call.act == "add":
        return any(may_be_of(call, m) for m in status.members)
    member = status.member(call.member_id)
    if call.act == "remove":
        return member is None
    if call.act == "promote":
        # A removed ID never comes back, so its promote is refused for ever.
        return member is None or not member.is_learner
    return status.leader not in ("", call.member_id)


def may_be_of(call: SentCall, member: Member) -> bool:
    """Whether the call asks for a member at these peer URLs."""
    return call.act == "add" and set(member.peer_urls) == set(call.peer_urls)


def is_over(call: SentCall, calls: Collection[SentCall], status: ClusterStatus) -> bool:
    """
    Whether the call can change nothing any more, wherever it is.

    A removed member stays removed, and a voter stays a voter. The effect of another kind of call may be undone later,
    so it must be the call's own effect. It is when no other call asked for the same.
    """
    if not has_effect(call, status):
        return False
    if call.act in ("promote", "remove"):
        return True
    return not call.outdone and sum(call.is_like(other) for other in calls) == 1


def suspects(call: SentCall, status: ClusterStatus) -> tuple[Voter, ...]:
    """
    The members that may still have the call.

    A follower forwards it to the leader that it knows. Within one term after the call that is today's leader, which
    every look hears. After more terms it may have been any voter. The same holds when the receiver is unknown.
    """
    receiver = tuple(v for v in call.voters if v.id == call.sent_to)
    if receiver and status.term <= call.term + 1:
        return receiver
    return call.voters


def unheard(call: SentCall, status: ClusterStatus, proved: Collection[str]) -> tuple[Voter, ...]:
    """The members that may still have the call. `proved` are the IDs of members that cannot have it any more."""
    return tuple(v for v in suspects(call, status) if v.id not in proved and status.member(v.id) is not None)


def is_heard(member_id: str, status: ClusterStatus) -> bool:
    """Whether the member answered this look itself and follows the leader, so that it holds no request back."""
    return member_id in status.statuses and any(m.id == member_id for m in status.live_voters)


def may_still_come(call: SentCall, who: tuple[Voter, ...], status: ClusterStatus | None) -> str:
    """Why the call is not settled, for a person."""
    silent = [v for v in who if status is None or not is_heard(v.id, status)]
    state = "is silent" if silent else "has only just answered"
    names = ", ".join(v.label for v in silent or who)
    subject = f"{names} was sent" if _ids(who) == {call.sent_to} else f"one of {names} may have been sent"
    return f"{subject} {_CALLS[call.act]} and {state}: its effect may still come"


def tell_call(call: SentCall) -> str:
    """The call and its subject, for a person."""
    if call.act == "add":
        return f"{_CALLS[call.act]} of a member at {', '.join(call.peer_urls)}"
    return f"{_CALLS[call.act]} {'from' if call.act == 'move leader' else 'of'} member {call.member_id}"


def _ids(voters: Collection[Voter]) -> set[str]:
    return {v.id for v in voters}
