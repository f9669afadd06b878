"""Gives a change that waits in line the right to preempt."""

from __future__ import annotations

from contextlib import suppress

from temporalio.client import Client, WorkflowFailureError

from client.change_request import Handle
from client.sight import see
from client.steer import send
from messages.requests import ChangeRequest, RemoveRequest, ReplaceRequest

# In these stages the change has not touched the cluster yet.
_NOTHING_DONE = ("preflight", "turn")


async def stop_to_preempt(client: Client, running: Handle, request: ChangeRequest, different: list[str]) -> bool:
    """
    Cancels the running change if the request differs only in `--preempt`, and nothing has been done yet.

    True when it was cancelled. The caller then starts the change again, with the right to preempt. Raises CommandError
    when the cancel is too late.
    """
    preempts = isinstance(request, RemoveRequest | ReplaceRequest) and request.preempt
    if not preempts or len(different) != 1 or not different[0].startswith("preempt:"):
        return False
    seen = await see(client, running)
    if not seen.is_running or seen.view is None or seen.view.stage not in _NOTHING_DONE or seen.view.attempts:
        return False
    await send(running, "cancel", f"{request.requested_by}, to start it again with --preempt")
    with suppress(WorkflowFailureError):
        await running.result()
    return True
