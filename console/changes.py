"""memberflow changes"""

from __future__ import annotations

from typing import Annotated

import typer

from console.app import LOOK, app, examples, run
from console.options import Cluster, Json, ListOutput


@app.command(
    rich_help_panel=LOOK, epilog=examples("memberflow changes prod", "memberflow changes prod --limit 5 -o wide")
)
def changes(
    cluster: Cluster,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many, the latest first.")] = 20,
    output: ListOutput = None,
    json: Json = False,
) -> None:
    """List the running and past changes of a cluster: outcome, duration, who asked, and why it failed."""
    run(_changes(cluster, limit), json=json, output=output)


async def _changes(cluster: str, limit: int) -> int:
    from dataclasses import asdict

    from client.exit_codes import DONE
    from client.past_changes import past_changes
    from console.session import connected
    from console.status import check_cluster
    from console.terminal.output import answer, busy, print_answer, print_line
    from console.terminal.tables import make_table, print_parts

    check_cluster(cluster)
    client, _ = await connected()
    async with busy(f"reading the changes of {cluster}"):
        found = await past_changes(client, cluster, limit)
    shown = {"cluster": cluster, "changes": [asdict(change) for change in found]}
    if print_answer(shown, names=[change.workflow_id for change in found]):
        return DONE
    if not found:
        print_line(f"no change of {cluster} is known to Temporal")
        return DONE
    wide = answer.format == "wide"
    columns = ["BEGAN", "VERB", "MEMBER", "OUTCOME", "TOOK", "BY"]
    rows = [[c.began if wide else _short(c.began), c.verb, c.member, c.outcome, c.took, c.by] for c in found]
    if wide:
        columns += ["WORKFLOW ID", "RUN ID"]
        rows = [[*row, c.workflow_id, c.run_id] for row, c in zip(rows, found, strict=True)]
    print_parts([make_table(columns, rows)])
    for change in found:
        if change.reason:
            print_line(f"{change.verb} {change.member}: {change.outcome}: {change.reason}")
    return DONE


def _short(began: str) -> str:
    """Month, day, hour and minute of an ISO time."""
    return began[5:16].replace("T", " ")
