"""memberflow hold"""

from __future__ import annotations

from console.app import STEER, app, examples, run
from console.options import AnyVerb, ChangeOutput, Cluster, Json, Name, RequestedBy
from console.updates import steer_change


@app.command(rich_help_panel=STEER, epilog=examples("memberflow hold prod etcd-4", "memberflow hold prod"))
def hold(
    cluster: Cluster,
    name: Name = "",
    verb: AnyVerb = None,
    requested_by: RequestedBy = "",
    output: ChangeOutput = None,
    json: Json = False,
) -> None:
    """Hold a change at its next safe point, until you `resume` or `cancel` it. Exit code 1 when it is too late."""
    run(steer_change("hold", cluster, name, verb, requested_by), json=json, output=output)
