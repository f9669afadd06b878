"""memberflow env"""

from __future__ import annotations

from console.app import LOOK, app, examples, run
from console.options import Cluster, JoinOrReplace, Json, Newcomer, Output


@app.command(rich_help_panel=LOOK, epilog=examples("memberflow env prod etcd-4 > /etc/etcd/join.env"))
def env(
    cluster: Cluster, name: Newcomer, verb: JoinOrReplace = None, output: Output = None, json: Json = False
) -> None:
    """
    Print the ETCD_* values with which a new member must be started.

    Exit code 1 when there are none, or when the join was rolled back: a boot script never starts with dead values.
    """
    run(_env(cluster, name, verb), json=json, output=output)


async def _env(cluster: str, name: str, verb: str | None) -> int:
    from temporalio.client import WorkflowExecutionStatus

    from client.exit_codes import DONE, FAILED, CommandError
    from client.find import find_change
    from client.past_changes import before_refusals
    from client.sight import see
    from console.handover import as_text
    from console.session import connected
    from console.terminal.output import busy, print_answer

    client, _ = await connected()
    async with busy(f"looking for the change of {name}"):
        handle = await find_change(client, cluster, name, verb, verbs=("join", "replace"))
        seen = await before_refusals(client, await see(client, handle))
    if seen.dead:
        hint = "run the join or replace again for a new handover"
        raise CommandError(FAILED, f"{handle.id} {seen.dead}: its handover must not be used", hint)
    if seen.handover is None and seen.description.status is WorkflowExecutionStatus.COMPLETED:
        message = f"{handle.id} found a voter that it could not verify, and has no handover for it"
        hint = "start the member with its own data directory and run the join again. If its data is lost, replace it"
        raise CommandError(FAILED, message, hint)
    if seen.handover is None:
        message = f"{handle.id} has no handover: its learner is not added yet, or is being removed again"
        hint = f"`memberflow watch {cluster} {name}` shows which, and `--until added` waits for it"
        raise CommandError(FAILED, message, hint)
    if not print_answer(seen.handover.env()):
        print(as_text(seen.handover), end="")
    return DONE
