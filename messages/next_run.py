"""The argument of a change: the caller's request, and in every later run also the state of the run before."""

from __future__ import annotations

from typing import Any

#: The type of the answer to a caller that waited until the run of the change had to end.
ASK_AGAIN = "AskAgain"


def is_next_run(argument: Any) -> bool:
    """Whether a run before this one handed its state over."""
    return isinstance(argument, dict) and set(argument) == {"request", "so_far"}


def request_in(argument: Any) -> Any:
    """The caller's request in the argument of any run."""
    return argument["request"] if is_next_run(argument) else argument
