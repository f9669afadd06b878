"""Learners that changes of this service added."""

from __future__ import annotations

from dataclasses import replace

from membership.model import ClusterStatus
from membership.preflight import find_member
from membership.sent_calls import has_effect, may_be_of
from messages.orders import Beforehand
from messages.requests import ChangeRequest, JoinRequest, RemoveRequest, ReplaceRequest
from messages.turns import AddedLearner, LateCall, TurnsState


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


def with_late_learners(turns: TurnsState, status: ClusterStatus) -> TurnsState:
    """The turns, which know a learner that a late add brought as added by the change that sent the add."""
    learners = {x.member_id: x for x in turns.learners}
    for late in turns.late:
        for learner in status.learners:
            if may_be_of(late.call, learner):
                learners.setdefault(learner.id, AddedLearner(learner.id, late.ticket))
    return replace(turns, learners=tuple(learners.values()))


def still_to_come(turns: TurnsState, status: ClusterStatus) -> tuple[LateCall, ...]:
    """The late calls whose effect this look doesn't show."""
    return tuple(late for late in turns.late if not has_effect(late.call, status))


def orphans_beside(request: ChangeRequest, before: Beforehand) -> dict[str, AddedLearner]:
    """Learners that changes of ours left behind, by ID. This change removes them first, except its own."""
    orphans = with_late_learners(before.turns, before.status).orphans
    return {i: x for i, x in learners_beside(request, before).items() if x in orphans}


def learners_beside(request: ChangeRequest, before: Beforehand) -> dict[str, AddedLearner]:
    """Learners that other changes of ours added, by ID, also running changes: the turns take care of those."""
    others = {m.id for m in before.status.learners} - meant_by(request, before.status)
    known = with_late_learners(before.turns, before.status).learners
    return {x.member_id: x for x in known if x.member_id in others}
