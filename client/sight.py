"""One look at a change from outside: the server's description, the worker's view, the pending activity's heartbeat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from pydantic import TypeAdapter, ValidationError
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus, WorkflowQueryFailedError
from temporalio.service import RPCError

from client.outcomes import Ended, how_it_ended
from client.pending import heartbeat, overdue, why_untaken
from client.requests import Handle
from membership.model import Handover, SyncProgress
from messages.outcomes import Outcome, OutcomeKind
from messages.views import ChangeView, percent_text

_QUERY_DEADLINE = timedelta(seconds=2)

_VIEW = TypeAdapter(ChangeView)
_HANDOVER = TypeAdapter(Handover)


@dataclass(frozen=True)
class Sight:
    """What one look at a change showed."""

    handle: Handle
    description: WorkflowExecutionDescription
    #: The change's own view; None when no worker answered.
    view: ChangeView | None
    progress: SyncProgress | None
    #: What the change waits for; empty when it waits for nothing.
    waits_for: str
    #: A new member may be started with it; None before the add, and once it is dead.
    handover: Handover | None
    #: Why the handover must not be used any more; empty while it may be.
    dead: str
    #: How many calls to Temporal this look took.
    calls: int
    #: No worker has answered for a while.
    silent: bool = False
    #: How it ended; None while it runs.
    end: Ended | None = None

    @property
    def is_running(self) -> bool:
        return self.description.status is WorkflowExecutionStatus.RUNNING

    @property
    def stage(self) -> str:
        """Where the change is, for a person; empty when no worker answered."""
        if self.view is None:
            return ""
        return f"held ({self.view.held})" if self.view.held else self.view.stage

    @property
    def figures(self) -> str:
        """How far the sync is, for a person."""
        return percent_text(self.progress) if self.progress else ""

    @property
    def is_voter(self) -> bool:
        """Whether the new member is known to be a voter: its promote is past."""
        return self.view is not None and (self.view.stage == "verify" or "verify" in self.view.seconds)

    def same_history(self, description: WorkflowExecutionDescription) -> bool:
        """Whether nothing was added to the change's history since: then its view is the same too."""
        mine = self.description
        return (mine.run_id, mine.history_length) == (description.run_id, description.history_length)


async def see(client: Client, handle: Handle, known: Sight | None = None) -> Sight:
    """
    Looks at a change once.

    The view of `known` is used again, without a query, when the history has not grown since.
    """
    description = await handle.describe()
    calls = 1
    view = None
    if known and known.view and known.same_history(description):
        view = known.view
    # Every other end has an outcome with its figures.
    elif description.status in (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.CANCELED):
        view = await _view(handle)
        calls += 1
    progress, waits_for = await heartbeat(client, description)
    if pending := overdue(description):
        waits_for = await why_untaken(client, pending)
        calls += 1
    memo = await description.memo()
    dead = _why_dead(description, memo, view)
    handover = _HANDOVER.validate_python(memo["handover"]) if memo.get("handover") and not dead else None
    waits_for = waits_for or (view.waits_for if view else "")
    return Sight(handle, description, view, progress, waits_for, handover, dead, calls)


async def with_end(client: Client, seen: Sight) -> Sight:
    """The same, with how the change ended when it has."""
    if seen.is_running:
        return seen
    assert seen.description.status
    end = await how_it_ended(client, seen.handle, seen.description.status, seen.description.run_id or "", seen.view)
    return replace(seen, end=end)


def outcome_so_far(seen: Sight, kind: OutcomeKind | None = None) -> Outcome:
    """The outcome of a change that goes on: of this kind, or as it was seen."""
    _, cluster, _, member = seen.handle.id.split(":")
    view = seen.view
    held = view.held if view else ""
    hint = f"`memberflow resume {cluster} {member}` lets it go on, `memberflow cancel {cluster} {member}` ends it"
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

    The rollback also takes the handover out of the memo: that is seen while no worker answers.
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


async def _view(handle: Handle) -> ChangeView | None:
    try:
        return _VIEW.validate_python(await handle.query("progress", rpc_timeout=_QUERY_DEADLINE))
    except (RPCError, WorkflowQueryFailedError, ValidationError):
        return None
