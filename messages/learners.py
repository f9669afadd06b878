"""Learners that changes of this service added."""

from __future__ import annotations

from membership.model import ClusterStatus
from membership.preflight import find_member
from messages.orders import Beforehand
from messages.requests import ChangeRequest, JoinRequest, RemoveRequest, ReplaceRequest
from messages.turns import AddedLearner


def meant_by(request: ChangeRequest, status: ClusterStatus) -> set[str]:
    """The IDs of members that a request is about."""
    name, urls = "", set[str]()
    if isinstance(request, RemoveRequest):
        name = request.member
    if isinstance(request, ReplaceRequest):
        name = request.old
    if isinstance(request, JoinRequest | ReplaceRequest):
        urls = set(request.peer_urls)
    named = find_member(status, name) if name else None
    return {m.id for m in status.members if m is named or set(m.peer_urls) == urls}


def orphans_beside(request: ChangeRequest, before: Beforehand) -> dict[str, AddedLearner]:
    """Learners that changes of ours left behind, by ID. This change removes them first, except its own."""
    return {i: x for i, x in learners_beside(request, before).items() if x in before.turns.orphans}


def learners_beside(request: ChangeRequest, before: Beforehand) -> dict[str, AddedLearner]:
    """Learners that other changes of ours added, by ID, also running changes: the turns take care of those."""
    others = {m.id for m in before.status.learners} - meant_by(request, before.status)
    return {x.member_id: x for x in before.turns.learners if x.member_id in others}
