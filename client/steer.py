"""Steers a running change through its updates: hold, resume, cancel."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from temporalio.client import (
    Client,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.service import RPCError, RPCStatusCode

from client.change_request import Handle
from client.command_errors import is_not_allowed
from client.connect import workflow_pollers
from client.exit_codes import FAILED, OUT_OF_REACH, CommandError
from client.sight import Sight, see

# Seconds. An act under way ends first.
_PATIENCE = 45.0
# A worker answers a query at once. A worker that has just died costs twice this long, and no more.
_ANSWERS_WITHIN = timedelta(seconds=4)
_UNANSWERED = {
    RPCStatusCode.CANCELLED,
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.FAILED_PRECONDITION,
    RPCStatusCode.RESOURCE_EXHAUSTED,
}


@dataclass(frozen=True)
class RunningChange:
    """A running change that can be steered."""

    client: Client
    handle: Handle
    #: Why no update would be received: Temporal drops an update that no worker takes. Empty: a worker answers.
    deaf: str


async def find_running(client: Client, handle: Handle, watch: str) -> RunningChange:
    """
    The change, if it runs.

    Raises CommandError with FAILED when it has ended. `watch`: the command that shows the end.
    """
    seen = await see(client, handle)
    if not seen.is_running:
        raise CommandError(FAILED, f"{handle.id} is not running any more", f"`{watch}` shows how it ended")
    return RunningChange(client, handle, await _why_deaf(client, seen))


async def send(handle: Handle, update: str, by: str) -> None:
    """
    Sends an update and waits for its answer. `by`: the name of the caller.

    Raises CommandError when it is refused or not answered.
    """
    try:
        await asyncio.wait_for(handle.execute_update(update, by), _PATIENCE)
    except WorkflowUpdateFailedError as refused:
        raise CommandError(FAILED, f"{handle.id}: {getattr(refused.cause, 'message', refused)}") from None
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
        # The SDK turns every cancellation into the second error, also that of Ctrl-C.
        if (task := asyncio.current_task()) and task.cancelling():
            raise asyncio.CancelledError from None
        hint = "its worker may have died. `memberflow watch` shows whether the change has done it. If not, ask again"
        raise CommandError(OUT_OF_REACH, f"{handle.id} did not answer in {_PATIENCE:.0f} s", hint) from None


async def _why_deaf(client: Client, seen: Sight) -> str:
    if seen.view:
        return ""
    queue = seen.description.task_queue
    try:
        if not await workflow_pollers(client, queue):
            return f"no worker polls the task queue {queue!r}"
    except RPCError as error:
        if not is_not_allowed(error):
            raise
    for _ in range(2):
        try:
            await seen.handle.query("progress", rpc_timeout=_ANSWERS_WITHIN)
            return ""
        except WorkflowQueryFailedError:
            return ""
        except RPCError as error:
            if error.status not in _UNANSWERED:
                raise
    return f"no worker of the task queue {queue!r} answers"
