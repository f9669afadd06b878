"""memberflow changes"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from console.app import LOOK, app, examples, run
from console.options import Cluster, Json, ListOutput, read_duration

if TYPE_CHECKING:
    from client.past_changes import Wanted


@app.command(
    rich_help_panel=LOOK,
    epilog=examples(
        "memberflow changes prod --limit 5 -o wide",
        "memberflow changes prod --verb join --outcome failed --outcome rolled-back --since 7d",
    ),
)
def changes(
    cluster: Cluster,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many, the latest first.")] = 20,
    verb: Annotated[
        Literal["join", "remove", "replace", "apply"] | None,
        typer.Option("--verb", metavar="VERB", help="Only join, remove, replace or apply."),
    ] = None,
    outcome: Annotated[
        list[str] | None,
        typer.Option("--outcome", metavar="OUTCOME", help="Only changes with this outcome, as listed (repeatable)."),
    ] = None,
    since: Annotated[
        timedelta | None,
        typer.Option(
            "--since",
            parser=read_duration,
            metavar="DURATION",
            help="Only changes that began within this time, as in 7d.",
        ),
    ] = None,
    output: ListOutput = None,
    json: Json = False,
) -> None:
    """List the running and past changes of a cluster: outcome, duration, who asked, and why it failed."""
    from client.past_changes import Wanted

    run(_changes(cluster, Wanted(limit, verb, tuple(outcome or ()), since)), json=json, output=output)


async def _changes(cluster: str, wanted: Wanted) -> int:
    from dataclasses import asdict

    from client.exit_codes import DONE
    from client.past_changes import Wanted, past_changes
    from console.session import connected
    from console.status import check_cluster
    from console.terminal.output import answer, busy, print_answer, print_line
    from console.terminal.tables import make_table, print_parts

    check_cluster(cluster)
    client, _ = await connected()
    async with busy(f"reading the changes of {cluster}"):
        found = await past_changes(client, cluster, wanted)
    shown = {"cluster": cluster, "changes": [asdict(change) for change in found]}
    if print_answer(shown, names=[change.workflow_id for change in found]):
        return DONE
    if not found:
        sought = "change" if wanted == Wanted(wanted.limit) else "such change"
        print_line(f"no {sought} of {cluster} is known to Temporal")
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
