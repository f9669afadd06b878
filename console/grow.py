"""memberflow grow"""

from __future__ import annotations

from console.app import CHANGE, app, examples
from console.apply import FILE_NOTE, start
from console.options import ChangeOutput, Cluster, EnvDir, Json, Launch, MembersFile, RequestedBy, Timeout


@app.command(
    rich_help_panel=CHANGE,
    epilog=examples("memberflow grow prod --from members.txt --env-dir handovers", note=FILE_NOTE),
)
def grow(
    cluster: Cluster,
    file: MembersFile,
    env_dir: EnvDir = None,
    launch: Launch = None,
    timeout: Timeout = None,
    requested_by: RequestedBy = "",
    output: ChangeOutput = None,
    json: Json = False,
) -> None:
    """
    Add several members, one after the other, in the file's order: `apply` without `--prune`.

    Run the command again to go on: members that are already in the cluster stay as they are.
    """
    start(
        cluster,
        file,
        prune=False,
        env_dir=env_dir,
        launch=launch,
        timeout=timeout,
        requested_by=requested_by,
        output=output,
        json=json,
    )
