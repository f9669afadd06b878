"""The parts that hold, resume and cancel share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from client.steer import RunningChange


async def find_running(cluster: str, name: str, verb: str | None) -> RunningChange:
    """The running change of this name, and whether a worker answers for it."""
    from client import steer
    from client.find import find_change
    from console.session import connected
    from console.terminal.output import busy

    client, _ = await connected()
    async with busy("looking for the change, and for a worker that answers"):
        handle = await find_change(client, cluster, name, verb)
        return await steer.find_running(client, handle, f"memberflow watch {cluster} {name}".rstrip())


async def steer_change(update: str, cluster: str, name: str, verb: str | None, by: str) -> int:
    """Sends `hold` or `resume` to the change, and prints the result."""
    from client.connect import caller
    from client.exit_codes import DONE, OUT_OF_REACH, CommandError
    from client.steer import send
    from console.terminal.output import busy, print_answer, say

    change = await find_running(cluster, name, verb)
    workflow_id = change.handle.id
    if change.deaf:
        again = f"memberflow {update} {cluster} {name}".rstrip()
        hint = f"start one with `memberflow worker`, then `{again}` again"
        raise CommandError(OUT_OF_REACH, f"{change.deaf}, so {workflow_id} has not received the {update}", hint)
    async with busy(f"{update}: waiting for the next safe point"):
        await send(change.handle, update, by or caller())
    if not print_answer({"workflow_id": workflow_id, "done": update}, names=[workflow_id]):
        held = "held" if name else "held, after its running change"
        say(f"{workflow_id}: {held if update == 'hold' else 'goes on'}")
    return DONE
