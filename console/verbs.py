"""The verbs that change a cluster."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from console.app import (
    Cluster,
    EnvFile,
    Force,
    HoldBefore,
    Json,
    Launch,
    Leaving,
    NewName,
    NoWait,
    Old,
    OrderOption,
    PeerUrl,
    Preempt,
    RequestedBy,
    Timeout,
    Until,
    app,
    run,
)

# typer makes one paragraph of what has no empty line in it.
_JOIN = """Examples:

memberflow join prod etcd-4 --peer-url https://10.0.0.14:2380

memberflow join prod etcd-4 --peer-url https://10.0.0.14:2380 --until added --env-file /etc/etcd/join.env

memberflow join prod etcd-4 --peer-url https://10.0.0.14:2380 --hold-before promote --timeout 30m --json
"""
_REMOVE = """Examples:

memberflow remove prod etcd-3

memberflow remove prod 8e9e05c52164694d --force
"""
_REPLACE = """Examples:

memberflow replace prod etcd-3 etcd-5 --peer-url https://10.0.0.15:2380

memberflow replace prod 8e9e05c52164694d etcd-3 --peer-url https://10.0.0.13:2380 --until added --env-file join.env
"""
_GROW = """Example:

memberflow grow prod --from members.txt --env-dir handovers

with lines such as `etcd-4 https://10.0.0.14:2380` or `etcd-4=https://10.0.0.14:2380,https://\\[fd00::14]:2380`
"""


@app.command(epilog=_JOIN)
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


@app.command(epilog=_REMOVE)
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


@app.command(epilog=_REPLACE)
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


@app.command(epilog=_GROW)
def grow(
    cluster: Cluster,
    file: Annotated[
        Path, typer.Option("--from", help="a line for each new member: NAME URL[,URL...] or NAME=URL[,URL...]")
    ],
    env_dir: Annotated[
        Path | None, typer.Option("--env-dir", help="write NAME.env here as soon as that learner is added")
    ] = None,
    launch: Launch = None,
    timeout: Timeout = None,
    requested_by: RequestedBy = "",
    json: Json = False,
) -> None:
    """
    Let many members join, by turns and in the file's order, with one table of progress.

    Interrupted and run again, it goes on where it stood. The exit code is that of all joins, where they ended alike;
    else 1.
    """
    from console import fleet
    from console.handover import check_writable
    from console.members import read_members

    members = read_members(file)
    if env_dir:
        check_writable("--env-dir", env_dir / "NAME.env")
    again = ["memberflow", "grow", cluster, "--from", str(file)]
    again += ["--env-dir", str(env_dir)] if env_dir else []
    again += ["--launch", launch] if launch else []
    run(fleet.grow(cluster, members, env_dir, launch, requested_by, timeout, json=json), shlex.join(again))
