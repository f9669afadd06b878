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
    from membership.preflight import Check, check_join, check_remove, check_replace
    from membership.requests import JoinRequest, PlanRequest, RemoveRequest, ReplaceRequest
    from membership.turns import TurnsState
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
        checks = (*_checks(status, facts, request), *_turns(turns, status))
        return Plan(request.cluster, plan.verb, request.subject, checks)


def _checks(status: ClusterStatus, facts: Facts, request: object) -> tuple[Check, ...]:
    match request:
        case JoinRequest():
            return check_join(status, replace(facts, peer_urls=request.peer_urls))
        case RemoveRequest():
            return check_remove(status, facts, request.member, force=request.force)
        case ReplaceRequest():
            return check_replace(status, replace(facts, peer_urls=request.peer_urls), request.old, request)
    raise AssertionError(request)


def _turns(turns: TurnsState, status: ClusterStatus) -> list[Check]:
    checks = []
    ahead = [t.workflow_id for t in (turns.holder, *turns.waiting) if t]
    if ahead:
        checks.append(Check("turn", "wait", f"behind {', '.join(ahead)}"))
    else:
        checks.append(Check("turn", "ok", "nobody changes the cluster"))
    checks += [
        Check("orphan", "warn", f"learner {x.member_id}, left behind by {x.ticket.workflow_id}, would be removed first")
        for x in turns.orphans
        if status.member(x.member_id)
    ]
    return checks
