"""The limit of a Nexus caller's cancel: it ends changes, and no other workflow of the namespace."""

from __future__ import annotations

import nexusrpc
from temporalio import nexus
from temporalio.worker import ExecuteNexusOperationCancelInput, Interceptor, NexusOperationInboundInterceptor

from messages.ids import change_in


class OwnOperations(Interceptor):
    """
    Refuses to cancel anything but a change of the operation's own kind.

    A cancel names its workflow by a token. A caller who uses Temporal's HTTP interface writes that token.
    """

    def intercept_nexus_operation(self, next: NexusOperationInboundInterceptor) -> NexusOperationInboundInterceptor:
        return _OwnOperations(next)


class _OwnOperations(NexusOperationInboundInterceptor):
    async def execute_nexus_operation_cancel(self, input: ExecuteNexusOperationCancelInput) -> None:
        if not is_of(input.ctx.operation, input.token):
            raise nexusrpc.HandlerError(
                f"the token of this cancel does not belong to {input.ctx.operation}",
                type=nexusrpc.HandlerErrorType.NOT_FOUND,
            )
        await self.next.execute_nexus_operation_cancel(input)


def is_of(operation: str, token: str) -> bool:
    """Whether the token names a change of this kind."""
    try:
        workflow_id = nexus.WorkflowHandle[object].from_token(token).workflow_id
    except (TypeError, ValueError):
        return False
    return change_in(workflow_id)[1] == operation
