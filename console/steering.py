"""hold, resume, cancel: steers the one open change of a name, by its updates."""

from __future__ import annotations

import asyncio

from temporalio.client import Client, WorkflowUpdateFailedError

from console.changes import Ended, Handle
from console.display import Display
from console.follow import follow, see
from console.output import DONE, FAILED, OUT_OF_REACH, Leave, print_json, say
from console.running import find_change, tell

# An act under way comes to its end first.
_PATIENCE = 45.0


async def steer(update: str, cluster: str, name: str, verb: str | None, *, json: bool) -> int:
    """Has the change held, or go on."""
    _, handle = await _open_change(cluster, name, verb)
    await _send(handle, update)
    if json:
        print_json({"workflow_id": handle.id, "done": update})
    else:
        say(f"{handle.id}: {'held' if update == 'hold' else 'goes on'}")
    return DONE


async def cancel(cluster: str, name: str, verb: str | None, *, json: bool) -> int:
    """Waits until the change has rolled back; DONE only when that was not too late."""
    client, handle = await _open_change(cluster, name, verb)
    await _send(handle, "cancel")
    with Display(f"cancelling {handle.id}") as display:
        end = await follow(client, handle, display)
    assert isinstance(end, Ended)
    return tell(end.outcome, json=json, code=DONE if end.outcome.outcome == "cancelled" else FAILED)


async def _open_change(cluster: str, name: str, verb: str | None) -> tuple[Client, Handle]:
    client, handle = await find_change(cluster, name, verb)
    if not (await see(client, handle)).is_running:
        hint = f"`memberflow watch {cluster} {name}` tells how it ended"
        raise Leave(FAILED, f"{handle.id} is not running any more", hint)
    return client, handle


async def _send(handle: Handle, update: str) -> None:
    try:
        await asyncio.wait_for(handle.execute_update(update), _PATIENCE)
    except WorkflowUpdateFailedError as refused:
        raise Leave(FAILED, f"{handle.id}: {getattr(refused.cause, 'message', refused)}") from None
    except TimeoutError:
        hint = "is a worker running? The request stays with Temporal and is carried out when one is back"
        raise Leave(OUT_OF_REACH, f"{handle.id} did not answer in {_PATIENCE:.0f} s", hint) from None
