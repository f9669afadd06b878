"""The command line as a whole: its groups, its help, and how a command runs."""

from __future__ import annotations

import sys
from collections.abc import Coroutine
from contextlib import suppress
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from client.exit_codes import INTERRUPTED, CommandError
from console.terminal.output import answer

CHANGE = "Change a cluster"
LOOK = "Look at a cluster and its changes"
STEER = "Steer a running change"
SET_UP = "Set up and run memberflow"

#: The commands in the order of the help. Each is declared in the file of its name.
COMMANDS = (
    *("join", "remove", "replace", "apply", "grow", "plan"),
    *("status", "watch", "wait", "changes", "events", "env"),
    *("hold", "resume", "cancel"),
    *("up", "down", "demo", "doctor", "worker", "codec", "setup", "schema", "completion", "dev"),
)

# Boxes and colours are for a terminal.
_RICH = sys.stdout.isatty()


class _Grouped(TyperGroup):
    """A group that lists its commands under their headings in the plain help too."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command and its arguments. MEMBERFLOW_CLUSTER is the cluster where the arguments name none."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command, _with_default_cluster(ctx, command, rest)

    def list_commands(self, ctx: Any) -> list[str]:
        """The commands in the order of COMMANDS. Commands that are not in it come last."""
        places = {name: place for place, name in enumerate(COMMANDS)}
        return sorted(super().list_commands(ctx), key=lambda name: places.get(name, len(places)))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command and not command.hidden:
                heading = getattr(command, "rich_help_panel", None) or "Commands"
                groups.setdefault(heading, []).append((name, command.get_short_help_str(limit=100)))
        for heading, rows in groups.items():
            with formatter.section(heading):
                formatter.write_dl(rows)


def _with_default_cluster(ctx: Any, command: Any, args: list[str]) -> list[str]:
    """The arguments, with the default cluster in front when one argument is missing and they do not begin with it."""
    from settings import default_cluster

    default = default_cluster()
    names = [each.name for each in command.params if each.param_type_name == "argument"] if command else []
    if not default or names[:1] != ["cluster"] or {"-h", "--help"} & set(args):
        return args
    with suppress(TyperException):
        # A group's own context would end the options at the first argument.
        own = typer.Context(command, parent=ctx)
        given, _, _ = command.make_parser(own).parse_args(list(args))
        if given.get("cluster") == default:
            return args
        if any(given.get(name) is None for name in names):
            return [default, *args]
    return args


def examples(*commands: str, note: str = "") -> str:
    """The end of a command's help, with examples."""
    # Plain help keeps the line breaks of a paragraph only after this mark.
    keep = "" if _RICH else "\b\n"
    title = "Example:" if len(commands) == 1 else "Examples:"
    text = f"{keep}{title}\n" + "\n".join(f"  {command}" for command in commands)
    return f"{text}\n\n{note}" if note else text


_SETTINGS = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    name="memberflow",
    cls=_Grouped,
    epilog=examples(
        "memberflow plan join prod etcd-4 --peer-url https://10.0.0.14:2380",
        "memberflow join prod etcd-4 --peer-url https://10.0.0.14:2380",
        "memberflow status prod",
        note="Exit codes: 0 done, 1 failed or rolled back or cancelled, 2 bad usage or configuration, 3 Temporal or "
        "worker out of reach, 4 still running or held, 5 refused, 130 interrupted (the change goes on).",
    ),
    context_settings=_SETTINGS,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich" if _RICH else None,
)


def group(name: str, panel: str, about: str, example: str) -> typer.Typer:
    """A command with commands of its own."""
    inner = typer.Typer(
        cls=_Grouped, help=about, epilog=examples(example), no_args_is_help=True, context_settings=_SETTINGS
    )
    app.add_typer(inner, name=name, rich_help_panel=panel)
    return inner


def _show_version(wanted: bool) -> None:  # noqa: FBT001  (typer's own call)
    if wanted:
        from importlib.metadata import version

        print(f"memberflow {version('memberflow')}")
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Safe, resumable membership changes of etcd clusters, run by Temporal."""


def run(command: Coroutine[Any, Any, int], *, json: bool = False, output: str | None = None, attach: str = "") -> None:
    """
    Runs a command and ends with its exit code. Ctrl-C and SIGTERM end the command, never the change.

    `attach`: the command that follows the change again. Empty: there is no change to follow.
    """
    import asyncio

    answer.format = "json" if json else output or ""
    try:
        code = asyncio.run(_until_told(command))
    except (KeyboardInterrupt, asyncio.CancelledError):
        hint = f"a change that was started goes on: attach to it with `{attach}`" if attach else ""
        raise CommandError(INTERRUPTED, "interrupted", hint) from None
    raise typer.Exit(code)


async def _until_told(command: Coroutine[Any, Any, int]) -> int:
    import asyncio
    import signal

    task = asyncio.current_task()
    assert task
    for sign in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(sign, task.cancel)
    return await command
