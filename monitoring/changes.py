"""The running changes, as Temporal knows them: the same numbers at every worker."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from temporalio.client import Client, WorkflowExecution, WorkflowExecutionDescription
from temporalio.common import MetricMeter, SearchAttributeKey
from temporalio.service import RPCError, RPCStatusCode

from activities.temporal import Temporal
from client.pending import heartbeat
from membership.model import SyncProgress
from messages.ids import WORKFLOW_TYPES, change_in
from messages.turns import TurnsState
from monitoring.gauges import Gauge

# The latest changes are counted, so that an endless line costs no more.
_AS_MANY = 2000
_STATES = ("running", "waiting", "held")
_STAGE = SearchAttributeKey.for_keyword("EtcdStage")
_TYPES = ", ".join(f"'{name}'" for name in WORKFLOW_TYPES.values())
_RUNNING = f"WorkflowType IN ({_TYPES}) AND ExecutionStatus = 'Running'"


@dataclass(frozen=True)
class _Turn:
    """The change that has the turn of a cluster."""

    #: Seconds since the turn was granted.
    seconds: float
    #: Seconds since the change last moved.
    idle: float
    #: None: it does not wait for a sync.
    progress: SyncProgress | None


class Changes:
    """Counts the running changes of the clusters, and looks how far those are that have the turn."""

    def __init__(self, client: Client, meter: MetricMeter) -> None:
        self._client = client
        self._temporal = Temporal(client)
        self._idle = _Idle()
        self._open = Gauge(meter, "memberflow_open_changes", "Changes that run, by state.", "cluster", "state")
        self._turn = Gauge(
            meter, "memberflow_turn_seconds", "Seconds since the turn was granted. 0: no change has it.", "cluster"
        )
        self._idling = Gauge(
            meter,
            "memberflow_turn_idle_seconds",
            "Seconds since the change that has the turn last moved. 0: it is held, or no change has the turn.",
            "cluster",
        )
        self._position = Gauge(
            meter, "memberflow_sync_position", "The raft index that the joining learner has reached.", "cluster"
        )
        self._target = Gauge(
            meter, "memberflow_sync_target", "The raft index that the joining learner must reach.", "cluster"
        )

    async def measure(self, clusters: Collection[str]) -> None:
        """Raises RPCError when Temporal does not answer."""
        listed = [run async for run in self._client.list_workflows(_RUNNING, limit=_AS_MANY)]
        by_cluster: dict[str, list[WorkflowExecution]] = {cluster: [] for cluster in clusters}
        for run in listed:
            # A caller may start a workflow of these types under any ID, which the change itself refuses.
            cluster, _ = change_in(run.id)
            if cluster in by_cluster:
                by_cluster[cluster].append(run)
        states = dict(zip(clusters, await asyncio.gather(*map(self._turns, by_cluster.items())), strict=True))
        self._open.show({key: n for c, runs in by_cluster.items() for key, n in _count(c, runs, states[c]).items()})
        turns = dict(zip(clusters, await asyncio.gather(*map(self._holder, states.items())), strict=True))
        self._turn.show({(c,): turn.seconds if turn else 0.0 for c, turn in turns.items()})
        self._idling.show({(c,): turn.idle if turn else 0.0 for c, turn in turns.items()})
        syncs = {c: turn.progress for c, turn in turns.items() if turn and turn.progress}
        self._position.show({(c,): p.match for c, p in syncs.items() if p.match is not None})
        self._target.show({(c,): p.target for c, p in syncs.items() if p.target is not None})

    async def _turns(self, item: tuple[str, list[WorkflowExecution]]) -> TurnsState:
        """The turns of a cluster. Empty where no change runs, or no worker answers for them."""
        cluster, runs = item
        try:
            return (await self._temporal.turns_state(cluster) if runs else None) or TurnsState()
        except RPCError:
            return TurnsState()

    async def _holder(self, item: tuple[str, TurnsState]) -> _Turn | None:
        cluster, turns = item
        if turns.holder is None:
            self._idle.forget(cluster)
            return None
        try:
            description = await self._client.get_workflow_handle(turns.holder.workflow_id).describe()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return None  # Temporal has forgotten it, and the turns do not know yet
        progress, _ = await heartbeat(self._client, description)
        idle = self._idle.seconds(cluster, description, progress)
        held = turns.holder_is_held or description.typed_search_attributes.get(_STAGE) == "held"
        return _Turn(time.time() - turns.granted_at, 0.0 if held else idle, progress)


class _Idle:
    """For how long the holders of turns have not moved."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[object, float]] = {}

    def seconds(self, cluster: str, holder: WorkflowExecutionDescription, progress: SyncProgress | None) -> float:
        """A wait knows it itself. Everything else has moved when other activities are under way than before."""
        if progress:
            return progress.idle
        now = time.monotonic()
        key = (holder.run_id, tuple(p.activity_id for p in holder.raw_description.pending_activities))
        if self._since.get(cluster, (None, 0.0))[0] != key:
            self._since[cluster] = (key, now)
        return now - self._since[cluster][1]

    def forget(self, cluster: str) -> None:
        self._since.pop(cluster, None)


def _count(cluster: str, runs: Collection[WorkflowExecution], turns: TurnsState) -> dict[tuple[str, ...], float]:
    counts = Counter(_state(run, turns) for run in runs)
    return {(cluster, state): float(counts[state]) for state in _STATES}


def _state(run: WorkflowExecution, turns: TurnsState) -> str:
    """Without the search attributes, only a hold of a join that has the turn is known."""
    stage = run.typed_search_attributes.get(_STAGE)
    if stage == "held" or (turns.holder_is_held and turns.holder and turns.holder.workflow_id == run.id):
        return "held"
    if stage == "turn" or any(ticket.workflow_id == run.id for ticket in turns.waiting):
        return "waiting"
    return "running"
