"""memberflow watch"""

from __future__ import annotations

from datetime import timedelta

from console.app import LOOK, app, examples, run
from console.options import AnyVerb, ChangeOutput, Cluster, Json, Name, Timeout


@app.command(rich_help_panel=LOOK, epilog=examples("memberflow watch prod etcd-4 -o json", "memberflow watch prod"))
def watch(
    cluster: Cluster,
    name: Name = "",
    timeout: Timeout = None,
    verb: AnyVerb = None,
    output: ChangeOutput = None,
    json: Json = False,
) -> None:
    """Follow a running change to its end, or show how the latest change ended."""
    run(
        _watch(cluster, name, verb, timeout),
        json=json,
        output=output,
        attach=f"memberflow watch {cluster} {name}".rstrip(),
    )


async def _watch(cluster: str, name: str, verb: str | None, timeout: timedelta | None) -> int:
    from client.find import find_change
    from console.following import follow_on_terminal
    from console.session import connected
    from console.terminal.output import busy
    from console.terminal.print_outcome import print_end

    client, _ = await connected()
    async with busy(f"looking for the change of {name}"):
        handle = await find_change(client, cluster, name, verb)
    return print_end(await follow_on_terminal(client, handle, handle.id, timeout=timeout))
