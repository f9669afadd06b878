"""memberflow remove"""

from __future__ import annotations

from console.app import CHANGE, app, examples, run
from console.options import ChangeOutput, Cluster, DryRun, Force, Json, Leaving, NoWait, Preempt, RequestedBy, Timeout


@app.command(
    rich_help_panel=CHANGE,
    epilog=examples("memberflow remove prod etcd-3", "memberflow remove prod 8e9e05c52164694d --force"),
)
def remove(
    cluster: Cluster,
    member: Leaving,
    force: Force = False,
    preempt: Preempt = False,
    dry_run: DryRun = False,
    no_wait: NoWait = False,
    timeout: Timeout = None,
    requested_by: RequestedBy = "",
    output: ChangeOutput = None,
    json: Json = False,
) -> None:
    """
    Remove a member, after moving leadership away from it.

    The removal is refused if the cluster would be less safe than its policy allows. A member that is already gone
    is a success. A removed member never joins again with its old data directory.
    """
    from client.change_request import make_request
    from console.following import Waiting, start_and_follow
    from console.plan import show_plan

    request = make_request(
        "remove", cluster=cluster, member=member, force=force, preempt=preempt, requested_by=requested_by
    )
    if dry_run:
        run(show_plan(request), json=json, output=output)
    waiting = Waiting(no_wait=no_wait, timeout=timeout)
    run(start_and_follow(request, waiting), json=json, output=output, attach=f"memberflow watch {cluster} {member}")
