"""Desired state: compares a cluster with the list of an apply, and follows the changes on the way there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.client import WorkflowExecutionStatus, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from activities.clusters_file import Clusters
from activities.early_ends import moves_on_at_shutdown, named_failures
from activities.heartbeat import beating_while
from activities.looks import Looks
from activities.taking_turns import until_closed
from activities.temporal import Temporal
from membership.allow import Allow, check_allowed
from membership.checks import Check, check_cluster
from membership.desired import Course, compare
from membership.endpoints import check_all_leave
from membership.errors import MemberflowError
from membership.model import Handover
from membership.record import check_identity
from membership.verdicts import unsettled
from messages.apply import ApplyRequest, Compare, Comparison
from messages.next_run import ASK_AGAIN
from messages.turns import Ticket

# Between two heartbeats of a wait.
_BEAT = timedelta(seconds=20)


class Desired:
    """Looks for an apply. It changes nothing: the changes do."""

    def __init__(self, clusters: Clusters, observe: Looks) -> None:
        self._clusters = clusters
        self._observe = observe

    @activity.defn(no_thread_cancel_exception=True)
    def compare_members(self, question: Compare) -> Comparison:
        """One look, and the changes that are left by the policy of this worker's clusters file."""
        request = question.request
        # The request is for the cluster that was judged.
        beforehand = self._observe.look_beforehand(replace(question.look, cluster=request.cluster))
        status = beforehand.status
        with named_failures(final=(MemberflowError,)):
            policy, allow = self._clusters.policy(request.cluster), self._clusters.allow(request.cluster)
        course = compare(status, request.members, policy, prune=request.prune)
        wait = unsettled(status) if course.steps else None
        checks = (
            *check_identity(status, beforehand.record),
            *check_cluster(status),
            *course.checks,
            *_not_allowed(request, course, allow),
            *check_all_leave(status, self._clusters.endpoints(request.cluster), {step.old for step in course.steps}),
        )
        return Comparison(
            course.steps,
            checks,
            status.cluster_id,
            tuple(sorted(member.name or member.id for member in status.voters)),
            status.voter_urls,
            wait.reason if wait else "",
        )


def _not_allowed(request: ApplyRequest, course: Course, allow: Allow) -> Iterable[Check]:
    """Refusals of changes that this caller may not ask for, so that no list is refused in its middle."""
    for step in course.steps:
        yield from (c for c in check_allowed(allow, request.change(step).asked) if c.verdict == "refuse")


class Following:
    """Waits for changes that others started, and for the handovers of changes."""

    def __init__(self, temporal: Temporal) -> None:
        self._client = temporal.client

    @activity.defn
    async def wait_until_closed(self, workflow_id: str) -> None:
        """Returns when no change of this workflow ID runs. A change that was deleted does not run."""
        async with moves_on_at_shutdown():
            try:
                while run_id := await self._running_run(workflow_id):
                    await until_closed(self._client.get_workflow_handle(workflow_id, run_id=run_id))
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise

    async def _running_run(self, workflow_id: str) -> str | None:
        """The run of the change that runs. None where it has ended."""
        run = await self._client.get_workflow_handle(workflow_id).describe()
        return run.run_id if run.status is WorkflowExecutionStatus.RUNNING else None

    @activity.defn
    async def wait_for_handover(self, change: Ticket) -> Handover:
        """
        The handover of this change, as soon as its learner is added.

        Raises an ApplicationError of type NotAdded when the change ended without one.
        """
        async with moves_on_at_shutdown():
            return await beating_while(self._handover(change), _BEAT)

    async def _handover(self, change: Ticket) -> Handover:
        handle = self._client.get_workflow_handle(change.workflow_id, first_execution_run_id=change.run_id)
        try:
            # A retry of this activity asks for the answer to the same update.
            asked: Any = {"id": f"{activity.info().workflow_run_id}-{activity.info().activity_id}"}
            handover: Handover = await handle.execute_update("wait_until_added", result_type=Handover, **asked)
        except WorkflowUpdateFailedError as failed:
            if isinstance(failed.cause, ApplicationError) and failed.cause.type == ASK_AGAIN:
                raise ApplicationError(failed.cause.message, type=ASK_AGAIN) from None  # Temporal tries again
            raise not_added(change, getattr(failed.cause, "message", str(failed))) from None
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            raise not_added(change, "the change has ended") from None
        return handover


def not_added(change: Ticket, why: str) -> ApplicationError:
    return ApplicationError(f"{change.workflow_id}: {why}", type="NotAdded", non_retryable=True)
