"""What a command prints: the answer on stdout, everything else on stderr."""

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

# Seconds after which a command says what it waits for.
_SOON = 0.7

_FORMAT = re.compile(r"(?:-o|--output)=?(json|yaml)?")


@dataclass
class Answer:
    """What stdout is for."""

    #: json, yaml, name or wide; empty for a person.
    format: str = ""
    #: Whether the one object has been printed.
    given: bool = False

    @property
    def is_object(self) -> bool:
        return self.format in ("json", "yaml")


answer = Answer()


def format_in(args: Sequence[str]) -> str:
    """The format that the arguments ask for, json or yaml: an error of the usage itself is printed in it too."""
    if "--json" in args:
        return "json"
    for option, value in pairwise([*args, ""]):
        found = _FORMAT.fullmatch(option)
        chosen = found and (found[1] or value)
        if chosen in ("json", "yaml"):
            return chosen
    return ""


def print_answer(value: Any, names: Iterable[str] = ()) -> bool:
    """Prints the answer as JSON, YAML or names, as asked for; false when it was asked for in a person's form."""
    if answer.format == "name":
        for name in names:
            print(visible(name))
        return True
    if answer.is_object:
        print_object(value)
    return answer.is_object


def print_object(value: Any) -> None:
    """One object on stdout: JSON, or YAML where that was asked for."""
    answer.given = True
    text = json.dumps(value, default=str)
    if answer.format == "yaml":
        import yaml

        text = yaml.safe_dump(json.loads(text), sort_keys=False).rstrip()
    print(text, flush=True)


def print_line(text: str) -> None:
    """A line of the answer for a person, on stdout."""
    print(visible(text), flush=True)


def print_failure(error: CommandError) -> int:
    """Says why the command ends, also on stdout where one object was asked for; returns the exit code."""
    print_error(error)
    if answer.is_object and not answer.given:
        with suppress(BrokenPipeError):
            print_object({"error": error.message, "hint": error.hint, "code": error.code})
    return error.code


def say(text: str) -> None:
    """A line for the person who watches; never on stdout. Progress that is drawn moves out of its way."""
    print(visible(text), file=sys.stderr, flush=True)


@cache
def stderr_console() -> Console:
    """Where progress is drawn. Names of others are neither markup nor emoji."""
    from rich.console import Console

    return Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False)


@asynccontextmanager
async def busy(text: str) -> AsyncIterator[None]:
    """Says within a second what the command waits for: a spinner on a terminal, else a line."""
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
