"""memberflow down"""

from __future__ import annotations

from console.app import SET_UP, app, examples
from console.options import Json, Output
from console.up import Folder


@app.command(rich_help_panel=SET_UP, epilog=examples("memberflow down"))
def down(folder: Folder = None, output: Output = None, json: Json = False) -> None:
    """
    Stop Temporal and the worker that `memberflow up` started on this machine. The data is kept.

    A change that runs waits, and goes on with the next `memberflow up`.
    """
    from console.terminal.output import answer, print_answer, say
    from local.state_folder import StateFolder
    from settings import state_dir

    answer.format = "json" if json else output or ""
    state = StateFolder(folder or state_dir())
    stopped = state.stop_watcher()
    for name in ("worker", "temporal"):
        stopped = state.end_leftover(name) or stopped
    if not print_answer({"folder": str(state.path), "stopped": stopped}):
        say("stopped, and the data is kept" if stopped else f"nothing runs in {state.path}")
