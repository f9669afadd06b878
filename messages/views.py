"""The state of a change and of the turns, for a person: the `progress` query and the texts in Temporal's UI."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from membership.failures import runbook
from membership.model import SyncProgress
from membership.sent_calls import tell_call
from membership.text import in_markdown
from messages.turns import LateCall, TurnsState

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
class End:
    """How a change ended, for a person."""

    outcome: str
    #: The type under which the workflow failed. Empty: it succeeded.
    failure: str = ""
    #: Why it did not go through, and the next step.
    reason: str = ""
    hint: str = ""


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
    #: None while it runs.
    end: End | None = None


def percent_text(progress: SyncProgress) -> str:
    """How far a sync is, in a few words. A snapshot has no percent, only its time and size."""
    if progress.percent is not None:
        eta = f", about {progress.eta:.0f} s to go" if progress.eta else ""
        return f"{progress.percent:.1f} % of the leader's log ({progress.match} of {progress.target}){eta}"
    if progress.snapshot_size is not None:
        return f"snapshot of {progress.snapshot_size / 1e6:.1f} MB under way for {progress.elapsed:.0f} s"
    return ""


def details(view: ChangeView, stages: tuple[Stage, ...]) -> str:
    """
    The change in Markdown, with every stage of it. Texts from outside are escaped.

    A list, since Temporal's UI sets the columns of a table without a space between them.
    """
    lines = [f"### {in_markdown(view.what)}", ""]
    for stage in stages:
        took = view.seconds.get(stage)
        mark = f"{stage}: done in {took:.1f} s" if took is not None else stage
        lines.append(f"- **{stage}: now**" if stage == view.stage else f"- {mark}")
    lines += [f"- {stage}: took {took:.1f} s" for stage, took in view.seconds.items() if stage not in stages]
    if view.stage not in stages and view.stage != "ended":
        lines.append(f"- **{view.stage}: now**")
    lines += _now(view)
    if view.warnings:
        lines += ["", "**Warnings:**", *(f"- {in_markdown(warning)}" for warning in view.warnings)]
    return "\n".join(lines)


def _now(view: ChangeView) -> list[str]:
    lines = _ended(view.end) if view.end else []
    if view.held:
        lines += ["", f"**Held:** {in_markdown(view.held)}. Send the update `resume` to go on, or cancel."]
    if view.waits_for:
        lines += ["", f"**Waits for:** {in_markdown(view.waits_for)}"]
    if view.progress and (text := percent_text(view.progress)):
        lines += ["", f"**Sync:** {text} (*Pending Activities* shows it live)"]
    if view.member_id:
        lines += ["", f"**Member ID:** {view.member_id}"]
    if view.attempts:
        lines += ["", "**Calls sent:** " + ", ".join(f"{what} {n}" for what, n in view.attempts.items())]
    return lines


def _ended(end: End) -> list[str]:
    failure = f" (`{in_markdown(end.failure)}`)" if end.failure else ""
    lines = ["", f"**Ended:** {end.outcome}{failure}"]
    if end.reason:
        lines += ["", f"**Why:** {in_markdown(end.reason)}"]
    if end.hint:
        lines += ["", f"**Next:** {in_markdown(end.hint)}"]
    if end.failure:
        lines += ["", f"**Runbook:** `{runbook(end.failure)}`"]
    return lines


def turns_details(cluster: str, state: TurnsState) -> str:
    """The turns in Markdown. Workflow IDs come from the callers that started the changes, and are escaped."""
    lines = [f"### Changes of {in_markdown(cluster)}, one at a time", ""]
    if state.holder:
        since = datetime.fromtimestamp(state.granted_at, UTC)
        held = ". It is **held**: `memberflow resume` or `cancel` it" if state.holder_is_held else ""
        holder = in_markdown(state.holder.workflow_id)
        lines.append(f"- **{holder}** has had the turn since {since:%Y-%m-%d %H:%M:%S} UTC{held}")
    for place, ticket in enumerate(state.waiting, 1):
        may = ", and may cancel a held join" if ticket in state.preempting else ""
        lines.append(f"- {in_markdown(ticket.workflow_id)} waits, place {place}{may}")
    if not (state.holder or state.waiting):
        lines.append("No change has the turn or waits for it.")
    if state.resting:
        until = datetime.fromtimestamp(state.rest_until, UTC)
        lines += ["", f"**No turn until {until:%H:%M:%S} UTC:** a call of a change that was ended may still arrive."]
    if state.orphans:
        lines += ["", "**Learners left by changes that ended unfinished** (the next change removes them first):"]
        for left in state.orphans:
            lines.append(f"- {in_markdown(left.member_id)}, added by {in_markdown(left.ticket.workflow_id)}")
    if state.late:
        lines += ["", "**Calls of ended changes that may still take effect** (the next change looks at them first):"]
        lines += [f"- {in_markdown(tell_late(late))}" for late in state.late]
    return "\n".join(lines)


def tell_late(late: LateCall) -> str:
    """A call of an ended change, for a person."""
    return f"{tell_call(late.call)}, sent by {late.ticket.workflow_id}"
