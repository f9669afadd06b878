"""memberflow resume"""

from __future__ import annotations

from console.app import STEER, app, examples, run
from console.options import AnyVerb, ChangeOutput, Cluster, Json, Name, RequestedBy
from console.updates import steer_change


@app.command(rich_help_panel=STEER, epilog=examples("memberflow resume prod etcd-4", "memberflow resume prod"))
def resume(
    cluster: Cluster,
    name: Name = "",
    verb: AnyVerb = None,
    requested_by: RequestedBy = "",
    output: ChangeOutput = None,
    json: Json = False,
) -> None:
    """Let a held change go on."""
    run(steer_change("resume", cluster, name, verb, requested_by), json=json, output=output)
