"""The command line as a whole: its options, and how a command runs."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from console.output import INTERRUPTED, Leave
from membership.duration import parse_duration

app = typer.Typer(
    name="memberflow",
    epilog="Exit codes: 0 done, 1 failed or rolled back or cancelled, 2 bad usage or configuration, 3 Temporal or "
    "worker out of reach, 4 still running or held, 5 refused, 130 interrupted (the change goes on).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
plan = typer.Typer(
    help="The preflight alone: what a change would be up against, and why it would be refused; changes nothing.",
    no_args_is_help=True,
)
app.add_typer(plan, name="plan")


def _duration(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Cluster = Annotated[str, typer.Argument(help="name of the cluster in the workers' clusters file")]
Member = Annotated[str, typer.Argument(help="name of the member that is changed")]
Json = Annotated[bool, typer.Option("--json", help="one JSON object on stdout, everything else on stderr")]
VerbOption = Annotated[
    str | None, typer.Option("--verb", help="join, remove or replace, when several changes bear the name")
]
JoinOrReplace = Annotated[str | None, typer.Option("--verb", help="join or replace, when both bear the name")]
Timeout = Annotated[
    timedelta | None,
    typer.Option("--timeout", parser=_duration, metavar="DURATION", help="stop waiting after this long; exit 4"),
]
NewName = Annotated[str, typer.Argument(help="name of the new member (its ETCD_NAME)")]
PeerUrl = Annotated[list[str], typer.Option("--peer-url", help="peer URL of the new member; repeatable")]
EnvFile = Annotated[
    Path | None, typer.Option("--env-file", help="write the ETCD_* values here as soon as the learner is added")
]
NoWait = Annotated[bool, typer.Option("--no-wait", help="return as soon as the change has been started")]
Until = Annotated[str | None, typer.Option("--until", help="'added': return when the handover is known")]
HoldBefore = Annotated[
    str | None, typer.Option("--hold-before", help="'promote': wait for a person's `resume` before it")
]
Launch = Annotated[
    str | None,
    typer.Option("--launch", metavar="LAUNCHER", help="launcher of the clusters file that starts the member"),
]
RequestedBy = Annotated[str, typer.Option("--requested-by", help="who asks (default: user@host)")]
Leaving = Annotated[str, typer.Argument(help="name or hex ID of the member that leaves")]
Old = Annotated[
    str, typer.Argument(help="the old member: hex ID, or a name if name and peer URL of the new one differ")
]
OrderOption = Annotated[str, typer.Option("--order", help="auto, add-first or remove-first")]
Force = Annotated[
    bool, typer.Option("--force", help="skip min_voters, min_spare and alarms; never what etcd itself would refuse")
]
Preempt = Annotated[
    bool, typer.Option("--preempt", help="cancel a held join that has the turn, if the leaving member is dead")
]


def _show_version(wanted: bool) -> None:  # noqa: FBT001  (typer's own call)
    if wanted:
        print(f"memberflow {version('memberflow')}")
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="print the version and leave")
    ] = False,
) -> None:
    """Durable etcd membership changes on Temporal."""


def run(command: Coroutine[Any, Any, int], attach: str = "") -> None:
    """Runs a command to its exit code; Ctrl-C and SIGTERM end the command, never the change."""
    try:
        code = asyncio.run(_until_told(command))
    except (KeyboardInterrupt, asyncio.CancelledError):
        hint = f"a change that was started goes on; attach with `{attach}`" if attach else ""
        raise Leave(INTERRUPTED, "interrupted", hint) from None
    raise typer.Exit(code)


async def _until_told(command: Coroutine[Any, Any, int]) -> int:
    task = asyncio.current_task()
    assert task
    for sign in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(sign, task.cancel)
    return await command
