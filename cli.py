"""memberflow: the command line. It speaks to Temporal only, never to etcd."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any, cast

import typer
from typer.exceptions import TyperException

from client.exit_codes import DONE, FAILED, INTERRUPTED, USAGE, CommandError, end_process
from client.traces import flush
from console.app import COMMANDS, app
from console.terminal.output import answer, format_in, print_failure, print_object

for command in COMMANDS:
    import_module(f"console.{command}")


def main() -> None:
    """The entry of the command line. Ends with the command's exit code, without the interpreter's shutdown."""
    answer.format = format_in(sys.argv[1:])
    try:
        code = app(standalone_mode=False) or DONE
    except CommandError as error:
        code = print_failure(error)
    except typer.Abort:
        code = print_failure(CommandError(INTERRUPTED))
    except TyperException as error:
        code = _print_usage(error)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else FAILED
    except Exception as error:  # noqa: BLE001  (a crash of the interpreter's shutdown would hide the exit code)
        from client.command_errors import command_error

        code = print_failure(command_error(error))
    flush()
    end_process(code)


def _print_usage(error: TyperException) -> int:
    """Prints the usage and the mistake in the given arguments."""
    cast("Any", error).show()
    if answer.is_object:
        print_object({"error": error.format_message(), "hint": "--help shows the usage", "code": USAGE})
    return USAGE


if __name__ == "__main__":
    main()
