"""memberflow: the verbs. Speaks to Temporal only, never to etcd."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from typer.exceptions import TyperException

from console import output
from console.output import INTERRUPTED, USAGE, Leave, leave, say
from membership.duration import parse_duration
from membership.errors import MemberflowError
from membership.requests import Verb

app = typer.Typer(
    name="memberflow",
    help="Durable etcd membership changes on Temporal.",
    epilog="Exit codes: 0 done, 1 failed or rolled back or cancelled, 2 bad usage or configuration, 3 Temporal or "
    "worker out of reach, 4 still running or held, 5 refused, 130 interrupted (the change goes on).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
dev = typer.Typer(help="For working on memberflow itself.", no_args_is_help=True)
app.add_typer(dev, name="dev")
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


@app.command()
def worker(
    serve: Annotated[
        list[str] | None,
        typer.Option("--serve", metavar="QUEUE", help="activity queues to poll (default: the workflow queue alone)"),
    ] = None,
) -> None:
    """Run the worker: it reads the clusters file, runs the workflows and speaks to etcd."""
    from worker import main as run

    run(serve or [])


@app.command()
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
    _run(running.run(request, waiting, json=json), f"memberflow watch {cluster} {name}")


@app.command()
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
    _run(running.run(request, waiting, json=json), f"memberflow watch {cluster} {member}")


@app.command()
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
    _run(running.run(request, waiting, json=json), f"memberflow watch {cluster} {name}")


@app.command()
def grow(
    cluster: Cluster,
    file: Annotated[Path, typer.Option("--from", help="a line for each new member: NAME PEER-URL[,PEER-URL...]")],
    env_dir: Annotated[
        Path | None, typer.Option("--env-dir", help="write NAME.env here as soon as that learner is added")
    ] = None,
    launch: Launch = None,
    timeout: Timeout = None,
    json: Json = False,
) -> None:
    """
    Let many members join, by turns and in the file's order, with one table of progress.

    Interrupted and run again, it goes on where it stood.
    """
    from console import fleet

    members = fleet.read_members(file)
    if env_dir and not env_dir.is_dir():
        raise Leave(USAGE, f"--env-dir: no such directory: {env_dir}")
    growing = fleet.grow(cluster, members, env_dir, launch, timeout, json=json)
    _run(growing, f"memberflow grow {cluster} --from {file}")


@app.command()
def changes(
    cluster: Cluster,
    limit: Annotated[int, typer.Option("--limit", min=1, help="how many, the latest first")] = 20,
    json: Json = False,
) -> None:
    """List running and recent changes of a cluster: outcome, who asked, how long it took."""
    from console import fleet

    _run(fleet.changes(cluster, limit, json=json))


@app.command()
def watch(cluster: Cluster, name: Member, timeout: Timeout = None, verb: VerbOption = None, json: Json = False) -> None:
    """Attach to a running change, and tell how it ends; also of one that has ended lately."""
    from console import running

    _run(running.watch(cluster, name, verb, timeout, json=json), f"memberflow watch {cluster} {name}")


@app.command()
def env(cluster: Cluster, name: Member, json: Json = False) -> None:
    """Print the ETCD_* values with which a member must be started; exit 1 when there are none that are alive."""
    from console import running

    _run(running.env(cluster, name, json=json))


@app.command()
def hold(cluster: Cluster, name: Member, verb: VerbOption = None, json: Json = False) -> None:
    """Hold a change at its next safe point, until `resume` or `cancel`; exit 1 when it is too late."""
    from console import steering

    _run(steering.steer("hold", cluster, name, verb, json=json))


@app.command()
def resume(cluster: Cluster, name: Member, verb: VerbOption = None, json: Json = False) -> None:
    """Let a change go on that is held."""
    from console import steering

    _run(steering.steer("resume", cluster, name, verb, json=json))


@app.command()
def cancel(cluster: Cluster, name: Member, verb: VerbOption = None, json: Json = False) -> None:
    """Cancel a change and wait until it has rolled back; exit 1 when it was too late."""
    from console import steering

    _run(steering.cancel(cluster, name, verb, json=json), f"memberflow watch {cluster} {name}")


@app.command()
def status(cluster: Cluster, json: Json = False) -> None:
    """Show a cluster: its members, their roles and lag, and whose turn it is to change it."""
    from console import inspection

    _run(inspection.status(cluster, json=json))


@plan.command("join")
def plan_join(cluster: Cluster, name: NewName, peer_url: PeerUrl, json: Json = False) -> None:
    """What a join would be up against."""
    _plan("join", json=json, cluster=cluster, name=name, peer_urls=peer_url)


@plan.command("remove")
def plan_remove(cluster: Cluster, member: Leaving, force: Force = False, json: Json = False) -> None:
    """What a removal would be up against."""
    _plan("remove", json=json, cluster=cluster, member=member, force=force)


@plan.command("replace")
def plan_replace(
    cluster: Cluster,
    old: Old,
    name: NewName,
    peer_url: PeerUrl,
    order: OrderOption = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """What a replacement would be up against, and which half would come first."""
    _plan("replace", json=json, cluster=cluster, old=old, name=name, peer_urls=peer_url, order=order, force=force)


def _plan(verb: Verb, *, json: bool, **given: Any) -> None:
    from console import plans, running

    _run(plans.plan(running.make_request(verb, **given), json=json))


@app.command()
def doctor(json: Json = False) -> None:
    """Check configuration, Temporal, workers, search attributes and every cluster; exit 1 when something is wrong."""
    from console import inspection

    _run(inspection.doctor(json=json))


@app.command()
def setup(json: Json = False) -> None:
    """Register the search attributes EtcdCluster, EtcdMember and EtcdStage in the namespace."""
    from console import setup as console_setup

    _run(console_setup.setup(json=json))


@app.command()
def schema(verb: Annotated[str, typer.Argument(help="join, remove or replace")]) -> None:
    """Print the JSON Schema of a request, for callers in other languages."""
    from membership.requests import REQUESTS

    if verb not in REQUESTS:
        raise Leave(USAGE, f"no such request: {verb}", f"one of: {', '.join(REQUESTS)}")
    output.print_json(REQUESTS[verb].model_json_schema())


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="leave everything running until Ctrl-C")] = False,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="keep data here (default: a temporary folder)")
    ] = None,
    json: Json = False,
) -> None:
    """Show it all on this machine: a fourth member joins a real cluster while the answer to its promote is lost."""
    from local import demo as local_demo

    _run(local_demo.demo(keep=keep, folder=folder, json=json))


@dev.command("etcd-path")
def etcd_path() -> None:
    """Print the path of the etcd binary that the demo and the tests use; finds, downloads or builds it."""
    from local.binary import find_etcd
    from settings import cache_dir

    try:
        print(find_etcd(cache_dir(), say))
    except MemberflowError as error:
        raise Leave(output.FAILED, str(error), error.hint) from error


def _run(command: Coroutine[Any, Any, int], attach: str = "") -> None:
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
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await command


def main() -> None:
    """The command line's entry; leaves with the command's exit code, whatever the interpreter's shutdown does."""
    try:
        code = app(standalone_mode=False) or output.DONE
    except Leave as error:
        code = _tell(error)
    except MemberflowError as error:
        code = _tell(Leave(USAGE, str(error), error.hint))
    except typer.Abort:
        code = INTERRUPTED
    except TyperException as error:
        cast("Any", error).show()
        code = USAGE
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else output.FAILED
    leave(code)


def _tell(error: Leave) -> int:
    if error.message:
        say(f"memberflow: {error.message}")
    if error.hint:
        say(f"  hint: {error.hint}")
    return error.code


if __name__ == "__main__":
    main()
