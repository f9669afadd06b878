"""Prints the result of a change, or its present state."""

from __future__ import annotations

from typing import Any

from client.ended import with_name
from client.exit_codes import OUT_OF_REACH, STILL_RUNNING, CommandError
from client.sight import Sight, outcome_so_far
from console.terminal.output import print_answer, say
from messages.apply import ApplyOutcome
from messages.outcomes import Outcome


def print_end(seen: Sight | None) -> int:
    """
    Prints the end of a change, or its state when the wait ended. Returns the exit code.

    Raises CommandError with OUT_OF_REACH for no sight: Temporal never answered.
    """
    if seen is None:
        raise CommandError(OUT_OF_REACH, "Temporal did not answer before the wait ended", "the change goes on")
    if seen.end:
        return print_outcome(seen.end.outcome, seen.end.code, seen.end.error)
    return print_outcome(outcome_so_far(seen), STILL_RUNNING)


def print_outcome(outcome: Outcome, code: int, error: str = "") -> int:
    """Prints an outcome and returns the exit code. `error`: the failure's type, empty for a success."""
    if print_answer(as_object(outcome), names=[outcome.workflow_id]):
        return code
    say(_sentence(outcome, error))
    if isinstance(outcome, ApplyOutcome):
        for left in outcome.left:
            say(f"  not done: {left}")
    for warning in outcome.warnings:
        say(f"  warning: {warning}")
    if outcome.hint:
        say(f"  hint: {outcome.hint}")
    return code


def as_object(outcome: Outcome) -> dict[str, Any]:
    """The outcome without the fields that do not apply. The member's ID is always there, and may be null."""
    shown = outcome.model_dump(mode="json", exclude_none=True)
    if isinstance(outcome, ApplyOutcome):
        changes = [as_object(change) for change in outcome.changes]
        return {key: value for key, value in {**shown, "changes": changes}.items() if key not in ("member", "attempts")}
    return {**outcome.model_dump(include={"cluster", "member", "member_id"}), **shown}


def _sentence(outcome: Outcome, error: str) -> str:
    member = f"{outcome.member} ({outcome.member_id})" if outcome.member_id else outcome.member
    text = f"{member} in {outcome.cluster}: {outcome.outcome}"
    if isinstance(outcome, ApplyOutcome):
        text = f"{outcome.cluster}: {outcome.outcome.replace('-', ' ')}"
    if outcome.voters:
        text += f"; voters: {', '.join(outcome.voters)}"
    if outcome.reason:
        text += f": {with_name(error, outcome.reason)}"
    total = outcome.seconds.get("total")
    return f"{text} ({total:.1f} s)" if total is not None else text
