"""PlanChange: the preflight alone."""

from __future__ import annotations

from dataclasses import replace

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError, ApplicationError

from workflows.change import stop_of
from workflows.ends import NOTHING, parse
from workflows.timeouts import ASK, GLANCE

with workflow.unsafe.imports_passed_through():
    from activities.observe import Observe
    from activities.turns import Turns
    from membership.acts import Look
    from membership.inspection import Plan
    from membership.model import ClusterStatus
    from membership.preflight import Check, check_join, check_remove, check_replace, meant_by
    from membership.requests import ChangeRequest, JoinRequest, PlanRequest, RemoveRequest, ReplaceRequest
    from membership.turns import AddedLearner, TurnsState
    from membership.verdicts import Facts


@workflow.defn
class PlanChange:
    """What a change would be up against at this moment; it changes nothing."""

    @workflow.run
    async def run(self, question: RawValue = NOTHING) -> Plan:
        plan = parse(PlanRequest, question)
        request = plan.change
        try:
            profile = await ASK.start(Observe.read_profile, request.cluster, f"read the profile of {request.cluster}")
            turns = await ASK.start(Turns.read_turns, request.cluster, f"who changes {request.cluster}")
            look = Look(request.cluster, uptimes=True)
            status = await GLANCE.start(Observe.check_status, look, f"look at {request.cluster}", profile.task_queue)
        except ActivityError as error:
            stop = stop_of(error, "failed")
            raise ApplicationError(stop.reason, stop.hint, type=stop.error, non_retryable=True) from error
        facts = Facts(request.cluster, status.cluster_id, profile.policy, request.subject)
        orphans = _to_be_cleared(turns, status, request)
        for orphan in orphans:
            status = status.without(orphan.member_id)
        checks = (*_checks(status, facts, request), _turn(turns), *_tell(orphans))
        return Plan(request.cluster, plan.verb, request.subject, checks)


def _checks(status: ClusterStatus, facts: Facts, request: ChangeRequest) -> tuple[Check, ...]:
    match request:
        case JoinRequest():
            return check_join(status, replace(facts, peer_urls=request.peer_urls))
        case RemoveRequest():
            return check_remove(status, facts, request.member, force=request.force)
        case ReplaceRequest():
            return check_replace(status, replace(facts, peer_urls=request.peer_urls), request.old, request)
    raise AssertionError(request)


def _to_be_cleared(turns: TurnsState, status: ClusterStatus, request: ChangeRequest) -> list[AddedLearner]:
    """Learners that changes of ours left behind; whatever comes next removes them first."""
    learners = {m.id for m in status.learners} - meant_by(request, status)
    return [x for x in turns.orphans if x.member_id in learners]


def _tell(orphans: list[AddedLearner]) -> list[Check]:
    return [
        Check("orphan", "warn", f"learner {x.member_id}, left behind by {x.ticket.workflow_id}, would be removed first")
        for x in orphans
    ]


def _turn(turns: TurnsState) -> Check:
    ahead = [t.workflow_id for t in (turns.holder, *turns.waiting) if t]
    if ahead:
        return Check("turn", "wait", f"behind {', '.join(ahead)}")
    return Check("turn", "ok", "nobody changes the cluster")
