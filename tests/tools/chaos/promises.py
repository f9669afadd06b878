"""The promises of the contract, held against what is there after a change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from etcdapi.faults import Call
from local.etcd_cluster import LocalMember

DONE = ("promoted", "already-voter", "removed", "already-removed", "replaced")
UNDONE = ("cancelled", "rolled-back", "refused")
# What a failed replace says of its halves, and whether the new and the old member are in the list then.
HALVES = {"old removed, new not joined": (False, False), "new joined, old not removed": (True, True)}
# The exit code of a command that waited for the end, by its outcome.
EXIT_CODES = {**dict.fromkeys(DONE, 0), "cancelled": 1, "rolled-back": 1, "failed": 1, "refused": 5}


@dataclass(frozen=True)
class Members:
    """The member list at one moment."""

    #: `voter` or `learner` by member ID.
    roles: dict[str, str]
    #: Member IDs by peer URL.
    ids: dict[str, str]

    @classmethod
    def of(cls, rows: list[Any]) -> Members:
        return cls(
            {f"{row.ID:x}": "learner" if row.isLearner else "voter" for row in rows},
            {url: f"{row.ID:x}" for row in rows for url in row.peerURLs},
        )

    def role(self, member: LocalMember | None) -> str:
        """Empty when it is no member."""
        return self.roles.get(self.ids.get(member.peer_url, ""), "") if member else ""


@dataclass(frozen=True)
class Reported:
    """One change: who was to come and to go, and what its command said at its end."""

    code: int
    answer: dict[str, Any]
    new: LocalMember | None
    #: The ID of the member that was to go; empty in a join.
    old: str

    @property
    def outcome(self) -> str:
        return str(self.answer.get("outcome", ""))

    @property
    def unsettled(self) -> bool:
        """Whether it says itself that an effect may still come."""
        return "unsettled" in f"{self.answer}".lower()


def violations(reported: Reported, at_end: Members, later: Members, calls: list[Call]) -> Iterator[str]:
    """What is wrong, each in a sentence. `later` is the list after all troubles were over."""
    outcome = reported.outcome
    if EXIT_CODES.get(outcome) != reported.code:
        yield f"exit code {reported.code} with outcome {outcome!r}"
    if reported.unsettled:
        return
    for moment, members in (("at the end", at_end), ("later", later)):
        yield from (f"{wrong} {moment}" for wrong in _untrue(reported, members))
    yield from _twice(calls)


def _untrue(reported: Reported, members: Members) -> Iterator[str]:
    """Reported is not what is."""
    new, is_old_in = members.role(reported.new), reported.old in members.roles
    if new == "learner":
        yield "its learner is left"
    if reported.outcome in DONE:
        if reported.new and new != "voter":
            yield f"{reported.outcome}, but the new member is no voter"
        if reported.new and members.ids.get(reported.new.peer_url) != reported.answer.get("member_id"):
            yield f"{reported.outcome}, but with another ID"
        if reported.old and is_old_in:
            yield f"{reported.outcome}, but the old member is in the list"
    for half, (is_new_in, is_old) in HALVES.items():
        if half in str(reported.answer.get("reason")) and (bool(new), is_old_in) != (is_new_in, is_old):
            yield f"{half}, but new is {new or 'no member'} and old is {'in' if is_old_in else 'gone'}"
    if reported.outcome in UNDONE:
        if new:
            yield f"{reported.outcome}, but the new member is a {new}"
        if reported.old and not is_old_in:
            yield f"{reported.outcome}, but the old member is gone"


def _twice(calls: list[Call]) -> Iterator[str]:
    """etcd answered OK to the same act for the same member more than once."""
    done = [(call.method, call.subject) for call in calls if call.code == "OK" and call.method != "MoveLeader"]
    for method, subject in sorted(set(done)):
        if done.count((method, subject)) > 1:
            yield f"{method} of {subject} took effect {done.count((method, subject))} times"
