"""
Turns: activities that speak to a cluster's `ClusterTurns`.

They run on the event loop and only talk to Temporal. Everything here may be repeated: a claim is the same claim
however often it is sent, and the turn is held until the holder has closed, so there is no release to be lost.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.client import (
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowHistoryEventFilterType,
    WorkflowQueryFailedError,
)
from temporalio.service import RPCError, RPCStatusCode

from activities.failures import again_later, moves_on_at_shutdown
from activities.temporal import Temporal
from messages.requests import turns_id
from messages.turns import REPEAT, Cancel, Claim, Closed, Holding, Ticket, TurnsState
from messages.views import ChangeView

# Seconds between two questions whether the turn has come, and between two heartbeats.
_POLL_FIRST = 0.05
_POLL_LATER = 1.0
_BEAT = 2.0

_ORDERLY = {WorkflowExecutionStatus.COMPLETED, WorkflowExecutionStatus.FAILED, WorkflowExecutionStatus.CANCELED}


class Turns:
    """
    Claims turns and watches who has them.

    As with `Watch`, an attempt to keep a turn lasts `patience` seconds at most and is handed to the next one.
    """

    def __init__(self, temporal: Temporal, patience: float = 3600.0, pause: timedelta = timedelta(seconds=1)) -> None:
        self._temporal = temporal
        self._patience = patience
        self._pause = pause

    @activity.defn
    async def request_turn(self, claim: Claim) -> TurnsState:
        """Claims the turn until it is there; the heartbeat tells who is ahead. Returns the turns as they are then."""
        async with moves_on_at_shutdown():
            return await self._until_granted(claim)

    async def _until_granted(self, claim: Claim) -> TurnsState:
        loop = asyncio.get_running_loop()
        poll, claim_at = _POLL_FIRST, loop.time()
        while True:
            if loop.time() >= claim_at:
                await self.send_claim(claim)
                claim_at = loop.time() + REPEAT
            state = await self._temporal.turns_state(claim.cluster)
            if state is None:
                claim_at = loop.time()  # the turns were ended from outside: claim anew
            elif state.holder == claim.ticket:
                return state
            else:
                activity.heartbeat(_place_in_line(state, claim.ticket))
                if claim.preempt and state.holder and await self._preempt(claim, state.holder):
                    claim = replace(claim, preempt=False)
            await asyncio.sleep(poll)
            poll = min(_POLL_LATER, poll * 1.5)

    @activity.defn
    async def keep_turn(self, claim: Claim) -> None:
        """Repeats a holder's claim until cancelled, so that a ClusterTurns that starts anew learns of the holder."""
        if claim.added or claim.gone:
            await self.send_claim(claim)
        # Cancelled is how this ends: the change has closed, or claims otherwise from now on.
        with suppress(asyncio.CancelledError):
            async with moves_on_at_shutdown():
                await self._repeat(claim)

    async def _repeat(self, claim: Claim) -> None:
        loop = asyncio.get_running_loop()
        claim_at = loop.time() + REPEAT
        until = loop.time() + self._patience
        while loop.time() < until:
            activity.heartbeat()
            await asyncio.sleep(_BEAT)
            if loop.time() >= claim_at:
                await self.send_claim(claim)
                claim_at = loop.time() + REPEAT
        raise again_later("StillKeeping", "the turn is kept in a new attempt", self._pause)

    @activity.defn
    async def send_claim(self, claim: Claim) -> None:
        """
        Sends a claim once; starts ClusterTurns where nobody keeps the turns.

        One that was terminated may have left a holder behind, so its successor rests before it grants.
        """
        turns = self._temporal.turns(claim.cluster)
        try:
            await turns.signal("claim", claim)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            if claim.giving_back:
                return
            await self._temporal.client.start_workflow(
                "ClusterTurns",
                TurnsState(rest_first=await _ended_badly(turns)),
                id=turns_id(claim.cluster),
                task_queue=activity.info().task_queue,
                start_signal="claim",
                start_signal_args=[claim],
                static_summary=f"Turns of cluster {claim.cluster}: one change at a time",
            )

    @activity.defn
    async def cancel_change(self, cancel: Cancel) -> None:
        """Cancels a change as Temporal's UI does. A change that has closed meanwhile is left as it is."""
        await self._cancel(cancel.ticket, f"cancelled by {cancel.by or 'its update'}")

    async def _cancel(self, ticket: Ticket, reason: str) -> None:
        handle = self._temporal.client.get_workflow_handle(ticket.workflow_id, first_execution_run_id=ticket.run_id)
        try:
            await handle.cancel(reason=reason)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise

    async def _preempt(self, claim: Claim, holder: Ticket) -> bool:
        """Cancels the holder if it is a held join; whether it was."""
        try:
            view = await self._change(holder.workflow_id).query("progress", result_type=ChangeView)
        except (RPCError, WorkflowQueryFailedError):
            return False
        if not view.held or view.verb != "join":
            return False
        await self._cancel(holder, f"preempted by {claim.ticket.workflow_id}")
        return True

    @activity.defn
    async def read_turns(self, cluster: str) -> TurnsState:
        """The turns as they are; empty when nobody keeps them."""
        return await self._temporal.turns_state(cluster) or TurnsState()

    @activity.defn
    async def watch_holder(self, holding: Holding) -> Closed:
        """Waits until the change has closed, however it closed; a reset of it is the same change."""
        async with moves_on_at_shutdown():
            return await self._until_change_closed(holding)

    async def _until_change_closed(self, holding: Holding) -> Closed:
        ticket = holding.ticket
        while True:
            try:
                latest = await self._change(ticket.workflow_id).describe()
                if latest.raw_description.workflow_execution_info.first_run_id != ticket.run_id:
                    latest = await self._change(ticket.workflow_id, ticket.run_id).describe()
            except RPCError as error:
                if error.status is RPCStatusCode.NOT_FOUND:
                    return Closed("NOT_FOUND", orderly=False)
                raise
            if latest.status is WorkflowExecutionStatus.RUNNING:
                await _until_closed(self._change(ticket.workflow_id, latest.run_id))
            else:
                return _closed(latest, holding.since)

    def _change(self, workflow_id: str, run_id: str | None = None) -> WorkflowHandle[Any, Any]:
        return self._temporal.client.get_workflow_handle(workflow_id, run_id=run_id)


