"""The verbs for changes that are there: to look at them, and to steer them."""

from __future__ import annotations

from typing import Annotated

import typer

from console.app import Cluster, JoinOrReplace, Json, Member, Timeout, VerbOption, app, run


@app.command()
def changes(
    cluster: Cluster,
    limit: Annotated[int, typer.Option("--limit", min=1, help="how many, the latest first")] = 20,
    json: Json = False,
) -> None:
    """List running, held and recent changes of a cluster: outcome, reason, who asked, how long it took."""
    from console import audit

    run(audit.changes(cluster, limit, json=json))


@app.command()
def watch(cluster: Cluster, name: Member, timeout: Timeout = None, verb: VerbOption = None, json: Json = False) -> None:
    """Attach to a running change, and tell how it ends; also of one that has ended lately."""
    from console import running

    run(running.watch(cluster, name, verb, timeout, json=json), f"memberflow watch {cluster} {name}")


@app.command()
def env(cluster: Cluster, name: Member, verb: JoinOrReplace = None, json: Json = False) -> None:
    """Print the ETCD_* values with which a member must be started; exit 1 when there are none that are alive."""
    from console import handover

    run(handover.env(cluster, name, verb, json=json))


@app.command()
def hold(cluster: Cluster, name: Member, verb: VerbOption = None, json: Json = False) -> None:
    """Hold a change at its next safe point, until `resume` or `cancel`; exit 1 when it is too late."""
    from console import steering

    run(steering.steer("hold", cluster, name, verb, json=json))


@app.command()
def resume(cluster: Cluster, name: Member, verb: VerbOption = None, json: Json = False) -> None:
    """Let a change go on that is held."""
    from console import steering

    run(steering.steer("resume", cluster, name, verb, json=json))


@app.command()
def cancel(cluster: Cluster, name: Member, verb: VerbOption = None, json: Json = False) -> None:
    """Cancel a change and wait until it has rolled back; exit 1 when it was too late."""
    from console import steering

    run(steering.cancel(cluster, name, verb, json=json), f"memberflow watch {cluster} {name}")
