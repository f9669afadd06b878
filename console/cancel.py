"""memberflow cancel"""

from __future__ import annotations

from console.app import STEER, app, examples, run
from console.options import AnyVerb, ChangeOutput, Cluster, Json, Name, RequestedBy


@app.command(rich_help_panel=STEER, epilog=examples("memberflow cancel prod etcd-4", "memberflow cancel prod"))
def cancel(
    cluster: Cluster,
    name: Name = "",
    verb: AnyVerb = None,
    requested_by: RequestedBy = "",
    output: ChangeOutput = None,
    json: Json = False,
) -> None:
    """Cancel a change and wait until it has rolled back. Exit code 1 when it is too late."""
    run(
        _cancel(cluster, name, verb, requested_by),
        json=json,
        output=output,
        attach=f"memberflow watch {cluster} {name}".rstrip(),
    )


async def _cancel(cluster: str, name: str, verb: str | None, by: str) -> int:
    from client.connect import caller
    from client.exit_codes import DONE, FAILED, OUT_OF_REACH, CommandError
    from client.steer import send
    from console.following import follow_on_terminal
    from console.terminal.output import busy
    from console.terminal.print_outcome import print_outcome
    from console.updates import find_running

    change = await find_running(cluster, name, verb)
    handle = change.handle
    if change.deaf:
        await handle.cancel(reason=f"cancelled by {by or caller()}")
        message = f"{change.deaf}, so Temporal keeps the cancel of {handle.id} for the next worker"
        hint = f"start one with `memberflow worker`. `memberflow watch {cluster} {name}` then shows how the change ends"
        raise CommandError(OUT_OF_REACH, message, hint)
    async with busy("cancel: waiting for the next safe point"):
        await send(handle, "cancel", by or caller())
    seen = await follow_on_terminal(change.client, handle, f"cancelling {handle.id}")
    assert seen
    assert seen.end
    outcome = seen.end.outcome
    return print_outcome(outcome, DONE if outcome.outcome == "cancelled" else FAILED)