async def _until_closed(run: WorkflowHandle[Any, Any]) -> None:
    """Long-polls for the close event of one run, with heartbeats."""
    events = run.fetch_history_events(
        wait_new_event=True, event_filter_type=WorkflowHistoryEventFilterType.CLOSE_EVENT, skip_archival=True
    )
    close = asyncio.ensure_future(anext(aiter(events), None))
    try:
        while not (await asyncio.wait({close}, timeout=_BEAT))[0]:
            activity.heartbeat()
        await close
    finally:
        close.cancel()


def _closed(run: WorkflowExecutionDescription, since: float) -> Closed:
    status = run.status or WorkflowExecutionStatus.TERMINATED
    held = run.close_time is None or run.close_time.timestamp() >= since
    return Closed(status.name, orderly=status in _ORDERLY, held=held)


async def _ended_badly(turns: WorkflowHandle[Any, Any]) -> bool:
    try:
        return (await turns.describe()).status is not WorkflowExecutionStatus.COMPLETED
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise


def _place_in_line(state: TurnsState, ticket: Ticket) -> str:
    """Who is ahead, for a person."""
    if state.resting:
        return "the turns rest: a change that had the turn, or the turns themselves, ended from outside"
    ids = [t.workflow_id for t in state.waiting]
    place = next((i for i, t in enumerate(state.waiting) if t == ticket), None)
    ahead = [state.holder.workflow_id] if state.holder else []
    ahead += ids if place is None else ids[:place]
    return f"waits for its turn behind {', '.join(ahead)}" if ahead else "waits for its turn"
