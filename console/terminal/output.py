"""Prints the output of a command: the answer on stdout, everything else on stderr."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from client.exit_codes import CommandError, print_error
from membership.text import visible

if TYPE_CHECKING:
    from rich.console import Console

# Seconds after which a command names the thing that it waits for.
_SOON = 0.7

_FORMAT = re.compile(r"(?:-o|--output)=?(json|yaml)?")


@dataclass
class Answer:
    """The format of stdout."""

    #: json, yaml, name or wide. Empty: text for a person.
    format: str = ""
    #: Whether the JSON or YAML object has been printed.
    given: bool = False

    @property
    def is_object(self) -> bool:
        return self.format in ("json", "yaml")


answer = Answer()


def format_in(args: Sequence[str]) -> str:
    """json or yaml, if the arguments ask for it, or otherwise empty. Usage errors are printed in that format too."""
    if "--json" in args:
        return "json"
    for option, value in pairwise([*args, ""]):
        found = _FORMAT.fullmatch(option)
        chosen = found and (found[1] or value)
        if chosen in ("json", "yaml"):
            return chosen
    return ""


def print_answer(value: Any, names: Iterable[str] = ()) -> bool:
    """Prints the answer as JSON, YAML or names. Prints nothing and returns false when the format is for a person."""
    if answer.format == "name":
        for name in names:
            print(visible(name))
        return True
    if answer.is_object:
        print_object(value)
    return answer.is_object


def print_object(value: Any) -> None:
    """Prints one object on stdout, as YAML when that is the format, or otherwise as JSON."""
    answer.given = True
    text = json.dumps(value, default=str)
    if answer.format == "yaml":
        import yaml

        text = yaml.safe_dump(json.loads(text), sort_keys=False).rstrip()
    print(text, flush=True)


def print_line(text: str) -> None:
    """Prints a line of the answer for a person, on stdout."""
    print(visible(text), flush=True)


def print_failure(error: CommandError) -> int:
    """Prints why the command ends. For JSON and YAML it also prints an object on stdout. Returns the exit code."""
    print_error(error)
    if answer.is_object and not answer.given:
        with suppress(BrokenPipeError):
            print_object({"error": error.message, "hint": error.hint, "code": error.code})
    return error.code


def say(text: str) -> None:
    """Prints a line for a person on stderr, never on stdout. A drawn progress display moves below it."""
    print(visible(text), file=sys.stderr, flush=True)


@cache
def stderr_console() -> Console:
    """The console that draws progress. Names from outside are neither markup nor emoji."""
    from rich.console import Console

    return Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False)


@asynccontextmanager
async def busy(text: str) -> AsyncIterator[None]:
    """Shows within a second why the command waits: a spinner on a terminal, elsewhere a line."""
    import asyncio

    telling = asyncio.create_task(_tell_soon(text))
    try:
        yield
    finally:
        telling.cancel()
        with suppress(asyncio.CancelledError):
            await telling


async def _tell_soon(text: str) -> None:
    import asyncio

    await asyncio.sleep(_SOON)
    if not sys.stderr.isatty():
        say(f"{text} …")
        return
    with stderr_console().status(visible(text)):
        await asyncio.Event().wait()
