"""The questions of activities to Temporal itself, from threads as well as from the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from temporalio.client import AsyncActivityCancelledError, Client, WorkflowHandle, WorkflowQueryRejectedError
from temporalio.common import QueryRejectCondition
from temporalio.service import RPCError, RPCStatusCode

from messages.ids import turns_id
from messages.turns import Ticket, TurnsState

T = TypeVar("T")

# Seconds for a question whose answer is wanted at once, and for a question that may stand behind many others.
ASK_DEADLINE = 3.0
PATIENT_DEADLINE = 10.0


class Temporal:
    """A client and the event loop that it belongs to. It must be created on that loop."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._loop = asyncio.get_running_loop()

    def call(self, question: Coroutine[Any, Any, T], within: float = ASK_DEADLINE) -> T:
        """
        The answer to `question`, for a caller in a thread.

        Raises TimeoutError after so many seconds, and then takes the question back: a busy Temporal has enough of them.
        """
        future = asyncio.run_coroutine_threadsafe(question, self._loop)
        try:
            return future.result(within)
        except TimeoutError:
            future.cancel()
            raise

    def turns(self, cluster: str) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(turns_id(cluster))

    async def turns_state(self, cluster: str) -> TurnsState | None:
        """The cluster's turns at this moment, None when its ClusterTurns does not run."""
        try:
            state: TurnsState = await self.turns(cluster).query(
                "turns", result_type=TurnsState, reject_condition=QueryRejectCondition.NOT_OPEN
            )
        except WorkflowQueryRejectedError:
            return None
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise
        return state

    async def why_not_send(self, cluster: str, ticket: Ticket, task_token: bytes, sent_to: str) -> tuple[str, bool]:
        """
        Asked right before an act sends: why it must not, and whether the reason is that the change lost its turn.

        An act that timed out while its worker was frozen learns here that Temporal gave it up. An act whose change was
        cancelled learns that it is not wanted any more. The question is a heartbeat: it also names to Temporal the
        member that is about to be sent the call.
        """
        details = ("about to send", sent_to)
        beat, turns = await asyncio.gather(
            self.why_unwanted(task_token, "the act", *details), self.turns_state(cluster)
        )
        if beat:
            return beat, False
        if turns is None or turns.holder != ticket:
            return "this change does not have the turn", True
        return "", False

    async def why_unwanted(self, task_token: bytes, what: str, *details: object) -> str:
        """
        Why the activity of this token is not wanted any more, though its worker may not know yet. Empty if wanted.

        The question is a heartbeat, which carries `details`.
        """
        try:
            await self.client.get_async_activity_handle(task_token=task_token).heartbeat(*details)
        except AsyncActivityCancelledError:
            return f"{what} was cancelled"
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return f"{what} took too long, so Temporal gave it up"
            raise
        return ""
