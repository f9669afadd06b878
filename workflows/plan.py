"""PlanChange: the preflight alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError

from workflows.activity_errors import why_unanswered
from workflows.arguments import NOTHING, parse
from workflows.timeouts import ASK, GLANCE, start

with workflow.unsafe.imports_passed_through():
    from activities.clusters_file import ClusterProfile
    from activities.earlier_changes import EarlierChanges, EarlierRuns
    from activities.looks import Looks
    from membership.allow import check_allowed, check_line
    from membership.checks import Check
    from membership.endpoints import check_endpoints
    from membership.etcd import Scope
    from membership.model import ClusterStatus
    from membership.preflight import check_join, check_remove, find_member
    from membership.preflight_replace import between_halves, check_replace
    from membership.record import Record, check_identity
    from membership.verdicts import Facts
    from messages.answers import Plan
    from messages.ids import change_id
    from messages.learners import learners_beside, orphans_beside, still_to_come
    from messages.orders import Beforehand, LookOrder
    from messages.requests import (
        ChangeRequest,
        JoinRequest,
        PlanRequest,
        RemoveRequest,
        ReplaceRequest,
    )
    from messages.turns import AddedLearner, TurnsState
    from messages.views import tell_late


@workflow.defn
class PlanChange:
    """The preflight of a change at this moment. It changes nothing."""

    @workflow.run
    async def run(self, question: RawValue = NOTHING) -> Plan:
        plan = parse(PlanRequest, question)
        request = plan.change
        try:
            name = request.cluster
            profile: ClusterProfile = await start(Looks.read_profile, name, ASK, f"read the profile of {name}")
            change = change_id(request.cluster, request.verb, request.subject)
            look = LookOrder(request.cluster, scope=Scope(uptimes=True), change=change, leaving=request.leaving)
            what = f"look at {request.cluster}"
            before = await start(Looks.look_beforehand, look, GLANCE, what, profile.task_queue)
            facts = Facts(request.cluster, before.status.cluster_id, profile.policy, request.subject)
            facts = replace(facts, began_with=await _began_with(before.status, request))
        except ActivityError as error:
            raise why_unanswered(error) from error
        orphans = orphans_beside(request, before)
        leaving = find_member(before.status, request.leaving) if request.leaving else None
        checks = (
            *check_allowed(profile.allow, request.asked),
            *_access(before, request),
            *check_identity(before.status, before.record),
            *_checks(before.status.without(*learners_beside(request, before)), facts, request, before.record),
            *check_endpoints(before.status, profile.endpoints, leaving),
            _turn(before.turns),
            *check_line(profile.allow, len(before.turns.waiting)),
            *_tell(orphans.values()),
            *_tell_late(before),
        )
        return Plan(request.cluster, plan.verb, request.subject, checks)


def _access(before: Beforehand, request: ChangeRequest) -> tuple[Check, ...]:
    """A refusal where the worker's credentials do not suffice, and the change has something to do."""
    urls = request.asked.peer_urls
    joined = not urls or any(not m.is_learner for m in before.status.with_peer_urls(urls))
    gone = not request.leaving or find_member(before.status, request.leaving) is None
    return () if before.access is None or (joined and gone) else (before.access,)


async def _began_with(status: ClusterStatus, request: ChangeRequest) -> tuple[int, int] | None:
    """Voters and spare that the latest run of the same replace began with, where it failed between its halves."""
    old = between_halves(status, request.old, request) if isinstance(request, ReplaceRequest) else None
    if old is None:
        return None
    earlier = EarlierRuns(change_id(request.cluster, request.verb, request.subject), old.id)
    return await start(EarlierChanges.began_with, earlier, ASK, "what did the replace begin with?")


def _checks(status: ClusterStatus, facts: Facts, request: ChangeRequest, record: Record) -> tuple[Check, ...]:
    match request:
        case JoinRequest():
            return check_join(status, replace(facts, peer_urls=request.peer_urls))
        case RemoveRequest():
            return check_remove(status, facts, request.member, force=request.force, record=record)
        case ReplaceRequest():
            return check_replace(status, replace(facts, peer_urls=request.peer_urls), request.old, request, record)
    raise AssertionError(request)


def _tell(orphans: Iterable[AddedLearner]) -> list[Check]:
    return [
        Check(
            "orphan",
            "warn",
            f"learner {x.member_id}, left behind by {x.ticket.workflow_id}, would be removed first",
            "to keep it, run the change that added it again before this one",
        )
        for x in orphans
    ]


def _tell_late(before: Beforehand) -> list[Check]:
    hint = "thaw, restart or remove the member that was sent it. Until then, a removal is judged with and without it"
    late = still_to_come(before.turns, before.status)
    return [Check("late call", "warn", f"{tell_late(call)}: its effect may still come", hint) for call in late]


def _turn(turns: TurnsState) -> Check:
    ahead = [t.workflow_id for t in (turns.holder, *turns.waiting) if t]
    if ahead:
        return Check("turn", "wait", f"behind {', '.join(ahead)}", "`memberflow status` shows what they wait for")
    return Check("turn", "ok", "no other change of the cluster runs")
