"""Follows a change to its end, and shows how far it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import TypeAdapter, ValidationError
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus, WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode

from console.changes import Ended, Handle, how_it_ended
from console.display import Display
from console.faults import is_no_namespace, is_not_allowed
from console.output import OUT_OF_REACH, Leave
from console.pending import heartbeat, untaken
from membership.model import Handover, SyncProgress
from messages.views import ChangeView

# Seconds; a server or a worker that is away longer is said to be.
_SILENCE = 5.0
_GIVE_UP = 60.0
_QUERY_DEADLINE = timedelta(seconds=2)

_VIEW = TypeAdapter(ChangeView)


@dataclass(frozen=True)
class Sight:
    """
    One look at a change: the server's description, the worker's view, the heartbeat of what is pending.

    `handover` is one with which a member may be started; `dead` says why there is none any more.
    """

    description: WorkflowExecutionDescription
    view: ChangeView | None
    progress: SyncProgress | None
    waits_for: str
    handover: Handover | None
    dead: str

    @property
    def is_running(self) -> bool:
        return self.description.status is WorkflowExecutionStatus.RUNNING


async def see(client: Client, handle: Handle) -> Sight:
    """Looks at a change once."""
    description = await handle.describe()
    # Only a cancelled change ends without an outcome that has its figures.
    asked = description.status in (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.CANCELED)
    view = await _view(handle) if asked else None
    progress, waits_for = await heartbeat(client, description)
    waits_for = await untaken(client, description) or waits_for or (view.waits_for if view else "")
    memo = await description.memo()
    dead = _why_dead(description, memo, view)
    handover = Handover(**memo["handover"]) if memo.get("handover") and not dead else None
    return Sight(description, view, progress, waits_for, handover, dead)


def _why_dead(description: WorkflowExecutionDescription, memo: Mapping[str, Any], view: ChangeView | None) -> str:
    """
    Why nobody may start a member with the change's handover any more.

    Its rollback also takes the handover out of the memo, which tells so while no worker answers.
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


async def end_of(client: Client, handle: Handle, seen: Sight) -> Ended:
    """How a change ended that was seen to be closed."""
    assert seen.description.status
    return await how_it_ended(client, handle, seen.description.status, seen.description.run_id or "", seen.view)


async def follow(
    client: Client,
    handle: Handle,
    display: Display,
    *,
    until_added: bool = False,
    timeout: timedelta | None = None,
    on_handover: Callable[[Handover], None] = lambda _: None,
) -> Ended | Sight:
    """
    Follows a change to its end, across resets of it and restarts of the server.

    Returns how it ended; or what was last seen of it, when the handover is known and `until_added`, or when
    `timeout` has passed. Raises Leave with OUT_OF_REACH when the server stays away.
    """
    deadline = time.monotonic() + (float("inf") if timeout is None else timeout.total_seconds())
    started = answered = viewed = time.monotonic()
    handed_over = False
    while True:
        now = time.monotonic()
        try:
            seen = await see(client, handle)
            answered = now
        except RPCError as error:
            if note := still_bearable(error, now - answered):
                display.note(note)
            await asyncio.sleep(1)
            continue
        viewed = now if seen.view or not seen.is_running else viewed
        display.show(seen.view, seen.progress, seen.waits_for, silent=now - viewed > _SILENCE)
        if seen.handover and not handed_over:
            handed_over = True
            on_handover(seen.handover)
        if not seen.is_running:
            return await end_of(client, handle, seen)
        if (until_added and seen.handover) or time.monotonic() >= deadline:
            return seen
        await asyncio.sleep(min(0.2 if now - started < 10 else 1.0, max(0.0, deadline - now)))


def still_bearable(error: RPCError, away: float) -> str:
    """What to tell of a server that hasn't answered for so many seconds; raises Leave with OUT_OF_REACH in the end."""
    if is_no_namespace(error) or is_not_allowed(error):
        raise error
    if error.status is RPCStatusCode.NOT_FOUND:
        raise Leave(OUT_OF_REACH, f"the change is gone from Temporal: {error}") from error
    if away > _GIVE_UP:
        raise Leave(
            OUT_OF_REACH,
            f"Temporal has been out of reach for {away:.0f} s: {error}",
            "the change goes on when the server is back; attach to it with `memberflow watch`",
        ) from error
    return f"Temporal is out of reach ({error}); trying on" if away > _SILENCE else ""
