"""PlanApply: the changes of an apply, without making them."""

from __future__ import annotations

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError

from workflows.activity_errors import why_unanswered
from workflows.arguments import NOTHING, parse
from workflows.timeouts import ASK, GLANCE, start

with workflow.unsafe.imports_passed_through():
    from activities.clusters_file import ClusterProfile
    from activities.desired import Desired
    from activities.looks import Looks
    from membership.checks import Check
    from membership.desired import Step
    from membership.etcd import Scope
    from messages.apply import ApplyPlan, ApplyRequest, Compare
    from messages.ids import apply_id
    from messages.orders import LookOrder


@workflow.defn
class PlanApply:
    """The changes that an apply would make, as things are at this moment. It changes nothing."""

    @workflow.run
    async def run(self, question: RawValue = NOTHING) -> ApplyPlan:
        request = parse(ApplyRequest, question)
        name = request.cluster
        try:
            profile: ClusterProfile = await start(Looks.read_profile, name, ASK, f"read the profile of {name}")
            compare = Compare(LookOrder(name, scope=Scope(uptimes=True), change=apply_id(name)), request)
            comparison = await start(Desired.compare_members, compare, GLANCE, f"look at {name}", profile.task_queue)
        except ActivityError as error:
            raise why_unanswered(error) from error
        steps: tuple[Step, ...] = comparison.steps
        wait = [Check("now", "wait", comparison.waits_for)] if comparison.waits_for else []
        return ApplyPlan(name, steps, (*comparison.checks, *wait))
