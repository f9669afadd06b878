"""memberflow join"""

from __future__ import annotations

from console.app import CHANGE, app, examples, run
from console.options import (
    ChangeOutput,
    Cluster,
    DryRun,
    EnvFile,
    HoldBefore,
    Json,
    Launch,
    Newcomer,
    NoWait,
    PeerUrl,
    RequestedBy,
    Timeout,
    Until,
)

_EXAMPLES = examples(
    "memberflow join prod etcd-4 --peer-url https://10.0.0.14:2380",
    "memberflow join prod etcd-4 --peer-url https://10.0.0.14:2380 --until added --env-file /etc/etcd/join.env",
    "memberflow join prod etcd-4 --peer-url https://10.0.0.14:2380 --hold-before promote --timeout 30m --json",
)


@app.command(rich_help_panel=CHANGE, epilog=_EXAMPLES)
def join(
    cluster: Cluster,
    name: Newcomer,
    peer_url: PeerUrl,
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
    Add a member: as a learner first, as a voter once it has caught up.

    Start the new member with the printed ETCD_* values as soon as the learner is added. Run the command again to
    attach to the same join.
    """
    from client.change_request import make_request
    from console.following import Waiting, start_and_follow
    from console.plan import show_plan

    request = make_request(
        "join",
        cluster=cluster,
        name=name,
        peer_urls=peer_url,
        hold_before=hold_before,
        launcher=launch,
        requested_by=requested_by,
    )
    if dry_run:
        run(show_plan(request), json=json, output=output)
    waiting = Waiting(no_wait=no_wait, until=until, timeout=timeout, env_file=env_file)
    run(start_and_follow(request, waiting), json=json, output=output, attach=f"memberflow watch {cluster} {name}")
