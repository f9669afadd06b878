"""One look at a change from outside: the server's description, the change's view, the pending activity's heartbeat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from pydantic import TypeAdapter, ValidationError
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus, WorkflowQueryFailedError
from temporalio.service import RPCError

from client.change_request import Handle
from client.ended import Ended, how_it_ended
from client.pending import heartbeat, overdue, why_untaken
from membership.model import Handover, SyncProgress
from messages.apply import ApplyOutcome, ApplyView
from messages.ids import APPLY, parts_of
from messages.outcomes import Outcome, OutcomeKind
from messages.views import ChangeView, percent_text

_QUERY_DEADLINE = timedelta(seconds=2)

_VIEW = TypeAdapter(ChangeView)
_APPLY_VIEW: TypeAdapter[ChangeView] = TypeAdapter(ApplyView)
_HANDOVER = TypeAdapter(Handover)


@dataclass(frozen=True)
class Sight:
    """The result of one look at a change."""

    handle: Handle
    description: WorkflowExecutionDescription
    #: The change's own view. None: it has none, or no worker answered.
    view: ChangeView | None
    #: The live figures of a sync. None: no activity reports any.
    progress: SyncProgress | None
    #: The condition that the change waits for. Empty: it waits for nothing.
    waits_for: str
    #: The values to start the new member with. None before the add, and when the handover must not be used any more.
    handover: Handover | None
    #: Why the handover must not be used any more. Empty while it may be used.
    dead: str
    #: The number of calls to Temporal in this look.
    calls: int
    #: No worker has answered for a while.
    silent: bool = False
    #: The end of the change. None while it runs.
    end: Ended | None = None
    #: The change that an apply waits for. None for a change, and while no change of the apply runs.
    running: Sight | None = None

    @property
    def is_running(self) -> bool:
        return self.description.status is WorkflowExecutionStatus.RUNNING

    @property
    def stage(self) -> str:
        """The stage of the change, for a person. Empty when there is no view."""
        if self.view is None:
            return ""
        return f"held ({self.view.held})" if self.view.held else self.view.stage

    @property
    def figures(self) -> str:
        """The progress of the sync, for a person."""
        return percent_text(self.progress) if self.progress else ""

    @property
    def is_voter(self) -> bool:
        """Whether the new member is known to be a voter: its promote is past."""
        return self.view is not None and (self.view.stage == "verify" or "verify" in self.view.seconds)

    def same_history(self, description: WorkflowExecutionDescription) -> bool:
        """Whether nothing was added to the change's history since this look. Then its view is the same too."""
        mine = self.description
        return (mine.run_id, mine.history_length) == (description.run_id, description.history_length)


async def see(client: Client, handle: Handle, known: Sight | None = None) -> Sight:
    """
    Looks at a change once, or at an apply and its running change.

    When the history has not grown since `known`, its view is used again, without a query.
    """
    description = await handle.describe()
    calls = 1
    view = None
    if known and known.view and known.same_history(description):
        view = known.view
    # Every other ended change has an outcome with its figures.
    elif description.status in (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.CANCELED):
        view = await _view(handle)
        calls += 1
    progress, waits_for = await heartbeat(client, description)
    if pending := overdue(description):
        waits_for = await why_untaken(client, pending)
        calls += 1
    memo = await description.memo()
    dead = _why_dead(description, memo, view)
    has_handover = bool(memo.get("handover")) and not dead
    if has_handover and not (known and known.handover and known.description.run_id == description.run_id):
        dead = await _why_forged(client, description)
        calls += 1
    handover = _HANDOVER.validate_python(memo["handover"]) if has_handover and not dead else None
    waits_for = waits_for or (view.waits_for if view else "")
    seen = Sight(handle, description, view, progress, waits_for, handover, dead, calls)
    return await _with_running(client, seen, known)


async def _with_running(client: Client, seen: Sight, known: Sight | None) -> Sight:
    """The same sight, with the running change of an apply."""
    step = seen.view.running if isinstance(seen.view, ApplyView) else None
    if step is None or not seen.is_running:
        return seen
    before = known.running if known else None
    same = before if before and before.handle.id == step.workflow_id else None
    running = await see(client, client.get_workflow_handle(step.workflow_id), same)
    return replace(seen, running=running, calls=seen.calls + running.calls)


async def with_end(client: Client, seen: Sight) -> Sight:
    """The same sight, with the end of the change if it has ended."""
    if seen.is_running:
        return seen
    assert seen.description.status
    end = await how_it_ended(client, seen.handle, seen.description.status, seen.description.run_id or "", seen.view)
    return replace(seen, end=end)


def outcome_so_far(seen: Sight, kind: OutcomeKind | None = None) -> Outcome:
    """The outcome of a change that goes on. Its kind is `kind`, or otherwise comes from the sight."""
    cluster, verb, member = parts_of(seen.handle.id)
    view = seen.view
    held = view.held if view else ""
    what = f"{cluster} {member}".rstrip()
    hint = f"`memberflow resume {what}` lets it go on, `memberflow cancel {what}` ends it"
    if verb == APPLY:
        return ApplyOutcome.of(
            cluster,
            view if isinstance(view, ApplyView) else None,
            outcome=kind or ("held" if held else "started"),
            workflow_id=seen.handle.id,
            run_id=seen.description.run_id or "",
            reason=held or seen.waits_for or None,
            hint=hint if held else None,
        )
    return Outcome(
        cluster=cluster,
        member=member,
        member_id=(view.member_id or None) if view else None,
        outcome=kind or ("held" if held else "added" if seen.handover else "started"),
        attempts=view.attempts if view else {},
        seconds=view.seconds if view else {},
        workflow_id=seen.handle.id,
        run_id=seen.description.run_id or "",
        reason=held or seen.waits_for or None,
        hint=hint if held else None,
    )


def _why_dead(description: WorkflowExecutionDescription, memo: Mapping[str, Any], view: ChangeView | None) -> str:
    """
    Why no member may be started with the change's handover any more.

    The rollback also takes the handover out of the memo, so it is known even while no worker answers.
    """
    if description.status is WorkflowExecutionStatus.COMPLETED:
        return ""
    if description.status is not WorkflowExecutionStatus.RUNNING:
        return "did not succeed"
    if (view and view.stage == "rollback") or memo.get("handover", ...) is None:
        return "is being rolled back"
    too_late = view is not None and view.stage == "verify"
    if description.raw_description.workflow_extended_info.cancel_requested and not too_late:
        return "is being cancelled"
    return ""


async def _why_forged(client: Client, description: WorkflowExecutionDescription) -> str:
    """
    Why the handover in the memo is not the change's own. Empty if it is.

    A caller can start a change with any memo. The workflow refuses such a change, but only once a worker runs it.
    """
    run = client.get_workflow_handle(description.id, run_id=description.run_id)
    async for event in run.fetch_history_events(page_size=1):
        if "handover" in event.workflow_execution_started_event_attributes.memo.fields:
            return "was started with a handover that its caller made up"
        break
    return ""


async def _view(handle: Handle) -> ChangeView | None:
    adapter = _APPLY_VIEW if parts_of(handle.id)[1] == APPLY else _VIEW
    try:
        return adapter.validate_python(await handle.query("progress", rpc_timeout=_QUERY_DEADLINE))
    except (RPCError, WorkflowQueryFailedError, ValidationError):
        return None
