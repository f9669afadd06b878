"""memberflow events"""

from __future__ import annotations

from console.app import LOOK, app, examples, run
from console.options import AnyVerb, Cluster, Json, Name, Output


@app.command(
    rich_help_panel=LOOK,
    epilog=examples("memberflow events prod etcd-4", "memberflow events prod etcd-3 --verb remove"),
)
def events(cluster: Cluster, name: Name, verb: AnyVerb = None, output: Output = None, json: Json = False) -> None:
    """Show the events of a change, in order: its looks, acts and waits, requests of people, and its end."""
    run(_events(cluster, name, verb), json=json, output=output)


async def _events(cluster: str, name: str, verb: str | None) -> int:
    from dataclasses import asdict

    from client.events import read_events
    from client.exit_codes import DONE
    from client.find import find_change
    from console.session import connected
    from console.terminal.output import busy, print_answer, print_line
    from console.terminal.tables import make_table, print_parts

    client, _ = await connected()
    async with busy(f"reading the history of {name}'s change"):
        handle = await find_change(client, cluster, name, verb)
        found = await read_events(client, handle)
    if print_answer({"workflow_id": handle.id, "events": [asdict(event) for event in found]}):
        return DONE
    print_line(f"{handle.id}, begun {found[0].at}")
    rows = [[f"{event.seconds:.1f}", event.text, event.result] for event in found]
    print_parts([make_table(["SECONDS", "EVENT", "RESULT"], rows)])
    return DONE
