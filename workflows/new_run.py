"""
When a change goes on in a new run (Temporal: continue as new), so that no history grows without a bound.

It does so only between two rounds of `settle`, or in line: nothing of it is under way then, and the effect of its last
act is known. A way back does not: it begins in a history that is short enough for all of it.
"""

from __future__ import annotations

from typing import TypeVar

from temporalio import workflow
from temporalio.common import RawValue

from workflows.arguments import NOTHING
from workflows.interruptions import Interruptions

with workflow.unsafe.imports_passed_through():
    from messages.next_run import is_next_run
    from workflows.carried import Tries

N = TypeVar("N")

# Temporal's limits for the history of a run.
EVENTS, _BYTES = 51_200, 50 * 2**20
# Shares of them, at which a change gives up that could not go on in a new run: forward, and on its way back.
FORWARD, BACK = 0.4, 0.8


class NewRun(Exception):
    """The change goes on in a new run."""

    def __init__(self, tries: Tries) -> None:
        super().__init__()
        #: The attempts at the step in which the change is.
        self.tries = tries


def history_used() -> float:
    """How much of Temporal's limits the history of this run has taken."""
    info = workflow.info()
    return max(info.get_current_history_length() / EVENTS, info.get_current_history_size() / _BYTES)


def is_due(interruptions: Interruptions) -> bool:
    """
    Whether to go on in a new run now.

    A stop or a hold comes first, and so does an answer that a caller waits for. Once the history is twice as long as
    when the new run was due, the caller is told to ask again: its question would end with the run.
    """
    info = workflow.info()
    if not info.is_continue_as_new_suggested() or interruptions.unstoppable:
        return False
    events = info.get_current_history_length()
    interruptions.due_at = interruptions.due_at or events
    interruptions.is_pressed = events >= 2 * interruptions.due_at
    return workflow.all_handlers_finished() and not interruptions.pending


def read_next_run(argument: RawValue, kind: type[N]) -> N | None:
    """
    The argument of this kind that the run before handed over. None in the first run: a caller hands no state over.

    A state that this version cannot read fails the workflow's task and not the change: Temporal gives the task to the
    next worker, until one of a fitting version takes it.
    """
    if workflow.info().continued_run_id is None or argument is NOTHING:
        return None
    converter = workflow.payload_converter()
    if not is_next_run(converter.from_payload(argument.payload)):
        return None
    next_run: N = converter.from_payload(argument.payload, kind)
    return next_run
