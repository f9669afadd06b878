"""The arguments and options that several commands share."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

import typer


def read_duration(text: str) -> timedelta:
    from membership.duration import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Cluster = Annotated[str, typer.Argument(help="The cluster's name in the workers' clusters file.")]
Name = Annotated[
    str,
    typer.Argument(
        help="The new member (join, replace), or the name or ID you gave (remove). Without it: the cluster's apply.",
    ),
]
Newcomer = Annotated[str, typer.Argument(help="The new member's name (its ETCD_NAME).")]
Leaving = Annotated[str, typer.Argument(help="Name or ID of the member to remove.")]
Old = Annotated[
    str,
    typer.Argument(help="The old member: its ID, or its name if name and peer URL of the new member differ."),
]
PeerUrl = Annotated[
    list[str], typer.Option("--peer-url", metavar="URL", help="Peer URL of the new member (repeatable).")
]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, everything else on stderr.")]
Output = Annotated[
    Literal["json", "yaml"] | None, typer.Option("-o", "--output", metavar="json|yaml", help="Format of the answer.")
]
ChangeOutput = Annotated[
    Literal["json", "yaml", "name"] | None,
    typer.Option("-o", "--output", metavar="json|yaml|name", help="Format of the answer (name: the workflow ID)."),
]
ListOutput = Annotated[
    Literal["json", "yaml", "name", "wide"] | None,
    typer.Option("-o", "--output", metavar="json|yaml|name|wide", help="Format of the answer (wide: more columns)."),
]

AnyVerb = Annotated[
    str | None,
    typer.Option("--verb", metavar="VERB", help="join, remove or replace, if the name fits several changes."),
]
JoinOrReplace = Annotated[
    str | None, typer.Option("--verb", metavar="VERB", help="join or replace, if the name fits both.")
]
Timeout = Annotated[
    timedelta | None,
    typer.Option(
        "--timeout", parser=read_duration, metavar="DURATION", help="Stop waiting after this long, with exit code 4."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Start nothing: show the checks, as `memberflow plan` does.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Return as soon as the change has started.")]
Until = Annotated[
    str | None,
    typer.Option(
        "--until",
        metavar="added|voter",
        help="Return early: when the ETCD_* values are known (added), or when the new member votes (voter).",
    ),
]
EnvFile = Annotated[
    Path | None,
    typer.Option(
        "--env-file",
        help="Write the ETCD_* values here as soon as the learner is added. "
        "Left as it is for a voter that was there before and is not verified: it may have lost its data.",
    ),
]
HoldBefore = Annotated[
    str | None, typer.Option("--hold-before", metavar="promote", help="Hold before the promote, until you `resume`.")
]
Launch = Annotated[
    str | None,
    typer.Option("--launch", metavar="LAUNCHER", help="Let this launcher of the clusters file start the member."),
]
MembersFile = Annotated[
    Path, typer.Option("--from", metavar="FILE", help="The members: name and peer URLs, one member a line.")
]
EnvDir = Annotated[
    Path | None, typer.Option("--env-dir", help="Write the ETCD_* values of each new member here, as NAME.env.")
]
Prune = Annotated[
    bool, typer.Option("--prune", help="Members that are not in the list leave. New members take their places.")
]
OneMember = Annotated[
    str,
    typer.Option(
        "--member", metavar="NAME", help="Return as soon as this member may be started, or is a voter already."
    ),
]
RequestedBy = Annotated[str, typer.Option("--requested-by", metavar="WHO", help="Who asks (default: user@host).")]
ReplaceOrder = Annotated[str, typer.Option("--order", help="auto, add-first or remove-first.")]
Force = Annotated[
    bool, typer.Option("--force", help="Skip min_voters, min_spare and alarms. The quorum is never put at risk.")
]
Preempt = Annotated[
    bool, typer.Option("--preempt", help="Cancel a held join that has the turn, if the member that leaves is dead.")
]
