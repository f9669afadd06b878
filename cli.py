"""memberflow: the command line. Speaks to Temporal only, never to etcd."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from typer.exceptions import TyperException

from console import output, planning, verbs, watching
from console.app import Cluster, Json, app, run
from console.output import INTERRUPTED, USAGE, Leave, leave, say, tell_error
from membership.errors import MemberflowError

__all__ = ["app", "planning", "verbs", "watching"]

dev = typer.Typer(help="For working on memberflow itself.", no_args_is_help=True)
app.add_typer(dev, name="dev")


@app.command()
def worker(
    serve: Annotated[
        list[str] | None,
        typer.Option(
            "--serve", metavar="QUEUE", help="activity queue to poll, repeatable (default: the workflow queue alone)"
        ),
    ] = None,
) -> None:
    """Run the worker: it reads the clusters file, runs the workflows and speaks to etcd."""
    from worker import main as run_worker

    run_worker(serve or [])


@app.command()
def status(cluster: Cluster, json: Json = False) -> None:
    """Show a cluster: its members, their roles and lag; its running changes, and whose turn it is."""
    from console import inspection

    run(inspection.status(cluster, json=json))


@app.command()
def doctor(json: Json = False) -> None:
    """
    Check configuration, Temporal, search attributes, workers and every cluster: a verdict and a hint each.

    Exit 1 when something is wrong, 2 for a wrong configuration, 3 when Temporal or a worker is out of reach.
    """
    from console import doctor as console_doctor

    run(console_doctor.doctor(json=json))


@app.command()
def setup(json: Json = False) -> None:
    """Register the search attributes EtcdCluster, EtcdMember and EtcdStage in the namespace."""
    from console import setup as console_setup

    run(console_setup.setup(json=json))


@app.command()
def schema(
    verb: Annotated[str, typer.Argument(help="join, remove or replace")],
    json: Json = False,  # noqa: ARG001  (it always is)
) -> None:
    """Print the JSON Schema of a request, for callers in other languages; the same with --json."""
    from messages.requests import REQUESTS

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

    run(local_demo.demo(keep=keep, folder=folder, json=json))


@dev.command("etcd-path")
def etcd_path(json: Json = False) -> None:
    """Print the path of the etcd binary that the demo and the tests use; finds, downloads or builds it."""
    from local.binary import find_etcd
    from settings import cache_dir

    try:
        path = find_etcd(cache_dir(), say)
    except MemberflowError as error:
        raise Leave(output.FAILED, str(error), error.hint) from error
    if json:
        output.print_json({"path": str(path)})
    else:
        print(path)


def main() -> None:
    """The command line's entry; leaves with the command's exit code, whatever the interpreter's shutdown does."""
    output.answer.wanted = "--json" in sys.argv[1:]
    try:
        code = app(standalone_mode=False) or output.DONE
    except Leave as error:
        code = tell_error(error)
    except typer.Abort:
        code = tell_error(Leave(INTERRUPTED))
    except TyperException as error:
        code = _tell_usage(error)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else output.FAILED
    except Exception as error:  # noqa: BLE001  (nothing may leave with a crash of the interpreter's shutdown)
        from console.faults import leave_of

        code = tell_error(leave_of(error))
    leave(code)


def _tell_usage(error: TyperException) -> int:
    """The usage, as typer shows it."""
    cast("Any", error).show()
    if output.answer.wanted:
        output.print_json({"error": error.format_message(), "hint": "--help tells the usage", "code": USAGE})
    return USAGE


if __name__ == "__main__":
    main()
