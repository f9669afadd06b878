"""memberflow apply"""

from __future__ import annotations

import shlex
from datetime import timedelta
from pathlib import Path

from console.app import CHANGE, app, examples, run
from console.options import (
    ChangeOutput,
    Cluster,
    EnvDir,
    Json,
    Launch,
    MembersFile,
    NoWait,
    OneMember,
    Prune,
    RequestedBy,
    Timeout,
)

FILE_NOTE = (
    "A line of the file: `etcd-4 https://10.0.0.14:2380` or `etcd-4=https://10.0.0.14:2380,https://etcd-4:2380`. "
    "`-` reads standard input."
)

_EXAMPLES = examples(
    "memberflow plan apply prod --from members.txt --prune",
    "memberflow apply prod --from members.txt --prune --env-dir handovers",
    "memberflow apply prod --from members.txt --prune --member etcd-5 --env-dir /etc/etcd",
    note=FILE_NOTE,
)


@app.command(rich_help_panel=CHANGE, epilog=_EXAMPLES)
def apply(
    cluster: Cluster,
    file: MembersFile,
    prune: Prune = False,
    env_dir: EnvDir = None,
    member: OneMember = "",
    launch: Launch = None,
    no_wait: NoWait = False,
    timeout: Timeout = None,
    requested_by: RequestedBy = "",
    output: ChangeOutput = None,
    json: Json = False,
) -> None:
    """
    Give a cluster the members of a list: joins, replacements and removals, one at a time.

    A list in which every name is new replaces all members. Run the command again to attach, or to go on after a
    failure. When the members are as listed it changes nothing. `hold`, `resume`, `cancel` and `watch` without a NAME
    are for the apply.
    """
    start(
        cluster,
        file,
        prune=prune,
        env_dir=env_dir,
        member=member,
        launch=launch,
        no_wait=no_wait,
        timeout=timeout,
        requested_by=requested_by,
        output=output,
        json=json,
    )


def start(
    cluster: str,
    file: Path,
    *,
    prune: bool,
    env_dir: Path | None,
    launch: str | None,
    timeout: timedelta | None,
    requested_by: str,
    output: str | None,
    json: bool,
    member: str = "",
    no_wait: bool = False,
) -> None:
    """Reads the list, and runs the apply."""
    from console.applying import Following, apply_and_follow, make_apply_request
    from console.members_file import read_members

    following = Following(no_wait=no_wait, member=member, timeout=timeout, env_dir=env_dir)
    members = read_members(file)
    request = make_apply_request(cluster, members, prune=prune, launcher=launch, requested_by=requested_by)
    again = ["memberflow", "apply", cluster, "--from", str(file)]
    again += ["--prune"] if prune else []
    again += ["--env-dir", str(env_dir)] if env_dir else []
    again += ["--member", member] if member else []
    again += ["--launch", launch] if launch else []
    attach = f"memberflow watch {cluster}" if str(file) == "-" else shlex.join(again)
    run(apply_and_follow(request, following), json=json, output=output, attach=attach)
