"""The state of a change and of the turns, for a person: the `progress` query and the texts in Temporal's UI."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from membership.model import SyncProgress
from membership.text import in_markdown
from messages.turns import TurnsState

Stage = Literal[
    "preflight",
    "turn",
    "add",
    "sync",
    "promote",
    "verify",
    "snapshot",
    "lead",
    "remove",
    "check",
    "rollback",
    "apply",
    "ended",
]


@dataclass(frozen=True)
class ChangeView:
    """The state of a change, for a person."""

    #: The change in one sentence.
    what: str
    stage: Stage
    verb: str = ""
    #: The condition that it waits for. Empty: it waits for nothing.
    waits_for: str = ""
    #: Why it is held. Empty: it is not held.
    held: str = ""
    #: The ID of the member that joins or leaves, in hex. Empty until it is known.
    member_id: str = ""
    #: The last progress that a wait reported. None: none was reported.
    progress: SyncProgress | None = None
    #: How many calls were sent, by act.
    attempts: dict[str, int] = field(default_factory=dict)
    #: The durations of the stages that have ended.
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def percent_text(progress: SyncProgress) -> str:
    """How far a sync is, in a few words. A snapshot has no percent, only its time and size."""
    if progress.percent is not None:
        eta = f", about {progress.eta:.0f} s to go" if progress.eta else ""
        return f"{progress.percent:.1f} % of the leader's log ({progress.match} of {progress.target}){eta}"
    if progress.snapshot_size is not None:
        return f"snapshot of {progress.snapshot_size / 1e6:.1f} MB under way for {progress.elapsed:.0f} s"
    return ""


def details(view: ChangeView, stages: tuple[Stage, ...]) -> str:
    """The change in Markdown, with every stage of it. Texts from outside are escaped."""
    lines = [f"### {in_markdown(view.what)}", "", "| stage | |", "|---|---|"]
    for stage in stages:
        took = view.seconds.get(stage)
        mark = f"done in {took:.1f} s" if took is not None else ""
        lines.append(f"| {stage} | {'**now**' if stage == view.stage else mark} |")
    if view.stage not in stages:
        lines.append(f"| {view.stage} | **now** |")
    lines += _now(view)
    if view.warnings:
        lines += ["", "**Warnings:**", *(f"- {in_markdown(warning)}" for warning in view.warnings)]
    return "\n".join(lines)


def _now(view: ChangeView) -> list[str]:
    lines = []
    if view.held:
        lines += ["", f"**Held:** {in_markdown(view.held)}. Send the update `resume` to go on, or cancel."]
    if view.waits_for:
        lines += ["", f"**Waits for:** {in_markdown(view.waits_for)}"]
    if view.progress and (text := percent_text(view.progress)):
        lines += ["", f"**Sync:** {text} (live in the pending activity's heartbeat)"]
    if view.member_id:
        lines += ["", f"**Member ID:** {view.member_id}"]
    if view.attempts:
        lines += ["", "**Calls sent:** " + ", ".join(f"{what} {n}" for what, n in view.attempts.items())]
    return lines


def turns_details(state: TurnsState) -> str:
    """The turns in Markdown. Workflow IDs come from the callers that started the changes, and are escaped."""
    holder = "nobody"
    if state.resting:
        holder = "nobody (resting)"
    elif state.holder:
        holder = in_markdown(state.holder.workflow_id)
    lines = [f"**Turn:** {holder}", "", f"**Waiting:** {len(state.waiting)}"]
    lines += [f"1. {in_markdown(ticket.workflow_id)}" for ticket in state.waiting]
    if state.orphans:
        lines += ["", "**Learners left by changes that ended unfinished:**"]
        for left in state.orphans:
            lines.append(f"- {in_markdown(left.member_id)}, added by {in_markdown(left.ticket.workflow_id)}")
    return "\n".join(lines)
