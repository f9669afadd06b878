"""Tells how a change went, or where it stands."""

from __future__ import annotations

from typing import Any

from console.changes import Ended, Handle
from console.follow import Sight
from console.output import STILL_RUNNING, print_json, say
from messages.outcomes import Outcome, OutcomeKind


def still(handle: Handle, seen: Sight, kind: OutcomeKind | None = None) -> Outcome:
    """The outcome of a change that goes on: of this kind, or as it was seen."""
    _, cluster, _, member = handle.id.split(":")
    view = seen.view
    held = view.held if view else ""
    return Outcome(
        cluster=cluster,
        member=member,
        member_id=(view.member_id or None) if view else None,
        outcome=kind or ("held" if held else "added" if seen.handover else "started"),
        attempts=view.attempts if view else {},
        seconds=view.seconds if view else {},
        workflow_id=handle.id,
        run_id=seen.description.run_id or "",
        reason=held or seen.waits_for or None,
        hint=f"`memberflow resume {cluster} {member}` lets it go on, or `memberflow cancel {cluster} {member}`"
        if held
        else None,
    )


def tell_end(handle: Handle, end: Ended | Sight, *, json: bool) -> int:
    if isinstance(end, Sight):
        return tell(still(handle, end), json=json, code=STILL_RUNNING)
    return tell(end.outcome, json=json, code=end.code, error=end.error)


def tell(outcome: Outcome, *, json: bool, code: int, error: str = "") -> int:
    if json:
        print_json(as_json(outcome))
        return code
    say(_sentence(outcome, error))
    for warning in outcome.warnings:
        say(f"  warning: {warning}")
    if outcome.hint:
        say(f"  hint: {outcome.hint}")
    return code


def as_json(outcome: Outcome) -> dict[str, Any]:
    """What does not apply is left out; the member's ID is there even where nobody knows it."""
    shown = outcome.model_dump(mode="json", exclude_none=True)
    return {**outcome.model_dump(include={"cluster", "member", "member_id"}), **shown}


def _sentence(outcome: Outcome, error: str) -> str:
    member = f"{outcome.member} ({outcome.member_id})" if outcome.member_id else outcome.member
    text = f"{member} in {outcome.cluster}: {outcome.outcome}"
    if outcome.voters:
        text += f"; voters: {', '.join(outcome.voters)}"
    if outcome.reason:
        text += f": {error + ': ' if error else ''}{outcome.reason}"
    total = outcome.seconds.get("total")
    return f"{text} ({total:.1f} s)" if total is not None else text
