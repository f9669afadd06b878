"""memberflow setup"""

from __future__ import annotations

from console.app import SET_UP, app, examples, run
from console.options import Json, Output


@app.command(rich_help_panel=SET_UP, epilog=examples("memberflow setup"))
def setup(output: Output = None, json: Json = False) -> None:
    """Register the search attributes EtcdCluster, EtcdMember and EtcdStage in Temporal's namespace."""
    run(_setup(), json=json, output=output)


async def _setup() -> int:
    from temporalio.service import RPCError, RPCStatusCode

    from client.command_errors import is_no_namespace
    from client.exit_codes import DONE, FAILED, CommandError
    from client.search_attributes import changes_view, register, registered
    from console.session import connected
    from console.terminal.output import busy, print_answer, say

    client, _ = await connected()
    try:
        async with busy("registering the search attributes"):
            added = await register(client)
            _, wrong = await registered(client)
    except RPCError as error:
        if is_no_namespace(error) or error.status is RPCStatusCode.UNAVAILABLE:
            raise
        hint = "this needs operator rights"
        raise CommandError(FAILED, f"could not register search attributes: {error}", hint) from error
    if not print_answer({"registered": added, "wrong_type": wrong, "namespace": client.namespace}):
        say(f"registered in {client.namespace}: {', '.join(added) or 'nothing, all were there'}")
        say(f"the list of changes alone, in Temporal's UI: {changes_view(client.namespace)}")
    if wrong:
        raise CommandError(
            FAILED,
            f"registered with another type than Keyword: {', '.join(wrong)}",
            "changes work without them. To see them in the UI's list, remove and register them anew",
        )
    return DONE
