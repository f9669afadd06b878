"""What the command line prints, and how it leaves."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

from rich.console import Console

DONE = 0
FAILED = 1
USAGE = 2
OUT_OF_REACH = 3
STILL_RUNNING = 4
REFUSED = 5
INTERRUPTED = 130

# What is printed is of others too: "[fd00::14]" is no markup, and ":new:" in a workflow ID no emoji.
_Plain = partial(Console, soft_wrap=True, highlight=False, markup=False, emoji=False)
stderr = _Plain(stderr=True)
# A table in a pipe is as wide as it needs to be.
stdout = _Plain(width=None if sys.stdout.isatty() else 200)


class Leave(Exception):
    """Ends the command with an exit code, after a message and a hint on stderr."""

    def __init__(self, code: int, message: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


@dataclass
class Answer:
    """Whether stdout is for one JSON object, and whether that has been printed."""

    wanted: bool = False
    given: bool = False


answer = Answer()


def print_json(value: Any) -> None:
    """One JSON object on stdout."""
    answer.given = True
    print(json.dumps(value, default=str), flush=True)


def tell_error(error: Leave) -> int:
    """Says why the command leaves; with --json also on stdout, unless an object is there. Returns the exit code."""
    if error.message:
        say(f"memberflow: {error.message}")
    if error.hint:
        say(f"  hint: {error.hint}")
    if answer.wanted and not answer.given:
        with suppress(BrokenPipeError):
            print_json({"error": error.message, "hint": error.hint, "code": error.code})
    return error.code


def say(text: str) -> None:
    """A line for the person who watches; never on stdout."""
    stderr.print(text)


def leave(code: int) -> NoReturn:
    """
    Leaves the process with this exit code, whatever else is still loaded.

    A short-lived process that used Temporal's SDK can crash while the interpreter shuts down (sdk-python#300);
    skipping that keeps the exit code right.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(BrokenPipeError):
            stream.flush()
    os._exit(code)
