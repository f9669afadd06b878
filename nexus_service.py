"""The Nexus service `memberflow`: changes as operations, for workflows in other namespaces."""

from __future__ import annotations

import nexusrpc
from nexusrpc.handler import StartOperationContext, service_handler, sync_operation
from temporalio import nexus
from temporalio.client import Client
from temporalio.common import Priority, WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode

from client.change_request import differences, request_of
from client.sight import see
from membership.model import Handover
from messages.ids import WORKFLOW_TYPES, change_id
from messages.outcomes import Outcome
from messages.queues import fairness_key
from messages.requests import (
    ChangeRequest,
    HandoverRequest,
    JoinRequest,
    RemoveRequest,
    ReplaceRequest,
)
from messages.texts import static_details

# The requester of a change whose request names none.
CALLER = "a Nexus caller"


@nexusrpc.service(name="memberflow")
class MemberflowService:
    """Each change is an operation. It ends with the change's outcome, and its cancellation cancels the change."""

    join: nexusrpc.Operation[JoinRequest, Outcome]
    remove: nexusrpc.Operation[RemoveRequest, Outcome]
    replace: nexusrpc.Operation[ReplaceRequest, Outcome]
    #: Answers at once, and with nothing before the learner is added.
    handover: nexusrpc.Operation[HandoverRequest, Handover | None]


@service_handler(service=MemberflowService)
class MemberflowHandler:
    """Starts the workflows on the workers' own queue."""

    def __init__(self, task_queue: str) -> None:
        self._task_queue = task_queue

    @nexus.workflow_run_operation
    async def join(self, ctx: nexus.WorkflowRunOperationContext, request: JoinRequest) -> nexus.WorkflowHandle[Outcome]:
        return await self._start(ctx, request)

    @nexus.workflow_run_operation
    async def remove(
        self, ctx: nexus.WorkflowRunOperationContext, request: RemoveRequest
    ) -> nexus.WorkflowHandle[Outcome]:
        return await self._start(ctx, request)

    @nexus.workflow_run_operation
    async def replace(
        self, ctx: nexus.WorkflowRunOperationContext, request: ReplaceRequest
    ) -> nexus.WorkflowHandle[Outcome]:
        return await self._start(ctx, request)

    @sync_operation
    async def handover(self, ctx: StartOperationContext, request: HandoverRequest) -> Handover | None:
        client = nexus.client()
        change = client.get_workflow_handle(change_id(request.cluster, request.verb, request.name))
        try:
            return (await see(client, change)).handover
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise

    async def _start(
        self, ctx: nexus.WorkflowRunOperationContext, request: ChangeRequest
    ) -> nexus.WorkflowHandle[Outcome]:
        """Starts the change, or attaches to the same change if it is already running."""
        if not request.requested_by:
            request = request.model_copy(update={"requested_by": CALLER})
        handle = await ctx.start_workflow(
            WORKFLOW_TYPES[request.verb],
            request,
            result_type=Outcome,
            id=change_id(request.cluster, request.verb, request.subject),
            task_queue=self._task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            memo={"request": request.model_dump(mode="json")},
            static_summary=request.summary,
            static_details=static_details(request),
            priority=Priority(fairness_key=fairness_key(request.cluster)),
        )
        await _check_is_ours(nexus.client(), handle.workflow_id, request)
        return handle


async def _check_is_ours(client: Client, workflow_id: str, request: ChangeRequest) -> None:
    """Raises HandlerError when the running change has another request. Temporal itself does not compare requests."""
    running = await request_of(client, client.get_workflow_handle(workflow_id))
    if different := differences(request, running):
        raise nexusrpc.HandlerError(
            f"{workflow_id} is already running with a different request: {'; '.join(different)}",
            type=nexusrpc.HandlerErrorType.CONFLICT,
            retryable_override=False,
        )
