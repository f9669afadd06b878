"""memberflow replace"""

from __future__ import annotations

from console.app import CHANGE, app, examples, run
from console.options import (
    ChangeOutput,
    Cluster,
    DryRun,
    EnvFile,
    Force,
    HoldBefore,
    Json,
    Launch,
    Newcomer,
    NoWait,
    Old,
    PeerUrl,
    Preempt,
    ReplaceOrder,
    RequestedBy,
    Timeout,
    Until,
)

_EXAMPLES = examples(
    "memberflow replace prod etcd-3 etcd-5 --peer-url https://10.0.0.15:2380",
    "memberflow replace prod 8e9e05c52164694d etcd-3 --peer-url https://10.0.0.13:2380 --env-file join.env",
)


@app.command(rich_help_panel=CHANGE, epilog=_EXAMPLES)
def replace(
    cluster: Cluster,
    old: Old,
    name: Newcomer,
    peer_url: PeerUrl,
    order: ReplaceOrder = "auto",
    force: Force = False,
    preempt: Preempt = False,
    env_file: EnvFile = None,
    dry_run: DryRun = False,
    no_wait: NoWait = False,
    until: Until = None,
    timeout: Timeout = None,
    hold_before: HoldBefore = None,
    launch: Launch = None,
    requested_by: RequestedBy = "",
    output: ChangeOutput = None,
    json: Json = False,
) -> None:
    """
    Replace a member by a new one, in one change.

    If the old member is healthy, the new member joins first. A dead member is removed first. After a failure, run the
    command again to go on from there. After a success, running it again changes nothing.
    """
    from client.change_request import make_request
    from console.following import Waiting, start_and_follow
    from console.plan import show_plan

    request = make_request(
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
    if dry_run:
        run(show_plan(request), json=json, output=output)
    waiting = Waiting(no_wait=no_wait, until=until, timeout=timeout, env_file=env_file)
    run(start_and_follow(request, waiting), json=json, output=output, attach=f"memberflow watch {cluster} {name}")
