"""hold, resume, cancel: steers the one open change of a name, by its updates."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio.client import (
    Client,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.service import RPCError, RPCStatusCode

from console.changes import Ended, Handle
from console.display import Display
from console.finding import find_change
from console.follow import Sight, follow, see
from console.outcomes import tell
from console.output import DONE, FAILED, OUT_OF_REACH, Leave, print_json, say
from console.temporal import workflow_pollers

# An act under way comes to its end first.
_PATIENCE = 45.0
# A worker answers a query at once; twice this long is not waited for one that has just died.
_ANSWERS_WITHIN = timedelta(seconds=4)
_UNANSWERED = {
    RPCStatusCode.CANCELLED,
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.FAILED_PRECONDITION,
    RPCStatusCode.RESOURCE_EXHAUSTED,
}


async def steer(update: str, cluster: str, name: str, verb: str | None, *, json: bool) -> int:
    """Has the change held, or go on."""
    client, handle, seen = await _open_change(cluster, name, verb)
    if why := await _why_deaf(client, handle, seen):
        hint = f"start one with `memberflow worker`, then `memberflow {update} {cluster} {name}` again"
        raise Leave(OUT_OF_REACH, f"{why}; {handle.id} has not been told to {update}", hint)
    await _send(handle, update)
    if json:
        print_json({"workflow_id": handle.id, "done": update})
    else:
        say(f"{handle.id}: {'held' if update == 'hold' else 'goes on'}")
    return DONE


async def cancel(cluster: str, name: str, verb: str | None, *, json: bool) -> int:
    """
    Waits until the change has rolled back; DONE only when that was not too late.

    Without a worker Temporal keeps the cancel for the next one; raises Leave with OUT_OF_REACH then.
    """
    client, handle, seen = await _open_change(cluster, name, verb)
    if why := await _why_deaf(client, handle, seen):
        await handle.cancel(reason="cancelled by `memberflow cancel`")
        told = f"{why}; the cancel of {handle.id} is with Temporal, and is carried out as soon as one is back"
        hint = f"start one with `memberflow worker`; `memberflow watch {cluster} {name}` tells how it ends"
        raise Leave(OUT_OF_REACH, told, hint)
    await _send(handle, "cancel")
    with Display(f"cancelling {handle.id}") as display:
        end = await follow(client, handle, display)
    assert isinstance(end, Ended)
    return tell(end.outcome, json=json, code=DONE if end.outcome.outcome == "cancelled" else FAILED)


async def _open_change(cluster: str, name: str, verb: str | None) -> tuple[Client, Handle, Sight]:
    client, handle = await find_change(cluster, name, verb)
    seen = await see(client, handle)
    if not seen.is_running:
        hint = f"`memberflow watch {cluster} {name}` tells how it ended"
        raise Leave(FAILED, f"{handle.id} is not running any more", hint)
    return client, handle, seen


async def _why_deaf(client: Client, handle: Handle, seen: Sight) -> str:
    """Why nobody would hear an update: Temporal drops one that no worker takes. Empty when a worker answers."""
    if seen.view:
        return ""
    queue = seen.description.task_queue
    if not await workflow_pollers(client, queue):
        return f"no worker polls the task queue {queue!r}"
    for _ in range(2):
        try:
            await handle.query("progress", rpc_timeout=_ANSWERS_WITHIN)
            return ""
        except WorkflowQueryFailedError:
            return ""
        except RPCError as error:
            if error.status not in _UNANSWERED:
                raise
    return f"no worker of the task queue {queue!r} answers"


async def _send(handle: Handle, update: str) -> None:
    try:
        await asyncio.wait_for(handle.execute_update(update), _PATIENCE)
    except WorkflowUpdateFailedError as refused:
        raise Leave(FAILED, f"{handle.id}: {getattr(refused.cause, 'message', refused)}") from None
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
        # The SDK makes the latter of every cancellation, that of Ctrl-C too.
        if (task := asyncio.current_task()) and task.cancelling():
            raise asyncio.CancelledError from None
        hint = "has its worker died? Nobody knows whether it took this: look with `memberflow watch`, and ask again"
        raise Leave(OUT_OF_REACH, f"{handle.id} did not answer in {_PATIENCE:.0f} s", hint) from None
