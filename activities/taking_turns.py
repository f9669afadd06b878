"""
Turns: activities that speak to a cluster's `ClusterTurns`, and those with which it asks the changes.

They run on the event loop and only talk to Temporal. Everything here may be repeated.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import (
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowHistoryEventFilterType,
    WorkflowQueryFailedError,
)
from temporalio.common import Priority
from temporalio.service import RPCError, RPCStatusCode

from activities.admission import Admission
from activities.clusters_file import Clusters
from activities.early_ends import moves_on_at_shutdown
from activities.temporal import Temporal
from membership.errors import MemberflowError
from messages.ids import WORKFLOW_TYPES, cluster_of_turns, turns_id, verb_of
from messages.queues import URGENT, fairness_key
from messages.turns import Cancel, ChangeQuestion, Claim, Ticket, TurnRequest, TurnsState, Word

# Seconds between two heartbeats of the watch of a holder.
_BEAT = 20.0
# A change has so long for its answer: Temporal may first have to find out that its worker is gone.
_ANSWERS_WITHIN = timedelta(seconds=8)
# A change that has closed is asked so often at most: its code may not be able to answer any more.
_TRIES = 3


class Turns:
    """Asks for turns, and asks the changes that want one."""

    def __init__(self, temporal: Temporal, clusters: Clusters, admission: Admission) -> None:
        self._temporal = temporal
        self._clusters = clusters
        self._admission = admission

    # ---- for a change ----

    @activity.defn
    async def ask_turn(self, asking: TurnRequest) -> None:
        """
        Asks for the turn once. ClusterTurns answers by signals: the grant, or which changes are ahead.

        Starts ClusterTurns where it doesn't run. A ClusterTurns that was ended from outside may have left a holder
        behind, so its successor rests before it grants.
        """
        self._admission.note_asked(asking.cluster, asking.ticket.workflow_id)
        turns = self._temporal.turns(asking.cluster)
        try:
            await turns.signal("claim", asking.ticket)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            await self._start_turns(turns, asking)

    async def _start_turns(self, turns: WorkflowHandle[Any, Any], asking: TurnRequest) -> None:
        await self._temporal.client.start_workflow(
            "ClusterTurns",
            TurnsState(rest_first=await _ended_badly(turns)),
            id=turns_id(asking.cluster),
            task_queue=activity.info().task_queue,
            start_signal="claim",
            start_signal_args=[asking.ticket],
            priority=Priority(priority_key=URGENT, fairness_key=fairness_key(asking.cluster)),
            static_summary=f"Turns of cluster {asking.cluster}: one change at a time",
        )

    @activity.defn
    async def turns_run(self, cluster: str) -> bool:
        """Whether the cluster's ClusterTurns runs."""
        return await _is_running(self._temporal.turns(cluster))

    @activity.defn
    async def read_turns(self, cluster: str) -> TurnsState:
        """The turns as they are, empty when ClusterTurns doesn't run."""
        return await self._temporal.turns_state(cluster) or TurnsState()

    @activity.defn
    async def preempt(self, asking: TurnRequest) -> bool:
        """Cancels the change that has the turn, if that is a join and held at this moment. True if it was."""
        holder = (await self.read_turns(asking.cluster)).holder
        if holder is None or verb_of(asking.cluster, holder.workflow_id) != "join":
            return False
        run = await self._run_of(holder)
        if run is None or run.status is not WorkflowExecutionStatus.RUNNING or not (await self._claim_of(run)).held:
            return False
        await self._cancel(holder, f"preempted by {asking.ticket.workflow_id}")
        return True

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

    # ---- for ClusterTurns ----

    @activity.defn
    async def ask_change(self, question: ChangeQuestion) -> Word | None:
        """
        Asks Temporal for the status of the change, and the change itself for its turn, its learners and its calls.

        None where there is no such change: not of this cluster, of another type, or not the ticket's first run.
        """
        cluster = cluster_of_turns(activity.info().workflow_id or "")
        verb = verb_of(cluster, question.ticket.workflow_id)
        run = await self._run_of(question.ticket)
        if not verb or run is None or run.workflow_type != WORKFLOW_TYPES[verb]:
            return None
        status = (run.status or WorkflowExecutionStatus.TERMINATED).name
        closed_at = run.close_time.timestamp() if run.close_time else None
        claim = None if status == "COMPLETED" and not question.claim_matters else await self._claim_if_any(run)
        limit = await asyncio.to_thread(self._max_waiting, cluster) if claim and claim.state == "waits" else None
        word = Word(status, closed_at, claim, is_join=verb == "join", max_waiting=limit)
        if word.is_over:
            self._admission.end(cluster, question.ticket.workflow_id)
        return word

    def _max_waiting(self, cluster: str) -> int | None:
        try:
            return self._clusters.allow(cluster).max_waiting
        except MemberflowError:
            return None  # every other step of the change names the error in the clusters file

    @activity.defn
    async def find_changes(self, cluster: str) -> list[Ticket]:
        """The running changes of this cluster, the oldest first. Temporal's list may lag behind by a moment."""
        types = ", ".join(f"'{name}'" for name in WORKFLOW_TYPES.values())
        of_cluster = f"WorkflowId STARTS_WITH '{turns_id(cluster)}:' AND WorkflowType IN ({types})"
        query = f"{of_cluster} AND ExecutionStatus = 'Running'"
        listed = [run async for run in self._temporal.client.list_workflows(query)]
        listed.sort(key=lambda run: run.start_time)
        runs = [await self._change(run.id).describe() for run in listed]
        return [Ticket(run.id, _first_run(run)) for run in runs]

    @activity.defn
    async def watch_holder(self, ticket: Ticket) -> None:
        """Returns when the change has closed, however it closed. A reset of it is the same change."""
        async with moves_on_at_shutdown():
            while (run := await self._run_of(ticket)) and run.status is WorkflowExecutionStatus.RUNNING:
                await until_closed(self._change(ticket.workflow_id, run.run_id))

    async def _run_of(self, ticket: Ticket) -> WorkflowExecutionDescription | None:
        """The latest run of the change that has this ticket, None where Temporal knows none."""
        try:
            run = await self._change(ticket.workflow_id).describe()
            if _first_run(run) != ticket.run_id:
                run = await self._last_of(await self._change(ticket.workflow_id, ticket.run_id).describe())
        except RPCError as error:
            # An invalid ID is answered by INVALID_ARGUMENT.
            if error.status in (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT):
                return None
            raise
        return run if _first_run(run) == ticket.run_id else None

    async def _last_of(self, run: WorkflowExecutionDescription) -> WorkflowExecutionDescription:
        """The last run of an earlier change, which may have gone on in new runs."""
        while run.status is WorkflowExecutionStatus.CONTINUED_AS_NEW:
            close = await _close_event(self._change(run.id, run.run_id))
            next_run = close.workflow_execution_continued_as_new_event_attributes.new_execution_run_id
            run = await self._change(run.id, next_run).describe()
        return run

    async def _claim_of(self, run: WorkflowExecutionDescription) -> Claim:
        handle = self._change(run.id, run.run_id)
        claim: Claim = await handle.query("claim", result_type=Claim, rpc_timeout=_ANSWERS_WITHIN)
        return claim

    async def _claim_if_any(self, run: WorkflowExecutionDescription) -> Claim | None:
        """A change that runs is asked until it answers."""
        try:
            return await self._claim_of(run)
        except (RPCError, WorkflowQueryFailedError):
            if run.status is WorkflowExecutionStatus.RUNNING or activity.info().attempt < _TRIES:
                raise
            return None

    def _change(self, workflow_id: str, run_id: str | None = None) -> WorkflowHandle[Any, Any]:
        return self._temporal.client.get_workflow_handle(workflow_id, run_id=run_id)


def _first_run(run: WorkflowExecutionDescription) -> str:
    return run.raw_description.workflow_execution_info.first_run_id


async def _close_event(run: WorkflowHandle[Any, Any]) -> HistoryEvent:
    """The last event of a run, once it has closed."""
    events = run.fetch_history_events(
        wait_new_event=True, event_filter_type=WorkflowHistoryEventFilterType.CLOSE_EVENT, skip_archival=True
    )
    return await anext(aiter(events), HistoryEvent())


async def until_closed(run: WorkflowHandle[Any, Any]) -> None:
    """Long-polls for the close event of one run, with heartbeats."""
    close = asyncio.ensure_future(_close_event(run))
    try:
        while not (await asyncio.wait({close}, timeout=_BEAT))[0]:
            activity.heartbeat()
        await close
    finally:
        close.cancel()


async def _is_running(workflow: WorkflowHandle[Any, Any]) -> bool:
    try:
        return (await workflow.describe()).status is WorkflowExecutionStatus.RUNNING
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise


async def _ended_badly(turns: WorkflowHandle[Any, Any]) -> bool:
    try:
        return (await turns.describe()).status is not WorkflowExecutionStatus.COMPLETED
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise
