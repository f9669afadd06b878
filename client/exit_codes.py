"""The exit codes of all commands, and the end of the process with an exit code."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import NoReturn

from membership.text import visible

DONE = 0
FAILED = 1
USAGE = 2
OUT_OF_REACH = 3
STILL_RUNNING = 4
REFUSED = 5
INTERRUPTED = 130


class CommandError(Exception):
    """Ends a command with an exit code, after a message and a hint on stderr."""

    def __init__(self, code: int, message: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


def print_error(error: CommandError) -> None:
    """Prints message and hint on stderr."""
    with suppress(BrokenPipeError):
        if error.message:
            print(visible(f"memberflow: {error.message}", lines=True), file=sys.stderr)
        if error.hint:
            print(visible(f"  hint: {error.hint}", lines=True), file=sys.stderr)


def end_process(code: int) -> NoReturn:
    """
    Ends the process at once with this exit code, without the interpreter's shutdown.

    A short-lived process that used Temporal's SDK can crash while the interpreter shuts down (sdk-python#300).
    Skipping the shutdown keeps the exit code right.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(BrokenPipeError):
            stream.flush()
    os._exit(code)
