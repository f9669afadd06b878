"""memberflow worker"""

from __future__ import annotations

from typing import Annotated

import typer

from console.app import SET_UP, app, examples


@app.command(
    rich_help_panel=SET_UP,
    epilog=examples(
        "memberflow worker",
        "memberflow worker --serve memberflow-site-a",
        "memberflow worker --deployment memberflow --metrics 0.0.0.0:9464",
    ),
)
def worker(
    serve: Annotated[
        list[str] | None,
        typer.Option(
            "--serve", metavar="QUEUE", help="Activity queue to poll (repeatable, default: the workflow queue alone)."
        ),
    ] = None,
    deployment: Annotated[
        str,
        typer.Option(
            "--deployment",
            metavar="NAME",
            help="Temporal worker deployment of this worker. Its build ID is memberflow's version.",
        ),
    ] = "",
    metrics: Annotated[
        str,
        typer.Option(
            "--metrics", metavar="HOST:PORT", help="Address of /metrics, /healthz and /readyz (default: none of them)."
        ),
    ] = "",
    nexus: Annotated[
        bool, typer.Option("--nexus", help="Also answer the operations of the Nexus service memberflow.")
    ] = False,
) -> None:
    """Run the worker: it reads the clusters file, runs the workflows and speaks to etcd."""
    from worker import main as run_worker

    run_worker(serve or [], deployment, metrics, nexus=nexus)
