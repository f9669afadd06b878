"""memberflow up"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.app import SET_UP, app, examples, run
from console.options import Json, Output
from console.terminal.output import print_answer, say

if TYPE_CHECKING:
    from local.processes import Child
    from local.state_folder import Running, StateFolder
    from local.up_command import UpCommand

ClustersFile = Annotated[
    Path | None,
    typer.Option("--clusters", metavar="FILE", help="The clusters file (default: as for `memberflow worker`)."),
]
Port = Annotated[int, typer.Option("--port", min=1, max=65535, help="Port of Temporal on this machine.")]
UiPort = Annotated[int, typer.Option("--ui-port", min=1, max=65535, help="Port of Temporal's UI on this machine.")]
Folder = Annotated[
    Path | None, typer.Option("--folder", help="Keep data and logs here (default: memberflow in XDG_STATE_HOME).")
]


@app.command(
    rich_help_panel=SET_UP,
    epilog=examples("memberflow up --clusters clusters.toml", "memberflow up --detach", "memberflow up --print-unit"),
)
def up(
    clusters: ClustersFile = None,
    port: Port = 7233,
    ui_port: UiPort = 8233,
    folder: Folder = None,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when everything answers. `memberflow down` stops it.")
    ] = False,
    print_unit: Annotated[
        bool, typer.Option("--print-unit", help="Print a systemd user unit that runs this, and start nothing.")
    ] = False,
    output: Output = None,
    json: Json = False,
) -> None:
    """
    Run Temporal, with its UI, and a worker on this machine, for your own clusters.

    It is good for trying memberflow and for a small team: one machine, no second server, no access control on its
    ports. Its data outlives restarts. `docs/deploy.md` says how to move to a Temporal of your own.
    """
    from local.up_command import UpCommand
    from settings import clusters_file, state_dir

    command = UpCommand(clusters or clusters_file(), port, ui_port, folder or state_dir())
    if print_unit:
        print(command.unit(), end="")
        return
    run(_detach(command) if detach else _up(command), json=json, output=output)


async def _up(command: UpCommand) -> int:
    """Runs until Ctrl-C or SIGTERM. Returns at once when it runs already."""
    import asyncio

    from client.exit_codes import DONE
    from local.keeper import Keeper
    from local.state_folder import StateFolder

    folder = StateFolder(command.folder)
    folder.create()
    with folder.watching() as is_ours:
        if not is_ours:
            return await _attach(command, folder)
        keeper = Keeper(folder, command.clusters_file, command.port, command.ui_port, command.program, say)
        try:
            await keeper.run(_tell)
        except asyncio.CancelledError:
            say("stopped, and the data is kept for the next `memberflow up`")
    return DONE


async def _detach(command: UpCommand) -> int:
    """Starts `memberflow up` in the background, and waits until everything answers."""
    from client.exit_codes import FAILED, CommandError
    from local.processes import Child
    from local.state_folder import StateFolder

    folder = StateFolder(command.folder)
    folder.create()
    if folder.watcher() is not None:
        return await _attach(command, folder)
    log = folder.log("up")
    begin = log.stat().st_size if log.exists() else 0
    child = Child([*command.program, *command.arguments()], log)
    running = await _until_up(folder, child)
    if running is None:
        said = log.read_bytes()[begin:].decode(errors="replace").strip().removeprefix("memberflow: ")
        raise CommandError(child.exit_code() or FAILED, said or f"`memberflow up` does not answer. Its log: {log}")
    _tell(running)
    say("stop it with `memberflow down`")
    return 0


async def _attach(command: UpCommand, folder: StateFolder) -> int:
    """Prints the processes that run already. Raises CommandError with USAGE when it was started with other options."""
    from client.exit_codes import DONE, FAILED, USAGE, CommandError

    running = await _until_up(folder)
    if running is None:
        raise CommandError(FAILED, f"another `memberflow up` has just ended. Its log is in {folder.path}")
    if different := command.differences(running):
        text = f"`memberflow up` runs already with other options: {'; '.join(different)}"
        raise CommandError(USAGE, text, "stop it with `memberflow down`, or use another --folder and other ports")
    say(f"runs already (process {running.pid})")
    _tell(running)
    return DONE


async def _until_up(folder: StateFolder, child: Child | None = None) -> Running | None:
    """The running processes, once they answer. None when the process has ended, or is silent for two minutes."""
    import asyncio
    import time

    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if running := folder.running():
            return running
        ended = child.exit_code() is not None if child else folder.watcher() is None
        if ended:
            return None
        await asyncio.sleep(0.1)
    return None


def _tell(running: Running) -> None:
    from dataclasses import asdict

    from client.search_attributes import changes_view

    if print_answer(asdict(running)):
        return
    say(f"Temporal and a worker run for {running.clusters_file}.")
    say(f"Temporal's UI: {running.ui}. Logs are in {running.folder}")
    say(f"The list of changes alone: {running.ui}{changes_view('default')}")
    if running.address != "127.0.0.1:7233":
        say(f"Other commands need: export TEMPORAL_ADDRESS={running.address}")
    say("Try `memberflow doctor`.")
