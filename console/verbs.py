"""The verbs that change a cluster, steer a change, or think one through."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from console.app import (
    Cluster,
    EnvFile,
    Force,
    HoldBefore,
    Json,
    Launch,
    Leaving,
    Member,
    NewName,
    NoWait,
    Old,
    OrderOption,
    PeerUrl,
    Preempt,
    RequestedBy,
    Timeout,
    Until,
    VerbOption,
    app,
    plan,
    run,
)
from console.output import USAGE, Leave
from membership.requests import Verb

__all__ = ["app"]


@app.command()
def join(
    cluster: Cluster,
    name: NewName,
    peer_url: PeerUrl,
    env_file: EnvFile = None,
    no_wait: NoWait = False,
    until: Until = None,
    timeout: Timeout = None,
    hold_before: HoldBefore = None,
    launch: Launch = None,
    requested_by: RequestedBy = "",
    json: Json = False,
) -> None:
    """
    Let a member join: add it as a learner, wait until it has caught up, promote it to a voter.

    Start the member with the printed ETCD_* values once it is added. Run twice, the second attaches to the first.
    """
    from console import running

    request = running.make_request(
        "join",
        cluster=cluster,
        name=name,
        peer_urls=peer_url,
        hold_before=hold_before,
        launcher=launch,
        requested_by=requested_by,
    )
    waiting = running.Waiting(no_wait=no_wait, until=until, timeout=timeout, env_file=env_file)
    run(running.run(request, waiting, json=json), f"memberflow watch {cluster} {name}")


@app.command()
def remove(
    cluster: Cluster,
    member: Leaving,
    force: Force = False,
    preempt: Preempt = False,
    no_wait: NoWait = False,
    timeout: Timeout = None,
    requested_by: RequestedBy = "",
    json: Json = False,
) -> None:
    """
    Let a member leave, after moving leadership away from it; refused where the cluster would be less safe.

    A member that is gone already is success. Its data directory is of no use any more: it never joins again.
    """
    from console import running

    request = running.make_request(
        "remove", cluster=cluster, member=member, force=force, preempt=preempt, requested_by=requested_by
    )
    waiting = running.Waiting(no_wait=no_wait, timeout=timeout)
    run(running.run(request, waiting, json=json), f"memberflow watch {cluster} {member}")


@app.command()
def replace(
    cluster: Cluster,
    old: Old,
    name: NewName,
    peer_url: PeerUrl,
    order: OrderOption = "auto",
    force: Force = False,
    preempt: Preempt = False,
    env_file: EnvFile = None,
    no_wait: NoWait = False,
    until: Until = None,
    timeout: Timeout = None,
    hold_before: HoldBefore = None,
    launch: Launch = None,
    requested_by: RequestedBy = "",
    json: Json = False,
) -> None:
    """
    Put a new member in the place of an old one, in one change.

    The new one joins first while the old one is healthy; a dead one is removed first. Run again after a failure,
    it goes on from there; run again after success, it changes nothing.
    """
    from console import running

    request = running.make_request(
        "replace",
        cluster=cluster,
        old=old,
        name=name,
        peer_urls=peer_url,
        order=order,
        force=force,
        preempt=preempt,
        hold_before=hold_before,
        launcher=launch,
        requested_by=requested_by,
    )
    waiting = running.Waiting(no_wait=no_wait, until=until, timeout=timeout, env_file=env_file)
    run(running.run(request, waiting, json=json), f"memberflow watch {cluster} {name}")


@app.command()
def grow(
    cluster: Cluster,
    file: Annotated[Path, typer.Option("--from", help="a line for each new member: NAME PEER-URL[,PEER-URL...]")],
    env_dir: Annotated[
        Path | None, typer.Option("--env-dir", help="write NAME.env here as soon as that learner is added")
    ] = None,
    launch: Launch = None,
    timeout: Timeout = None,
    json: Json = False,
) -> None:
    """
    Let many members join, by turns and in the file's order, with one table of progress.

    Interrupted and run again, it goes on where it stood.
    """
    from console import fleet

    members = fleet.read_members(file)
    if env_dir and not env_dir.is_dir():
        raise Leave(USAGE, f"--env-dir: no such directory: {env_dir}")
    growing = fleet.grow(cluster, members, env_dir, launch, timeout, json=json)
    run(growing, f"memberflow grow {cluster} --from {file}")


@app.command()
def changes(
    cluster: Cluster,
    limit: Annotated[int, typer.Option("--limit", min=1, help="how many, the latest first")] = 20,
    json: Json = False,
) -> None:
    """List running and recent changes of a cluster: outcome, who asked, how long it took."""
    from console import fleet

    run(fleet.changes(cluster, limit, json=json))


@app.command()
def watch(cluster: Cluster, name: Member, timeout: Timeout = None, verb: VerbOption = None, json: Json = False) -> None:
    """Attach to a running change, and tell how it ends; also of one that has ended lately."""
    from console import running

    run(running.watch(cluster, name, verb, timeout, json=json), f"memberflow watch {cluster} {name}")


@app.command()
def env(cluster: Cluster, name: Member, json: Json = False) -> None:
    """Print the ETCD_* values with which a member must be started; exit 1 when there are none that are alive."""
    from console import running

    run(running.env(cluster, name, json=json))


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


@plan.command("join")
def plan_join(cluster: Cluster, name: NewName, peer_url: PeerUrl, json: Json = False) -> None:
    """What a join would be up against."""
    _plan("join", json=json, cluster=cluster, name=name, peer_urls=peer_url)


@plan.command("remove")
def plan_remove(cluster: Cluster, member: Leaving, force: Force = False, json: Json = False) -> None:
    """What a removal would be up against."""
    _plan("remove", json=json, cluster=cluster, member=member, force=force)


@plan.command("replace")
def plan_replace(
    cluster: Cluster,
    old: Old,
    name: NewName,
    peer_url: PeerUrl,
    order: OrderOption = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """What a replacement would be up against, and which half would come first."""
    _plan("replace", json=json, cluster=cluster, old=old, name=name, peer_urls=peer_url, order=order, force=force)


def _plan(verb: Verb, *, json: bool, **given: Any) -> None:
    from console import plans, running

    run(plans.plan(running.make_request(verb, **given), json=json))
